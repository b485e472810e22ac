"""The error that ends a job, or the reading of the Snakefile, with a message and no traceback."""


class JobError(Exception):
    """The fault lies with the user's files, the configuration or the machine, not with the code."""
