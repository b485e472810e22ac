"""The classifier's predictions, metrics and pictures."""

import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..dataset import SPLITS

FEW_CLIPS = 50


def predictions_of(examples, labels, probabilities):
    """Return a DataFrame with the classifier's prediction for each row.

    Its columns are label, split, target and example, as in `examples`; then predicted, probability
    (of the predicted label) and target_probability, which are missing values if there is none.

    Args:
        examples: DataFrame, see `examples.assign_targets`.
        labels: list of the classifier's labels.
        probabilities: (rows, labels) float array, NaN for invalid clips.
    """
    predictions = examples[["label", "split", "target", "example"]].copy()
    valid = ~np.isnan(probabilities[:, 0])
    predicted = np.array(labels, object)[probabilities.argmax(axis=1)]
    predictions["predicted"] = np.where(valid, predicted, None)
    predictions["probability"] = probabilities.max(axis=1)
    targets = pd.Index(labels).get_indexer(examples.target)  # -1 where there is none
    of_target = probabilities[np.arange(len(targets)), targets]
    predictions["target_probability"] = np.where(targets < 0, np.nan, of_target)
    return predictions


def correct_by_clip(examples, labels, probabilities):
    """Return whether the mean probabilities of each clip's examples predict its target.

    Args:
        examples: DataFrame of examples that have a target, with split and clip_id.
        labels: list of the classifier's labels.
        probabilities: (examples, labels) array.

    Returns:
        Series of bool; its index is split and clip_id.
    """
    keys = [examples.split, examples.clip_id]
    means = pd.DataFrame(probabilities, examples.index, labels).groupby(keys, sort=False).mean()
    return means.idxmax(axis=1) == examples.groupby(keys, sort=False).target.first()


def confusion_of(predictions, labels):
    """Return a (labels, labels) DataFrame: testing examples of label i predicted as label j."""
    tested = predictions[(predictions.split == "testing") & (predictions.target != "")]
    counts = pd.crosstab(tested.target, tested.predicted)
    return counts.reindex(index=labels, columns=labels, fill_value=0)


def macro_f1(confusion):
    """Return the mean F1 score of the labels that have an example."""
    confusion = np.asarray(confusion)
    examples, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * confusion.diagonal() / np.maximum(examples + predicted, 1)
    return float(f1[examples > 0].mean())


def metrics_of(examples, predictions, labels, probabilities):
    """Return the metrics of the classifier, as a dictionary for JSON.

    Accuracies and fractions are between 0 and 1. The macro F1, the accuracy of each label and the
    fraction of the largest label are of the testing examples; the accuracy of a label without any
    is null.

    Args: see `predictions_of`, which returns `predictions`.
    """
    used = predictions[predictions.target != ""]
    correct = (used.predicted == used.target).groupby(used.split)
    means, counts = correct.mean(), correct.size()
    by_clip = correct_by_clip(examples.loc[used.index], labels, probabilities[used.index])
    confusion = confusion_of(predictions, labels)
    tested = confusion.sum(axis=1)
    return {
        "accuracy": {split: float(means[split]) for split in SPLITS},
        "accuracy_by_clip": {split: float(by_clip[split].mean()) for split in SPLITS},
        "clips": {split: len(by_clip[split]) for split in SPLITS},
        "examples": {split: int(counts[split]) for split in SPLITS},
        "macro_f1": macro_f1(confusion),
        "accuracy_per_label": {
            name: float(confusion.loc[name, name] / tested[name]) if tested[name] else None
            for name in labels
        },
        "largest_label": tested.idxmax(),
        "largest_label_fraction": float(tested.max() / tested.sum()),
        "invalid_testing_clips": int(
            (predictions.predicted.isna() & (predictions.split == "testing")).sum()
        ),
    }


def in_words(metrics):
    """Return a sentence with the accuracy on the testing clips."""
    accuracy, clips, examples = (
        metrics[key]["testing"] for key in ("accuracy", "clips", "examples")
    )
    tested = f"{accuracy:.1%} on {clips:,} testing clips"
    if examples > clips:
        by_clip = metrics["accuracy_by_clip"]["testing"]
        tested = (
            f"{accuracy:.1%} on {examples:,} testing examples, {by_clip:.1%} on their {clips:,} "
            "clips from the mean of a clip's examples"
        )
    known = {
        name: value for name, value in metrics["accuracy_per_label"].items() if value is not None
    }
    weakest = min(known, key=known.get)
    parts = [
        f"Classifier of {len(metrics['labels'])} labels: accuracy {tested}",
        f"macro F1 {metrics['macro_f1']:.2f}",
        f"weakest label {weakest} ({known[weakest]:.1%})",
        f"{metrics['largest_label_fraction']:.1%} of the testing examples are "
        f"{metrics['largest_label']}",
        metrics["speakers"],
    ]
    few = ". With so few testing clips, this says little" if clips < FEW_CLIPS else ""
    return f"{'; '.join(filter(None, parts))}{few}"


def write_json(content, path):
    text = json.dumps(content, indent=2, ensure_ascii=False)
    Path(path).write_text(f"{text}\n", encoding="utf-8")


def draw_learning_curve(paths, history, testing_accuracy):
    """Draw the accuracy on training and validation examples by epoch, and that in testing."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(history.epoch, history.training_accuracy, ".-", label="training, with noise")
    axes.plot(history.epoch, history.validation_accuracy, ".-", label="validation")
    label = f"testing: {testing_accuracy:.1%}"
    axes.plot(history.epoch.iloc[-1], testing_accuracy, "D", color="black", label=label)
    axes.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3)
    save_figure(figure, paths)


def draw_confusion_matrix(paths, confusion):
    """Draw a (labels, labels) DataFrame of `confusion_of`."""
    labels, counts = list(confusion.index), confusion.to_numpy()
    size = min(3 + 0.28 * len(labels), 20)  # inches
    font_size = min(9, 1000 / len(labels))  # points; labels must not overlap
    figure = Figure(figsize=(size + 0.5, size), layout="constrained")
    axes = figure.subplots()
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    places = np.arange(len(labels))
    axes.set_xticks(places, labels, rotation=90, fontsize=font_size, parse_math=False)
    axes.set_yticks(places, labels, fontsize=font_size, parse_math=False)
    axes.set(xlabel="predicted label", ylabel="true label")
    accuracy = counts.diagonal().sum() / counts.sum()
    axes.set_title(f"{counts.sum():,} testing examples, accuracy {accuracy:.1%}")
    for row, column in np.argwhere(counts):
        color = "white" if fraction[row, column] > 0.6 else "black"
        style = {"color": color, "ha": "center", "va": "center", "fontsize": 0.8 * font_size}
        axes.text(column, row, counts[row, column], **style)
    figure.colorbar(image, label="fraction of the true label's examples", shrink=0.7)
    save_figure(figure, paths)


def save_figure(figure, paths):
    # Without a fixed salt and date, the bytes of a picture would differ each time.
    with matplotlib.rc_context({"svg.hashsalt": "wavspec"}):
        for path in paths:
            figure.savefig(path, dpi=150, metadata={"Date": None})
