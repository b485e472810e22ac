"""Checks of the configuration, with messages in plain words."""

import os
import sys
from difflib import get_close_matches

import yaml

from .errors import JobError
from .files import nearest_existing

TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a group of keys",
}
# YAML reads 2024_01 as the number 202401.
NUMBER_HINT = "To give a folder whose name looks like a number, write ./ before its name."


def put_python_first():
    """Put the Python that runs Snakemake first in PATH, for `python` in a rule's shell command.

    The conda environment of a rule still precedes it.
    """
    # With a safe path, Python would not find the modules beside a script.
    os.environ.pop("PYTHONSAFEPATH", None)
    os.environ["PATH"] = os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    )


def files_read(own, files):
    """Return the project's configuration file, then the others, as relative paths.

    Args:
        own: the project's configuration file.
        files: all files that Snakemake has read. If this workflow is a module of another one, they
            belong to that workflow, and `own` is not among them.
    """
    paths = dict.fromkeys(map(os.path.realpath, files))
    own = os.path.realpath(own)
    others = paths.keys() - {own} if own in paths else ()
    return [os.path.relpath(path) for path in (own, *sorted(others))]


def with_types(config):
    """Return `config` with the types that YAML would give to its values.

    Snakemake passes nested values of --config, such as split={validation: 20}, as strings, and
    also `true` and `false`.
    """

    def loaded(text):
        try:
            return yaml.safe_load(text) if isinstance(text, str) else text
        except yaml.YAMLError:
            return text

    def typed(value):
        if isinstance(value, dict):
            return {name: loaded(text) for name, text in value.items()}
        return value == "true" if value in ("true", "false") else value

    return {key: typed(value) for key, value in config.items()}


def in_plain_words(error):
    """Return a message for a jsonschema.ValidationError of the configuration.

    It has the key, what is wrong, what is allowed, and an example from the schema.
    """
    keys = [*map(str, error.absolute_path)]
    if error.validator == "additionalProperties":
        allowed = error.schema["properties"]
        unknown = next(key for key in error.instance if key not in allowed)
        similar = get_close_matches(unknown, allowed, n=1)
        hint = f"Did you mean {similar[0]!r}?" if similar else f"There are {', '.join(allowed)}."
        return f"config key {'.'.join([*keys, unknown])!r} does not exist. {hint}"
    if error.validator == "required":
        return f"config key {error.message.replace('a required property', 'missing')}"
    examples = error.schema.get("examples", ())
    meaning = error.schema.get("description", "")
    parts = [
        f"config key {'.'.join(keys)!r} ({meaning}): {fault_of(error)}.",
        NUMBER_HINT if needs_number_hint(error) else "",
        f"For example: {' or '.join(examples)}" if examples else "",
    ]
    return " ".join(filter(None, parts))


def fault_of(error):
    """Return what is wrong with the value of a jsonschema.ValidationError."""
    value, limit = error.instance, error.validator_value
    match error.validator:
        case "type" if value is None:
            return "it has no value"
        case "type":
            return f"{value!r} is not {TYPES.get(limit, 'allowed')}"
        case "enum":
            return f"{value!r} is not one of {', '.join(limit)}"
        case "minimum":
            return f"{value} is less than {limit}"
        case "maximum":
            return f"{value} is more than {limit}"
        case "pattern":
            return f"{value!r} has one of the characters {{ }} < >, or is empty"
        case _:
            return error.message


def needs_number_hint(error):
    is_number = isinstance(error.instance, int | float) and not isinstance(error.instance, bool)
    is_folder = (error.validator, error.validator_value) == ("type", "string")
    return is_number and is_folder and len(error.absolute_path) == 1


def check_results(folder):
    """Raise JobError if the results cannot be written to `folder`, which need not exist yet."""
    existing = nearest_existing(folder)
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise JobError(
            f"config key 'results': cannot write to {folder!r}, because {str(existing)!r} is not a "
            "folder, or you have no permission. Set another folder, which need not exist yet: "
            "--config results=NEW_FOLDER"
        )


def check_shares(shares):
    """Raise JobError if `split` leaves no speakers for training, or has fractions, not percent.

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
            f"config key 'split': {given} leave no speakers for training. Set percentages with a "
            "sum of less than 100, such as validation: 10 and testing: 10."
        )
