"""Clips of any length: with `long_clips: cut`, each of the original's examples is a row."""

import csv
import os
import struct

import numpy as np
import pandas as pd
import pytest
import resampy
import soundfile
from spectrograms import write_chunk
from test_broken_wav_files import peak_of_chunk
from wavs import SETTINGS, log_mel_examples, riff, write_catalog, write_wav
from wavspec.audio import MAX_SAMPLES, InvalidClipError, read_clip, wavfile_to_examples

CUT = {**SETTINGS, "long_clips": "cut"}


def chunk_of(dataset, folder, settings, threads=1):
    """The (n, 96, 64) chunk and the table's rows, as dicts, of the label `no`."""
    catalog, digest = write_catalog(dataset, "no", folder, settings)
    chunk, table = folder / f"no.{digest}.npy", folder / f"no.{digest}.csv"
    write_chunk(dataset, catalog, chunk, table, settings, threads)
    with open(table, newline="") as file:
        return np.load(chunk), list(csv.DictReader(file))


def original(path):
    """All examples of a file at any sample rate by the original front end."""
    samples, rate = soundfile.read(path, dtype="int16")
    samples = samples / 32768.0
    samples = samples if samples.ndim == 1 else np.mean(samples, axis=1)
    samples = samples if rate == 16_000 else resampy.resample(samples, rate, 16_000)
    return log_mel_examples(samples)


@pytest.fixture
def dataset(tmp_path):
    """A label of clips with zero to nine examples, in several formats."""
    label = tmp_path / "dataset" / "no"
    lengths = [15_599, 15_600, 30_959, 30_960, 46_319, 46_320, 144_000, 16_000]
    for number, samples in enumerate(lengths):
        write_wav(label / f"{number}.wav", seed=number, samples=samples)
    noise = np.random.default_rng(3).normal(0, 0.1, (200_000, 3))
    soundfile.write(label / "r44100_stereo.wav", noise[:, :2], 44_100, subtype="PCM_16")
    soundfile.write(label / "r8000.wav", noise[:30_000, 0], 8_000, subtype="PCM_16")
    soundfile.write(label / "pcm_24.wav", noise[:, 0], 16_000, subtype="PCM_24")
    soundfile.write(label / "three_channels.wav", noise, 16_000, subtype="PCM_16")
    # Longer than one read.
    soundfile.write(label / "large.wav", noise.repeat(4, axis=0)[:, 0], 16_000, subtype="PCM_16")
    (label / "broken.wav").write_bytes(b"RIFF")
    return tmp_path / "dataset"


@pytest.mark.parametrize("short_clips", ["invalid", "pad"])
def test_a_clip_of_many_examples_has_their_rows_bit_for_bit_the_originals(
    dataset, tmp_path, short_clips
):
    chunk, rows = chunk_of(dataset, tmp_path, {**CUT, "short_clips": short_clips})
    expected, described = [], []
    for path in sorted((dataset / "no").iterdir()):
        examples = [] if path.name == "broken.wav" else original(path)
        if path.name == "0.wav" and short_clips == "pad":
            padded = np.append(soundfile.read(path)[0], [0.0])
            examples = log_mel_examples(padded)
        described += [
            (f"no/{path.name}", str(len(examples) > 0), str(number))
            for number in range(max(1, len(examples)))
        ]
        expected += list(examples) if len(examples) else [np.zeros((96, 64))]
    assert [(row["path"], row["valid"], row["example"]) for row in rows] == described
    assert np.array_equal(chunk, expected)


def test_the_bytes_do_not_depend_on_the_number_of_threads(dataset, tmp_path):
    for path in list((dataset / "no").glob("[1-4b]*.wav")):
        for number in range(120):
            os.link(path, path.with_stem(f"{path.stem}_{number}"))
    (tmp_path / "one").mkdir()
    (tmp_path / "three").mkdir()
    for settings in (CUT, SETTINGS):
        chunk, rows = chunk_of(dataset, tmp_path / "one", settings)
        other_chunk, other_rows = chunk_of(dataset, tmp_path / "three", settings, threads=3)
        assert rows == other_rows and np.array_equal(chunk, other_chunk)


def test_a_notebook_takes_files_of_any_length(dataset):
    for path in (dataset / "no").glob("[!b]*.wav"):
        assert np.array_equal(wavfile_to_examples(path), original(path))


def test_a_run_gives_the_rows_of_cut_clips_to_array_and_tables(built):
    write_wav(built.dataset / "no" / "long.wav", samples=50_000)
    jobs = built.run(long_clips="cut")
    assert {f"spectrograms {label}" for label in ("go", "no", "yes")} <= jobs
    clips = sorted(built.dataset.rglob("*.wav"))
    examples = [original(clip) for clip in clips]
    array = np.fromfile(built.results / "wavfile_spec.dat").reshape(-1, 96, 64)
    assert np.array_equal(array, np.concatenate(examples))
    names = [os.path.join(built.as_configured(), clip.relative_to(built.dataset)) for clip in clips]
    for table in ("wavfile_df.csv", "wavfile_split.csv"):
        rows = pd.read_csv(built.results / table, index_col=0)
        assert len(rows) == len(array) == len(clips) + 2
    rows = pd.read_csv(built.results / "wavfile_df.csv", index_col=0)
    assert list(rows["file_name"]) == list(np.repeat(names, [len(part) for part in examples]))
    assert rows["valid"].all()
    assert built.run(long_clips="cut") == set()
    assert jobs <= built.run(long_clips="invalid")


@pytest.mark.parametrize(("rate", "minutes"), [(16_000, 69.9), (48_000, 23.3)])
def test_a_clip_of_more_than_memory_may_hold_is_told_by_its_header(tmp_path, rate, minutes):
    path = tmp_path / "long.wav"
    with open(path, "wb") as file:
        file.write(riff(b"", rate=rate)[:40] + struct.pack("<I", 2 * MAX_SAMPLES))
        file.truncate(44 + 2 * MAX_SAMPLES)
    with pytest.raises(InvalidClipError) as error:
        read_clip(path, long_clips="cut")
    assert error.value.reason == "too long"
    seconds = MAX_SAMPLES / rate
    assert error.value.detail == f"{seconds:.3f} s, under {seconds:.3f} needed"
    assert seconds / 60 == pytest.approx(minutes, abs=0.1)


@pytest.mark.parametrize(
    ("rate", "channels", "minutes", "limit"), [(16_000, 1, 10, 120), (48_000, 2, 1, 230)]
)
def test_the_memory_for_long_clips(tmp_path, rate, channels, minutes, limit):
    (tmp_path / "dataset" / "no").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(-999, 999, (minutes * 60 * rate, channels), np.int16)
    soundfile.write(tmp_path / "dataset" / "no" / "long.wav", noise, rate)
    catalog, digest = write_catalog(tmp_path / "dataset", "no", tmp_path, CUT)
    chunk, table = tmp_path / f"no.{digest}.npy", tmp_path / f"no.{digest}.csv"
    assert peak_of_chunk(tmp_path / "dataset", catalog, chunk, table, long_clips="cut") < limit
    assert len(np.load(chunk, mmap_mode="r")) == (minutes * 60 * 16_000 - 240) // 15_360
