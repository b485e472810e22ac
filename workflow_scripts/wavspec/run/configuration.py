"""What config.yaml may say, and plain words where it says something else."""

import os
import sys

import yaml

from .files import nearest_existing
from .job import JobError


def put_python_first():
    """Let the `python` in a rule's shell command be the one that Snakemake runs with.

    A rule that runs in a conda environment of its own finds that one's before it.
    """
    os.environ["PATH"] = os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    )


def with_numbers(config):
    """Return `config` with the numbers in its sections as numbers.

    Snakemake takes for text what --config says inside of braces: split={validation: 20}.
    """
    return {
        key: {name: yaml.safe_load(str(text)) for name, text in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in config.items()
    }


def in_plain_words(error):
    """Return what a jsonschema.ValidationError says of a configuration, with the key in front."""
    key = ".".join(map(str, error.absolute_path))
    hint = ""
    if error.validator == "type" and isinstance(error.instance, int | float):
        hint = f". If {error.instance} is the name of a folder, write ./{error.instance}"
    return f"config.yaml or --config: {f'key {key!r}: ' if key else ''}{error.message}{hint}"


def check_results(folder):
    """Raise JobError if the results cannot be written to `folder`, which need not exist yet."""
    existing = nearest_existing(folder)
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise JobError(
            f"config key 'results': {folder!r} cannot be written, {str(existing)!r} is no folder "
            "or gives no permission. Give a folder, or the name of one to be made."
        )


def check_shares(shares):
    """Raise JobError if `split` leaves no speakers for training, or gives fractions for percent.

    Args:
        shares: {"validation": percent, "testing": percent} of the speakers.
    """
    for side, share in shares.items():
        if 0 < share < 1:
            raise JobError(
                f"config key 'split.{side}': {share} is less than one percent. Did you mean "
                f"{100 * share:g}, for {100 * share:g} % of the speakers?"
            )
    if sum(shares.values()) >= 100:
        given = " and ".join(f"{share:g} % for {side}" for side, share in shares.items())
        raise JobError(
            f"config key 'split': {given} leave no speakers for training. Give shares that add up "
            "to less than 100, such as validation: 10 and testing: 10."
        )
