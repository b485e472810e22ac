"""WAV files: what they hold, and whether they make exactly one example.

In a notebook::

    from workflow_scripts.wavspec.audio import wavfile_to_examples
    wavfile_to_examples("demo/yes/en_us_nohash_0.wav").shape  # (1, 96, 64)
"""

import errno
import io
import os
import stat
import struct
from typing import NamedTuple

import numpy as np

from .front_end import (
    EXAMPLE_HOP_LENGTH,
    EXAMPLE_LENGTH,
    FULL_SCALE,
    SAMPLE_RATE,
    examples_of,
    resampled_length,
    to_mono_16k,
)
from .run.job import JobError

# A clip is valid if it makes exactly one example: 15,600 <= samples at 16 kHz < 30,960.
SHORTEST_VALID = EXAMPLE_LENGTH  # 0.975 s
TOO_LONG = EXAMPLE_LENGTH + EXAMPLE_HOP_LENGTH  # 1.935 s: a second example begins to fit

# Above any audio interface's rate. A larger number in a header is damage, and believing it would
# let one clip of "one second" ask for gigabytes.
MAX_SAMPLE_RATE = 768_000  # Hz
# What libsndfile says of a stream whose header does not tell its length.
UNKNOWN_LENGTH = 2**63 - 1
SFE_MALLOC_FAILED = 17  # libsndfile's error code for too little memory

# Errors of opening a file that are its own and come again. Any other is the machine's.
LASTING = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO}
GONE = {errno.ENOENT, errno.ENOTDIR}
NO_FILE = ("", "")  # size and mtime of what is no regular file

# The common header: 16-bit mono PCM at 16 kHz, in the chunks "fmt " and "data" alone. The
# first `%b` is the number of bytes that follow it, the second the number of bytes of samples.
PLAIN_HEADER = (
    b"RIFF%bWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16) + b"data%b"
)
PLAIN_BYTES = 44 + 2 * (TOO_LONG - 1)  # the largest plain file of a valid clip


class AudioFormat(NamedTuple):
    """What a WAV file's header says of it."""

    sample_rate: int  # Hz
    channels: int
    samples: int  # per channel, at `sample_rate`


class InvalidClipError(ValueError):
    """A clip that does not make exactly one example.

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


class ClipChangedError(JobError):
    """A clip is not the file that the catalog describes."""

    def __init__(self, path):
        super().__init__(f"{path} changed during the run: run again")


class MachineError(JobError):
    """The machine failed to read or decode a clip, which says nothing about the clip."""

    def __init__(self, path, error):
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        super().__init__(f"cannot read {path}: {cause}")


def wavfile_to_examples(path):
    """Return the (examples, 96, 64) float64 log-mel examples of a WAV file of any length.

    Raises:
        InvalidClipError: the file cannot be decoded, or holds NaN or infinite samples.
        MachineError: the file cannot be read: there is none, or the disk or the memory fails.
    """
    samples, _ = read_waveform(path)
    return examples_of(samples)


def read_clip(path, expected=None, pad_short=False):
    """Return (samples, AudioFormat) of a valid clip; the samples are those of `read_waveform`.

    Args:
        path: the WAV file.
        expected: what the file's size in bytes and its mtime in ns must be, both blank text where
            no regular file that may be read is expected. None if anything is expected.
        pad_short: whether a clip of under 15,600 samples is valid if it has any.

    Raises:
        InvalidClipError: the clip is not valid, with the reason. No content of a file raises
            anything else, and a too long one is told by its header, not by decoding it.
        ClipChangedError: the file is not what was expected.
        MachineError: the file cannot be read now, for a reason that lies outside of it.
    """
    samples, format = read_waveform(path, expected, limit=TOO_LONG)
    length = len(samples)
    if length < SHORTEST_VALID and not (pad_short and length):
        raise InvalidClipError("too short", f"{length / SAMPLE_RATE:.3f} s, 0.975 needed", format)
    return samples, format


def read_waveform(path, expected=None, limit=None):
    """Return (samples, AudioFormat) of a WAV file: (n,) mono, 16 kHz, in 16-bit steps.

    A plain 16-bit mono file at 16 kHz gives int16 samples, any other float64. VGGish reads 16-bit
    integers, and so does this. Only stored floats are multiplied by 32,768 instead.

    Raises:
        InvalidClipError: the file cannot be decoded, holds NaN or infinite samples, or, where
            `limit` is given, has that many samples at 16 kHz or more.
        ClipChangedError: `expected`, a pair of size and mtime in ns, does not describe the file.
        MachineError: see `read_clip`.
    """
    try:
        file = open_clip(path, expected)
        try:
            try:
                samples, format = read_samples(file, limit)
            finally:
                # After the reading, and also if it failed: the clip may be just being written.
                if expected and expected != state_of(os.fstat(file)):
                    raise ClipChangedError(path)
        finally:
            os.close(file)
        return to_mono_16k(samples, format.sample_rate), format
    except ModuleNotFoundError:
        raise  # whoever catches it can say how to install the module
    except (OSError, MemoryError, ImportError) as error:
        raise MachineError(path, error) from error


def open_clip(path, expected):
    """Return the file descriptor of a clip that is opened for reading."""
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for ever for its writer.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in GONE and expected not in (None, NO_FILE):
            raise ClipChangedError(path) from error
        if error.errno in LASTING or (error.errno in GONE and expected == NO_FILE):
            raise InvalidClipError("unreadable", error.strerror) from error
        raise


def state_of(status):
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else NO_FILE


def read_samples(file, limit):
    """Return (samples, AudioFormat) of an open file descriptor, at the file's own rate."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidClipError("unreadable", "not a regular file")
    samples = plain_pcm(os.read(file, PLAIN_BYTES), status.st_size)
    if samples is not None:
        return samples, AudioFormat(SAMPLE_RATE, 1, len(samples))
    os.lseek(file, 0, os.SEEK_SET)
    return decode(Source(file, closefd=False), limit)


class Source(io.FileIO):
    """An open file as libsndfile reads it, which remembers an error of a read.

    libsndfile takes a failed read for the end of the file, and what was decoded until then for all
    that there is.
    """

    error = None

    def readinto(self, buffer):
        # libsndfile calls this, through which no exception can pass.
        try:
            count = super().readinto(buffer)
            if not count and self.tell() < os.fstat(self.fileno()).st_size:
                raise OSError(errno.EIO, "a read ended before the end of the file")
            return count
        except BaseException as error:
            self.error = error
            return 0


def plain_pcm(content, file_size):
    """Return the int16 samples of a whole, plain WAV file (16-bit mono PCM, 16 kHz), or None.

    This is four times as quick as a decoder. A plain file has the header of 44 bytes and not one
    byte besides the samples that it announces. All others are left to the decoder.
    """
    data_size = file_size - 44
    if len(content) != file_size or data_size <= 0 or data_size % 2:
        return None
    sizes = (data_size + 36).to_bytes(4, "little"), data_size.to_bytes(4, "little")
    if content[:44] != PLAIN_HEADER % sizes:
        return None
    return np.frombuffer(content, "<i2", offset=44)


def decode(source, limit=None):
    """Return (samples, AudioFormat) of any file that libsndfile reads.

    The samples are (n,) float64, mono, in 16-bit steps, at the file's own rate. Raises as
    `read_waveform` does.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BufferedReader(source)) as sound:
            samples, format = decode_blocks(sound, limit)
    except soundfile.LibsndfileError as error:
        if error.code == SFE_MALLOC_FAILED:
            raise MemoryError(error.error_string) from error
        raise InvalidClipError("unreadable", error.error_string) from error
    finally:
        if source.error:
            raise source.error
    with np.errstate(over="ignore"):
        # Doubles beyond the range of float32 would overflow in the spectrum.
        if not np.isfinite(samples.astype(np.float32)).all():
            raise InvalidClipError("not finite", "NaN or infinite samples", format)
    return samples, format


def decode_blocks(sound, limit):
    """Return (samples, AudioFormat) of an open soundfile.SoundFile, as `decode` does."""
    announced = 0 if sound.frames == UNKNOWN_LENGTH else sound.frames
    format = AudioFormat(sound.samplerate, sound.channels, announced)
    if format.sample_rate > MAX_SAMPLE_RATE:
        detail = f"sample rate {format.sample_rate} Hz, at most {MAX_SAMPLE_RATE} is believed"
        raise InvalidClipError("unreadable", detail, format)
    stored_as_float = sound.subtype in ("FLOAT", "DOUBLE")
    dtype, scale = ("float64", FULL_SCALE) if stored_as_float else ("int16", 1.0)
    # soundfile.read does this too, and it matters: an MP3 decoder has other last bits after a seek.
    if sound.seekable():
        sound.seek(0)
    blocks, decoded = [], 0
    # In blocks, because a header may announce a thousand channels, or more samples than follow.
    block_size = max(1, 2**18 // format.channels)
    while True:
        length = resampled_length(max(announced, decoded), format.sample_rate)
        if limit and length >= limit:
            detail = f"{length / SAMPLE_RATE:.3f} s, under {limit / SAMPLE_RATE:.3f} needed"
            raise InvalidClipError("too long", detail, format)
        block = sound.read(block_size, dtype=dtype, always_2d=True) * scale
        if not len(block):
            break
        blocks.append(block[:, 0] if format.channels == 1 else np.mean(block, axis=1))
        decoded += len(block)
    return np.concatenate(blocks) if blocks else np.empty(0), format._replace(samples=decoded)
