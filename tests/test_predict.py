"""Using a trained classifier: samples in memory, and labels of recordings from any folder."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wavs import write_wav
from wavspec import predict
from wavspec.audio import samples_to_examples, wavfile_to_examples
from workflow import ROOT

# One process imports TensorFlow.
pytestmark = pytest.mark.xdist_group("classifier")

NOISE = np.random.default_rng(0).normal(0, 3000, (100_000, 3)).astype(np.int16)


# Samples in memory


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_samples_have_the_examples_of_a_file_bit_for_bit(tmp_path, channels, rate):
    samples = NOISE[:, :channels] if channels > 1 else NOISE[:, 0]
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, rate)
    expected = wavfile_to_examples(path)
    assert len(expected) >= 2
    as_floats = samples / 32768
    for same in (
        samples,
        samples.astype(">i2"),
        as_floats,
        as_floats.astype(np.float32),
        np.asfortranarray(as_floats),
        as_floats.tolist(),
    ):
        assert np.array_equal(samples_to_examples(same, rate), expected)


def test_loud_and_short_samples_are_taken():
    assert samples_to_examples(1.5 * np.sin(np.arange(16_000)), 16_000).shape == (1, 96, 64)
    assert samples_to_examples(np.ones(16_000), 16_000).shape == (1, 96, 64)
    for samples, rate in ((15_599, 16_000), (2, 48_000)):
        assert samples_to_examples(NOISE[:samples, 0], rate).shape == (0, 96, 64)


INTEGERS = np.resize([0.0, 1.0, -2.0], 16_000)
REFUSED = {
    "channels first": (NOISE.T, "(3, 100000)"),
    "a batch": (NOISE[np.newaxis], "(1, 100000, 3)"),
    "one number": (np.float32(0.5), "()"),
    "no samples": (NOISE[:0, 0], "no samples"),
    "no channels": (NOISE[:, :0], "no samples"),
    "int32": (NOISE.astype(np.int32), "int32"),
    "uint8": (NOISE.astype(np.uint8), "uint8"),
    "Python's integers": ([0, 1, -2] * 6000, "int64"),
    "objects": (NOISE.astype(object), "object"),
    "complex numbers": (NOISE * 1j, "complex128"),
    "16-bit values as floats": (NOISE.astype(np.float32), "Divide 16-bit values by 32768"),
    "quiet 16-bit values as floats": (INTEGERS, "these reach 2"),
    "percent": (100 * np.sin(np.arange(16_000)), "these reach 99.99"),
    "NaN": (np.where(INTEGERS, INTEGERS / 2, np.nan), "these reach nan"),
    "infinite": (np.where(INTEGERS, INTEGERS / 2, -np.inf), "these reach inf"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_means_something_else_is_refused(case):
    samples, found = REFUSED[case]
    with pytest.raises(ValueError) as error:
        samples_to_examples(samples, 16_000)
    assert found in str(error.value)


def test_a_path_can_be_of_any_type(tmp_path):
    path = write_wav(tmp_path / "clip.wav")
    for same in (os.fspath(path), os.fsencode(path)):
        assert np.array_equal(wavfile_to_examples(same), wavfile_to_examples(path))
    with pytest.raises(TypeError):
        wavfile_to_examples(io.BytesIO(path.read_bytes()))


# Importing wavspec

PRINTS_ORIGIN = "import wavspec.errors; print(wavspec.errors.__file__)"


def test_make_lets_python_find_wavspec_alone_in_any_folder(tmp_path):
    clone, elsewhere = tmp_path / "clone", tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(ROOT / "workflow_scripts", clone / "workflow_scripts")
    shutil.copy(ROOT / "Makefile", clone)
    venv.create(clone / ".venv")
    make = ["make", f"PYTHON={sys.executable}", "wavspec"]
    for _ in range(2):
        subprocess.run(make, cwd=clone, check=True)
    assert not (clone / "workflow_scripts" / "wavspec" / "wavspec").is_symlink()
    moved = clone.rename(tmp_path / "moved")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(code):
        command = [moved / ".venv" / "bin" / "python", "-c", code]
        return subprocess.run(command, cwd=elsewhere, env=variables, capture_output=True, text=True)

    origin = Path(run(PRINTS_ORIGIN).stdout.strip())
    assert origin.resolve() == moved / "workflow_scripts" / "wavspec" / "errors.py"
    for script in ("tables", "pipeline"):
        assert f"No module named '{script}'" in run(f"import {script}").stderr


def test_a_run_does_not_use_the_wavspec_of_another_clone(workflow, tmp_path):
    other = tmp_path / "other" / "wavspec"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('the wavspec of another clone')\n")
    # Like a link in site-packages, it comes before the folders that Snakemake adds.
    workflow.environment = {**os.environ, "PYTHONPATH": str(other.parent)}
    workflow.snakemake()


# Labels of recordings

SECOND = 15_360  # samples of an example's hop at 16 kHz


def recording(path, seconds, rate=16_000, channels=1, **options):
    """Write noise to `path` that is loud and quiet in turn, for the hop of an example each."""
    places = np.arange(round(seconds * rate)) * 16_000 // rate // SECOND
    noise = np.random.default_rng(1).normal(0, 0.1, (len(places), channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise * np.where(places % 2, 0.003, 1)[:, np.newaxis], rate, **options)
    return path


def expected_rows(path, examples):
    return [
        (str(path), f"{0.96 * number:.2f}", ("loud", "quiet")[number % 2])
        for number in range(examples)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a classifier that distinguishes loud from quiet examples."""
    keras = pytest.importorskip("keras")
    tensorflow = pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("classifier")
    mean_over_frames = keras.layers.GlobalAveragePooling1D()
    dense = keras.layers.Dense(2, activation="softmax")
    network = keras.Sequential([keras.Input((96, 64)), mean_over_frames, dense])
    louder = np.full(64, 1 / 64)
    dense.set_weights([np.stack([louder, -louder], axis=1), np.array([2.0, -2.0])])
    network.save(folder / "model.keras")
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(network)
    (folder / "model.tflite").write_bytes(converter.convert())
    write_facts(folder, "spectrograms")
    return folder


def write_facts(folder, features, **more):
    versions = {"keras": "3.15.1"}
    facts = {"labels": ["loud", "quiet"], "features": features, "versions": versions, **more}
    (folder / "training.json").write_text(json.dumps(facts))


def labels_of(printed):
    rows = list(csv.reader(io.StringIO(printed)))
    assert rows[0] == ["file_name", "start", "label", "probability"]
    assert all(0.5 < float(row[3]) <= 1 for row in rows[1:])
    return [tuple(row[:3]) for row in rows[1:]]


@pytest.mark.tensorflow
def test_recordings_of_any_format_and_length_are_labelled(model, tmp_path, capsys):
    folder = tmp_path / "recordings"
    recording(folder / "b" / "long.wav", 70)  # more examples than a batch has
    recording(folder / "a.flac", 3, 48_000, 2)
    recording(folder / "b" / "float.WAV", 2, 44_100, 2, subtype="FLOAT")
    recording(folder / "b" / "music.mp3", 4, 22_050)
    recording(folder / "voice.ogg", 2, 8_000)
    (folder / "notes.txt").write_text("no recording")
    (folder / ".hidden").mkdir()
    recording(folder / ".hidden" / "a.wav", 2)
    single = recording(tmp_path / "no ending", 1, format="WAV")
    expected = [
        *expected_rows(single, 1),
        *expected_rows(folder / "a.flac", 3),
        *expected_rows(folder / "b" / "float.WAV", 2),
        *expected_rows(folder / "b" / "long.wav", 72),
        *expected_rows(folder / "b" / "music.mp3", 4),
        *expected_rows(folder / "voice.ogg", 2),
    ]
    for file in (model, model / "model.keras", model / "model.tflite"):
        assert predict.main([str(file), str(single), str(folder)]) == 0
        printed = capsys.readouterr()
        assert labels_of(printed.out) == expected
        assert "recordings" not in printed.err


@pytest.mark.tensorflow
def test_what_cannot_be_read_is_reported_and_the_rest_labelled(model, tmp_path):
    folder = tmp_path / "höre"
    recording(folder / "first.wav", 1)
    (folder / "broken.wav").write_bytes(b"no audio")
    recording(folder / "short.wav", 0.5)
    recording(folder / "z.wav", 2)
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "wavspec.predict", model, "gone.wav", "empty", "höre"]
    variables = {"PYTHONPATH": str(ROOT / "workflow_scripts"), "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True
    )
    assert run.returncode == 1
    found = [*expected_rows("höre/first.wav", 1), *expected_rows("höre/z.wav", 2)]
    assert labels_of(run.stdout.decode()) == found
    *_, empty, gone, broken, short = run.stderr.decode().splitlines()
    assert empty == "empty: no audio file in this folder"
    assert "gone.wav: No such file" in gone
    assert broken.endswith("broken.wav: unreadable: Format not recognised.")
    assert short.endswith("short.wav: too short: 0.500 s, 0.975 needed")


@pytest.mark.tensorflow
def test_examples_overlap_with_a_shorter_hop(model, tmp_path, capsys):
    clip = recording(tmp_path / "clip.wav", 2, 44_100)
    assert predict.main([str(model), str(clip), "--hop", "0.48"]) == 0
    starts = [start for _, start, _ in labels_of(capsys.readouterr().out)]
    assert starts == ["0.00", "0.48", "0.96"]


@pytest.mark.tensorflow
def test_short_recordings_are_padded_as_in_training(model, tmp_path, capsys):
    shutil.copytree(model, tmp_path / "classifier")
    write_facts(tmp_path / "classifier", "spectrograms", short_clips="pad")
    short = recording(tmp_path / "short.wav", 0.9)
    assert predict.main([str(tmp_path / "classifier"), str(short)]) == 0
    assert labels_of(capsys.readouterr().out) == expected_rows(short, 1)


@pytest.mark.tensorflow
def test_progress_is_shown_on_a_terminal(model, tmp_path, capsys, monkeypatch):
    clip = recording(tmp_path / "clip.wav", 1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert predict.main([str(model), str(clip), "gone"]) == 1
    progress = capsys.readouterr().err
    assert "file 1 of 2, 0 s" in progress and "\x1b[Kcannot read gone: " in progress


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        predict.main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out and "Traceback" not in printed.err
    return printed.err


def test_a_classifier_that_cannot_be_used_is_refused(tmp_path, capsys, monkeypatch):
    assert f"there is no model {tmp_path}/model.keras" in refusal(capsys, tmp_path, "clip.wav")
    for name in ("model.keras", "model.tflite"):
        (tmp_path / name).touch()
    assert "training.json: No such file" in refusal(capsys, tmp_path, "clip.wav")
    for damaged in ("{", "[]", "{}"):
        (tmp_path / "training.json").write_text(damaged)
        assert "training.json is damaged" in refusal(capsys, tmp_path, "clip.wav")
    write_facts(tmp_path, "embeddings")
    assert "'classifier.features'" in refusal(capsys, tmp_path, "clip.wav")
    write_facts(tmp_path, "spectrograms")
    for hop in ("0", "0.125"):
        assert f"--hop {float(hop)} is not" in refusal(capsys, tmp_path, "clip.wav", "--hop", hop)
    for package in ("keras", "tensorflow", "ai_edge_litert"):
        monkeypatch.setitem(sys.modules, package, None)
    for file in ("model.keras", "model.tflite"):
        assert "make tensorflow" in refusal(capsys, tmp_path / file, "clip.wav")


@pytest.mark.tensorflow
def test_a_damaged_model_is_one_line(model, tmp_path, capsys):
    write_facts(tmp_path, "spectrograms")
    for name in ("model.keras", "model.tflite"):
        (tmp_path / name).write_bytes((model / name).read_bytes()[:1000])
        error = refusal(capsys, tmp_path / name, "clip.wav").splitlines()[-1]
        assert f"cannot load {tmp_path / name}, of Keras 3.15.1: " in error
