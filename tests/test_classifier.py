"""The classifier of spoken words: that it learns, goes on after a kill, and says what is missing.

The words are tones, chirps and noises. Speakers differ in pitch, pace, loudness and background
noise, and each stands on one side of the split only.
"""

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from classifier import (
    SIDES,
    Clips,
    Examples,
    choose_rows,
    classify,
    confusion_counts,
    draw_confusion_matrix,
    macro_f1,
    moments,
    open_examples,
    read_clips,
    shifted,
)
from matplotlib.image import imread
from wavspec.front_end import waveform_to_examples
from wavspec.run.job import JobError
from workflow import ROOT, Workflow

needs_tensorflow = pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow"),
    reason="no TensorFlow: install requirements/tensorflow.txt",
)
# One process imports TensorFlow.
pytestmark = pytest.mark.xdist_group("classifier")


@pytest.fixture(scope="module", autouse=True)
def deterministic_here_alone():
    """Take back what the classifier asks of TensorFlow, for the tests of the embeddings."""
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework import config

        config.disable_op_determinism()


WORDS = ("chirp down", "chirp up", "noise", "tone")
SPEAKERS = {"training": 10, "validation": 3, "testing": 5}
SECONDS = ("seconds", "clips_per_second")


def say(word, speaker, take):
    """A second of `word` as float64 samples at 16 kHz, with the speaker's voice and noise."""
    voice = np.random.default_rng([7, speaker])
    pitch, duration = voice.uniform(500, 2000), voice.uniform(0.3, 0.7)
    loudness, background = voice.uniform(0.05, 0.5), voice.uniform(0.001, 0.02)
    random = np.random.default_rng([speaker, take, WORDS.index(word)])
    samples = int(16_000 * duration * random.uniform(0.9, 1.1))
    rise = {"chirp up": 1, "chirp down": -1}.get(word, 0)
    octaves = rise * np.linspace(-0.6, 0.6, samples)
    frequency = pitch * random.uniform(0.9, 1.1) * 2**octaves
    sound = np.sin(2 * np.pi * np.cumsum(frequency) / 16_000)
    if word == "noise":
        sound = random.uniform(-1, 1, samples)
    waveform = random.normal(0, background, 16_000)
    start = random.integers(0, 16_000 - samples)
    waveform[start : start + samples] += loudness * np.hanning(samples) * sound
    return waveform


class Dataset:
    """The files that the stage reads, in a folder, and what is in them."""

    def __init__(self, folder, rows, examples):
        """`rows` are (label, valid, side), `examples` an array of as many."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rows, self.examples = folder, rows, examples
        self.valid = np.array([valid for _, valid, _ in rows])
        examples.astype(np.float64).tofile(folder / "examples.dat")
        self.write("clips.csv", ["", "file_name", "label", "valid"], self.clip)
        self.write("split.csv", ["", "speaker", "split"], lambda row: ["", self.rows[row][2]])

    def write(self, name, fields, values):
        with open(self.folder / name, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(fields)
            writer.writerows([row, *values(row)] for row in range(len(self.rows)))

    def clip(self, row):
        return f"{self.folder}/{row}.wav", *self.rows[row][:2]

    def classify(self, output, report=print, **changes):
        """Run the stage, a few seconds of it; return its metrics, without times, and the folder."""
        folder = self.folder / output
        folder.mkdir(exist_ok=True)
        classify(**self.arguments(folder, **changes), report=report)
        metrics = json.loads((folder / "metrics.json").read_text())
        return {key: value for key, value in metrics.items() if key not in SECONDS}, folder

    def arguments(self, folder, **changes):
        pictures = {
            name: [str(folder / f"{name}.{end}") for end in ("png", "svg")]
            for name in ("learning_curve", "confusion_matrix")
        }
        return {
            "examples": str(self.folder / "examples.dat"),
            "clips": str(self.folder / "clips.csv"),
            "split": str(self.folder / "split.csv"),
            "features": "spectrograms",
            "epochs": 15,
            "batch_size": 16,
            "seed": 1,
            "threads": 2,
            "state": str(folder / "training.0123456789ab.npz"),
            "model": str(folder / "model.keras"),
            "metrics": str(folder / "metrics.json"),
            "predictions": str(folder / "predictions.csv"),
            "history": str(folder / "history.csv"),
            "seal": str(folder / "classifier.0123456789ab.csv"),
            **pictures,
            **changes,
        }


def spoken(folder, labels=WORDS):
    """A Dataset of `labels`, with an invalid clip after every fifth, and background noise."""
    rows, examples = [], []
    sides = [side for side, speakers in SPEAKERS.items() for _ in range(speakers)]
    for label, word in zip(labels, WORDS, strict=True):
        for speaker, side in enumerate(sides):
            for take in range(4):
                rows.append((label, True, side))
                examples.append(waveform_to_examples(say(word, speaker, take), 16_000)[0])
                if len(rows) % 6 == 5:
                    rows.append((label, False, side))
                    examples.append(np.zeros((96, 64)))
    rows.append(("_background_noise_", True, ""))
    examples.append(examples[0])
    return Dataset(folder, rows, np.array(examples))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return spoken(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def trained(dataset):
    """(metrics, folder of outputs, lines of progress) of one undisturbed training."""
    lines = []
    metrics, folder = dataset.classify("undisturbed", report=lines.append)
    return metrics, folder, lines


@needs_tensorflow
def test_words_of_unheard_speakers_are_told_apart(trained):
    metrics, folder, lines = trained
    assert metrics["accuracy"]["testing"] > 0.95
    assert metrics["macro_f1"] > 0.95
    assert min(metrics["accuracy_per_label"].values()) > 0.85
    assert metrics["labels"] == list(WORDS)
    assert metrics["clips"] == {side: 16 * speakers for side, speakers in SPEAKERS.items()}
    assert metrics["labels_left_out"] == ["_background_noise_"]
    assert sum(line.startswith("epoch ") and "accuracy" in line for line in lines) == 15
    assert not list(folder.glob("*.npz")), "the state of a training that ended"


@needs_tensorflow
def test_predictions_are_row_for_row_those_of_the_saved_model(dataset, trained):
    import keras

    metrics, folder, _ = trained
    table = pd.read_csv(folder / "predictions.csv", index_col=0)
    assert list(table.index) == list(range(len(dataset.rows)))
    assert list(table.label) == [label for label, _, _ in dataset.rows]
    assert list(table.split.fillna("")) == [side for _, _, side in dataset.rows]
    assert list(table.predicted.isna()) == list(~dataset.valid) == list(table.probability.isna())
    model = keras.saving.load_model(folder / "model.keras")
    probabilities = model.predict(dataset.examples[dataset.valid], verbose=0)
    judged = table[dataset.valid]
    assert list(judged.predicted) == [metrics["labels"][best] for best in probabilities.argmax(1)]
    np.testing.assert_allclose(judged.probability, probabilities.max(1), atol=1e-3)
    invalid = ~dataset.valid & (table.split == "testing")
    assert metrics["invalid_testing_clips"] == invalid.sum() > 0


def check_accuracies(metrics, folder):
    """See that the metrics are those of the predictions, and of the best epoch of the history."""
    table = pd.read_csv(folder / "predictions.csv", index_col=0).dropna(subset="predicted")
    for side in SIDES:
        right = (table.predicted == table.label)[table.split == side]
        assert right.mean() == pytest.approx(metrics["accuracy"][side])
    history = pd.read_csv(folder / "history.csv")
    assert list(history.epoch) == list(range(1, 16))
    best = history.sort_values(["validation_accuracy", "validation_loss"], ascending=[False, True])
    assert metrics["epoch"] == best.epoch.iloc[0]
    accuracy = history.validation_accuracy[metrics["epoch"] - 1]
    assert metrics["accuracy"]["validation"] == pytest.approx(accuracy, abs=1e-5)


@needs_tensorflow
def test_accuracies_are_those_of_the_best_epoch(trained):
    check_accuracies(*trained[:2])


@needs_tensorflow
def test_pictures_are_drawn(trained):
    for name in ("learning_curve", "confusion_matrix"):
        pixels = imread(trained[1] / f"{name}.png")
        assert min(pixels.shape[:2]) > 400 and pixels.std() > 0.05
        assert "</svg>" in (trained[1] / f"{name}.svg").read_text()


@needs_tensorflow
def test_the_model_standardises_its_input(dataset, trained):
    import keras

    model = keras.saving.load_model(trained[1] / "model.keras")
    training = dataset.valid & np.array([side == "training" for _, _, side in dataset.rows])
    standardised = np.asarray(model.layers[0](dataset.examples[training]))
    np.testing.assert_allclose(standardised.mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(standardised.std(axis=(0, 1)), 1, atol=1e-3)


@needs_tensorflow
def test_augmentation_is_for_training_alone(dataset, trained):
    import keras

    model = keras.saving.load_model(trained[1] / "model.keras")
    examples = dataset.examples[:4]
    assert np.array_equal(model(examples), model(examples))
    assert not np.allclose(model(examples, training=True), model(examples, training=True))


@needs_tensorflow
def test_shuffled_labels_bring_it_down_to_chance(dataset):
    labels = [label for label, _, _ in dataset.rows]
    random = np.random.default_rng(0)
    for side in SIDES:
        places = [row for row, (_, _, of_row) in enumerate(dataset.rows) if of_row == side]
        for place, source in zip(places, random.permutation(places), strict=True):
            labels[place] = dataset.rows[source][0]
    rows = [(label, *rest) for label, (_, *rest) in zip(labels, dataset.rows, strict=True)]
    shuffled = Dataset(dataset.folder / "shuffled", rows, dataset.examples)
    metrics, folder = shuffled.classify("out")
    assert metrics["accuracy"]["testing"] < 0.5
    # Here the sides differ, and the last epoch is seldom the best.
    check_accuracies(metrics, folder)


KILLED = """
import os, signal, sys
sys.path[:0] = {paths}
import numpy as np
from classifier import classify

def report(line):
    print(line, flush=True)
    if line.startswith("epoch 6 of"):
        os.kill(os.getpid(), signal.SIGKILL)

classify(**{arguments}, report=report)
"""


@needs_tensorflow
def test_a_killed_training_goes_on_and_ends_the_same(dataset, trained):
    folder = dataset.folder / "killed"
    folder.mkdir()
    arguments = dataset.arguments(folder)
    paths = [str(ROOT / "workflow_scripts")]
    script = KILLED.format(paths=paths, arguments=arguments)
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert os.path.exists(arguments["state"]) and not os.path.exists(arguments["model"])
    lines = []
    metrics, _ = dataset.classify("killed", report=lines.append)
    assert not [line for line in lines if line.startswith("epoch 6 of")]
    assert [line for line in lines if line.startswith("epoch 7 of")]
    assert metrics == trained[0]
    assert_same_history(folder, trained[1])
    predictions = (folder / "predictions.csv").read_bytes()
    assert predictions == (trained[1] / "predictions.csv").read_bytes()


def assert_same_history(folder, other):
    histories = [
        pd.read_csv(each / "history.csv").drop(columns="seconds") for each in (folder, other)
    ]
    pd.testing.assert_frame_equal(*histories)


@needs_tensorflow
def test_a_state_of_another_name_is_not_gone_on_from(dataset):
    folder = dataset.folder / "renamed"
    folder.mkdir()
    stopped = dataset.arguments(folder, epochs=3)

    def stop(line):
        if line.startswith("epoch 1 of"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify(**stopped, report=stop)
    assert os.path.exists(stopped["state"])
    lines = []
    state = str(folder / "training.ba9876543210.npz")
    dataset.classify("renamed", report=lines.append, state=state, epochs=1, seed=2)
    assert [line for line in lines if line.startswith("epoch 1 of 1")]
    assert not list(folder.glob("*.npz"))


@needs_tensorflow
def test_embeddings_are_told_apart_too(dataset):
    """Numbers of very different sizes, one that never changes, and NaN where a clip is invalid."""
    random = np.random.default_rng(3)
    centres = {label: random.normal(0, 1, 128) for label in (*WORDS, "_background_noise_")}
    scales = 10 ** random.uniform(-3, 3, 128)
    scales[5] = 0
    embeddings = np.array(
        [
            (centres[label] + random.normal(0, 1.5, 128) + 4) * scales if valid else [np.nan] * 128
            for label, valid, _ in dataset.rows
        ]
    )
    embedded = Dataset(dataset.folder / "embedded", dataset.rows, embeddings)
    metrics, _ = embedded.classify("out", features="embeddings", epochs=8)
    assert metrics["accuracy"]["testing"] > 0.95


@needs_tensorflow
def test_labels_without_training_clips_are_left_out_and_named(dataset):
    rows = [
        (label, valid and not (label == "tone" and side == "training"), side)
        for label, valid, side in dataset.rows
    ]
    partly = Dataset(dataset.folder / "partly", rows, dataset.examples)
    lines = []
    metrics, folder = partly.classify("out", report=lines.append, epochs=1, batch_size=1000)
    assert metrics["labels"] == ["chirp down", "chirp up", "noise"]
    assert metrics["labels_left_out"] == ["_background_noise_", "tone"]
    assert any("_background_noise_, tone" in line for line in lines)
    assert metrics["clips"] == {side: 12 * speakers for side, speakers in SPEAKERS.items()}
    table = pd.read_csv(folder / "predictions.csv", index_col=0)
    assert list(table.predicted.isna()) == list(~partly.valid)


def clips_of(*rows):
    """The Clips of (label, valid, side) rows."""
    labels, valid, sides = zip(*rows, strict=True)
    file_names = [f"{row}.wav" for row in range(len(rows))]
    return Clips(file_names, list(labels), np.array(valid), np.array(sides))


EVERYWHERE = [(label, True, side) for label in ("no", "yes") for side in SIDES]


@pytest.mark.parametrize("side", SIDES)
def test_a_side_without_valid_clips_is_refused_by_name(side):
    rows = [(label, of_row != side, of_row) for label, _, of_row in EVERYWHERE]
    with pytest.raises(JobError, match=rf"no valid clip for {side} .*\b0 for {side}"):
        choose_rows(clips_of(*rows), print)


def test_all_empty_sides_are_named():
    rows = [row for row in EVERYWHERE if row[2] == "training"]
    with pytest.raises(JobError, match=r"for validation and none for testing \(2 for training"):
        choose_rows(clips_of(*rows), print)


def test_a_single_label_is_refused():
    rows = [row for row in EVERYWHERE if row[0] == "yes"]
    with pytest.raises(JobError, match=r"two labels or more .* only 'yes' has"):
        choose_rows(clips_of(*rows, ("no", True, "testing"), ("go", False, "training")), print)


def test_a_side_of_unlearnt_labels_alone_is_refused():
    rows = [row for row in EVERYWHERE if row[2] != "testing"]
    with pytest.raises(JobError, match=r"no valid testing clip has one of the labels .*: no, yes"):
        choose_rows(clips_of(*rows, ("go", True, "testing")), print)


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    dataset = Dataset(tmp_path, EVERYWHERE, np.zeros((6, 96, 64)))
    arguments = dataset.arguments(tmp_path)
    with open(arguments["examples"], "ab") as file:
        file.write(bytes(8))
    with pytest.raises(JobError, match=r"examples.dat has 294,920 bytes, .* need 294,912"):
        classify(**arguments)
    split = Path(arguments["split"])
    split.write_text(split.read_text() + "6,,testing\n")
    with pytest.raises(JobError, match=r"clips.csv has 6 clips, .*split.csv has 7"):
        classify(**arguments)
    split.write_text("index,speaker\n0,me\n")
    with pytest.raises(JobError, match=r"split.csv has no column 'split'"):
        classify(**arguments)


def test_a_valid_clip_that_is_not_finite_is_refused_by_name(tmp_path):
    values = np.zeros((6, 96, 64))
    values[4, 3, 2] = np.inf
    values[1] = np.nan  # is not looked at
    dataset = Dataset(tmp_path, EVERYWHERE, values)
    arguments = dataset.arguments(tmp_path)
    table = read_clips(arguments["clips"], arguments["split"])
    examples = open_examples(arguments["examples"], (96, 64), table)
    with pytest.raises(JobError, match=r"valid clip .*/4\.wav"):
        moments(examples, np.array([0, 2, 3, 4, 5]))


def test_shifts_stay_within_their_limits_and_repeat_the_edges():
    frames, bands = np.mgrid[:96, :64]
    shifts = set()
    for example in shifted(np.stack([100 * frames + bands] * 500), np.random.default_rng(0)):
        later, higher = 48 - example[48, 32] // 100, 32 - example[48, 32] % 100
        expected = 100 * np.clip(frames - later, 0, 95) + np.clip(bands - higher, 0, 63)
        assert np.array_equal(example, expected)
        shifts.add((later, higher))
    assert shifts == {(later, higher) for later in range(-9, 10) for higher in range(-2, 3)}


def test_moments_are_those_of_all_chosen_rows(tmp_path):
    random = np.random.default_rng(0)
    values = random.normal(-3, 2, (700, 96, 64))
    values[..., 9] = 5
    values.tofile(tmp_path / "examples.dat")
    rows = random.permutation(700)[:600]
    examples = Examples(str(tmp_path / "examples.dat"), (96, 64), ["a.wav"] * 700)
    mean, variance = moments(examples, rows)
    np.testing.assert_allclose(mean, values[rows].mean(axis=(0, 1)), rtol=1e-5)
    expected = values[rows].var(axis=(0, 1))
    expected[9] = 1
    np.testing.assert_allclose(variance, expected, rtol=1e-5)


READ_ALL = """
import sys
sys.path.insert(0, {scripts!r})
import numpy as np
from classifier import Examples, moments

examples = Examples({path!r}, (96, 64), ["a.wav"] * {clips})
moments(examples, np.arange({clips}))
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print(status['VmHWM'].split()[0])  # kB
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc/self/status")
def test_memory_does_not_grow_with_the_file(tmp_path):
    clips = 20_000
    path = tmp_path / "examples.dat"
    with open(path, "wb") as file:
        file.truncate(clips * 8 * 96 * 64)  # a hole of 983 MB
    script = READ_ALL.format(scripts=str(ROOT / "workflow_scripts"), path=str(path), clips=clips)
    read = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    assert int(read.stdout) < 200_000


def test_confusion_and_macro_f1_by_hand():
    targets = np.array([0, 0, 0, 1, 1, 2, -1])
    predicted = np.array([0, 0, 1, 1, 3, 2, 0])
    confusion = confusion_counts(targets, predicted, np.arange(6), 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    # Label 3 has no clip and so no score: (0.8 + 0.5 + 1) / 3.
    assert macro_f1(confusion) == pytest.approx(2.3 / 3)


def test_a_confusion_matrix_of_many_labels_with_unusual_names(tmp_path):
    labels = [rf"$\no{number}$ é<" for number in range(200)]
    draw_confusion_matrix([str(tmp_path / "a.png")], np.eye(200, dtype=int), labels, 1.0)
    assert max(imread(tmp_path / "a.png").shape) < 4000


@pytest.fixture
def words(tmp_path):
    """The workflow with a dataset of two words by three speakers, one on each side."""
    dataset = tmp_path / "dataset"
    for word in ("chirp up", "tone"):
        (dataset / word).mkdir(parents=True)
        for speaker, side in enumerate(SIDES):
            for take in range(3):
                path = f"{word}/{side}_nohash_{take}.wav"
                soundfile.write(dataset / path, say(word, speaker, take), 16_000)
                if side != "training":
                    with open(dataset / f"{side}_list.txt", "a") as file:
                        file.write(f"{path}\n")
    return Workflow(tmp_path / "project", dataset)


@needs_tensorflow
def test_what_a_change_trains_anew(words, tmp_path):
    epoch = {"classifier": "{epochs: 1}"}
    run = words.snakemake("classifier", **epoch)
    log = (words.results / "logs" / "classifier.log").read_text()
    for output in (run.stdout, log):
        assert "epoch 1 of 1: accuracy" in output and "GPU" in output
    folder = words.results / "classifier"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["clips"] == dict.fromkeys(SIDES, 6)
    [seal] = words.results.glob("seals/classifier.*.csv")
    with open(seal, newline="") as file:
        sealed = {os.path.basename(row["file"]) for row in csv.DictReader(file)}
    assert sealed == {path.name for path in folder.iterdir()}

    assert words.planned("classifier", **epoch) == set()
    shutil.rmtree(words.folder / ".snakemake")
    assert words.planned("classifier", **epoch) == set()
    assert words.planned("classifier", classifier="{epochs: 1, seed: 1}") == {"classifier"}
    moved = tmp_path / "moved"
    words.dataset.rename(moved)
    assert words.planned("classifier", dataset=moved, **epoch) == set()
    with open(moved / "testing_list.txt", "a") as file:
        file.write("tone/training_nohash_0.wav\n")
    assert "classifier" in words.planned("classifier", dataset=moved, **epoch)


def test_a_refusal_is_one_plain_message(built):
    run = built.snakemake("classifier", check=False, split="{validation: 0}")
    assert run.returncode != 0
    log = (built.results / "logs" / "classifier.log").read_text()
    for output in (run.stdout, log):
        assert "no valid clip for validation" in output and "Traceback" not in output
    assert not list(built.results.glob("seals/classifier.*"))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("{epochs: 0}", "classifier.epochs"),
        ("{features: cepstra}", "classifier.features"),
        ("{epoch: 3}", "epoch"),
        ("{seed: -1}", "classifier.seed"),
    ],
)
def test_keys_that_cannot_be_are_refused_by_name(workflow, keys, named):
    run = workflow.snakemake("--dry-run", check=False, classifier=keys)
    assert run.returncode != 0 and f"'{named}'" in run.stdout
