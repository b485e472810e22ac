"""The labels' tables to `wavfile_df.csv`, the table of invalid clips, and an account of all."""

import os
import textwrap
from pathlib import Path

import pandas as pd
from wavspec.chunk import read_tables, settings_of
from wavspec.run.job import closing, job, said, warn
from wavspec.run.stamps import read_stamp
from wavspec.summary import check_some_valid, loading_lines, sides_in_words

CLIPS_COLUMNS = ["file_name", "label", "valid"]
INVALID_COLUMNS = ["file_name", "label", "reason", "detail", "sample_rate", "channels", "samples"]


def write_tables(rows, clips, invalid):
    """Write the table of all clips and that of the invalid ones.

    Args:
        rows: DataFrame of the rows of all labels, see `chunk.read_tables`, with `file_name`.
        clips: CSV file to write: index, file_name, label, valid (True or False); row i describes
            row i of the array.
        invalid: CSV file to write: the invalid clips, with reason, detail and format.
    """
    rows[CLIPS_COLUMNS].to_csv(clips)
    rows.loc[~rows["valid"], INVALID_COLUMNS].to_csv(invalid, index=False)


def account(rows, results):
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
        *sides_in_words(rows).split("\n"),
        "To load them (import numpy as np, pandas as pd):",
        *(f"  {line}" for line in loading_lines(results).splitlines()),
    ]


if "snakemake" in globals():
    with job(snakemake) as outputs:
        rows = read_tables(snakemake.input.tables, settings_of(snakemake.config))
        dataset = snakemake.params.dataset
        rows["file_name"] = [os.path.join(dataset, path) for path in rows["path"]]
        check_some_valid(rows)
        write_tables(rows, outputs.clips, outputs.invalid)
        split = pd.read_csv(snakemake.input.split, dtype=str, keep_default_na=False)
        of_split, _ = read_stamp(snakemake.params.split_stamp)
        for warning in (*snakemake.params.warnings, *of_split["warnings"]):
            warn(warning)
        results = os.path.dirname(snakemake.output.clips)
        for line in account(rows.join(split[["speaker", "split"]]), results):
            closing(line)
        Path(outputs.summary).write_text("\n".join([*said(), ""]), encoding="utf-8")
