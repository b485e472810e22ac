"""The dataset's clips to a table for each label, and a table of the labels."""

import os
from pathlib import Path

from wavspec.clip import Clip, file_name_of
from wavspec.dataset import find_clips
from wavspec.run.digests import remove_superseded
from wavspec.run.files import new_csv
from wavspec.run.job import job

LABELS_FIELDS = ["label", "digest", "clips"]


def write_catalogs(dataset, path_pattern, names, catalogs, labels):
    """Write each label's clips to its catalog, in row order, and all labels to a table.

    A label's clips may have changed since its digest was computed. The catalog then holds what is
    there now, and the label's spectrograms job refuses it.

    Args:
        dataset: the folder of WAV files.
        path_pattern: regular expression of the clips' paths, see `dataset.find_clips`.
        names: list of the catalogs' names, `{label}.{digest}`.
        catalogs: list of CSV files to write, one for each label. Their columns are Clip's fields.
            The dataset's folder is not in them, so moving it does not change them.
        labels: CSV file to write: label (as in the names of files), digest, number of clips.

    Raises:
        JobError: see `dataset.find_clips`.
    """
    clips_of = find_clips(dataset, path_pattern).labels
    found = {file_name_of(label): clips for label, clips in clips_of.items()}
    with new_csv(labels, LABELS_FIELDS) as table:
        for name, catalog in zip(names, catalogs, strict=True):
            label, digest = name.rsplit(".", 1)
            clips = found.get(label, [])
            with new_csv(catalog, Clip._fields) as writer:
                writer.writerows(clips)
            table.writerow([label, digest, len(clips)])


if "snakemake" in globals():
    with job(snakemake) as outputs:
        catalogs = [Path(catalog) for catalog in snakemake.output.catalogs]
        names = [catalog.stem for catalog in catalogs]
        dataset = os.path.expanduser(snakemake.config["dataset"])
        path_pattern = snakemake.config["path_pattern"]
        write_catalogs(dataset, path_pattern, names, outputs.catalogs, outputs.labels)
        remove_superseded(catalogs[0].parent, set(names))
