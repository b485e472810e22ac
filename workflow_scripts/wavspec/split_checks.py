"""What the split promises, checked: where speakers are, which splits exist, what has no effect.

The functions take a DataFrame of clips, or of rows of the array, with the text columns of
`wavfile_split.csv`: speaker (blank if unknown) and split (blank for clips in no split).
"""

import pandas as pd

from .dataset import SPLITS
from .split import clips_in_words, fitting_shares, hashed_names, split_by_hash

# The percentages of Speech Commands, and the defaults of the configuration.
SHARES = {"validation": 10, "testing": 10}
# What decides the split, see `split.split_of`, and how to let the hash decide instead.
DECIDED_BY = {
    "table": ("the column `split` of the clips table", "remove that column"),
    "lists": ("the lists of the dataset", "delete the lists"),
    "pattern": ("the group 'split' of path_pattern", "remove that group"),
    "folders": ("folders such as train/ and test/", "rename these folders"),
}
# A few clips, each of another speaker, are usual.
FEW_CLIPS = 10


def shared_speakers(table):
    """Return the speakers that are in more than one split.

    Returns:
        DataFrame with the index speaker and the columns of SPLITS: numbers of rows in each.
    """
    known = table[table.speaker != ""]
    counts = pd.crosstab(known.speaker, known.split).reindex(columns=SPLITS, fill_value=0)
    return counts[(counts > 0).sum(axis=1) > 1]


def speakers_in_testing(table):
    """Return in words how many testing speakers are also in training."""
    tested = table[table.split == "testing"].speaker
    speakers = set(tested) - {""}
    shared = speakers.intersection(table.speaker[table.split == "training"])
    parts = []
    if shared:
        parts.append(
            f"{some_of(shared, speakers, 'testing speaker')} also in training: expect less on new "
            "speakers"
        )
    elif speakers:
        parts.append(f"none of {counted(len(speakers), 'testing speaker')} is in training")
    if unknown := (tested == "").sum():
        parts.append(f"the speakers of {unknown} of {len(tested)} testing examples are unknown")
    return "; ".join(parts)


def split_warnings(clips, shares):
    """Return the warnings about the split, as text.

    Args:
        clips: DataFrame of the clips: path, label, and the columns of `split.split_of`.
        shares: {"validation": percent, "testing": percent}, the configuration's key `split`.
    """
    clips = clips[clips.split != ""]
    return [
        *warn_of_speakers(clips),
        *warn_of_missing_splits(clips, shares),
        *warn_of_the_rest(clips),
        *warn_of_no_effect(clips, shares),
    ]


def warn_of_speakers(clips):
    """Return warnings if speakers are in several splits, or can be. Otherwise, none is."""
    warnings = []
    speakers = clips.speaker[clips.speaker != ""]
    shared = shared_speakers(clips)
    if len(shared):
        example = shared.sum(axis=1).idxmax()
        counts = [f"{count} {split}" for split, count in shared.loc[example].items() if count]
        warnings.append(
            f"{some_of(shared, set(speakers), 'speaker')} in more than one split, such as "
            f"{example!r} ({', '.join(counts)} clips): expect less accuracy on new speakers"
        )
    unknown = clips.path[clips.speaker == ""]
    if len(unknown):
        warnings.append(
            f"{len(unknown)} of {len(clips)} clips, such as {min(unknown)!r}, have no known "
            "speaker, and clips of one person can be in several splits. Name them "
            "SPEAKER_nohash_NUMBER.wav, or add a group 'speaker' to path_pattern or a column "
            "'speaker' to the table"
        )
    lonely = ~speakers.duplicated(keep=False)
    # By label, because something can stand before the speaker in the names of one label alone.
    in_label = lonely.groupby(clips.label).transform("mean")
    hidden = clips.loc[lonely.index[lonely & (in_label > 0.9)]]
    if len(hidden) >= FEW_CLIPS:
        warnings.append(
            f"{len(hidden)} of {len(clips)} clips, such as {hidden.path.iloc[0]!r}, are the only "
            f"ones of their speaker, such as {hidden.speaker.iloc[0]!r}. If this is more than the "
            "speaker, clips of one person can be in several splits: add a group 'speaker' to "
            "path_pattern"
        )
    return warnings


def warn_of_missing_splits(clips, shares):
    """Return a warning if all clips are in one split, or if what decides leaves one empty."""
    hash_decides = (clips.decided_by == "hash").all()
    known = clips[clips.speaker != ""]
    divided = known if hash_decides and len(known) else clips
    present = [split for split in SPLITS if (divided.split == split).any()]
    missing = [split for split in SPLITS if split not in present and shares.get(split, 1)]
    # Three clips are needed for three splits.
    if not missing or len(divided) < len(SPLITS) or (hash_decides and len(present) > 1):
        return []
    names = set(hashed_names(divided))
    noun = "speaker" if len(known) else "file name"
    if hash_decides:
        of = " with a known speaker" if len(divided) < len(clips) else ""
        text = (
            f"all {len(divided)} clips{of} are in {present[0]}: a hash puts "
            f"{counted(len(names), noun)} there{of_speech_commands(names)}"
        )
    else:
        text = f"all {len(divided)} clips are in {' or '.join(present)}: {decided(divided)}"
    fit = fitting_shares(names, shares, [name for name, share in shares.items() if share])
    if fit is None or (not hash_decides and "training" in present):
        folders = "put clips into folders train/, val/ and test/ above the labels"
        return [f"{text}. Add {noun}s for {' and '.join(missing)}, or {folders}"]
    counts = pd.Series([split_by_hash(name, **fit) for name in names]).value_counts()
    sizes = ", ".join(f"{counts.get(split, 0)} in {split}" for split in SPLITS)
    setting = "`split: {{validation: {validation:g}, testing: {testing:g}}}`".format(**fit)
    removals = [DECIDED_BY[by][1] for by in DECIDED_BY if (divided.decided_by == by).any()]
    cure = " and ".join([*removals, f"set {setting}"])
    return [f"{text}. For {counted(len(names), noun)} as {sizes}: {cure}"]


def of_speech_commands(names):
    """Return a clause if these are names of one split of Speech Commands, otherwise ""."""
    splits = {split_by_hash(name, **SHARES) for name in names}
    if len(splits) == 1 and pd.Series(list(names)).str.fullmatch("[0-9a-f]{8}").all():
        return f", like all speakers of the {splits.pop()} split of Speech Commands"
    return ""


def warn_of_the_rest(clips):
    """Return warnings if the hash decides for some clips, but not for all."""
    taken = clips[clips.decided_by == "training"]
    rest = clips.path[clips.decided_by == "hash"]
    warnings = []
    if len(taken):
        counts = [f"{count} for {split}" for split, count in taken.split.value_counts().items()]
        training = len(taken) + (clips.split == "training").sum()
        warnings.append(
            f"{decided(clips)}, with no clip for {' or '.join(sorted(set(taken.split)))}: a hash "
            f"takes {' and '.join(counts)} from the {training} for training, with the shares in "
            "`split`, but at least one speaker"
        )
    if 0 < len(rest) < len(clips):
        warnings.append(
            f"{decided(clips)}, but for {clips_in_words(rest)} by the speaker's other clips, or by "
            "a hash"
        )
    return warnings


def warn_of_no_effect(clips, shares):
    """Return a warning if `shares` are set but nothing depends on them."""
    if shares == SHARES or not len(clips) or clips.decided_by.isin(["hash", "training"]).any():
        return []
    return [f"config key 'split' has no effect: {decided(clips)}"]


def decided(clips):
    """Return in words what decides the split of `clips`, apart from the hash."""
    what = [DECIDED_BY[by][0] for by in DECIDED_BY if (clips.decided_by == by).any()]
    return f"the split is decided by {' and '.join(what)}"


def some_of(some, all_of_them, noun):
    are = "is" if len(some) == 1 else "are"
    return f"{len(some)} of {counted(len(all_of_them), noun)} {are}"


def counted(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"
