"""The published files of VGGish: its weights and its PCA parameters."""

import glob
import os

from .errors import WavspecError


def files_of(config, key):
    """Return the list of files for a configuration key, empty if there are none.

    A checkpoint is one file, or in TensorFlow's V2 format several files whose names begin with the
    configured path, with the .index first.
    """
    path = os.path.expanduser(config.get(key, ""))
    if os.path.isfile(path):
        return [path]
    shards = sorted(glob.glob(f"{glob.escape(path)}.data-*"))
    return [f"{path}.index", *shards] if path and shards and os.path.isfile(f"{path}.index") else []


def required_files(config, key):
    """Return the list of `files_of`; raise WavspecError if it is empty."""
    files = files_of(config, key)
    if not files:
        raise WavspecError(
            f"config key {key!r}: {config.get(key, '')!r} is not a file that exists. "
            "Download the released files of VGGish; docs/later-steps.md has the links."
        )
    return files


def state_of(config, key):
    """Return sizes and modification times of the files of a key, to detect changes."""
    return [(os.path.getsize(file), os.stat(file).st_mtime_ns) for file in files_of(config, key)]
