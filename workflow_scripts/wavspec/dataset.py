"""Finding the clips of the dataset, and the labels and splits in their paths."""

import errno
import os
import re
import stat
import unicodedata
from collections import Counter
from typing import NamedTuple

from .clip import Clip, file_name_of
from .errors import WavspecError

# The default of `path_pattern` in config.yaml.
PATH_PATTERN = r"((.*/)?(?P<label>[^/]+)/)?[^/]+\.wav"
BACKGROUND_NOISE = "_background_noise_"  # a label of long recordings, which are in no split
SPLITS = ("training", "validation", "testing")
# Values of the pattern's group `split`, and names of folders above the labels.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "testing"),
}
# Endings of audio files. The run warns about those that the pattern does not match.
AUDIO = {
    *(".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".oga", ".ogg"),
    *(".opus", ".raw", ".snd", ".sph", ".w64", ".wav", ".wave", ".webm", ".wma"),
}
# Those that libsndfile cannot read.
UNREADABLE = {".aac", ".m4a", ".webm", ".wma"}
TABLES = {".csv", ".tsv"}
# Folders of macOS, Windows, Linux and NAS systems, in lower case, with copies, deleted files and
# metadata.
SYSTEM_FOLDERS = {
    *("__macosx", "$recycle.bin", "system volume information", "lost+found"),
    *("@eadir", "@recycle", "#recycle"),
}
# Names of folders that hold files of any class, such as `audio`, `FSD50K.dev_audio` or `fold1`.
STORAGE = re.compile(
    r"(.*[._-])?(audio|clips|wavs?|data|recordings)|"
    rf"({'|'.join([*SPLIT_NAMES, 'fold'])})[._-]?(\d+|[a-z])?",
    re.IGNORECASE,
)
# Patterns for two layouts with such folders: the label is the name of the folder above, or the
# beginning of the file's name.
FOLDER_ABOVE = r"(.*/)?(?P<label>[^/]+)/[^/]+/[^/]+\."
START_OF_NAME = r"(.*/)?(?P<label>[^/._-]+)[^/]*\."
# What pandas.read_csv reads as a missing value by default.
READ_AS_MISSING = {
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
}
# Control characters, and Python's stand-ins for bytes that are not UTF-8.
UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
PERIODIC = re.compile(r"(.+?)\1{19}$")
# Most file systems allow 255 bytes, for the label, the digest and the ending of a chunk's name.
LONGEST_NAME = 255 - len(".0123456789ab.npy")
# Errors of a link that recur in the next run. Others are errors of the machine.
LEADS_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
FORBIDDEN = {errno.EACCES, errno.EPERM}


class Dataset(NamedTuple):
    """The clips of the dataset, and what to know about them."""

    labels: dict  # {label: [Clip, ...]}, both in row order
    warnings: list  # lines about what was left out, and about unusual labels
    left_out: list  # (path, reason) of each audio file that is not a clip, sorted
    # {name: [text of each clip, in row order]} of the further columns of a clips table, among them
    # `speaker` and `split` (training, validation, testing or blank) if the table has them.
    columns: dict


class Folder(NamedTuple):
    """The direct content of a folder. All paths are relative to the dataset."""

    subfolders: list  # (path, (device, inode)) of each
    clips: list  # (re.Match of the pattern, Clip) of each
    unmatched: list  # paths of other files
    hidden: list  # paths of audio files with a leading dot


def find_clips(folder, path_pattern=PATH_PATTERN):
    """Return the Dataset below `folder`.

    A clip is a file whose path below `folder` matches the pattern, see `matched`. Its label is the
    pattern's group `label`, or the name of `folder` if that group is empty. Hidden files and
    folders (names with a leading dot) and SYSTEM_FOLDERS are left out. Links to folders are
    followed, except to a folder that contains the link.

    Args:
        folder: the dataset's folder.
        path_pattern: regular expression with a group `label`, see config.yaml.

    Raises:
        WavspecError: the folder does not exist, a folder cannot be listed, the pattern is invalid
            or matches no file, or a name cannot be stored in a CSV file or a chunk's name.
    """
    check_folder(folder)
    try:
        pattern = compiled(path_pattern)
    except re.error as error:
        raise bad_pattern(path_pattern, f"is not a regular expression: {error}") from error
    if "label" not in pattern.groupindex:
        raise bad_pattern(path_pattern, "has no group (?P<label>...)")
    own_name = os.path.basename(os.path.abspath(folder))
    by_folder = path_pattern.startswith(PATH_PATTERN.removesuffix("wav"))
    labels, folders, splits, unmatched, hidden = {}, {}, {}, [], []
    for found in walk(folder, pattern):
        for match, clip in found.clips:
            label = match["label"] or own_name
            labels.setdefault(label, []).append(clip)
            if "split" in pattern.groupindex:
                splits.setdefault(match["split"], clip.path)
        if found.clips and by_folder:  # then all clips of a folder have the same label
            folders.setdefault(label, []).append(os.path.dirname(clip.path))
        unmatched += found.unmatched
        hidden += found.hidden
    if not labels:
        raise no_clips(folder, path_pattern, sorted(filter(is_audio, unmatched)))
    check_splits(splits)
    check_names(labels)
    # Python orders strings by code point, which is the order of their UTF-8 bytes.
    in_order = {label: sorted(labels[label]) for label in sorted(labels)}
    left_out, warnings = files_left_out(in_order, unmatched, hidden)
    tables = [path for path in unmatched if has_ending_in(TABLES, path)]
    warnings += [
        *warn_of_storage(in_order, min(tables, default="")),
        *warn_of_folders(folders),
        *warn_of_labels(in_order),
    ]
    return Dataset(in_order, warnings, left_out, {})


def check_folder(folder):
    """Raise WavspecError if the dataset's `folder` does not exist, or if its path is unwritable."""
    if not os.path.isdir(folder):
        raise WavspecError(
            f"config key 'dataset': {folder!r} is not a folder that exists. {SET_DATASET}"
        )
    if UNWRITABLE.search(os.path.abspath(folder)):
        raise WavspecError(
            f"config key 'dataset': {folder!r} has control characters, or bytes that are not "
            "UTF-8. Rename this folder"
        )


SET_DATASET = "Set it to a folder that contains a folder of WAV files for each label."


def compiled(path_pattern):
    """Return the re.Pattern of the configuration's `path_pattern`; raise re.error if it is invalid.

    Its dots also match line breaks, because names of folders can contain them.
    """
    return re.compile(path_pattern, re.DOTALL)


def matched(pattern, path):
    """Return the re.Match of the whole `path`, below the dataset, or None.

    Matching is case-sensitive, except for the ending: a pattern that ends in .wav or .WAV also
    matches a path that ends in .Wav.
    """
    if match := pattern.fullmatch(path):
        return match
    stem, ending = os.path.splitext(path)
    return pattern.fullmatch(stem + ending.lower()) or pattern.fullmatch(stem + ending.upper())


def walk(dataset, pattern):
    """Yield the Folder of every folder of the dataset."""
    root = os.stat(dataset)
    waiting = [("", ((root.st_dev, root.st_ino),))]
    while waiting:
        folder, lineage = waiting.pop()
        found = list_folder(dataset, folder, pattern)
        yield found
        for subfolder, identity in found.subfolders:
            if identity not in lineage:
                waiting.append((subfolder, (*lineage, identity)))


def list_folder(dataset, folder, pattern):
    """Return the Folder of `folder`, a path below `dataset` or "".

    Raises:
        WavspecError: the folder, or the target of a link in it, cannot be read.
    """
    found = Folder([], [], [], [])
    above = f"{folder}/" if folder else ""
    try:
        with os.scandir(os.path.join(dataset, folder)) as entries:
            for entry in entries:
                path = above + entry.name
                if entry.name.startswith("."):
                    if is_audio(path):
                        found.hidden.append(path)
                    continue
                match = matched(pattern, path)
                is_folder = leads_to_folder(entry, match)
                if is_folder:
                    if entry.name.lower() in SYSTEM_FOLDERS:
                        continue
                    status = entry.stat()
                    found.subfolders.append((path, (status.st_dev, status.st_ino)))
                    # A folder is a clip (an invalid one) only if it is named like an audio file.
                    match = match if is_audio(path) else None
                if match:
                    found.clips.append((match, Clip(path, *file_state(entry))))
                elif not is_folder:
                    found.unmatched.append(path)
    except OSError as error:
        raise WavspecError(f"cannot list {error.filename!r}: {error.strerror}") from error
    return found


def leads_to_folder(entry, match):
    """Return whether an os.DirEntry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError as error:
        # Without permission to follow a link, its target is unknown: a clip, or a folder of clips.
        if error.errno in LEADS_NOWHERE or (match and error.errno in FORBIDDEN):
            return False
        raise


def file_state(file):
    """Return size in bytes and mtime in ns of `file`, blank if it is no regular, readable file.

    Args:
        file: path or os.DirEntry.
    """
    try:
        status = os.stat(file) if isinstance(file, str) else file.stat()
    except OSError as error:
        if error.errno in LEADS_NOWHERE | FORBIDDEN:
            return "", ""
        raise
    # Granting permission must count as a change of the clip.
    may_read = status.st_mode & 0o444 == 0o444 or os.access(file, os.R_OK)
    if not (stat.S_ISREG(status.st_mode) and may_read):
        return "", ""
    return status.st_size, status.st_mtime_ns


def is_audio(path):
    return has_ending_in(AUDIO, path)


def has_ending_in(endings, path):
    return os.path.splitext(path)[1].lower() in endings


def no_clips(folder, path_pattern, audio):
    """Return the WavspecError for a dataset in which the pattern matches no file.

    Args:
        audio: the paths of its audio files, sorted.
    """
    if not audio:
        return WavspecError(
            f"config key 'dataset': there is no audio file in {folder!r}. {SET_DATASET}"
        )
    if path_pattern != PATH_PATTERN:
        return bad_pattern(path_pattern, f"matches no file of the dataset {folder!r}", audio)
    stem, ending = os.path.splitext(audio[0])
    if has_ending_in(UNREADABLE, audio[0]):
        cure = f"Convert them to WAV, for example: ffmpeg -i {audio[0]!r} {f'{stem}.wav'!r}"
    else:
        pattern = PATH_PATTERN.removesuffix("wav") + ending[1:].lower()
        cure = f"To use them as they are, set path_pattern: '{pattern}'"
    return WavspecError(
        f"config key 'dataset': there is no .wav file in {folder!r}, but {counted(audio)}. {cure}"
    )


def counted(audio):
    """Return the number of audio files of each ending as text, with an example."""
    endings = Counter(os.path.splitext(path)[1].lower() for path in audio)
    counts = ", ".join(f"{count} {ending}" for ending, count in endings.items())
    return f"{counts}, such as {audio[0]!r}"


def bad_pattern(path_pattern, fault, audio=()):
    """Return the WavspecError for `path_pattern`, with one of the paths `audio` as an example."""
    readable = (path for path in audio if not has_ending_in(UNREADABLE, path))
    path = next(readable, "LABEL/SPEAKER_nohash_0.wav")
    example = PATH_PATTERN.removesuffix(".wav") + os.path.splitext(path)[1].lower()
    return WavspecError(
        f"config key 'path_pattern': '{path_pattern}' {fault}. It must match the whole path of a "
        f"clip below the dataset, such as {path!r}, and its group 'label' is the clip's label. "
        f"For example, with path_pattern: '{example}' the label is the name of the clip's folder. "
        "docs/datasets.md has patterns for public data sets."
    )


def check_splits(splits):
    """Raise WavspecError if the pattern's group `split` has values that are not in SPLIT_NAMES.

    Args:
        splits: {value of the group, or None: path of a clip}.
    """
    unknown = {
        name: path for name, path in splits.items() if name and name.lower() not in SPLIT_NAMES
    }
    if unknown:
        name, path = min(unknown.items())
        raise WavspecError(
            f"config key 'path_pattern': the group 'split' is {name!r} in {path!r}. "
            f"It can be {ALLOWED_SPLITS}. "
            "For example, path_pattern: '(?P<split>train|test)/(?P<label>[^/]+)/[^/]+\\.wav'"
        )


ALLOWED_SPLITS = f"{', '.join(SPLIT_NAMES)}, in upper or lower case, or empty"


def check_names(labels):
    refused = [
        f"{clip.path!r}: control characters or bytes that are not UTF-8"
        for clips in labels.values()
        for clip in clips
        if UNWRITABLE.search(clip.path)
    ]
    for label in labels:
        if UNWRITABLE.search(label):
            refused.append(f"label {label!r}: control characters or bytes that are not UTF-8")
        elif PERIODIC.search(file_name_of(label)):
            refused.append(f"label {label!r}: Snakemake rejects the same letters 20 times in a row")
        elif len(os.fsencode(file_name_of(label))) > LONGEST_NAME:
            refused.append(
                f"label {label!r}: over {LONGEST_NAME} bytes, too long for a chunk's name"
            )
    if refused:
        shown = "\n  ".join(refused[:10]) + ("\n  ..." if len(refused) > 10 else "")
        raise WavspecError(f"names in the dataset to change ({len(refused)}):\n  {shown}")


def files_left_out(labels, unmatched, hidden):
    """Return a sorted list of (path, reason) of audio files that are not clips, and warnings."""
    audio = sorted(filter(is_audio, unmatched))
    others = [path for path in audio if not has_ending_in(UNREADABLE, path)]
    unreadable = without_a_clip(set(audio).difference(others), labels)
    warnings = []
    if others:
        warnings.append(
            f"audio files that path_pattern does not match are left out: {counted(others)}"
        )
    if unreadable:
        warnings.append(
            f"files that libsndfile cannot read are left out: {counted(unreadable)}. Convert them "
            "to WAV, see README.md"
        )
    if hidden:
        warnings.append(f"hidden audio files are left out: {counted(sorted(hidden))}")
    reasons = {
        **dict.fromkeys(others, "path_pattern does not match"),
        **dict.fromkeys(unreadable, "libsndfile cannot read it"),
        **dict.fromkeys(hidden, "hidden"),
    }
    return sorted(reasons.items()), warnings


def without_a_clip(paths, labels):
    """Return the sorted paths that have no clip of the same name, with another ending."""
    if not paths:
        return []
    clips = {os.path.splitext(clip.path)[0] for clips in labels.values() for clip in clips}
    return sorted(path for path in paths if os.path.splitext(path)[0] not in clips)


def warn_of_storage(labels, table):
    """Return a warning if labels are likely not what was meant, with what to set instead.

    Args:
        labels: {label: [Clip, ...]}.
        table: path of a CSV or TSV file in the dataset, or "".
    """
    storage = list(filter(STORAGE.fullmatch, labels))
    if not storage and len(labels) > 1:
        return []
    label = (storage or list(labels))[0]
    path = labels[label][0].path
    pattern = suggested_pattern(path)
    fault = "looks like the name of a folder, not of a class" if storage else "is the only one"
    more = f" (and {len(storage) - 1} more)" if len(storage) > 1 else ""
    here = f", such as {table!r} in the dataset" if table else ""
    return [
        f"the label {label!r}{more} {fault}, from paths such as {path!r}. If the labels are "
        f"elsewhere in the paths, set path_pattern, such as '{pattern}'; if they are in a "
        f"table{here}, set clips. docs/datasets.md has both for public data sets"
    ]


def suggested_pattern(path):
    """Return a pattern for clips such as `path`, in a folder whose name is not their label."""
    ending = os.path.splitext(path)[1][1:].lower()
    above = os.path.basename(os.path.dirname(os.path.dirname(path)))
    return (FOLDER_ABOVE if above and not STORAGE.fullmatch(above) else START_OF_NAME) + ending


def warn_of_folders(folders):
    """Return a warning about labels in several folders, unless these are named like splits.

    Args:
        folders: {label: list of its folders, relative to the dataset}.
    """

    def without_splits(folder):
        return tuple(name for name in folder.split("/") if name.lower() not in SPLIT_NAMES)

    several = [label for label in folders if len(set(map(without_splits, folders[label]))) > 1]
    if not several:
        return []
    label = min(several)
    first, second = sorted(folders[label])[:2]
    more = f" (and {len(several) - 1} more)" if len(several) > 1 else ""
    return [
        f"the label {label!r}{more} is in {len(folders[label])} folders, such as {first!r} and "
        f"{second!r}"
    ]


def warn_of_labels(labels):
    """Return warnings about labels that are nearly the same, or that pandas reads as missing."""
    warnings, forms = [], {}
    for label in labels:
        form = "".join(unicodedata.normalize("NFC", label).casefold().split())
        forms.setdefault(form, []).append(label)
    similar = [group for group in forms.values() if len(group) > 1]
    if similar:
        groups = "; ".join(", ".join(map(distinct_repr, group)) for group in similar[:5])
        warnings.append(
            f"labels that differ only in case, spaces or Unicode form: {groups}"
            f"{f' and {len(similar) - 5} more' if len(similar) > 5 else ''}"
        )
    if missing := sorted(READ_AS_MISSING & labels.keys()):
        warnings.append(
            f"pd.read_csv reads labels such as {missing[0]!r} as missing values. Load the tables "
            "with keep_default_na=False, as in README.md and summary.txt"
        )
    return warnings


def distinct_repr(label):
    """Return repr(label), with escapes if the label is not in the usual Unicode form."""
    return repr(label) if unicodedata.is_normalized("NFC", label) else ascii(label)
