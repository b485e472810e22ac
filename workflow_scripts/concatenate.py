"""Concatenate the chunks of all labels into one array, `wavfile_spec.dat`."""

import errno
import fcntl
import os
import shutil
from pathlib import Path

from wavspec.chunk import HEADER_BYTES, ROW_BYTES, ChunkError, check_chunk
from wavspec.run.digests import remove_superseded
from wavspec.run.files import check_room
from wavspec.run.job import job

FICLONE = 0x40049409  # Linux's ioctl: share all blocks of another file
CANNOT_COPY_RANGE = {errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP}


def concatenate(chunks, spectrograms):
    """Write the spectrograms of all clips, label after label.

    The kernel copies the chunks, without passing the data through Python. On XFS and btrfs, the
    copy shares their blocks.

    Args:
        chunks: list of .npy files, one for each label, in row order.
        spectrograms: file to write: raw float64, C order, (N, 96 frames, 64 mel bands).

    Raises:
        ChunkError: a chunk is damaged.
        OSError: a chunk cannot be read, or the file does not fit on the file system.
    """
    rows = sum(checked_rows(chunk) for chunk in chunks)
    with open(spectrograms, "wb", buffering=0) as target:
        for number, chunk in enumerate(chunks):
            with open(chunk, "rb", buffering=0) as source:
                if number == 0 and not shares_blocks(source, target):
                    check_room(spectrograms, rows * ROW_BYTES)
                source.seek(HEADER_BYTES)
                append(source, target)
        if target.tell() != rows * ROW_BYTES:
            raise ChunkError("the chunks changed while they were copied: run again")


def checked_rows(chunk):
    """Return the number of rows of a chunk.

    Raises:
        ChunkError: it is damaged. It is removed, so the next run computes it again.
    """
    try:
        return check_chunk(chunk)
    except ChunkError as error:
        os.remove(chunk)
        raise ChunkError(f"{error}. It was removed: run again") from error


def shares_blocks(source, target):
    """Return whether the file system can let `target` share the blocks of `source`."""
    try:
        fcntl.ioctl(target, FICLONE, source.fileno())
    except OSError:
        return False
    target.truncate(0)
    return True


def append(source, target):
    """Copy the rest of `source` to the position of `target`; both are unbuffered files."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), 2**30):
            pass
    except (AttributeError, OSError) as error:
        # macOS has no copy_file_range, and some pairs of file systems do not support it. Continue
        # from the present position.
        if getattr(error, "errno", errno.ENOSYS) not in CANNOT_COPY_RANGE:
            raise
        shutil.copyfileobj(source, target, 2**20)


if "snakemake" in globals():
    with job(snakemake, watched=snakemake.input.chunks) as outputs:
        chunks = [Path(chunk) for chunk in snakemake.input.chunks]
        concatenate(chunks, outputs.spectrograms)
        current = {chunk.stem for chunk in chunks}
        results = Path(snakemake.output.spectrograms).parent
        for folder in ("catalog", "chunks", "logs/spectrograms"):
            remove_superseded(results / folder, current)
