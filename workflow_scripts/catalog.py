"""Write a catalog of the clips of each label, and a table of the labels."""

import json
from pathlib import Path

from pipeline.job import job
from wavspec.clip import Clip, file_name_of, new_csv
from wavspec.clips_table import dataset_of

LABELS_FIELDS = ["label", "digest", "clips"]


def write_catalogs(clips, names, catalogs, labels):
    """Write each label's clips to its catalog, in row order, and all labels to a table.

    If a label's clips have changed since its digest was computed, the catalog has the present ones,
    and the label's spectrograms job fails.

    Args:
        clips: {label: [Clip, ...]}, see `dataset.Dataset`.
        names: list of the catalogs' names, `{label}.{digest}`.
        catalogs: list of CSV files to write, one for each label, with Clip's fields as columns.
            Paths are relative to the dataset, so moving it does not change them.
        labels: CSV file to write: label (as in the names of files), digest, number of clips.
    """
    clips = {file_name_of(label): clips[label] for label in clips}
    with new_csv(labels, LABELS_FIELDS) as table:
        for name, catalog in zip(names, catalogs, strict=True):
            label, digest = name.rsplit(".", 1)
            with new_csv(catalog, Clip._fields) as writer:
                writer.writerows(clips.get(label, []))
            table.writerow([label, digest, len(clips.get(label, []))])


if "snakemake" in globals():
    # A catalog that is missing is made again when its label is computed.
    with job(snakemake, watched=snakemake.output.catalogs) as outputs:
        catalogs = [Path(catalog) for catalog in snakemake.output.catalogs]
        names = [catalog.stem for catalog in catalogs]
        params = snakemake.params
        dataset = dataset_of(params.dataset, params.path_pattern, params.clips)
        write_catalogs(dataset.labels, names, outputs.catalogs, outputs.labels)
        provenance = json.dumps(snakemake.params.provenance)
        Path(outputs.provenance).write_text(provenance, encoding="utf-8")
