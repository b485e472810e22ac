"""The clips table: a CSV or TSV file with a row for each clip, in place of `path_pattern`.

Its columns `path` (below the dataset) and `label` are required. `speaker`, `split`, `start` and
`end` (seconds) are optional, and all further columns are kept. Every run imports this module, so it
does not import pandas.
"""

import csv
import math
import os
from itertools import chain, pairwise
from operator import itemgetter
from typing import NamedTuple

from .clip import Clip
from .dataset import (
    ALLOWED_SPLITS,
    PATH_PATTERN,
    SPLIT_NAMES,
    Dataset,
    check_folder,
    check_names,
    file_state,
    find_clips,
    warn_of_labels,
)
from .errors import WavspecError, reading

# Columns of wavfile_df.csv: the table cannot have them, too.
RESERVED = {"file_name", "valid"}
# Matches any path, without a label.
ANY_PATH = "(?P<label>(?!))?.*"


class TableError(WavspecError):
    """An error of a clips table, with the table, the line and the column."""

    def __init__(self, table, line, column, fault):
        place = f", line {line}" if line else ""
        super().__init__(f"{table}{place}{f', column {column!r}' if column else ''}: {fault}")


class Row(NamedTuple):
    """A row of the table. The rows of a label are sorted like tuples."""

    path: str
    first: float  # the beginning in seconds, 0 if `start` is blank
    last: float  # the end, infinite if `end` is blank
    line: int
    start: float | str
    end: float | str
    fields: list  # text of all columns


def dataset_of(folder, path_pattern, table):
    """Return the Dataset in `folder`, by `table` if it is not "", otherwise by the pattern."""
    if not table:
        return find_clips(folder, path_pattern)
    found = find_clips_in_table(folder, table)
    if path_pattern != PATH_PATTERN:
        found.warnings.append(
            "path_pattern is not used, because the clips are in the table `clips`"
        )
    return found


def find_clips_in_table(folder, table):
    """Return the Dataset of the clips in a table, sorted by label, path and start.

    Only files in the table are looked at. One that does not exist is a clip with a blank size.

    Args:
        folder: the dataset's folder.
        table: CSV file, or TSV file if its name ends in .tsv, see the module.

    Raises:
        WavspecError: the folder or the table does not exist, the table has an error, none of its
            files exists, or a name cannot be stored in a CSV file or a chunk's name.
    """
    check_folder(folder)
    header, rows_of = read_table(table)
    check_names(rows_of)
    above = os.path.join(folder, "")
    try:
        labels = {
            label: [
                Clip(path, *file_state(above + path), start, end)
                for path, _, _, _, start, end, _ in rows
            ]
            for label, rows in rows_of.items()
        }
    except OSError as error:
        raise WavspecError(f"cannot read {error.filename!r}: {error.strerror}") from error
    rows = list(chain.from_iterable(rows_of.values()))
    if not any(clip.size for clips in labels.values() for clip in clips):
        check_some_exist(folder, table, rows)
    fields = [row.fields for row in rows]
    columns = {
        name: [texts[place] for texts in fields]
        for place, name in enumerate(header)
        if name not in ("", "path", "label", "start", "end")
    }
    if "split" in columns:
        columns["split"] = [split and SPLIT_NAMES[split.lower()] for split in columns["split"]]
    return Dataset(labels, warn_of_labels(labels), [], columns)


def check_some_exist(folder, table, rows):
    if not any(os.path.lexists(os.path.join(folder, row.path)) for row in rows):
        first = min(rows, key=lambda row: row.line)
        fault = (
            f"none of the files of {len(rows)} rows exists. {first.path!r} was looked for in "
            f"{os.path.abspath(folder)!r}. Paths are relative to this folder, config key 'dataset'"
        )
        raise TableError(table, first.line, "path", fault)


def read_table(table):
    """Return the names of the table's columns, and {label: [Row, ...]}, both in row order."""
    if not os.path.isfile(table):
        raise WavspecError(
            f"config key 'clips': {os.path.abspath(table)!r} is not a file that exists. Set it to "
            "a CSV or TSV file with the columns path and label, such as clips: clips.csv"
        )
    delimiter = "\t" if table.lower().endswith(".tsv") else ","
    try:
        with reading(table), open(table, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(lines, [])
            check_header(table, header)
            rows_of = {}
            for label, row in parsed(table, header, lines):
                rows_of.setdefault(label, []).append(row)
    except UnicodeDecodeError as error:
        raise TableError(table, 0, "", f"is not UTF-8: {error}. Save it as UTF-8") from error
    except csv.Error as error:
        raise TableError(table, lines.line_num, "", str(error)) from error
    if not rows_of:
        raise TableError(table, 0, "", "there are no clips below the first line")
    for label, rows in rows_of.items():
        rows.sort()
        for before, row in pairwise(rows):
            if before.path == row.path and before[:3] == row[:3]:
                fault = (
                    f"{row.path!r} with the label {label!r} is also in line {before.line}. Rows of "
                    "the same file need another label, start or end"
                )
                raise TableError(table, row.line, "path", fault)
    return header, dict(sorted(rows_of.items()))


def check_header(table, header):
    for name in ("path", "label"):
        if name not in header:
            found = ", ".join(map(repr, header)) or "no columns"
            fault = f"there is no column {name!r} among {found}. path and label are required"
            raise TableError(table, 1, "", fault)
    for name in filter(None, header):
        if header.count(name) > 1:
            raise TableError(table, 1, name, "two columns have this name. Rename one")
        if name in RESERVED:
            raise TableError(table, 1, name, "wavfile_df.csv has this column, too. Rename it")


def parsed(table, header, lines):
    """Yield (label, Row) for each row of `lines`, a csv.reader after the table's first line."""

    def error(column, fault):
        return TableError(table, lines.line_num, column, fault)

    def seconds(column, text):
        try:
            if not text or 0 <= (number := float(text)) < math.inf:
                return text and number
        except ValueError:
            pass
        raise error(column, f"{text!r} is not a number of seconds, such as 12.5, or empty")

    names = ("path", "label", "split", "start", "end")
    places = [header.index(name) if name in header else len(header) for name in names]
    select = itemgetter(*places)
    for fields in filter(None, lines):
        if len(fields) != len(header):
            raise error("", f"{len(fields)} fields, but the first line has {len(header)}")
        given, label, split, start, end = select([*fields, ""])  # the last for missing columns
        path = os.path.normpath(given)
        if path in (".", "..") or path.startswith(("/", "../")):
            raise error("path", f"{given!r} is not a path below the dataset, such as 'audio/1.wav'")
        if not label.strip():
            raise error("label", "is empty. Each clip needs a label")
        if split and split.lower() not in SPLIT_NAMES:
            raise error("split", f"{split!r} is not one of {ALLOWED_SPLITS}")
        start, end = seconds("start", start), seconds("end", end)
        first, last = start or 0.0, math.inf if end == "" else end
        if first >= last:
            raise error("end", f"{end} is not after the start, {first}")
        yield label, Row(path, first, last, lines.line_num, start, end, fields)


def columns_by_row(dataset, rows):
    """Return the further columns of the clips table for every row of the array.

    Args:
        dataset: the Dataset.
        rows: DataFrame of the rows of all labels, see `rows.read_table`, with `label`.

    Returns:
        DataFrame of text, whose row i describes row i of the array: `end` of its segment in seconds
        if the table has ends, and the Dataset's columns. Without columns if there is no table.

    Raises:
        WavspecError: the rows are not those of the dataset.
    """
    import pandas as pd

    clips = pd.DataFrame(
        [(label, *clip) for label, clips in dataset.labels.items() for clip in clips],
        columns=["label", *Clip._fields],
    ).astype(str)
    # A clip that was cut has several rows.
    number = (rows.example == "0").cumsum() - 1
    same = clips.iloc[number].reset_index(drop=True)
    keys = ["label", "path", "start", "end"]
    if len(clips) != number.iloc[-1] + 1 or not same[keys].equals(rows[keys]):
        raise WavspecError("the clips changed during the run: run again")
    columns = pd.DataFrame(dataset.columns, index=clips.index, dtype=str)
    if (clips.end != "").any():
        columns.insert(0, "end", clips.end)
    return columns.iloc[number].reset_index(drop=True)
