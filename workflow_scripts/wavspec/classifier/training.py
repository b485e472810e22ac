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

LEARNING_RATE = 3e-3


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
        targets: array of the class of every row.
        batch_size: maximal number of examples in a batch. All batches have nearly the same length.
    """

    def __init__(self, examples, rows, targets, batch_size=256):
        super().__init__()
        self.examples, self.targets = examples, targets.astype(np.int32)
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
    """The completed epochs: their history, the weights of the best one, and a backup of all.

    The backup is one .npz file, replaced after each epoch. Keras' own callbacks write several
    files, which do not match if the process is killed between them.

    Args:
        epochs: the number of epochs.
        backup: the file.
    """

    def __init__(self, epochs, backup):
        super().__init__()
        self.epochs, self.backup = epochs, backup
        self.history, self.best = [], []

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
            best, weights, optimizer = (
                [saved[f"{name} {number}"] for number in range(len(variables))]
                for name, variables in (
                    ("best", network.weights),
                    ("weights", network.weights),
                    ("optimizer", network.optimizer.variables),
                )
            )
        network.set_weights(weights)
        for variable, value in zip(network.optimizer.variables, optimizer, strict=True):
            variable.assign(value)
        self.history, self.best = history, best
        print(f"resuming after epoch {len(history)} from {self.backup}")

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        highest = max((past["validation_accuracy"] for past in self.history), default=-1)
        if logs["val_accuracy"] > highest:
            self.best = self.model.get_weights()
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
                ("best", self.best),
                ("weights", self.model.get_weights()),
                ("optimizer", map(np.asarray, self.model.optimizer.variables)),
            )
            for number, value in enumerate(values)
        }
        # A job can outlive a Snakemake that was killed: two processes have two files.
        part = f"{self.backup}.{os.getpid()}"
        with open(part, "wb") as file:
            np.savez(file, history=json.dumps(self.history), **arrays)
        os.replace(part, self.backup)


def compile_network(network, steps):
    """Prepare a Keras model for `train`.

    Args:
        network: the Keras model of `build_network`.
        steps: the number of batches in all epochs.
    """
    network.compile(
        optimizers.Adam(optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )


def train(network, training, validation, epochs):
    """Train `network`, and give it the weights of its best epoch.

    This is the first epoch with the highest accuracy on the validation examples.

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
    network.set_weights(epochs.best)
    return pd.DataFrame(epochs.history)


def write_tflite(network, path):
    """Write a Keras model as a float32 TensorFlow Lite file, for one example at a time or more."""
    model = tf.lite.TFLiteConverter.from_keras_model(network).convert()
    with open(path, "wb") as file:
        file.write(model)
