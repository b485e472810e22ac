"""Clips of any length: with `long_clips: cut`, each of the original's examples is a row."""

import csv
import os

import numpy as np
import pandas as pd
import pytest
import resampy
import soundfile
from pipeline.plan import LabelPlan, estimated_rows
from spectrograms import write_chunk
from test_broken_wav_files import peak_of_chunk
from wavs import SETTINGS, log_mel_examples, write_catalog, write_wav
from wavspec import audio
from wavspec.audio import wavfile_to_examples
from wavspec.chunk import settings_of
from wavspec.clip import Clip
from wavspec.front_end import resampled

CUT = {**SETTINGS, "long_clips": "cut"}


def chunk_of(dataset, folder, settings, threads=1, segments=()):
    """The (n, 96, 64) chunk and the table's rows, as dicts, of the label `no`."""
    catalog, digest = write_catalog(dataset, "no", folder, settings, segments)
    chunk, table = folder / f"no.{digest}.npy", folder / f"no.{digest}.csv"
    write_chunk(dataset, catalog, chunk, table, settings, threads)
    with open(table, newline="") as file:
        return np.load(chunk), list(csv.DictReader(file))


def original(path, hop=96):
    """All examples of a file at any sample rate by the original front end, `hop` frames apart."""
    samples, rate = soundfile.read(path, dtype="int16")
    samples = samples / 32768.0
    samples = samples if samples.ndim == 1 else np.mean(samples, axis=1)
    samples = samples if rate == 16_000 else resampy.resample(samples, rate, 16_000)
    return log_mel_examples(samples, hop)


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
    assert jobs <= built.run(long_clips="cut", hop=0.48)
    array = np.fromfile(built.results / "wavfile_spec.dat").reshape(-1, 96, 64)
    assert np.array_equal(array, np.concatenate([original(clip, 48) for clip in clips]))
    assert jobs <= built.run(long_clips="invalid")


def test_a_hop_gives_the_originals_examples(dataset, tmp_path):
    for name in ("broken.wav", "large.wav", "r8000.wav"):
        (dataset / "no" / name).unlink()
    for frames in range(1, 4):  # as many as there are after a multiple of 4
        write_wav(dataset / "no" / f"frames_{frames}.wav", samples=20_000 - 320 + 160 * frames)
    paths = sorted((dataset / "no").iterdir())
    for hop in (0.01, 0.29, 0.48, 1.0):
        chunk, rows = chunk_of(dataset, tmp_path, {**CUT, "hop": hop})
        expected = [original(path, round(hop / 0.01)) for path in paths]
        valid = [row for row in rows if row["valid"] == "True"]
        assert np.array_equal(chunk[[row["valid"] == "True" for row in rows]], np.vstack(expected))
        assert [row["path"] for row in valid] == [
            f"no/{path.name}"
            for path, examples in zip(paths, expected, strict=True)
            for _ in examples
        ]


def test_blocks_of_any_length_and_a_second_decoding_change_nothing(dataset, tmp_path, monkeypatch):
    settings = {**CUT, "short_clips": "pad", "hop": 0.48}
    chunk, rows = chunk_of(dataset, tmp_path, settings)
    monkeypatch.setattr(audio, "READ_AT_ONCE", 1000)
    for block, kept in ((99_999, 0), (7001, 50_000), (777, 0)):
        monkeypatch.setattr(audio, "BLOCK", block)
        monkeypatch.setattr(audio, "KEPT_BYTES", kept)
        other_chunk, other_rows = chunk_of(dataset, tmp_path, settings)
        assert rows == other_rows and np.array_equal(chunk, other_chunk)


@pytest.mark.parametrize("rate", [1000, 8000, 11_025, 22_050, 44_100, 44_056, 48_000, 96_000])
def test_resampling_in_blocks_gives_the_bits_of_the_whole(rate):
    noise = np.random.default_rng(rate).normal(0, 3000, 3 * rate + 7)
    whole = resampy.resample(noise, rate, 16_000)
    for size in (101, 5000, len(noise)):
        blocks = [noise[first : first + size] for first in range(0, len(noise), size)]
        assert np.array_equal(np.concatenate([*resampled(blocks, rate)]), whole)
    assert [*resampled([noise[: (rate - 1) // 16_000]], rate)] == []


def test_a_clip_that_is_invalid_late_leaves_no_row(tmp_path, monkeypatch):
    label = tmp_path / "dataset" / "no"
    label.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 80_000)
    soundfile.write(label / "a.wav", np.append(noise, np.nan), 16_000, subtype="FLOAT")
    soundfile.write(label / "b.wav", noise, 16_000, subtype="FLOAT")
    monkeypatch.setattr(audio, "BLOCK", 10_000)
    monkeypatch.setattr(audio, "KEPT_BYTES", 0)
    chunk, rows = chunk_of(tmp_path / "dataset", tmp_path, CUT)
    assert [row["reason"] for row in rows] == ["not finite", *[""] * 5]
    assert not chunk[0].any() and np.array_equal(chunk[1:], wavfile_to_examples(label / "b.wav"))


def peak(folder, rate, channels, seconds):
    """Peak memory, in MB, of a process that cuts one clip of noise."""
    (folder / "no").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(-999, 999, (seconds * rate, channels), np.int16)
    soundfile.write(folder / "no" / "long.wav", noise, rate)
    result, chunk, _ = peak_of_chunk(folder, folder, long_clips="cut")
    assert len(np.load(chunk, mmap_mode="r")) == (seconds * 16_000 - 240) // 15_360
    return result


@pytest.mark.parametrize(
    ("rate", "channels", "seconds"), [(16_000, 1, 2400), (44_100, 1, 120), (48_000, 2, 120)]
)
def test_memory_does_not_grow_with_the_length(tmp_path, rate, channels, seconds):
    short = peak(tmp_path, rate, channels, 20)
    assert peak(tmp_path, rate, channels, seconds) - short < 70


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"hop": 0}, "0 is less than the minimum of 0.01"),
        ({"hop": 2}, "2 is greater than the maximum of 1"),
        ({"hop": 0.005}, "0.005 is less than the minimum"),
        ({"hop": 0.125}, "0.125 is not a multiple of 0.01"),
        ({"hop": "half"}, "'half' is not of type 'number'"),
        ({"hop": 0.48, "long_clips": "invalid"}, "Add long_clips: cut"),
    ],
)
def test_a_hop_that_is_not_possible_is_refused_in_one_line(workflow, changes, fault):
    process = workflow.snakemake(check=False, **{"long_clips": "cut", **changes})
    [line] = [line for line in process.stdout.splitlines() if "config key 'hop'" in line]
    assert process.returncode and fault in line and "Traceback" not in process.stdout


def test_what_a_job_requests_follows_the_examples():
    def plan(name, size, count=2000, **segment):
        return LabelPlan("", [Clip(name, size, 1, **segment)] * count)

    words, minutes = plan("a.wav", 32_044), plan("a.wav", 30 * 32_000)
    assert [label.examples(SETTINGS) for label in (words, minutes)] == [2000, 2000]
    assert [label.examples(CUT) for label in (words, minutes)] == [2000, 62_000]
    assert minutes.examples({**CUT, "hop": 0.1}) == 600_000
    assert [label.minutes(SETTINGS) for label in (words, plan("a.mp3", 200_000_000, 1))] == [2, 3]
    # 3.5 to 14 hours of sound, which take 5 to 20 minutes.
    assert plan("a.MP3", 200_000_000, 1).minutes(CUT) == 10
    assert plan("a.mp3", 200_000_000, start=5.0, end=8.0).examples(CUT) == 6000
    assert plan("a.wav", 32_044, 45_000).threads(SETTINGS) == 5
    assert plan("a.wav", 32_044, 45_000).threads(CUT) == 1
    on_a_node = LabelPlan("", range(2000))
    assert (on_a_node.examples(CUT), on_a_node.minutes(CUT)) == (2000, 2)


def test_room_is_estimated_where_it_is_known(tmp_path):
    noise = np.zeros((48_000 * 10, 2), np.int16)
    for name in ("a.wav", "a.flac", "a.aiff"):
        soundfile.write(tmp_path / name, noise, 48_000)
    (tmp_path / "b.wav").write_bytes(b"RIFF")

    def rows(name, *segment):
        clip = Clip(name, (tmp_path / name).stat().st_size if name != "gone" else "", 1, *segment)
        return estimated_rows(tmp_path, [clip, clip], CUT) / 2

    assert [rows("a.wav"), rows("a.flac"), rows("a.aiff"), rows("b.wav")] == [10, 1, 1, 1]
    assert [rows("a.wav", 4.0), rows("a.flac", 4.0, 8.0), rows("a.wav", "", 0.3)] == [6, 4, 1]
    assert rows("gone") == 1 and estimated_rows(tmp_path, range(7), SETTINGS) == 7


def test_every_hop_in_hundredths_is_possible():
    for hundredths in range(1, 101):
        for hop in (hundredths / 100, hundredths * 0.01, f"{hundredths / 100:.3f}"):
            settings = settings_of({**CUT, "hop": round(float(hop), 12)})
            assert round(settings["hop"] / 0.01) == hundredths
