"""Reading audio files, and checking whether they are valid clips.

In a notebook::

    from wavspec.audio import wavfile_to_examples
    wavfile_to_examples("demo/yes/en_us_nohash_0.wav").shape  # (1, 96, 64)
"""

import errno
import io
import math
import os
import stat
import struct
from typing import NamedTuple

import numpy as np

from .errors import WavspecError
from .front_end import (
    EXAMPLE_HOP_LENGTH,
    EXAMPLE_LENGTH,
    FULL_SCALE,
    SAMPLE_RATE,
    examples_of,
    resampled_length,
    to_mono_16k,
)

# A clip has exactly one example if 15,600 <= samples at 16 kHz < 30,960.
SHORTEST_VALID = EXAMPLE_LENGTH  # 0.975 s
TOO_LONG = EXAMPLE_LENGTH + EXAMPLE_HOP_LENGTH  # 1.935 s: long enough for two examples

# The longest clip that is cut, in samples at its original rate: 70 minutes at 16 kHz, 23 at 48 kHz.
# It is kept in memory as float64: half a gigabyte, and as much again to resample.
MAX_SAMPLES = 2**26

# Above the rate of any audio interface. A larger number in a header is damage, and a clip of "one
# second" at such a rate would take gigabytes.
MAX_SAMPLE_RATE = 768_000  # Hz
# libsndfile's length of a stream if the header does not contain it.
UNKNOWN_LENGTH = 2**63 - 1
SFE_MALLOC_FAILED = 17  # libsndfile's error code for too little memory

# Errors of opening a file that belong to the file and recur. Others are errors of the machine.
LASTING = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO}
GONE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
NO_FILE = ("", "")  # size and mtime of anything but a regular file

# The common header: 16-bit mono PCM at 16 kHz, in the chunks "fmt " and "data" alone. The
# first `%b` is the number of bytes that follow it, the second the number of bytes of samples.
PLAIN_HEADER = (
    b"RIFF%bWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16) + b"data%b"
)
PLAIN_BYTES = 44 + 2 * (TOO_LONG - 1)  # the largest plain file of one example
READ_AT_ONCE = 2**20  # bytes

MAX_FLOAT32 = (2 - 2**-23) * 2.0**127

# Peaks, in 16-bit steps, of valid clips that are likely worthless.
FAINT = 100  # -50 dB of full scale: inaudible
CLEAR = 1000  # -30 dB: audible
FAR_BEYOND = 10 * FULL_SCALE  # floats far outside of [-1, 1], such as 16-bit values


class AudioFormat(NamedTuple):
    """The format in an audio file's header."""

    sample_rate: int  # Hz
    channels: int
    samples: int  # per channel, at `sample_rate`


class Waveform(NamedTuple):
    """The decoded content of an audio file."""

    samples: np.ndarray  # (n,), mono, in 16-bit steps; int16 or float64
    format: AudioFormat
    # Blank, or why it is likely worthless: `channels cancel`, `beyond full scale` or `16-bit
    # values in 32-bit`.
    note: str = ""


class InvalidClipError(ValueError):
    """A clip that does not have exactly one example; if long clips are cut, at least one.

    Attributes:
        reason: `missing`, `too short`, `too long`, `unreadable` or `not finite`.
        detail: what was found, in words.
        format: the clip's AudioFormat, or None if its header could not be read.
    """

    def __init__(self, reason, detail, format=None):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.format = format


class ClipChangedError(WavspecError):
    """A clip is not the file that the catalog describes."""

    def __init__(self, path):
        super().__init__(f"{path} changed during the run: run again")


class MachineError(WavspecError):
    """The machine failed to read or decode a clip; the clip itself may be valid."""

    def __init__(self, path, error):
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        super().__init__(f"cannot read {path}: {cause}")


def wavfile_to_examples(path):
    """Return the (examples, 96, 64) float64 log-mel examples of a WAV file of any length.

    Raises:
        InvalidClipError: the file cannot be decoded, or has NaN or infinite samples.
        MachineError: the file does not exist, or a disk or memory error occurs.
    """
    return examples_of(read_waveform(path).samples)


def read_clip(path, expected=None, short_clips="invalid", long_clips="invalid"):
    """Return the Waveform of a valid clip, at 16 kHz.

    Args:
        path: the audio file.
        expected: the expected size in bytes and mtime in ns, both "" if no regular, readable file
            is expected. None to accept any.
        short_clips: "pad" if a clip of 1 to 15,599 samples is valid, or "invalid".
        long_clips: "cut" if a clip of more than one example is valid, or "invalid".

    Raises:
        InvalidClipError: the clip is not valid, with the reason. Any content of a file raises only
            this. A too long clip is recognised from its header, without decoding it.
        ClipChangedError: the file does not have the expected size and mtime.
        MachineError: the file cannot be read now, for a reason outside of the file.
    """
    waveform = read_waveform(path, expected, long_clips)
    length = len(waveform.samples)
    if length < SHORTEST_VALID and not (short_clips == "pad" and length):
        detail = f"{length / SAMPLE_RATE:.3f} s, {SHORTEST_VALID / SAMPLE_RATE} needed"
        raise InvalidClipError("too short", detail, waveform.format)
    return waveform


def read_waveform(path, expected=None, long_clips=None):
    """Return the Waveform of an audio file, at 16 kHz.

    The samples are int16 for mono files of integers at 16 kHz, otherwise float64. As in VGGish,
    files are read as 16-bit integers. Only stored floats are multiplied by 32,768 instead.

    Raises:
        InvalidClipError: the file cannot be decoded, has NaN or infinite samples, or is too long,
            see `limit_of`.
        ClipChangedError: `expected`, a pair of size and mtime in ns, does not describe the file.
        MachineError: see `read_clip`.
    """
    try:
        file = open_clip(path, expected)
        try:
            try:
                waveform = read_samples(file, long_clips)
            finally:
                # After reading, even if it failed: another program may be writing the clip.
                if expected and expected != state_of(os.fstat(file)):
                    raise ClipChangedError(path)
        finally:
            os.close(file)
        samples = to_mono_16k(waveform.samples, waveform.format.sample_rate)
        return waveform._replace(samples=samples)
    except (OSError, MemoryError, ImportError) as error:
        raise MachineError(path, error) from error


def samples_to_examples(samples, sample_rate):
    """Return the log-mel examples of samples in memory, as from a microphone.

    They are bit for bit those that `wavfile_to_examples` returns for a file of these samples.

    Args:
        samples: (n,) or (n, channels), int16 or floats in [-1, 1]. Channels are averaged.
        sample_rate: in Hz; if it is not 16,000, the samples are resampled.

    Returns:
        (examples, 96, 64) float64. Example k begins at k * 0.96 s. Samples after the last complete
        example are not used; under 0.975 s there is no example.

    Raises:
        ValueError: another shape or dtype, no samples, NaN or infinite values, or floats that seem
            to be 16-bit values: beyond [-10, 10], or integers beyond [-1, 1].
    """
    samples = np.asarray(samples)
    if not (samples.ndim == 1 or (samples.ndim == 2 and samples.shape[0] >= samples.shape[1])):
        raise ValueError(f"samples must be (n,) or (n, channels), not {samples.shape}")
    if not samples.size:
        raise ValueError(f"there are no samples: the shape is {samples.shape}")
    if np.issubdtype(samples.dtype, np.floating):
        samples = samples.astype(np.float64, order="C") * FULL_SCALE
        peak = peak_of(samples)
        if not peak <= FAR_BEYOND or (peak > FULL_SCALE and not (samples % FULL_SCALE).any()):
            raise ValueError(
                f"floats must be in [-1, 1], and these reach {peak / FULL_SCALE:g}. Divide 16-bit "
                "values by 32768, or convert them to int16"
            )
    elif not np.issubdtype(samples.dtype, np.int16):
        raise ValueError(f"samples must be int16 or floats in [-1, 1], not {samples.dtype}")
    return examples_of(to_mono_16k(samples, sample_rate))


def open_clip(path, expected):
    """Open a clip for reading; return the file descriptor."""
    try:
        # Without O_NONBLOCK, opening a FIFO would wait forever for its writer.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in GONE and expected not in (None, NO_FILE):
            raise ClipChangedError(path) from error
        if error.errno in LASTING or (error.errno in GONE and expected == NO_FILE):
            reason = "unreadable" if os.path.lexists(path) else "missing"
            raise InvalidClipError(reason, error.strerror) from error
        raise


def state_of(status):
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else NO_FILE


def read_samples(file, long_clips):
    """Return the Waveform of an open file descriptor, at the file's sample rate."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidClipError("unreadable", "not a regular file")
    at_most = PLAIN_BYTES if long_clips == "invalid" else READ_AT_ONCE
    content = os.read(file, min(status.st_size, at_most))
    samples = plain_pcm(content, status.st_size)
    if samples is not None:
        return Waveform(samples, AudioFormat(SAMPLE_RATE, 1, len(samples)))
    os.lseek(file, 0, os.SEEK_SET)
    source = Source(file, closefd=False)
    is_all = len(content) == status.st_size
    try:
        waveform = decode(InMemory(content) if is_all else Buffered(source), long_clips)
    except InvalidClipError as error:
        detail = error.reason == "unreadable" and what_it_is(content, status.st_size)
        if detail:
            raise InvalidClipError("unreadable", detail, error.format) from error
        raise
    finally:
        if source.error:
            raise source.error
    detail = not len(waveform.samples) and what_it_is(content, status.st_size)
    if detail:
        raise InvalidClipError("unreadable", detail, waveform.format)
    return waveform


def what_it_is(content, file_size):
    """Describe a file without audio by its size and first bytes; return None if unknown."""
    if not file_size:
        return "an empty file"
    if content.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself: run `git lfs pull`"
    if content[4:8] == b"ftyp":
        return "an MP4 file (as .m4a), not WAV: convert it, for example with ffmpeg"
    if content[:1] == b"\xff" and content[1:2] in (b"\xf0", b"\xf1", b"\xf8", b"\xf9"):
        return "an AAC file, not WAV: convert it, for example with ffmpeg"
    if content.startswith(b"\x1a\x45\xdf\xa3"):
        return "a WebM or Matroska file, not WAV: convert it, for example with ffmpeg"
    start = content.find(b"data\0\0\0\0", 12) + 8
    if content[:4] in (b"RIFF", b"RIFX") and start >= 20:
        # A chunk may follow a `data` that is empty indeed. Its name is text.
        name = content[start : start + 4]
        if not (name.isascii() and name.decode().isprintable()):
            return (
                f"the header gives no samples, but {file_size - start} bytes follow: "
                "the recorder did not close the file"
            )
    return None


class Lenient:
    """A stream that stays where it is at a seek to before its start, as damaged files ask for."""

    def seek(self, offset, whence=os.SEEK_SET):
        # libsndfile calls this, through which no exception can pass.
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


class InMemory(Lenient, io.BytesIO):
    pass


class Buffered(Lenient, io.BufferedReader):
    pass


class Source(io.FileIO):
    """An open file for libsndfile that stores the error of a read.

    libsndfile treats a failed read as the end of the file, and returns what was decoded before.
    """

    error = None

    def readinto(self, buffer):
        try:
            count = super().readinto(buffer)
            if not count and self.tell() < os.fstat(self.fileno()).st_size:
                raise OSError(errno.EIO, "a read ended before the end of the file")
            return count
        except BaseException as error:
            self.error = error
            return 0


def plain_pcm(content, file_size):
    """Return the int16 samples of a complete, plain WAV file (16-bit mono PCM, 16 kHz), or None.

    This is four times as fast as a decoder. A plain file consists of a header of 44 bytes and
    exactly the samples that it specifies. All other files are left to the decoder.
    """
    data_size = file_size - 44
    if len(content) != file_size or data_size <= 0 or data_size % 2:
        return None
    sizes = (data_size + 36).to_bytes(4, "little"), data_size.to_bytes(4, "little")
    if content[:44] != PLAIN_HEADER % sizes:
        return None
    return np.frombuffer(content, "<i2", offset=44)


def decode(stream, long_clips=None):
    """Return the Waveform of a binary stream, read by libsndfile, at the file's sample rate.

    Raises: see `read_waveform`.
    """
    import soundfile

    try:
        with soundfile.SoundFile(stream) as sound:
            return decode_blocks(sound, long_clips)
    except soundfile.LibsndfileError as error:
        if error.code == SFE_MALLOC_FAILED:
            raise MemoryError(error.error_string) from error
        raise InvalidClipError("unreadable", error.error_string) from error


def decode_blocks(sound, long_clips):
    """Return the Waveform of an open soundfile.SoundFile, as `decode` does."""
    announced = 0 if sound.frames == UNKNOWN_LENGTH else sound.frames
    format = AudioFormat(sound.samplerate, sound.channels, announced)
    if format.sample_rate > MAX_SAMPLE_RATE:
        detail = f"sample rate {format.sample_rate} Hz, over {MAX_SAMPLE_RATE} is damage"
        raise InvalidClipError("unreadable", detail, format)
    limit = limit_of(long_clips, format.sample_rate)
    stored_as_float = sound.subtype in ("FLOAT", "DOUBLE")
    # As in soundfile.read: after a seek, an MP3 decoder gives different last bits.
    if sound.seekable():
        sound.seek(0)
    samples, decoded = bytearray(), 0  # a bytearray grows without copies
    peak = channel_peak = 0.0
    # In blocks, because a header may specify a thousand channels, or more samples than follow.
    block_size = max(1, 2**18 // format.channels)
    while True:
        length = resampled_length(max(announced, decoded), format.sample_rate)
        if length >= limit:
            detail = f"{length / SAMPLE_RATE:.3f} s, under {limit / SAMPLE_RATE:.3f} needed"
            raise InvalidClipError("too long", detail, format)
        block = sound.read(
            block_size, dtype="float64" if stored_as_float else "int16", always_2d=True
        )
        if not len(block):
            break
        if stored_as_float:
            block *= FULL_SCALE
        mono = block[:, 0] if format.channels == 1 else np.mean(block, axis=1)
        block_peak = peak_of(mono)
        # Doubles beyond the range of float32 would overflow in the spectrum.
        if not block_peak <= MAX_FLOAT32:
            raise InvalidClipError("not finite", "NaN or infinite samples", format)
        if format.channels > 1 and block_peak <= FAINT:
            channel_peak = max(channel_peak, peak_of(block))
        peak = max(peak, block_peak)
        samples += memoryview(mono).cast("B")
        decoded += len(mono)
        dtype = mono.dtype
    if not decoded:
        return Waveform(np.empty(0), format._replace(samples=0))
    note = ""
    if peak > FAR_BEYOND:
        note = "beyond full scale"
    elif peak <= FAINT and channel_peak >= CLEAR:
        note = "channels cancel"
    elif peak <= 1 and sound.subtype == "PCM_32" and holds_anything(sound):
        note = "16-bit values in 32-bit"
    return Waveform(np.frombuffer(samples, dtype), format._replace(samples=decoded), note)


def limit_of(long_clips, sample_rate):
    """Return the number of samples at 16 kHz from which a clip at `sample_rate` is too long.

    Args:
        long_clips: "invalid" to allow one example, "cut" as many as fit into memory, None any
            number.
    """
    if long_clips == "invalid":
        return TOO_LONG
    return resampled_length(MAX_SAMPLES, sample_rate) if long_clips == "cut" else math.inf


def peak_of(samples):
    """Return the largest magnitude among `samples`; NaN if one is NaN."""
    return max(float(samples.max()), -float(samples.min()))


def holds_anything(sound):
    """Return whether any of the 32-bit integers of a soundfile.SoundFile is not 0."""
    sound.seek(0)
    return any(block.any() for block in sound.blocks(2**16, dtype="int32"))


def worthless(used, rest):
    """Return why an example is likely worthless: `silent`, `sound after the used part`, or "".

    Args:
        used: the example's samples, in 16-bit steps.
        rest: the samples after it that are in no example.
    """
    peak = peak_of(used)
    if peak <= FAINT and len(rest) and peak_of(rest) >= CLEAR:
        return "sound after the used part"
    return "" if peak else "silent"
