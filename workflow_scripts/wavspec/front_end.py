"""The VGGish front end: from a waveform to log-mel examples of (96 frames, 64 mel bands).

The steps and numbers are those of VGGish (Hershey et al., "CNN Architectures for Large-Scale Audio
Classification", ICASSP 2017):

1. mono, at 16 kHz;
2. frames of 25 ms every 10 ms, each multiplied by a Hann window;
3. the magnitude of each frame's spectrum;
4. its sum over 64 triangular mel bands;
5. the logarithm; 96 frames form an example.

The values are bit for bit those of VGGish's original numpy front end on the same machine, if the
original runs with one BLAS thread. Therefore the order of the operations must not change.
"""

import functools
import itertools
import random

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SAMPLE_RATE = 16_000  # Hz
FULL_SCALE = 32_768  # 16-bit steps: the unit of samples in this module
FRAME_LENGTH = 400  # samples: 25 ms
HOP_LENGTH = 160  # samples: 10 ms
FFT_LENGTH = 512
BINS = FFT_LENGTH // 2 + 1

MEL_BANDS = 64
MEL_MIN = 125.0  # Hz
MEL_MAX = 7500.0  # Hz
LOG_OFFSET = 0.01

EXAMPLE_FRAMES = 96
EXAMPLE_SHAPE = (EXAMPLE_FRAMES, MEL_BANDS)
EXAMPLE_LENGTH = FRAME_LENGTH + (EXAMPLE_FRAMES - 1) * HOP_LENGTH  # 15,600 samples: 0.975 s
EXAMPLE_HOP_LENGTH = EXAMPLE_FRAMES * HOP_LENGTH  # 15,360 samples: examples do not share frames


def to_mono(samples):
    """Return `samples`, (n,) or (n, channels), as (n,): the mean of the channels."""
    if samples.ndim == 1:
        return samples
    return samples[:, 0] if samples.shape[1] == 1 else np.mean(samples, axis=1)


def resampled(blocks, sample_rate):
    """Yield a mono waveform at 16 kHz in blocks; the values do not depend on the blocks' lengths.

    Args:
        blocks: iterable of (n,) arrays, the parts of the waveform at `sample_rate`.
        sample_rate: in Hz.
    """
    if sample_rate == SAMPLE_RATE:
        yield from blocks
        return
    # Importing its numba takes longer than computing a thousand clips, and few clips need it.
    from resampy.filters import get_filter
    from resampy.interpn import resample_f_s

    # The steps of resampy.resample, whose inner function computes any range of positions.
    window, precision, _ = get_filter("kaiser_best")
    ratio = float(SAMPLE_RATE) / sample_rate
    scale = min(1.0, ratio)
    window = scale * window
    differences = np.diff(window, append=window[-1])
    step = 1.0 / ratio
    wing = len(window) // int(scale * precision) + 2  # samples on each side of a position

    waveform, first = np.empty(0), 0  # the samples that are needed, and the number of the first
    done = received = 0

    def until(end):
        output = np.zeros(end - done)
        # Exact, because `first` is a whole number.
        positions = np.arange(done, end) * step - first
        resample_f_s(waveform, positions, window, differences, precision, scale, output)
        return output

    for block in blocks:
        waveform = np.concatenate([waveform[max(0, int(done * step) - wing - first) :], block])
        received += len(block)
        first = received - len(waveform)
        end = resampled_length(received - wing, sample_rate) - 1
        if end > done:
            yield until(end)
            done = end
    end = resampled_length(received, sample_rate)
    if end > done:
        yield until(end)


def resampled_length(samples, sample_rate):
    """Return the number of samples after resampling to 16 kHz, rounded as in resampy."""
    return int(samples * float(SAMPLE_RATE) / float(sample_rate))


def examples_of(samples):
    """Return the (examples, 96, 64) float64 examples of (n,) samples at 16 kHz, in 16-bit steps."""
    return log_mel_of(waveforms_of(samples))


def log_mel_of(waveforms):
    """Return the (n, 96, 64) float64 examples of (n, 15600) samples, see `waveforms_of`."""
    examples = np.empty((len(waveforms), *EXAMPLE_SHAPE))
    batch = ExampleBatch()
    for first in range(0, len(waveforms), batch.SIZE):
        part = waveforms[first : first + batch.SIZE]
        batch.samples[: len(part)] = part
        examples[first : first + batch.SIZE] = batch.log_mel()[: len(part)]
    return examples


def waveforms_of(samples, hop_length=EXAMPLE_HOP_LENGTH):
    """Return a view of (n,) samples at 16 kHz as (examples, 15600), a row for each example."""
    if len(samples) < EXAMPLE_LENGTH:
        return samples[:0].reshape(0, EXAMPLE_LENGTH)
    return sliding_window_view(samples, EXAMPLE_LENGTH)[::hop_length]


def waveforms_in(blocks, hop_length=EXAMPLE_HOP_LENGTH):
    """Yield the (15600,) samples of each example of a waveform at 16 kHz.

    Args:
        blocks: iterable of (n,) arrays, the parts of the waveform.
        hop_length: samples from the start of an example to that of the next.
    """
    rest, start = [], 0  # samples from earlier blocks, and where the next example starts in them
    for block in blocks:
        waveform = np.concatenate([rest, block]) if len(rest) else block
        examples = waveforms_of(waveform[start:], hop_length)
        yield from examples
        start += hop_length * len(examples)
        rest = waveform[start:]
        start = max(0, start - len(waveform))


# Periodic Hann as in VGGish: the period is FRAME_LENGTH, not one less. The window also scales
# samples from 16-bit steps to [-1, 1]. FULL_SCALE is a power of two, so this changes no bit.
WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi / FRAME_LENGTH * np.arange(FRAME_LENGTH))) / FULL_SCALE


def hertz_to_mel(frequencies):
    """Return `frequencies` (Hz) on the HTK mel scale, 1127 ln(1 + f / 700) (The HTK Book, 5.4)."""
    return 1127.0 * np.log(1.0 + frequencies / 700.0)


def mel_weights():
    """Return the (257 bins, 64 mel bands) float64 matrix of triangular filters.

    The triangles are linear in mel, have a peak of 1 and are not normalised by area. The DC bin is
    in none of them.
    """
    bins = hertz_to_mel(np.linspace(0.0, SAMPLE_RATE / 2, BINS))[:, np.newaxis]
    edges = np.linspace(hertz_to_mel(MEL_MIN), hertz_to_mel(MEL_MAX), MEL_BANDS + 2)
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (center - lower)
    falling = (upper - bins) / (upper - center)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


MEL_WEIGHTS = mel_weights()

# The last bit of a mel band depends on the order in which BLAS adds its 257 products. OpenBLAS adds
# from the lowest bin to the highest. If a sum is longer than the processor's buffer, it is split,
# and the parts are added. These are the bins at which the later parts begin: on processors with
# AVX-512, on most others, on the oldest.
CUTS = ((), (128,), (128, 192))

# OpenBLAS computes a product of so few frames in one thread: its limit is 2**18 multiplications,
# which is more than 15 frames. Several threads would split the sums elsewhere. A multiple of 4,
# because some processors add the last one to three frames of a product in another order.
WHOLE_FRAMES = 12


def frames_at_end(length, start):
    """Return (how many frames of an example are among a waveform's last, their number: 0 to 3).

    The last frames are those after a multiple of 4, see WHOLE_FRAMES. No example has any if the hop
    is a multiple of 4 frames.

    Args:
        length: of the waveform, in samples at 16 kHz.
        start: the number of the example's first frame in the waveform.
    """
    frames = 1 + (length - FRAME_LENGTH) // HOP_LENGTH
    return max(0, start + EXAMPLE_FRAMES - frames + frames % 4), frames % 4


def whole_product(magnitude, mel):
    """Set `mel` (frames, 64) to `magnitude` (frames, 257) @ MEL_WEIGHTS, as in the original.

    The original multiplies all frames of a file at once. A few frames at a time give the same bits,
    with any number of BLAS threads.
    """
    for first in range(0, len(magnitude), WHOLE_FRAMES):
        frames = slice(first, first + WHOLE_FRAMES)
        np.matmul(magnitude[frames], MEL_WEIGHTS, out=mel[frames])


def banded_product(blocks, magnitude, mel):
    """Set `mel` (frames, 64) to `magnitude` (frames, 257) @ MEL_WEIGHTS, using blocks of `banded`.

    This takes about a fifth of the time of `whole_product`.
    """
    for bands, parts in blocks:
        (bins, weights), *further = parts
        np.matmul(magnitude[:, bins], weights, out=mel[:, bands])
        for bins, weights in further:
            mel[:, bands] += magnitude[:, bins] @ weights


def banded(cuts):
    """Return MEL_WEIGHTS as eight blocks (bands, [(bins, weights), ...]) of 8 bands each.

    Most of the matrix is zero. A block has only the bins from its first nonzero weight to its last.
    `cuts` are the bins at which it is split into parts. With fewer than 8 bands, some processors
    would add in another order.
    """
    edges = (0, *cuts, BINS)
    blocks = []
    for first in range(0, MEL_BANDS, 8):
        bands = slice(first, first + 8)
        touched = np.flatnonzero(MEL_WEIGHTS[:, bands].any(axis=1))
        parts = []
        for lower, upper in itertools.pairwise(edges):
            bins = slice(max(lower, touched[0]), min(upper, touched[-1] + 1))
            if bins.start < bins.stop:
                parts.append((bins, np.ascontiguousarray(MEL_WEIGHTS[bins, bands])))
        blocks.append((bands, parts))
    return blocks


@functools.cache
def mel_product(frames):
    """Return the fastest function of (magnitude, mel) that gives the bits of `whole_product`.

    An experiment with noise decides, once per process, in 3 to 5 ms. The order of the additions
    depends on the processor, the BLAS and the shapes, but not on the values, and the shapes are
    those of later use. So if a banded product gives the same bits for noise, it gives them for
    every clip. With another order, hundreds of values differ. If none gives the same bits, the
    whole product is used.
    """
    # Noise from faint to loud. numpy.random would take ten times as long, mostly for its import.
    noise = np.frombuffer(random.Random(0).randbytes(4 * frames * BINS), dtype=np.uint32)
    loudness = np.geomspace(1e-6, 1e3, frames)[:, np.newaxis]
    magnitude = loudness * (noise / 2**32).reshape(frames, BINS)
    expected, mel = np.empty((2, frames, MEL_BANDS))
    whole_product(magnitude, expected)
    for cuts in CUTS:
        candidate = functools.partial(banded_product, banded(cuts))
        candidate(magnitude, mel)
        if np.array_equal(mel, expected):
            return candidate
    return whole_product


class ExampleBatch:
    """Log-mel examples of four clips at a time.

    Fill `samples` (4, 15600), in 16-bit steps, then call `log_mel`. The buffers fit into the
    processor's cache and are reused for every batch. Their shape is fixed, because a clip's bits
    must not depend on the number of other clips.
    """

    SIZE = 4

    def __init__(self):
        rows = self.SIZE * EXAMPLE_FRAMES
        self.samples = np.zeros((self.SIZE, EXAMPLE_LENGTH))
        self._frames = sliding_window_view(self.samples, FRAME_LENGTH, axis=1)[:, ::HOP_LENGTH]
        # The window for 16 padded frames at once: long products of contiguous arrays take two
        # thirds of the time of one product per frame.
        self._window = np.tile(np.pad(WINDOW, (0, FFT_LENGTH - FRAME_LENGTH)), 16)
        self._windowed = np.zeros((rows, FFT_LENGTH))
        self._spectrum = np.empty((rows, BINS), dtype=np.complex128)
        self._magnitude = np.empty((rows, BINS))
        self._examples = np.empty((self.SIZE, *EXAMPLE_SHAPE))
        self._mel_product = mel_product(rows)

    def log_mel(self, endings=()):
        """Return the (4, 96, 64) float64 examples of `samples`, in a buffer that is reused.

        Args:
            endings: (number of the example from 0 to 3, *pair of `frames_at_end`) of examples with
                some of the last frames of a waveform.
        """
        windowed = self._windowed.reshape(self.SIZE, EXAMPLE_FRAMES, FFT_LENGTH)
        np.copyto(windowed[..., :FRAME_LENGTH], self._frames)
        windowed = self._windowed.reshape(-1, len(self._window))
        np.multiply(windowed, self._window, out=windowed)
        np.fft.rfft(self._windowed, out=self._spectrum)
        np.abs(self._spectrum, out=self._magnitude)
        mel = self._examples.reshape(-1, MEL_BANDS)
        self._mel_product(self._magnitude, mel)
        for place, count, remainder in endings:
            if not count:
                continue
            frames = slice((place + 1) * EXAMPLE_FRAMES - count, (place + 1) * EXAMPLE_FRAMES)
            last = np.zeros((WHOLE_FRAMES + remainder, BINS))
            last[WHOLE_FRAMES:][:count] = self._magnitude[frames]
            mel[frames] = (last @ MEL_WEIGHTS)[WHOLE_FRAMES:][:count]
        mel += LOG_OFFSET
        np.log(mel, out=mel)
        return self._examples
