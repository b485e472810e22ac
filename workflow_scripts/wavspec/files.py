"""Files that are whole or not there at all."""

import csv
import errno
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

from .job import JobError

CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@contextmanager
def whole(path):
    """Give the name of a file to write, which takes the name `path` once all went well.

    The given name is this writer's own. A job that goes on after Snakemake was killed therefore
    cannot write into a file that a later run has finished.

    Raises:
        JobError: the file system has no room for the file, or does not let it be written.
    """
    part = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.errno in CANNOT_WRITE:
            raise JobError(f"cannot write {path}: {error.strerror}") from error
        raise
    finally:
        with suppress(FileNotFoundError):
            os.remove(part)


@contextmanager
def whole_csv(path, fields):
    """Give the csv.writer of a table with these fields; see `whole`."""
    with whole(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fields)
        yield writer


def remove_parts(folder):
    """Remove the unfinished files that killed jobs left right in `folder`.

    If the job that writes one still goes on, it fails when it wants to give the file its name.
    """
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)


def check_room(path, size):
    """Raise JobError if the file system of `path` has not `size` bytes left."""
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if free < size:
        raise JobError(f"cannot write {path}: No space left, {size:,} bytes needed, {free:,} free")
