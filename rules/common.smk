import hashlib
import os
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from workflow_scripts.catalog import (
    DatasetError,
    file_name_of,
    find_labels,
    fingerprint,
    folders_of,
)

validate(config, "../schemas/config.schema.yaml")


DATASET = os.path.expanduser(config["dataset"])
RESULTS = os.path.expanduser(config["results"])
SUMMARY = Path(RESULTS, "summary.txt")


pathvars:
    results=RESULTS,


if not os.path.isdir(DATASET):
    raise WorkflowError(
        f"config key 'dataset': {DATASET!r} is not a folder that exists. "
        "Give the folder that holds a folder of WAV files for each label."
    )


# Functions, not constants: a job on a cluster node reads this file too, and must not walk the
# dataset for nothing.
@cache
def labels():
    """The clips of each label, by the label as it stands in file names, in row order."""
    try:
        return {file_name_of(label): clips for label, clips in find_labels(DATASET).items()}
    except DatasetError as error:
        raise WorkflowError(f"config key 'dataset': {error}")


def clips_of(wildcards):
    try:
        return labels()[wildcards.label]
    except KeyError:
        raise WorkflowError(f"{DATASET!r} holds no clip with the label {wildcards.label!r}")


def label_fingerprint(wildcards):
    return fingerprint(clips_of(wildcards))


def label_folders(wildcards):
    return folders_of(clips_of(wildcards))


def digest_of(*scripts):
    """16 hex digits that change with the content of any of these workflow_scripts."""
    contents = (Path(workflow.basedir, "workflow_scripts", script) for script in scripts)
    return hashlib.sha256(b"".join(map(Path.read_bytes, contents))).hexdigest()[:16]


def of_all_labels(pattern):
    return lambda wildcards: collect(pattern, label=labels())
