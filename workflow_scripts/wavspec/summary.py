"""What the summary of a run says of the clips' sides, how to load the results, and what if none."""

from .front_end import EXAMPLE_SHAPE
from .run.errors import JobError

SIDES_IN_ORDER = {
    "training": "training",
    "validation": "validation",
    "testing": "testing",
    "": "on no side",
}
# What config.yaml can do about clips that are invalid for a reason.
CURES = {
    "too short": "`short_clips: pad` in config.yaml appends zeros to clips that are too short.",
    "too long": "`long_clips: cut` in config.yaml cuts clips that are too long into examples.",
}


def sides_in_words(rows):
    """Return the lines that say how many valid clips and speakers each side has, and what lacks.

    Args:
        rows: DataFrame of the rows of the spectrograms with the columns `file_name`, `label`,
            `valid` (bool), `speaker` and `split` (blank for clips on no side).
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
        needed = "The classifier needs valid clips of each label on each side. There are"
        lines.append(f"{needed} {'; '.join(gaps)}")
    return "\n".join(lines)


def counted(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"


def loading_lines(results):
    """Return the lines of Python that load the results, with `np` and `pd`, from a folder.

    Labels and speakers come back as they are, even if they look like numbers, truth values or
    missing values: `01`, `true`, `nan`.

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
    """Raise JobError if no clip is valid, with the reasons and what helps.

    Args:
        rows: DataFrame with the columns `file_name`, `valid` (bool), `reason` and `detail`.
    """
    if rows.valid.any():
        return
    clips = rows.drop_duplicates("file_name")
    lines = [f"No clip is valid, of {len(clips)}:"]
    for reason, count in clips.reason.value_counts().items():
        example = clips[clips.reason == reason].iloc[0]
        detail = f": {example.detail}" if example.detail else ""
        lines.append(f"  {count} {reason}, such as {example.file_name!r}{detail}")
    lines += [f"  {CURES[reason]}" for reason in CURES if (clips.reason == reason).any()]
    raise JobError("\n".join(lines))
