"""Compute the VGGish embedding, 128 numbers, of each valid spectrogram, and a table of them.

One process embeds all labels, because TensorFlow takes seconds to load. It keeps a file of
embeddings for each label, with a digest of what they depend on in its name. A later run embeds only
the labels that changed.
"""

import os
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pipeline.digests import content_hash, digest, digest_in, name_in, remove_superseded
from pipeline.files import atomic_outputs, remove
from pipeline.job import job, summarize
from pipeline.labels import read_rows
from pipeline.provenance import provenance
from wavspec.errors import WavspecError, reading

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


def embed(labels, checkpoint, threads):
    """Write the file of embeddings of each label that has none, or a damaged one.

    Args:
        labels: list of LabelToEmbed.
        checkpoint: see Weights.
        threads: number of threads for TensorFlow.

    Returns:
        The number of these labels.

    Raises:
        WavspecError: the checkpoint is not that of VGGish, or a valid clip has NaN or infinite
            values in its spectrogram or embedding.
        OSError: a file cannot be read or written.
    """
    due = [label for label in labels if kept_embeddings(label) is None]
    for label in due:
        if os.path.lexists(label.kept):
            print(f"{label.kept} is damaged: computed again")
            remove(label.kept)
    print(f"{len(due)} of {len(labels)} labels to embed")
    if not due:
        return 0
    # Imported here, because TensorFlow takes seconds to import.
    from wavspec import vggish

    path = checkpoint[0].removesuffix(".index")
    print(f"{vggish.devices()}; {threads} threads; {path}")
    with vggish.loaded(path, threads) as network:
        for number, label in enumerate(due, 1):
            rows = embed_label(label, network, vggish.BATCH_SIZE)
            folder = label.kept.parent
            folder.mkdir(exist_ok=True)
            with (
                atomic_outputs([label.kept], folder, digest_in(label.kept)) as [part],
                open(part, "wb") as file,
            ):
                np.save(file, rows)
            clock = time.strftime("%H:%M:%S")
            print(f"{clock} {name_in(label.kept)}: {len(rows):,} rows, {number} of {len(due)}")
    return len(due)


def kept_embeddings(label):
    """Return the (n, 128) float32 embeddings in the file of a label, or None if it has no such."""
    try:
        with reading(label.kept):
            rows = np.load(label.kept)
        ok = rows.dtype == np.float32 and rows.shape == (len(label.valid), EMBEDDING_SIZE)
        return rows if ok and (np.isfinite(rows).all(axis=1) == label.valid).all() else None
    # numpy takes a damaged file for a pickle, or for an array of another shape.
    except (WavspecError, ValueError, EOFError):
        return None


def load_pca(path):
    """Return the (128, 128) principal axes, one per row, and the (128,) means in `path`, float64.

    Raises:
        WavspecError: they are missing, of another shape, or not finite.
    """
    size = EMBEDDING_SIZE
    shapes = {"pca_eigen_vectors": [(size, size)], "pca_means": [(size,), (size, 1)]}
    arrays = []
    try:
        with np.load(path) as params:
            for name, allowed in shapes.items():
                expected = f"{path}: array {name} of shape {allowed[0]} expected"
                if name not in params:
                    raise WavspecError(f"{expected}, is not there; it has {', '.join(params)}")
                if params[name].shape not in allowed:
                    raise WavspecError(f"{expected}, is of shape {params[name].shape}")
                if not np.isfinite(params[name]).all():
                    raise WavspecError(f"{expected}, has NaN or infinite values")
                arrays.append(params[name].astype(np.float64).reshape(allowed[0]))
    # numpy loads a file that is not an archive as an array, or as a pickle.
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise WavspecError(f"{path} is not a complete .npz file of {', '.join(shapes)}") from error
    return arrays


def embed_label(label, network, batch_size):
    """Return the (n, 128) float32 embeddings of a label, NaN for invalid clips.

    Args:
        label: a LabelToEmbed.
        network: a function from (m, 96, 64) to (m, 128) float32 arrays.
        batch_size: the largest m that `network` takes.

    Raises:
        WavspecError: NaN or infinite values in a valid clip's spectrogram or embedding.
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
    return embeddings


def check_finite(values, what, label, rows):
    finite = np.isfinite(values).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        path = label.paths[rows[finite.argmin()]]
        raise WavspecError(f"clip {path!r}: NaN or infinite values in its {what}")


def postprocess(embeddings, axes, means):
    """Return (n, 128) uint8 codes of (n, 128) float32 embeddings, as released with AudioSet.

    The embeddings are projected on the principal axes, clipped to [-2, 2], and quantised to 255
    steps. In float64 and truncated: float32 or rounding would give other codes.
    """
    # Not with BLAS, whose order of additions can depend on the number of rows.
    projected = np.einsum("ij,nj->ni", axes, embeddings - means)
    return ((np.clip(projected, -2, 2) + 2) * (255 / 4)).astype(np.uint8)


def write_outputs(labels, pca_params, outputs):
    """Write the embeddings of all labels, in the order of the array.

    Args:
        labels: list of LabelToEmbed, in row order, whose files exist.
        pca_params: see Weights.
        outputs: object with the attributes
            embeddings: file to write: raw float64, C order, (N, 128), NaN for invalid clips;
            pca: .npy file to write: (N, 128) uint8, see `postprocess`; zeros for invalid clips.

    Raises:
        WavspecError: `pca_params` is not VGGish's file.
    """
    axes, means = load_pca(pca_params)
    shape = sum(len(label.valid) for label in labels), EMBEDDING_SIZE
    with open(outputs.embeddings, "wb") as embeddings_file, open(outputs.pca, "wb") as pca_file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(pca_file, header)
        for label in labels:
            with reading(label.kept):
                rows = np.load(label.kept)
            codes = np.zeros(rows.shape, np.uint8)
            codes[label.valid] = postprocess(rows[label.valid], axes, means)
            embeddings_file.write(rows.astype(np.float64))
            pca_file.write(codes)


def write_table(rows, embeddings, table):
    """Write the table of clips with the embeddings as further columns.

    Args:
        rows: DataFrame with the columns file_name, label and valid.
        embeddings: file of raw float64, (N, 128), NaN for invalid clips.
        table: CSV file to write: index, file_name, label, valid, then e0 to e127, blank for invalid
            clips.
    """
    # The network computes in float32, whose shortest decimals restore the same numbers.
    numbers = np.fromfile(embeddings).reshape(-1, EMBEDDING_SIZE).astype(np.float32)
    columns = [f"e{number}" for number in range(EMBEDDING_SIZE)]
    numbers = pd.DataFrame(numbers, columns=columns, index=rows.index)
    pd.concat([rows[["file_name", "label", "valid"]], numbers], axis=1).to_csv(table)


def labels_of(rows, chunks, folder, network):
    """Return the list of LabelToEmbed, whose files in `folder` are named after what they are of.

    Args:
        rows: DataFrame of the rows of all labels, see `labels.read_rows`.
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
        params = snakemake.params
        weights = Weights(params.checkpoint, params.pca_params)
        rows = read_rows(snakemake.input.tables, params.settings)
        rows["file_name"] = [os.path.join(params.dataset, path) for path in rows.path]
        network = digest(*map(content_hash, weights.checkpoint), provenance("embeddings"))
        labels = labels_of(rows, snakemake.input.chunks, params.folder, network)
        computed = embed(labels, weights.checkpoint, snakemake.threads)
        write_outputs(labels, weights.pca_params, outputs)
        write_table(rows, outputs.embeddings, outputs.table)
        remove_superseded(params.folder, [".npy"], {label.kept.stem for label in labels})
        summarize(
            f"{rows.valid.sum():,} embeddings, {computed} of {len(labels)} labels newly computed, "
            f"in {snakemake.output.embeddings} and {snakemake.output.table}"
        )
