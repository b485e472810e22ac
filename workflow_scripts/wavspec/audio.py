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
from collections.abc import Iterable
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from .errors import WavspecError
from .front_end import (
    EXAMPLE_HOP_LENGTH,
    EXAMPLE_LENGTH,
    FULL_SCALE,
    SAMPLE_RATE,
    examples_of,
    resampled,
    resampled_length,
    to_mono,
)

# A clip has exactly one example if 15,600 <= samples at 16 kHz < 30,960.
SHORTEST_VALID = EXAMPLE_LENGTH  # 0.975 s
TOO_LONG = EXAMPLE_LENGTH + EXAMPLE_HOP_LENGTH  # 1.935 s: long enough for two examples

# From below the rate of stethoscopes to above that of any audio interface. Other numbers in a
# header are damage, and resampling such a clip to 16 kHz could take gigabytes.
SAMPLE_RATES = range(1000, 768_001)  # Hz
BLOCK = 2**17  # numbers that are decoded at once
# Samples of longer clips are not kept while they are checked, but decoded a second time.
KEPT_BYTES = 2**25
# libsndfile's length of a stream if the header does not contain it.
UNKNOWN_LENGTH = 2**63 - 1
SFE_MALLOC_FAILED = 17  # libsndfile's error code for too little memory

# Formats in which libsndfile finds any sample at once; others are decoded from the start.
SEEKABLE = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
MP3_EXCESS = 100  # the size of an MP3 file for libsndfile, as a multiple, see `decoder`
WHOLE = ("", "")  # start and end of a clip that is a whole file

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
    """The format of a clip."""

    sample_rate: int  # Hz
    channels: int
    # Per channel, at `sample_rate`: as many as were decoded. If decoding stopped because the clip
    # is too long, as many as its header announces, if that is more.
    samples: int


class Waveform(NamedTuple):
    """The decoded content of a clip, mono at 16 kHz."""

    # (n,) arrays, in 16-bit steps: int16 for mono integers at 16 kHz, otherwise float64. The blocks
    # of a long clip can be iterated only once.
    blocks: Iterable
    length: int  # of all blocks
    format: AudioFormat
    # Blank, or why it is likely worthless: `channels cancel`, `beyond full scale` or `16-bit
    # values in 32-bit`.
    note: str = ""

    @property
    def samples(self):
        """All blocks in one (length,) array."""
        blocks = list(self.blocks)
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks or [[]])


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


def read_clip(path, expected=None, segment=WHOLE, short_clips="invalid", long_clips="invalid"):
    """Return the Waveform of a valid clip.

    Args:
        path: the audio file.
        expected: the expected size in bytes and mtime in ns, both "" if no regular, readable file
            is expected. None to accept any.
        segment: start and end of the clip in the file, in seconds; "" for those of the file.
        short_clips: "pad" if a clip of 1 to 15,599 samples is valid, or "invalid".
        long_clips: "cut" if a clip of more than one example is valid, or "invalid".

    Raises:
        InvalidClipError: the clip is not valid, with the reason. Any content of a file raises only
            this. Lengths are those of the decoded samples, whatever the header announces.
        ClipChangedError: the file does not have the expected size and mtime.
        MachineError: the file cannot be read now, for a reason outside of the file.
    """
    limit = TOO_LONG if long_clips == "invalid" else math.inf
    waveform = read_waveform(path, expected, segment, limit)
    if waveform.length < SHORTEST_VALID and not (short_clips == "pad" and waveform.length):
        start, end = segment
        place = f" from {start:g} s" if start else ""
        milliseconds = 1000 * waveform.length // SAMPLE_RATE  # rounded up, it could be enough
        detail = f"{milliseconds / 1000:.3f} s{place}, {SHORTEST_VALID / SAMPLE_RATE} needed"
        samples, sample_rate = waveform.format.samples, waveform.format.sample_rate
        if end != "" and samples < round(end * sample_rate) - round((start or 0) * sample_rate):
            detail += f"; the file ends before {end:g} s"
        raise InvalidClipError("too short", detail, waveform.format)
    return waveform


def read_waveform(path, expected=None, segment=WHOLE, limit=math.inf):
    """Return the Waveform of a clip of any length.

    As in VGGish, files are read as 16-bit integers. Only stored floats are multiplied by 32,768
    instead.

    Args:
        path, expected, segment: see `read_clip`.
        limit: the number of samples at 16 kHz from which the clip is too long.

    Raises:
        InvalidClipError: the file cannot be decoded, has NaN or infinite samples, or is too long.
        ClipChangedError, MachineError: see `read_clip`.
    """
    with opened(path, expected) as file:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidClipError("unreadable", "not a regular file")
        at_most = READ_AT_ONCE if limit == math.inf else PLAIN_BYTES
        content = os.read(file, min(status.st_size, at_most))
        samples = plain_pcm(content, status.st_size) if segment == WHOLE else None
        if samples is not None:
            return Waveform([samples], len(samples), AudioFormat(SAMPLE_RATE, 1, len(samples)))
        with decoder(file, content, segment) as clip:
            kept, format, note = check(clip, limit)
        detail = not format.samples and what_it_is(content, status.st_size)
        if detail:
            raise InvalidClipError("unreadable", detail, format)
    length = resampled_length(format.samples, format.sample_rate)
    blocks = blocks_at_16k(path, expected, segment, kept, format.sample_rate)
    return Waveform(blocks, length, format, note)


def blocks_at_16k(path, expected, segment, kept, sample_rate):
    """Yield the blocks of a Waveform.

    Args:
        kept: list of its blocks at `sample_rate`, or None to decode it again.
    """
    with machine_errors(path):
        if kept is not None:
            yield from resampled(kept, sample_rate)
            return
    with opened(path, expected) as file:
        content = os.read(file, READ_AT_ONCE)
        with decoder(file, content, segment) as clip:
            yield from resampled(map(to_mono, clip.blocks()), sample_rate)


def check(clip, limit):
    """Decode a Decoder's clip; return (list of its mono blocks or None, AudioFormat, note).

    The blocks are not returned if they take more than KEPT_BYTES.
    """
    kept, size, decoded = [], 0, 0
    peak = channel_peak = 0.0
    sample_rate, channels, announced = clip.format
    for block in clip.blocks():
        mono = to_mono(block)
        decoded += len(mono)
        if resampled_length(decoded, sample_rate) >= limit:
            samples = max(announced, decoded)
            claim = " according to its header" if announced > decoded else ""
            at_least = "at least " if announced < decoded else ""
            length = f"{at_least}{samples / sample_rate:.3f} s{claim}"
            detail = f"{length}, under {limit / SAMPLE_RATE:.3f} needed"
            format = AudioFormat(sample_rate, channels, samples)
            raise InvalidClipError("too long", detail, format)
        block_peak = peak_of(mono)
        # Doubles beyond the range of float32 would overflow in the spectrum.
        if not block_peak <= MAX_FLOAT32:
            raise InvalidClipError("not finite", "NaN or infinite samples", clip.format)
        if channels > 1 and block_peak <= FAINT:
            channel_peak = max(channel_peak, peak_of(block))
        peak = max(peak, block_peak)
        size += mono.nbytes
        if kept is not None and size <= KEPT_BYTES:
            kept.append(mono)
        else:
            kept = None
    note = ""
    if peak > FAR_BEYOND:
        note = "beyond full scale"
    elif peak <= FAINT and channel_peak >= CLEAR:
        note = "channels cancel"
    elif peak <= 1 and clip.subtype == "PCM_32" and clip.holds_anything():
        note = "16-bit values in 32-bit"
    return kept, AudioFormat(sample_rate, channels, decoded), note


@contextmanager
def machine_errors(path):
    """Raise MachineError for errors that are not the clip's."""
    try:
        yield
    except (OSError, MemoryError, ImportError) as error:
        raise MachineError(path, error) from error


@contextmanager
def opened(path, expected):
    """Yield the file descriptor of a clip; raise ClipChangedError if it is not as `expected`."""
    with machine_errors(path):
        file = open_clip(path, expected)
        try:
            try:
                yield file
            finally:
                # After reading, even if it failed: another program may be writing the clip.
                if expected and expected != state_of(os.fstat(file)):
                    raise ClipChangedError(path)
        finally:
            os.close(file)


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
    blocks = resampled([to_mono(samples)], sample_rate)
    return examples_of(np.concatenate([*blocks, []]))  # a few samples at a high rate give no block


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


def what_it_is(content, file_size):
    """Describe a file without audio by its size and first bytes; return None if unknown."""
    if not file_size:
        return "an empty file"
    if content.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself: run `git lfs pull`"
    for kind, found in (
        ("MP4 file (as .m4a)", content[4:8] == b"ftyp"),
        ("AAC file", is_aac(content)),
        ("FLAC file without its header", content[:2] in (b"\xff\xf8", b"\xff\xf9")),
        ("Ogg FLAC file", content[:4] == b"OggS" and content[28:33] == b"\x7fFLAC"),
        ("WebM or Matroska file", content.startswith(b"\x1a\x45\xdf\xa3")),
    ):
        if found:
            article = "an" if kind[0] in "AMO" else "a"
            return f"{article} {kind}, which cannot be read: convert it, for example with ffmpeg"
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


def is_aac(content):
    """Return whether the first bytes are those of AAC in ADTS frames (ISO/IEC 13818-7, 6.2).

    MPEG-2's frames can begin like FLAC's. Therefore the next frame must be where the first ends.
    """
    if content[:2] in (b"\xff\xf0", b"\xff\xf1"):
        return True
    next_frame = int.from_bytes(content[3:6]) >> 5 & 0x1FFF
    return content[:2] in (b"\xff\xf8", b"\xff\xf9") and (
        content[next_frame : next_frame + 2] == content[:2]
    )


@contextmanager
def decoder(file, content, segment):
    """Yield the Decoder of a clip in an open file.

    For libsndfile, the length that a header of FLAC announces, or that it estimates for MP3, is the
    end of the sound. Here it decodes to the true end, because it finds no length in the header of
    FLAC, and a larger file in the case of MP3.

    Args:
        file: file descriptor.
        content: the first bytes of the file.
        segment: see `read_clip`.
    """
    import soundfile

    size = os.fstat(file).st_size
    # libsndfile recognises MP3 after leading zeros only by the ending of a file's name.
    start = len(content) - len(content.lstrip(b"\0"))
    mp3 = is_mp3(content[start:])
    start, announced = start if mp3 else 0, 0
    flac = not mp3 and content[:3] in (b"fLa", b"ID3")
    if flac:
        content, announced = without_length(content)
    source = Source(file, start, content)
    stream = InMemory(content[start:]) if len(content) == size else Buffered(source, 2**16)
    if mp3:
        stream.claimed_size = MP3_EXCESS * size
    try:
        with soundfile.SoundFile(stream) as sound:
            if not (mp3 or flac) and sound.frames != UNKNOWN_LENGTH:
                announced = sound.frames
            yield Decoder(sound, stream, segment, announced)
    except soundfile.LibsndfileError as error:
        if error.code == SFE_MALLOC_FAILED:
            raise MemoryError(error.error_string) from error
        detail = what_it_is(content, size)
        if not detail and mp3:
            detail = "libsndfile cannot decode it as MP3"
        raise InvalidClipError("unreadable", detail or error.error_string) from error
    finally:
        if source.error:
            raise source.error


class Decoder:
    """An open file that libsndfile decodes in blocks, from the start of a clip to its end.

    Attributes:
        format: AudioFormat with the samples that the header announces, or 0.
        subtype: the encoding, as in soundfile.
    """

    def __init__(self, sound, stream, segment, announced):
        self.sound, self.stream, self.announced = sound, stream, announced
        self.can_seek = sound.seekable() and sound.format != "FLAC"
        # Otherwise, soundfile seeks after each read, which changes the next samples of MP3.
        sound.seekable = lambda: False
        self.subtype = sound.subtype
        sample_rate = sound.samplerate
        start, end = segment
        self.start = round(start * sample_rate) if start != "" else 0
        self.stop = round(end * sample_rate) if end != "" else math.inf
        samples = max(0, min(announced, self.stop) - self.start)
        self.format = AudioFormat(sample_rate, sound.channels, samples)
        if sample_rate not in SAMPLE_RATES:
            detail = (
                f"sample rate {sample_rate} Hz, outside of {SAMPLE_RATES[0]} to {SAMPLE_RATES[-1]}"
            )
            raise InvalidClipError("unreadable", detail, self.format)

    def blocks(self, dtype=None):
        """Yield the clip's samples as (n, channels) arrays in 16-bit steps: int16 or float64."""
        stored_as_float = self.subtype in ("FLOAT", "DOUBLE")
        dtype = dtype or ("float64" if stored_as_float else "int16")
        position = 0
        # As in soundfile.read: after a seek, an MP3 decoder gives different last bits. FLAC without
        # a length cannot seek.
        if self.can_seek:
            if self.subtype in SEEKABLE:
                position = min(self.start, self.sound.frames)
            self.sound.seek(position)
        # In blocks, because a header may specify a thousand channels.
        size = max(1, BLOCK // self.format.channels)
        while position < self.stop:
            block = self._read(min(size, self.stop - position), position, dtype)
            if not len(block):
                break
            skipped = max(0, self.start - position)
            position += len(block)
            if skipped < len(block):
                if stored_as_float:
                    block *= FULL_SCALE
                yield block[skipped:]
        else:
            return
        if self.sound.format == "MP3" and is_mp3(self.stream.read(3)):
            detail = f"its header announces {position / self.format.sample_rate:.3f} s, but more "
            detail += "MP3 frames follow: convert it, for example with ffmpeg"
            raise InvalidClipError("unreadable", detail, self.format)

    def _read(self, count, position, dtype):
        import soundfile

        block = np.empty((count, self.format.channels), dtype)
        try:
            return self.sound.read(out=block)
        except soundfile.LibsndfileError:
            # The samples before the error are complete. In FLAC it can be a tag after the sound, in
            # MP3 a last frame that is cut off.
            count = self.sound.tell() - position
            at_end = self.sound.format == "FLAC" and position + count == self.announced
            if at_end or (self.sound.format == "MP3" and not self.stream.read(1)):
                return block[:count]
            raise

    def holds_anything(self):
        """Return whether any of the clip's 32-bit integers is not 0."""
        return any(block.any() for block in self.blocks("int32"))


class Lenient:
    """A stream that stays where it is at a seek to before its start, as damaged files ask for."""

    claimed_size = None  # if set, where a seek to the end leads

    def seek(self, offset, whence=os.SEEK_SET):
        if self.claimed_size and (offset, whence) == (0, os.SEEK_END):
            return super().seek(self.claimed_size)
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

    Args:
        file: file descriptor.
        start: number of bytes at the start of the file to leave out.
        content: first bytes of the file, in place of those that are read.
    """

    error = None

    def __init__(self, file, start, content):
        super().__init__(file, closefd=False)
        self.start, self.content = start, content
        self.seek(0)

    def seek(self, offset, whence=os.SEEK_SET):
        offset += self.start if whence == os.SEEK_SET else 0
        return super().seek(offset, whence) - self.start

    def tell(self):
        return super().tell() - self.start

    def readinto(self, buffer):
        try:
            position = super().tell()
            count = super().readinto(buffer)
            if not count and position < os.fstat(self.fileno()).st_size:
                raise OSError(errno.EIO, "a read ended before the end of the file")
            known = self.content[position : position + count]
            buffer[: len(known)] = known
            return count
        except BaseException as error:
            self.error = error
            return 0


def is_mp3(content):
    """Return whether bytes begin like a frame of MP3, or like a tag before it."""
    if content[:3] == b"ID3":
        return b"fLaC" not in content
    return content[:1] == b"\xff" and content[1:2] >= b"\xe0" and bool(content[1] & 6)


def without_length(content):
    """Return (`content`, the first bytes of a FLAC file, without its length; the length)."""
    place = content.find(b"fLaC") + 18  # RFC 9639, 8.2: the last 36 of these 64 bits
    value = int.from_bytes(content[place : place + 8])
    unknown = (value >> 36 << 36).to_bytes(8)
    return content[:place] + unknown + content[place + 8 :], value & (2**36 - 1)


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


def peak_of(samples):
    """Return the largest magnitude among `samples`; NaN if one is NaN."""
    return max(float(samples.max()), -float(samples.min()))


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
