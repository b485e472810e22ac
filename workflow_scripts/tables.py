"""The labels' tables to `wavfile_df.csv`, the table of invalid clips, and an account of all."""

import os
import textwrap

import pandas as pd
from wavspec.chunk import read_tables
from wavspec.run.job import closing, job

CLIPS_COLUMNS = ["file_name", "label", "valid"]
INVALID_COLUMNS = ["file_name", "label", "reason", "detail", "sample_rate", "channels", "samples"]


def write_tables(rows, dataset, clips, invalid):
    """Write the table of all clips and that of the invalid ones.

    Args:
        rows: DataFrame of the rows of all labels, see `chunk.read_tables`.
        dataset: the folder that the clips' paths lie below, as it is to stand in the tables.
        clips: CSV file to write: index, file_name, label, valid (True or False); row i describes
            row i of the array.
        invalid: CSV file to write: the invalid clips, with reason, detail and format.
    """
    rows = rows.assign(file_name=[os.path.join(dataset, path) for path in rows["path"]])
    rows[CLIPS_COLUMNS].to_csv(clips)
    rows.loc[~rows["valid"], INVALID_COLUMNS].to_csv(invalid, index=False)


def account(rows, split, results):
    """Return the closing words of a run, in lines."""
    counts = rows["reason"].where(~rows["valid"]).value_counts()
    causes = ", ".join(f"{n} {reason}" for reason, n in counts.items())
    padded = (rows["valid"] & (rows["padded"] != "0")).sum()
    by_label = rows["label"].value_counts()
    # Wrapped between labels, and not between a label and its count.
    words = ", ".join(f"{label} {n}".replace(" ", "\0") for label, n in by_label.items())
    lines = textwrap.wrap(words, 98, break_long_words=False, break_on_hyphens=False)
    return [
        f"{len(rows)} clips in {len(by_label)} labels: {rows['valid'].sum()} valid"
        f"{f', {padded} of them padded' if padded else ''}, {counts.sum()} invalid"
        f"{f' ({causes}; see {results}/invalid.csv)' if causes else ''}",
        *(f"  {line}".replace("\0", " ") for line in lines),
        split_in_words(rows, split, results),
        "To load them (import numpy as np, pandas as pd):",
        f'  audio = np.fromfile("{results}/wavfile_spec.dat").reshape((-1, 96, 64))',
        f'  df = pd.read_csv("{results}/wavfile_df.csv", index_col=0)',
    ]


def split_in_words(rows, split, results):
    """Return how many clips and speakers each side has."""
    groups = split.groupby(split["split"].replace("", "on no side"))["speaker"]
    sides = [
        f"{len(groups.get_group(side))} {side} ({groups.get_group(side).nunique()} speakers)"
        for side in ("training", "validation", "testing", "on no side")
        if side in groups.groups
    ]
    return f"Split, see {results}/wavfile_split.csv: {', '.join(sides)}"


if "snakemake" in globals():
    with job(snakemake) as outputs:
        settings = {"short_clips": snakemake.config["short_clips"]}
        rows = read_tables(snakemake.input.tables, settings)
        dataset = os.path.expanduser(snakemake.config["dataset"])
        write_tables(rows, dataset, outputs.clips, outputs.invalid)
        split = pd.read_csv(snakemake.input.split, dtype=str, keep_default_na=False)
        results = os.path.dirname(snakemake.output.clips)
        lines = account(rows, split, results)
        with open(outputs.summary, "w", encoding="utf-8") as summary:
            summary.writelines(f"{line}\n" for line in lines)
        for line in lines:
            closing(line)
