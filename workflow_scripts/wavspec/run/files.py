"""Files that are whole or not there at all."""

import csv
import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from .errors import JobError


@contextmanager
def whole(paths, folder, job):
    """Give the names of files to write, which get the names `paths` once all went well.

    The files are written in a folder that belongs to this attempt alone. If Snakemake is killed, a
    job can outlive it. A later attempt at the same job removes the folder, and then the earlier one
    fails instead of replacing newer files by older ones.

    Args:
        paths: list of the files to make.
        folder: an existing folder above all of them.
        job: what distinguishes this job from others that write below `folder`.

    Raises:
        JobError: a file cannot be written, or another run removed the unfinished files.
    """
    for earlier in Path(folder).glob(f".{job}.*.unfinished"):
        shutil.rmtree(earlier, ignore_errors=True)
    # Inside `folder`, because a file keeps its blocks only if it is renamed within a file system.
    unfinished = Path(folder, f".{job}.{os.urandom(6).hex()}.unfinished")
    # With the ending of `path`, which tells some writers the format.
    parts = [unfinished / f"{number}{Path(path).suffix}" for number, path in enumerate(paths)]
    try:
        unfinished.mkdir()
        yield [str(part) for part in parts]
        for part, path in zip(parts, paths, strict=True):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.replace(part, path)
    except OSError as error:
        if not unfinished.exists():
            raise JobError(
                f"{paths[0]}: another run removed the unfinished file: run again"
            ) from error
        if error.filename is None or Path(error.filename).parent == unfinished:
            raise JobError(f"cannot write {paths[0]}: {error.strerror}") from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def new_csv(path, fields):
    """Give the csv.writer of the new file `path`, a table with these fields."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fields)
        yield writer


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
