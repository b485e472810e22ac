"""Which side of training, validation and testing each clip is on: the data set's official split."""

import os
from collections import Counter
from pathlib import Path

from wavspec.chunk import read_tables
from wavspec.run.files import new_csv
from wavspec.run.job import job, warn
from wavspec.sides import side_by_rule

SPLIT_FIELDS = ["", "speaker", "split"]
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
NO_WORDS = "_background_noise_"  # the label whose clips are on no side


def write_split(rows, dataset, percentages, split):
    """Write the speaker and the side of every clip.

    The sides are those of the dataset's lists, `validation_list.txt` and `testing_list.txt`: what
    is in neither is for training. Where the lists are missing, or name no clip of the dataset, the
    rule by which they were made decides, see `sides.side_by_rule`.

    Args:
        rows: DataFrame of the rows of all labels, see `chunk.read_tables`.
        dataset: the folder of WAV files.
        percentages: {"validation": percent of the speakers, "testing": percent}.
        split: CSV file to write: index, speaker, split (training, validation, testing, or blank for
            `_background_noise_`); row i describes row i of the spectrograms.
    """
    listed, warnings = read_lists(dataset, set(rows["path"]))
    if not listed and not any("_nohash_" in path for path in rows["path"]):
        warnings.append(
            "no clip is named SPEAKER_nohash_NUMBER.wav: the whole name counts as the speaker, and "
            "one person may be heard on several sides"
        )
    counts = Counter()
    with new_csv(split, SPLIT_FIELDS) as writer:
        for index, (path, label) in enumerate(zip(rows["path"], rows["label"], strict=True)):
            speaker = speaker_of(path)
            if label == NO_WORDS:
                side = ""
            elif listed:
                side = listed.get(path, "training")
            else:
                side = side_by_rule(speaker, **percentages)
            writer.writerow([index, speaker, side])
            counts[side] += 1
    for warning in warnings:
        warn(warning)
    print(*(f"{count} {side or 'on no side'}" for side, count in counts.items()), sep=", ")


def speaker_of(path):
    """Return who speaks in a clip: its file's name before `_nohash_`, or without its ending."""
    name = os.path.basename(path)[: -len(".wav")]
    return name.partition("_nohash_")[0]


def read_lists(dataset, paths):
    """Return ({path: side} of the dataset's lists, warnings); no paths where they are of no use.

    Args:
        dataset: the folder that may hold the lists.
        paths: set of the clips' paths below it.
    """
    files = {side: Path(dataset, name) for side, name in LISTS.items()}
    found = [file for file in files.values() if file.is_file()]
    if not found:
        return {}, []
    if len(found) == 1:
        return {}, [f"{found[0]} is there without the other list: sides by the rule, not by lists"]
    listed, warnings = {}, []
    for side, file in files.items():
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        names = {os.path.normpath(line.strip()) for line in lines if line.strip()}
        missing = names - paths
        if missing:
            warnings.append(
                f"{file}: {len(missing)} of the {len(names)} clips in it are not there, "
                f"such as {min(missing)!a}"
            )
        listed |= dict.fromkeys(names & paths, side)
    if not listed:
        warnings.append("The lists name no clip of the dataset: sides by the rule, not by lists")
    return listed, warnings


if "snakemake" in globals():
    with job(snakemake) as outputs:
        config = snakemake.config
        rows = read_tables(snakemake.input.tables, {"short_clips": config["short_clips"]})
        write_split(rows, os.path.expanduser(config["dataset"]), config["split"], outputs.split)
