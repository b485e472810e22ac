"""The table of a label, read with pandas.

It is apart from `chunk` because a label's job does not import pandas: that takes longer than all
the work on a small label.
"""

import io
from pathlib import Path

import pandas as pd

from .chunk import ChunkError, TableRow, reading_own


def read_table(path):
    """Return the table of a label as a DataFrame with the columns of `chunk.TableRow`.

    All columns are text, blank if unknown, except `valid`, which is bool. A clip that was cut has
    several rows; filter on `example == "0"` for one row per clip.

    Raises:
        ChunkError: the file is damaged.
        WavspecError: it cannot be read.
    """
    with reading_own(path):
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
    return table.assign(valid=table.valid == "True")


def row_starts(rows, hop):
    """Return a Series: the seconds from the start of the file to that of each row's example.

    Args:
        rows: DataFrame with the columns `start` and `example` of `read_table`.
        hop: seconds between the starts of examples, see config.yaml.
    """
    of_clip = rows.start.replace("", "0").astype(float)
    return (of_clip + hop * rows.example.astype(int)).round(6)
