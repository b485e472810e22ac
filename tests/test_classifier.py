"""The classifier of spoken words: its accuracy, resuming after a kill, and its messages.

The words are tones, chirps and noises. Speakers differ in pitch, pace, loudness and background
noise, and each is on one side of the split only.
"""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from browser import browser
from classifier import classify
from matplotlib.image import imread
from test_report import CHROMIUM, needs_chromium
from wavspec.audio import samples_to_examples
from wavspec.classifier.examples import (
    SIDES,
    Examples,
    assign_targets,
    moments,
    open_examples,
    read_clips,
)
from wavspec.classifier.label_issues import write_page
from wavspec.classifier.metrics import (
    confusion_of,
    draw_confusion_matrix,
    macro_f1,
    predictions_of,
    right_by_clip,
)
from wavspec.errors import WavspecError
from workflow import ROOT, Workflow

needs_tensorflow = pytest.mark.tensorflow
# One process imports TensorFlow.
pytestmark = pytest.mark.xdist_group("classifier")


@pytest.fixture(scope="module", autouse=True)
def deterministic_here_alone():
    """Reset the classifier's settings of TensorFlow, for the tests of the embeddings."""
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework import config

        config.disable_op_determinism()


WORDS = ("chirp down", "chirp up", "noise", "tone")
SPEAKERS = {"training": 10, "validation": 3, "testing": 5}
SECONDS = ("seconds", "examples_per_second")
SPECTROGRAMS = "spectrograms.dat"


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
    """The input files of the stage, in a folder, and their content."""

    def __init__(self, folder, rows, examples):
        """`rows` are (label, valid, side), `examples` an array of as many."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rows, self.examples = folder, rows, examples
        self.valid = np.array([valid for _, valid, _ in rows])
        examples.astype(np.float64).tofile(folder / "examples.dat")
        np.zeros((len(rows), 96, 64)).tofile(folder / SPECTROGRAMS)
        self.write("clips.csv", ["", "file_name", "label", "valid"], self.clip)
        self.write("split.csv", ["", "speaker", "split"], lambda row: ["", self.rows[row][2]])

    def write(self, name, fields, values):
        with open(self.folder / name, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(fields)
            writer.writerows([row, *values(row)] for row in range(len(self.rows)))

    def clip(self, row):
        return f"{self.folder}/{row}.wav", *self.rows[row][:2]

    def classify(self, output, features="spectrograms", **keys):
        """Run a short training; return its metrics, without times, and the folder."""
        folder = self.folder / output
        folder.mkdir(exist_ok=True)
        classify(**self.arguments(folder, features=features, **keys))
        metrics = json.loads((folder / "metrics.json").read_text())
        return {key: value for key, value in metrics.items() if key not in SECONDS}, folder

    def arguments(self, folder, digest="0123456789ab", **keys):
        files = {"examples": "examples.dat", "clips": "clips.csv", "split": "split.csv"}
        inputs = {name: str(self.folder / file) for name, file in files.items()}
        pictures = {
            name: [str(folder / f"{name}.{end}") for end in ("png", "svg")]
            for name in ("learning_curve", "confusion_matrix")
        }
        outputs = {
            "model": str(folder / "model.keras"),
            "metrics": str(folder / "metrics.json"),
            "predictions": str(folder / "predictions.csv"),
            "history": str(folder / "history.csv"),
            "doubtful": str(folder / "doubtful.html"),
            **pictures,
        }
        settings = {
            **{"features": "spectrograms", "words": "all"},
            **{"epochs": 15, "batch_size": 16, "seed": 1},
            **keys,
        }
        return {
            "inputs": SimpleNamespace(**inputs, spectrograms=str(self.folder / SPECTROGRAMS)),
            "config": {"classifier": settings, "split": {"validation": 10, "testing": 10}},
            "threads": 2,
            "backup": str(folder / f"training.{digest}"),
            "outputs": SimpleNamespace(**outputs),
        }


def spoken(folder, labels=WORDS):
    """A Dataset of `labels`, with an invalid clip after every fifth, and background noise."""
    rows, examples = [], []
    sides = [side for side, speakers in SPEAKERS.items() for _ in range(speakers)]
    for label, word in zip(labels, WORDS, strict=True):
        for speaker, side in enumerate(sides):
            for take in range(4):
                rows.append((label, True, side))
                examples.append(samples_to_examples(say(word, speaker, take), 16_000)[0])
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
    """(metrics, folder of outputs, printed text) of an uninterrupted training."""
    with redirect_stdout(io.StringIO()) as printed:
        metrics, folder = dataset.classify("undisturbed")
    return metrics, folder, printed.getvalue()


@needs_tensorflow
def test_words_of_unheard_speakers_are_told_apart(trained):
    metrics, folder, printed = trained
    assert metrics["accuracy"]["testing"] > 0.95
    assert metrics["macro_f1"] > 0.95
    assert min(metrics["accuracy_per_label"].values()) > 0.85
    assert metrics["labels"] == list(WORDS)
    assert metrics["clips"] == {side: 16 * speakers for side, speakers in SPEAKERS.items()}
    assert metrics["labels_left_out"] == ["_background_noise_"]
    assert len(re.findall(r"epoch \d+ of 15: accuracy", printed)) == 15
    assert f"{metrics['accuracy']['testing']:.1%} on 80 testing clips" in printed
    assert not list(folder.glob("training.*")), "the backup of a training that ended"


@needs_tensorflow
def test_predictions_are_row_for_row_those_of_the_saved_model(dataset, trained):
    import keras

    metrics, folder, _ = trained
    table = pd.read_csv(folder / "predictions.csv", index_col=0)
    assert list(table.index) == list(range(len(dataset.rows)))
    assert list(table.label) == [label for label, _, _ in dataset.rows]
    assert list(table.split.fillna("")) == [side for _, _, side in dataset.rows]
    assert list(table.predicted.isna()) == list(~dataset.valid) == list(table.probability.isna())
    assert set(table.example) == {0}
    model = keras.saving.load_model(folder / "model.keras")
    probabilities = model.predict(dataset.examples[dataset.valid], verbose=0)
    judged = table[dataset.valid]
    assert list(judged.predicted) == [metrics["labels"][best] for best in probabilities.argmax(1)]
    np.testing.assert_allclose(judged.probability, probabilities.max(1), atol=1e-3)
    word = judged.label != "_background_noise_"
    places = [metrics["labels"].index(label) for label in judged.label[word]]
    own = probabilities[word][np.arange(word.sum()), places]
    np.testing.assert_allclose(judged.target_probability[word], own, atol=1e-3)
    invalid = ~dataset.valid & (table.split == "testing")
    assert metrics["invalid_testing_clips"] == invalid.sum() > 0


def check_accuracies(metrics, folder):
    """Check that the metrics match the predictions, and the best epoch of the history."""
    table = pd.read_csv(folder / "predictions.csv", index_col=0).dropna(subset="predicted")
    for side in SIDES:
        right = (table.predicted == table.label)[table.split == side]
        assert right.mean() == pytest.approx(metrics["accuracy"][side])
    history = pd.read_csv(folder / "history.csv")
    assert list(history.epoch) == list(range(1, 16))
    best = history.sort_values("validation_accuracy", ascending=False, kind="stable")
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
    standardised = np.asarray(model.layers[1](dataset.examples[training]))
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
    # Here the sides differ, and the last epoch is rarely the best.
    check_accuracies(metrics, folder)


KILLED = """
import os, signal, sys
sys.path[:0] = {paths}
from types import SimpleNamespace
from keras import callbacks
from classifier import classify

epoch_end, save = callbacks.BackupAndRestore.on_epoch_end, callbacks.BackupAndRestore._save_model

def kill_in_epoch(self, epoch, logs=None):
    if epoch + 1 == {epoch}:
        if {saved}:
            self.model.save_weights(self._weights_path)
        os.kill(os.getpid(), signal.SIGKILL)
    epoch_end(self, epoch, logs)

callbacks.BackupAndRestore.on_epoch_end = kill_in_epoch
arguments = {arguments}
for name in ("inputs", "outputs"):
    arguments[name] = SimpleNamespace(**arguments[name])
classify(**arguments)
"""


def kill(dataset, output, epoch, saved=False, **keys):
    """Kill a training at the end of an epoch before its backup, or with its weights `saved`."""
    folder = dataset.folder / output
    folder.mkdir()
    arguments = dataset.arguments(folder, **keys)
    plain = arguments | {name: vars(arguments[name]) for name in ("inputs", "outputs")}
    script = KILLED.format(
        paths=[str(ROOT / "workflow_scripts")], epoch=epoch, saved=saved, arguments=plain
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert os.path.exists(arguments["backup"])
    assert not os.path.exists(arguments["outputs"].model)
    return folder


@needs_tensorflow
def test_a_killed_training_resumes_and_ends_the_same(dataset, trained, capsys):
    folder = kill(dataset, "killed", epoch=7)
    capsys.readouterr()
    metrics, _ = dataset.classify("killed")
    printed = capsys.readouterr().out
    assert "epoch 7 of" in printed and "epoch 6 of" not in printed
    assert metrics == trained[0]
    histories = [
        pd.read_csv(each / "history.csv").drop(columns="seconds") for each in (folder, trained[1])
    ]
    pd.testing.assert_frame_equal(*histories)
    predictions = (folder / "predictions.csv").read_bytes()
    assert predictions == (trained[1] / "predictions.csv").read_bytes()


@needs_tensorflow
def test_a_backup_of_two_epochs_is_refused_and_the_next_run_starts_anew(dataset, capsys):
    folder = kill(dataset, "torn", epoch=2, saved=True, epochs=2)
    with pytest.raises(WavspecError, match=r"torn/training\.0123456789ab, .* was damaged"):
        dataset.classify("torn", epochs=2)
    assert not list(folder.glob("training.*"))


@needs_tensorflow
def test_a_damaged_backup_is_refused(dataset):
    folder = kill(dataset, "damaged", epoch=3, epochs=3)
    [number] = folder.glob("training.*/training_metadata.json")
    number.write_text("")
    with pytest.raises(WavspecError, match="run again to train from the start"):
        dataset.classify("damaged", epochs=3)


@needs_tensorflow
def test_a_training_does_not_resume_from_another_one_s_backup(dataset, capsys):
    folder = kill(dataset, "renamed", epoch=2, digest="ba9876543210", epochs=3)
    dataset.classify("renamed", epochs=1, seed=2)
    assert "epoch 1 of 1" in capsys.readouterr().out
    assert not list(folder.glob("training.*"))


@needs_tensorflow
def test_embeddings_are_told_apart_too(dataset):
    """Numbers of very different sizes, a constant one, and NaN for invalid clips."""
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
def test_labels_without_training_clips_are_left_out_and_named(dataset, capsys):
    rows = [
        (label, valid and not (label == "tone" and side == "training"), side)
        for label, valid, side in dataset.rows
    ]
    partly = Dataset(dataset.folder / "partly", rows, dataset.examples)
    metrics, folder = partly.classify("out", epochs=1, batch_size=1000)
    assert metrics["labels"] == ["chirp down", "chirp up", "noise"]
    assert metrics["labels_left_out"] == ["_background_noise_", "tone"]
    assert "without a valid training clip: tone\n" in capsys.readouterr().out
    assert metrics["clips"] == {side: 12 * speakers for side, speakers in SPEAKERS.items()}
    table = pd.read_csv(folder / "predictions.csv", index_col=0)
    assert list(table.predicted.isna()) == list(~partly.valid)


def clips_of(*rows):
    """The DataFrame of clips of (label, valid, side) rows."""
    clips = pd.DataFrame(rows, columns=["label", "valid", "split"])
    return clips.assign(file_name=[f"{row}.wav" for row in range(len(rows))], example=0)


PERCENTAGES = {"validation": 10, "testing": 10}
EVERYWHERE = [(label, True, side) for label in ("no", "yes") for side in SIDES]


def assign(*rows, words="all"):
    clips = clips_of(*rows)
    assign_targets(clips, words, PERCENTAGES, 0)
    return clips


@pytest.mark.parametrize("side", SIDES)
def test_a_side_without_valid_clips_is_refused_by_name(side):
    rows = [(label, of_row != side, of_row) for label, _, of_row in EVERYWHERE]
    with pytest.raises(WavspecError, match=rf"no valid clip for {side} .*\b0 for {side}"):
        assign(*rows)


def test_all_empty_sides_are_named():
    rows = [row for row in EVERYWHERE if row[2] == "training"]
    with pytest.raises(WavspecError, match=r"for validation and none for testing \(2 for training"):
        assign(*rows)


def test_a_single_label_is_refused():
    rows = [row for row in EVERYWHERE if row[0] == "yes"]
    with pytest.raises(WavspecError, match=r"two labels or more .* only 'yes' has"):
        assign(*rows, ("no", True, "testing"), ("go", False, "training"))


def test_a_side_of_unlearnt_labels_alone_is_refused():
    rows = [row for row in EVERYWHERE if row[2] != "testing"]
    with pytest.raises(
        WavspecError, match=r"valid training clips have no valid testing clip: no, yes"
    ):
        assign(*rows, ("go", True, "testing"))


def test_a_word_that_the_dataset_lacks_is_refused_by_name():
    message = r"'classifier.words': the dataset has no 'maybe'. It has no, yes$"
    with pytest.raises(WavspecError, match=message):
        assign(*EVERYWHERE, ("_background_noise_", False, ""), words=["yes", "maybe"])


def words_and_background():
    """Six words of 20 training, 6 validation and 8 testing clips, and long background noise."""
    sizes = dict(zip(SIDES, (20, 6, 8), strict=True))
    words = ("bed", "cat", "dog", "no", "up", "yes")
    rows = [(word, True, side) for word in words for side in SIDES for _ in range(sizes[side])]
    clips = clips_of(*rows, *[("_background_noise_", True, "")] * 300)
    noise = clips.label == "_background_noise_"
    clips.loc[noise, "file_name"] = np.repeat([f"{name}.wav" for name in "abcde"], 60)
    clips.loc[noise, "example"] = np.tile(np.arange(60), 5)
    return clips, sizes


def test_other_words_are_unknown_as_many_as_a_chosen_word_has():
    clips, sizes = words_and_background()
    clips.loc[clips.index[:10], "valid"] = False  # of bed
    left_out = assign_targets(clips, ["no", "yes"], PERCENTAGES, 0)
    assert left_out == []
    for side in SIDES:
        counts = clips.target[clips.split == side].value_counts()
        assert counts["no"] == counts["yes"] == counts["_unknown_"] == sizes[side]
    unknown = clips.label[clips.target == "_unknown_"]
    assert set(unknown) == {"bed", "cat", "dog", "up"}
    assert clips.valid[unknown.index].all()

    again, _ = words_and_background()
    again.loc[again.index[:10], "valid"] = False
    assign_targets(again, ["no", "yes"], PERCENTAGES, 0)
    pd.testing.assert_frame_equal(again, clips)
    assign_targets(again, ["no", "yes"], PERCENTAGES, 1)
    assert list(again.target) != list(clips.target)


def test_background_noise_is_silence_on_sides_by_the_rule():
    clips, _ = words_and_background()
    others = clips.split.copy()
    assign_targets(clips, ["no", "yes"], PERCENTAGES, 0)
    silence = clips[clips.label == "_background_noise_"]
    assert set(silence.target) == {"_silence_"}
    for row in silence.itertuples():
        digest = hashlib.sha1(f"{row.file_name} {row.example}".encode()).hexdigest()
        percentage = int(digest, 16) % 2**27 * (100 / (2**27 - 1))
        side = SIDES[1 + (percentage >= 10)] if percentage < 20 else "training"
        assert row.split == side
    assert set(silence.split) == set(SIDES)
    assert list(others[clips.label != "_background_noise_"]) == list(
        clips.split[clips.label != "_background_noise_"]
    )


def test_all_words_leave_background_noise_out():
    clips, _ = words_and_background()
    assert assign_targets(clips, "all", PERCENTAGES, 0) == ["_background_noise_"]
    assert set(clips.split[clips.target == ""]) == {""}


def test_all_examples_of_an_unknown_clip_are_taken_together():
    clips, _ = words_and_background()
    clips = clips[clips.label != "_background_noise_"].loc[lambda rows: np.repeat(rows.index, 3)]
    clips = clips.reset_index(drop=True)
    clips["example"] = np.arange(len(clips)) % 3
    assign_targets(clips, ["no", "yes"], PERCENTAGES, 0)
    taken = (clips.target == "_unknown_").groupby(clips.file_name).sum()
    assert set(taken) == {0, 3} and (taken == 3).sum() == 20 + 6 + 8


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    dataset = Dataset(tmp_path, EVERYWHERE, np.zeros((6, 96, 64)))
    clips, split = tmp_path / "clips.csv", tmp_path / "split.csv"
    table = read_clips(clips, split)
    with open(tmp_path / "examples.dat", "ab") as file:
        file.write(bytes(8))
    with pytest.raises(WavspecError, match=r"examples.dat has 294,920 bytes, .* need 294,912"):
        open_examples(tmp_path / "examples.dat", "spectrograms", table)
    split.write_text(split.read_text() + "6,,testing\n")
    with pytest.raises(WavspecError, match=r"clips.csv has 6 rows, but .*split.csv has 7"):
        read_clips(clips, split)
    for damage in ("index,speaker\n0,me\n", "", 'split\n"a'):
        split.write_text(damage)
        with pytest.raises(WavspecError, match=r"split.csv is not a table with the columns split"):
            read_clips(clips, split)
    assert dataset.rows == EVERYWHERE


def test_examples_are_counted_within_each_clip(tmp_path):
    (tmp_path / "clips.csv").write_text(
        ",file_name,label,valid\n0,a,007,True\n1,a,007,True\n2,b,NA,False\n3,c,yes,True\n"
    )
    (tmp_path / "split.csv").write_text(",split\n0,training\n1,training\n2,\n3,testing\n")
    clips = read_clips(tmp_path / "clips.csv", tmp_path / "split.csv")
    assert list(clips.example) == [0, 1, 0, 0]
    assert list(clips.label) == ["007", "007", "NA", "yes"]
    assert list(clips.split) == ["training", "training", "", "testing"]
    assert clips.valid.dtype == bool


def test_a_valid_clip_that_is_not_finite_is_refused_by_name(tmp_path):
    values = np.zeros((6, 96, 64))
    values[4, 3, 2] = np.inf
    values[1] = np.nan  # is not used
    Dataset(tmp_path, EVERYWHERE, values)
    table = read_clips(tmp_path / "clips.csv", tmp_path / "split.csv")
    examples = open_examples(tmp_path / "examples.dat", "spectrograms", table)
    with pytest.raises(WavspecError, match=r"valid clip .*/4\.wav"):
        moments(examples, np.array([0, 2, 3, 4, 5]))


@needs_tensorflow
def test_shifts_stay_within_their_limits_and_repeat_the_edges():
    from wavspec.classifier.training import shifted

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
from wavspec.classifier.examples import Examples, moments

def peak():
    status = dict(line.split(':', 1) for line in open('/proc/self/status'))
    return int(status['VmHWM'].split()[0])  # kB

before = peak()  # the imports' own
examples = Examples({path!r}, (96, 64), ["a.wav"] * {clips})
moments(examples, np.arange({clips}))
print(peak() - before)
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
    assert int(read.stdout) < 100_000


def test_confusion_and_macro_f1_by_hand():
    predictions = pd.DataFrame(
        {
            "split": ["testing"] * 6 + ["training", "testing"],
            "target": ["a", "a", "a", "b", "b", "c", "a", ""],
            "predicted": ["a", "a", "b", "b", "d", "c", "c", "a"],
        }
    )
    confusion = confusion_of(predictions, list("abcd"))
    counts = [[2, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert confusion.to_numpy().tolist() == counts
    # Class d has no example and thus no score: (0.8 + 0.5 + 1) / 3.
    assert macro_f1(confusion) == pytest.approx(2.3 / 3)


def test_clips_are_named_by_the_mean_of_their_examples():
    """Two examples of three are wrong, but the third is sure."""
    clips = clips_of(*[("no", True, "testing")] * 3, ("yes", True, "testing"))
    clips["file_name"] = ["long.wav"] * 3 + ["short.wav"]
    clips["example"], clips["target"] = [0, 1, 2, 0], clips.label
    probabilities = np.array([[0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.6, 0.4]])
    predictions = predictions_of(clips, ["no", "yes"], probabilities)
    assert list(predictions.predicted == predictions.label) == [False, False, True, False]
    assert list(predictions.example) == [0, 1, 2, 0]
    right = right_by_clip(clips, ["no", "yes"], probabilities)["testing"]
    assert right.to_dict() == {"long.wav": True, "short.wav": False}


def test_a_confusion_matrix_of_many_labels_with_unusual_names(tmp_path):
    labels = [rf"$\no{number}$ é<" for number in range(200)]
    confusion = pd.DataFrame(np.eye(200, dtype=int), labels, labels)
    draw_confusion_matrix([str(tmp_path / "a.png")], confusion)
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
    assert "epoch 1 of 1: accuracy" in log and "GPU" in log
    folder = words.results / "classifier"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["clips"] == dict.fromkeys(SIDES, 6)
    assert f"accuracy {metrics['accuracy']['testing']:.1%} on 6 testing clips" in run.stdout
    assert "results/classifier: model.keras" in run.stdout and "doubtful.html" in run.stdout
    for hidden in ("epoch 1 of 1: accuracy", "oneDNN", "cuda", "I0000"):
        assert hidden not in run.stdout
    [stamp] = words.results.glob("stamps/classifier.*.json")
    outputs = json.loads(stamp.read_text())["outputs"]
    assert {os.path.basename(file) for file in outputs} == {path.name for path in folder.iterdir()}

    report = words.folder / "report.html"
    words.snakemake("classifier", "--report", report, **epoch)
    for title in ("Doubtful clips", "Learning curve", "Confusion matrix"):
        assert title in report.read_text()

    assert words.planned("classifier", **epoch) == set()
    shutil.rmtree(words.folder / ".snakemake")
    assert words.planned("classifier", **epoch) == set()
    assert words.planned("classifier", classifier="{epochs: 1, seed: 1}") == {"classifier"}
    some = "{epochs: 1, words: ['tone', 'chirp up']}"
    assert words.planned("classifier", classifier=some) == {"classifier"}
    moved = tmp_path / "moved"
    words.dataset.rename(moved)
    assert "classifier" not in words.planned("classifier", dataset=moved, **epoch)
    with open(moved / "testing_list.txt", "a") as file:
        file.write("tone/training_nohash_0.wav\n")
    assert "classifier" in words.planned("classifier", dataset=moved, **epoch)


@needs_tensorflow
def test_long_clips_and_background_noise(words):
    """A chosen word, another word, silence, and a clip of two examples among the testing clips."""
    random = np.random.default_rng(0)
    noise = words.dataset / "_background_noise_" / "hum.wav"
    noise.parent.mkdir()
    soundfile.write(noise, random.normal(0, 0.05, 60 * 16_000), 16_000)
    long = np.concatenate([say("tone", 2, 0), say("tone", 2, 1)])
    soundfile.write(words.dataset / "tone" / "testing_nohash_0.wav", long, 16_000)
    keys = {"classifier": "{epochs: 1, words: [tone]}", "long_clips": "cut"}
    words.snakemake("classifier", **keys)
    folder = words.results / "classifier"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["labels"] == ["_silence_", "_unknown_", "tone"]
    table = pd.read_csv(folder / "predictions.csv", index_col=0, keep_default_na=False)
    assert len(table) == len(pd.read_csv(words.results / "wavfile_df.csv")) == 62 + 18 + 1
    silence = table[table.target == "_silence_"]
    assert set(silence.label) == {"_background_noise_"} and set(silence.split) == set(SIDES)
    tested = table[(table.split == "testing") & (table.target != "")]
    assert metrics["examples"]["testing"] == len(tested)
    # Three clips of each word and one of the noise.
    assert metrics["clips"]["testing"] == 3 + 3 + 1
    assert list(tested.example[tested.label == "tone"]) == [0, 1, 0, 0]


@needs_tensorflow
def test_a_refusal_is_one_plain_message(built):
    run = built.snakemake("classifier", check=False, split="{validation: 0}")
    assert run.returncode != 0
    log = (built.results / "logs" / "classifier.log").read_text()
    for output in (run.stdout, log):
        assert "no valid clip for validation" in output and "Traceback" not in output
    assert not list(built.results.glob("stamps/classifier.*"))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("{epochs: 0}", "classifier.epochs"),
        ("{features: cepstra}", "classifier.features"),
        ("{epoch: 3}", "classifier.epoch"),
        ("{seed: -1}", "classifier.seed"),
        ("{words: []}", "classifier.words"),
        ("{words: some}", "classifier.words"),
    ],
)
def test_keys_that_cannot_be_are_refused_by_name(workflow, keys, named):
    run = workflow.snakemake("--dry-run", check=False, classifier=keys)
    assert run.returncode != 0 and f"'{named}'" in run.stdout


def test_words_that_yaml_takes_for_true_are_refused_with_advice(workflow):
    path = workflow.folder / "config.yaml"
    path.write_text(path.read_text().replace("  words: all\n", "  words: [yes, up]\n"))
    run = workflow.snakemake("--dry-run", check=False)
    assert run.returncode != 0
    assert "'classifier.words.0' (a word in quotes" in run.stdout and '["yes", "no"]' in run.stdout


# The play button is at the left end of each player.
PLAYERS = """
return [...document.querySelectorAll("audio")].map(player => {
  const {x, y, height} = player.getBoundingClientRect();
  return [x + 20, y + height / 2];
});
"""

HEARD = """
const player = document.querySelectorAll("audio")[NUMBER];
if (!player.ended) await new Promise(done => player.onended = done);
const sound = await (await fetch(player.src)).arrayBuffer();
const audio = await new OfflineAudioContext(1, 16000, 16000).decodeAudioData(sound);
const picture = player.closest("tr").querySelector("img");
await picture.decode();
return {
  played: player.currentTime,
  samples: [...audio.getChannelData(0)],
  picture: [picture.naturalWidth, picture.naturalHeight],
  cells: [...player.closest("tr").cells].map(cell => cell.textContent.trim()),
};
"""


@needs_chromium
def test_doubtful_clips_are_seen_and_heard(tmp_path):
    """The lowest probability comes first; the second example of a clip is its second 0.96 s."""
    sound = np.round(3000 * np.random.default_rng(0).normal(0, 1, 40_000)).astype("<i2")
    soundfile.write(tmp_path / "<a>.wav", sound, 16_000)
    examples = samples_to_examples(sound / 32768, 16_000)
    examples = np.concatenate([examples, examples])
    examples.tofile(tmp_path / "spectrograms.dat")
    names = [*["<a>.wav"] * 2, "gone.wav", "sure.wav"]
    clips = clips_of(*[(word, True, "testing") for word in ("no", "no", "<up>", "yes")])
    clips["file_name"], clips["example"] = [f"{tmp_path}/{name}" for name in names], [0, 1, 0, 0]
    clips["target"] = ["_unknown_", "_unknown_", "<up>", "yes"]
    probabilities = np.array([[0, 0.45, 0.55], [0, 0.1, 0.9], [0.3, 0.0, 0.7], [0.1, 0, 0.9]])
    predictions = predictions_of(clips, ["<up>", "_unknown_", "yes"], probabilities)
    page = tmp_path / "doubtful.html"
    write_page(page, clips, predictions, tmp_path / "spectrograms.dat")

    text = page.read_text()
    assert "all 3" in text and "http" not in text
    rows = re.findall(r"<tr><td>.*\n", text)
    assert len(rows) == 3 and "gone.wav" in rows[1] and "cannot be read" in rows[1]
    with browser(CHROMIUM, tmp_path, page.as_uri()) as opened:
        heard = []
        for number, place in enumerate(opened.evaluate(PLAYERS)):
            opened.click(*place)
            heard.append(opened.evaluate(HEARD.replace("NUMBER", str(number))))
    first, second = heard
    for seen, start in ((first, 15_360), (second, 0)):
        assert seen["played"] == pytest.approx(0.975)
        expected = sound[start : start + 15_600] / 32768
        np.testing.assert_allclose(seen["samples"], expected, atol=1e-4)
        assert seen["picture"] == [96, 64]
    assert first["cells"][1:5] == ["no (as _unknown_)", "10.0%", "yes", "90.0%"]
    assert first["cells"][5].endswith("<a>.wav, example 1, testing")


def test_the_page_of_doubtful_clips_fits_into_the_report(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, 16_000), 16_000)
    np.zeros((200, 96, 64)).tofile(tmp_path / "spectrograms.dat")
    clips = clips_of(*[("no", True, "validation")] * 200)
    clips["file_name"], clips["target"] = f"{tmp_path}/a.wav", "no"
    predictions = predictions_of(clips, ["no", "yes"], np.tile([0.4, 0.6], (200, 1)))
    write_page(tmp_path / "doubtful.html", clips, predictions, tmp_path / "spectrograms.dat")
    text = (tmp_path / "doubtful.html").read_text()
    assert 1_300_000 < len(text) < 1_520_000
    assert f"the first {text.count('<audio')} of 200" in text
