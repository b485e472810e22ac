"""Which side of training, validation and testing each clip is on: the data set's official split."""

import hashlib
import os
import sys
from collections import Counter
from pathlib import Path

from wavspec.chunk import ChunkError, clips_of
from wavspec.dataset import label_of
from wavspec.run.digests import digest_in
from wavspec.run.files import new_csv
from wavspec.run.job import job
from wavspec.run.seals import sealed

SPLIT_FIELDS = ["", "speaker", "split"]
LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
NO_WORDS = "_background_noise_"  # the label whose clips are on no side


def write_split(dataset, catalogs, validation, testing, split, seal, short_clips="invalid"):
    """Write the speaker and the side of every clip.

    The sides are those of the dataset's lists, `validation_list.txt` and `testing_list.txt`: what
    is in neither is for training. Where the lists are missing, or name no clip of the dataset, the
    rule by which they were made decides, see `side_by_rule`.

    Args:
        dataset: the folder of WAV files.
        catalogs: list of files, one for each label, in row order.
        validation, testing: how many percent of the speakers the rule puts on these sides.
        split: CSV file to write: index, speaker, split (training, validation, testing, or blank for
            `_background_noise_`); row i describes row i of the spectrograms.
        seal: file to write, see `seals`.
        short_clips: the configuration's key of that name. The catalogs' digests depend on it.

    Returns:
        (Counter of the clips on each side, list of warnings in words).

    Raises:
        ChunkError: a catalog is not what its name says.
    """
    paths = [
        clip.path
        for catalog in catalogs
        for clip in clips_of(catalog, digest_in(catalog), short_clips)
    ]
    listed, warnings = read_lists(dataset, set(paths))
    if not listed and not any("_nohash_" in path for path in paths):
        warnings.append(
            "no clip is named SPEAKER_nohash_NUMBER.wav: the whole name counts as the speaker, and "
            "one person may be heard on several sides"
        )
    counts = Counter()
    with sealed(seal, [split]) as [part], new_csv(part, SPLIT_FIELDS) as writer:
        for index, path in enumerate(paths):
            speaker = speaker_of(path)
            if label_of(dataset, os.path.dirname(path)) == NO_WORDS:
                side = ""
            elif listed:
                side = listed.get(path, "training")
            else:
                side = side_by_rule(speaker, validation, testing)
            writer.writerow([index, speaker, side])
            counts[side] += 1
    return counts, warnings


def speaker_of(path):
    """Return who speaks in a clip: its file's name before `_nohash_`, or without its ending."""
    name = os.path.basename(path)[: -len(".wav")]
    return name.partition("_nohash_")[0]


def side_by_rule(speaker, validation, testing):
    """Return the side of a speaker, by the rule that made the lists of Speech Commands.

    It depends on the speaker's name alone. A clip therefore keeps its side when others come, and
    nobody is heard on two sides. (Warden, "Speech Commands: A Dataset for Limited-Vocabulary
    Speech Recognition", 2018, section 7: a hash of the name, modulo 2**27, as a percentage.)
    """
    place = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27
    percentage = place * (100 / (2**27 - 1))
    if percentage < validation:
        return "validation"
    return "testing" if percentage < validation + testing else "training"


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
    with job(snakemake.log[0], snakemake.input, snakemake.output.seal, snakemake.params.code):
        try:
            counts, warnings = write_split(
                os.path.expanduser(snakemake.config["dataset"]),
                snakemake.params.catalogs,
                **snakemake.config["split"],
                **snakemake.output,
                short_clips=snakemake.config["short_clips"],
            )
        except ChunkError:
            # Without the index the next run writes all catalogs anew. The refused catalog stays,
            # because its label's job needs it as an input, and refuses it as well.
            os.remove(snakemake.input.index)
            raise
        print(*(f"{count} {side or 'on no side'}" for side, count in counts.items()), sep=", ")
        for warning in warnings:
            print(warning)
            print(f"Warning: {warning}", file=sys.stderr)
