"""The error that ends a job, or a run, with a message and no traceback."""


class JobError(Exception):
    """An error of the user's files, the configuration or the machine, not of the code."""
