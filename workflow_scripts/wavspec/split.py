"""The speaker of each clip, and its split: training, validation or testing."""

import hashlib
import os
from functools import cache

import numpy as np
import pandas as pd

from .dataset import BACKGROUND_NOISE, SPLIT_NAMES, SPLITS, compiled, matched
from .lists import clips_in

NOHASH = "_nohash_"
# In the published test set of Speech Commands, a word can stand before the speaker:
# backward_0c540988_nohash_0.wav.wav
WORD_BEFORE_SPEAKER = r"(?s)^.*_(?=[0-9a-f]{8}\Z)"


def split_of(rows, lists, path_pattern, shares, given=None):
    """Return the speaker and the split of every row of the array.

    The first of these that applies decides the split of a clip:

    1. the clips table: the column `split` of `given`;
    2. the dataset's lists, if they name the clip;
    3. the pattern's group `split`;
    4. a folder above the label whose name is in SPLIT_NAMES, if there are such folders for
       training;
    5. training, if the lists name other clips of the label;
    6. the split of the speaker's other clips, if 1 to 5 put them into one split;
    7. the hash, see `split_by_hash`.

    Clips of `_background_noise_` are in no split, unless 1, 2 or 3 applies. If that leaves
    validation or testing empty, the hash takes speakers for them from training, see
    `fitting_shares`; but not if it alone decides.

    Args:
        rows: DataFrame of the rows of all labels: text columns path, label and example (`"0"` for
            the first row of a clip).
        lists: {split: bytes} of the dataset's lists, see `lists.read_lists`.
        path_pattern: regular expression that all paths match, see `dataset.matched`.
        shares: {"validation": percent, "testing": percent} of the speakers, for the hash.
        given: DataFrame with the index of `rows` and the text columns speaker and split, or one of
            them, from the clips table. Blank values are unknown.

    Returns:
        (DataFrame whose row i describes row i of the array, with the text columns
        speaker: blank if unknown;
        split: one of SPLITS, or blank;
        decided_by: `table`, `lists`, `pattern`, `folders`, `hash`, `training` (taken from there by
        the hash) or blank;
        list of warnings about lists and folders as text).
    """
    first = rows.example == "0"
    clips = rows.loc[first, ["path", "label"]]
    pattern = compiled(path_pattern)
    parsed = pd.DataFrame(
        [parse_path(matched(pattern, path)) for path in clips.path],
        clips.index,
        ["speaker", "split", "folder"],
        dtype=object,
    )
    given = pd.DataFrame(given, clips.index, ["speaker", "split"], dtype=object).replace("", None)
    listed, warnings = clips_in(lists, set(clips.path))
    in_list = clips.path.map(listed).astype(object)
    of_listed_label = clips.label.isin(clips.label[in_list.notna()])

    clips["speaker"] = speakers(clips.path, given.speaker.fillna(parsed.speaker))
    split = pd.Series(None, clips.index, object)
    decided_by = pd.Series("", clips.index)

    def decide(by, splits):
        new = split.isna() & splits.notna()
        split[new] = splits[new]
        decided_by[new] = by

    decide("table", given.split)
    decide("lists", in_list)
    decide("pattern", parsed.split)
    decide("", pd.Series("", clips.index).where(clips.label == BACKGROUND_NOISE))
    if (parsed.folder == "training").any():
        decide("folders", parsed.folder)
    decide("lists", pd.Series("training", clips.index).where(of_listed_label))
    decide("hash", split_of_other_clips(clips.speaker, split))
    warnings += warn_of_folders(clips.path[split.isna()], parsed.folder)
    decide("hash", hashed_names(clips).map(lambda name: split_by_hash(name, **shares)))

    missing = [name for name, share in shares.items() if share and not (split == name).any()]
    names = hashed_names(clips[split == "training"])
    by_hash_alone = decided_by.isin(["hash", ""]).all()
    if missing and not by_hash_alone and (fit := fitting_shares(names, shares, missing)):
        taken = names.map(lambda name: split_by_hash(name, **fit))
        taken = taken[taken.isin(missing)]
        split[taken.index] = taken
        decided_by[taken.index] = "training"
    table = pd.DataFrame({"speaker": clips.speaker, "split": split, "decided_by": decided_by})
    return table.iloc[first.cumsum() - 1].reset_index(drop=True), warnings


def parse_path(match):
    """Return the speaker, the split, and the split of a folder above the label, from a clip's path.

    Each is None if it is not in the path.
    """
    groups = match.groupdict()
    start = match.start("label")  # -1 if the group is not in the match: all folders are above it
    return (
        groups.get("speaker") or None,
        SPLIT_NAMES.get((groups.get("split") or "").lower()),
        split_of_folders(os.path.dirname(match.string[:start])),
    )


@cache
def split_of_folders(path):
    """Return the split of the last folder of a path that has a name in SPLIT_NAMES, or None."""
    splits = [SPLIT_NAMES[name] for name in path.lower().split("/") if name in SPLIT_NAMES]
    return splits[-1] if splits else None


def speakers(paths, known):
    """Return the speaker of each clip: if not in `known`, the part of its name before `_nohash_`.

    Blank if the name has no such part.
    """
    parts = paths.map(os.path.basename).str.partition(NOHASH)
    in_names = parts[0].where(parts[1] != "", "")
    return known.fillna(in_names.str.replace(WORD_BEFORE_SPEAKER, "", regex=True))


def hashed_names(clips):
    """Return the name of each clip for the hash: its speaker or, if unknown, the file's name.

    As in the published rule, the ending is part of that name.
    """
    names = clips.path.map(lambda path: os.path.basename(path).partition(NOHASH)[0])
    return clips.speaker.where(clips.speaker != "", names)


def split_of_other_clips(speaker, split):
    """Return the split of each speaker whose clips are in one split so far."""
    decided = split.isin(SPLITS) & (speaker != "")
    pairs = pd.DataFrame({"speaker": speaker, "split": split})[decided].drop_duplicates()
    in_one = pairs.drop_duplicates("speaker", keep=False)
    return speaker.map(in_one.set_index("speaker").split)


@cache
def percentage_of(name):
    """Return a hash of a name, from 0 to 100, as published with Speech Commands.

    Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", 2018, section 7:
    SHA-1, modulo 2**27, as a percentage.
    """
    place = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2**27
    return place * (100 / (2**27 - 1))


def split_by_hash(name, validation, testing):
    """Return the split of a speaker, by the rule that made the lists of Speech Commands.

    It depends only on the name. Therefore adding clips never moves existing ones to another split,
    and no speaker is in two splits.

    Args:
        name: see `hashed_names`.
        validation, testing: percent of the speakers for these splits.
    """
    percentage = percentage_of(name)
    if percentage < validation:
        return "validation"
    return "testing" if percentage < validation + testing else "training"


def fitting_shares(names, shares, needed):
    """Return percentages with which the hash puts some of `names` into training and `needed`.

    They are `shares`, if those do. Otherwise they are the whole percentages that come closest.

    Args:
        names: collection of speakers, see `hashed_names`.
        shares: {"validation": percent, "testing": percent} of the speakers.
        needed: list of `validation`, `testing` or both.

    Returns:
        Dictionary as `shares`, or None if there are too few names, or some within one percent.
    """
    names = set(names)
    if {split_by_hash(name, **shares) for name in names} >= {"training", *needed}:
        return shares
    # The number of names below each percentage.
    below = np.searchsorted(sorted(map(percentage_of, names)), range(100))
    fits = []
    for validation in range(1, 100) if "validation" in needed else [0]:
        for testing in range(1, 100 - validation) if "testing" in needed else [0]:
            first, second = below[validation], below[validation + testing]
            sizes = {
                "validation": first,
                "testing": second - first,
                "training": len(names) - second,
            }
            if all(sizes[split] for split in ("training", *needed)):
                distance = sum(
                    abs(sizes[name] - len(names) * shares[name] / 100) for name in needed
                )
                fits.append((distance, validation, testing))
    return dict(zip(("validation", "testing"), min(fits)[1:], strict=True)) if fits else None


def warn_of_folders(paths, folders):
    """Return a warning if clips are in folders such as test/, which do not decide.

    Args:
        paths: Series of the clips whose split is not decided by anything else.
        folders: Series of the splits of the folders above the labels, or None.
    """
    named = folders[paths.index].dropna()
    if not len(named):
        return []
    return [
        f"{clips_in_words(paths[named.index])} in a folder for {' or '.join(sorted(set(named)))} "
        "can be in another split. Such folders decide only if there are some for training. A group "
        "'split' in path_pattern always decides"
    ]


def clips_in_words(paths):
    if len(paths) == 1:
        return f"1 clip ({paths.iloc[0]!r})"
    return f"{len(paths)} clips (such as {min(paths)!r})"
