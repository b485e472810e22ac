"""Random changes of the training examples: a network learns to ignore them."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def augmented(examples, random):
    """Return changed copies of (n, 96, 64) spectrograms. Embeddings, (n, 128), are returned as is.

    Args:
        examples: float32 array.
        random: numpy Generator.
    """
    return shifted(examples, random) if examples.ndim == 3 else examples


def shifted(spectrograms, random):
    """Return (n, frames, bands) spectrograms, each shifted at random, with repeated edges.

    The shift is up to a tenth of the frames and 3 % of the bands, in both directions. This is not a
    layer of the network, because Keras' layer also shifts in a model that is called directly.
    """
    n, frames, bands = spectrograms.shape
    most = frames // 10, round(0.03 * bands)
    padded = np.pad(spectrograms, [(0, 0), *((margin, margin) for margin in most)], mode="edge")
    windows = sliding_window_view(padded, (frames, bands), axis=(1, 2))
    frame, band = (random.integers(0, 2 * margin + 1, n) for margin in most)
    return windows[np.arange(n), frame, band]
