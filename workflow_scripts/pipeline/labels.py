"""The files of a label, checked against the digest in their names."""

from pathlib import Path

from wavspec.chunk import ChunkError, check_chunk, read_catalog
from wavspec.clip import Clip, label_in

from .digests import digest_in
from .files import remove
from .provenance import label_digest


def read_clips(catalog, digest, settings):
    """Return the Clips in the file `catalog`, and check that they have this digest.

    Raises:
        ChunkError: they have another digest, or the file is damaged or missing. It is removed:
            without it, the next run writes a new one.
        WavspecError: the file cannot be read.
    """
    try:
        clips = read_catalog(catalog) if Path(catalog).exists() else []
        if label_digest(clips, settings) == digest:
            return clips
    except ChunkError:
        pass
    remove(catalog)
    raise ChunkError(f"{catalog} does not have the clips and the code of its name: run again")


def read_rows(tables, settings):
    """Return the rows of all labels as a DataFrame, see `rows.read_table`.

    Args:
        tables: list of the tables, `{label}.{digest}.csv`, each beside its chunk.
        settings: the part of the configuration that the rows depend on, see `chunk.settings_of`.

    Raises:
        ChunkError: a table or its chunk is damaged. Both are removed, and the next run makes them
            again.
        WavspecError: a file cannot be read.
    """
    # Not at the top of the file: a label's job imports this module, and pandas takes longer than
    # all the work on a small label.
    import pandas as pd

    rows, damaged = [], []
    for table in map(Path, tables):
        chunk = table.with_suffix(".npy")
        try:
            rows.append(read_checked(table, chunk, settings))
        except ChunkError as error:
            damaged.append(f"{error}. It was removed: run again")
            remove(table)
            remove(chunk)
    if damaged:
        raise ChunkError("\n".join(damaged))
    return pd.concat(rows, ignore_index=True)


def read_checked(table, chunk, settings):
    """Return the rows of a label; raise ChunkError if they do not match its name or its chunk."""
    from wavspec.rows import read_table

    rows = read_table(table)
    first = rows[rows.example == "0"]
    clips = list(map(Clip, *(first[field].to_list() for field in Clip._fields)))
    if label_digest(clips, settings) != digest_in(table):
        raise ChunkError(f"{table} does not have the clips that its name says")
    if len(rows) != check_chunk(chunk):
        raise ChunkError(f"{table} does not have the rows of its chunk")
    return rows.assign(label=label_in(table))


def count_rows(chunk):
    """Return the number of rows of a chunk.

    Raises:
        ChunkError: it is damaged. It is removed, so the next run computes it again.
        WavspecError: it cannot be read.
    """
    try:
        return check_chunk(chunk)
    except ChunkError as error:
        remove(chunk)
        raise ChunkError(f"{error}. It was removed: run again") from error
