"""What every job's script has around its work: a log, and an end in plain words."""

import sys
import traceback
from contextlib import contextmanager, redirect_stdout, suppress


class JobError(Exception):
    """Ends a job with its message and no traceback: the fault lies with data or machine."""


@contextmanager
def job_log(path):
    """Print to the file `path`. If the work fails, say why on the terminal and there, and exit."""
    try:
        with open(path, "w", encoding="utf-8", buffering=1) as log, redirect_stdout(log):
            yield
    except Exception as error:
        plain = isinstance(error, JobError | OSError)
        message = str(error) if plain else traceback.format_exc()
        print(message, file=sys.stderr)
        # Second, as the log may lie on the very disk that is full.
        with suppress(OSError), open(path, "a", encoding="utf-8") as log:
            print(message, file=log)
        sys.exit(1)
