"""Cross-validate the classifier's network over speakers.

    python benchmarks/networks.py FOLDER_OF_RESULTS

Needs `make tensorflow`, and the results of any run: wavfile_spec.dat, wavfile_df.csv and
wavfile_split.csv; with wavfile_embed.dat it also tries the network of the embeddings. Each fold
holds out a part of the speakers for testing. One split is not enough: the same network's accuracy
differs by several points between folds, so compare the means, with the same folds, before and after
a change of network, augmentation or training. There is no choice of the best epoch. CPU time is per
clip and epoch.
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
from wavspec.classifier.examples import SHAPES, Examples, moments
from wavspec.classifier.network import build_network
from wavspec.classifier.training import (
    Batches,
    Options,
    TrainingBatches,
    compile_network,
    set_up_tensorflow,
)
from wavspec.dataset import BACKGROUND_NOISE


def accuracy_of_fold(examples, targets, rows, tested, options):
    """Train on `rows`; return the network and its accuracy on the rows `tested`, in percent."""
    keras.utils.set_random_seed(options.seed)
    labels = targets.max() + 1
    network = build_network(examples.shape, labels, *moments(examples, rows))
    batches = TrainingBatches(examples, rows, targets, options)
    compile_network(network, options.epochs * len(batches))
    network.fit(batches, epochs=options.epochs, shuffle=False, verbose=0)
    predicted = network.predict(Batches(examples, tested, targets), verbose=0)
    return network, 100 * (predicted.argmax(axis=1) == targets[tested]).mean()


def cross_validate(folder, arguments):
    as_text = {"keep_default_na": False, "dtype": {"label": str, "speaker": str}}
    clips = pd.read_csv(f"{folder}/wavfile_df.csv", **as_text)
    split = pd.read_csv(f"{folder}/wavfile_split.csv", **as_text)
    used = (clips.valid & (clips.label != BACKGROUND_NOISE)).to_numpy()
    labels = sorted(set(clips.label[used]))
    targets = pd.Index(labels).get_indexer(clips.label)
    speakers = np.random.default_rng(0).permutation(split.speaker[used].unique())
    folds = np.array_split(speakers, arguments.of)[: arguments.folds]
    print(f"{used.sum():,} clips, {len(labels)} labels, {len(speakers)} speakers", flush=True)
    for features, file in (("spectrograms", "spec"), ("embeddings", "embed")):
        path, shape = f"{folder}/wavfile_{file}.dat", SHAPES[features]
        if not os.path.exists(path):
            continue
        examples = Examples(path, shape, np.empty((0, *shape), np.float32))
        accuracies, trained_on, before = [], 0, resource.getrusage(resource.RUSAGE_SELF)
        for fold in folds:
            held_out = split.speaker.isin(fold).to_numpy()
            rows, tested = np.flatnonzero(used & ~held_out), np.flatnonzero(used & held_out)
            options = Options(arguments.epochs, 32, 0)
            network, accuracy = accuracy_of_fold(examples, targets, rows, tested, options)
            accuracies.append(accuracy)
            trained_on += arguments.epochs * len(rows)
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        cells = [f"{network.count_params():,}", f"{1e6 * seconds / trained_on:,.0f}"]
        cells += [f"{accuracy:.1f}" for accuracy in (*accuracies, np.mean(accuracies))]
        print(f"| {features} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="the results of a run")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--of", type=int, default=5, help="parts that the speakers are cut into")
    parser.add_argument("--folds", type=int, help="how many of the parts are tested on: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    set_up_tensorflow(arguments.threads, 0)
    cross_validate(arguments.folder, arguments)


if __name__ == "__main__":
    main()
