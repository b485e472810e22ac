"""The message at the end of a failed run: which jobs failed, why, and where their logs are."""

import re
from pathlib import Path

from wavspec.errors import WavspecError

from .job import DONE, ERROR, STOPPED
from .provenance import SCRIPTS, check_installed

NAMED = 5  # the most failures to show: what fits on a screen

# In Snakemake's entry about a failed job.
LOG = re.compile(r"^ +log: (.+) \(check log", re.MULTILINE)
# The entry about Ctrl-C.
ON_REQUEST = "Terminating processes on user request"
# The last line of an error that Python printed.
PYTHON_ERROR = re.compile(r"^[\w.]*(?:Error|Exception)\b.*", re.MULTILINE)
# Lines of Snakemake's log that do not say what happened.
NO_CAUSE = re.compile(
    r"Complete log|Elapsed|Shutting down|Exiting because|WorkflowError:$|At least one|\[.*\d{4}\]$"
)


def describe(snakemake_log, stderr_log):
    """Return the message at the end of a failed run.

    Args:
        snakemake_log: the file to which Snakemake logs.
        stderr_log: the file with what scripts print to stderr before they have their own log.
    """
    text = read(snakemake_log)
    requested = ON_REQUEST in text
    stderr = list(errors_by_script(read(stderr_log)))
    lines, count = [], 0
    for rule, log in failures_in(text):
        content = read(log)
        # A failed job may have succeeded when it was repeated. After Ctrl-C, some have not started.
        if content.endswith((f"{DONE}\n", f"{ERROR}{STOPPED}\n")) or (requested and not content):
            continue
        count += 1
        if count <= NAMED:
            name = Path(log).name
            label = name.rsplit(".", 2)[0] if name.count(".") > 1 else ""
            lines += [f"{rule} {label}".rstrip(), f"  cause: {cause_of(rule, content, stderr)}"]
            lines += [f"  log:   {log if content else stderr_log}"]
    if lines:
        more = [f"and {count - NAMED} more"] if count > NAMED else []
        return "\n".join([f"{count} failed:", *lines, *more])
    if requested:
        return "Stopped. Finished steps are kept: run again to continue."
    rest = [line[:200] for line in text.splitlines() if line.strip() and not NO_CAUSE.match(line)]
    errors = [number for number, line in enumerate(rest) if PYTHON_ERROR.match(line)]
    first = errors[-1] if errors else -4
    lines = ["The run failed. Snakemake's last lines:", *rest[first:][:4]]
    return "\n".join([*lines, f"  log:   {snakemake_log}"])


def failures_in(text):
    """Return the sorted (rule, log) of the failed jobs in Snakemake's log; a log can be blank."""
    found = set()
    for block in re.split(r"^(?= *(?:Error in )?(?:local)?rule \w+:\n)", text, flags=re.MULTILINE):
        rule = re.match(r" *(?:Error in )?rule (\w+):\n", block)
        # An entry about the start of a job has a log, too, but not the note to check it.
        log = LOG.search(block)
        if rule and (log or block.lstrip().startswith("Error in")):
            found.add((rule[1], log[1] if log else ""))
    return sorted(found)


def read(path):
    """Return the text of a log, with undecodable bytes escaped; empty if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return ""


def cause_of(rule, log, stderr):
    """Return what is known about a failed job.

    Args:
        rule: its name.
        log: the text of its log.
        stderr: see `errors_by_script`.
    """
    if f"\n{ERROR}" in f"\n{log}":
        message = f"\n{log}".rpartition(f"\n{ERROR}")[2].rstrip()
        return message.splitlines()[-1] if message.startswith("Traceback") else message
    errors = PYTHON_ERROR.findall(log)
    # In a workflow that uses this one, rules have a prefix.
    errors += [error for script, error in stderr if rule.endswith(script)]
    if errors:
        error = errors[-1]
        if "ModuleNotFoundError" in error and (SCRIPTS / f"{rule}.py").exists():
            try:
                check_installed(rule)
            except WavspecError as not_installed:
                return str(not_installed)
        return error
    last = next((line for line in reversed(log.split("\n")) if line.strip()), "")
    ended = "the job ended without an error message"
    return f"{ended}. The last line of its log: {last}" if last else ended


def errors_by_script(text):
    """Yield (script, error) of the errors of scripts before they had their own log.

    Args:
        text: what they printed. Snakemake runs copies of them, `.snakemake/scripts/*.{script}.py`.
    """
    script = ""
    for line in text.splitlines():
        if found := re.search(r'File ".*[/\\]\w+\.(\w+)\.py"', line):
            script = found[1]
        elif script and PYTHON_ERROR.match(line):
            yield script, line
