"""Which clips the dataset holds: one walk of it, and a label's clips as a table in row order.

The Snakefile walks, and decides by a digest of each label what to run. The job writes the table,
which is what every later stage goes by.
"""

import csv
import hashlib
import os
import re
import stat
from typing import NamedTuple

from job_log import JobError, job_log

# What pandas.read_csv takes for a missing value, not for a word.
READ_AS_MISSING = {
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
}
# Control characters, and what Python makes of bytes that are not UTF-8.
UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
PERIODIC = re.compile(r"(.+?)\1{19}$")
LONGEST_NAME = 255 - len(".npy")  # bytes; the limit of every usual file system


class DatasetError(JobError):
    """The dataset cannot be used as it stands; the message names what offends and what to do."""


class Clip(NamedTuple):
    """One WAV file; size and mtime are blank where there is no regular file that may be read."""

    path: str  # below the dataset folder
    size: int | str  # bytes
    mtime_ns: int | str  # nanoseconds since the epoch


def find_labels(dataset):
    """Return {label: [Clip, ...]} of every clip below the folder `dataset`, all in row order.

    A clip is whatever has a name that ends in .wav, in any case; its label is the name of the
    folder that holds it. Linked folders are followed, except back to a folder that leads to them:
    that one's clips are in the catalog already.

    Raises:
        DatasetError: no clip, a folder that cannot be read, or a name that no CSV file can carry
            to pandas and back.
    """
    if UNWRITABLE.search(os.path.abspath(dataset)):
        raise DatasetError(f"{dataset!r} has control characters, or bytes that are not UTF-8")
    labels = {}
    for folder, clips in walk(dataset):
        if clips:
            labels.setdefault(label_of(dataset, folder), []).extend(clips)
    if not labels:
        raise DatasetError(f"{dataset!r} holds no file whose name ends in .wav, however deep")
    check_names(labels)
    # Python orders strings by code point, which is the order of their UTF-8 bytes.
    return {label: sorted(labels[label]) for label in sorted(labels)}


def walk(dataset):
    """Yield (folder, its clips) for every folder, as paths below `dataset`; the first is ""."""
    root = os.stat(dataset)
    waiting = [("", ((root.st_dev, root.st_ino),))]
    while waiting:
        folder, lineage = waiting.pop()
        subfolders, clips = list_folder(dataset, folder)
        yield folder, clips
        for subfolder, identity in subfolders:
            if identity not in lineage:
                waiting.append((subfolder, (*lineage, identity)))


def list_folder(dataset, folder):
    """Return what lies right in `folder`: [(subfolder, (device, inode)), ...] and [Clip, ...]."""
    subfolders, clips = [], []
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
                except PermissionError:
                    if not is_clip:  # a link to a folder, it may be, and to clips in it
                        raise
                except OSError:  # a link to itself
                    continue
    except OSError as error:
        raise DatasetError(f"cannot list {error.filename!r}: {error.strerror}") from error
    return subfolders, clips


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
            refused.append(f"folder {label!r}: Snakemake refuses a pattern 20 times over")
        elif len(os.fsencode(file_name_of(label))) > LONGEST_NAME:
            refused.append(f"folder {label!r}: over {LONGEST_NAME} bytes, no room for '.npy'")
    if refused:
        shown = "\n  ".join(refused[:10]) + ("\n  ..." if len(refused) > 10 else "")
        raise DatasetError(f"names in the dataset to change, {len(refused)}:\n  {shown}")


def file_name_of(label):
    """Return `label` as part of a file's name: all but letters, digits and " .-_" as =XX bytes."""
    return re.sub(
        r"[^\w .-]", lambda match: "".join(f"={b:02X}" for b in os.fsencode(match[0])), label
    )


def fingerprint(clips):
    """Return 16 hex digits that change with any clip's path below the dataset, size or mtime.

    A clip that cannot be read has neither of the two, so that they also change with permission.
    """
    lines = "".join(f"{clip.path}\0{clip.size}\0{clip.mtime_ns}\n" for clip in clips)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def folders_of(clips):
    """Return the folders that hold `clips`, as sorted paths below the dataset."""
    return sorted({os.path.dirname(clip.path) for clip in clips})


def write_catalog(dataset, folders, catalog, expected=None):
    """Write the clips right in `folders` to the CSV file `catalog`, in row order.

    Its columns are Clip's fields. Sizes and mtimes are what makes a clip that changed in place
    change the file; the dataset's own place is not in it, so that moving the dataset does not.

    Returns:
        How many clips.

    Raises:
        DatasetError: a folder is gone; or the clips do not have the fingerprint `expected`. A
            catalog of other clips than those that the run began with would be recorded as theirs.
    """
    clips = sorted(clip for folder in folders for clip in list_folder(dataset, folder)[1])
    if expected and fingerprint(clips) != expected:
        raise DatasetError(f"clips changed in {folders} since the run began: run again")
    with open(catalog, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Clip._fields)
        table.writerows(clips)
    return len(clips)


if "snakemake" in globals():
    with job_log(snakemake.log[0]):
        count = write_catalog(
            os.path.expanduser(snakemake.config["dataset"]),
            snakemake.params.folders,
            snakemake.output.catalog,
            snakemake.params.fingerprint,
        )
        print(f"{count} clips")
