"""The rows of the array: the tables of all labels, read with pandas.

They are apart from `chunk` because a label's job does not import pandas: that takes longer than
all the work on a small label.
"""

import io
from pathlib import Path

import pandas as pd

from .chunk import ChunkError, TableRow, check_chunk
from .clip import Clip, label_in
from .run.code import label_digest
from .run.digests import digest_in


def read_table(path, settings):
    """Return the table of a label, a DataFrame of text with the columns of TableRow.

    Raises:
        ChunkError: the file is damaged, or of other clips than its name says.
    """
    content = Path(path).read_bytes()
    if not content.endswith(b"\n"):  # pandas would read the row that was cut
        raise ChunkError(f"{path} is damaged: its last row is not whole")
    try:
        table = pd.read_csv(
            io.BytesIO(content), dtype=str, keep_default_na=False, lineterminator="\n"
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise ChunkError(f"{path} is damaged: {error}") from error
    if list(table.columns) != list(TableRow._fields):
        raise ChunkError(f"{path} lacks the columns {', '.join(TableRow._fields)}")
    first = table[table["example"] == "0"]
    clips = [Clip(*clip) for clip in first[list(Clip._fields)].itertuples(index=False)]
    if label_digest(clips, settings) != digest_in(path):
        raise ChunkError(f"{path} is not of the clips that its name says")
    return table.assign(valid=table["valid"] == "True")


def read_tables(paths, settings):
    """Return the tables of all labels as one DataFrame, with a column `label`.

    Raises:
        ChunkError: one is damaged, or has other rows than its chunk. Both are removed, so the next
            run makes them again.
    """
    tables = []
    for path in map(Path, paths):
        chunk = path.with_suffix(".npy")
        try:
            table = read_table(path, settings)
            if len(table) != check_chunk(chunk):
                raise ChunkError(f"{path} has other rows than {chunk}")
        except ChunkError as error:
            path.unlink(missing_ok=True)
            chunk.unlink(missing_ok=True)
            raise ChunkError(f"{error}. It was removed: run again") from error
        tables.append(table.assign(label=label_in(path)))
    return pd.concat(tables, ignore_index=True)
