"""Compare networks and training methods by cross-validation over speakers.

    python benchmarks/networks.py FOLDER_OF_RESULTS

Needs `make tensorflow`, and the results of any run: wavfile_spec.dat, wavfile_df.csv and
wavfile_split.csv; with wavfile_embed.dat it also compares the network of the embeddings. Each fold
holds out a part of the speakers for testing. One split is not enough: the same network's accuracy
differs by several points between folds, so compare the means. All networks use the same folds,
without a choice of the best epoch. CPU time is per clip and epoch.
"""

import argparse
import os
import resource
import sys
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
sys.path.append(str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import keras
import numpy as np
import pandas as pd
from keras import Model, layers, losses, optimizers
from wavspec.classifier.examples import BACKGROUND, moments, open_examples
from wavspec.classifier.network import activated, build_network, convolution, normalised
from wavspec.classifier.training import (
    LEARNING_RATE,
    Batches,
    EachEpoch,
    Options,
    TrainingBatches,
    set_up_tensorflow,
)


def small(shape, classes, mean, variance):
    """The workflow's network up to version 1.0: four convolutions at stride 2."""
    inputs = layers.Input(shape)
    x = layers.Normalization(-1, mean, variance)(inputs)
    x = layers.GaussianNoise(0.2)(layers.Reshape((*shape, 1))(x))
    for filters, size in ((16, 5), (32, 3), (64, 3), (128, 3)):
        x = activated(convolution(x, filters, size, 2))
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    return Model(inputs, layers.Dense(classes, activation="softmax")(x))


def residual_of(*widths):
    """Return a function that builds a residual network of other widths."""

    def build(shape, classes, mean, variance):
        inputs = layers.Input(shape)
        x = layers.Normalization(-1, mean, variance)(inputs)
        x = layers.GaussianNoise(0.2)(layers.Reshape((*shape, 1))(x))
        x = activated(convolution(x, 16, 5, 2))
        for filters in widths:
            shortcut = convolution(x, filters, 1, 2)
            x = activated(convolution(x, filters, 3, 2))
            x = activated(layers.Add()([convolution(x, filters, 3, 1), shortcut]))
        x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
        return Model(inputs, layers.Dense(classes, activation="softmax")(x))

    return build


def depthwise(shape, classes, mean, variance):
    """Four depthwise-separable blocks of 64 channels, as in DS-CNN (Zhang et al., 2017)."""
    inputs = layers.Input(shape)
    x = layers.Normalization(-1, mean, variance)(inputs)
    x = layers.GaussianNoise(0.2)(layers.Reshape((*shape, 1))(x))
    x = layers.Conv2D(64, (10, 4), (4, 2), padding="same", use_bias=False)(x)
    x = activated(normalised(x))
    for _ in range(4):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = activated(convolution(activated(normalised(x)), 64, 1, 1))
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    return Model(inputs, layers.Dense(classes, activation="softmax")(x))


class MixedBatches(TrainingBatches):
    """Batches with mixup: each example is a weighted mean of two, and so is its target."""

    def __getitem__(self, number):
        batch, targets = super().__getitem__(number)
        random = np.random.default_rng((*self.seeds, number, 1))
        weight = random.beta(0.3, 0.3, len(batch)).astype(np.float32)
        other = random.permutation(len(batch))
        wide = weight.reshape(-1, *[1] * (batch.ndim - 1))
        targets = np.eye(self.targets.max() + 1, dtype=np.float32)[targets]
        mixed = weight[:, None] * targets + (1 - weight[:, None]) * targets[other]
        return wide * batch + (1 - wide) * batch[other], mixed


# {name: (function that builds the network, changes of the training)}
NETWORKS = {
    "small": (small, ""),
    "small, mixup": (small, "mixup"),
    "depthwise": (depthwise, ""),
    "residual": (build_network, ""),
    "residual 24, 48, 96": (residual_of(24, 48, 96), ""),
    "residual, mixup": (build_network, "mixup"),
    "residual, weight decay 0.01": (build_network, "weight decay"),
    "residual, averaged weights": (build_network, "averaged weights"),
    "embeddings": (build_network, ""),
}


def train(network, batches, training, options):
    rate = optimizers.schedules.CosineDecay(LEARNING_RATE, options.epochs * len(batches))
    optimizer = optimizers.Adam(rate)
    if training == "weight decay":
        optimizer = optimizers.AdamW(rate, weight_decay=0.01)
    if training == "averaged weights":
        optimizer = optimizers.Adam(rate, use_ema=True, ema_momentum=0.99)
    loss = losses.SparseCategoricalCrossentropy()
    if training == "mixup":
        loss = losses.CategoricalCrossentropy()
    network.compile(optimizer, loss, jit_compile=False)
    batches.begin(options.seed, 0)
    seeds = EachEpoch(batches, options)
    seeds.on_epoch_end = lambda epoch, logs=None: None
    network.fit(batches, epochs=options.epochs, shuffle=False, verbose=0, callbacks=[seeds])
    if training == "averaged weights":
        optimizer.finalize_variable_values(network.trainable_variables)


def compare(folder, arguments):
    clips = pd.read_csv(f"{folder}/wavfile_df.csv", keep_default_na=False, dtype={"label": str})
    split = pd.read_csv(f"{folder}/wavfile_split.csv", keep_default_na=False, dtype=str)
    used = (clips.valid & (clips.label != BACKGROUND)).to_numpy()
    classes, targets = np.unique(clips.label[used], return_inverse=True)
    numbers = np.zeros(len(clips), int)
    numbers[used] = targets
    speakers = np.random.default_rng(0).permutation(split.speaker[used].unique())
    folds = np.array_split(speakers, arguments.of)[: arguments.folds]
    print(f"{used.sum():,} clips, {len(classes)} labels, {len(speakers)} speakers", flush=True)
    for name, (build, training) in NETWORKS.items():
        features = "embeddings" if name == "embeddings" else "spectrograms"
        path = f"{folder}/wavfile_{'embed' if name == 'embeddings' else 'spec'}.dat"
        if (arguments.only and name not in arguments.only) or not os.path.exists(path):
            continue
        examples = open_examples(path, features, clips)
        accuracies, seconds, learnt = [], 0, 0
        for fold in folds:
            held_out = split.speaker.isin(fold).to_numpy()
            rows, tested = np.flatnonzero(used & ~held_out), np.flatnonzero(used & held_out)
            keras.utils.set_random_seed(0)
            network = build(examples.shape, len(classes), *moments(examples, rows))
            kind = MixedBatches if training == "mixup" else TrainingBatches
            before = resource.getrusage(resource.RUSAGE_SELF)
            batches = kind(examples, rows, numbers, batch_size=64)
            train(network, batches, training, Options(arguments.epochs, 64, 0))
            after = resource.getrusage(resource.RUSAGE_SELF)
            seconds += after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            learnt += arguments.epochs * len(rows)
            predicted = network.predict(Batches(examples, tested, numbers), verbose=0)
            accuracies.append(100 * (predicted.argmax(1) == numbers[tested]).mean())
        cells = [f"{network.count_params():,}", f"{1e6 * seconds / learnt:,.0f}"]
        cells += [f"{accuracy:.1f}" for accuracy in (*accuracies, np.mean(accuracies))]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the results of a run")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--of", type=int, default=5, help="parts that the speakers are cut into")
    parser.add_argument("--folds", type=int, help="how many of the parts are tested on: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="+", choices=NETWORKS, help="these networks alone")
    arguments = parser.parse_args()
    set_up_tensorflow(arguments.threads, 0)
    compare(arguments.folder, arguments)


if __name__ == "__main__":
    main()
