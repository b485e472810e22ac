"""All labels' chunks to `wavfile_spec.dat` and `wavfile_df.csv`, and an account of them."""

import csv
import errno
import fcntl
import os
import shutil
import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wavspec.chunk import HEADER_BYTES, ROW_BYTES, ChunkError, TableRow, check_chunk, read_table
from wavspec.dataset import label_of
from wavspec.run.digests import remove_superseded
from wavspec.run.files import check_room, new_csv
from wavspec.run.job import job
from wavspec.run.seals import sealed

FICLONE = 0x40049409  # Linux's ioctl: share all blocks of another file
CANNOT_COPY_RANGE = {errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP}
CLIPS_FIELDS = ["", "file_name", "label", "valid"]
INVALID_FIELDS = ["file_name", "label", *TableRow._fields[4:9]]


def concatenate(dataset, tables, chunks, split, spectrograms, clips, invalid, summary, seal):
    """Write the spectrograms and the table of all clips, label after label.

    Not one byte of a spectrogram passes through Python: the kernel copies the chunks, and on file
    systems that can (XFS, btrfs) the copy shares their blocks.

    Args:
        dataset: the folder that the clips' paths lie below, as it is to stand in the tables.
        tables, chunks: lists of files, one for each label, in row order.
        split: CSV file of each clip's speaker and side, for the summary.
        spectrograms: file to write: raw float64, C order, (N, 96 frames, 64 mel bands).
        clips: CSV file to write: index, file_name, label, valid (True or False); row i describes
            row i of `spectrograms`.
        invalid: CSV file to write: the invalid clips, with reason, detail and format.
        summary: text file to write: how many clips, valid, invalid for each reason, in each label.
        seal: file to write, see `seals`.

    Raises:
        ChunkError: a chunk or table is not what its name says.
        JobError: an output cannot be written; if the file system lacks the room, before any is
            begun.
    """
    with (
        sealed(seal, (spectrograms, clips, invalid, summary)) as [
            spectrograms_part,
            clips_part,
            invalid_part,
            summary_part,
        ],
        new_csv(clips_part, CLIPS_FIELDS) as clips_writer,
        new_csv(invalid_part, INVALID_FIELDS) as invalid_writer,
        ThreadPoolExecutor(1) as pool,
    ):
        # The copy is in the main thread, the only one that Ctrl-C reaches.
        counts = pool.submit(write_tables, dataset, tables, chunks, clips_writer, invalid_writer)
        try:
            copied = write_spectrograms(spectrograms_part, chunks)
        finally:
            # If both fail, this error says why: a chunk that is refused here is missing above.
            labels, outcomes = counts.result()
        if copied != labels.total() * ROW_BYTES:
            raise ChunkError("the chunks changed while they were copied: run again")
        text = summarize(labels, outcomes, spectrograms, clips, invalid, split)
        Path(summary_part).write_text(text, encoding="utf-8")


def write_tables(dataset, tables, chunks, clips_writer, invalid_writer):
    """Write the rows of all `tables` to the one csv.writer, and the invalid ones to the other.

    Returns:
        (Counter of the clips of each label; Counter of "padded" and of each reason to be invalid).

    Raises:
        ChunkError: as `concatenate` has it.
    """
    labels, outcomes = Counter(), Counter()
    for table, chunk in zip(tables, chunks, strict=True):
        first = labels.total()
        for index, row in enumerate(checked_rows(table, chunk), first):
            file_name = os.path.join(dataset, row.path)
            label = label_of(dataset, os.path.dirname(row.path))
            clips_writer.writerow([index, file_name, label, row.valid])
            labels[label] += 1
            if not row.valid:
                invalid_writer.writerow([file_name, label, *row[4:9]])
                outcomes[row.reason] += 1
            elif row.padded != "0":
                outcomes["padded"] += 1
    return labels, outcomes


def checked_rows(table, chunk):
    """Yield the TableRows of `table`, having seen that it and `chunk` belong together.

    Raises:
        ChunkError: they do not. Both are removed, so that the next run makes them anew.
    """
    try:
        rows = 0
        for row in read_table(table):
            rows += 1
            yield row
        check_chunk(chunk, table, rows)
    except ChunkError as error:
        os.remove(chunk)
        os.remove(table)
        raise ChunkError(f"{error}. Both were removed: run again") from error


def write_spectrograms(path, chunks):
    """Write the rows of all `chunks` to the file `path`; return how many bytes that were.

    Raises:
        OSError: a chunk cannot be read, or the file system lacks the room for the file.
    """
    with open(path, "wb", buffering=0) as target:
        for number, chunk in enumerate(chunks):
            with open(chunk, "rb", buffering=0) as source:
                if number == 0 and not shares_blocks(source, target):
                    check_room(path, sum(map(os.path.getsize, chunks)) - len(chunks) * HEADER_BYTES)
                source.seek(HEADER_BYTES)
                append(source, target)
        return target.tell()


def shares_blocks(source, target):
    """Return whether the file system can let `target` share the blocks of `source`."""
    try:
        fcntl.ioctl(target, FICLONE, source.fileno())
    except OSError:
        return False
    target.truncate(0)
    return True


def append(source, target):
    """Copy all from the position of `source` to that of `target`, unbuffered files both."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), 2**30):
            pass
    except (AttributeError, OSError) as error:
        # macOS has no copy_file_range, and it does not work between all file systems. The copy goes
        # on where it stopped.
        if getattr(error, "errno", errno.ENOSYS) not in CANNOT_COPY_RANGE:
            raise
        shutil.copyfileobj(source, target, 2**20)


def summarize(labels, outcomes, spectrograms, clips, invalid, split):
    """Return the closing words of a run, from the counts that `write_tables` returns."""
    count = labels.total()
    reasons = Counter({reason: n for reason, n in outcomes.items() if reason != "padded"})
    causes = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    padded = f", {outcomes['padded']} of them padded" if outcomes["padded"] else ""
    # Wrapped between labels, and not between a label and its count.
    by_label = ", ".join(f"{label} {n}".replace(" ", "\0") for label, n in labels.most_common())
    lines = textwrap.wrap(by_label, 98, break_long_words=False, break_on_hyphens=False)
    by_label = "\n  ".join(lines).replace("\0", " ")
    return f"""\
{count} clips in {len(labels)} labels: {count - reasons.total()} valid{padded}, \
{reasons.total()} invalid{f" ({causes}; see {invalid})" if causes else ""}
  {by_label}
{split_in_words(split)}
To load them (import numpy as np, pandas as pd):
  audio = np.fromfile("{spectrograms}").reshape((-1, 96, 64))
  df = pd.read_csv("{clips}", index_col=0)
"""


def split_in_words(split):
    """Return how many clips and speakers each side of the CSV file `split` has."""
    clips, speakers = Counter(), {}
    with open(split, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            side = row["split"] or "on no side"
            clips[side] += 1
            speakers.setdefault(side, set()).add(row["speaker"])
    sides = [
        f"{clips[side]} {side} ({len(speakers[side])} speakers)"
        for side in ("training", "validation", "testing", "on no side")
        if clips[side]
    ]
    return f"Split, see {split}: {', '.join(sides)}"


if "snakemake" in globals():
    with job(snakemake.log[0], snakemake.input, snakemake.output.seal, snakemake.params.code):
        concatenate(
            os.path.expanduser(snakemake.config["dataset"]),
            snakemake.input.tables,
            snakemake.input.chunks,
            snakemake.input.split,
            **snakemake.output,
        )
        for folder in snakemake.params.folders:
            remove_superseded(folder, {Path(chunk).stem for chunk in snakemake.input.chunks})
        print(Path(snakemake.output.summary).read_text(encoding="utf-8"))
