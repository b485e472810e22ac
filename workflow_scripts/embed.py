"""Compute the VGGish embedding, 128 numbers, of each valid spectrogram.

One process embeds all labels, because TensorFlow takes seconds to load. It keeps a file of
embeddings for each label, with a digest of what they depend on in its name. A later run embeds only
the labels that changed.
"""

import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from wavspec.rows import rows_of
from wavspec.run.code import made_by
from wavspec.run.digests import content_digest, digest, digest_in, name_in, remove_superseded
from wavspec.run.files import whole
from wavspec.run.job import JobError, closing, job
from wavspec.run.progress import Progress

EMBEDDING_SIZE = 128


class LabelToEmbed(NamedTuple):
    """A label's rows, and the file that keeps their embeddings."""

    chunk: str
    kept: Path  # .npy file, (n, 128) float32
    paths: list  # (n,) below the dataset
    valid: np.ndarray  # (n,) bool


class Weights(NamedTuple):
    """The released files of VGGish."""

    checkpoint: list  # a V1 checkpoint's file, or a V2 one's files, its .index first
    pca_params: str  # .npz file, see `load_pca`


def embed(labels, weights, threads, embeddings, pca):
    """Write the embeddings of all rows, in the order of the array.

    The spectrograms of a label are read in batches; only its embeddings are in memory at once.

    Args:
        labels: list of LabelToEmbed, in row order. Missing files of embeddings are written;
            existing ones are up to date.
        weights: the Weights.
        threads: number of threads for TensorFlow.
        embeddings: file to write: raw float64, C order, (N, 128), NaN for invalid clips.
        pca: .npy file to write: (N, 128) uint8, see `postprocess`; zeros for invalid clips.

    Raises:
        JobError: the checkpoint or the PCA parameters are not those of VGGish, or a valid clip has
            NaN or infinite values in its spectrogram or embedding.
        OSError: a file cannot be read or written.
    """
    axes, means = load_pca(weights.pca_params)
    missing = [label for label in labels if not label.kept.exists()]
    print(f"{len(missing)} of {len(labels)} labels to embed")
    if missing:
        # Imported here, because TensorFlow takes seconds to import.
        from wavspec import vggish

        checkpoint = weights.checkpoint[0].removesuffix(".index")
        print(f"{vggish.devices()}; {threads} threads; {checkpoint}")
        progress = Progress(sum(label.valid.sum() for label in missing))
        with vggish.loaded(checkpoint, threads) as network:
            for label in missing:
                rows = embed_label(label, network, vggish.BATCH_SIZE, progress)
                folder = label.kept.parent
                folder.mkdir(exist_ok=True)
                with (
                    whole([label.kept], folder, digest_in(label.kept)) as [part],
                    open(part, "wb") as file,
                ):
                    np.save(file, rows)
    write_outputs(labels, axes, means, embeddings, pca)
    valid = sum(label.valid.sum() for label in labels)
    closing(f"{valid:,} embeddings, {len(missing)} of {len(labels)} labels newly computed")


def load_pca(path):
    """Return the (128, 128) principal axes, one per row, and the (128,) means in `path`, float64.

    Raises:
        JobError: they are missing, of another shape, or not finite.
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
                    raise JobError(f"{expected}, has NaN or infinite values")
                arrays.append(params[name].astype(np.float64).reshape(allowed[0]))
    # numpy loads a file that is not an archive as an array, or as a pickle.
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise JobError(f"{path} is not a complete .npz file of {', '.join(shapes)}") from error
    return arrays


def embed_label(label, network, batch_size, progress):
    """Return the (n, 128) float32 embeddings of a label, NaN for invalid clips.

    Args:
        label: a LabelToEmbed.
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
        # A new map for each batch, to free the pages of a large chunk.
        examples = np.load(label.chunk, mmap_mode="r")[batch].astype(np.float32)
        # Checked before and after: a maximum in VGGish can hide NaN.
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
    """Return (n, 128) uint8 codes of (n, 128) float32 embeddings, as released with AudioSet.

    The embeddings are projected on the principal axes, clipped to [-2, 2], and quantised to 255
    steps. In float64 and truncated: float32 or rounding would give other codes.
    """
    # Not with BLAS, whose order of additions can depend on the number of rows.
    projected = np.einsum("ij,nj->ni", axes, embeddings - means)
    return ((np.clip(projected, -2, 2) + 2) * (255 / 4)).astype(np.uint8)


def write_outputs(labels, axes, means, embeddings, pca):
    """Write the two outputs of `embed` from the files of `labels`."""
    shape = sum(len(label.valid) for label in labels), EMBEDDING_SIZE
    with open(embeddings, "wb") as embeddings_file, open(pca, "wb") as pca_file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(pca_file, header)
        for label in labels:
            rows = np.load(label.kept)
            codes = np.zeros(rows.shape, np.uint8)
            codes[label.valid] = postprocess(rows[label.valid], axes, means)
            embeddings_file.write(rows.astype(np.float64))
            pca_file.write(codes)


def labels_of(rows, chunks, folder, network):
    """Return the list of LabelToEmbed, whose files in `folder` are named after what they are of.

    Args:
        rows: DataFrame of the rows of all labels, see `rows.read_tables`.
        chunks: list of .npy files, one for each label, in row order.
        folder: the folder that keeps the embeddings.
        network: digest of the weights and of the code.
    """
    return [
        LabelToEmbed(
            chunk,
            Path(folder, f"{name_in(chunk)}.{digest(digest_in(chunk), network)}.npy"),
            list(table.path),
            table.valid.to_numpy(),
        )
        for chunk, (_, table) in zip(chunks, rows.groupby("label", sort=False), strict=True)
    ]


if "snakemake" in globals():
    # TensorFlow's C++ code logs CPU instructions and missing GPUs by default.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with job(snakemake) as outputs:
        weights = Weights(snakemake.params.checkpoint, snakemake.params.pca_params)
        labels = labels_of(
            rows_of(snakemake),
            snakemake.input.chunks,
            snakemake.params.folder,
            digest(content_digest(*weights.checkpoint), made_by("embed")),
        )
        embed(labels, weights, snakemake.threads, outputs.embeddings, outputs.pca)
        remove_superseded(snakemake.params.folder, {label.kept.stem for label in labels})
