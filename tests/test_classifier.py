"""The classifier: its accuracy, its inputs, resuming after a kill, and its messages.

The words are tones, chirps and noises. Speakers differ in pitch, pace, loudness and background
noise, and each is in one split only.
"""

import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from types import SimpleNamespace

import damage
import numpy as np
import pandas as pd
import pytest
import soundfile
from evaluate import evaluate
from matplotlib.image import imread
from train import COLUMNS, fit, left_out, write_outputs
from wavspec.audio import samples_to_examples
from wavspec.classifier.augmentation import stretched, with_floor
from wavspec.classifier.examples import (
    Examples,
    assign_targets,
    moments,
    read_long_silence,
)
from wavspec.classifier.metrics import (
    confusion_of,
    correct_by_clip,
    draw_confusion_matrix,
    in_words,
    macro_f1,
    predictions_of,
)
from wavspec.dataset import SPLITS
from wavspec.errors import WavspecError
from workflow import ROOT, Workflow, kill_group, wait_until

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
PERCENTAGES = {"validation": 10, "testing": 10}
HOP = 0.96
NOTHING = np.empty((0, 96, 64), np.float32)


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


def table_of(*rows):
    """The DataFrame of (label, valid, split) rows, each a clip."""
    table = pd.DataFrame(rows, columns=["label", "valid", "split"])
    return table.assign(path=[f"{row}.wav" for row in range(len(rows))], example="0")


def spoken():
    """The rows of the words, with an invalid clip after every fifth, and their spectrograms."""
    rows, examples = [], []
    splits = [split for split, speakers in SPEAKERS.items() for _ in range(speakers)]
    for word in WORDS:
        for speaker, split in enumerate(splits):
            for take in range(4):
                rows.append((word, True, split))
                examples.append(samples_to_examples(say(word, speaker, take), 16_000)[0])
                if len(rows) % 6 == 5:
                    rows.append((word, False, split))
                    examples.append(np.zeros((96, 64)))
    return table_of(*rows, ("_background_noise_", True, "")), np.array([*examples, examples[0]])


def train(folder, rows, examples, backup="backup.0123456789ab.npz", **keys):
    """Train as the stage does; return the Trained network."""
    folder.mkdir(exist_ok=True)
    examples.astype(np.float64).tofile(folder / "examples.dat")
    settings = {
        **{"features": "spectrograms", "words": "all", "epochs": 15, "batch_size": 16, "seed": 1},
        **keys,
    }
    assign_targets(rows, settings["words"], PERCENTAGES, HOP, settings["seed"])
    nothing = np.empty((0, *examples.shape[1:]), np.float32)
    opened = Examples(str(folder / "examples.dat"), examples.shape[1:], nothing)
    return fit(rows, opened, settings, 2, str(folder / backup))


def write_and_evaluate(folder, rows, trained):
    """Write the outputs of both stages into `folder`; return the metrics."""
    names = {
        **{"model": "model.keras", "tflite": "model.tflite", "labels": "labels.txt"},
        **{"facts": "training.json", "history": "history.csv", "examples": "examples.csv"},
        **{"probabilities": "probabilities.npy", "clips": "clips.csv", "split": "split.csv"},
        **{"metrics": "metrics.json", "predictions": "predictions.csv"},
        **{"spectrograms": "spectrograms.dat", "label_issues": "label_issues.html"},
        **{"label_issues_table": "label_issues.csv", "early": "early_probabilities.npy"},
    }
    files = SimpleNamespace(
        **{name: str(folder / file) for name, file in names.items()},
        **{
            name: [str(folder / f"{name}.{end}") for end in ("png", "svg")]
            for name in ("learning_curve", "confusion_matrix")
        },
    )
    write_outputs(trained, rows, files)
    rows.assign(file_name=rows.path)[["file_name", "label", "valid"]].to_csv(files.clips)
    rows.assign(speaker="")[["speaker", "split"]].to_csv(files.split)
    np.zeros((len(rows), 96, 64)).tofile(files.spectrograms)
    evaluate(files, files)
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def dataset():
    return spoken()


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """Uninterrupted training: rows, the Trained network, metrics, folder, printed text."""
    folder = tmp_path_factory.mktemp("trained")
    rows, examples = dataset[0].copy(), dataset[1]
    with redirect_stdout(io.StringIO()) as printed:
        network = train(folder, rows, examples)
        metrics = write_and_evaluate(folder, rows, network)
    return SimpleNamespace(
        rows=rows, network=network, metrics=metrics, folder=folder, printed=printed.getvalue()
    )


# Training


@needs_tensorflow
def test_words_of_new_speakers_are_recognised(trained):
    metrics = trained.metrics
    assert metrics["accuracy"]["testing"] > 0.95
    assert metrics["macro_f1"] > 0.95
    assert min(metrics["accuracy_per_label"].values()) > 0.85
    assert metrics["labels"] == list(WORDS)
    assert metrics["clips"] == {split: 16 * speakers for split, speakers in SPEAKERS.items()}
    assert metrics["largest_label_fraction"] == 0.25
    assert len(re.findall(r"epoch \d+ of 15: accuracy", trained.printed)) == 15


@needs_tensorflow
def test_predictions_are_row_for_row_those_of_the_saved_models(dataset, trained):
    import keras
    import tensorflow as tf

    rows, metrics = trained.rows, trained.metrics
    table = pd.read_csv(trained.folder / "predictions.csv", index_col=0, keep_default_na=False)
    for column in ("label", "split", "target"):
        assert list(table[column]) == list(rows[column])
    assert list(table.predicted == "") == list(~rows.valid) == list(table.probability == "")
    labels = (trained.folder / "labels.txt").read_text().splitlines()
    assert labels == metrics["labels"]
    invalid = ~rows.valid & (rows.split == "testing")
    assert metrics["invalid_testing_clips"] == invalid.sum() > 0

    valid = dataset[1][rows.valid].astype(np.float32)
    model = keras.saving.load_model(trained.folder / "model.keras")
    lite = tf.lite.Interpreter(str(trained.folder / "model.tflite"))
    [taken], [given] = lite.get_input_details(), lite.get_output_details()
    assert taken["dtype"] == given["dtype"] == np.float32
    lite.resize_tensor_input(taken["index"], valid.shape)
    lite.allocate_tensors()
    lite.set_tensor(taken["index"], valid)
    lite.invoke()
    judged = table[rows.valid]
    for probabilities in (model.predict(valid, verbose=0), lite.get_tensor(given["index"])):
        assert list(judged.predicted) == [labels[best] for best in probabilities.argmax(1)]
        highest = judged.probability.astype(float)
        np.testing.assert_allclose(highest, probabilities.max(1), atol=1e-3)
    word = judged.label != "_background_noise_"
    places = [labels.index(label) for label in judged.label[word]]
    own = probabilities[word][np.arange(word.sum()), places]
    np.testing.assert_allclose(judged.target_probability[word].astype(float), own, atol=1e-3)


def check_accuracies(metrics, folder):
    """Check that the metrics match the predictions, and the last epoch of the history."""
    table = pd.read_csv(folder / "predictions.csv", index_col=0).dropna(subset="predicted")
    for split in SPLITS:
        correct = (table.predicted == table.label)[table.split == split]
        assert correct.mean() == pytest.approx(metrics["accuracy"][split])
    history = pd.read_csv(folder / "history.csv")
    assert list(history.epoch) == list(range(1, 16))
    accuracy = history.validation_accuracy.iloc[-1]
    assert metrics["accuracy"]["validation"] == pytest.approx(accuracy, abs=1e-5)


@needs_tensorflow
def test_accuracies_are_those_of_the_last_epoch(trained):
    check_accuracies(trained.metrics, trained.folder)


@needs_tensorflow
def test_pictures_are_drawn(trained):
    for name in ("learning_curve", "confusion_matrix"):
        pixels = imread(trained.folder / f"{name}.png")
        assert min(pixels.shape[:2]) > 400 and pixels.std() > 0.05
        assert "</svg>" in (trained.folder / f"{name}.svg").read_text()


@needs_tensorflow
def test_the_network_standardises_its_input_and_changes_it_in_training_only(dataset, trained):
    model, examples = trained.network.model, dataset[1]
    training = trained.rows.valid & (trained.rows.split == "training")
    standardised = np.asarray(model.layers[1](examples[training]))
    np.testing.assert_allclose(standardised.mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(standardised.std(axis=(0, 1)), 1, atol=1e-3)
    some = examples[:4]
    assert np.array_equal(model(some), model(some))
    assert not np.allclose(model(some, training=True), model(some, training=True))


@needs_tensorflow
def test_shuffled_labels_bring_it_down_to_chance(dataset, tmp_path):
    rows, examples = dataset[0].copy(), dataset[1]
    random = np.random.default_rng(0)
    for split in SPLITS:
        places = rows.index[rows.split == split]
        rows.loc[places, "label"] = random.permutation(rows.label[places])
    metrics = write_and_evaluate(tmp_path, rows, train(tmp_path, rows, examples))
    assert metrics["accuracy"]["testing"] < 0.5
    check_accuracies(metrics, tmp_path)


@needs_tensorflow
def test_embeddings_are_recognised_too(dataset, tmp_path):
    """Numbers of very different sizes, a constant one, and NaN for invalid clips."""
    rows, random = dataset[0].copy(), np.random.default_rng(3)
    centres = {label: random.normal(0, 1, 128) for label in sorted(set(rows.label))}
    scales = 10 ** random.uniform(-3, 3, 128)
    scales[5] = 0
    embeddings = np.array(
        [(centres[label] + random.normal(0, 1.5, 128) + 4) * scales for label in rows.label]
    )
    embeddings[~rows.valid] = np.nan
    trained = train(tmp_path, rows, embeddings, features="embeddings", epochs=8)
    assert write_and_evaluate(tmp_path, rows, trained)["accuracy"]["testing"] > 0.95


# Resuming


@needs_tensorflow
def test_an_interrupted_training_resumes_with_the_next_epoch(
    dataset, trained, tmp_path, capsys, monkeypatch
):
    from wavspec.classifier.training import Epochs

    rows, examples = dataset[0].copy(), dataset[1]
    save = Epochs.save

    def interrupted(self):
        if len(self.history) == 9:
            raise KeyboardInterrupt
        save(self)

    monkeypatch.setattr(Epochs, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, rows, examples)
    monkeypatch.undo()
    resumed = train(tmp_path, rows, examples)
    printed = capsys.readouterr().out
    assert "resuming after epoch 8" in printed and printed.count("epoch 9 of 15") == 1
    metrics = write_and_evaluate(tmp_path, rows, resumed)
    check_accuracies(metrics, tmp_path)
    assert metrics["accuracy"]["testing"] > 0.9
    # It had the weights: the first epochs of a new training are poor.
    assert resumed.history.validation_accuracy[8] > 0.8
    first = trained.network.history.drop(columns="seconds")[:8]
    pd.testing.assert_frame_equal(resumed.history.drop(columns="seconds")[:8], first)
    # The probabilities of epochs 3 to 8, of which the backup has the sum.
    np.testing.assert_allclose(resumed.early, trained.network.early, atol=1e-3)
    np.testing.assert_allclose(resumed.early[rows.valid].sum(axis=1), 1, atol=1e-3)


@needs_tensorflow
def test_an_unusable_backup_counts_as_none(trained, dataset, tmp_path, capsys):
    from wavspec.classifier.training import Epochs

    network, backup = trained.network.model, tmp_path / "backup.0123456789ab.npz"
    content = (trained.folder / backup.name).read_bytes()
    backup.write_bytes(content)
    epochs = Epochs(15, str(backup), None)
    epochs.resume(network)
    assert len(epochs.history) == 15
    weights = network.get_weights()
    # zipfile accepts bytes after the archive.
    for damaged in {damage.change_a_byte, *damage.OF_STAMPS} - {damage.append}:
        damage.restore(backup, content)
        damaged(backup)
        epochs = Epochs(15, str(backup), None)
        with pytest.raises(Exception):  # noqa: B017
            epochs.resume(network)
        assert epochs.history == [] and not epochs.early.any(), damaged
        assert all(map(np.array_equal, weights, network.get_weights()))
    damage.restore(backup, content)
    damage.make_folder(backup)
    train(tmp_path, dataset[0].copy(), dataset[1], epochs=1)
    printed = capsys.readouterr().out
    assert f"the backup {backup} is unusable: training starts over\n" in printed
    assert "epoch 1 of 1" in printed and backup.is_file()


# Inputs

EVERYWHERE = [(label, True, split) for label in ("no", "yes") for split in SPLITS]


def assign(*rows, words="all"):
    table = table_of(*rows)
    classes = assign_targets(table, words, PERCENTAGES, HOP, 0)
    return table, classes


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_without_valid_clips_is_refused_by_name(split):
    rows = [(label, of_row != split, of_row) for label, _, of_row in EVERYWHERE]
    with pytest.raises(WavspecError, match=rf"no valid example for {split} .*\b0 for {split}"):
        assign(*rows)


def test_all_empty_splits_are_named():
    rows = [row for row in EVERYWHERE if row[2] == "training"]
    with pytest.raises(WavspecError, match=r"for validation and none for testing \(2 for training"):
        assign(*rows)


def test_a_single_label_is_refused():
    rows = [row for row in EVERYWHERE if row[0] == "yes"]
    with pytest.raises(WavspecError, match=r"two labels or more .* only 'yes' has"):
        assign(*rows, ("no", True, "testing"), ("go", False, "training"))


def test_a_split_of_labels_without_training_clips_is_refused():
    rows = [row for row in EVERYWHERE if row[2] != "testing"]
    with pytest.raises(WavspecError, match=r"no valid example for testing .* 0 for testing"):
        assign(*rows, ("go", True, "testing"))


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["yes", "maybe"], "the dataset has no 'maybe'. It has no, yes$"),
        (["yes", "_silence_"], "the dataset has no '_silence_'"),
        (["_unknown_"], "no word. It has no, yes$"),
    ],
)
def test_words_that_the_dataset_lacks_are_refused_by_name(words, fault):
    with pytest.raises(WavspecError, match=f"'classifier.words': {fault}"):
        assign(*EVERYWHERE, words=words)


def test_labels_that_are_not_learnt_or_not_tested_are_named(capsys):
    rows = [row for row in EVERYWHERE if row[::2] != ("no", "testing")]
    others = [("go", True, "testing"), ("bad", False, "training"), ("_background_noise_", True, "")]
    table, classes = assign(*rows, *others)
    assert left_out(table, classes) == ["_background_noise_", "bad", "go"]
    assert capsys.readouterr().out.splitlines() == [
        "Warning: labels without a valid testing clip: no",
        "Warning: labels left out, without a valid training clip: bad, go",
    ]
    assert list(table.target) == [label for label, _, _ in rows] + [""] * 3


SIZES = dict(zip(SPLITS, (20, 6, 8), strict=True))


def words_and_silence(*further):
    """Six words of 20 training, 6 validation and 8 testing clips, and long background noise."""
    words = ("bed", "cat", "dog", "no", "up", "yes", *further)
    rows = [(word, True, split) for word in words for split in SPLITS for _ in range(SIZES[split])]
    table = table_of(*rows, *[("_background_noise_", True, "")] * 300)
    noise = table.label == "_background_noise_"
    table.loc[noise, "path"] = np.repeat([f"{name}.wav" for name in "abcde"], 60)
    table.loc[noise, "example"] = np.tile(np.arange(60).astype(str), 5)
    return table


def counts_of(table):
    used = table[table.target != ""]
    return pd.crosstab(used.target, used.split)[list(SPLITS)]


@pytest.mark.parametrize("words", [["no", "yes"], ["no", "yes", "_unknown_", "_silence_"]])
def test_other_words_and_silence_are_as_many_as_a_listed_word(words):
    table = words_and_silence("_unknown_", "silence")
    table.loc[table.index[:10], "valid"] = False  # of bed
    before = table.copy()
    assign_targets(table, words, PERCENTAGES, HOP, 0)
    counts = counts_of(table)
    assert sorted(counts.index) == ["_silence_", "_unknown_", "no", "yes"]
    assert all(list(row) == list(SIZES.values()) for row in counts.to_numpy())
    unknown = table[table.target == "_unknown_"]
    assert set(unknown.label) == {"_unknown_", "bed", "cat", "dog", "up"} and unknown.valid.all()
    assert set(table.label[table.target == "_silence_"]) == {"_background_noise_", "silence"}

    again = before.copy()
    assign_targets(again, words, PERCENTAGES, HOP, 0)
    pd.testing.assert_frame_equal(again, table)
    assign_targets(before, words, PERCENTAGES, HOP, 1)
    assert list(before.target) != list(table.target)


def test_background_noise_is_split_by_time_without_shared_sound():
    table = words_and_silence()
    assign_targets(table, ["no", "yes"], PERCENTAGES, HOP, 0)
    noise = table[table.label == "_background_noise_"]
    expected = ["training"] * 46 + [""] + ["validation"] * 6 + [""] + ["testing"] * 6
    for _, recording in noise.groupby("path"):
        assert list(recording.split) == expected
    dense = words_and_silence()
    assign_targets(dense, ["no", "yes"], PERCENTAGES, 0.48, 0)
    expected = ["training"] * 44 + [""] * 2 + ["validation"] * 6 + [""] * 2 + ["testing"] * 6
    assert list(dense.split[dense.path == "a.wav"]) == expected
    short = words_and_silence()
    short.loc[short.label == "_background_noise_", "example"] = "0"  # 300 recordings of a second
    short["path"] = [f"{row}.wav" for row in short.index]
    assign_targets(short, ["no", "yes"], PERCENTAGES, HOP, 0)
    noise = short.split[short.label == "_background_noise_"].value_counts()
    assert 15 < noise["validation"] < 45 and 15 < noise["testing"] < 45
    assert noise.sum() == noise[list(SPLITS)].sum() == 300


def test_all_words_leave_background_noise_out():
    table = words_and_silence("silence")
    assign_targets(table, "all", PERCENTAGES, HOP, 0)
    assert set(table.split[table.target == ""]) == {""} and "silence" in set(table.target)


def test_all_examples_of_an_unknown_clip_are_taken_together():
    table = words_and_silence()
    table = table[table.label != "_background_noise_"].loc[lambda rows: np.repeat(rows.index, 3)]
    table = table.reset_index(drop=True)
    table["example"] = (np.arange(len(table)) % 3).astype(str)
    assign_targets(table, ["no", "yes"], PERCENTAGES, HOP, 0)
    taken = (table.target == "_unknown_").groupby(table.path).sum()
    assert set(taken) == {0, 3} and (taken == 3).sum() == 20 + 6 + 8


def test_long_silence_is_read_from_its_recordings(tmp_path):
    random = np.random.default_rng(0)
    paths = ["silence/long.wav", "_background_noise_/hum.flac", "_background_noise_/damaged.wav"]
    for path in (tmp_path / path for path in paths):
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, random.normal(0, 0.05, 5 * 16_000), 16_000)
    (tmp_path / paths[2]).write_bytes(b"damaged since")
    table = table_of(*[(path.split("/")[0], False, "") for path in paths], ("no", False, "testing"))
    states = [(tmp_path / path).stat() for path in paths]
    table = table.assign(
        path=[*paths, "no/long.wav"],
        reason="too long",
        start="",
        end="",
        size=[*(str(state.st_size) for state in states), "1"],
        mtime_ns=[*(str(state.st_mtime_ns) for state in states), "1"],
    )
    rows, examples, without = read_long_silence(table, tmp_path)
    assert list(rows.path) == [paths[0]] * 5 + [paths[1]] * 5 and without == [paths[2]]
    assert list(rows.example) == list("01234" * 2) and rows.valid.all()
    for path, read in zip(paths, np.split(examples, 2), strict=False):
        samples, _ = soundfile.read(tmp_path / path, dtype="int16")
        assert np.array_equal(read, samples_to_examples(samples / 32_768, 16_000).astype("f4"))

    np.zeros((2, 96, 64)).tofile(tmp_path / "array.dat")
    both = Examples(str(tmp_path / "array.dat"), (96, 64), examples)
    assert np.array_equal(
        both.read(np.array([4, 1, 2])), [examples[2], NOTHING_AT_ALL, examples[0]]
    )


NOTHING_AT_ALL = np.zeros((96, 64))


def test_examples_are_stretched_and_shifted_within_limits():
    frames, bands = np.mgrid[:96, :64]
    changed = stretched(np.stack([100.0 * frames + bands] * 500), np.random.default_rng(0))
    sources = changed // 100, changed % 100
    for source, size, stretch, shift in ((sources[0], 96, 0.15, 16), (sources[1], 64, 0.05, 2)):
        line = source[:, :, 32] if size == 96 else source[:, 48, :]
        assert (np.diff(line, axis=1) >= 0).all() and line.min() >= 0 and line.max() <= size - 1
        middle = line[:, size // 2] - (size - 1) / 2
        assert np.abs(middle).max() <= shift + 1 and np.ptp(middle) > 1.8 * shift
        # Away from the repeated edges.
        speed = (line[:, size * 5 // 8] - line[:, size * 3 // 8]) / (size / 4)
        assert np.abs(np.log(speed)).max() < stretch + 0.07 and np.ptp(speed) > stretch


def test_each_example_has_a_floor_at_random():
    examples = np.linspace(-4.6, 3, 96 * 64, dtype=np.float32).reshape(1, 96, 64).repeat(200, 0)
    changed = with_floor(examples, np.random.default_rng(0))
    assert changed.dtype == np.float32
    floors = changed.min(axis=(1, 2))
    assert floors.min() < -4.5 and -1.6 < floors.max() <= -1.5
    for example, original, floor in zip(changed, examples, floors, strict=True):
        np.testing.assert_array_equal(example, np.maximum(original, floor))


def test_moments_are_those_of_all_chosen_rows(tmp_path):
    random = np.random.default_rng(0)
    values = random.normal(-3, 2, (700, 96, 64))
    values[..., 9] = 5
    values.tofile(tmp_path / "examples.dat")
    rows = random.permutation(700)[:600]
    examples = Examples(str(tmp_path / "examples.dat"), (96, 64), NOTHING)
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
examples = Examples({path!r}, (96, 64), np.empty((0, 96, 64), np.float32))
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


# Metrics


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
    # Label d has no example and thus no score: (0.8 + 0.5 + 1) / 3.
    assert macro_f1(confusion) == pytest.approx(2.3 / 3)


def test_clips_are_predicted_from_the_mean_of_their_examples():
    """Two examples of three are wrong, but the third is sure."""
    rows = table_of(*[("no", True, "testing")] * 3, ("yes", True, "testing"))
    rows = rows.assign(clip_id=[5, 5, 5, 6], example=[0, 1, 2, 0], target=rows.label)
    probabilities = np.array([[0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.6, 0.4]])
    predictions = predictions_of(rows, ["no", "yes"], probabilities)
    assert list(predictions.predicted == predictions.label) == [False, False, True, False]
    correct = correct_by_clip(rows, ["no", "yes"], probabilities)["testing"]
    assert correct.to_dict() == {5: True, 6: False}


RESULT = {
    "labels": ["no", "up", "yes"],
    "accuracy": {"testing": 0.944},
    "accuracy_by_clip": {"testing": 0.95},
    "clips": {"testing": 824},
    "examples": {"testing": 824},
    "macro_f1": 0.9,
    "accuracy_per_label": {"no": 0.96, "up": 2 / 3, "yes": None},
    "largest_label": "no",
    "largest_label_fraction": 0.485,
    "speakers": "",
}


def test_the_result_in_words():
    assert in_words(RESULT) == (
        "Classifier of 3 labels: accuracy 94.4% on 824 testing clips; macro F1 0.90; weakest label "
        "up (66.7%); 48.5% of the testing examples are no"
    )
    shared = {
        "speakers": "all 4 are in training",
        "clips": {"testing": 24},
        "examples": {"testing": 30},
    }
    text = in_words(RESULT | shared)
    assert "94.4% on 30 testing examples, 95.0% on their 24 clips" in text
    assert text.endswith("; all 4 are in training. With so few testing clips, this says little")


def test_a_confusion_matrix_of_many_labels_with_unusual_names(tmp_path):
    labels = [rf"$\no{number}$ é<" for number in range(200)]
    confusion = pd.DataFrame(np.eye(200, dtype=int), labels, labels)
    draw_confusion_matrix([str(tmp_path / "a.png")], confusion)
    assert max(imread(tmp_path / "a.png").shape) < 4000


# The stages


@pytest.fixture
def words(tmp_path):
    """The workflow with a dataset of two words by three speakers, one in each split."""
    dataset = tmp_path / "dataset"
    for word in ("chirp up", "tone"):
        (dataset / word).mkdir(parents=True)
        for speaker, split in enumerate(SPLITS):
            for take in range(3):
                path = f"{word}/{split}_nohash_{take}.wav"
                soundfile.write(dataset / path, say(word, speaker, take), 16_000)
                if split != "training":
                    with open(dataset / f"{split}_list.txt", "a") as file:
                        file.write(f"{path}\n")
    return Workflow(tmp_path / "project", dataset)


def edit(workflow, file, old, new):
    path = workflow.folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@needs_tensorflow
def test_what_a_change_trains_or_evaluates_anew(words, tmp_path):
    epoch = {"classifier": "{epochs: 1}"}
    run = words.snakemake("classifier", **epoch)
    log = (words.results / "logs" / "train.log").read_text()
    assert "epoch 1 of 1: accuracy" in log and "GPU" in log
    folder = words.results / "classifier"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["clips"] == dict.fromkeys(SPLITS, 6)
    assert "Trained on 6 examples of 2 labels\n" in run.stdout
    assert f"accuracy {metrics['accuracy']['testing']:.1%} on 6 testing clips" in run.stdout
    assert "none of 1 testing speaker is in training" in run.stdout
    assert "results/classifier: model.keras" in run.stdout
    for hidden in ("epoch 1 of 1: accuracy", "oneDNN", "cuda", "I0000", "Cannot restore"):
        assert hidden not in run.stdout
    outputs = set()
    for stage in ("train", "evaluate"):
        [stamp] = words.results.glob(f"stamps/{stage}.*.json")
        outputs |= {
            (stamp.parent / name).resolve() for name in json.loads(stamp.read_text())["outputs"]
        }
    assert outputs == set(folder.iterdir())
    assert list(pd.read_csv(folder / "examples.csv", index_col=0)) == COLUMNS

    report = words.folder / "report.html"
    words.snakemake("classifier", "--report", report, **epoch)
    for title in ("Label issues", "Learning curve", "Confusion matrix"):
        assert title in report.read_text()

    assert words.planned("classifier", **epoch) == set()
    shutil.rmtree(words.folder / ".snakemake")
    assert words.planned("classifier", **epoch) == set()
    assert words.planned("classifier", "-R", "train", **epoch) == {"train", "evaluate"}
    for keys in ("{epochs: 1, seed: 1}", "{epochs: 1, words: ['tone', 'chirp up']}"):
        assert words.planned("classifier", classifier=keys) == {"train", "evaluate"}
    edit(words, "workflow_scripts/wavspec/classifier/metrics.py", "true label", "label as given")
    assert words.run("classifier", **epoch) == {"evaluate"}
    edit(words, "workflow_scripts/wavspec/classifier/network.py", "(0.2)", "(0.4)")
    assert words.planned("classifier", **epoch) == {"train", "evaluate"}
    edit(words, "workflow_scripts/wavspec/classifier/network.py", "(0.4)", "(0.2)")
    (folder / "labels.txt").unlink()
    assert "run `snakemake classifier`" in words.snakemake("-n", **epoch).stdout
    words.snakemake("classifier", **epoch)

    words.dataset = words.dataset.rename(tmp_path / "moved")
    assert words.run("classifier", **epoch) == {"tables", "evaluate"}
    with open(words.dataset / "testing_list.txt", "a") as file:
        file.write("tone/training_nohash_0.wav\n")
    assert words.planned("classifier", **epoch) == {"tables", "train", "evaluate"}


@needs_tensorflow
def test_a_classifier_is_kept_until_another_one_replaces_it(words):
    """After a failure, and after SIGKILL; then it is named."""
    failed = words.snakemake("classifier", check=False, classifier="{epochs: 1, words: [maybe]}")
    assert "no 'maybe'" in failed.stdout and "restore" not in failed.stdout
    words.snakemake("classifier", classifier="{epochs: 1}")
    folder = words.results / "classifier"
    files = {path: path.read_bytes() for path in folder.iterdir()}
    words.snakemake("classifier", check=False, classifier="{epochs: 1, words: [maybe]}")
    assert {path: path.read_bytes() for path in folder.iterdir()} == files
    assert words.planned("classifier", classifier="{epochs: 1}") == set()

    log, longer = words.results / "logs" / "train.log", {"classifier": "{epochs: 100}"}
    process = words.start("classifier", **longer)
    wait_until(lambda: log.exists() and "epoch 3 of 100" in log.read_text(), seconds=200)
    kill_group(process)
    assert {path: path.read_bytes() for path in files} == files
    assert words.planned("--unlock", "classifier", classifier="{epochs: 1}") == set()
    run = words.snakemake("classifier", **longer)
    assert "resuming after epoch" in log.read_text()
    assert len(pd.read_csv(folder / "history.csv")) == 100
    assert (
        "Warning: this replaced a classifier of chirp up, tone (spectrograms, epochs: 1, seed: 0)"
    ) in run.stdout
    assert set(folder.iterdir()) == files.keys()


@needs_tensorflow
@pytest.mark.parametrize("long_clips", ["invalid", "cut"])
def test_long_clips_and_background_noise(words, long_clips):
    """A chosen word, another word, silence, and a clip of two examples among the testing clips."""
    random = np.random.default_rng(0)
    noise = words.dataset / "_background_noise_" / "hum.wav"
    noise.parent.mkdir()
    soundfile.write(noise, random.normal(0, 0.05, 60 * 16_000), 16_000)
    if long_clips == "cut":
        long = np.concatenate([say("tone", 2, 0), say("tone", 2, 1)])
        soundfile.write(words.dataset / "tone" / "testing_nohash_0.wav", long, 16_000)
    keys = {"classifier": "{epochs: 1, words: [tone]}", "long_clips": long_clips}
    run = words.snakemake("classifier", **keys)
    assert "Not used: 53 of _silence_" in run.stdout
    folder = words.results / "classifier"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["labels"] == ["_silence_", "_unknown_", "tone"]
    assert "Classifier of 3 labels" in run.stdout
    table = pd.read_csv(folder / "predictions.csv", index_col=0, keep_default_na=False)
    rows = pd.read_csv(words.results / "wavfile_df.csv", index_col=0)
    assert list(table.label[: len(rows)]) == list(rows.label)
    silence = table[table.target == "_silence_"]
    assert set(silence.label) == {"_background_noise_"}
    assert silence.split.value_counts().to_dict() == dict.fromkeys(SPLITS, 3)
    assert metrics["clips"]["testing"] == 3 + 3 + 3
    tone = table[(table.split == "testing") & (table.label == "tone")]
    assert list(tone.example) == ([0, 1, 0, 0] if long_clips == "cut" else [0, 0, 0])


@needs_tensorflow
def test_a_refusal_is_one_plain_message(built):
    run = built.snakemake("classifier", check=False, split="{validation: 0}")
    assert run.returncode != 0
    log = (built.results / "logs" / "train.log").read_text()
    for output in (run.stdout, log):
        assert "no valid example for validation" in output and "Traceback" not in output
    assert not list(built.results.glob("stamps/train.*"))


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
