"""Parts of the summary of a run: the split, how to load the results, and errors without them."""

import json

from .dataset import SPLITS
from .errors import WavspecError
from .front_end import EXAMPLE_SHAPE
from .split_checks import counted, warn_of_speakers

# Settings that make clips valid, by the reason why they are invalid.
CURES = {
    "too short": "Too short: set `short_clips: pad` to append zeros to short clips.",
    "too long": "Too long: trim clips of single words, see Lengths in README.md; for continuous "
    "sound, set `long_clips: cut`.",
}


def split_summary(clips):
    """Return lines with the number of valid clips and speakers in each split.

    Args:
        clips: DataFrame of all clips with the columns path, label, valid (bool), speaker and split.
    """
    valid = clips[clips.valid]
    counts = valid.groupby("split").size()
    speakers = valid[valid.speaker != ""].groupby("split").speaker.nunique()
    parts = [
        f"{counts.get(split, 0)} {split}"
        + (f" ({counted(speakers[split], 'speaker')})" if split in speakers else "")
        for split in SPLITS
    ]
    parts += [f"{counts['']} in no split"] if "" in counts else []
    divided = clips[clips.split != ""]
    promise = [] if warn_of_speakers(divided) else ["No speaker is in two splits."]
    return [f"Split of the valid clips: {', '.join(parts)}", *promise]


def loading_lines(results):
    """Return lines of Python that load the results, with `np` and `pd`.

    Labels and speakers are loaded as text, even if they look like numbers, truth values or missing
    values: `01`, `true`, `nan`.

    Args:
        results: the folder of the results.
    """
    array, clips, split = (
        json.dumps(f"{results}/{name}", ensure_ascii=False)
        for name in ("wavfile_spec.dat", "wavfile_df.csv", "wavfile_split.csv")
    )
    return f"""\
audio = np.memmap({array}, mode="r", dtype=float).reshape({(-1, *EXAMPLE_SHAPE)})
text = {{"dtype": {{"label": str, "speaker": str}}, "keep_default_na": False}}
df = pd.read_csv({clips}, index_col=0, **text)
df = df.join(pd.read_csv({split}, index_col=0, **text))
"""


def check_some_valid(rows):
    """Raise WavspecError if no clip is valid, with the reasons and what to set.

    Args:
        rows: DataFrame with the columns `file_name`, `valid` (bool), `reason`, `detail`, `example`.
    """
    if rows.valid.any():
        return
    clips = rows[rows.example == "0"]
    lines = [f"None of {len(clips)} clips is valid:"]
    for reason, count in clips.reason.value_counts().items():
        example = clips[clips.reason == reason].iloc[0]
        detail = f": {example.detail}" if example.detail else ""
        lines.append(f"  {count} {reason}, such as {example.file_name!r}{detail}")
    lines += [f"  {CURES[reason]}" for reason in CURES if (clips.reason == reason).any()]
    raise WavspecError("\n".join(lines))
