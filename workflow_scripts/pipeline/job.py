"""Context managers for scripts: logging, atomic outputs, readable errors."""

import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from wavspec.errors import WavspecError

from .files import atomic_outputs
from .provenance import check_installed

# The last line of the log of a job that succeeded, and of one that the user stopped.
DONE, STOPPED = "done", "stopped by Ctrl-C"
ERROR = "Error: "  # what a log has before the message of the error that ended the job

warnings, summary = [], []  # of this job, for its stamp


def warn(text):
    """Warn the user: in the log, and on the terminal at the end of the run."""
    print(f"Warning: {text}")
    warnings.append(text)


def summarize(text):
    """Print `text` to the log, and to the terminal at the end of a run that included this stage."""
    print(text)
    summary.append(text)


def messages():
    """Return the lines of `warn` and `summarize` so far, warnings first."""
    return [*(f"Warning: {text}" for text in warnings), *summary]


@contextmanager
def job(snakemake, watched=()):
    """Yield temporary names for the outputs of a stage; on success, rename them and add the stamp.

    The names are attributes, as in the rule; an output that is a list has a list of names.

    Args:
        snakemake: the object that Snakemake gives to a script.
        watched: list of files. The stage is due if the size of one changes, not if one is missing.
    """
    # Imported here, because a label's job has no stamp.
    from .stamps import stage_of, write_stamp

    stamp = snakemake.output.stamp
    stage, results = stage_of(stamp), Path(stamp).parent.parent
    with logged(snakemake.log[0]):
        check_installed(stage)
        clamp_future_times(snakemake.input)
        outputs = [output for output in snakemake.output if output != stamp]
        with atomic_outputs(outputs, results, stage) as parts:
            names = iter(parts)
            yield SimpleNamespace(
                **{
                    name: [next(names) for _ in output] if isinstance(output, list) else next(names)
                    for name, output in snakemake.output.items()
                    if name != "stamp"
                }
            )
            part_of = dict(zip(outputs, parts, strict=True))
            written = {output: part_of[output] for output in outputs if output not in set(watched)}
            sizes = {file: part_of.get(file, file) for file in watched}
            # The stamp comes first: until the outputs have their names, they do not match it.
            write_stamp(stamp, written, sizes, {"warnings": warnings, "summary": summary})


@contextmanager
def logged(log):
    """Redirect the output of this process to the file `log`. On an error, print it and exit.

    Jobs print nothing to the terminal, where their lines would mix with the progress bar. At the
    end of the run, Snakemake's main process repeats what the user should see.
    """
    terminal = os.dup(2)
    try:
        # Jobs start with Ctrl-C ignored, see `start_messages` in rules/common.smk.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(log, "wb") as file:
            # C++ libraries print to these descriptors, not to Python's sys.stdout and sys.stderr.
            for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
                os.dup2(file.fileno(), number)
                stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        yield
        print(DONE)
    except (Exception, KeyboardInterrupt) as error:
        message = f"{ERROR}{text_of(error)}"
        try:
            print(message)
        except OSError:  # the log may be on the disk that is full
            os.write(terminal, f"{message}\n".encode())
        sys.exit(1)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def text_of(error):
    """Return the text of an error for the log: a traceback only for errors of the code."""
    if isinstance(error, WavspecError | OSError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    return traceback.format_exc()


def clamp_future_times(files):
    """Set modification times that lie in the future to the present.

    Snakemake rejects a job's outputs if an input is newer. The workflow itself ignores the times,
    and all inputs are files that it wrote.
    """
    now = time.time()
    for file in files:
        # The code that opens the file gives a clearer error if it is gone.
        with suppress(FileNotFoundError):
            if os.path.getmtime(file) > now:
                os.utime(file)
