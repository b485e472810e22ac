"""Parts of the summary of a run: the split, how to load the results, and errors without them."""

from .errors import WavspecError
from .front_end import EXAMPLE_SHAPE

SIDES_IN_ORDER = {
    "training": "training",
    "validation": "validation",
    "testing": "testing",
    "": "in no split",
}
# Settings that make clips valid, by the reason why they are invalid.
CURES = {
    "too short": "Too short: set `short_clips: pad` to append zeros to short clips.",
    "too long": "Too long: trim clips of single words, see Lengths in README.md; for continuous "
    "sound, set `long_clips: cut`.",
}


def sides_in_words(rows):
    """Return lines with the number of valid clips and speakers of each side, and what is missing.

    Args:
        rows: DataFrame of the rows of the spectrograms with the columns `file_name`, `label`,
            `valid` (bool), `speaker` and `split` (blank for clips without a side).
    """
    clips = rows[rows.valid].drop_duplicates("file_name")
    counts = clips.groupby("split").agg(clips=("label", "size"), speakers=("speaker", "nunique"))
    parts = [
        f"{counts.clips[side]} {words} ({counted(counts.speakers[side], 'speaker')})"
        for side, words in SIDES_IN_ORDER.items()
        if side in counts.index
    ]
    lines = [f"Split of the valid clips: {', '.join(parts)}"]
    words = clips[clips.split != ""]
    of_label = words.groupby(["label", "split"]).size().unstack(fill_value=0)
    gaps = []
    for side in list(SIDES_IN_ORDER)[:3]:
        if side not in of_label:
            gaps.append(f"none for {side}")
        elif (missing := of_label.index[of_label[side] == 0]).size:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            gaps.append(f"none for {side} of {', '.join(missing[:5])}{more}")
    if gaps:
        needed = "The classifier needs valid clips of each label in each split. There are"
        lines.append(f"{needed} {'; '.join(gaps)}. Add speakers, or set larger shares in `split`.")
    return "\n".join(lines)


def counted(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"


def loading_lines(results):
    """Return lines of Python that load the results, with `np` and `pd`.

    Labels and speakers are loaded as text, even if they look like numbers, truth values or missing
    values: `01`, `true`, `nan`.

    Args:
        results: the folder of the results.
    """
    spectrograms, clips, split = (
        f"{results}/{name}" for name in ("wavfile_spec.dat", "wavfile_df.csv", "wavfile_split.csv")
    )
    return f"""\
audio = np.fromfile({spectrograms!r}).reshape({(-1, *EXAMPLE_SHAPE)})
df = pd.read_csv({clips!r}, index_col=0, dtype={{"label": str}}, keep_default_na=False)
df = df.join(pd.read_csv({split!r}, index_col=0, dtype={{"speaker": str}}, keep_default_na=False))
"""


def check_some_valid(rows):
    """Raise WavspecError if no clip is valid, with the reasons and what to set.

    Args:
        rows: DataFrame with the columns `file_name`, `valid` (bool), `reason` and `detail`.
    """
    if rows.valid.any():
        return
    clips = rows.drop_duplicates("file_name")
    lines = [f"None of {len(clips)} clips is valid:"]
    for reason, count in clips.reason.value_counts().items():
        example = clips[clips.reason == reason].iloc[0]
        detail = f": {example.detail}" if example.detail else ""
        lines.append(f"  {count} {reason}, such as {example.file_name!r}{detail}")
    lines += [f"  {CURES[reason]}" for reason in CURES if (clips.reason == reason).any()]
    raise WavspecError("\n".join(lines))
