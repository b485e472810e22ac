"""Seals: what the outputs with fixed names were made of.

Notebooks read `wavfile_spec.dat` under this very name, so that it cannot carry a digest. The
stage that writes it writes a seal as well, `seals/{stage}.{digest}.csv`, whose name does. The seal
lists the stage's other outputs with their sizes. While it exists, they are up to date.
"""

import csv
import os
from contextlib import contextmanager
from pathlib import Path

from .digests import stage_of
from .files import remove_parts, whole_csv

FIELDS = ["file", "bytes"]


@contextmanager
def sealed(seal, outputs):
    """Write `outputs` inside the `with`; they are sealed when all went well.

    The stage's earlier seals are removed before the first output is written. Unfinished outputs are
    removed, too, so that a job that outlived a killed Snakemake fails and replaces nothing.

    Args:
        seal: the file to write.
        outputs: the files that it is for.
    """
    seal = Path(seal)
    for earlier in seal.parent.glob(f"{stage_of(seal)}.*.csv"):
        earlier.unlink()
    for output in outputs:
        remove_parts(output)
    yield
    with whole_csv(seal, FIELDS) as writer:
        for output in outputs:
            writer.writerow([os.path.relpath(output, seal.parent), os.path.getsize(output)])


def why_not_intact(seal):
    """Return why the outputs that the file `seal` is for cannot be believed, and what to delete.

    Return None if they can be believed.

    None, too, where the seal or an output does not exist: Snakemake notices this itself.
    """
    seal = Path(seal)
    if not seal.exists():
        return None
    # A stage has one seal at a time. Two are there after an older copy was laid over the results.
    if len(list(seal.parent.glob(f"{stage_of(seal)}.*.csv"))) > 1:
        stage = stage_of(seal)
        return f"{seal.parent} holds more than one seal of the stage {stage}. Delete this folder"
    try:
        with open(seal, encoding="utf-8", newline="") as file:
            outputs = [
                (seal.parent / row["file"], int(row["bytes"])) for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError):
        outputs = []
    if not outputs:
        return f"{seal} is damaged. Delete it"
    for output, size in outputs:
        if output.exists() and output.stat().st_size != size:
            return f"{os.path.normpath(output)} is not as the workflow wrote it. Delete it"
    return None
