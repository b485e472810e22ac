"""Which clips the dataset holds: one walk of it, and what their names may be."""

import os
import re
import stat
from collections import Counter
from typing import NamedTuple

from .run.job import JobError

# Audio that a folder of clips may also hold. It is counted, so that nobody misses it in silence.
OTHER_AUDIO = {
    *(".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".oga", ".ogg"),
    *(".opus", ".raw", ".snd", ".sph", ".w64", ".wave", ".webm", ".wma"),
}
# What pandas.read_csv takes for a missing value, not for a word.
READ_AS_MISSING = {
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
}
# Control characters, and what Python makes of bytes that are not UTF-8.
UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
PERIODIC = re.compile(r"(.+?)\1{19}$")
# A chunk's name must fit into the 255 bytes that usual file systems allow.
LONGEST_NAME = 255 - len(".0123456789ab.npy")


class Clip(NamedTuple):
    """One WAV file; size and mtime are blank where there is no regular file that may be read."""

    path: str  # below the dataset folder
    size: int | str  # bytes
    mtime_ns: int | str  # nanoseconds since the epoch


class Dataset(NamedTuple):
    """What one walk of the dataset found."""

    labels: dict  # {label: [Clip, ...]}, both in row order
    other_audio: Counter  # {ending in small letters: files} of audio that is not .wav


def find_clips(folder):
    """Return the Dataset below `folder`.

    A clip is whatever has a name that ends in .wav, in any case. Its label is the name of the
    folder that holds it. Linked folders are followed, except back to a folder that leads to them:
    that one's clips are found already.

    Raises:
        JobError: no such folder, no clip, a folder that cannot be listed, or a name that no
            CSV file can carry to pandas and back.
    """
    if not os.path.isdir(folder):
        raise JobError(
            f"config key 'dataset': {folder!r} is not a folder that exists. "
            "Give the folder that holds a folder of WAV files for each label."
        )
    if UNWRITABLE.search(os.path.abspath(folder)):
        raise JobError(
            f"config key 'dataset': {folder!r} has control characters, or bytes that are not UTF-8"
        )
    labels, other_audio = {}, Counter()
    for subfolder, clips, endings in walk(folder):
        if clips:
            labels.setdefault(label_of(folder, subfolder), []).extend(clips)
        other_audio.update(endings)
    if not labels:
        raise JobError(
            f"config key 'dataset': {folder!r} holds no file whose name ends in .wav, however deep"
        )
    check_names(labels)
    # Python orders strings by code point, which is the order of their UTF-8 bytes.
    return Dataset({label: sorted(labels[label]) for label in sorted(labels)}, other_audio)


def walk(dataset):
    """Yield (folder, clips, endings) for every folder, which is a path below `dataset` or ""."""
    root = os.stat(dataset)
    waiting = [("", ((root.st_dev, root.st_ino),))]
    while waiting:
        folder, lineage = waiting.pop()
        subfolders, clips, endings = list_folder(dataset, folder)
        yield folder, clips, endings
        for subfolder, identity in subfolders:
            if identity not in lineage:
                waiting.append((subfolder, (*lineage, identity)))


def list_folder(dataset, folder):
    """Return what lies right in `folder`, a path below `dataset`.

    Returns:
        ([(subfolder, (device, inode)), ...], [Clip, ...], [ending of other audio, ...])
    """
    subfolders, clips, endings = [], [], []
    above = f"{folder}/" if folder else ""
    try:
        with os.scandir(os.path.join(dataset, folder)) as entries:
            for entry in entries:
                path = above + entry.name
                is_clip = entry.name[-4:].lower() == ".wav"
                if is_clip:
                    clips.append(clip_at(entry, path))
                try:
                    if entry.is_dir():
                        status = entry.stat()
                        subfolders.append((path, (status.st_dev, status.st_ino)))
                    elif not is_clip:
                        ending = os.path.splitext(entry.name)[1].lower()
                        if ending in OTHER_AUDIO:
                            endings.append(ending)
                except PermissionError:
                    if not is_clip:  # a link to a folder, it may be, and to clips in it
                        raise
                except OSError:  # a link to itself
                    continue
    except OSError as error:
        raise JobError(f"cannot list {error.filename!r}: {error.strerror}") from error
    return subfolders, clips, endings


def clip_at(entry, path):
    try:
        status = entry.stat()
    except OSError:  # a link that leads nowhere
        return Clip(path, "", "")
    # Permission is in the catalog because granting it must count as a change, like any other.
    may_read = status.st_mode & 0o444 == 0o444 or os.access(entry.path, os.R_OK)
    if not (stat.S_ISREG(status.st_mode) and may_read):
        return Clip(path, "", "")
    return Clip(path, status.st_size, status.st_mtime_ns)


def label_of(dataset, folder):
    """Return the label of the clips right in `folder`: its name, however deep it lies."""
    return os.path.basename(folder or os.path.abspath(dataset))


def check_names(labels):
    refused = [
        f"{clip.path!r}: control characters or bytes that are not UTF-8"
        for clips in labels.values()
        for clip in clips
        if UNWRITABLE.search(clip.path)
    ]
    for label in labels:
        if label in READ_AS_MISSING:
            refused.append(f"folder {label!r}: pandas reads this label as a missing value")
        elif PERIODIC.search(file_name_of(label)):
            refused.append(
                f"folder {label!r}: Snakemake refuses the same letters 20 times in a row"
            )
        elif len(os.fsencode(file_name_of(label))) > LONGEST_NAME:
            refused.append(
                f"folder {label!r}: over {LONGEST_NAME} bytes, too long for a chunk's name"
            )
    if refused:
        shown = "\n  ".join(refused[:10]) + ("\n  ..." if len(refused) > 10 else "")
        raise JobError(f"names in the dataset to change, {len(refused)}:\n  {shown}")


def file_name_of(label):
    """Return `label` as part of a file's name: all but letters, digits and " .-_" as =XX bytes."""
    return re.sub(
        r"[^\w .-]", lambda match: "".join(f"={b:02X}" for b in os.fsencode(match[0])), label
    )


def label_in(file):
    """Return the label in the name of a file `{file_name_of(label)}.{digest}.{ending}`."""
    name = os.fsencode(os.path.basename(file).rsplit(".", 2)[0])
    return os.fsdecode(re.sub(rb"=(..)", lambda match: bytes.fromhex(match[1].decode()), name))
