"""Train the classifier, on the spectrograms or on their embeddings, and predict all examples.

It trains on the training clips, and measures the accuracy on the validation clips after each epoch.
"""

import json
import os
import platform
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pipeline.job import job, summarize, warn
from pipeline.labels import read_rows
from wavspec.classifier.examples import (
    SHAPES,
    Examples,
    assign_targets,
    moments,
    read_long_silence,
)
from wavspec.dataset import BACKGROUND_NOISE, SPLITS

COLUMNS = ["label", "split", "target", "example", "clip_id"]
# What distinguishes a classifier from another one of the same dataset.
IDENTITY = ("labels", "features", "words", "epochs", "batch_size", "seed")


class Trained(NamedTuple):
    """A trained network, and what it says about all examples."""

    model: object  # Keras model
    history: pd.DataFrame  # of the epochs, see `training.train`
    probabilities: np.ndarray  # (rows, labels) float32, NaN for invalid clips
    early: np.ndarray  # the mean of those after early epochs, likewise
    facts: dict  # for JSON


def all_examples(rows, path, settings, dataset):
    """Return the rows with further ones of long silence, and the Examples of all of them.

    Args:
        rows: DataFrame of all rows of the array, see `examples.assign_targets`.
        path: file of the array: raw float64, (N, 96, 64) spectrograms or (N, 128) embeddings.
        settings: the configuration's key `classifier`.
        dataset: the dataset's folder.
    """
    shape = SHAPES[settings["features"]]
    if settings["words"] == "all":
        return rows, Examples(path, shape, np.empty((0, *shape), np.float32))
    further, examples, without = read_long_silence(rows, dataset)
    if len(further) and settings["features"] == "embeddings":
        warn(
            "recordings of silence or background noise are left out: they have no embeddings, "
            "unless you set long_clips: cut"
        )
        further, examples = further[:0], np.empty((0, *shape), np.float32)
    if without:
        warn(f"recordings of silence or background noise are left out, such as {without[0]!r}")
    return pd.concat([rows, further], ignore_index=True), Examples(path, shape, examples)


def left_out(rows, classes):
    """Warn about classes without a valid example in a split; return those that are left out.

    Args:
        rows: DataFrame, see `examples.assign_targets`.
        classes: Series of the class of each row.

    Returns:
        Sorted list of the classes without a valid training example.
    """
    used = rows[rows.target != ""]
    for split in ("validation", "testing"):
        if missing := sorted(set(used.target) - set(used.target[used.split == split])):
            warn(f"labels without a valid {split} clip: {', '.join(missing)}")
    missing = sorted(set(classes) - set(used.target))
    if named := [label for label in missing if label != BACKGROUND_NOISE]:
        warn(f"labels left out, without a valid training clip: {', '.join(named)}")
    return missing


def fit(rows, examples, settings, threads, backup):
    """Return the Trained network, which continues from the backup of an interrupted training.

    The same arguments give the same network on the same machine, unless it was interrupted.

    Args:
        rows: DataFrame, see `examples.assign_targets`.
        examples: the Examples of all rows.
        settings: the configuration's key `classifier`.
        threads: number of threads for TensorFlow.
        backup: file that is written after each epoch. Its name must change if any other argument
            changes.
    """
    # Not at the top of the file: TensorFlow takes seconds to import.
    from wavspec.classifier import network, training

    options = training.Options(settings["epochs"], settings["batch_size"], settings["seed"])
    device = training.set_up_tensorflow(threads, options.seed)
    labels = sorted(set(rows.target) - {""})
    targets = pd.Index(labels).get_indexer(rows.target)  # -1 where there is none
    used = {split: np.flatnonzero((targets >= 0) & (rows.split == split)) for split in SPLITS}
    print(f"{device}; {len(used['training']):,} training examples of {len(labels)} labels")
    mean, variance = moments(examples, used["training"])
    model = network.build_network(examples.shape, len(labels), mean, variance)
    batches = training.TrainingBatches(examples, used["training"], targets, options)
    training.compile_network(model, options.epochs * len(batches))
    valid = np.flatnonzero(rows.valid)
    everything = training.Batches(examples, valid, targets)
    epochs = training.Epochs(options.epochs, backup, everything)
    try:
        epochs.resume(model)
    except Exception as error:  # a damaged file can cause nearly any
        warn(f"the backup {backup} is unusable: training starts over")
        print(error)
        remove_backups(backup)
    validation = training.Batches(examples, used["validation"], targets)
    history = training.train(model, batches, validation, epochs)

    probabilities, early = np.full((2, len(rows), len(labels)), np.nan, np.float32)
    probabilities[valid] = model.predict(everything, verbose=0)
    early[valid] = epochs.early / len(epochs.early_epochs)
    seconds = history.seconds.sum()  # training and validation
    facts = {
        "labels": labels,
        **settings,
        "device": device,
        "parameters": model.count_params(),
        "training_examples": len(used["training"]),
        "seconds": round(seconds, 1),
        "examples_per_second": round(len(used["training"]) * len(history) / seconds),
        "versions": {
            "python": platform.python_version(),
            **{name: sys.modules[name].__version__ for name in ("tensorflow", "keras", "numpy")},
        },
    }
    return Trained(model, history, probabilities, early, facts)


def write_outputs(trained, rows, outputs):
    """Write the Trained network, and what `evaluate.py` needs.

    Args:
        trained: the Trained network.
        rows: DataFrame, see `examples.assign_targets`.
        outputs: object with the attributes
            model: .keras file. It takes (n, 96, 64) log-mel examples or (n, 128) embeddings, and
                returns (n, labels) probabilities;
            tflite: the same network for TensorFlow Lite;
            labels: text file with a label on each line, in the order of the probabilities;
            facts: JSON file;
            history, examples: CSV files, of the epochs and of the rows;
            probabilities, early: .npy files.
    """
    from wavspec.classifier.training import write_tflite

    trained.model.save(outputs.model)
    write_tflite(trained.model, outputs.tflite)
    lines = "".join(f"{label}\n" for label in trained.facts["labels"])
    Path(outputs.labels).write_text(lines, encoding="utf-8")
    text = json.dumps(trained.facts, indent=2, ensure_ascii=False)
    Path(outputs.facts).write_text(f"{text}\n", encoding="utf-8")
    trained.history.to_csv(outputs.history, index=False, float_format="%.6g")
    rows[COLUMNS].to_csv(outputs.examples)
    np.save(outputs.probabilities, trained.probabilities)
    np.save(outputs.early, trained.early)


def remove_backups(backup, but=None):
    """Remove the file `backup` and those of other trainings beside it, `backup.{digest}.npz`."""
    for path in Path(backup).parent.glob("backup.*"):
        if path.name != but:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def warn_of_another(path, facts):
    """Warn if the classifier that will be replaced has other labels or settings.

    Args:
        path: JSON file with its facts, which may not exist.
        facts: those of the new one.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        last = json.loads(Path(path).read_text(encoding="utf-8"))
        if any(last[key] != facts[key] for key in IDENTITY):
            labels, more = last["labels"], len(last["labels"]) - 12
            warn(
                f"this replaced a classifier of {', '.join(labels[:12])}"
                f"{f' and {more} more' if more > 0 else ''} ({last['features']}, epochs: "
                f"{last['epochs']}, seed: {last['seed']})"
            )


if "snakemake" in globals():
    # Keras may be configured for another framework. By default, TensorFlow takes all of a GPU's
    # memory.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    inputs, params, settings = snakemake.input, snakemake.params, snakemake.params.classifier
    # Not an output, because Snakemake would delete it before a job that resumes from it. Not a
    # parameter either: a report would show it beside the pictures.
    _, digest, *_ = os.path.basename(snakemake.output.stamp).split(".")
    backup = f"{os.path.dirname(snakemake.output.model)}/backup.{digest}.npz"
    with job(snakemake) as outputs:
        remove_backups(backup, but=os.path.basename(backup))
        rows = read_rows(inputs.tables, params.settings)
        rows["split"] = pd.read_csv(inputs.split, keep_default_na=False).split
        rows, examples = all_examples(rows, inputs.examples, settings, params.dataset)
        hop = params.settings["hop"]
        classes = assign_targets(rows, settings["words"], params.split, hop, settings["seed"])
        missing = left_out(rows, classes)
        trained = fit(rows, examples, settings, snakemake.threads, backup)
        trained.facts.update(labels_left_out=missing, **params.settings)
        warn_of_another(snakemake.output.facts, trained.facts)
        write_outputs(trained, rows, outputs)
        remove_backups(backup)
        unused = classes[rows.valid & (rows.target == "")].value_counts()
        counts = ", ".join(f"{count:,} of {name}" for name, count in unused.items())
        summarize(
            f"Trained on {trained.facts['training_examples']:,} examples of "
            f"{len(trained.facts['labels'])} labels{counts and f'. Not used: {counts}'}"
        )
