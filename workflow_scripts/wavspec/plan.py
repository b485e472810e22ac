"""What a run is about to do, in words: which labels it computes and why, and what may surprise.

Snakemake itself says only that the files of a label do not exist.
"""

import os
import sys
from functools import cache
from pathlib import Path

from .chunk import ChunkError, read_catalog
from .digests import digest_in

NAMED = 12  # labels named at most for one reason


def labels_to_compute(labels, clips, results):
    """Return a line that says which labels have no chunk yet and why, or None where all have.

    Args:
        labels: {label as in the names of files: anything with its `digest`}.
        clips: {label as in the names of files: list of its Clips}.
        results: folder of the results.
    """
    chunks = {chunk.name for chunk in Path(results, "chunks").glob("*.npy")}
    missing = [name for name in labels if f"{name}.{labels[name].digest}.npy" not in chunks]
    if not missing:
        return None
    catalogs = {}
    for catalog in Path(results, "catalog").glob("*.csv"):
        catalogs[catalog.stem.rpartition(".")[0]] = catalog
    reasons = {}
    for name in missing:
        reason = why(clips[name], catalogs.get(name), labels[name].digest)
        reasons.setdefault(reason, []).append(name)
    texts = [f"{shortened(names)} ({reason})" for reason, names in reasons.items()]
    return f"{len(missing)} of {len(labels)} labels to compute: {'; '.join(texts)}"


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


@cache
def announce(line):
    """Say `line` on the terminal, once."""
    print(line, file=sys.stderr, flush=True)


def announced_embeddings(parts):
    """Say which of the `parts`, files with the embeddings of a label, are missing; return all."""
    missing = [
        os.path.basename(part).rsplit(".", 2)[0] for part in parts if not os.path.exists(part)
    ]
    announce(f"{len(missing)} of {len(parts)} labels to embed: {shortened(missing) or 'none'}")
    return parts
