"""Concatenate the chunks of all labels into one array, `wavfile_spec.dat`."""

import os
from pathlib import Path

from pipeline.digests import remove_superseded
from pipeline.job import job
from pipeline.labels import count_rows
from wavspec.chunk import HEADER_BYTES, ROW_BYTES, ChunkError
from wavspec.errors import reading


def concatenate(chunks, spectrograms):
    """Write the spectrograms of all clips, label after label.

    The kernel copies the chunks, without passing the data through Python. On XFS and btrfs, the
    copy shares their blocks.

    Args:
        chunks: list of .npy files, one for each label, in row order.
        spectrograms: file to write: raw float64, C order, (N, 96 frames, 64 mel bands).

    Raises:
        ChunkError: a chunk is damaged.
        WavspecError: a chunk cannot be read.
        OSError: the file cannot be written.
    """
    rows = sum(count_rows(chunk) for chunk in chunks)
    with open(spectrograms, "wb", buffering=0) as target:
        for chunk in chunks:
            with reading(chunk):
                source = open(chunk, "rb", buffering=0)
            with source:
                source.seek(HEADER_BYTES)
                append(source, target)
        if target.tell() != rows * ROW_BYTES:
            raise ChunkError("the chunks changed while they were copied: run again")


def append(source, target):
    """Copy the rest of `source` to the position of `target`; both are unbuffered files."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), 2**30):
            pass
    except (AttributeError, OSError):
        # macOS has no copy_file_range, and some file systems and containers refuse it. After other
        # errors, this shows whether reading or writing fails. Continue from the present position.
        while True:
            with reading(source.name):
                block = source.read(2**20)
            if not block:
                break
            while block:
                block = block[target.write(block) :]


if "snakemake" in globals():
    with job(snakemake, watched=snakemake.input.chunks) as outputs:
        chunks = [Path(chunk) for chunk in snakemake.input.chunks]
        concatenate(chunks, outputs.spectrograms)
        current = {chunk.stem for chunk in chunks}
        results = Path(snakemake.output.spectrograms).parent
        remove_superseded(results / "catalog", [".csv"], current)
        remove_superseded(results / "chunks", [".npy", ".csv"], current)
        remove_superseded(results / "logs/spectrograms", [".log"], current)
