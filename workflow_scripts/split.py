"""Who speaks in each clip, and whether it is for training, validation or testing."""

import os

import pandas as pd
from wavspec.chunk import read_table
from wavspec.dataset import label_in
from wavspec.lists import LISTS, lists_digest, read_lists
from wavspec.run.errors import JobError
from wavspec.run.job import job, warn
from wavspec.sides import speakers_and_sides


def write_split(tables, dataset, path_pattern, shares, lists, split):
    """Write the speaker and the side of every row of the spectrograms.

    Args:
        tables: list of CSV files, one for each label, in row order, see `chunk.read_table`.
        dataset: folder that may hold validation_list.txt and testing_list.txt.
        path_pattern: regular expression that the clips' paths match, see `dataset.matched`.
        shares: {"validation": percent, "testing": percent} of the speakers, for the clips that
            neither lists nor folders put on a side.
        lists: the digest of the lists when the run began, see `lists.lists_digest`.
        split: CSV file to write: index, speaker, split (training, validation, testing, or blank for
            `_background_noise_`); row i describes row i of the spectrograms.

    Returns:
        list of warnings in words.

    Raises:
        JobError: the lists cannot be read, or have changed since the run began.
    """
    contents = read_lists(dataset)
    if lists_digest(contents) != lists:
        raise JobError(
            f"{' or '.join(LISTS.values())} in {dataset} changed during the run: run again"
        )
    rows = pd.concat(
        [read_table(table)[["path"]].assign(label=label_in(table)) for table in tables],
        ignore_index=True,
    )
    # A long clip can have several rows.
    clips = rows.drop_duplicates("path").set_index("path", drop=False)
    sides, warnings = speakers_and_sides(clips, contents, path_pattern, shares)
    sides.loc[rows.path].reset_index(drop=True).to_csv(split, lineterminator="\n")
    return warnings


if "snakemake" in globals():
    with job(snakemake) as outputs:
        for warning in write_split(
            snakemake.input.tables,
            os.path.expanduser(snakemake.config["dataset"]),
            snakemake.config["path_pattern"],
            snakemake.config["split"],
            snakemake.params.lists,
            outputs.split,
        ):
            warn(warning)
