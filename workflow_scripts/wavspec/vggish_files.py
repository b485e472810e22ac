"""The files that Google published with VGGish: its weights, and its PCA parameters."""

import glob
import os

from .run.job import JobError


def files_of(config, key):
    """Return the list of files that the configuration's key names, empty where there are none.

    A checkpoint is one file, or in TensorFlow's V2 format several, whose names begin with the
    configured path; its .index comes first then.
    """
    path = os.path.expanduser(config.get(key, ""))
    if os.path.isfile(path):
        return [path]
    shards = sorted(glob.glob(f"{glob.escape(path)}.data-*"))
    return [f"{path}.index", *shards] if path and shards and os.path.isfile(f"{path}.index") else []


def required_files(config, key):
    """Return what `files_of` does; raise JobError where there are none."""
    files = files_of(config, key)
    if not files:
        raise JobError(
            f"config key {key!r}: {config.get(key, '')!r} is not a file that exists. "
            "The embeddings need VGGish's released files; README.md says where they are."
        )
    return files


def state_of(config, key):
    """Return what changes with the files of a key, without reading them: their sizes and times."""
    return [(os.path.getsize(file), os.stat(file).st_mtime_ns) for file in files_of(config, key)]
