"""The training: batches, epochs, and what is kept so that a killed training can resume."""

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

from ..run.job import JobError

LEARNING_RATE = 3e-3


class Options(NamedTuple):
    """How to train; the keys of the configuration."""

    epochs: int
    batch_size: int
    seed: int


def set_up_tensorflow(threads, seed):
    """Limit TensorFlow to `threads`, and make it reproducible; return its device in words."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return f"GPU {gpus[0]}" if gpus else f"{threads} threads of the processor, no GPU seen"


class Batches(keras.utils.PyDataset):
    """Examples and targets in row order, for validation and prediction.

    Args:
        examples: the Examples.
        rows: array of the row numbers to use.
        targets: array of the class of every row.
        batch_size: the most examples of a batch. All batches are of nearly equal lengths.
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
    """The same in an order that changes with each epoch, spectrograms shifted at random.

    All randomness depends on seed, epoch and batch alone: a resumed training gets the same batches
    as an undisturbed one.
    """

    def begin(self, seed, epoch):
        """Get ready for an epoch."""
        self.seeds = seed, epoch
        self.rows = np.random.default_rng(self.seeds).permutation(np.sort(self.rows))

    def __getitem__(self, number):
        batch, targets = super().__getitem__(number)
        if batch.ndim == 3:
            batch = shifted(batch, np.random.default_rng((*self.seeds, number)))
        return batch, targets


def shifted(spectrograms, random):
    """Return (n, frames, bands) spectrograms, each shifted at random, its edges repeated.

    The shift is up to a tenth of the frames and 3 % of the bands, in either direction. It is not a
    layer of the network because Keras' own would keep shifting in a model that is called directly.
    """
    n, frames, bands = spectrograms.shape
    most = frames // 10, round(0.03 * bands)
    padded = np.pad(spectrograms, [(0, 0), *((margin, margin) for margin in most)], mode="edge")
    windows = sliding_window_view(padded, (frames, bands), axis=(1, 2))
    frame, band = (random.integers(0, 2 * margin + 1, n) for margin in most)
    return windows[np.arange(n), frame, band]


class EachEpoch(callbacks.Callback):
    """Seed each epoch by its number, which BackupAndRestore does not do, and print how it went."""

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
    """Keras' own, which also notices what a kill while it wrote may leave.

    It writes the weights, then the epoch's number. A kill in between leaves those of two epochs.
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
        raise JobError(
            f"{self.backup_dir}, from which the training was to resume, was damaged: {reason}. "
            "It is removed: run again to train from the start."
        )


def train(network, training, validation, options, backup):
    """Train `network`, and leave it with the weights of its best epoch.

    That is the first epoch with the highest accuracy on the validation examples.

    Args:
        network: the Keras model of `build_network`.
        training: the TrainingBatches.
        validation: the Batches.
        options: the Options.
        backup: folder to keep the training in after each epoch. If it exists, the training
            resumes from its last whole epoch. The caller removes it; those beside it, which are
            called `training.*` too, are removed here.

    Returns:
        DataFrame of the epochs: epoch, training_loss, training_accuracy, validation_loss,
        validation_accuracy, seconds.

    Raises:
        JobError: the backup is damaged. It is removed, and the next run trains from the start.
    """
    rate = optimizers.schedules.CosineDecay(LEARNING_RATE, options.epochs * len(training))
    network.compile(
        optimizers.Adam(rate),
        losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )
    for folder in Path(backup).parent.glob("training.*"):
        if folder != Path(backup):  # of a training with another digest that was killed
            rmtree(folder)
    os.makedirs(backup, exist_ok=True)
    log, best = Path(backup, "history.csv"), Path(backup, "best.weights.h5")
    highest = None
    if log.exists():
        print("resuming from", backup)
        highest = pd.read_csv(log).val_accuracy.max()
    training.begin(options.seed, 0)  # Keras looks at a batch before the first epoch begins
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
        # Backup is last: an epoch is done when everything else about it is written.
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
    # An epoch that was killed between its line here and its backup has two lines.
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
