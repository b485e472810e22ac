"""The message at the end of a failed run: which jobs failed, why, and where their logs are."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from .code import SCRIPTS, code_of, pins
from .files import nearest_existing
from .job import DONE, STOPPED

NAMED = 5  # the most failures to show: what fits on a screen

# An entry of Snakemake's log about a failed job, alone or in a group of jobs. Its lines begin with
# exactly one space here: with any number, the search would backtrack for hours, because all lines
# of a group are indented.
FAILED = re.compile(
    r"^ *(?:Error in )?rule (\w+):\n(?: .*\n)*? +log: (.+) \(check log", re.MULTILINE
)

# The entry about Ctrl-C.
ON_REQUEST = "Terminating processes on user request"


def describe(snakemake_log):
    """Return the message at the end of a failed run.

    Args:
        snakemake_log: the file to which Snakemake logs.
    """
    text = read(snakemake_log)
    # A failed job may have succeeded when it was repeated.
    no_failure = (f"{DONE}\n", f"{STOPPED}\n")
    failures = {
        log: rule for rule, log in FAILED.findall(text) if not read(log).endswith(no_failure)
    }
    # Some jobs of a group, or of a run that the user stopped, may not have started.
    begun = {log: failures[log] for log in failures if os.path.exists(log)}
    failures = begun if ON_REQUEST in text else begun or failures
    if not failures:
        return "Stopped. Finished steps are kept: run again to continue."
    lines = [f"{len(failures)} failed:"]
    for log, rule in sorted(failures.items())[:NAMED]:
        label = Path(log).name.rsplit(".", 2)[0] if Path(log).name.count(".") > 1 else ""
        lines += [f"{rule} {label}".rstrip(), f"  cause: {cause(log)}", f"  log:   {log}"]
    if len(failures) > NAMED:
        lines.append(f"and {len(failures) - NAMED} more")
    return "\n".join(lines)


def read(path):
    """Return the text of a log, with undecodable bytes escaped; empty if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return ""


def cause(log):
    """Return the last line of a failed job's log, with the indented lines below it."""
    lines = read(log).rstrip().split("\n")
    starts = [place for place, line in enumerate(lines) if line and not line.startswith(" ")]
    last = "\n".join(lines[starts[-1] :]) if starts else ""
    if "ModuleNotFoundError" in last or "ImportError" in last or not last:
        return import_error(stage_of_log(log)) or last or killed(log)
    return last


def stage_of_log(log):
    folder = os.path.basename(os.path.dirname(log))
    return Path(log).stem if folder == "logs" else folder


@cache
def import_error(stage):
    """Return a message about the first package of a stage that cannot be imported, or ""."""
    if not (SCRIPTS / f"{stage}.py").exists():  # a rule of a workflow that uses this one
        return ""
    for module in sorted(code_of(stage)[1] & pins().keys()):
        command = [sys.executable, "-c", f"import {module}"]
        process = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if process.returncode:
            error = process.stderr.rstrip().rpartition("\n")[2]
            return f"{error}. Run `make clean`, then `{pins()[module][2]}`."
    return ""


def killed(log):
    free = shutil.disk_usage(nearest_existing(log)).free
    return (
        "no error in the log: the job was killed, usually out of memory, or the disk is full "
        f"({free:,} bytes free)"
    )
