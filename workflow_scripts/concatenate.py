"""All labels' chunks to the two files that the next notebooks read, and an account of them."""

import csv
import errno
import fcntl
import os
import shutil
import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import zip_longest

from catalog import label_of
from job_log import JobError, job_log
from spectrograms import CATALOG_FIELDS, HEADER_BYTES, ROW_BYTES, TABLE_FIELDS, chunk_header

FICLONE = 0x40049409  # Linux's ioctl: share all blocks of another file
CLIPS_FIELDS = ["", "file_name", "label", "valid"]
INVALID_FIELDS = ["file_name", "label", *TABLE_FIELDS[4:]]


class ChunkError(JobError):
    """A chunk does not belong to its table, or the table to its catalog."""

    def __init__(self, message):
        super().__init__(f"{message}. Delete the named files and run again.")


def concatenate(dataset, catalogs, tables, chunks, spectrograms, clips, invalid, summary):
    """Write the spectrograms and the table of all clips, label after label.

    Not one byte of a spectrogram passes through Python: the kernel copies the chunks, and on file
    systems that can (XFS, btrfs) the copy shares their blocks. Each output appears under its name
    only when it is whole.

    Args:
        dataset: the folder that the clips' paths lie below, as it shall stand in the tables.
        catalogs, tables, chunks: lists of files, a label each, in row order.
        spectrograms: file to write: raw float64, C order, (N, 96 frames, 64 mel bands).
        clips: CSV file to write: index, file_name, label, valid (True or False); row i describes
            row i of `spectrograms`.
        invalid: CSV file to write: the invalid clips, with reason, detail and format.
        summary: text file to write: how many clips, valid, invalid for each reason, in each label.

    Raises:
        ChunkError: a chunk is cut short, or is not the one that its catalog and table describe.
        OSError: an output cannot be written; so too, before any is begun, where the file system
            has not the room.
    """
    with ExitStack() as stack:
        part = stack.enter_context(whole(spectrograms))
        writers = csv_writer(stack, clips, CLIPS_FIELDS), csv_writer(stack, invalid, INVALID_FIELDS)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        # The tables are read while the kernel copies: in this thread, where Ctrl-C ends the copy.
        counts = pool.submit(write_tables, dataset, catalogs, tables, chunks, *writers)
        copied = write_spectrograms(part, chunks)
        labels, reasons = counts.result()
        if copied != labels.total() * ROW_BYTES:
            raise ChunkError(f"the chunks changed while they were copied to {part}")
        with open(stack.enter_context(whole(summary)), "w", encoding="utf-8") as file:
            file.write(summarize(labels, reasons, spectrograms, clips, invalid))


def write_tables(dataset, catalogs, tables, chunks, clips_writer, invalid_writer):
    """Write the rows of all `tables`, and of their invalid clips, to two csv writers.

    Returns:
        (Counter of the clips of each label, Counter of the invalid ones of each reason).

    Raises:
        ChunkError: as `concatenate` has it.
    """
    labels, reasons = Counter(), Counter()
    for catalog, table, chunk in zip(catalogs, tables, chunks, strict=True):
        first = labels.total()
        for index, row in enumerate(checked_rows(catalog, table, chunk), first):
            path, *_, valid, reason = row[:5]
            file_name = os.path.join(dataset, path)
            label = label_of(dataset, os.path.dirname(path))
            clips_writer.writerow([index, file_name, label, valid])
            labels[label] += 1
            if reason:
                invalid_writer.writerow([file_name, label, *row[4:]])
                reasons[reason] += 1
    return labels, reasons


@contextmanager
def whole(path):
    """Give the name of a file to write, which takes the name `path` once all went well."""
    part = f"{path}.part"
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.remove(part)
        raise


def csv_writer(stack, path, fields):
    file = open(stack.enter_context(whole(path)), "w", encoding="utf-8", newline="")
    writer = csv.writer(stack.enter_context(file), lineterminator="\n")
    writer.writerow(fields)
    return writer


def checked_rows(catalog, table, chunk):
    """Yield the rows of `table`, having seen that it, `chunk` and `catalog` belong together.

    Raises:
        ChunkError: they do not.
    """
    rows = 0
    with (
        open(catalog, encoding="utf-8", newline="") as catalog_file,
        open(table, encoding="utf-8", newline="") as table_file,
    ):
        expected, found = csv.reader(catalog_file), csv.reader(table_file)
        if [next(expected, None), next(found, None)] != [CATALOG_FIELDS, TABLE_FIELDS]:
            raise ChunkError(f"{table} and {catalog} are not tables of this version")
        for clip, row in zip_longest(expected, found):
            if clip is None or row is None or row[: len(clip)] != clip or len(row) != 9:
                raise ChunkError(f"{table} does not describe the clips of {catalog}")
            rows += 1
            yield row
    with open(chunk, "rb") as file:
        if file.read(HEADER_BYTES) != chunk_header(rows, table):
            raise ChunkError(f"{chunk} is not the chunk of {rows} clips that {table} describes")
        size = os.fstat(file.fileno()).st_size
        if size != HEADER_BYTES + rows * ROW_BYTES:
            raise ChunkError(f"{chunk} has {size} bytes, {HEADER_BYTES + rows * ROW_BYTES} needed")


def write_spectrograms(path, chunks):
    """Write the rows of all `chunks` to the file `path`; return how many bytes that were.

    Raises:
        OSError: as `concatenate` has it.
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


def check_room(path, size):
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if free < size:
        raise OSError(errno.ENOSPC, f"No space left, {size:,} bytes needed, {free:,} free", path)


def append(source, target):
    """Copy all from the position of `source` to that of `target`, unbuffered files both."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), 2**30):
            pass
    except (AttributeError, OSError) as error:
        # Not on macOS, nor between all file systems: it goes on from where it came to.
        if getattr(error, "errno", errno.ENOSYS) not in (
            errno.ENOSYS,
            errno.EXDEV,
            errno.EOPNOTSUPP,
        ):
            raise
        shutil.copyfileobj(source, target, 2**20)


def summarize(labels, reasons, spectrograms, clips, invalid):
    """Return the closing words of a run, of the counts of clips in each label and of reasons."""
    count = labels.total()
    causes = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    # Wrapped between labels, and not between a label and its count.
    by_label = ", ".join(f"{label} {n}".replace(" ", "\0") for label, n in labels.most_common())
    lines = textwrap.wrap(by_label, 98, break_long_words=False, break_on_hyphens=False)
    by_label = "\n  ".join(lines).replace("\0", " ")
    return f"""\
{count} clips in {len(labels)} labels: {count - reasons.total()} valid, {reasons.total()} invalid\
{f" ({causes}; see {invalid})" if causes else ""}
  {by_label}
To load them (import numpy as np, pandas as pd):
  audio = np.fromfile("{spectrograms}").reshape((-1, 96, 64))
  df = pd.read_csv("{clips}")
"""


if "snakemake" in globals():
    with job_log(snakemake.log[0]):
        try:
            concatenate(
                snakemake.params.dataset,
                snakemake.input.catalogs,
                snakemake.input.tables,
                snakemake.input.chunks,
                **snakemake.output,
            )
        except OSError as error:
            message = f"cannot write {snakemake.output.spectrograms}: {error}"
            raise JobError(message) from error
        with open(snakemake.output.summary, encoding="utf-8") as summary:
            print(summary.read())
