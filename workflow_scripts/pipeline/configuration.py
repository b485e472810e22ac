"""Checks of the configuration, with messages in plain words."""

import os
import sys
from difflib import get_close_matches

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate
from wavspec.errors import WavspecError


def put_python_first():
    """Put the Python that runs Snakemake first in PATH, for `python` in a rule's shell command.

    The conda environment of a rule still precedes it.
    """
    # With a safe path, Python would not find the modules beside a script.
    os.environ.pop("PYTHONSAFEPATH", None)
    os.environ["PATH"] = os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    )


def check_yaml(*files):
    """Exit with file, line and fault if one of the YAML `files` that exist cannot be read.

    Snakemake's own message names neither.
    """
    for file in filter(os.path.isfile, files):
        try:
            with open(file, encoding="utf-8") as stream:
                content = yaml.safe_load(stream)
            if not isinstance(content, dict):
                sys.exit(f"{os.path.relpath(file)} has no keys. Write them as `key: value`")
        except (OSError, ValueError) as error:
            sys.exit(f"cannot read {file}: {error}")
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            fault = getattr(error, "problem", None) or str(error)
            sys.exit(f"{os.path.relpath(file)}{place}: {fault}. Write keys as `key: value`")


def complete(config, schema):
    """Check `config`, and add the defaults of the schema to it.

    Raises:
        WavspecError: a key or a value is not allowed.
    """
    config.update(with_types(config))
    try:
        validate(config, schema)
    except WorkflowError as error:
        raise WavspecError(message_of(error.__context__)) from error
    check_percentages(config["split"])


def sources(own, files):
    """Return a line with the configuration files in use, or "" if there is only the project's.

    Args:
        own: the project's configuration file.
        files: all files that Snakemake has read. If this workflow is a module of another one, they
            belong to that workflow, and `own` is not among them.
    """
    paths = {os.path.realpath(file) for file in files}
    own = os.path.realpath(own)
    others = sorted(map(os.path.relpath, paths - {own})) if own in paths else []
    defaults = f"with defaults from {os.path.relpath(own)}"
    return f"Configuration: {', '.join(others)}, {defaults}" if others else ""


def with_types(config):
    """Return `config` with the types that YAML would give to its values.

    Snakemake passes nested values of --config, such as split={validation: 20}, as strings, and
    also `true` and `false`.
    """

    def loaded(value):
        try:
            value = yaml.safe_load(value) if isinstance(value, str) else value
        except yaml.YAMLError:
            return value
        # 10.0 percent are 10: the same digest.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def typed(value):
        if isinstance(value, dict):
            return {name: loaded(text) for name, text in value.items()}
        return value == "true" if value in ("true", "false") else value

    return {key: typed(value) for key, value in config.items()}


def message_of(error):
    """Return a message for a jsonschema.ValidationError: key, description, fault and example."""
    keys = [*map(str, error.absolute_path)]
    if error.validator == "additionalProperties":
        allowed = error.schema["properties"]
        unknown = next(key for key in error.instance if key not in allowed)
        similar = get_close_matches(str(unknown), allowed, n=1)
        hint = f"Did you mean {similar[0]!r}?" if similar else f"There are {', '.join(allowed)}."
        return f"config key {'.'.join([*keys, str(unknown)])!r} does not exist. {hint}"
    fault = "it has no value" if error.instance is None else error.message
    meaning = error.schema.get("description", "")
    examples = error.schema.get("examples")
    example = f" For example: {' or '.join(examples)}" if examples else ""
    return f"config key {'.'.join(keys)!r} ({meaning}): {fault}.{example}"


def check_percentages(percentages):
    """Raise WavspecError if `split` leaves no speakers for training, or has fractions, not percent.

    Args:
        percentages: {"validation": percent, "testing": percent} of the speakers.
    """
    for split, percent in percentages.items():
        if 0 < percent < 1:
            raise WavspecError(
                f"config key 'split.{split}': {percent} is less than one percent. Did you mean "
                f"{100 * percent:g}, for {100 * percent:g} % of the speakers?"
            )
    if sum(percentages.values()) >= 100:
        given = " and ".join(f"{value:g} % for {name}" for name, value in percentages.items())
        raise WavspecError(
            f"config key 'split': {given} leave no speakers for training. Set percentages with a "
            "sum of less than 100, such as validation: 10 and testing: 10."
        )
