"""Write the tables of all clips, of their split and of the invalid ones, and the summary."""

import os
import textwrap
from pathlib import Path

import pandas as pd
from pipeline.digests import digest
from pipeline.job import job, messages, summarize, warn
from pipeline.labels import read_rows
from wavspec.clips_table import columns_by_row, dataset_of
from wavspec.errors import WavspecError
from wavspec.lists import LISTS, read_lists
from wavspec.rows import row_starts
from wavspec.split import split_of
from wavspec.split_checks import counted, split_warnings
from wavspec.summary import CURES, check_some_valid, loading_lines, split_summary

CLIPS_COLUMNS = ["file_name", "label", "valid"]
SPLIT_COLUMNS = ["speaker", "split"]
INVALID_COLUMNS = ["file_name", "label", "reason", "detail", "sample_rate", "channels", "samples"]


def write_tables(rows, clips, invalid):
    """Write the table of all clips and that of the invalid ones.

    Args:
        rows: DataFrame of the rows of all labels, see `labels.read_rows`, with `file_name`.
        clips: CSV file to write: index, file_name, label, valid (True or False); row i describes
            row i of the array.
        invalid: CSV file to write: the invalid clips, with reason, detail and format.
    """
    rows[CLIPS_COLUMNS].to_csv(clips)
    rows.loc[~rows["valid"], INVALID_COLUMNS].to_csv(invalid, index=False)


def write_left_out(left_out, dataset, file):
    """Write a CSV file of audio files that are not clips: file_name, reason.

    Args:
        left_out: list of (path below `dataset`, reason).
    """
    rows = [(os.path.join(dataset, path), reason) for path, reason in left_out]
    table = pd.DataFrame(rows, columns=["file_name", "reason"])
    table.to_csv(file, index=False, errors="backslashreplace")  # names can be bytes, not UTF-8


# Warnings about valid clips that are likely worthless, see chunk.TableRow.note.
NOTES = {
    "silent": "silent: all samples are zero",
    "channels cancel": "nearly silent, because their channels cancel each other in the mean",
    "beyond full scale": "stored as floats far beyond [-1, 1], so they are much too loud",
    "16-bit values in 32-bit": "stored as 32-bit integers in the range of 16 bits: nearly silent",
    "sound after the used part": "silent in the first 0.975 s, with sound only after this part",
}


def warnings_about(rows):
    """Return a line for each kind of valid examples that are likely worthless.

    Args:
        rows: DataFrame of the rows of all labels: `file_name`, `valid` and `note`.
    """
    lines = []
    for note, noted in rows[rows.valid & (rows.note != "")].groupby("note").file_name:
        clips = counted(noted.nunique(), "valid clip")
        cut = rows.file_name.isin(noted).sum() > noted.nunique()  # some have several examples
        what = f"{counted(len(noted), 'example')} of {clips}" if cut else clips
        lines.append(f"{what}, such as {noted.iloc[0]!r}: {NOTES[note]}")
    return lines


def summary_lines(rows, results):
    """Return the lines to print at the end of a run.

    Args:
        rows: DataFrame of the rows of all labels with `file_name`, `speaker` and `split`.
        results: folder of the results.
    """
    clips = rows[rows.example == "0"]
    valid = clips.valid.sum()
    invalid = clips.reason[~clips.valid].value_counts()
    causes = ", ".join(f"{count} {reason}" for reason, count in invalid.items())
    padded = (clips.valid & ~clips.padded.isin(["0", ""])).sum()
    examples = rows.valid.sum()
    by_label = clips.label.value_counts()
    # Wrap between labels, but not between a label and its count.
    words = ", ".join(f"{label} {n}".replace(" ", "\0") for label, n in by_label.items())
    lines = textwrap.wrap(words, 78, break_long_words=False, break_on_hyphens=False)
    return [
        f"{counted(len(clips), 'clip')} in {counted(len(by_label), 'label')}: {valid} valid"
        f"{f', {padded} of them padded' if padded else ''}"
        f"{f', cut into {examples} examples' if examples != valid else ''}"
        f", {invalid.sum()} invalid{f' ({causes}; see {results}/invalid.csv)' if causes else ''}",
        *(f"  {line}".replace("\0", " ") for line in lines),
        # A few invalid clips are usual.
        *(CURES[reason] for reason in CURES if invalid.get(reason, 0) > len(clips) / 10),
        *split_summary(clips),
        "To load them (import numpy as np, pandas as pd):",
        *(f"  {line}" for line in loading_lines(results).splitlines()),
    ]


if "snakemake" in globals():
    with job(snakemake, watched=snakemake.input.tables) as outputs:
        params = snakemake.params
        rows = read_rows(snakemake.input.tables, params.settings)
        rows["file_name"] = [os.path.join(params.dataset, path) for path in rows.path]
        check_some_valid(rows)
        write_tables(rows, outputs.clips, outputs.invalid)
        lists = read_lists(params.dataset)
        if digest(lists) != params.lists:
            names = " or ".join(LISTS.values())
            raise WavspecError(f"{names} in {params.dataset} changed during the run: run again")
        found = dataset_of(params.dataset, params.path_pattern, params.clips)
        if digest(found.left_out, found.columns) != params.found:
            raise WavspecError("the clips table or the dataset changed during the run: run again")
        write_left_out(found.left_out, params.dataset, outputs.left_out)
        given = columns_by_row(found, rows)
        split, about_lists = split_of(
            rows, lists, params.path_pattern, params.split, given.filter(SPLIT_COLUMNS)
        )
        rows = rows.join(split)
        others = given.drop(columns=SPLIT_COLUMNS, errors="ignore")
        starts = row_starts(rows, params.settings["hop"])
        if starts.any():  # rows are parts of recordings
            others.insert(0, "start", starts)
        rows[SPLIT_COLUMNS].join(others).to_csv(outputs.split)
        about_split = split_warnings(rows[rows.example == "0"], params.split)
        for warning in (*params.warnings, *about_lists, *about_split, *warnings_about(rows)):
            warn(warning)
        results = os.path.dirname(snakemake.output.clips)
        for line in summary_lines(rows, results):
            summarize(line)
        Path(outputs.summary).write_text("\n".join([*messages(), ""]), encoding="utf-8")
