"""The VGGish audio front end: from a WAV file to log-mel examples of (96 frames, 64 mel bands).

Nothing here knows of Snakemake. In a notebook::

    from workflow_scripts.front_end import wavfile_to_examples
    wavfile_to_examples("demo/yes/en_us.wav").shape  # (1, 96, 64)

The steps and numbers are those of VGGish (Hershey et al., "CNN Architectures for Large-Scale
Audio Classification", ICASSP 2017), and the values are bit for bit what its original numpy front
end gives on the same machine. The order of the arithmetic is therefore part of the definition.
"""

import os
import stat
import struct
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SAMPLE_RATE = 16_000  # Hz
FULL_SCALE = 32_768  # 16-bit steps: the unit of samples in here
FRAME = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms
FFT_SIZE = 512
LOG_OFFSET = 0.01

MEL_BANDS = 64
MEL_MIN = 125.0  # Hz
MEL_MAX = 7500.0  # Hz

EXAMPLE_FRAMES = 96
EXAMPLE_SHAPE = (EXAMPLE_FRAMES, MEL_BANDS)
EXAMPLE_SAMPLES = FRAME + (EXAMPLE_FRAMES - 1) * HOP  # 15,600: 0.975 s
EXAMPLE_HOP = EXAMPLE_FRAMES * HOP  # 15,360 samples: examples share no frame
TOO_LONG = EXAMPLE_SAMPLES + EXAMPLE_HOP  # 30,960: a second example begins to fit

# Above any audio interface's rate. A larger number in a header is damage, and believing it would
# let one clip of "one second" ask for gigabytes.
MAX_SAMPLE_RATE = 768_000  # Hz

# The common header: 16-bit mono PCM at 16 kHz, in chunks "fmt " and "data" and no other.
# Its two sizes are of all that follows them and of the samples.
PLAIN_HEADER = (
    b"RIFF%bWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16) + b"data%b"
)
PLAIN_BYTES = 44 + 2 * (TOO_LONG - 1)  # of a valid clip, at most


class AudioFormat(NamedTuple):
    """What a WAV file's header says of it."""

    sample_rate: int  # Hz
    channels: int
    samples: int  # per channel, at `sample_rate`


class InvalidClipError(ValueError):
    """A clip that does not give exactly one example.

    Attributes:
        reason: `too short`, `too long`, `unreadable` or `not finite`.
        detail: what was found, in words.
        format: the clip's AudioFormat, or None where its header could not be read.
    """

    def __init__(self, reason, detail, format=None):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.format = format


def hertz_to_mel(frequencies):
    """Return `frequencies` (Hz) on the HTK mel scale, 1127 ln(1 + f / 700) (The HTK Book, 5.4)."""
    return 1127.0 * np.log(1.0 + frequencies / 700.0)


def mel_weights():
    """Return the (257 bins, 64 mel bands) float64 matrix of triangular filters.

    The triangles are straight in mel, peak at 1 and are not normalised by area; the DC bin
    belongs to none.
    """
    bins = hertz_to_mel(np.linspace(0.0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1))[:, np.newaxis]
    edges = np.linspace(hertz_to_mel(MEL_MIN), hertz_to_mel(MEL_MAX), MEL_BANDS + 2)
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (center - lower)
    falling = (upper - bins) / (upper - center)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def banded(weights, bands=8):
    """Return `weights` as a list of (bins, bands, block), `bands` bands each, zero rows left out.

    Most of the matrix is zero: a product with each block over only the bins that it touches gives
    the same sums as one with the whole matrix, in a fifth of the time.
    """
    blocks = []
    for first in range(0, weights.shape[1], bands):
        columns = slice(first, first + bands)
        touched = np.flatnonzero(weights[:, columns].any(axis=1))
        rows = slice(touched[0], touched[-1] + 1)
        blocks.append((rows, columns, np.ascontiguousarray(weights[rows, columns])))
    return blocks


# Hann, periodic as VGGish has it: the period is FRAME, not FRAME - 1. It also brings samples from
# 16-bit steps to [-1, 1]; by a power of two, so that not a bit of any product changes.
WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi / FRAME * np.arange(FRAME))) / FULL_SCALE
MEL_BLOCKS = banded(mel_weights())


class ExampleBatch:
    """Log-mel examples of four clips at a time.

    Fill `samples` (4, 15600), in 16-bit steps, then call `log_mel`. The buffers are small enough
    for the processor's cache and are used again for every batch. Their shape never varies, so that
    a clip's bits do not depend on how many clips stand beside it.
    """

    SIZE = 4

    def __init__(self):
        rows = self.SIZE * EXAMPLE_FRAMES
        self.samples = np.zeros((self.SIZE, EXAMPLE_SAMPLES))
        self._frames = sliding_window_view(self.samples, FRAME, axis=1)[:, ::HOP]
        # The window over 16 whole padded frames, zeros and all: long products of contiguous arrays
        # take two thirds of the time of one product a frame.
        self._window = np.tile(np.pad(WINDOW, (0, FFT_SIZE - FRAME)), 16)
        self._windowed = np.zeros((rows, FFT_SIZE))
        self._spectrum = np.empty((rows, FFT_SIZE // 2 + 1), dtype=np.complex128)
        self._magnitude = np.empty((rows, FFT_SIZE // 2 + 1))
        self._examples = np.empty((self.SIZE, *EXAMPLE_SHAPE))

    def log_mel(self):
        """Return the (4, 96, 64) float64 examples of `samples`, in a buffer that is used again."""
        windowed = self._windowed.reshape(self.SIZE, EXAMPLE_FRAMES, FFT_SIZE)
        np.copyto(windowed[..., :FRAME], self._frames)
        windowed = self._windowed.reshape(-1, len(self._window))
        np.multiply(windowed, self._window, out=windowed)
        np.fft.rfft(self._windowed, out=self._spectrum)
        np.abs(self._spectrum, out=self._magnitude)
        mel = self._examples.reshape(-1, MEL_BANDS)
        for bins, bands, weights in MEL_BLOCKS:
            np.matmul(self._magnitude[:, bins], weights, out=mel[:, bands])
        mel += LOG_OFFSET
        np.log(mel, out=mel)
        return self._examples


def waveform_to_examples(samples, sample_rate):
    """Return the log-mel examples of a waveform.

    Args:
        samples: (n,) or (n, channels) floats, nominally in [-1, 1]. Channels are averaged.
        sample_rate: in Hz; other than 16,000 the waveform is resampled.

    Returns:
        (examples, 96, 64) float64. Samples past the last whole example are not used; a waveform
        of under 0.975 s has none.
    """
    samples = to_mono_16k(np.asarray(samples, dtype=np.float64), sample_rate)
    return examples_of(samples * FULL_SCALE)


def examples_of(samples):
    """Return the (examples, 96, 64) float64 of (n,) samples at 16 kHz, in 16-bit steps."""
    if len(samples) < EXAMPLE_SAMPLES:
        return np.empty((0, *EXAMPLE_SHAPE))
    windows = sliding_window_view(samples, EXAMPLE_SAMPLES)[::EXAMPLE_HOP]
    examples = np.empty((len(windows), *EXAMPLE_SHAPE))
    batch = ExampleBatch()
    for first in range(0, len(windows), batch.SIZE):
        part = windows[first : first + batch.SIZE]
        batch.samples[: len(part)] = part
        examples[first : first + batch.SIZE] = batch.log_mel()[: len(part)]
    return examples


def wavfile_to_examples(path):
    """Return the (examples, 96, 64) float64 log-mel examples of a WAV file of any length.

    Raises:
        InvalidClipError: the file cannot be decoded, or holds NaN or infinite samples.
    """
    samples, _ = read_waveform(path)
    return examples_of(samples)


def read_clip(path):
    """Return (samples, AudioFormat) of a valid clip, 15,600 <= len(samples) < 30,960.

    The samples are those of `read_waveform`.

    Raises:
        InvalidClipError: for any other file, with the reason. No content of a file raises anything
            else, and a too long one is told by its header, not by decoding it.
    """
    samples, format = read_waveform(path, limit=TOO_LONG)
    if len(samples) < EXAMPLE_SAMPLES:
        raise too_short(len(samples), format)
    return samples, format


def read_waveform(path, limit=None):
    """Return (samples, AudioFormat) of a WAV file: (n,) mono, 16 kHz, in 16-bit steps.

    The samples are int16 where the file holds just such, else float64. Any encoding is read as
    16-bit integers, as VGGish does, but one that stores floats, whose 1.0 is 32,768 steps.

    Raises:
        InvalidClipError: the file cannot be decoded, holds NaN or infinite samples, or, where
            `limit` is given, has that many samples at 16 kHz or more.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for ever for its writer.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidClipError("unreadable", error.strerror) from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidClipError("unreadable", "not a regular file")
        samples = plain_pcm(os.read(file, PLAIN_BYTES), status.st_size)
        if samples is not None:
            return samples, AudioFormat(SAMPLE_RATE, 1, len(samples))
        os.lseek(file, 0, os.SEEK_SET)
        samples, format = decode(file, limit)
    except OSError as error:
        raise InvalidClipError("unreadable", error.strerror) from error
    finally:
        os.close(file)
    return to_mono_16k(samples, format.sample_rate), format


def plain_pcm(content, file_size):
    """Return the int16 samples of a whole, plain WAV file (16-bit mono PCM, 16 kHz), or None.

    Four times as quick as a decoder. Plain means: the header of 44 bytes and not one byte besides
    the samples that it announces. For anything else the decoder has the word.
    """
    data_size = file_size - 44
    if len(content) != file_size or data_size <= 0 or data_size % 2:
        return None
    sizes = (data_size + 36).to_bytes(4, "little"), data_size.to_bytes(4, "little")
    if content[:44] != PLAIN_HEADER % sizes:
        return None
    return np.frombuffer(content, "<i2", offset=44)


def decode(descriptor, limit=None):
    """Return (samples, AudioFormat) of any file that libsndfile reads.

    The samples are (n,) float64, mono, in 16-bit steps, at the file's own rate. Raises as
    `read_waveform` does.
    """
    import soundfile

    try:
        with soundfile.SoundFile(descriptor, closefd=False) as sound:
            samples, format = decode_blocks(sound, limit)
    except (InvalidClipError, MemoryError):
        raise
    # A damaged file may make a decoder fail in any way: whatever it is, it is this clip's reason.
    except Exception as error:
        detail = getattr(error, "error_string", error)
        raise InvalidClipError("unreadable", f"{type(error).__name__}: {detail}") from error
    with np.errstate(over="ignore"):
        # Doubles beyond the range of float32 would overflow in the spectrum.
        if not np.isfinite(samples.astype(np.float32)).all():
            raise InvalidClipError("not finite", "NaN or infinite samples", format)
    length = length_at_16k(len(samples), format.sample_rate)
    if limit and length < EXAMPLE_SAMPLES:
        raise too_short(length, format)
    return samples, format


def decode_blocks(sound, limit):
    """Return (samples, AudioFormat) of an open soundfile.SoundFile, as `decode` does."""
    format = AudioFormat(sound.samplerate, sound.channels, sound.frames)
    if format.sample_rate > MAX_SAMPLE_RATE:
        detail = f"sample rate {format.sample_rate} Hz, at most {MAX_SAMPLE_RATE} is believed"
        raise InvalidClipError("unreadable", detail, format)
    stored_as_float = sound.subtype in ("FLOAT", "DOUBLE")
    dtype, scale = ("float64", FULL_SCALE) if stored_as_float else ("int16", 1.0)
    # As soundfile.read does, and it matters: a decoder of MP3 has other last bits after a seek.
    if sound.seekable():
        sound.seek(0)
    blocks, decoded = [], 0
    # In blocks: a header may announce a thousand channels, or more samples than follow.
    block_size = max(1, 2**18 // format.channels)
    while True:
        check_limit(max(format.samples, decoded), format, limit)
        block = sound.read(block_size, dtype=dtype, always_2d=True) * scale
        if not len(block):
            break
        blocks.append(block[:, 0] if format.channels == 1 else np.mean(block, axis=1))
        decoded += len(block)
    return np.concatenate(blocks) if blocks else np.empty(0), format._replace(samples=decoded)


def length_at_16k(samples, sample_rate):
    """Return how many samples resampling to 16 kHz makes of `samples`, rounded as resampy does."""
    return int(samples * float(SAMPLE_RATE) / float(sample_rate))


def check_limit(samples, format, limit):
    length = length_at_16k(samples, format.sample_rate)
    if limit and length >= limit:
        raise InvalidClipError(
            "too long", f"{length / SAMPLE_RATE:.3f} s, under 1.935 needed", format
        )


def too_short(length, format):
    return InvalidClipError("too short", f"{length / SAMPLE_RATE:.3f} s, 0.975 needed", format)


def to_mono_16k(samples, sample_rate):
    """Return `samples`, (n,) or (n, channels), as (m,) at 16 kHz."""
    if samples.ndim > 1:
        samples = np.mean(samples, axis=1)
    if sample_rate == SAMPLE_RATE:
        return samples
    if not length_at_16k(len(samples), sample_rate):
        return samples[:0]
    # Its numba takes longer to import than a thousand clips to compute, and few clips need it.
    import resampy

    return resampy.resample(samples, sample_rate, SAMPLE_RATE)
