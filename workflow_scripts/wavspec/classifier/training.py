"""The training: batches, epochs, and backups from which interrupted training resumes."""

import math
import os
import time
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import callbacks, losses, optimizers
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import WavspecError

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
        self.examples, self.rows = examples, rows
        self.targets, self.batch_size = targets.astype(np.int32), batch_size

    def __len__(self):
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, number):
        rows = np.array_split(self.rows, len(self))[number]
        return self.examples.read(rows), self.targets[rows]


class TrainingBatches(Batches):
    """Batches in a new random order for each epoch, with randomly shifted spectrograms.

    The randomness depends only on seed, epoch and batch: resumed training gets the same batches as
    uninterrupted training.
    """

    def begin(self, seed, epoch):
        """Shuffle the rows for an epoch."""
        self.seeds = seed, epoch
        self.rows = np.random.default_rng(self.seeds).permutation(np.sort(self.rows))

    def __getitem__(self, number):
        batch, targets = super().__getitem__(number)
        if batch.ndim == 3:
            batch = shifted(batch, np.random.default_rng((*self.seeds, number)))
        return batch, targets


def shifted(spectrograms, random):
    """Return (n, frames, bands) spectrograms, each shifted at random, with repeated edges.

    The shift is up to a tenth of the frames and 3 % of the bands, in both directions. This is not a
    layer of the network, because Keras' layer also shifts in a model that is called directly.
    """
    n, frames, bands = spectrograms.shape
    most = frames // 10, round(0.03 * bands)
    padded = np.pad(spectrograms, [(0, 0), *((margin, margin) for margin in most)], mode="edge")
    windows = sliding_window_view(padded, (frames, bands), axis=(1, 2))
    frame, band = (random.integers(0, 2 * margin + 1, n) for margin in most)
    return windows[np.arange(n), frame, band]


class EachEpoch(callbacks.Callback):
    """Seed each epoch by its number, which BackupAndRestore does not do, and print its accuracy."""

    def __init__(self, batches, options):
        super().__init__()
        self.batches, self.options = batches, options

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()
        self.batches.begin(self.options.seed, epoch)
        random = np.random.default_rng([self.options.seed, epoch])
        for layer in self.model.layers:
            if hasattr(layer, "seed_generator"):  # noise and dropout
                layer.seed_generator.state.assign(random.integers(2**32, size=2, dtype=np.uint32))

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.monotonic() - self.start  # for CSVLogger
        print(
            time.strftime("%H:%M:%S"),
            f"epoch {epoch + 1} of {self.options.epochs}: "
            f"accuracy {logs['accuracy']:.1%} in training, "
            f"{logs['val_accuracy']:.1%} on validation clips, {logs['seconds']:.1f} s",
        )


class Backup(callbacks.BackupAndRestore):
    """BackupAndRestore with a check for incomplete backups.

    Keras writes the weights, then the epoch's number. A kill in between leaves them inconsistent.
    """

    def on_train_begin(self, logs=None):
        try:
            super().on_train_begin(logs)
        except (OSError, ValueError) as error:
            self.refuse(error)

    def on_epoch_begin(self, epoch, logs=None):
        if int(self.model.optimizer.iterations) != epoch * self.params["steps"]:
            self.refuse(f"its weights are not those of epoch {epoch}")

    def refuse(self, reason):
        rmtree(self.backup_dir, ignore_errors=True)
        raise WavspecError(
            f"the backup {self.backup_dir}, to resume the training from, was damaged: {reason}. "
            "It was removed: run again to train from the start."
        )


def train(network, training, validation, options, backup):
    """Train `network`, and load the weights of its best epoch.

    This is the first epoch with the highest accuracy on the validation examples.

    Args:
        network: the Keras model of `build_network`.
        training: the TrainingBatches.
        validation: the Batches.
        options: the Options.
        backup: folder for a backup after each epoch. If it exists, the training resumes from the
            last completed epoch. The caller removes it; other folders `training.*` beside it are
            removed here.

    Returns:
        DataFrame of the epochs: epoch, training_loss, training_accuracy, validation_loss,
        validation_accuracy, seconds.

    Raises:
        WavspecError: the backup is damaged. It is removed, so the next run trains from the start.
    """
    rate = optimizers.schedules.CosineDecay(LEARNING_RATE, options.epochs * len(training))
    network.compile(
        optimizers.Adam(rate),
        losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )
    for folder in Path(backup).parent.glob("training.*"):
        if folder != Path(backup):  # of an interrupted training with another digest
            rmtree(folder)
    os.makedirs(backup, exist_ok=True)
    log, best = Path(backup, "history.csv"), Path(backup, "best.weights.h5")
    highest = None
    if log.exists():
        print("resuming from", backup)
        highest = pd.read_csv(log).val_accuracy.max()
    training.begin(options.seed, 0)  # Keras reads a batch before the first epoch
    checkpoint = callbacks.ModelCheckpoint(
        best,
        monitor="val_accuracy",
        save_best_only=True,
        save_weights_only=True,
        initial_value_threshold=highest,
    )
    network.fit(
        training,
        validation_data=validation,
        epochs=options.epochs,
        shuffle=False,
        verbose=0,
        # Backup is last: an epoch is complete when everything else is written.
        callbacks=[
            EachEpoch(training, options),
            checkpoint,
            callbacks.CSVLogger(log, append=True),
            Backup(backup, double_checkpoint=True, delete_checkpoint=False),
        ],
    )
    network.load_weights(best)
    return history_of(log)


def history_of(log):
    # If an epoch is killed between its line here and its backup, it has two lines.
    history = pd.read_csv(log).drop_duplicates("epoch", keep="last")
    return pd.DataFrame(
        {
            "epoch": history.epoch + 1,
            "training_loss": history.loss,
            "training_accuracy": history.accuracy,
            "validation_loss": history.val_loss,
            "validation_accuracy": history.val_accuracy,
            "seconds": history.seconds,
        }
    )
