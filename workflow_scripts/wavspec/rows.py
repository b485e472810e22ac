"""The rows of the array: the tables of all labels, read with pandas.

They are apart from `chunk` because a label's job does not import pandas: that takes longer than
all the work on a small label.
"""

import io
from pathlib import Path

import pandas as pd

from .chunk import ChunkError, TableRow, check_chunk, settings_of
from .clip import Clip, label_in
from .run.code import label_digest
from .run.digests import digest_in


def rows_of(snakemake):
    """Return what `read_tables` does, for the job of a stage whose input `tables` is ALL_TABLES.

    Raises:
        ChunkError: a table or its chunk is damaged. Both are removed, and the next run makes them
            again.
    """
    settings = settings_of(snakemake.config)
    tables, refused = [], []
    for path in map(Path, snakemake.input.tables):
        try:
            tables.append(read_table(path, settings))
        except ChunkError as error:
            refused.append(f"{error}. It was removed: run again")
            for ending in (".csv", ".npy"):
                path.with_suffix(ending).unlink(missing_ok=True)
    if refused:
        raise ChunkError("\n".join(refused))
    return pd.concat(tables, ignore_index=True)


def read_tables(paths, settings):
    """Return the tables of labels as one DataFrame, see `read_table`.

    Args:
        paths: list of the tables, `{label}.{digest}.csv`, each beside its chunk.
        settings: see `chunk.settings_of`.

    Raises:
        ChunkError: a table or its chunk is damaged.
    """
    return pd.concat([read_table(path, settings) for path in paths], ignore_index=True)


def read_table(path, settings):
    """Return the table of a label: the columns of `chunk.TableRow`, and `label`.

    All columns are text, blank if unknown, except `valid`, which is bool. A clip that was cut has
    several rows; those with `example == "0"` have each clip once.

    Raises:
        ChunkError: the file is damaged, or has other clips than its name says, or another number
            of rows than its chunk.
    """
    content = Path(path).read_bytes()
    if not content.endswith(b"\n"):  # pandas would accept a truncated last row
        raise ChunkError(f"{path} is damaged: its last row is incomplete")
    try:
        table = pd.read_csv(
            io.BytesIO(content), dtype=str, keep_default_na=False, lineterminator="\n"
        )
    except ValueError as error:
        raise ChunkError(f"{path} is damaged: {error}") from error
    if list(table.columns) != list(TableRow._fields):
        raise ChunkError(f"{path} lacks the columns {', '.join(TableRow._fields)}")
    first = table[table.example == "0"]
    clips = list(map(Clip, *(first[field].to_list() for field in Clip._fields)))
    if label_digest(clips, settings) != digest_in(path):
        raise ChunkError(f"{path} does not have the clips that its name says")
    if len(table) != check_chunk(Path(path).with_suffix(".npy")):
        raise ChunkError(f"{path} does not have the rows of its chunk")
    return table.assign(valid=table.valid == "True", label=label_in(path))
