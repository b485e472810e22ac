# The configuration, and the labels with the digests that stand in the names of files.
import atexit
import csv
import glob
import os
import sys
from typing import NamedTuple

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

SCRIPTS = os.path.normpath(f"{os.path.dirname(workflow.snakefile)}/../workflow_scripts")
sys.path.append(SCRIPTS)
from wavspec.run.configuration import check_results, in_plain_words, put_python_first, with_numbers
from wavspec.dataset import file_name_of, find_clips
from wavspec.run.digests import PATTERN, code_digest, content_digest, digest, digest_in, label_digest
from wavspec.run.failures import describe
from wavspec.run.job import JobError
from wavspec.run.plan import announce, labels_to_compute, surprises
from wavspec.run.seals import why_not_intact

put_python_first()
config.update(with_numbers(config))
try:
    validate(config, "../schemas/config.schema.yaml")
except WorkflowError as error:
    raise WorkflowError(in_plain_words(error.__context__)) from error

DATASET = os.path.expanduser(config["dataset"])
RESULTS = os.path.normpath(os.path.expanduser(config["results"]))


pathvars:
    results=RESULTS,


wildcard_constraints:
    label="[^/]+",
    digest=PATTERN,


class Label(NamedTuple):
    digest: str  # of all that its spectrograms are made of
    clips: int  # how many


def find_labels():
    """Return {label as it stands in names of files: Label}, in row order; say what is to do."""
    try:
        dataset = find_clips(DATASET)
        check_results(RESULTS)
    except JobError as error:
        raise WorkflowError(str(error))
    clips = {file_name_of(label): dataset.labels[label] for label in dataset.labels}
    labels = {
        name: Label(label_digest(clips[name], config["short_clips"]), len(clips[name]))
        for name in clips
    }
    for line in surprises(DATASET, dataset, labels, RESULTS):
        announce(f"Warning: {line}")
    announce(labels_to_compute(labels, clips, RESULTS))
    return labels


def read_labels():
    """Return what `find_labels` does, from the index that the catalog's job wrote."""
    found = glob.glob(f"{glob.escape(RESULTS)}/catalog.*.csv")
    if len(found) != 1:
        raise WorkflowError(
            f"{len(found)} files {RESULTS}/catalog.*.csv: delete them and run again"
        )
    [index] = found
    with open(index, encoding="utf-8", newline="") as file:
        return {
            row["label"]: Label(row["digest"], int(row["clips"])) for row in csv.DictReader(file)
        }


# A job on a cluster's node reads this file, too. It must not walk the dataset again, which may take
# long there, and may have changed.
LABELS = find_labels() if workflow.is_main_process else read_labels()
CLIPS = sum(label.clips for label in LABELS.values())
# Its name changes with any label's digest, so that it is made anew then.
INDEX = f"{RESULTS}/catalog.{digest(LABELS)}.csv"


def of_all_labels(pattern):
    """Return the file of each label, in row order."""
    return [pattern.format(label=label, digest=LABELS[label].digest) for label in LABELS]


def shown(file, category, **labels):
    """Return an output for the report: `file` of the results, its caption in report/."""
    caption = f"../report/{os.path.basename(file).partition('.')[0]}.rst"
    return report(f"<results>/{file}", caption=caption, category=category, labels=labels or None)


def seal_of(stage, *made_of):
    """Return the seal of a stage whose outputs are made of these things and by its code."""
    return f"{RESULTS}/seals/{stage}.{digest(*made_of, code_digest(stage))}.csv"


def intact(seal):
    """Return `seal`, having seen that the files that it lists were not changed since."""
    reason = why_not_intact(seal)
    if reason:
        raise WorkflowError(f"{reason}, and run again to make it anew.")
    return seal


def print_summary():
    """Print the account of the clips, if it is of the labels as they are now."""
    if os.path.exists(CONCATENATED):
        with open(f"{RESULTS}/summary.txt", encoding="utf-8") as summary:
            print(summary.read())


def print_failures():
    """Say at the very end, below Snakemake's own last words, which jobs failed and why."""
    failures = [
        (job.rule.name, job.wildcards_dict.get("label", ""), job.log[0])
        for failed in workflow.scheduler.failed
        for job in (failed.jobs if failed.is_group() else [failed])
        # Some of a group may have been done before another failed.
        if not all(map(os.path.exists, job.output))
    ]
    end = describe(sorted(failures)) if failures else "Stopped. What is done stays done."
    # sys.stderr is the progress bar's now, which would break long paths into lines.
    atexit.register(print, end, file=sys.__stderr__)
