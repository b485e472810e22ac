import csv
import glob
import hashlib
import os
import sys
import threading
from functools import cache
from pathlib import Path
from uuid import uuid4

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# As in a job's script, where the modules beside it are found by their plain names.
sys.path.append(os.path.join(workflow.basedir, "workflow_scripts"))
from catalog import DatasetError, file_name_of, find_labels, fingerprint, folders_of

validate(config, "../schemas/config.schema.yaml")


DATASET = os.path.expanduser(config["dataset"])
# Spelled in one way only: Snakemake's records go by the name.
RESULTS = os.path.realpath(os.path.expanduser(config["results"]))
if RESULTS.startswith(os.path.join(os.getcwd(), "")):
    RESULTS = os.path.relpath(RESULTS)
SUMMARY = Path(RESULTS, "summary.txt")
INVALID = Path(RESULTS, "invalid.csv")
# The name of an empty file among Snakemake's records, made together with the first of them.
RECORDED_AS = Path(RESULTS, "catalog", ".recorded_as")


pathvars:
    results=RESULTS,


if not os.path.isdir(DATASET):
    raise WorkflowError(
        f"config key 'dataset': {DATASET!r} is not a folder that exists. "
        "Give the folder that holds a folder of WAV files for each label."
    )

existing = next(folder for folder in Path(RESULTS, "x").absolute().parents if folder.exists())
if not (existing.is_dir() and os.access(existing, os.W_OK)):
    raise WorkflowError(
        f"config key 'results': {config['results']!r} cannot be written, {str(existing)!r} is no folder "
        "or gives no permission. Give a folder, or the name of one to be made."
    )


def records_mark():
    """The empty file that shows that Snakemake's records, in .snakemake, are those of RESULTS."""
    name = RECORDED_AS.read_text() if RECORDED_AS.exists() else "nothing"
    return Path(".snakemake", "records_of_results", name)


def check_records():
    """Refuse results whose records are elsewhere or lost: all of them would count as up to date."""
    if next(Path(RESULTS, "catalog").glob("*.csv"), None) and not records_mark().exists():
        raise WorkflowError(
            f"Snakemake's records of {RESULTS!r} are not in this folder's .snakemake, by which it "
            "knows what has changed: go on from the folder where these results were made, or delete "
            f"{RESULTS}/catalog and {RESULTS}/chunks, to make all anew."
        )


def open_run():
    """Mark new results and the records of them that begin with this run as each other's."""
    if not records_mark().exists():
        RECORDED_AS.parent.mkdir(parents=True, exist_ok=True)
        RECORDED_AS.write_text(uuid4().hex)
        records_mark().parent.mkdir(parents=True, exist_ok=True)
        records_mark().touch()


@cache
def labels():
    """The clips of each label, by the label as it stands in file names, in row order."""
    try:
        return {file_name_of(label): clips for label, clips in find_labels(DATASET).items()}
    except DatasetError as error:
        raise WorkflowError(f"config key 'dataset': {error}")


def clips_of(label):
    try:
        return labels()[label]
    except KeyError:
        raise WorkflowError(f"{DATASET!r} holds no clip with the label {label!r}")


# Snakemake asks for the params of every waiting job again whenever one ends.
@cache
def state_of(label):
    """What the catalog's job is told of a label: (its fingerprint, its folders)."""
    clips = clips_of(label)
    return fingerprint(clips), folders_of(clips)


def digest_of(*scripts):
    """16 hex digits that change with the content of any of these workflow_scripts."""
    contents = (Path(workflow.basedir, "workflow_scripts", script) for script in scripts)
    return hashlib.sha256(b"".join(map(Path.read_bytes, contents))).hexdigest()[:16]


def of_all_labels(pattern):
    return lambda wildcards: collect(pattern, label=labels())


def vggish_files(key):
    """The files that the config key `key` names: looked for only by who wants the embeddings."""
    path = os.path.expanduser(config.get(key, ""))
    if os.path.isfile(path):
        return [path]
    # A checkpoint of TensorFlow's V2 format: its files, where its configured path is their prefix.
    shards = sorted(glob.glob(f"{glob.escape(path)}.data-*"))
    if path and shards and os.path.isfile(f"{path}.index"):
        return [f"{path}.index", *shards]
    raise WorkflowError(
        f"config key {key!r}: {path!r} is not a file that exists. "
        "The embeddings need VGGish's released files; README.md says where they are."
    )


def forget_vanished():
    """Remove the chunks in which clips vanished, for the next run to redo; return their labels.

    Only those that the concatenation has seen: it is by its list of invalid clips that they are known.
    """
    if not INVALID.exists():
        return []
    with open(INVALID, encoding="utf-8", newline="") as file:
        names = {row["label"] for row in csv.DictReader(file) if row["reason"] == "vanished"}
    chunks = {name: Path(RESULTS, "chunks", f"{file_name_of(name)}.npy") for name in sorted(names)}
    seen = INVALID.stat().st_mtime
    forgotten = [
        name for name, chunk in chunks.items() if chunk.exists() and chunk.stat().st_mtime <= seen
    ]
    for name in forgotten:
        chunks[name].unlink()
    return forgotten


def close_run():
    """Print the summary, and what the next run would do better to know."""
    if SUMMARY.exists():
        print(SUMMARY.read_text())
    vanished = forget_vanished()
    if vanished:
        print(f"Clips vanished while they were read; run again, for {', '.join(vanished)}")
    chunks = Path(RESULTS, "chunks").glob("*.npy")
    gone = sorted(str(chunk) for chunk in chunks if chunk.stem not in labels())
    if gone:
        print(f"Of labels no longer in the dataset, may be deleted: {', '.join(gone)}")
    # Of Snakemake's limit of jobs a second. With all jobs done they serve for nothing any more, but
    # its process would not end before the last of them, a second later.
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


# Here rather than in the first input function, for a plain message. A job on a cluster reads this
# file too, and must not walk the dataset for nothing.
if workflow.is_main_process:
    check_records()
    labels()
    # Should the run before have been killed between its last job and its closing.
    if not workflow.dryrun:
        forget_vanished()
