"""Errors of the user's files, the settings or the machine, which need no traceback."""

from contextlib import contextmanager


class WavspecError(Exception):
    """An error with a message that says what is wrong and, if known, what to do."""


@contextmanager
def reading(path):
    """Raise WavspecError with `path` instead of an OSError, whose errors of reads have no name."""
    try:
        yield
    except OSError as error:
        raise WavspecError(f"cannot read {path}: {error.strerror or error}") from error
