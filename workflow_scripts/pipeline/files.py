"""Writing files completely or not at all."""

import itertools
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from wavspec.errors import WavspecError


@contextmanager
def atomic_outputs(paths, folder, job):
    """Yield temporary names of files to write; on success, rename the files to `paths`.

    The temporary names are in a new folder for each attempt. A job can outlive a Snakemake that was
    killed. A later attempt at the same job removes the folder, so the earlier one fails instead of
    replacing newer files with older ones.

    Args:
        paths: list of the files to write.
        folder: an existing folder above all of them.
        job: name that distinguishes this job from others that write below `folder`.

    Raises:
        WavspecError: a file cannot be written, or another run removed the unfinished files.
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
            if os.path.isdir(path) and not os.path.islink(path):
                raise WavspecError(f"{path} is a folder, where a file is to be written: remove it")
            os.replace(part, path)
    except OSError as error:
        if not unfinished.exists():
            raise WavspecError(
                f"{paths[0]}: another run removed the unfinished file: run again"
            ) from error
        # An error of writing an open file has no file name.
        if error.filename and Path(error.filename).parent != unfinished:
            raise
        raise WavspecError(f"cannot write {paths[0]}: {error.strerror}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def nearest_existing(path):
    """Return the absolute Path of `path`, or of the nearest existing folder above it."""
    path = Path(path).absolute()
    return path if path.exists() else nearest_existing(path.parent)


def set_aside(path):
    """Rename `path`, a file or folder that is in the way, and return its new name."""
    for number in itertools.count(1):
        aside = f"{path}.unusable{number}"
        if not os.path.lexists(aside):
            os.rename(path, aside)
            return aside


def remove(path):
    """Remove a damaged file; a folder in its place is renamed, see `set_aside`."""
    if os.path.isdir(path) and not os.path.islink(path):
        set_aside(path)
    elif os.path.lexists(path):
        os.remove(path)
