"""What a run is about to do, in words: which labels it computes and why, and what may surprise.

Snakemake itself says only that the files of a label do not exist.
"""

import csv
import os
import shutil
from pathlib import Path

from ..chunk import ROW_BYTES, ChunkError, read_catalog
from .digests import digest_in
from .files import nearest_existing

NAMED = 12  # labels named at most for one reason


def labels_to_compute(labels, clips, results):
    """Return a line that says which labels have no chunk yet and why, or that all have.

    Args:
        labels: {label as in the names of files: anything with its `digest`}.
        clips: {label as in the names of files: list of its Clips}.
        results: folder of the results.
    """
    catalogs = {
        file.stem.rpartition(".")[0]: file for file in Path(results, "catalog").glob("*.csv")
    }
    gone = sorted(catalogs.keys() - labels.keys())
    farewell = f". Gone, and to be removed: {shortened(gone)}" if gone else ""
    missing = without_chunk(labels, results)
    if not missing:
        return f"All {len(labels)} labels are computed. The results lie in {results}{farewell}"
    reasons = {}
    for name in missing:
        reason = why(clips[name], catalogs.get(name), labels[name].digest)
        reasons.setdefault(reason, []).append(name)
    texts = [f"{shortened(names)} ({reason})" for reason, names in reasons.items()]
    return f"{len(missing)} of {len(labels)} labels to compute: {'; '.join(texts)}{farewell}"


def without_chunk(labels, results):
    """Return the names of the labels that have no chunk yet."""
    chunks = {chunk.name for chunk in Path(results, "chunks").glob("*.npy")}
    return [name for name in labels if f"{name}.{labels[name].digest}.npy" not in chunks]


def surprises(folder, dataset, labels, results):
    """Yield lines about what the user may not have meant.

    Args:
        folder: folder of the dataset, as configured.
        dataset: the Dataset that was found there.
        labels: {label as in the names of files: anything with its `digest` and number of `clips`}.
        results: folder of the results.
    """
    if len(dataset.labels) == 1:
        [label] = dataset.labels
        yield (
            f"All clips have one label, {label!r}. Should the dataset be the folder above, or "
            "path_pattern in config.yaml name another label?"
        )
    missing = without_chunk(labels, results)
    if not missing:
        return  # A dataset that only moved has all its chunks.
    earlier = first_clip(f"{results}/wavfile_df.csv")
    if earlier and Path(os.path.abspath(folder)) not in Path(os.path.abspath(earlier)).parents:
        yield (
            f"{results} holds another dataset's results, such as of {earlier}. They will be "
            "replaced. To keep them, stop, and give --config results=ANOTHER_FOLDER"
        )
    # Chunks, and all of them once more in one file.
    clips = sum(labels[name].clips for name in missing)
    needed = ROW_BYTES * (clips + sum(label.clips for label in labels.values()))
    free = shutil.disk_usage(nearest_existing(results)).free
    if free < needed:
        yield f"The run needs up to {needed:,} bytes, and {results} has {free:,} free"


def first_clip(table):
    """Return the file name in the first row of the CSV file `table`, or None."""
    try:
        with open(table, encoding="utf-8", newline="") as file:
            return next(csv.DictReader(file), {}).get("file_name")
    except (OSError, ValueError, csv.Error):
        return None


def why(clips, catalog, digest):
    """Return why a label of these clips has to be computed, in words.

    Args:
        clips: the label's Clips as they are now.
        catalog: its catalog of an earlier run, or None.
        digest: the label's digest as it is now.
    """
    if catalog is None:
        return "new"
    if digest_in(catalog) == digest:
        return "not finished, or deleted"
    try:
        before = {clip.path: clip for clip in read_catalog(catalog)}
    except ChunkError:
        return "its catalog is damaged"
    now = {clip.path: clip for clip in clips}
    counts = {
        "new": len(now.keys() - before.keys()),
        "changed": sum(before[path] != now[path] for path in now.keys() & before.keys()),
        "gone": len(before.keys() - now.keys()),
    }
    said = [f"{count} {word}" for word, count in counts.items() if count]
    return f"clips: {', '.join(said)}" if said else "code, versions or short_clips changed"


def shortened(names):
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
