"""What every script has around its work: a log, unfinished outputs, and an end in plain words."""

import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from .code import check_installed
from .errors import JobError
from .files import whole

# The last line of the log of a job that ended well, and of one that the user stopped.
DONE, STOPPED = "done", "stopped by Ctrl-C"

warnings, last_words = [], []  # of this job


def warn(text):
    """Warn the user: in the log, and on the terminal when the run is over."""
    print(f"Warning: {text}")
    warnings.append(text)


def closing(text):
    """Say `text` in the log, and on the terminal at the end of a run in which this stage ran."""
    print(text)
    last_words.append(text)


def said_apart():
    return {"warnings": warnings, "closing": last_words}


def said():
    """Return what this job has said to the user so far, in lines, warnings first."""
    return [*(f"Warning: {text}" for text in warnings), *last_words]


@contextmanager
def job(snakemake, watched=()):
    """Give the names under which to write the outputs of a stage, and finish them with its stamp.

    The names are attributes, called as in the rule; an output that is a list has a list of names.
    The outputs get their own names when all went well.

    Args:
        snakemake: the object that Snakemake gives to a script.
        watched: list of files. The stage is due if the size of one changes, not if one is missing.
    """
    # Not at the top: a label's job, which has no stamp, would pay for the import.
    from .stamps import stage_of, stamps_of, write_stamp

    stamp = snakemake.output.stamp
    stage, results = stage_of(stamp), Path(stamp).parent.parent
    with logged(snakemake.log[0]):
        check_installed(stage)
        bring_to_the_present(snakemake.input)
        # Without its stamp, the stage is due if this job does not come to its end.
        for name in stamps_of(results, stage):
            os.remove(f"{results}/stamps/{name}")
        outputs = [output for output in snakemake.output if output != stamp]
        with whole(outputs, results, stage) as parts:
            names = iter(parts)
            yield SimpleNamespace(
                **{
                    name: [next(names) for _ in output] if isinstance(output, list) else next(names)
                    for name, output in snakemake.output.items()
                    if name != "stamp"
                }
            )
        needed = [output for output in outputs if output not in set(watched)]
        write_stamp(stamp, needed, watched, said_apart())


@contextmanager
def logged(log):
    """Send all that this process prints to the file `log`. If the work fails, say why and exit.

    Jobs print nothing on the terminal, where several would mix their lines with the progress bar's.
    At the end of the run, Snakemake's own process repeats what the user should see.
    """
    terminal = os.dup(2)
    try:
        # Jobs start deaf to Ctrl-C, see the Snakefile.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(log, "wb") as file:
            # Libraries in C++ print to these numbers, not to Python's sys.stdout and sys.stderr.
            for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
                os.dup2(file.fileno(), number)
                stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        yield
        print(DONE)
    except (Exception, KeyboardInterrupt) as error:
        message = words_for(error)
        try:
            print(message)
        except OSError:  # the log may lie on the very disk that is full
            os.write(terminal, f"{message}\n".encode())
        sys.exit(1)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def words_for(error):
    """Return what the log says of an error: for the user's or machine's faults no traceback."""
    if isinstance(error, JobError | OSError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    return traceback.format_exc()


def bring_to_the_present(files):
    """Give files whose mtime lies in the future the present time.

    Snakemake refuses a job's outputs if an input is newer. The workflow goes by names, not by
    times, and all inputs are files that it made.
    """
    now = time.time()
    for file in files:
        # The code that opens the file gives a clearer error if it is gone.
        with suppress(FileNotFoundError):
            if os.path.getmtime(file) > now:
                os.utime(file)
