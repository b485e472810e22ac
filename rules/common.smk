# The configuration, the run with its labels and stamps, and the messages at its end.
import atexit
import os
import shlex
import sys
from contextlib import contextmanager

from pipeline import configuration
from pipeline.digests import PATTERN
from pipeline.failures import describe
from pipeline.provenance import provenance
from pipeline.run import STAMPS_VARIABLE, Run, say
from wavspec.errors import WavspecError


@contextmanager
def refusing():
    """Exit with the message of an error of the configuration or dataset, without a traceback."""
    try:
        yield
    except WavspecError as error:
        say(error)
        sys.exit(1)


configuration.put_python_first()
MAIN = workflow.is_main_process
with refusing():
    configuration.complete(config, workflow.source_path("../schemas/config.schema.yaml"))
    RUN = Run(config, MAIN)

if MAIN and (line := configuration.sources(OWN_CONFIG, workflow.configfiles)):
    say(line)


pathvars:
    results=RUN.results,


wildcard_constraints:
    label="[^/]+",
    digest=PATTERN,


envvars:
    STAMPS_VARIABLE,


# The chunk of each label and its table, in row order.
CHUNKS = RUN.files("chunks/{label}.{digest}.npy")
TABLES = RUN.files("chunks/{label}.{digest}.csv")


# `ancient` inputs are not compared by modification time: after results were copied, an input can be
# newer than the outputs, and would repeat the concatenation or the training. Stamps decide instead.
def all_chunks(wildcards):
    refuse_outdated_targets()
    return ancient(CHUNKS)


def all_tables(wildcards):
    refuse_outdated_targets()
    return ancient(TABLES)


def after(*stages):
    """Return the stamps of other stages, as inputs: Snakemake runs those stages first."""
    return ancient([RUN.stamps[stage].path for stage in stages])


def refuse_outdated_targets():
    """Exit if a file that the user named is out of date: Snakemake would keep it."""
    # In an input function, because Snakemake's settings do not exist while the rules are read.
    if MAIN:
        with refusing():
            RUN.check_targets(workflow.rules, workflow.dag_settings.targets)


def shown(file, category, **labels):
    """Return an output for the report: `file` of the results, with its caption in report/."""
    caption = f"../report/{os.path.basename(file).partition('.')[0]}.rst"
    return report(f"<results>/{file}", caption=caption, category=category, labels=labels or None)


def kept(file):
    """Return an output of `file` below the results that stays as it was if the job fails."""
    # Without a file to restore, Snakemake would print a warning about it.
    exists = os.path.exists(f"{RUN.results}/{file}")
    return (update if exists else str)(f"<results>/{file}")


def start_messages(snakemake_log):
    """Print how to follow later stages; print warnings, summary or failures at the end."""
    snakemake_log = os.path.abspath(snakemake_log)
    # For errors of scripts before they have their own log. The progress bar would erase them.
    stderr_log = f"{snakemake_log.removesuffix('.snakemake.log')}.stderr.log"
    # Ctrl-C reaches all processes of the terminal. A job that is still starting would print a
    # traceback of a hundred lines. So jobs ignore it at first, until `job` restores it.
    shell.prefix(f"set -euo pipefail; trap '' INT; exec 2>> {shlex.quote(stderr_log)}; ")
    due = {job.rule.name for job in workflow.persistence.dag.needrun_jobs()}
    if later := [stage for stage in RUN.on_demand if stage in due]:
        files = " ".join(shlex.quote(f"{RUN.results}/logs/{stage}.log") for stage in later)
        # With Snakemake's logger, because the progress bar may be active.
        logger.info(f"To follow {' and '.join(later)} in another terminal: tail -F {files}")
    # At exit, because the progress bar replaces sys.stderr until then and breaks long lines. Not in
    # `onerror`, which Snakemake does not call if an input disappears during the run.
    atexit.register(print_messages, snakemake_log, stderr_log, os.getcwd())


SUCCESS = []  # not empty if the run has succeeded


def print_messages(snakemake_log, stderr_log, folder):
    os.chdir(folder)  # with --directory, Snakemake has returned to another one
    warnings, summary = RUN.messages()
    last = summary if SUCCESS else [describe(snakemake_log, stderr_log)]
    print("\n".join([*warnings, *last]), file=sys.__stderr__)
