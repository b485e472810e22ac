"""All valid spectrograms through VGGish: an embedding of 128 numbers for each clip.

One process embeds all labels, because TensorFlow takes seconds to load. It keeps a file of
embeddings for each label, whose name says what they were made of, so that a later run embeds only
the labels that changed.
"""

import csv
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from wavspec.chunk import ChunkError, check_chunk, read_table
from wavspec.run.digests import remove_superseded
from wavspec.run.files import new_csv, whole
from wavspec.run.job import JobError, job
from wavspec.run.progress import Progress, report
from wavspec.run.seals import sealed

EMBEDDING_SIZE = 128
EMBEDDING_FIELDS = [f"e{number}" for number in range(EMBEDDING_SIZE)]
EMPTY = [""] * EMBEDDING_SIZE


class Label(NamedTuple):
    """A label's clips in row order, and the file that keeps their embeddings."""

    chunk: str
    part: str
    paths: list  # (n,) below the dataset
    valid: np.ndarray  # (n,) bool


def embed(
    tables,
    chunks,
    parts,
    clips,
    checkpoint,
    pca_params,
    threads,
    embeddings,
    pca,
    table,
    seal,
    report=print,
):
    """Write the embeddings of all clips, in the row order of the concatenated spectrograms.

    Of a label, only the embeddings are in memory as a whole.

    Args:
        tables, chunks: lists of files, one for each label, in row order.
        parts: list of .npy files, one for each label, (n, 128) float32. Those that do not exist are
            written; those that do are up to date, which their names say.
        clips: CSV file, the table of all clips that `concatenate` writes.
        checkpoint: list of a V1 checkpoint's file, or of a V2 one's files, its .index first.
        pca_params: .npz file, see `load_pca`.
        threads: how many TensorFlow may use.
        embeddings: file to write: raw float64, C order, (N, 128), NaN where the clip is invalid.
        pca: .npy file to write: (N, 128) uint8, see `postprocess`; zeros where it is invalid.
        table: CSV file to write: the columns of `clips`, then e0 to e127, blank where invalid.
        seal: file to write, see `seals`.
        report: called with a line of text now and then.

    Raises:
        ChunkError: the tables and chunks do not belong together.
        JobError: the checkpoint or the PCA parameters are not VGGish's, or a valid clip has NaN or
            infinite values in its spectrogram or embedding.
        OSError: a file cannot be read or written.
    """
    # Not at the top: its TensorFlow takes seconds to import, and talks while it does.
    from wavspec import vggish

    report(f"{vggish.devices()}; {threads} threads; {checkpoint[0]}")
    axes, means = load_pca(pca_params)
    labels = read_labels(tables, chunks, parts, clips)
    missing = [label for label in labels if not os.path.exists(label.part)]
    report(f"{len(missing)} of {len(labels)} labels to embed")
    if missing:
        progress = Progress(sum(label.valid.sum() for label in missing), report)
        with vggish.loaded(checkpoint[0].removesuffix(".index"), threads) as network:
            for label in missing:
                rows = embed_label(label, network, vggish.BATCH_SIZE, progress)
                os.makedirs(os.path.dirname(label.part), exist_ok=True)
                with whole(label.part) as part, open(part, "wb") as file:
                    np.save(file, rows)
    with sealed(seal, (embeddings, pca, table)) as unfinished:
        write_outputs(labels, clips, axes, means, *unfinished)


def load_pca(path):
    """Return the (128, 128) principal axes, one a row, and (128,) means in `path`, float64 both.

    Raises:
        JobError: they are not there, or of another shape, or not finite.
    """
    size = EMBEDDING_SIZE
    shapes = {"pca_eigen_vectors": [(size, size)], "pca_means": [(size,), (size, 1)]}
    arrays = []
    try:
        with np.load(path) as params:
            for name, allowed in shapes.items():
                expected = f"{path}: array {name} of shape {allowed[0]} expected"
                if name not in params:
                    raise JobError(f"{expected}, is not there; it has {', '.join(params)}")
                if params[name].shape not in allowed:
                    raise JobError(f"{expected}, is of shape {params[name].shape}")
                if not np.isfinite(params[name]).all():
                    raise JobError(f"{expected}, holds NaN or infinite values")
                arrays.append(params[name].astype(np.float64).reshape(allowed[0]))
    # What is no archive at all is loaded as an array, or taken for a pickle.
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise JobError(f"{path} is no whole .npz file of {', '.join(shapes)}") from error
    return arrays


def read_labels(tables, chunks, parts, clips):
    """Return a list of Label, having seen that all the files describe the same rows.

    Raises:
        ChunkError: they do not.
    """
    labels = []
    with open(clips, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        matches = True
        for table, chunk, part in zip(tables, chunks, parts, strict=True):
            paths, valid = [], []
            for row in read_table(table):
                listed = next(rows, {"file_name": "", "valid": ""})
                matches &= listed["file_name"].endswith(row.path)
                matches &= listed["valid"] == str(row.valid)
                paths.append(row.path)
                valid.append(row.valid)
            check_chunk(chunk, table, len(paths))
            labels.append(Label(chunk, part, paths, np.array(valid)))
        if not matches or next(rows, None):
            raise ChunkError(
                f"{clips} does not describe the clips of the tables. Delete it and run again"
            )
    return labels


def embed_label(label, network, batch_size, progress):
    """Return the (n, 128) float32 embeddings of a label, NaN where the clip is invalid.

    Args:
        label: a Label.
        network: a function from (m, 96, 64) to (m, 128) float32 arrays.
        batch_size: the largest m that `network` takes.
        progress: a Progress.

    Raises:
        JobError: NaN or infinite values in a valid clip's spectrogram or embedding.
    """
    embeddings = np.full((len(label.valid), EMBEDDING_SIZE), np.nan, np.float32)
    rows = np.flatnonzero(label.valid)
    for first in range(0, len(rows), batch_size):
        batch = rows[first : first + batch_size]
        # Mapped for each batch anew, so that the pages of a large chunk do not stay in memory.
        examples = np.load(label.chunk, mmap_mode="r")[batch].astype(np.float32)
        # Both are checked: a maximum of VGGish's turns NaN into an embedding like any other.
        check_finite(examples, "spectrogram", label, batch)
        embeddings[batch] = network(examples)
        check_finite(embeddings[batch], "embedding", label, batch)
        progress.add(len(batch), "embedded")
    return embeddings


def check_finite(values, what, label, rows):
    finite = np.isfinite(values).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        path = label.paths[rows[finite.argmin()]]
        raise JobError(f"clip {path!r}: NaN or infinite values in its {what}")


def postprocess(embeddings, axes, means):
    """Return (n, 128) uint8 of (n, 128) float32 embeddings, as released with AudioSet.

    Projected on the principal axes, clipped to [-2, 2], and this range cut into 255 steps. In
    float64, and truncated: float32 or rounding would give other codes.
    """
    # Not BLAS, which may sum in another order when there is another number of rows.
    projected = np.einsum("ij,nj->ni", axes, embeddings - means)
    return ((np.clip(projected, -2, 2) + 2) * (255 / 4)).astype(np.uint8)


def write_outputs(labels, clips, axes, means, embeddings, pca, table):
    """Write the three outputs of `embed` from the parts of `labels`."""
    shape = sum(len(label.valid) for label in labels), EMBEDDING_SIZE
    with (
        open(embeddings, "wb") as embeddings_file,
        open(pca, "wb") as pca_file,
        open(clips, encoding="utf-8", newline="") as clips_file,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(pca_file, header)
        clip_rows = csv.reader(clips_file)
        with new_csv(table, [*next(clip_rows), *EMBEDDING_FIELDS]) as writer:
            for label in labels:
                part = np.load(label.part)
                codes = np.zeros(part.shape, np.uint8)
                codes[label.valid] = postprocess(part[label.valid], axes, means)
                embeddings_file.write(part.astype(np.float64))
                pca_file.write(codes)
                for valid, embedding in zip(label.valid, part, strict=True):
                    writer.writerow([*next(clip_rows), *(embedding if valid else EMPTY)])


if "snakemake" in globals():
    # TensorFlow's C++ would tell the terminal of processors' instructions and absent GPUs.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with job(snakemake.log[0], snakemake.input, snakemake.output.seal, snakemake.params.code):
        embed(
            snakemake.input.tables,
            snakemake.input.chunks,
            clips=snakemake.input.clips,
            parts=snakemake.params.parts,
            checkpoint=snakemake.params.checkpoint,
            pca_params=snakemake.params.pca_params,
            threads=snakemake.threads,
            **snakemake.output,
            report=report,
        )
        parts = snakemake.params.parts
        remove_superseded(Path(parts[0]).parent, {Path(part).stem for part in parts})
