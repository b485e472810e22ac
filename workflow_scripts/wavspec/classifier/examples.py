"""The classifier's inputs: the clips in the tables, their classes, and their examples."""

import math
import os
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..dataset import BACKGROUND_NOISE as BACKGROUND
from ..dataset import SPLITS as SIDES
from ..errors import WavspecError
from ..split import split_by_hash

SHAPES = {"spectrograms": (96, 64), "embeddings": (128,)}
UNKNOWN = "_unknown_"
SILENCE = "_silence_"


class Examples(NamedTuple):
    """The network's inputs in a file: raw float64, C order, an example for each row."""

    path: str
    shape: tuple
    file_names: pd.Series  # the clip of each row

    def read(self, rows):
        """Return the examples of `rows`, an array of row numbers, as (n, *shape) float32.

        Raises:
            WavspecError: an example has NaN or infinite values.
        """
        # A new map for each call: pages that were read count as memory of this process until the
        # map is closed.
        mapped = np.memmap(self.path, np.float64, "r", shape=(len(self.file_names), *self.shape))
        examples = mapped[rows].astype(np.float32)
        finite = np.isfinite(examples).reshape(len(rows), -1).all(axis=1)
        if not finite.all():
            file_name = self.file_names[rows[finite.argmin()]]
            raise WavspecError(
                f"{self.path}: NaN or infinite values for the valid clip {file_name!r}"
            )
        return examples


def open_examples(path, features, clips):
    """Return the Examples of `clips` in the file `path`.

    Raises:
        WavspecError: the size of the file does not match the number of clips.
    """
    shape = SHAPES[features]
    size, needed = os.path.getsize(path), 8 * math.prod(shape) * len(clips)
    if size != needed:
        raise WavspecError(
            f"{path} has {size:,} bytes, but its {len(clips):,} rows need {needed:,}. "
            "Delete it and run again."
        )
    return Examples(path, shape, clips.file_name)


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


def read_clips(clips, split):
    """Return a DataFrame of all rows: file_name, label, valid, split, example.

    `split` is one of SIDES or blank; `example` counts the rows of a clip from 0.

    Args:
        clips: CSV file with the columns file_name, label and valid.
        split: CSV file with the column split; its row i describes the same example as row i of
            `clips`.

    Raises:
        WavspecError: a file is not such a table, or the two differ in their number of rows.
    """
    types = {"file_name": str, "label": str, "valid": bool}
    table, sides = read_columns(clips, types), read_columns(split, {"split": str})
    if len(table) != len(sides):
        raise WavspecError(
            f"{clips} has {len(table):,} rows, but {split} has {len(sides):,}. "
            "Delete both and run again."
        )
    return table.assign(split=sides.split, example=table.groupby("file_name").cumcount())


def read_columns(path, types):
    try:
        return pd.read_csv(path, usecols=list(types), dtype=types, keep_default_na=False)
    except ValueError as error:  # pandas' parser errors are ValueErrors, too
        raise WavspecError(
            f"{path} is not a table with the columns {', '.join(types)} ({error}). "
            "Delete it and run again."
        ) from error


def assign_targets(clips, words, percentages, seed):
    """Add the column `target`: the class of each example that the classifier uses, otherwise blank.

    With `words="all"`, each label is a class. With a list of words, all other labels are the class
    `_unknown_`; for each side, as many of their clips are drawn at random as there are of a listed
    word on average. `_background_noise_` becomes the class `_silence_`; each of its examples gets a
    side in the column `split`.

    A class without a training example cannot be learnt and is left out on all sides.

    Args:
        clips: DataFrame of `read_clips`, which is changed.
        words: "all", or a list of labels.
        percentages: {"validation": percent, "testing": percent}, the configuration's key `split`.
        seed: seed of the random choice.

    Returns:
        Sorted list of the labels that were left out.

    Raises:
        WavspecError: a listed word is not a label, fewer than two classes remain, or a side has no
            example.
    """
    clips["target"] = clips.label
    if words != "all":
        check_words(words, clips.label)
        background = clips.label == BACKGROUND
        clips.loc[background, "split"] = [
            split_by_hash(f"{os.path.basename(file_name)} {example}", **percentages)
            for file_name, example in zip(
                clips.file_name[background], clips.example[background], strict=True
            )
        ]
        clips.loc[background, "target"] = SILENCE
        clips.loc[~background & ~clips.label.isin(words), "target"] = UNKNOWN
    clips.loc[~clips.valid | (clips.split == ""), "target"] = ""
    if words != "all":
        clips.loc[surplus(clips, words, seed), "target"] = ""
    check_sides(clips)
    learnt = set(clips.target[clips.split == "training"]) - {""}
    clips.loc[~clips.target.isin(learnt), "target"] = ""
    check_classes(clips, learnt)
    return sorted(set(clips.label if words == "all" else words) - learnt)


def check_words(words, labels):
    missing = [word for word in words if word not in set(labels)]
    if missing:
        raise WavspecError(
            f"config key 'classifier.words': the dataset has no {', '.join(map(repr, missing))}. "
            f"It has {', '.join(sorted(set(labels) - {BACKGROUND}))}"
        )


def surplus(clips, words, seed):
    """Return the index of the examples of `_unknown_` beyond a listed word's average."""
    random = np.random.default_rng(seed)
    rows = []
    for side in SIDES:
        on_side = clips[(clips.split == side) & (clips.target != "")]
        listed = on_side[on_side.target.isin(words)].file_name.nunique()
        unknown = on_side[on_side.target == UNKNOWN]
        shuffled = random.permutation(unknown.file_name.unique())
        beyond = unknown.file_name.isin(shuffled[round(listed / len(words)) :])
        rows.extend(unknown.index[beyond])
    return rows


def check_sides(clips):
    counts = {side: int(((clips.split == side) & (clips.target != "")).sum()) for side in SIDES}
    empty = [side for side in SIDES if not counts[side]]
    if empty:
        counted = ", ".join(f"{count:,} for {side}" for side, count in counts.items())
        raise WavspecError(
            f"the classifier has no valid clip for {' and none for '.join(empty)} ({counted}). "
            "It needs clips of different speakers for each of the three: add clips, or write a "
            "validation_list.txt and a testing_list.txt into the dataset's folder."
        )


def check_classes(clips, learnt):
    if len(learnt) < 2:
        raise WavspecError(
            "the classifier needs two labels or more with valid training clips; "
            f"only {min(learnt)!r} has any. Add clips of another label"
        )
    for side in SIDES:
        if not ((clips.split == side) & (clips.target != "")).any():
            raise WavspecError(
                f"the labels with valid training clips have no valid {side} clip: "
                f"{', '.join(sorted(learnt))}. Add {side} clips of these labels"
            )
