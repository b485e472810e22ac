"""The front end: the original's values, bit for bit, and a reason for every invalid file."""

import csv
import io
import os
import struct
import threading

import numpy as np
import pytest
import soundfile
import tables
from spectrograms import mapped, write_chunk
from wavs import (
    REAL_CLIPS,
    REFERENCE,
    SETTINGS,
    make_dataset,
    needs_real_clips,
    needs_reference,
    original_examples,
    riff,
    write_catalog,
    write_wav,
)
from wavspec.audio import (
    SAMPLE_RATES,
    InvalidClipError,
    MachineError,
    read_clip,
    samples_to_examples,
    wavfile_to_examples,
)
from wavspec.dataset import find_clips


def chunk_of(dataset, label, folder, threads=1, **settings):
    """The (n, 96, 64) chunk and the table's rows, as dicts, of one label of `dataset`."""
    settings = {**SETTINGS, **settings}
    catalog, digest = write_catalog(dataset, label, folder, settings)
    chunk, table = folder / f"x.{digest}.npy", folder / f"x.{digest}.csv"
    write_chunk(dataset, catalog, chunk, table, settings, threads)
    with open(table, newline="") as file:
        return np.load(chunk), list(csv.DictReader(file))


@pytest.mark.parametrize("clips", [1, 3, 4, 5])
def test_a_chunk_is_bit_for_bit_the_originals(tmp_path, clips):
    dataset = make_dataset(tmp_path / "dataset", ["yes"], clips)
    chunk, _ = chunk_of(dataset, "yes", tmp_path)
    expected = [original_examples(dataset / "yes" / f"{n}.wav")[0] for n in range(clips)]
    assert np.array_equal(chunk, expected)


@needs_real_clips
def test_real_clips_are_bit_for_bit_the_originals(tmp_path):
    for label, clips in find_clips(REAL_CLIPS).labels.items():
        chunk, table = chunk_of(REAL_CLIPS, label, tmp_path)
        for clip, row, spectrogram in zip(clips, table, chunk, strict=True):
            examples = original_examples(REAL_CLIPS / clip.path)
            assert row["valid"] == str(len(examples) == 1)
            assert np.array_equal(spectrogram, examples[0] if len(examples) else np.zeros((96, 64)))


@needs_reference
def test_every_kind_of_file_is_judged_and_valued_as_the_original_does(tmp_path):
    chunk, table = chunk_of(REFERENCE, "variants", tmp_path)
    with open(REFERENCE / "reference.csv", newline="") as file:
        examples = {row["file"]: row["examples"] for row in csv.DictReader(file)}
    reference = np.load(REFERENCE / "reference.npz")
    assert len(table) == 22
    for row, spectrogram in zip(table, chunk, strict=True):
        path = row["path"]
        assert row["valid"] == str(examples[path] == "1"), row
        if path in reference:
            np.testing.assert_allclose(spectrogram, reference[path], rtol=0, atol=1e-9)
        elif row["valid"] == "False":
            assert row["reason"] and not spectrogram.any()
        else:
            assert path == "variants/float32_16000.wav"


@needs_reference
def test_reference_values_of_real_clips():
    reference = np.load(REFERENCE / "reference.npz")
    clips = [path for path in reference if not path.startswith("variants/")]
    assert len(clips) > 50
    for clip in clips:
        examples = wavfile_to_examples(REFERENCE.parent / clip)
        np.testing.assert_allclose(examples, reference[clip][np.newaxis], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(0, "too short"), (15_599, "too short"), (15_600, ""), (30_959, ""), (30_960, "too long")],
)
def test_valid_means_exactly_one_example(tmp_path, samples, reason):
    clip = write_wav(tmp_path / "dataset" / "no" / "clip.wav", samples=samples)
    chunk, [row] = chunk_of(tmp_path / "dataset", "no", tmp_path)
    assert (row["reason"], row["valid"]) == (reason, str(not reason))
    assert (row["sample_rate"], row["channels"], row["samples"]) == ("16000", "1", str(samples))
    assert chunk.any() == (not reason)
    assert wavfile_to_examples(clip).shape == (max(0, (samples - 240) // 15_360), 96, 64)


def test_long_waveforms_give_the_originals_examples(tmp_path):
    clip = write_wav(tmp_path / "long.wav", samples=16_000 * 9)
    assert np.array_equal(wavfile_to_examples(clip), original_examples(clip))


def test_a_stored_float_is_used_as_it_is(tmp_path):
    plain = write_wav(tmp_path / "plain.wav")
    samples, _ = soundfile.read(plain)
    for subtype in ("FLOAT", "DOUBLE"):
        stored = tmp_path / f"{subtype}.wav"
        soundfile.write(stored, samples, 16_000, subtype=subtype)
        assert np.array_equal(wavfile_to_examples(stored), wavfile_to_examples(plain))
    assert np.array_equal(samples_to_examples(samples, 16_000), wavfile_to_examples(plain))


def test_channels_are_averaged_and_other_rates_resampled(tmp_path):
    resampy = pytest.importorskip("resampy")
    channels = np.random.default_rng(1).normal(0, 0.1, (48_000, 3))
    path = tmp_path / "clip.wav"
    soundfile.write(path, channels, 48_000, subtype="PCM_16")
    samples, _ = soundfile.read(path)
    mono = resampy.resample(np.mean(samples, axis=1), 48_000, 16_000)
    assert np.array_equal(wavfile_to_examples(path), samples_to_examples(mono, 16_000))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_samples_that_are_not_finite_make_a_clip_invalid(tmp_path, value):
    samples = np.zeros(16_000)
    samples[12_345] = value
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, 16_000, subtype="DOUBLE")
    with pytest.raises(InvalidClipError) as error:
        read_clip(path)
    assert error.value.reason == "not finite"


def test_what_is_no_clip_is_unreadable_and_waits_for_nothing(tmp_path):
    label = tmp_path / "dataset" / "no"
    write_wav(label / "a.wav")
    (label / "b.wav").write_bytes(b"")
    (label / "c.wav").mkdir()
    os.mkfifo(label / "d.wav")
    (label / "e.wav").symlink_to("nowhere")
    (label / "f.wav").symlink_to("/dev/zero")
    chunk, table = chunk_of(tmp_path / "dataset", "no", tmp_path)
    assert [row["reason"] for row in table] == ["", *["unreadable"] * 5]
    assert [bool(row.any()) for row in chunk] == [True] + [False] * 5
    assert all(row["detail"] for row in table[1:])


HEADER = riff(b"")
UNREADABLE = {
    "an empty file": b"",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "an MP4 file": b"\0\0\0\x1cftypM4A \0\0\2\0" + bytes(range(256)),
    "an AAC file": b"\xff\xf1\x50\x80\x2e\x7f\xfc" + bytes(500),
    "an AAC file, which": 2 * (b"\xff\xf9\x50\x80\x02\x1f\xfc" + bytes(9)),
    "a FLAC file without its header": b"\xff\xf8\xc9\x18\0\xc2" + bytes(500),
    "an Ogg FLAC file": b"OggS\0\2" + bytes(20) + b"\1\x33\x7fFLAC\1\0" + bytes(99),
    "libsndfile cannot decode it as MP3": b"\xff\xfb\x90\xc4" + bytes(range(256)) * 9,
    "a WebM or Matroska file": b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1" + bytes(200),
    "the header gives no samples, but 32000 bytes follow": HEADER + bytes(32_000),
    "Format not recognised": b"no audio",
}


@pytest.mark.parametrize("detail", UNREADABLE)
def test_what_is_unreadable_is_said(tmp_path, detail):
    path = tmp_path / "clip.wav"
    path.write_bytes(UNREADABLE[detail])
    with pytest.raises(InvalidClipError) as error:
        read_clip(path)
    assert error.value.reason == "unreadable"
    assert error.value.detail.startswith(detail)


@pytest.mark.parametrize("more", [b"", b"LIST\4\0\0\0abcd"])
def test_a_header_that_announces_no_samples_may_be_right(tmp_path, more):
    path = tmp_path / "clip.wav"
    path.write_bytes(HEADER + more)
    with pytest.raises(InvalidClipError, match=r"too short: 0\.000 s"):
        read_clip(path)


NOISE = np.random.default_rng(5).normal(0, 3000, 30_000).astype(np.int16)
QUIET = (NOISE // 500).astype(np.int16)
TONE = np.sin(np.arange(16_000) / 50)
SILENT = np.zeros(16_000, np.int16)
OPPOSITE = np.stack([NOISE, -NOISE], axis=1)
LATE = "sound after the used part"
NOTES = {
    "plain": (NOISE, "PCM_16", ""),
    "quiet": (QUIET, "PCM_16", ""),
    "one step": (SILENT + (np.arange(16_000) == 9_000), "PCM_16", ""),
    "silent": (SILENT, "PCM_16", "silent"),
    "silent, two channels": (np.stack([SILENT, SILENT], axis=1), "PCM_16", "silent"),
    "silent, 32 bits": (SILENT, "PCM_32", "silent"),
    "opposite channels": (OPPOSITE, "PCM_16", "channels cancel"),
    "nearly opposite": (OPPOSITE + QUIET[:, np.newaxis], "PCM_16", "channels cancel"),
    "equal channels": (np.stack([NOISE, NOISE], axis=1), "PCM_16", ""),
    "one channel": (np.stack([NOISE, 0 * NOISE], axis=1), "PCM_16", ""),
    "floats": (NOISE / 32_768, "FLOAT", ""),
    "loud floats": (NOISE / 10_000, "FLOAT", ""),
    "nine times full scale": (9.5 * TONE, "FLOAT", ""),
    "ten times full scale": (10.5 * TONE, "FLOAT", "beyond full scale"),
    "16 bits as floats": (NOISE.astype(np.float64), "FLOAT", "beyond full scale"),
    "32 bits": (NOISE.astype(np.int32) << 16, "PCM_32", ""),
    "16 bits in 32": (NOISE.astype(np.int32), "PCM_32", "16-bit values in 32-bit"),
    "a late word": (np.append(QUIET[:16_000], NOISE[:9_000]), "PCM_16", LATE),
    "a late click": (np.append(SILENT, NOISE[:99]), "PCM_16", LATE),
    "an early word": (np.append(NOISE[:16_000], QUIET[:9_000]), "PCM_16", ""),
}


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_valid_clips_that_are_likely_worthless_are_noted(tmp_path, rate):
    label = tmp_path / "dataset" / "no"
    label.mkdir(parents=True)
    for name, (samples, subtype, _) in NOTES.items():
        samples = samples.repeat(2, axis=0)[:41_000] if rate > 16_000 else samples
        samples = samples.astype(np.int16) if samples.dtype == np.int64 else samples
        soundfile.write(label / f"{name}.wav", samples, rate, subtype=subtype)
    _, table = chunk_of(tmp_path / "dataset", "no", tmp_path)
    assert all(row["valid"] == "True" for row in table), table
    found = {row["path"][3:-4]: row["note"] for row in table}
    assert found == {name: note for name, (_, _, note) in NOTES.items()}
    assert {*found.values()} - {""} == tables.NOTES.keys()


def test_parts_are_computed_by_several_threads_or_by_this_one():
    together = threading.Barrier(2, timeout=60)
    assert sorted(mapped(lambda _: together.wait(), range(2), threads=2)) == [0, 1]
    [thread] = set(mapped(lambda _: threading.get_ident(), range(2), threads=1))
    assert thread == threading.get_ident()


def test_a_file_that_is_missing_is_no_clip(tmp_path):
    with pytest.raises(MachineError, match=r"cannot read .*none.wav: No such file or directory"):
        wavfile_to_examples(tmp_path / "none.wav")


def test_what_is_not_there_is_missing(tmp_path):
    """A row of a table can have a path without a file; its size and time are blank."""
    for name in ("none.wav", "none/none.wav", "a.wav/none.wav", "n" * 300):
        write_wav(tmp_path / "a.wav")
        with pytest.raises(InvalidClipError) as error:
            read_clip(tmp_path / name, ("", ""))
        assert error.value.reason == "missing"


def test_a_long_file_is_decoded_up_to_the_limit_alone(tmp_path):
    path = tmp_path / "hour.wav"
    with open(path, "wb") as file:
        file.write(riff(b"")[:40] + struct.pack("<I", 3600 * 32_000))
        file.truncate(44 + 3600 * 32_000)
    with pytest.raises(InvalidClipError, match=r"too long: 3600.000 s according") as error:
        read_clip(path)
    assert error.value.format.samples == 3600 * 16_000


def test_absurd_headers_ask_for_no_memory(tmp_path):
    path = tmp_path / "clip.wav"
    for fields in (
        *({"rate": rate} for rate in (0, 8, 999, 768_001, 2**31 - 1)),
        *({"channels": channels} for channels in (0, 65_535)),
    ):
        path.write_bytes(riff(bytes(70_000), **fields))
        with pytest.raises(InvalidClipError):
            read_clip(path, long_clips="cut")
    path.write_bytes(riff(bytes(2 * 1000 * 16_000), channels=1000))
    assert read_clip(path).format.channels == 1000


def test_plain_files_are_read_as_the_decoder_reads_them(tmp_path):
    """With any byte of the header changed, and any length, the result is libsndfile's."""
    path = tmp_path / "clip.wav"
    whole = write_wav(path, samples=16_000).read_bytes()
    damaged = [
        whole[:n] + bytes([whole[n] ^ bit]) + whole[n + 1 :] for n in range(44) for bit in (1, 128)
    ]
    cut = [whole[: len(whole) - n] for n in (1, 2, 3, 800, 801, 32_000)]
    for content in [whole, *damaged, *cut, whole + b"\0", whole + b"LIST\4\0\0\0abcd"]:
        path.write_bytes(content)
        try:
            samples, rate = soundfile.read(io.BytesIO(content), dtype="int16", always_2d=True)
        except Exception:
            samples = None
        try:
            _, _, format, _ = waveform = read_clip(path)
        except InvalidClipError as error:
            is_sound = samples is not None and rate in SAMPLE_RATES
            assert not (is_sound and error.reason == "unreadable")
        else:
            assert samples is not None
            assert format == (rate, samples.shape[1], len(samples))
            if format[:2] == (16_000, 1):
                assert np.array_equal(waveform.samples, samples[:, 0])
