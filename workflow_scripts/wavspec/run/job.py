"""What every script has around its work: a log, and an end in plain words."""

import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager, redirect_stdout, suppress

from .digests import code_digest, stage_of


class JobError(Exception):
    """Ends a job with its message and no traceback: the fault lies with data or machine."""


@contextmanager
def job(log, inputs, seal=None, code=None):
    """Print to the job's log. If the work fails, say why there, and exit.

    The job prints to its log alone, and Snakemake repeats the reason on the terminal. Two jobs that
    print there at once would mix their lines.

    Args:
        log: file to write.
        inputs: the job's input files.
        seal: the seal that the job writes, if any.
        code: what `code_digest` said of the job's stage when the run began. If the code was edited
            since, the job ends here, because the seal's name would not tell the truth.
    """
    try:
        # Jobs start deaf to Ctrl-C, see the Snakefile.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(log, "w", encoding="utf-8", buffering=1) as file, redirect_stdout(file):
            bring_to_the_present(inputs)
            if seal and code_digest(stage_of(seal)) != code:
                raise JobError(f"the code of {stage_of(seal)} changed during the run: run again")
            yield
    except (Exception, KeyboardInterrupt) as error:
        message = traceback.format_exc()
        if isinstance(error, JobError | OSError):
            message = str(error)
        elif isinstance(error, ModuleNotFoundError):
            # The last line is repeated on the terminal.
            message += f"{error}: `make` installs it, or `make tensorflow` for the later stages"
        elif isinstance(error, KeyboardInterrupt):
            message = "stopped by Ctrl-C"
        try:
            with open(log, "a", encoding="utf-8") as file:
                print(message, file=file)
        except OSError:  # the log may lie on the very disk that is full
            print(message, file=sys.stderr)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def bring_to_the_present(files):
    """Give files whose mtime lies in the future the present time.

    Snakemake refuses a job's outputs if an input is newer. The workflow goes by names, not by
    times, and all inputs are files of its own, so that their times mean nothing.
    """
    now = time.time()
    for file in files:
        # The code that opens the file gives a clearer error if it is gone.
        with suppress(FileNotFoundError):
            if os.path.getmtime(file) > now:
                os.utime(file)
