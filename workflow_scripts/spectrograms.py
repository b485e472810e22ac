"""A label's clips to one chunk: their log-mel examples, and a table of which are valid and why."""

import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wavspec.audio import InvalidClipError, read_clip
from wavspec.chunk import HEADER_BYTES, ROW_BYTES, ChunkError, TableRow, chunk_header, clips_of
from wavspec.front_end import EXAMPLE_LENGTH, ExampleBatch
from wavspec.run.code import check_installed
from wavspec.run.digests import digest_in
from wavspec.run.files import check_room, new_csv, whole
from wavspec.run.job import bring_to_the_present, logged

PART = 512  # clips that a thread works on before their rows are written to the table


def write_chunk(dataset, catalog, chunk, table, short_clips="invalid", threads=1):
    """Write the log-mel examples of the clips in `catalog`, and what became of each clip.

    Memory grows with the number of clips by their catalog's rows alone.

    Args:
        dataset: the folder that the catalog's paths lie below.
        catalog: CSV file of a label's clips, see `chunk.clips_of`.
        chunk: .npy file to write: (n, 96, 64) float64, a row for each clip, zeros where it is
            invalid. Its name must carry what `digests.label_digest` says of these clips and of the
            code that runs.
        table: CSV file to write, a row for each clip: the fields of chunk.TableRow.
        short_clips: "invalid", or "pad" to append zeros to clips that are too short.
        threads: how many to use. The bytes do not depend on it.

    Returns:
        Counter of "valid", of each reason to be invalid, and of "padded" among the valid ones.

    Raises:
        ClipChangedError: a clip is not the file that the catalog describes.
        ChunkError: catalog, code or configuration have changed since the digest was computed.
        JobError: an output cannot be written.
    """
    try:
        clips = clips_of(catalog, digest_in(chunk), {"short_clips": short_clips})
    except ChunkError:
        # It would be refused again. The next run writes it anew.
        Path(catalog).unlink(missing_ok=True)
        raise
    counts = Counter()
    of_thread = threading.local()

    def begin_thread():
        of_thread.batch = ExampleBatch()

    with (
        whole([chunk, table], Path(chunk).parent, digest_in(chunk)) as [chunk_part, table_part],
        open(chunk_part, "wb", buffering=0) as file,
        ThreadPoolExecutor(threads, initializer=begin_thread) as pool,
    ):
        check_room(chunk, HEADER_BYTES + len(clips) * ROW_BYTES)

        def write_part(first):
            part = clips[first : first + PART]
            offset = HEADER_BYTES + first * ROW_BYTES
            return write_rows(dataset, part, file.fileno(), offset, short_clips, of_thread.batch)

        with new_csv(table_part, TableRow._fields) as writer:
            for rows in pool.map(write_part, range(0, len(clips), PART)):
                writer.writerows(rows)
                counts.update(row.reason or "valid" for row in rows)
                counts["padded"] += sum(bool(row.padded) for row in rows)
        write_at(file.fileno(), 0, chunk_header(len(clips)))
    return counts


def write_rows(dataset, clips, file, offset, short_clips, batch):
    """Write the examples of `clips` at `offset` of the open `file`; return their TableRows."""
    rows = []
    for first in range(0, len(clips), batch.SIZE):
        invalid = []
        for place, clip in enumerate(clips[first : first + batch.SIZE]):
            row, samples = judged(dataset, clip, short_clips)
            rows.append(row)
            if row.valid:
                batch.samples[place, : len(samples)] = samples
                batch.samples[place, len(samples) :] = 0.0
            else:
                invalid.append(place)
        examples = batch.log_mel()
        examples[invalid] = 0.0
        examples = examples[: len(rows) - first]
        write_at(file, offset + first * ROW_BYTES, memoryview(examples).cast("B"))
    return rows


def write_at(file, offset, data):
    """Write all of `data` at `offset` of the open `file`. A disk that gets full takes a part."""
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def judged(dataset, clip, short_clips):
    """Return a clip's TableRow, and the samples of its example, or None where it is invalid."""
    path = os.path.join(dataset, clip.path)
    try:
        samples, format = read_clip(path, clip[1:], short_clips == "pad")
    except InvalidClipError as error:
        format = error.format or ("", "", "")
        return TableRow(*clip, False, error.reason, error.detail, *format, ""), None
    samples = samples[:EXAMPLE_LENGTH]
    padded = EXAMPLE_LENGTH - len(samples)
    return TableRow(*clip, True, "", "", *format, padded), samples


# Not a `script:` of Snakemake's, whose preamble takes 0.1 s: a third of what a small label takes.
if __name__ == "__main__":
    dataset, short_clips, threads, catalog, chunk, table, log = sys.argv[1:]
    with logged(log):
        check_installed("spectrograms")
        bring_to_the_present([catalog])
        counts = write_chunk(dataset, catalog, chunk, table, short_clips, int(threads))
        print(*(f"{count} {outcome}" for outcome, count in counts.items() if count), sep=", ")
