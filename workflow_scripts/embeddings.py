"""All valid spectrograms through VGGish: an embedding of 128 numbers for each clip.

One process embeds all labels, because TensorFlow takes seconds to load. What it has embedded it
keeps, a file for each label, so that a later run embeds only what changed.
"""

import csv
import hashlib
import os
import sys
import time
import zipfile
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
from concatenate import CLIPS_FIELDS, ChunkError, checked_rows, csv_writer, whole
from job_log import JobError, job_log
from spectrograms import HEADER_BYTES, npy_header

EMBEDDING_SIZE = 128
EMPTY = [""] * EMBEDDING_SIZE
PROGRESS_INTERVAL = 20  # seconds


class EmbeddingError(JobError):
    """The embeddings cannot be computed; the message names the file or clip that is at fault."""


class Label(NamedTuple):
    """A label's clips in row order, and the file that keeps their embeddings."""

    chunk: str
    part: str
    paths: list  # (n,) below the dataset
    valid: np.ndarray  # (n,) bool


def embed(
    catalogs,
    tables,
    chunks,
    clips,
    checkpoint,
    pca_params,
    parts,
    network_version,
    threads,
    embeddings,
    pca,
    table,
    report=print,
):
    """Write the embeddings of all clips, in the row order of the concatenated spectrograms.

    A label whose part in the folder `parts` is of the same spectrograms, checkpoint and network is
    not embedded again. Memory does not grow with a label's size but for its embeddings.

    Args:
        catalogs, tables, chunks: lists of files, a label each, in row order.
        clips: CSV file, the table of all clips that `concatenate` writes.
        checkpoint: list of a V1 checkpoint's file, or of a V2 one's files, its .index first.
        pca_params: .npz file, see `load_pca`.
        parts: folder for a .npy file a label, (n, 128) float32.
        network_version: text that changes with the network's code and the versions that it runs on.
        threads: how many TensorFlow may use.
        embeddings: .npy file to write: (N, 128) float32, NaN where the clip is invalid.
        pca: .npy file to write: (N, 128) uint8, see `postprocess`; zeros where it is invalid.
        table: CSV file to write: the columns of `clips`, then 0 to 127, empty where it is invalid.
        report: called with a line of text now and then.

    Raises:
        ChunkError: the tables and chunks do not belong together.
        EmbeddingError: the PCA parameters are not VGGish's, or a valid clip has NaN or infinite
            values in its spectrogram or embedding.
        vggish.CheckpointError: the checkpoint is not VGGish's.
        OSError: a file cannot be read or written.
    """
    # Not at the top: its TensorFlow takes seconds to import, and talks while it does.
    import vggish

    weights = digest(*checkpoint)
    report(f"{vggish.devices()}; {threads} threads; {checkpoint[0]} has the sha256 {weights}")
    axes, means = load_pca(pca_params)
    labels = read_labels(catalogs, tables, chunks, clips, parts)
    os.makedirs(parts, exist_ok=True)
    headers = [part_header(label, f"{weights} {network_version}") for label in labels]
    stale = [each for each in zip(labels, headers, strict=True) if not is_whole(*each)]
    report(f"{len(stale)} of {len(labels)} labels to embed")
    if stale:
        progress = Progress(sum(label.valid.sum() for label, _ in stale), report)
        with vggish.loaded(checkpoint[0].removesuffix(".index"), threads) as network:
            for label, header in stale:
                rows = embed_label(label, network, vggish.BATCH_SIZE, progress)
                write_part(label.part, header, rows)
    write_outputs(labels, clips, axes, means, embeddings, pca, table)


def digest(*files):
    """Return the sha256 of the content of `files`, one after another, as 64 hex digits."""
    sha256 = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            hashlib.file_digest(file, lambda: sha256)
    return sha256.hexdigest()


def load_pca(path):
    """Return the (128, 128) principal axes, one a row, and (128,) means in `path`, float64 both.

    Raises:
        EmbeddingError: they are not there, or of another shape, or not finite.
    """
    size = EMBEDDING_SIZE
    shapes = {"pca_eigen_vectors": [(size, size)], "pca_means": [(size,), (size, 1)]}
    arrays = []
    try:
        with np.load(path) as params:
            for name, allowed in shapes.items():
                expected = f"{path}: array {name} of shape {allowed[0]} expected"
                if name not in params:
                    raise EmbeddingError(f"{expected}, is not there; it has {', '.join(params)}")
                if params[name].shape not in allowed:
                    raise EmbeddingError(f"{expected}, is of shape {params[name].shape}")
                if not np.isfinite(params[name]).all():
                    raise EmbeddingError(f"{expected}, holds NaN or infinite values")
                arrays.append(params[name].astype(np.float64).reshape(allowed[0]))
    # What is no archive at all is loaded as an array, or taken for a pickle.
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise EmbeddingError(f"{path} is no whole .npz file of {', '.join(shapes)}") from error
    return arrays


def read_labels(catalogs, tables, chunks, clips, parts):
    """Return a list of Label, having seen that all the files describe the same rows.

    Raises:
        ChunkError: they do not.
    """
    labels = []
    with open(clips, encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        matches = next(rows, None) == CLIPS_FIELDS
        for catalog, table, chunk in zip(catalogs, tables, chunks, strict=True):
            paths, valid = [], []
            for path, _, _, is_valid, *_ in checked_rows(catalog, table, chunk):
                _, file_name, _, listed_valid = next(rows, [""] * 4)
                matches &= file_name.endswith(path) and listed_valid == is_valid
                paths.append(path)
                valid.append(is_valid == "True")
            part = os.path.join(parts, os.path.basename(chunk))
            labels.append(Label(chunk, part, paths, np.array(valid)))
        if not matches or next(rows, None):
            raise ChunkError(f"{clips} does not describe the clips of the tables")
    return labels


def part_header(label, model):
    """Return the first 4096 bytes of the part of `label`, which tell what it was computed from."""
    shape = len(label.valid), EMBEDDING_SIZE
    # The content, and not the mtime: chunks made anew are most often the same. The spectrograms'
    # concatenation reads them all for every change, too.
    return npy_header("<f4", shape, f"spectrograms {digest(label.chunk)} model {model}")


def is_whole(label, header):
    """Return whether the part of `label` is there, with this header and all its rows."""
    try:
        with open(label.part, "rb") as file:
            size = HEADER_BYTES + 4 * EMBEDDING_SIZE * len(label.valid)
            return file.read(HEADER_BYTES) == header and os.fstat(file.fileno()).st_size == size
    except FileNotFoundError:
        return False


def embed_label(label, network, batch_size, progress):
    """Return the (n, 128) float32 embeddings of a label, NaN where the clip is invalid.

    Args:
        label: a Label.
        network: a function from (m, 96, 64) to (m, 128) float32 arrays.
        batch_size: the largest m that `network` takes.
        progress: a Progress.

    Raises:
        EmbeddingError: NaN or infinite values in a valid clip's spectrogram or embedding.
    """
    embeddings = np.full((len(label.valid), EMBEDDING_SIZE), np.nan, np.float32)
    rows = np.flatnonzero(label.valid)
    for first in range(0, len(rows), batch_size):
        batch = rows[first : first + batch_size]
        # Mapped for each batch anew, lest all pages of a large chunk stay in memory.
        examples = np.load(label.chunk, mmap_mode="r")[batch].astype(np.float32)
        # Asked of both: a maximum of VGGish's turns NaN into an embedding as good as any.
        check_finite(examples, "spectrogram", label, batch)
        embeddings[batch] = network(examples)
        check_finite(embeddings[batch], "embedding", label, batch)
        progress.add(len(batch))
    return embeddings


def check_finite(values, what, label, rows):
    finite = np.isfinite(values).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        path = label.paths[rows[finite.argmin()]]
        raise EmbeddingError(f"clip {path!r}: NaN or infinite values in its {what}")


class Progress:
    """How far the embedding has come, reported now and then."""

    def __init__(self, clips, report):
        self.clips, self.report = clips, report
        self.done = 0
        self.start = self.last = time.monotonic()

    def add(self, clips):
        """Count `clips` more as done."""
        self.done += clips
        now = time.monotonic()
        if now - self.last >= PROGRESS_INTERVAL or self.done == self.clips:
            self.last = now
            rate = self.done / (now - self.start)
            left = (self.clips - self.done) / rate
            self.report(
                f"{self.done:,} of {self.clips:,} clips embedded, {rate:.0f} clips/s, "
                f"{left // 60:.0f} min {left % 60:.0f} s left"
            )


def write_part(path, header, embeddings):
    with open(path, "wb") as file:
        file.seek(HEADER_BYTES)
        file.write(embeddings)
        # Last, so that a part cut short has no header at all.
        file.seek(0)
        file.write(header)


def postprocess(embeddings, axes, means):
    """Return (n, 128) uint8 of (n, 128) float32 embeddings, as released with AudioSet.

    Projected on the principal axes, clipped to [-2, 2], and this range cut into 255 steps. In
    float64, and truncated: float32 or rounding would give other codes.
    """
    # Not BLAS, which may sum in another order when there is another number of rows.
    projected = np.einsum("ij,nj->ni", axes, embeddings - means)
    return ((np.clip(projected, -2, 2) + 2) * (255 / 4)).astype(np.uint8)


def write_outputs(labels, clips, axes, means, embeddings, pca, table):
    """Write the three outputs of `embed` from the parts of `labels`, all of them whole."""
    shape = sum(len(label.valid) for label in labels), EMBEDDING_SIZE
    with ExitStack() as stack:
        embeddings_file = npy_file(stack, embeddings, "<f4", shape)
        codes_file = npy_file(stack, pca, "|u1", shape)
        clip_rows = csv.reader(stack.enter_context(open(clips, encoding="utf-8", newline="")))
        writer = csv_writer(stack, table, [*next(clip_rows), *range(EMBEDDING_SIZE)])
        for label in labels:
            part = np.load(label.part)
            codes = np.zeros(part.shape, np.uint8)
            codes[label.valid] = postprocess(part[label.valid], axes, means)
            embeddings_file.write(part)
            codes_file.write(codes)
            for valid, embedding in zip(label.valid, part, strict=True):
                writer.writerow([*next(clip_rows), *(embedding if valid else EMPTY)])


def npy_file(stack, path, dtype, shape):
    """Return the file `path`, which appears once all went well, opened behind its .npy header."""
    file = stack.enter_context(open(stack.enter_context(whole(path)), "wb"))
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def report(line):
    """Print `line` with the time of day, in the log and on the terminal."""
    for file in (sys.stdout, sys.stderr):
        print(time.strftime("%H:%M:%S"), line, file=file)


if "snakemake" in globals():
    # Its C++ would tell the terminal of processors' instructions and absent GPUs.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with job_log(snakemake.log[0]):
        try:
            embed(
                **snakemake.input,
                **snakemake.params,
                threads=snakemake.threads,
                **snakemake.output,
                report=report,
            )
        except ModuleNotFoundError as error:
            message = f"{error}: the embeddings need what requirements/embeddings.txt lists"
            raise JobError(message) from error
