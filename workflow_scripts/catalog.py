"""The dataset's clips to a table for each label, and an index of the labels."""

import os
from pathlib import Path

from wavspec.dataset import Clip, file_name_of, find_clips
from wavspec.run.digests import remove_superseded
from wavspec.run.files import whole_csv
from wavspec.run.job import job

INDEX_FIELDS = ["label", "digest", "clips"]


def write_catalogs(dataset, catalogs, index):
    """Write each label's clips to its catalog, in row order, and all labels to the index.

    A label's clips may have changed since the digest in its catalog's name was computed. The
    catalog then holds what is there now, and the label's chunk refuses it.

    Args:
        dataset: the folder of WAV files.
        catalogs: CSV files to write, one for each label, `{label}.{digest}.csv` each. Their columns
            are Clip's fields. The dataset's own place is not in them, so that moving the dataset
            does not change them.
        index: CSV file to write: label (as in the names of files), digest, number of clips.

    Raises:
        JobError: see `dataset.find_clips`.
    """
    # A job on a cluster's node reads the one index that there is.
    folder, name = os.path.split(index)
    for earlier in Path(folder).glob(f"{name.split('.')[0]}.*.csv"):
        earlier.unlink()
    labels = {file_name_of(label): clips for label, clips in find_clips(dataset).labels.items()}
    rows = []
    for catalog in catalogs:
        label, digest = Path(catalog).stem.rsplit(".", 1)
        clips = labels.get(label, [])
        with whole_csv(catalog, Clip._fields) as writer:
            writer.writerows(clips)
        rows.append([label, digest, len(clips)])
    remove_superseded(Path(catalogs[0]).parent, {Path(catalog).stem for catalog in catalogs})
    with whole_csv(index, INDEX_FIELDS) as writer:
        writer.writerows(rows)


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.input):
        write_catalogs(
            os.path.expanduser(snakemake.config["dataset"]),
            snakemake.output.catalogs,
            snakemake.output.index,
        )
