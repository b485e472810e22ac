"""The plan of a run: which labels it computes and why, and checks before it starts.

Snakemake itself only reports that the files of a label do not exist.
"""

import csv
import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from wavspec.chunk import ROW_BYTES, read_catalog
from wavspec.errors import WavspecError
from wavspec.front_end import EXAMPLE_LENGTH, SAMPLE_RATE

from .digests import PATTERN, digest_in, name_in
from .files import nearest_existing

NAMED = 12  # the most labels to list for one reason
# The fewest bytes of a second of sound in compressed files, for time limits.
BYTES_PER_SECOND = {".mp3": 4000, **dict.fromkeys((".oga", ".ogg", ".opus"), 2000), ".flac": 8000}


class LabelPlan(NamedTuple):
    """The present state of a label."""

    digest: str  # of everything that its spectrograms depend on
    clips: list  # its Clips

    def examples(self, settings):
        """Return about the largest number of its examples, for time limits.

        It is exact if long clips are not cut, and for 16-bit mono files at 16 kHz.

        Args:
            settings: {key: value} of the configuration, see `chunk.settings_of`.
        """
        if settings["long_clips"] != "cut":
            return len(self.clips)
        return sum(max(1, int(seconds_of(clip) / settings["hop"])) for clip in self.clips)

    def threads(self, settings):
        """Return the number of threads of its job, which computes 10,000 clips in two seconds."""
        return 1 if settings["long_clips"] == "cut" else min(16, 1 + len(self.clips) // 10_000)

    def minutes(self, settings):
        """Return the time limit of its job in minutes.

        A core computes 4,000 examples per second from a warm disk, and resamples 40 seconds of
        sound. This allows for 133 examples, as for a cold network disk, and 100 seconds of sound,
        of which clips that are not cut need only the first two.
        """
        cut = settings["long_clips"] == "cut"
        seconds = sum(seconds_of(clip) if cut else 2 for clip in self.clips)
        # Each file counts once: it can have thousands of segments.
        sizes = {getattr(clip, "path", 0): getattr(clip, "size", 0) or 0 for clip in self.clips}
        size = sum(sizes.values())
        return 2 + int(max(self.examples(settings) / 8000, seconds / 6000, size / 200_000_000))


class Plan(NamedTuple):
    """What a run would compute."""

    results: str  # folder of the results
    labels: dict  # {label as in the names of files: LabelPlan}
    missing: list  # the names of the labels that have no chunk yet
    catalogs: dict  # {label as in the names of files: Path of its catalog of an earlier run}

    @classmethod
    def of(cls, results, labels):
        chunks = {chunk.name for chunk in Path(results, "chunks").glob("*.npy")}
        missing = [
            name for name, label in labels.items() if f"{name}.{label.digest}.npy" not in chunks
        ]
        catalogs = {name_in(file): file for file in Path(results, "catalog").glob("*.csv")}
        for name, label in labels.items():
            # There are several after a run that was stopped.
            catalog = Path(results, "catalog", f"{name}.{label.digest}.csv")
            if catalog.exists():
                catalogs[name] = catalog
        return cls(results, labels, missing, catalogs)

    def line(self, provenance):
        """Return a line with the labels to compute and why, or that all are up to date.

        Args:
            provenance: the present code, versions and settings, see `provenance.provenance`.
        """
        removed = sorted(self.catalogs.keys() - self.labels.keys())
        ending = f". No longer in the dataset: {shortened(removed)}" if removed else ""
        if not self.missing:
            count = len(self.labels)
            return f"All {count} labels are up to date. The results are in {self.results}{ending}"
        changes = changes_of(f"{self.results}/catalog.json", provenance)
        reasons = {}
        for name in self.missing:
            reason = rerun_reason(self.labels[name], self.catalogs.get(name), changes)
            reasons.setdefault(reason, []).append(name)
        texts = [f"{shortened(names)} ({reason})" for reason, names in reasons.items()]
        count = f"{len(self.missing)} of {len(self.labels)} labels to compute"
        return f"{count}: {'; '.join(texts)}{ending}"

    def check_dataset(self, dataset):
        """Raise WavspecError if the results belong to another dataset.

        A dataset that was moved, or partly changed, still has an earlier clip with the same path,
        size and time. One that was also copied without times has most of the paths and sizes; two
        data sets of one-second clips can have a few of these in common.
        """
        if len(self.missing) < len(self.labels) or not self.catalogs:
            return
        first = first_clip(f"{self.results}/wavfile_df.csv")
        if first and Path(os.path.abspath(dataset)) in Path(os.path.abspath(first)).parents:
            return
        now = {clip for label in self.labels.values() for clip in label.clips}
        before = set()
        for catalog in self.catalogs.values():
            try:
                before |= set(read_catalog(catalog))
            except WavspecError:
                continue
        files = {clip[:2] for clip in now}
        kept = sum(clip[:2] in files for clip in before)
        if not now & before and kept < len(before) / 2:
            clip = first or min(clip.path for clip in before)
            raise WavspecError(
                f"config key 'results': {self.results!r} has the results of another dataset, with "
                f"clips such as {clip!r}. {dataset!r} has {kept} of its {len(before)} clips. "
                "To keep these results, use another folder: --config results=NEW_FOLDER. "
                "To replace them: --config replace_results=true"
            )

    def check_room(self, dataset, settings):
        """Raise WavspecError if the results do not fit on their file system.

        Args:
            dataset: its folder.
            settings: {key: value} of the configuration, see `chunk.settings_of`.
        """
        if not self.missing:
            return
        # The chunks, and a copy of all of them in one file, which replaces an earlier one.
        rows_of = {
            name: estimated_rows(dataset, label.clips, settings)
            for name, label in self.labels.items()
        }
        rows, all_rows = sum(rows_of[name] for name in self.missing), sum(rows_of.values())
        earlier = Path(self.results, "wavfile_spec.dat")
        replaced = earlier.stat().st_blocks * 512 if earlier.exists() else 0
        needed = ROW_BYTES * rows + max(0, ROW_BYTES * all_rows - replaced)
        free = shutil.disk_usage(nearest_existing(self.results)).free
        if free < needed:
            raise WavspecError(
                f"config key 'results': {self.results!r} needs {in_bytes(needed)} more, and its "
                f"disk has {in_bytes(free)} free. Use a folder on another disk: "
                "--config results=NEW_FOLDER. To start anyway (XFS and btrfs need only half of "
                "that): --config check_room=false"
            )


def seconds_of(clip):
    """Return about the longest duration that a clip can have, by its size and the file ending."""
    ending = os.path.splitext(getattr(clip, "path", ""))[1].lower()
    # On a cluster's node, sizes are not known, and the limits are not used.
    duration = (getattr(clip, "size", 0) or 0) / BYTES_PER_SECOND.get(ending, 32_000)
    start, end = (clip.start or 0, clip.end) if hasattr(clip, "end") else (0, "")
    return end - start if end != "" else max(0, duration - start)


def estimated_rows(dataset, clips, settings):
    """Return the number of rows of clips, as far as headers of WAV files and segments give it.

    Other clips count as one row.
    """
    if settings["long_clips"] != "cut":
        return len(clips)
    rows = 0
    for clip in clips:
        seconds = seconds_of(clip) if clip.end != "" else wav_seconds(dataset, clip)
        rows += max(1, 1 + int((seconds - EXAMPLE_LENGTH / SAMPLE_RATE) / settings["hop"]))
    return rows


def wav_seconds(dataset, clip):
    """Return the duration of a clip in a common WAV file by its header; 0 for another file."""
    try:
        with open(os.path.join(dataset, clip.path), "rb", buffering=0) as file:
            header = file.read(32)
    except OSError:
        return 0
    bytes_per_second = int.from_bytes(header[28:32], "little")
    if header[:4] != b"RIFF" or header[8:16] != b"WAVEfmt " or not bytes_per_second:
        return 0
    return (clip.size or 0) / bytes_per_second - (clip.start or 0)


def in_bytes(number):
    """Return a number of bytes as text, such as 5.2 GB."""
    unit, size = ("GB", 1e9) if number >= 1e8 else ("MB", 1e6)
    return f"{number / size:,.1f} {unit}"


def first_clip(table):
    """Return the file name in the first row of the CSV file `table`, or None."""
    try:
        with open(table, encoding="utf-8", newline="") as file:
            return next(csv.DictReader(file), {}).get("file_name")
    except (OSError, ValueError, csv.Error):
        return None


def changes_of(path, provenance):
    """Return in words what changed in code, versions and settings since the last run."""
    try:
        before = json.loads(Path(path).read_text(encoding="utf-8"))
        changed = [name for name in provenance if before.get(name) != provenance[name]]
    except (OSError, ValueError, AttributeError, RecursionError):
        return "code, versions or settings changed"
    words = [
        "code changed" if name == "code" else f"{name}: {before.get(name)}, now {provenance[name]}"
        for name in changed
    ]
    return ", ".join(words) or "settings changed"


def rerun_reason(label, catalog, changes):
    """Return in words why a label must be computed.

    Args:
        label: the LabelPlan.
        catalog: Path of its catalog of an earlier run, or None.
        changes: text of `changes_of`.
    """
    if catalog is None:
        return "new"
    if digest_in(catalog) == label.digest:
        return "not finished, or deleted"
    try:
        before = {(clip.path, clip.start, clip.end): clip for clip in read_catalog(catalog)}
    except WavspecError:
        return "its catalog is damaged"
    now = {(clip.path, clip.start, clip.end): clip for clip in label.clips}
    counts = {
        "new": len(now.keys() - before.keys()),
        "changed": sum(before[clip] != now[clip] for clip in now.keys() & before.keys()),
        "gone": len(before.keys() - now.keys()),
    }
    changed = [f"{count} {word}" for word, count in counts.items() if count]
    return f"clips: {', '.join(changed)}" if changed else changes


def shortened(names):
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def check_results(results, dataset, clips):
    """Raise WavspecError if results in this folder would mix with the user's own files.

    Args:
        results: the folder of the results.
        dataset: the folder of the dataset.
        clips: iterable of the Clips.
    """
    existing = nearest_existing(results)
    if not existing.is_dir():
        raise refused(results, f"{str(existing)!r} is not a folder")
    if not os.access(existing, os.W_OK):
        raise refused(results, f"the folder {str(existing)!r} is read-only, or not yours")
    folder, data = Path(os.path.realpath(results)), Path(os.path.realpath(dataset))
    if folder == data or folder in data.parents:
        raise refused(results, f"it is, or contains, the dataset {dataset!r}")
    if data in folder.parents:
        below = os.path.relpath(folder, data)
        for clip in clips:
            if f"{below}/".startswith(f"{os.path.dirname(clip.path)}/".lstrip("/")):
                raise refused(results, f"it is in a folder of clips, such as {clip.path!r}")


def refused(results, cause):
    return WavspecError(
        f"config key 'results': cannot write to {results!r}, because {cause}. Set another folder, "
        "which need not exist yet: --config results=NEW_FOLDER"
    )


def check_ownership(results, outputs):
    """Raise WavspecError if files with the names of our outputs are not from this workflow.

    Args:
        results: the folder of the results.
        outputs: paths of the outputs and logs with fixed names.
    """
    ours = (
        path
        for folder in ("stamps", "catalog", "chunks")
        for path in Path(results, folder).glob("*")
    )
    has_digest = f".*\\.{PATTERN}\\..*"
    if any(re.fullmatch(has_digest, path.name) for path in ours):
        return
    in_the_way = {os.path.dirname(path) for path in outputs}
    foreign = [path for path in outputs if os.path.lexists(path)]
    foreign += [path for path in in_the_way if os.path.lexists(path) and not os.path.isdir(path)]
    if foreign:
        raise WavspecError(
            f"config key 'results': {min(foreign)} exists, but {results!r} has no results of this "
            "workflow, which would replace it. Set another folder: --config results=NEW_FOLDER. "
            "To replace such files: --config replace_results=true"
        )
