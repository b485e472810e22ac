"""Lengths are those of the decoded samples, and segments those of soundfile.read."""

import io
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from test_long_clips import CUT, chunk_of, original
from wavs import log_mel_examples, write_wav
from wavspec import audio
from wavspec.audio import InvalidClipError, read_clip, read_waveform, wavfile_to_examples
from wavspec.front_end import resampled, to_mono
from wavspec.rows import read_table, row_starts

RATE = 16_000


def sound(samples=5 * RATE):
    """Noise after silence, whose MP3 frames are smaller."""
    noise = np.random.default_rng(1).normal(0, 0.3, samples).clip(-1, 1)
    noise[: samples // 4] = 0
    return noise


def mp3(samples, **options):
    """The bytes of an MP3 file with a Xing header, which has its length."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="MP3", **options)
    return file.getvalue()


def without_xing(content):
    """An MP3 file without its Xing header: the first frame."""
    return content[content.index(b"\xff\xf3", 4) :]


def flac(samples, length=None):
    """The bytes of a FLAC file whose header announces `length` samples, or the true number."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")
    content = bytearray(file.getvalue())
    if length is not None:
        content[22:26] = length.to_bytes(4)
    return bytes(content)


def decoded(path):
    """The samples of a file by an independent decoder."""
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", path, "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<i2")


VARIABLE = {"bitrate_mode": "VARIABLE", "compression_level": 0.4}
MP3 = {
    "constant": mp3(sound(), bitrate_mode="CONSTANT"),
    "variable": mp3(sound(), **VARIABLE),
    "from silence, without a length": without_xing(mp3(sound(), **VARIABLE)),
    "to silence, without a length": without_xing(mp3(sound()[::-1], **VARIABLE)),
    "after zeros": bytes(5000) + mp3(sound(), **VARIABLE),
    "with a tag at its end": without_xing(mp3(sound(), **VARIABLE)) + b"TAG" + bytes(125),
    "cut off in a frame": without_xing(mp3(sound(), **VARIABLE))[:-77],
}


@pytest.mark.parametrize("kept", [0, 2**25])
@pytest.mark.parametrize("kind", MP3)
def test_all_of_an_mp3_is_read(tmp_path, monkeypatch, kind, kept):
    path = tmp_path / "clip.mp3"
    path.write_bytes(MP3[kind])
    monkeypatch.setattr(audio, "KEPT_BYTES", kept)
    monkeypatch.setattr(audio, "READ_AT_ONCE", 6000 if kept else 2**20)
    waveform = read_waveform(path)
    samples = waveform.samples
    assert len(samples) == waveform.format.samples == waveform.length
    assert 5 * RATE - 600 <= len(samples) <= 5 * RATE + 4 * 576
    expected, _ = soundfile.read(path, dtype="int16")  # sometimes less
    assert np.array_equal(samples[: len(expected)], expected[: len(samples)])


@pytest.mark.parametrize("kind", MP3)
def test_another_decoder_finds_as_many_samples(tmp_path, kind):
    path = tmp_path / "clip.mp3"
    path.write_bytes(MP3[kind])
    # After zeros, ffmpeg does not use the Xing header, which has the delay. libsndfile does not
    # return what it decodes in the call that reaches the frame that is cut off.
    allowed = 2000 if kind in ("after zeros", "cut off in a frame") else 576
    assert abs(read_waveform(path).length - len(decoded(path))) <= allowed


def test_the_files_that_lose_sound_elsewhere_do(tmp_path):
    """Otherwise, the tests above would not test what they should."""
    lengths = []
    for kind in ("from silence, without a length", "to silence, without a length"):
        (tmp_path / "clip.mp3").write_bytes(MP3[kind])
        lengths.append(soundfile.info(tmp_path / "clip.mp3").frames)
    assert lengths[0] > 6 * RATE and lengths[1] < 4.5 * RATE


def test_joined_mp3_files_are_refused(tmp_path):
    path = tmp_path / "clip.mp3"
    path.write_bytes(2 * mp3(sound(17_000)))
    with pytest.raises(InvalidClipError, match=r"announces 1\.062 s, but more MP3 frames follow"):
        read_clip(path)


@pytest.mark.parametrize("length", [None, 0, 8000, 40_000])
@pytest.mark.parametrize("tag", [b"", b"ID3\4\0\0\0\0\0\12" + bytes(10)])
def test_all_of_a_flac_is_read(tmp_path, monkeypatch, length, tag):
    samples = (sound(20_000) * 32_767).astype(np.int16)
    path = tmp_path / "clip.flac"
    path.write_bytes(tag + flac(samples, length))
    for at_once in (2**20, 3000):
        monkeypatch.setattr(audio, "READ_AT_ONCE", at_once)
        monkeypatch.setattr(audio, "PLAIN_BYTES", at_once)
        waveform = read_clip(path)
        assert waveform.format == (RATE, 1, 20_000)
        assert np.array_equal(waveform.samples, samples)


def test_tags_after_a_flac_are_no_sound(tmp_path):
    path = tmp_path / "clip.flac"
    path.write_bytes(flac(sound(20_000)) + b"TAG" + bytes(range(125)))
    expected, _ = soundfile.read(path, dtype="int16")
    assert np.array_equal(read_clip(path).samples, expected)


@pytest.mark.parametrize("length", [0, 16_000, 10**9])
def test_too_long_and_too_short_are_counted(tmp_path, length):
    (tmp_path / "long.flac").write_bytes(flac(sound(40_000), length))
    with pytest.raises(InvalidClipError, match="too long") as error:
        read_clip(tmp_path / "long.flac")
    assert error.value.format.samples == max(length, 40_000)
    (tmp_path / "short.flac").write_bytes(flac(sound(4000), length))
    with pytest.raises(InvalidClipError, match=r"too short: 0\.250 s, 0\.975 needed") as error:
        read_clip(tmp_path / "short.flac")
    assert error.value.format.samples == 4000


KINDS = {
    "clip.wav": {"subtype": "PCM_16"},
    "clip_24.wav": {"subtype": "PCM_24"},
    "clip_float.wav": {"subtype": "FLOAT"},
    "clip.flac": {},
    "clip.ogg": {},
    "clip.mp3": {},
    "clip.aiff": {},
    "adpcm.wav": {"subtype": "MS_ADPCM"},
}


@pytest.mark.parametrize("rate", [16_000, 22_050])
@pytest.mark.parametrize("name", KINDS)
def test_a_segments_samples_are_those_of_soundfile(tmp_path, name, rate):
    path = tmp_path / name
    channels = 1 if "adpcm" in name else 2
    noise = np.random.default_rng(0).normal(0, 0.1, (5 * rate, channels))
    soundfile.write(path, noise, rate, **KINDS[name])
    whole, _ = soundfile.read(path, dtype="float64" if "float" in name else "int16", always_2d=True)
    whole = whole * 32_768 if "float" in name else whole
    for start, end in [("", ""), (1.0, ""), ("", 1.00003), (0.33333, 2.5), (4.2, 5.0), (3.1, 9.0)]:
        first = 0 if start == "" else round(start * rate)
        last = None if end == "" else round(end * rate)
        expected = np.concatenate([*resampled([to_mono(whole[first:last])], rate)])
        waveform = read_clip(path, None, (start, end), "pad", "cut")
        assert np.array_equal(waveform.samples, expected)
        assert waveform.length == len(expected)
        assert waveform.format == (rate, channels, len(whole[first:last]))


def test_a_segment_is_seeked_as_soundfile_does(tmp_path):
    path = write_wav(tmp_path / "clip.wav", samples=60_000)
    expected, _ = soundfile.read(path, start=20_000, stop=37_000, dtype="int16")
    assert np.array_equal(read_clip(path, None, (1.25, 2.3125)).samples, expected)


@pytest.mark.parametrize(
    ("segment", "error"),
    [
        ((1.0, 1.5), "too short: 0.500 s from 1 s, 0.975 needed"),
        ((2.5, 4.0), "too short: 0.500 s from 2.5 s, 0.975 needed; the file ends before 4 s"),
        ((7.0, 9.5), "too short: 0.000 s from 7 s, 0.975 needed; the file ends before 9.5 s"),
        ((7.0, ""), "too short: 0.000 s from 7 s, 0.975 needed"),
        (("", 0.9), "too short: 0.900 s, 0.975 needed"),
        ((0.5, ""), "too long: 2.500 s, under 1.935 needed"),
        ((0.5, 2.9), "too long: 2.400 s, under 1.935 needed"),
    ],
)
def test_segments_are_valid_as_clips_are(tmp_path, segment, error):
    path = write_wav(tmp_path / "clip.wav", samples=3 * RATE)
    with pytest.raises(InvalidClipError) as raised:
        read_clip(path, None, segment)
    assert str(raised.value) == error


def test_segments_are_padded_and_cut(tmp_path):
    path = write_wav(tmp_path / "dataset" / "no" / "0.wav", samples=10 * RATE)
    samples, _ = soundfile.read(path)
    segments = [(0.5, 1.0), (1.0, 4.0), (8.0, 99.0)]
    settings = {**CUT, "short_clips": "pad"}
    chunk, rows = chunk_of(tmp_path / "dataset", tmp_path, settings, segments=segments)
    padded = np.append(samples[8000:16_000], np.zeros(7600))
    expected = [log_mel_examples(padded)]
    expected += [log_mel_examples(samples[16_000:64_000]), log_mel_examples(samples[128_000:])]
    assert np.array_equal(chunk, np.concatenate(expected))
    starts = ["0.5", *["1.0"] * 3, *["8.0"] * 2]
    assert [row["start"] for row in rows] == starts
    assert [row["padded"] for row in rows] == ["7600", *["0"] * 5]
    assert np.array_equal(wavfile_to_examples(path), original(path))


def test_the_start_of_a_row_is_that_of_its_samples(tmp_path):
    path = write_wav(tmp_path / "dataset" / "no" / "0.wav", samples=10 * RATE)
    samples, _ = soundfile.read(path)
    settings = {**CUT, "hop": 0.07}
    segments = [("", ""), (2.5, 7.0), (9.5, "")]
    chunk, rows = chunk_of(tmp_path / "dataset", tmp_path, settings, segments=segments)
    [table] = tmp_path.glob("*.csv")
    starts = row_starts(read_table(table), 0.07)
    assert len(starts) == len(rows)
    for start, row, spectrogram in zip(starts, rows, chunk, strict=True):
        if row["valid"] == "True":
            [expected] = log_mel_examples(samples[round(start * RATE) :][:15_600])
            assert np.allclose(spectrogram, expected, rtol=0, atol=1e-14)
    assert f"{starts[7]}" == "0.49" and starts.iloc[-1] == 9.5
