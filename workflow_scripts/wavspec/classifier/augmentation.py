"""Random changes of the training examples: a network learns to ignore them."""

import math

import numpy as np

from ..front_end import LOG_OFFSET

STRETCH_IN_TIME, STRETCH_IN_BANDS = 0.15, 0.05  # largest changes of the logarithm of the scale
SHIFT_IN_TIME, SHIFT_IN_BANDS = 16, 2  # frames, bands
SILENCE, LOUDEST_FLOOR = math.log(LOG_OFFSET), -1.5  # log-mel values


def augmented(examples, random):
    """Return changed copies of (n, 96, 64) spectrograms. Embeddings, (n, 128), are returned as is.

    Args:
        examples: float32 array.
        random: numpy Generator.
    """
    return with_floor(stretched(examples, random), random) if examples.ndim == 3 else examples


def stretched(spectrograms, random):
    """Return (n, frames, bands) spectrograms, each stretched and shifted at random.

    In time as by faster and slower speakers who start earlier or later, in bands as by other vocal
    tracts. Frames and bands are repeated or left out, and the edges repeated. This is not a layer
    of the network, because Keras' layers also change a model that is called directly.
    """
    n, frames, bands = spectrograms.shape
    frame = sources(n, frames, STRETCH_IN_TIME, SHIFT_IN_TIME, random)
    band = sources(n, bands, STRETCH_IN_BANDS, SHIFT_IN_BANDS, random)
    spectrograms = spectrograms[np.arange(n)[:, np.newaxis], frame]
    return np.take_along_axis(spectrograms, band[:, np.newaxis, :], axis=2)


def sources(n, size, stretch, shift, random):
    """Return (n, size) integers: which frames (or bands) to take of each of n spectrograms."""
    center = (size - 1) / 2
    scale = np.exp(random.uniform(-stretch, stretch, (n, 1)))
    start = center + random.uniform(-shift, shift, (n, 1))
    places = start + scale * (np.arange(size) - center)
    return np.clip(np.rint(places), 0, size - 1).astype(int)


def with_floor(spectrograms, random):
    """Return (n, frames, bands) spectrograms, each with a floor at random, as noise sets it.

    Floors are between SILENCE and LOUDEST_FLOOR. Noisier recordings lack the quiet details that
    they hide.
    """
    floors = random.uniform(SILENCE, LOUDEST_FLOOR, (len(spectrograms), 1, 1))
    return np.maximum(spectrograms, floors.astype(np.float32))
