"""Compute the log-mel examples of a label's clips, and a table with the outcome of each clip."""

import os
import sys
import threading
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
from pipeline.digests import digest_in
from pipeline.files import atomic_outputs
from pipeline.job import clamp_future_times, logged
from pipeline.labels import read_clips
from pipeline.provenance import check_installed
from wavspec.audio import FAINT, InvalidClipError, read_clip, worthless
from wavspec.chunk import HEADER_BYTES, ROW_BYTES, TableRow, chunk_header
from wavspec.clip import new_csv
from wavspec.errors import WavspecError
from wavspec.front_end import (
    EXAMPLE_LENGTH,
    HOP_LENGTH,
    ExampleBatch,
    frames_at_end,
    resampled_length,
    waveforms_in,
)

PART = 512  # clips that a thread works on at once


def write_chunk(dataset, catalog, chunk, table, settings, threads=1):
    """Write the log-mel examples of the clips in `catalog`, and a table with their outcomes.

    Memory grows only with the rows of catalog and table, not with the length of a clip.

    Args:
        dataset: the folder of the dataset; paths in the catalog are relative to it.
        catalog: CSV file of a label's clips, see `chunk.read_catalog`.
        chunk: .npy file to write: (n, 96, 64) float64, the examples of each clip, or one row of
            zeros for an invalid clip. Its name must have the digest `provenance.label_digest` of
            these clips and the present code.
        table: CSV file to write, with the fields of chunk.TableRow for each row of the chunk.
        settings: {"short_clips": "invalid" or "pad", "long_clips": "invalid" or "cut", "hop":
            seconds}, see `audio.read_clip` and `chunk.settings_of`.
        threads: number of threads. The outputs do not depend on it.

    Returns:
        Counter of the clips that are "valid", of each reason to be invalid, and of the "examples".

    Raises:
        ClipChangedError: a clip does not have the size and mtime in the catalog.
        ChunkError: catalog, code or configuration have changed since the digest was computed.
        MachineError: a clip cannot be read for a reason outside of the file.
        WavspecError: an output cannot be written.
    """
    clips = read_clips(catalog, digest_in(chunk), settings)
    cut = settings["long_clips"] == "cut"
    rows, end = [], 0
    of_thread = threading.local()

    def write_part(first):
        nonlocal end
        if not hasattr(of_thread, "batch"):
            of_thread.batch = ExampleBatch()
        part, row = clips[first : first + PART], end if cut else first
        part_rows = write_rows(dataset, part, settings, file.fileno(), row, of_thread.batch)
        end = row + len(part_rows)
        return part_rows

    with (
        atomic_outputs([chunk, table], Path(chunk).parent, digest_in(chunk)) as [
            chunk_part,
            table_part,
        ],
        open(chunk_part, "wb", buffering=0) as file,
    ):
        # If clips can have several rows, a part starts at the end of the part before it.
        for part_rows in mapped(write_part, range(0, len(clips), PART), 1 if cut else threads):
            rows += part_rows
        write_at(file.fileno(), 0, chunk_header(len(rows)))
        try:
            with new_csv(table_part, TableRow._fields) as writer:
                writer.writerows(rows)
        except OSError as error:
            raise WavspecError(f"cannot write {table}: {error.strerror}") from error
    counts = Counter(valid=0)
    counts.update(row.reason or "valid" for row in rows if row.example == 0)
    counts["examples"] = sum(row.valid for row in rows)
    return counts


def mapped(function, arguments, threads):
    """Yield function(argument) for each argument, in order, computed by several threads."""
    if threads == 1:
        yield from map(function, arguments)
        return
    # Its import takes longer than all the work on a small label.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, arguments)


def write_rows(dataset, clips, settings, file, first, batch):
    """Write the examples of `clips` from row `first` of the open `file`; return the TableRows."""
    found = (row for clip in clips for row in rows_of(dataset, clip, settings))
    rows, hop = [], frames_in(settings["hop"])
    while some := list(islice(found, batch.SIZE)):
        for place, (_, used, _) in enumerate(some):
            batch.samples[place, : len(used)] = used
            batch.samples[place, len(used) :] = 0.0
        endings = ()
        if hop % 4:
            endings = [
                (place, *frames_at_end(length_of(row), row.example * hop))
                for place, (row, _, _) in enumerate(some)
                if row.valid
            ]
        examples = batch.log_mel(endings)[: len(some)]
        # A few samples of each suffice to exclude most clips, in a hundredth of the time.
        may_be_faint = np.abs(batch.samples[:, ::100]).max(axis=1) <= FAINT
        offset = HEADER_BYTES + (first + len(rows)) * ROW_BYTES
        for place, (row, used, rest) in enumerate(some):
            if not row.valid:
                examples[place] = 0.0
            elif may_be_faint[place] and not row.note:
                row = row._replace(note=worthless(used, rest))
            rows.append(row)
        write_at(file, offset, memoryview(examples).cast("B"))
    return rows


def frames_in(hop):
    """Return a hop in seconds as a number of frames."""
    return round(hop / 0.01)


def length_of(row):
    """Return the number of samples at 16 kHz of the clip of a TableRow."""
    return resampled_length(row.samples, row.sample_rate)


def write_at(file, offset, data):
    """Write all of `data` at `offset` of the open `file`; a full disk can write only a part."""
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def rows_of(dataset, clip, settings):
    """Yield (TableRow, samples of its example, later samples that are in no example) of a clip."""
    short_clips, long_clips = settings["short_clips"], settings["long_clips"]
    hop_length = HOP_LENGTH * frames_in(settings["hop"])
    try:
        path = os.path.join(dataset, clip.path)
        waveform = read_clip(path, clip[1:3], clip[3:5], short_clips, long_clips)
    except InvalidClipError as error:
        format = error.format or ("", "", "")
        yield TableRow(*clip, False, error.reason, error.detail, *format, "", 0, ""), (), ()
        return
    blocks, length, format, note = waveform
    if length < EXAMPLE_LENGTH + hop_length:
        padded, samples = max(0, EXAMPLE_LENGTH - length), waveform.samples
        row = TableRow(*clip, True, "", "", *format, padded, 0, note)
        yield row, samples[:EXAMPLE_LENGTH], samples[EXAMPLE_LENGTH:]
        return
    for number, used in enumerate(waveforms_in(blocks, hop_length)):
        yield TableRow(*clip, True, "", "", *format, 0, number, note), used, ()


# Not a `script:` of Snakemake's, whose preamble takes 0.1 s: a third of what a small label takes.
if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    with logged(options["--log"]):
        check_installed("spectrograms")
        clamp_future_times([options["--catalog"]])
        counts = write_chunk(
            options["--dataset"],
            options["--catalog"],
            options["--chunk"],
            options["--table"],
            {
                "short_clips": options["--short-clips"],
                "long_clips": options["--long-clips"],
                "hop": float(options["--hop"]),
            },
            int(options["--threads"]),
        )
        print(*(f"{count} {outcome}" for outcome, count in counts.items()), sep=", ")
