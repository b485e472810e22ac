"""The speaker of each clip, and its side of the split: training, validation or testing."""

import hashlib
import os
from functools import cache

import pandas as pd

from .dataset import SIDES, compiled, matched
from .lists import clips_in

NO_WORDS = "_background_noise_"  # a label whose clips are in no split
NOHASH = "_nohash_"


def split_of(rows, lists, path_pattern, shares):
    """Return the speaker and the split of every row of the array.

    Args:
        rows: DataFrame of the rows of all labels; uses the columns `path` and `label`.
        lists: {split: bytes} of the dataset's lists, see `lists.read_lists`.
        path_pattern: regular expression that the clips' paths match, see `dataset.matched`.
        shares: {"validation": percent, "testing": percent} of the speakers, for clips whose split
            is not decided by lists, the pattern or folders.

    Returns:
        (DataFrame with the text columns speaker and split (training, validation, testing, or blank
        for `_background_noise_`), whose row i describes row i of the array; list of warnings as
        text).
    """
    # A long clip has several rows.
    clips = rows[["path", "label"]].drop_duplicates("path").set_index("path", drop=False)
    sides, warnings = speakers_and_sides(clips, lists, path_pattern, shares)
    return sides.loc[rows["path"]].reset_index(drop=True), warnings


def speakers_and_sides(clips, lists, path_pattern, shares):
    """Return the speaker and the side of every clip.

    The first of these that applies decides a clip's side:

    1. the dataset's lists, if they name the clip;
    2. the pattern's group `split`;
    3. a folder above the label whose name is in SIDES, if there are such folders for training and
       for another side;
    4. training, if the lists name other clips of the label;
    5. the rule, see `side_by_rule`.

    Clips of `_background_noise_` have no side, unless 1 or 2 applies.

    Args:
        clips: DataFrame with the columns `path` (below the dataset, unique) and `label`.
        lists: {side: bytes} of the dataset's lists, see `lists.read_lists`.
        path_pattern: regular expression that all paths match, see `dataset.matched`.
        shares: {"validation": percent, "testing": percent} of the speakers, for the rule.

    Returns:
        (DataFrame with the index of `clips` and the text columns `speaker` and `split`, blank for
        clips without a side; list of warnings in words).
    """
    pattern = compiled(path_pattern)
    said = pd.DataFrame(
        [said_by(matched(pattern, path)) for path in clips.path],
        clips.index,
        ["speaker", "side", "folder"],
        dtype=object,
    )
    listed, warnings = clips_in(lists, set(clips.path))
    in_lists = clips.path.isin(listed)
    folders_decide = {"training"} < set(said.folder.dropna())

    speaker = said.speaker.fillna(clips.path.map(speaker_in_name))
    side = clips.path.map(listed).astype(object).fillna(said.side)
    side[side.isna() & (clips.label == NO_WORDS)] = ""
    if folders_decide:
        side = side.fillna(said.folder)
    side[side.isna() & clips.label.isin(clips.label[in_lists])] = "training"
    by_rule = side.isna()
    side[by_rule] = [side_by_rule(name, **shares) for name in speaker[by_rule]]

    if listed:
        warnings += warn_of_labels(clips[by_rule])
    warnings += warn_of_folders(clips.path[by_rule], said.folder[by_rule], folders_decide)
    unnamed = by_rule & said.speaker.isna() & ~clips.path.str.contains(f"{NOHASH}[^/]*$")
    warnings += warn_of_speakers(clips.path[unnamed], len(clips))
    return pd.DataFrame({"speaker": speaker, "split": side}), warnings


def said_by(match):
    """Return the speaker, the side, and the side of a folder above the label, from a clip's path.

    Each is None if it is not in the path.
    """
    groups = match.groupdict()
    start = match.start("label")  # -1 if the group is not in the match: all folders are above it
    return (
        groups.get("speaker") or None,
        SIDES.get((groups.get("split") or "").lower()),
        side_of_folders(os.path.dirname(match.string[:start])),
    )


@cache
def side_of_folders(path):
    """Return the side of the last folder of a path that has a name in SIDES, or None."""
    sides = [SIDES[name] for name in path.lower().split("/") if name in SIDES]
    return sides[-1] if sides else None


def speaker_in_name(path):
    """Return the speaker for the rule: the file's name before `_nohash_`, or all of it.

    As in the published rule, the ending is part of the speaker if there is no `_nohash_`.
    """
    return os.path.basename(path).partition(NOHASH)[0]


@cache
def side_by_rule(speaker, validation, testing):
    """Return the side of a speaker, by the rule that made the lists of Speech Commands.

    It depends only on the speaker's name. Therefore adding clips never moves existing ones to
    another side, and no speaker is on two sides. (Warden, "Speech Commands: A Dataset for
    Limited-Vocabulary Speech Recognition", 2018, section 7: a hash of the name, modulo 2**27, as a
    percentage.)

    Args:
        speaker: name.
        validation, testing: percent of the speakers for these sides.
    """
    place = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27
    percentage = place * (100 / (2**27 - 1))
    if percentage < validation:
        return "validation"
    return "testing" if percentage < validation + testing else "training"


def warn_of_labels(by_rule):
    """Return a warning about labels without a clip in the lists.

    Args:
        by_rule: DataFrame of the clips whose side the rule decides.
    """
    labels = sorted(by_rule.label.unique())
    if not labels:
        return []
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return [
        f"no clip of {', '.join(map(repr, labels[:5]))}{more} is in the lists: a hash of the "
        f"speaker decides the split of {clips_in_words(by_rule.path)}"
    ]


def warn_of_folders(paths, folders, decide):
    """Return a warning if folders such as train/ decide for some clips only, or not at all.

    Args:
        paths: Series of the clips whose side the rule decides.
        folders: Series of the sides of the folders above their labels, or None.
        decide: whether such folders decide.
    """
    if decide and len(paths):
        return [
            "folders such as train/ and test/ decide the split, but a hash of the speaker decides "
            f"that of {clips_in_words(paths)} outside of them"
        ]
    named = folders.dropna()
    if len(named):
        sides = " or ".join(sorted(set(named)))
        return [
            f"{clips_in_words(paths[named.index])} in a folder for {sides} can be in another "
            "split. Such folders decide only if there are some for training and for another split. "
            "A group 'split' in path_pattern always decides"
        ]
    return []


def warn_of_speakers(paths, count):
    """Return a warning about names without a speaker.

    Args:
        paths: Series of the clips without `_nohash_` in their names whose side the rule decides.
        count: number of all clips.
    """
    if not len(paths):
        return []
    return [
        f"{len(paths)} of {count} clips, such as {min(paths)!r}, have no {NOHASH} in their names: "
        "each file name counts as a speaker, and clips of one person can be in several splits. "
        "Rename them to SPEAKER_nohash_NUMBER.wav, or add a group 'speaker' to path_pattern"
    ]


def clips_in_words(paths):
    if len(paths) == 1:
        return f"1 clip ({paths.iloc[0]!r})"
    return f"{len(paths)} clips (such as {min(paths)!r})"
