"""Seals: what the outputs with fixed names were made of.

Notebooks read `wavfile_spec.dat` under this very name, so that it cannot carry a digest. The
stage that writes it writes a seal as well, `seals/{stage}.{digest}.csv`, whose name does. The seal
lists the stage's other outputs with their sizes. While it exists, they are up to date.
"""

import csv
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .digests import stage_of
from .files import remove_parts, whole, whole_csv

FIELDS = ["file", "bytes"]


@contextmanager
def sealed(seal, outputs):
    """Give the names of files to write in place of `outputs`, and seal these when all went well.

    The stage's earlier seals are removed first. The names are those of parts, see `files.whole`,
    and all of them exist before the first is written. If a job goes on after Snakemake was killed,
    a later run therefore removes that job's parts. The job then fails and replaces nothing.

    Args:
        seal: the file to write.
        outputs: the files that it is for; the first is the one that an error of a full disk names.
    """
    seal = Path(seal)
    for earlier in seal.parent.glob(f"{stage_of(seal)}.*.csv"):
        earlier.unlink()
    with ExitStack() as stack:
        for output in outputs:
            remove_parts(output)
        yield [stack.enter_context(whole(output)) for output in reversed(outputs)][::-1]
    with whole_csv(seal, FIELDS) as writer:
        for output in outputs:
            writer.writerow([os.path.relpath(output, seal.parent), os.path.getsize(output)])


def why_not_intact(seal):
    """Return why the outputs that the file `seal` is for cannot be believed, and what to delete.

    Return None if they can be. Return None, too, if the seal or an output is missing, because
    Snakemake notices that itself.
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
