"""Files that are whole or not there at all."""

import csv
import errno
import glob
import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path

from .job import JobError

CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@contextmanager
def whole(path):
    """Give the name of a file to write, which takes the name `path` once all went well.

    Each writer has a part file of its own, which exists from the start. A job may go on after
    Snakemake was killed. It then cannot write into a file that a later run has finished. If the
    later run removed the part, the job cannot replace the file either, even if it made a new part.

    Raises:
        JobError: the file system has no room for the file, or does not let it be written, or
            another run removed the part.
    """
    # With the ending of `path`, which tells some writers the format.
    part = f"{part_prefix(path)}{secrets.token_hex(8)}.part{os.path.splitext(path)[1]}"
    try:
        with open(part, "xb") as first:
            yield part
            if not (os.path.exists(part) and os.path.samefile(part, first.fileno())):
                raise JobError(f"{path}: another run removed the unfinished file: run again")
        os.replace(part, path)
    except OSError as error:
        if error.errno in CANNOT_WRITE:
            raise JobError(f"cannot write {path}: {error.strerror}") from error
        raise
    finally:
        Path(part).unlink(missing_ok=True)


@contextmanager
def whole_csv(path, fields):
    """Give the csv.writer of a table with these fields; see `whole`."""
    with whole(path) as part, new_csv(part, fields) as writer:
        yield writer


@contextmanager
def new_csv(path, fields):
    """Give the csv.writer of the new file `path`, a table with these fields."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fields)
        yield writer


def part_prefix(path):
    """Return what the names of the parts of `path` begin with, however long its own name is."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}.")


def remove_parts(path):
    """Remove the parts of the file `path` that killed jobs left.

    If the job that writes one still goes on, it fails when it wants to give the part its name.
    """
    for part in glob.glob(f"{glob.escape(part_prefix(path))}*"):
        Path(part).unlink(missing_ok=True)


def nearest_existing(path):
    """Return the Path of `path`, absolute, or of the nearest folder above it that exists."""
    path = Path(path).absolute()
    return path if path.exists() else nearest_existing(path.parent)


def check_room(path, size):
    """Raise OSError if the file system of `path` lacks room for `size` bytes."""
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if free < size:
        message = f"{os.strerror(errno.ENOSPC)}, {size:,} bytes needed, {free:,} free"
        raise OSError(errno.ENOSPC, message)
