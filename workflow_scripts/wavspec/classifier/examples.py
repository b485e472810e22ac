"""The classifier's inputs: the rows of the tables, their classes, and their examples."""

import math
import os
from typing import NamedTuple

import numpy as np

from ..audio import InvalidClipError, read_clip
from ..dataset import BACKGROUND_NOISE, SPLITS
from ..errors import WavspecError
from ..front_end import EXAMPLE_LENGTH, SAMPLE_RATE, examples_of
from ..split import split_by_hash

SHAPES = {"spectrograms": (96, 64), "embeddings": (128,)}
SILENCE, UNKNOWN = "_silence_", "_unknown_"  # classes
# With a list of words, these labels become those classes, and all others that are not listed, too.
SILENCE_LABELS = (BACKGROUND_NOISE, SILENCE, "silence")
UNKNOWN_LABELS = (UNKNOWN, "unknown")


class Examples(NamedTuple):
    """The network's inputs: a file of raw float64, C order, and further examples after its rows."""

    path: str
    shape: tuple
    further: np.ndarray  # (n, *shape) float32

    def read(self, rows):
        """Return the examples of `rows`, an array of row numbers, as (n, *shape) float32."""
        # A new map for each call: pages that were read count as memory of this process until the
        # map is closed.
        mapped = np.memmap(self.path, np.float64, "r").reshape(-1, *self.shape)
        examples = np.empty((len(rows), *self.shape), np.float32)
        in_file = rows < len(mapped)
        examples[in_file] = mapped[rows[in_file]]
        examples[~in_file] = self.further[rows[~in_file] - len(mapped)]
        return examples


def moments(examples, rows):
    """Return mean and variance, (64,) or (128,) float64, along the last axis of the rows `rows`.

    The last axis has the mel bands, or the numbers of an embedding. A constant one gets variance 1,
    to avoid division by zero.
    """
    total = squares = count = 0
    for batch in np.array_split(rows, math.ceil(len(rows) / 256)):
        values = examples.read(batch).astype(np.float64).reshape(-1, examples.shape[-1])
        count += len(values)
        total = total + values.sum(axis=0)
        squares = squares + np.square(values).sum(axis=0)
    mean = total / count
    variance = squares / count - np.square(mean)
    return mean, np.where(variance > 1e-9, variance, 1)


def read_long_silence(rows, dataset):
    """Read the recordings of SILENCE_LABELS that are too long to be valid clips.

    They are read into memory, with 25 kB for each example.

    Args:
        rows: DataFrame of the rows of all labels, see `rows.read_table`, with `label`.
        dataset: the dataset's folder.

    Returns:
        (DataFrame of a row for each example, with the columns of `rows`; (n, 96, 64) float32; list
        of the recordings without an example).

    Raises:
        ClipChangedError: a recording has changed since its row was written.
        MachineError: it cannot be read now.
    """
    found, examples, without = [], [np.empty((0, *SHAPES["spectrograms"]), np.float32)], []
    for row in rows[rows.label.isin(SILENCE_LABELS) & (rows.reason == "too long")].itertuples():
        state = int(row.size), int(row.mtime_ns)
        segment = row.start and float(row.start), row.end and float(row.end)
        try:
            waveform = read_clip(os.path.join(dataset, row.path), state, segment, long_clips="cut")
        except InvalidClipError:
            without.append(row.path)
            continue
        examples.append(examples_of(waveform.samples).astype(np.float32))
        found += [row.Index] * len(examples[-1])
    further = rows.loc[found].assign(valid=True)
    further["example"] = further.groupby("path").cumcount().astype(str)
    return further.reset_index(drop=True), np.concatenate(examples), without


def assign_targets(rows, words, percentages, hop, seed):
    """Add the column `target`: the class of each example that the classifier uses, otherwise blank.

    With `words="all"`, each label is a class. With a list of words, SILENCE_LABELS are the class
    `_silence_`, and all other labels that are not listed the class `_unknown_`. Of these two, as
    many clips are drawn at random for each split as there are of a listed word on average.
    `_background_noise_` is split here, see `split_recordings`.

    A class without a training example cannot be learnt and is left out of all splits.

    Args:
        rows: DataFrame of all examples and invalid clips: path, label, valid, example (text, from
            0 in each clip) and split (one of SPLITS or blank). It gets the columns `target`,
            `clip_id` (a number for each clip) and, for `_background_noise_`, a new `split`.
        words: "all", or a list of labels.
        percentages: {"validation": percent, "testing": percent}, the configuration's key `split`.
        hop: seconds between the starts of examples, see config.yaml.
        seed: seed of the random choice.

    Returns:
        Series: the class of each row, also of those that are not used.

    Raises:
        WavspecError: a listed word is not a label, fewer than two classes remain, or a split has no
            example.
    """
    rows["clip_id"] = (rows.example == "0").cumsum() - 1
    rows["example"] = rows.example.astype(int)
    classes = rows.label
    if words != "all":
        listed = [word for word in words if word not in (*SILENCE_LABELS, *UNKNOWN_LABELS)]
        check_words(words, listed, rows.label)
        classes = rows.label.where(rows.label.isin(listed), UNKNOWN)
        classes = classes.mask(rows.label.isin(SILENCE_LABELS), SILENCE)
        split_recordings(rows, percentages, hop)
        # Each second of silence counts as a clip.
        silence = classes == SILENCE
        rows.loc[silence, "clip_id"] = len(rows) + np.arange(silence.sum())
    rows["target"] = classes.where(rows.valid & (rows.split != ""), "")
    if words != "all":
        random = np.random.default_rng(seed)
        for split in SPLITS:
            rows.loc[surplus(rows[rows.split == split], listed, random), "target"] = ""
    learnt = set(rows.target[rows.split == "training"]) - {""}
    check_classes(rows, learnt)
    rows.loc[~rows.target.isin(learnt), "target"] = ""
    return classes


def check_words(words, listed, labels):
    found = set(labels)
    if found.intersection(SILENCE_LABELS):
        found.update(SILENCE_LABELS)
    missing = [word for word in words if word not in found.union(UNKNOWN_LABELS)]
    if missing or not listed:
        fault = f"the dataset has no {', '.join(map(repr, missing))}" if missing else "no word"
        raise WavspecError(
            f"config key 'classifier.words': {fault}. "
            f"It has {', '.join(sorted(set(labels) - {BACKGROUND_NOISE}))}"
        )


def split_recordings(rows, percentages, hop):
    """Split the valid examples of `_background_noise_` that are in no split, by time.

    The last part of each recording is for testing, the part before it for validation. Examples
    between two parts that share sound with the next one are in no split. A hash of its name decides
    the split of a recording of few examples.
    """
    gap = math.ceil(EXAMPLE_LENGTH / SAMPLE_RATE / hop) - 1
    noise = rows[(rows.label == BACKGROUND_NOISE) & rows.valid & (rows.split == "")]
    for _, recording in noise.groupby("clip_id"):
        if len(recording) < 8 + 2 * gap:
            name = os.path.basename(recording.path.iloc[0])
            rows.loc[recording.index, "split"] = split_by_hash(name, **percentages)
            continue
        splits = np.full(len(recording), "training", object)
        end = len(splits)
        for split in ("testing", "validation"):
            if percentages[split]:
                start = max(0, end - max(1, round(len(splits) * percentages[split] / 100)))
                before = max(0, start - gap)
                splits[start:end], splits[before:start] = split, ""
                end = before
        rows.loc[recording.index, "split"] = splits


def surplus(rows, listed, random):
    """Return the index of the clips of `_unknown_` and `_silence_` beyond a listed word's average.

    Args:
        rows: DataFrame of the rows of a split.
        listed: list of the words.
        random: numpy Generator.
    """
    most = round(rows.clip_id[rows.target.isin(listed)].nunique() / len(listed))
    beyond = []
    for name in (UNKNOWN, SILENCE):
        clips = rows.clip_id[rows.target == name]
        drawn = random.permutation(clips.unique())[:most]
        beyond += list(clips.index[~clips.isin(drawn)])
    return beyond


def check_classes(rows, learnt):
    """Raise WavspecError if there is only one class `learnt`, or a split has no example."""
    if len(learnt) == 1:
        raise WavspecError(
            "the classifier needs two labels or more with valid training clips; "
            f"only {min(learnt)!r} has any. Add clips of another label"
        )
    used = rows.split[rows.target.isin(learnt or set(rows.target) - {""})]
    counts = used.value_counts().reindex(SPLITS, fill_value=0)
    if empty := list(counts.index[counts == 0]):
        counted = ", ".join(f"{count:,} for {split}" for split, count in counts.items())
        raise WavspecError(
            f"the classifier has no valid example for {' and none for '.join(empty)} ({counted}; "
            "of labels with training clips). Name clips of these labels in validation_list.txt and "
            "testing_list.txt in the dataset's folder: one on each line, as a path below the folder"
        )
