"""The training: batches, epochs, a backup after each epoch, and the file for TFLite."""

import json
import math
import os
import time
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import callbacks, losses, optimizers

from .augmentation import augmented

LEARNING_RATE = 6e-3
WARM_UP = 3 / 40  # part of the steps
WEIGHT_DECAY = 0.3
LABEL_SMOOTHING = 0.1
# The part of the epochs over which probabilities are averaged for label issues: later, a network
# can learn wrong labels by heart.
EARLY = 1 / 5, 1 / 2


class Options(NamedTuple):
    """Options of the training, as in the configuration."""

    epochs: int
    batch_size: int
    seed: int


def set_up_tensorflow(threads, seed):
    """Limit TensorFlow to `threads`, and make it reproducible; return its device as text."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return f"GPU {gpus[0]}" if gpus else f"{threads} CPU threads, no GPU found"


class Batches(keras.utils.PyDataset):
    """Examples and targets in row order, for validation and prediction.

    Args:
        examples: the Examples.
        rows: array of the row numbers to use.
        targets: array of the class of every row, -1 if there is none.
        batch_size: maximal number of examples in a batch. All batches have nearly the same length.
    """

    def __init__(self, examples, rows, targets, batch_size=256):
        super().__init__()
        self.examples = examples
        # Keras smooths labels only if they are given as probabilities.
        self.targets = np.equal.outer(targets, np.arange(targets.max() + 1)).astype(np.float32)
        self.batches = np.array_split(rows, math.ceil(len(rows) / batch_size))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        rows = self.batches[number]
        return self.examples.read(rows), self.targets[rows]


class TrainingBatches(Batches):
    """Augmented examples and their targets, in a new random order for each epoch."""

    def __init__(self, examples, rows, targets, options):
        super().__init__(examples, rows, targets, options.batch_size)
        self.rows, self.seed, self.epoch = rows, options.seed, 0

    def on_epoch_begin(self):
        self.epoch += 1
        random = np.random.default_rng((self.seed, self.epoch))
        self.batches = np.array_split(random.permutation(self.rows), len(self))

    def __getitem__(self, number):
        examples, targets = super().__getitem__(number)
        # Not one generator for all batches: Keras reads some of them ahead, in another thread.
        random = np.random.default_rng((self.seed, self.epoch, number))
        return augmented(examples, random), targets


class Epochs(callbacks.Callback):
    """The completed epochs: their history, early probabilities, and a backup of all.

    The backup is one .npz file, replaced after each epoch. Keras' own callbacks write several
    files, which do not match if the process is killed between them.

    Args:
        epochs: the number of epochs.
        backup: the file.
        everything: Batches of all valid examples.

    Attributes:
        history: list with a dictionary for each epoch.
        early: (valid examples, classes) array, the sum of the probabilities after the EARLY epochs.
    """

    def __init__(self, epochs, backup, everything):
        super().__init__()
        self.epochs, self.backup, self.everything = epochs, backup, everything
        self.history, self.early = [], np.zeros(())
        first, last = (max(1, round(part * epochs)) for part in EARLY)
        self.early_epochs = range(first, last + 1)

    def resume(self, network):
        """Continue from the backup, if it exists, with a compiled `network`.

        Raises:
            Exception: of many kinds, if the file is damaged. Nothing was loaded then.
        """
        network.optimizer.build(network.trainable_variables)
        if not os.path.lexists(self.backup):
            return
        with np.load(self.backup) as saved:
            history = json.loads(saved["history"].item())
            early = saved["early"]
            weights, optimizer = (
                [saved[f"{name} {number}"] for number in range(len(variables))]
                for name, variables in (
                    ("weights", network.weights),
                    ("optimizer", network.optimizer.variables),
                )
            )
        network.set_weights(weights)
        for variable, value in zip(network.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        self.history, self.early = history, early
        print(f"resuming after epoch {len(history)} from {self.backup}")

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.early_epochs:
            self.early = self.early + self.model.predict(self.everything, verbose=0)
        seconds = time.monotonic() - self.start
        self.history.append(
            {
                "epoch": epoch + 1,
                "training_loss": logs["loss"],
                "training_accuracy": logs["accuracy"],
                "validation_loss": logs["val_loss"],
                "validation_accuracy": logs["val_accuracy"],
                "seconds": seconds,
            }
        )
        self.save()
        print(
            time.strftime("%H:%M:%S"),
            f"epoch {epoch + 1} of {self.epochs}: accuracy {logs['accuracy']:.1%} in training, "
            f"{logs['val_accuracy']:.1%} on validation clips, {seconds:.1f} s",
        )

    def save(self):
        arrays = {
            f"{name} {number}": value
            for name, values in (
                ("weights", self.model.get_weights()),
                ("optimizer", map(np.asarray, self.model.optimizer.variables)),
            )
            for number, value in enumerate(values)
        }
        # A job can outlive a Snakemake that was killed: two processes have two files.
        part = f"{self.backup}.{os.getpid()}"
        with open(part, "wb") as file:
            np.savez(file, history=json.dumps(self.history), early=self.early, **arrays)
        os.replace(part, self.backup)


def compile_network(network, steps):
    """Prepare a Keras model for `train`.

    Args:
        network: the Keras model of `build_network`.
        steps: the number of batches in all epochs.
    """
    warm_up = round(WARM_UP * steps)
    rate = optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=LEARNING_RATE, warmup_steps=warm_up
    )
    optimizer = optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    network.compile(
        optimizer,
        losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
        jit_compile=False,
    )


def train(network, training, validation, epochs):
    """Train `network`.

    Args:
        network: a compiled Keras model.
        training: the TrainingBatches.
        validation: the Batches.
        epochs: the Epochs.

    Returns:
        DataFrame of the epochs: epoch, training_loss, training_accuracy, validation_loss,
        validation_accuracy, seconds.
    """
    training.epoch = len(epochs.history)
    network.fit(
        training,
        validation_data=validation,
        initial_epoch=len(epochs.history),
        epochs=epochs.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[epochs],
    )
    return pd.DataFrame(epochs.history)


def write_tflite(network, path):
    """Write a Keras model as a float32 TensorFlow Lite file, for one example at a time or more."""
    model = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    with open(path, "wb") as file:
        file.write(model)
