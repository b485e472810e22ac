"""A classifier of spoken words, trained on the spectrograms or on their embeddings.

It learns from the training clips, the validation clips choose its epoch, and the testing clips are
looked at once, at the end. A speaker stands on one of these sides only, so that the accuracy on the
testing clips is the one to expect for people whom the classifier has never heard.
"""

import csv
import json
import math
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from wavspec.run.digests import remove_superseded
from wavspec.run.files import new_csv, whole
from wavspec.run.job import JobError, job
from wavspec.run.progress import Progress, report
from wavspec.run.seals import sealed

SIDES = ("training", "validation", "testing")
SHAPES = {"spectrograms": (96, 64), "embeddings": (128,)}
HISTORY_FIELDS = [
    *("epoch", "training_loss", "training_accuracy", "validation_loss", "validation_accuracy"),
    "seconds",
]
PREDICTION_FIELDS = ["", "label", "split", "predicted", "probability"]
LEARNING_RATE = 3e-3
READ_SIZE = 256  # clips that are read at once where no training batch says how many


class Clips(NamedTuple):
    """What the tables say of all clips, a list entry for each, in row order."""

    file_names: list
    labels: list
    valid: np.ndarray  # (N,) bool
    sides: np.ndarray  # (N,) str: one of SIDES, or empty


class Examples(NamedTuple):
    """What the network takes, in a file: raw float64, C order, an example for each clip."""

    path: str
    shape: tuple
    file_names: list

    def read(self, rows):
        """Return the examples of `rows`, an array of row numbers, as (n, *shape) float32.

        Raises:
            JobError: one of them has NaN or infinite values.
        """
        # Each call maps the file anew, because pages that were read count as this process's memory
        # for as long as their map is there.
        mapped = np.memmap(self.path, np.float64, "r", shape=(len(self.file_names), *self.shape))
        examples = mapped[rows].astype(np.float32)
        finite = np.isfinite(examples).reshape(len(rows), -1).all(axis=1)
        if not finite.all():
            file_name = self.file_names[rows[finite.argmin()]]
            raise JobError(f"{self.path}: NaN or infinite values for the valid clip {file_name!r}")
        return examples


def classify(
    examples,
    clips,
    split,
    features,
    epochs,
    batch_size,
    seed,
    threads,
    state,
    model,
    metrics,
    predictions,
    history,
    learning_curve,
    confusion_matrix,
    seal,
    report=print,
):
    """Train a classifier, test it, and write the model and an account of it.

    The same inputs, seed and threads give the same metrics again on the same machine, also where a
    training was killed and went on.

    Args:
        examples: file of raw float64, C order: (N, 96, 64) spectrograms or (N, 128) embeddings.
        clips: CSV file with the columns file_name, label and valid (True or False); its row i
            describes example i.
        split: CSV file with the column split: training, validation, testing or empty; in the same
            order.
        features: "spectrograms" or "embeddings", what `examples` holds.
        epochs: how many times to go through the training clips.
        batch_size: how many clips to train on at once, the most.
        seed: integer from 0 to 2**32 - 1, of the weights, the order and the augmentation.
        threads: how many TensorFlow may use.
        state: .npz file in which the training is kept after each epoch. Where it exists the
            training goes on from there, so that its name must carry a digest of all that is given
            here: `training.{digest}.npz`. It is removed at the end, and so are those of other
            digests.
        model: .keras file to write. It takes (n, 96, 64) log-mel examples, or (n, 128) embeddings,
            and returns (n, labels) probabilities.
        metrics: JSON file to write, see `summarise`.
        predictions: CSV file to write, see `write_predictions`.
        history: CSV file to write: HISTORY_FIELDS, a row for each epoch.
        learning_curve, confusion_matrix: lists of files to draw, of types that matplotlib knows.
        seal: file to write, see `seals`.
        report: called with a line of text now and then.

    Raises:
        JobError: the files do not belong together, a valid clip's example is not finite, there are
            fewer than two labels to tell apart, or one of the three sides has no clip.
        OSError: a file cannot be read or written.
    """
    table = read_clips(clips, split)
    inputs = open_examples(examples, SHAPES[features], table)
    labels, rows = choose_rows(table, report)
    numbers = {label: number for number, label in enumerate(labels)}
    targets = np.array([numbers.get(label, -1) for label in table.labels])
    device = set_up_tensorflow(threads, seed)
    report(f"{device}; training on {len(rows['training']):,} clips of {len(labels)} labels")

    mean, variance = moments(inputs, rows["training"])
    network = build_network(SHAPES[features], len(labels), mean, variance)
    log = train(network, inputs, targets, rows, epochs, batch_size, seed, Path(state), report)

    predicted, probability = np.full(len(targets), -1), np.zeros(len(targets))
    for batch, probabilities in predict(network, inputs, np.flatnonzero(table.valid)):
        predicted[batch], probability[batch] = probabilities.argmax(1), probabilities.max(1)
    confusion = confusion_counts(targets, predicted, rows["testing"], len(labels))
    summary = {
        **summarise(labels, targets == predicted, confusion, rows, table, log),
        "features": features,
        "seed": seed,
        "device": device,
        "versions": {
            "python": platform.python_version(),
            **{name: sys.modules[name].__version__ for name in ("tensorflow", "keras", "numpy")},
        },
    }

    accuracy = summary["accuracy"]["testing"]
    outputs = [model, metrics, predictions, history, *learning_curve, *confusion_matrix]
    with sealed(seal, outputs) as [model, metrics, predictions, history, *pictures]:
        network.save(model)
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        Path(metrics).write_text(f"{text}\n", encoding="utf-8")
        write_predictions(predictions, table, labels, predicted, probability)
        with new_csv(history, HISTORY_FIELDS) as writer:
            writer.writerows([f"{value:.6g}" for value in epoch] for epoch in log)
        draw_learning_curve(pictures[: len(learning_curve)], log, accuracy)
        draw_confusion_matrix(pictures[len(learning_curve) :], confusion, labels, accuracy)
    remove_superseded(Path(state).parent, set())
    report(
        f"accuracy {accuracy:.1%} on {len(rows['testing']):,} testing clips; the validation clips "
        f"chose epoch {summary['epoch']} of {epochs}"
    )


def read_clips(clips, split):
    """Return the Clips that two tables describe, row by row.

    Raises:
        JobError: they differ in their number of rows, or lack a column.
    """
    try:
        with open(clips, encoding="utf-8", newline="") as file:
            rows = [(row["file_name"], row["label"], row["valid"]) for row in csv.DictReader(file)]
        with open(split, encoding="utf-8", newline="") as file:
            sides = [row["split"] for row in csv.DictReader(file)]
    except KeyError as error:
        raise JobError(f"{clips} or {split} has no column {error}: delete it, run again") from error
    if len(rows) != len(sides):
        raise JobError(
            f"{clips} has {len(rows):,} clips, {split} has {len(sides):,}: they do not belong "
            "together. Delete both and run again."
        )
    file_names, labels, valid = ([row[column] for row in rows] for column in range(3))
    return Clips(file_names, labels, np.array(valid) == "True", np.array(sides))


def open_examples(path, shape, table):
    """Return the Examples in the file `path`.

    Raises:
        JobError: the file has another size than the table's clips need.
    """
    size, needed = os.path.getsize(path), 8 * math.prod(shape) * len(table.labels)
    if size != needed:
        raise JobError(
            f"{path} has {size:,} bytes, its {len(table.labels):,} clips need {needed:,}. "
            "Delete it and run again."
        )
    return Examples(path, shape, table.file_names)


def choose_rows(table, report):
    """Return the labels to tell apart, sorted, and {side: the numbers of the rows on it}.

    A label without a valid training clip cannot be learnt. It is left out on all sides, and
    `report` says so. This is also what becomes of the dataset's _background_noise_, which is on no
    side.

    Raises:
        JobError: fewer than two labels remain, or no clip on one of the sides.
    """
    rows = {side: np.flatnonzero(table.valid & (table.sides == side)) for side in SIDES}
    empty = [side for side in SIDES if len(rows[side]) == 0]
    if empty:
        counted = ", ".join(f"{len(rows[side]):,} for {side}" for side in SIDES)
        raise JobError(
            f"the classifier has no valid clip for {' and none for '.join(empty)} ({counted}). "
            "It needs clips of different speakers for each of the three: add clips, or give "
            "lists of your own."
        )
    labels = sorted({table.labels[row] for row in rows["training"]})
    if len(labels) < 2:
        raise JobError(
            "the classifier needs two labels or more that have valid training clips; "
            f"only {labels[0]!r} has any"
        )
    left_out = labels_left_out(table, labels)
    if left_out:
        report(f"labels left out, because they have no valid training clip: {', '.join(left_out)}")
    learnt = np.isin(table.labels, labels)
    rows = {side: rows[side][learnt[rows[side]]] for side in SIDES}
    for side in SIDES:
        if len(rows[side]) == 0:
            raise JobError(
                f"no valid {side} clip has one of the labels that have valid training clips: "
                f"{', '.join(labels)}"
            )
    return labels, rows


def labels_left_out(table, labels):
    return sorted(set(table.labels) - set(labels))


def set_up_tensorflow(threads, seed):
    """Have TensorFlow use `threads`, and give the same results each time; return the device."""
    # Not at the top of the file: TensorFlow takes seconds to import.
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return f"GPU {gpus[0]}" if gpus else f"{threads} threads of the processor, no GPU seen"


def batches(rows, size):
    """Return `rows` as a list of arrays of `size` at most and of nearly equal lengths."""
    return np.array_split(rows, math.ceil(len(rows) / size))


def moments(examples, rows):
    """Return mean and variance of the last axis's values over `rows`, float64, batch by batch.

    This axis is the mel bands, or the numbers of an embedding. One that never changes has a
    variance of 1, so that it counts as nothing and not as infinitely much when it does change.
    """
    total = squares = count = 0
    for batch in batches(rows, READ_SIZE):
        values = examples.read(batch).astype(np.float64).reshape(-1, examples.shape[-1])
        count += len(values)
        total = total + values.sum(axis=0)
        squares = squares + np.square(values).sum(axis=0)
    mean = total / count
    variance = squares / count - np.square(mean)
    return mean, np.where(variance > 1e-9, variance, 1)


def build_network(shape, labels, mean, variance):
    """Return a Keras network from (n, *shape) examples to (n, labels) probabilities.

    It standardises what it is given with `mean` and `variance`; while it trains it also adds
    Gaussian noise.
    """
    from keras import Sequential, layers

    def normalised(layer):
        # Keras' own momentum of 0.99 needs more steps than a small dataset gives.
        return [layer, layers.BatchNormalization(momentum=0.9), layers.ReLU()]

    standardised = [layers.Input(shape), layers.Normalization(-1, mean, variance)]
    noise = layers.GaussianNoise(0.2)
    if len(shape) == 2:
        hidden = [layers.Reshape((*shape, 1)), noise]
        for filters, size in ((16, 5), (32, 3), (64, 3), (128, 3)):
            hidden += normalised(layers.Conv2D(filters, size, 2, padding="same", use_bias=False))
        hidden += [layers.GlobalAveragePooling2D(), layers.Dropout(0.3)]
    else:
        hidden = [noise, *normalised(layers.Dense(256, use_bias=False)), layers.Dropout(0.5)]
    return Sequential([*standardised, *hidden, layers.Dense(labels, activation="softmax")])


def train(network, examples, targets, rows, epochs, batch_size, seed, state, report):
    """Train `network` and leave it with the weights of its best epoch; return the history.

    That is the epoch with the highest accuracy on the validation clips; of several, the one with
    the lowest loss. The history is a list of HISTORY_FIELDS, a tuple for each epoch. `state` is the
    file in which it is kept together with the network after each epoch.
    """
    from keras import losses, optimizers

    steps = len(batches(rows["training"], batch_size))
    rate = optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * steps)
    network.compile(
        optimizers.Adam(rate),
        losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )
    network.optimizer.build(network.trainable_variables)
    # The random generators of dropout and noise are among the variables.
    variables = [*network.variables, *network.optimizer.variables]
    history, best = [], network.get_weights()
    if state.exists():
        history, values, best = load_state(state, len(variables))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        report(f"going on after epoch {len(history)}, from {state}")
    progress = Progress((epochs - len(history)) * len(rows["training"]), report)
    for epoch in range(len(history) + 1, epochs + 1):
        start = time.monotonic()
        # Seeded by the epoch too, so that a training that goes on sees the same batches.
        random = np.random.default_rng([seed, epoch])
        order = batches(random.permutation(rows["training"]), batch_size)
        sums = np.zeros(2)
        # Keras' `fit` doubles the processor time (measured). Its way to read generators makes
        # the C library return freed memory, and getting it back costs that time.
        for batch in read_ahead(training_batches(examples, targets, order, random)):
            step = network.train_on_batch(*batch, return_dict=True)
            clips = len(batch[1])
            sums += clips * np.array([step["loss"], step["accuracy"]])
            progress.add(clips, f"of all remaining epochs learnt, epoch {epoch} of {epochs}")
        seconds = time.monotonic() - start
        trained = sums / len(rows["training"])
        validated = evaluate(network, examples, targets, rows["validation"])
        history.append((epoch, *trained, *validated, seconds))
        if best_epoch(history) == epoch:
            best = network.get_weights()
        save_state(state, history, variables, best)
        progress.say(
            f"epoch {epoch} of {epochs}: accuracy {trained[1]:.1%} in training, "
            f"{validated[1]:.1%} on validation clips"
        )
    network.set_weights(best)
    return history


def training_batches(examples, targets, order, random):
    """Yield (examples, targets) for each array of row numbers in `order`."""
    for rows in order:
        batch = examples.read(rows)
        yield shifted(batch, random) if batch.ndim == 3 else batch, targets[rows].astype(np.int32)


def read_ahead(items):
    """Yield the items of a generator, of which a thread always has the next one ready."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def shifted(spectrograms, random):
    """Return (n, frames, bands) spectrograms, each shifted at random, its edges repeated.

    The shift is up to a tenth of the frames and 3 % of the bands, in either direction. It is no
    layer of the network because Keras' own would go on shifting in a model that is called directly.
    """
    n, frames, bands = spectrograms.shape
    most = frames // 10, round(0.03 * bands)
    padded = np.pad(spectrograms, [(0, 0), *((margin, margin) for margin in most)], mode="edge")
    windows = sliding_window_view(padded, (frames, bands), axis=(1, 2))
    frame, band = (random.integers(0, 2 * margin + 1, n) for margin in most)
    return windows[np.arange(n), frame, band]


def evaluate(network, examples, targets, rows):
    """Return the mean cross-entropy and the accuracy of `network` on `rows`."""
    loss = right = 0.0
    for batch, probabilities in predict(network, examples, rows):
        of_target = probabilities[np.arange(len(batch)), targets[batch]]
        loss -= np.log(np.maximum(of_target, 1e-7)).sum()
        right += (probabilities.argmax(1) == targets[batch]).sum()
    return float(loss / len(rows)), float(right / len(rows))


def predict(network, examples, rows):
    """Yield (row numbers, their (n, labels) float32 probabilities) until all `rows` had theirs."""
    for batch in batches(rows, READ_SIZE):
        yield batch, network.predict_on_batch(examples.read(batch))


def best_epoch(history):
    return max(history, key=lambda epoch: (epoch[4], -epoch[3]))[0]


def save_state(path, history, variables, best):
    """Keep a training in the file `path`: what `load_state` returns."""
    with whole(path) as part, open(part, "wb") as file:
        np.savez(file, np.array(history), *[variable.numpy() for variable in variables], *best)
    remove_superseded(path.parent, {path.stem})


def load_state(path, variables):
    """Return history, values of the variables of network and optimizer, weights of the best epoch.

    Args:
        path: a file that `save_state` wrote.
        variables: how many variables there are.
    """
    with np.load(path) as file:
        history, *arrays = (file[f"arr_{number}"] for number in range(len(file)))
    history = [(int(epoch), *rest) for epoch, *rest in history.tolist()]
    return history, arrays[:variables], arrays[variables:]


def confusion_counts(targets, predicted, rows, labels):
    """Return a (labels, labels) array: how many clips of label i were taken for label j."""
    counts = np.zeros((labels, labels), int)
    np.add.at(counts, (targets[rows], predicted[rows]), 1)
    return counts


def macro_f1(confusion):
    """Return the mean of the labels' F1 scores, over those that have any clip in `confusion`."""
    clips, taken_for = confusion.sum(axis=1), confusion.sum(axis=0)
    present = clips > 0
    return float((2 * confusion.diagonal() / np.maximum(clips + taken_for, 1))[present].mean())


def summarise(labels, right, confusion, rows, table, history):
    """Return what the classifier can do, as a dictionary to be written as JSON.

    Accuracies lie between 0 and 1. Those for each label and the macro F1 are on the testing clips,
    and the accuracy of a label that has none there is null. `seconds` are of training alone.
    """
    seconds = sum(epoch[-1] for epoch in history)
    return {
        "labels": labels,
        "labels_left_out": labels_left_out(table, labels),
        "accuracy": {side: float(right[rows[side]].mean()) for side in SIDES},
        "clips": {side: len(rows[side]) for side in SIDES},
        "macro_f1": macro_f1(confusion),
        "accuracy_per_label": {
            label: float(counts[number] / counts.sum()) if counts.any() else None
            for number, (label, counts) in enumerate(zip(labels, confusion, strict=True))
        },
        "invalid_testing_clips": int((~table.valid & (table.sides == "testing")).sum()),
        "epoch": best_epoch(history),
        "epochs": len(history),
        "seconds": round(seconds, 1),
        "clips_per_second": round(len(rows["training"]) * len(history) / seconds),
    }


def write_predictions(path, table, labels, predicted, probability):
    """Write PREDICTION_FIELDS, row i for row i of the clips; predictions of valid clips only."""
    with new_csv(path, PREDICTION_FIELDS) as writer:
        for row, valid in enumerate(table.valid):
            answer = [labels[predicted[row]], f"{probability[row]:.4f}"] if valid else ["", ""]
            writer.writerow([row, table.labels[row], table.sides[row], *answer])


def draw_learning_curve(paths, history, testing_accuracy):
    """Draw the accuracy in training and on validation clips over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs, _, training, _, validation, _ = zip(*history, strict=True)
    axes.plot(epochs, training, ".-", label="training clips, with noise")
    axes.plot(epochs, validation, ".-", label="validation clips")
    best = best_epoch(history)
    label = f"testing clips, epoch {best}: {testing_accuracy:.1%}"
    axes.plot(best, testing_accuracy, "D", color="black", label=label)
    axes.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3)
    save_figure(figure, paths)


def draw_confusion_matrix(paths, confusion, labels, testing_accuracy):
    """Draw how many of each label's testing clips were taken for which label."""
    from matplotlib.figure import Figure

    size = min(3 + 0.28 * len(labels), 20)  # inches
    font_size = min(9, 1000 / len(labels))  # points, so that neighbours do not overlap
    figure = Figure(figsize=(size + 0.5, size), layout="constrained")
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    places = np.arange(len(labels))
    axes.set_xticks(places, labels, rotation=90, fontsize=font_size, parse_math=False)
    axes.set_yticks(places, labels, fontsize=font_size, parse_math=False)
    axes.set(xlabel="taken for", ylabel="spoken word")
    axes.set_title(f"{confusion.sum():,} testing clips, {testing_accuracy:.1%} right")
    for row, column in np.argwhere(confusion):
        color = "white" if share[row, column] > 0.6 else "black"
        style = {"color": color, "ha": "center", "va": "center", "fontsize": 0.8 * font_size}
        axes.text(column, row, confusion[row, column], **style)
    figure.colorbar(image, label="share of the spoken word's clips", shrink=0.7)
    save_figure(figure, paths)


def save_figure(figure, paths):
    import matplotlib

    # The same picture is the same file again.
    with matplotlib.rc_context({"svg.hashsalt": "wavspec"}):
        for path in paths:
            figure.savefig(path, dpi=150, metadata={"Date": None})


if "snakemake" in globals():
    # A user's own settings of Keras may name another framework, and TensorFlow's C++ would tell the
    # terminal of the processor's instructions and of absent GPUs.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with job(snakemake.log[0], snakemake.input, snakemake.output.seal, snakemake.params.code):
        classify(
            snakemake.input.examples,
            snakemake.input.clips,
            snakemake.input.split,
            **snakemake.config["classifier"],
            threads=snakemake.threads,
            state=snakemake.params.state,
            **snakemake.output,
            report=report,
        )
