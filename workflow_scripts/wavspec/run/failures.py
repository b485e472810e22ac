"""The last words of a run that failed: which jobs, why, and where their logs are."""

import os
import shutil
from pathlib import Path

NAMED = 5  # failures at most: what fits on a screen


def describe(failures):
    """Return what to say of failed jobs.

    Args:
        failures: list of (rule, label or "", log) of each.
    """
    lines = [f"{len(failures)} failed:"]
    for rule, label, log in failures[:NAMED]:
        lines += [f"{rule} {label}".rstrip(), f"  cause: {cause_in(log)}", f"  log:   {log}"]
    if len(failures) > NAMED:
        lines.append(f"and {len(failures) - NAMED} more")
    return "\n".join(lines)


def cause_in(log):
    """Return the end of a failed job's log: its last line, and with it what is indented below."""
    try:
        lines = Path(log).read_text(encoding="utf-8").rstrip().split("\n")
    except OSError:
        lines = [""]
    start = max(place for place, line in enumerate(lines) if not line.startswith(" "))
    if lines[start]:
        return "\n".join(lines[start:])
    free = shutil.disk_usage(os.path.dirname(log)).free
    return f"the log does not say: killed, or no room to write it ({free:,} bytes free)"
