# The configuration, the labels, and the stamps that say which stages are due.
import atexit
import csv
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

SCRIPTS = os.path.normpath(f"{os.path.dirname(workflow.snakefile)}/../workflow_scripts")
sys.path.append(SCRIPTS)
from wavspec.dataset import file_name_of, find_clips
from wavspec.run.code import code_digest, label_digest
from wavspec.run.configuration import (
    check_results,
    check_shares,
    in_plain_words,
    put_python_first,
    with_numbers,
)
from wavspec.run.digests import PATTERN, content_digest, digest
from wavspec.run.failures import describe
from wavspec.run.job import JobError
from wavspec.run.plan import labels_to_compute, surprises
from wavspec.run.stamps import Stamp

put_python_first()
config.update(with_numbers(config))
try:
    validate(config, "../schemas/config.schema.yaml")
except WorkflowError as error:
    raise WorkflowError(in_plain_words(error.__context__)) from error

# demo, demo/ and ./demo are the same folder.
DATASET = str(Path(os.path.expanduser(config["dataset"])))
RESULTS = os.path.normpath(os.path.expanduser(config["results"]))
SETTINGS = {"short_clips": config["short_clips"]}
MAIN = workflow.is_main_process


pathvars:
    results=RESULTS,


wildcard_constraints:
    label="[^/]+",
    digest=PATTERN,


# What the main process decides when it begins, for jobs on a cluster's nodes, which read this file
# again: {stage: stamp}, and what `decided` adds. There, nothing is looked at a second time to name an output.
DECIDED = "SPECTROGRAMS_STAMPS"
if MAIN:
    os.environ[DECIDED] = "{}"


envvars:
    DECIDED,


class LabelPlan(NamedTuple):
    digest: str  # of all that its spectrograms are made of
    clips: int  # how many


def say(line):
    print(line, file=sys.stderr, flush=True)


def find_labels():
    """Return {label as it stands in names of files: LabelPlan}, in row order; say what is to do."""
    try:
        check_shares(config["split"])
        dataset = find_clips(DATASET, config["path_pattern"])
        check_results(RESULTS)
    except JobError as error:
        raise WorkflowError(str(error))
    clips = {file_name_of(label): dataset.labels[label] for label in dataset.labels}
    labels = {
        name: LabelPlan(label_digest(clips[name], SETTINGS), len(clips[name])) for name in clips
    }
    for line in (*dataset.warnings, *surprises(DATASET, dataset, labels, RESULTS)):
        say(f"Warning: {line}")
    say(labels_to_compute(labels, clips, RESULTS))
    return labels


def decided_labels():
    """Return what `find_labels` did, from the table that the catalog's job wrote."""
    with open(f"{RESULTS}/catalog.csv", encoding="utf-8", newline="") as file:
        return {
            row["label"]: LabelPlan(row["digest"], int(row["clips"]))
            for row in csv.DictReader(file)
        }


LABELS = find_labels() if MAIN else decided_labels()
CLIPS = sum(label.clips for label in LABELS.values())

STAMPS = {}  # {stage: Stamp}
EVERY_RUN = []  # the stages that belong to `rule all`


def decided(name, find):
    """Return what `find()` returns when the run begins, also in the jobs' own processes."""
    of_node = json.loads(os.environ[DECIDED])
    if MAIN:
        try:
            of_node[name] = find()
        except JobError as error:
            raise WorkflowError(str(error))
        os.environ[DECIDED] = json.dumps(of_node)
    return of_node[name]


def stamp(stage, *made_of, on_demand=False):
    """Return the stamp that the rule of `stage` has among its outputs.

    Args:
        stage: the name of the rule and of its script.
        made_of: everything that decides the content of the outputs: text, numbers, lists of them.
            The code of the stage and the versions of its packages are found and added.
        on_demand: whether the stage runs only if it is asked for by its name.
    """
    of_node = json.loads(os.environ[DECIDED])
    if MAIN:
        STAMPS[stage] = Stamp.of(RESULTS, stage, digest(made_of, code_digest(stage)))
        if damage := STAMPS[stage].damage:
            say(f"{damage} is not as the workflow wrote it: {stage} is due")
        of_node[stage] = STAMPS[stage].path
        os.environ[DECIDED] = json.dumps(of_node)
    else:
        STAMPS[stage] = Stamp.decided(of_node[stage])
    if not on_demand:
        EVERY_RUN.append(stage)
    return STAMPS[stage].path


def of_all_labels(pattern):
    """Return the file of each label, in row order."""
    return [pattern.format(label=label, digest=LABELS[label].digest) for label in LABELS]


# Inputs are ancient where Snakemake must not compare times: after results were copied, one that is
# newer than the outputs would copy the array, or train, again. Names and stamps decide instead.
ALL_CHUNKS = ancient(of_all_labels("<results>/chunks/{label}.{digest}.npy"))
ALL_TABLES = ancient(of_all_labels("<results>/chunks/{label}.{digest}.csv"))


def after(*stages):
    """Return the stamps of other stages, as inputs: Snakemake makes those stages first."""
    return [ancient(STAMPS[stage].path) for stage in stages]


def shown(file, category, **labels):
    """Return an output for the report: `file` of the results, its caption in report/."""
    caption = f"../report/{os.path.basename(file).partition('.')[0]}.rst"
    return report(f"<results>/{file}", caption=caption, category=category, labels=labels or None)


def print_summary():
    """Print the last words of each stage that ran, or else the account of the clips."""
    now = {stage: Stamp.of(RESULTS, stage, STAMPS[stage].digest) for stage in STAMPS}
    warned = [line for stage in EVERY_RUN for line in now[stage].found.get("warnings", ())]
    ran = [stage for stage in STAMPS if now[stage].found and now[stage] != STAMPS[stage]]
    for line in warned:
        print(f"Warning: {line}")
    for stage in ran or ["tables"]:
        print("\n".join(now[stage].found.get("closing", ())))


def print_failures(snakemake_log):
    """Say at the very end, below Snakemake's own last words, which jobs failed and why."""
    # sys.stderr is the progress bar's now, which would break long paths into lines.
    atexit.register(print, describe(snakemake_log), file=sys.__stderr__)
