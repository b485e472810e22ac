"""Writing files completely or not at all."""

import csv
import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from .errors import JobError


@contextmanager
def whole(paths, folder, job):
    """Yield temporary names of files to write; on success, rename the files to `paths`.

    The temporary names are in a new folder for each attempt. A job can outlive a Snakemake that was
    killed. A later attempt at the same job removes the folder, so the earlier one fails instead of
    replacing newer files with older ones.

    Args:
        paths: list of the files to write.
        folder: an existing folder above all of them.
        job: name that distinguishes this job from others that write below `folder`.

    Raises:
        JobError: a file cannot be written, or another run removed the unfinished files.
    """
    for earlier in Path(folder).glob(f".{job}.*.unfinished"):
        shutil.rmtree(earlier, ignore_errors=True)
    # Inside `folder`: a rename across file systems would copy the file.
    unfinished = Path(folder, f".{job}.{os.urandom(6).hex()}.unfinished")
    # Some writers derive the format from the file ending.
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
    """Yield a csv.writer for the new file `path`, after a header row of `fields`."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fields)
        yield writer


def nearest_existing(path):
    """Return the absolute Path of `path`, or of the nearest existing folder above it."""
    path = Path(path).absolute()
    return path if path.exists() else nearest_existing(path.parent)


def check_room(path, size):
    """Raise OSError if fewer than `size` bytes are free on the file system of `path`."""
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if free < size:
        message = f"{os.strerror(errno.ENOSPC)}, {size:,} bytes needed, {free:,} free"
        raise OSError(errno.ENOSPC, message)
