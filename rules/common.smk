# The configuration, the labels, and the stamps that decide which stages are due.
import atexit
import csv
import gc
import json
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

SCRIPTS = os.path.normpath(f"{os.path.dirname(workflow.snakefile)}/../workflow_scripts")
sys.path.append(SCRIPTS)
from wavspec.chunk import settings_of
from wavspec.clip import file_name_of
from wavspec.dataset import find_clips
from wavspec.run import configuration
from wavspec.run.code import label_digest, made_by
from wavspec.run.digests import PATTERN, digest
from wavspec.run.errors import JobError
from wavspec.run.failures import describe
from wavspec.run.plan import LabelPlan, Plan
from wavspec.run.stamps import Stamp


def say(line):
    print(line, file=sys.stderr, flush=True)


def refuse(error):
    """Exit with a message about the configuration or the dataset, without a traceback."""
    say(error)
    sys.exit(1)


configuration.put_python_first()
config.update(configuration.with_types(config))
try:
    validate(config, "../schemas/config.schema.yaml")
    configuration.check_shares(config["split"])
except WorkflowError as error:
    refuse(configuration.in_plain_words(error.__context__))
except JobError as error:
    refuse(error)

# demo, demo/ and ./demo are the same folder.
DATASET = str(Path(config["dataset"]).expanduser())
RESULTS = os.path.normpath(os.path.expanduser(config["results"]))
SETTINGS = settings_of(config)
# The code, versions and settings of the spectrograms.
MADE_BY = {**made_by("spectrograms"), **SETTINGS}
MAIN = workflow.is_main_process

own, *others = configuration.files_read(OWN_CONFIG, workflow.configfiles)
if MAIN and others:
    say(f"Configuration: {', '.join(others)}, with defaults from {own}")


pathvars:
    results=RESULTS,


wildcard_constraints:
    label="[^/]+",
    digest=PATTERN,


# The environment variable with {stage: stamp} as decided by the main process. Jobs on a cluster's
# nodes read this file again, and must get the same names even if the dataset has changed meanwhile.
DECIDED = "SPECTROGRAMS_STAMPS"
if MAIN:
    os.environ[DECIDED] = "{}"


envvars:
    DECIDED,


def find_labels():
    """Return {label as in the names of files: LabelPlan}, in row order, and warnings.

    Print what the run will compute. Exit if the dataset or the configuration has an error.
    """
    try:
        dataset = find_clips(DATASET, config["path_pattern"])
        configuration.check_results(RESULTS)
        labels = {
            file_name_of(label): LabelPlan(label_digest(clips, SETTINGS), clips)
            for label, clips in dataset.labels.items()
        }
        plan = Plan.of(RESULTS, labels)
        if not config["replace_results"]:
            plan.check_dataset(DATASET)
        if config["check_room"]:
            plan.check_room(cut=config["long_clips"] == "cut")
    except JobError as error:
        refuse(error)
    for line in dataset.warnings:
        say(f"Warning: {line}")
    say(plan.in_words(MADE_BY))
    return labels, dataset.warnings


def decided_labels():
    """Return {label: LabelPlan} as decided by the main process, from the table of the labels."""
    with open(f"{RESULTS}/catalog.csv", encoding="utf-8", newline="") as file:
        return {
            row["label"]: LabelPlan(row["digest"], range(int(row["clips"])))
            for row in csv.DictReader(file)
        }


# Otherwise the garbage collector looks at all clips again and again: a quarter of an idle run.
gc.disable()
LABELS, WARNINGS = find_labels() if MAIN else (decided_labels(), [])
DIGESTS = [(name, label.digest) for name, label in LABELS.items()]
CLIPS = sum(len(label.clips) for label in LABELS.values())
gc.freeze()
gc.enable()

STAMPS = {}  # {stage: Stamp}
EVERY_RUN = []  # the stages of `rule all`


def stamp(stage, *made_of, on_demand=False):
    """Return the stamp for the outputs of the rule of `stage`.

    Args:
        stage: the name of the rule and of its script.
        made_of: everything that the outputs depend on: text, numbers, lists of them. The code of
            the stage and the versions of its packages are added automatically.
        on_demand: whether the stage runs only if its name is given on the command line.
    """
    decided = json.loads(os.environ[DECIDED])
    if MAIN:
        STAMPS[stage] = Stamp.of(RESULTS, stage, digest(made_of, made_by(stage)))
        if damage := STAMPS[stage].damage:
            state = "not as the workflow wrote it" if os.path.exists(damage) else "missing"
            then = f"to make it again, run `snakemake {stage}`"
            say(f"{damage} is {state}: {then if on_demand else f'{stage} will run again'}")
        os.environ[DECIDED] = json.dumps({**decided, stage: STAMPS[stage].path})
    else:
        STAMPS[stage] = Stamp.decided(decided[stage])
    if not on_demand:
        EVERY_RUN.append(stage)
    return STAMPS[stage].path


def of_all_labels(pattern):
    """Return the file of each label, in row order."""
    return [pattern.format(label=label, digest=LABELS[label].digest) for label in LABELS]


# `ancient` inputs are not compared by modification time: after results were copied, an input can be
# newer than the outputs, and would repeat the concatenation or the training. Stamps decide instead.
ALL_CHUNKS = ancient(of_all_labels("<results>/chunks/{label}.{digest}.npy"))
ALL_TABLES = ancient(of_all_labels("<results>/chunks/{label}.{digest}.csv"))


def after(*stages):
    """Return the stamps of other stages, as inputs: Snakemake runs those stages first."""
    return [ancient(STAMPS[stage].path) for stage in stages]


def of_every_run():
    """Return the files of `rule all`."""
    return [
        *(STAMPS[stage].path for stage in EVERY_RUN),
        *of_all_labels(f"{RESULTS}/chunks/{{label}}.{{digest}}.npy"),
        *of_all_labels(f"{RESULTS}/chunks/{{label}}.{{digest}}.csv"),
    ]


def check_targets():
    """Refuse a file on the command line that is out of date.

    Snakemake would not look at the stamp beside it, and would keep it.
    """
    named = {os.path.normpath(argument): argument for argument in sys.argv[1:]}
    for known in workflow.rules:
        stamp = getattr(known.output, "stamp", None)
        if stamp is None or os.path.exists(stamp):
            continue
        for file in map(os.path.normpath, map(str, known.output)):
            if file in named and os.path.exists(file):
                refuse(f"{named[file]} is out of date. Name its step instead: {known.name}")


def finished_later_stages():
    """Return the stamps of the stages on demand that are up to date, to include them in a report.

    Empty if anything else is due, or all is forced, because Snakemake would repeat them after it.
    """
    later = [STAMPS[stage].path for stage in STAMPS if stage not in EVERY_RUN]
    finished = all(map(os.path.exists, of_every_run())) and not {"-F", "--forceall"} & {*sys.argv}
    return [path for path in later if finished and os.path.exists(path)]


def shown(file, category, **labels):
    """Return an output for the report: `file` of the results, with its caption in report/."""
    caption = f"../report/{os.path.basename(file).partition('.')[0]}.rst"
    return report(f"<results>/{file}", caption=caption, category=category, labels=labels or None)


def said_by_stages():
    """Return the lines of warnings, and the closing lines, of the stages that ran in this run.

    The dataset's warnings come first. Without closing lines, those of `tables` are returned.
    """
    now = {stage: Stamp.of(RESULTS, stage, STAMPS[stage].digest).found for stage in STAMPS}
    ran = [now[stage] for stage in STAMPS if now[stage] != STAMPS[stage].found]
    warnings = [*WARNINGS, *(line for found in ran for line in found.get("warnings", ()))]
    closing = [line for found in ran for line in found.get("closing", ())]
    return (
        [f"Warning: {line}" for line in dict.fromkeys(warnings)],
        closing or now["tables"].get("closing", []),
    )


SUCCESS = []  # not empty if the run has succeeded


def print_at_exit(snakemake_log):
    """Print the warnings, and the summary or the failures, after all output of Snakemake."""

    def print_last_words():
        warnings, closing = said_by_stages()
        lines = [*warnings, *(closing if SUCCESS else [describe(snakemake_log)])]
        print("\n".join(lines), file=sys.__stderr__)

    # At exit, because the progress bar replaces sys.stderr until then and breaks long lines. Not in
    # `onerror`, which Snakemake does not call if an input disappears during the run.
    atexit.register(print_last_words)


def print_where_to_follow(snakemake_log):
    """Print how to follow later stages, because the progress bar does not show their progress."""
    due = re.findall(r"^(\w+) +\d+$", Path(snakemake_log).read_text(encoding="utf-8"), re.MULTILINE)
    if later := [stage for stage in STAMPS if stage in due and stage not in EVERY_RUN]:
        logs = " ".join(shlex.quote(f"{RESULTS}/logs/{stage}.log") for stage in later)
        # With Snakemake's logger, because the progress bar may be active.
        logger.info(f"To follow {' and '.join(later)} in another terminal: tail -F {logs}")
