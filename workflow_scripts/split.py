"""Write the speaker of each clip, and whether it is for training, validation or testing."""

from wavspec.lists import LISTS, lists_digest, read_lists
from wavspec.rows import rows_of
from wavspec.run.errors import JobError
from wavspec.run.job import job, warn
from wavspec.sides import speakers_and_sides


def write_split(rows, dataset, path_pattern, shares, lists, split):
    """Write the speaker and the side of every row of the array.

    Args:
        rows: DataFrame of the rows of all labels, see `rows.read_tables`; its columns `path` and
            `label` count.
        dataset: folder that may hold validation_list.txt and testing_list.txt.
        path_pattern: regular expression that the clips' paths match, see `dataset.matched`.
        shares: {"validation": percent, "testing": percent} of the speakers, for clips whose side
            is not decided by lists, the pattern or folders.
        lists: the digest of the lists at the start of the run, see `lists.lists_digest`.
        split: CSV file to write: index, speaker, split (training, validation, testing, or blank for
            `_background_noise_`); row i describes row i of the array.

    Returns:
        list of warnings as text.

    Raises:
        JobError: the lists cannot be read, or have changed since the start of the run.
    """
    contents = read_lists(dataset)
    if lists_digest(contents) != lists:
        names = " or ".join(LISTS.values())
        raise JobError(f"{names} in {dataset} changed during the run: run again")
    # A long clip has several rows.
    clips = rows[["path", "label"]].drop_duplicates("path").set_index("path", drop=False)
    sides, warnings = speakers_and_sides(clips, contents, path_pattern, shares)
    sides.loc[rows["path"]].reset_index(drop=True).to_csv(split, lineterminator="\n")
    return warnings


if "snakemake" in globals():
    with job(snakemake) as outputs:
        config = snakemake.config
        for warning in write_split(
            rows_of(snakemake),
            snakemake.params.dataset,
            config["path_pattern"],
            config["split"],
            snakemake.params.lists,
            outputs.split,
        ):
            warn(warning)
