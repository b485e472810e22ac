"""The classifier's predictions, metrics and pictures."""

import json
import platform
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .examples import SIDES


def predictions_of(clips, classes, probabilities):
    """Return a DataFrame with the classifier's prediction for each row of `clips`.

    Its columns are label, split, target and example, as in `clips`; then predicted, probability (of
    the predicted class) and target_probability, which are missing values if there is none.

    Args:
        clips: DataFrame, see `examples.assign_targets`.
        classes: list of the classes.
        probabilities: (valid rows, classes) array.
    """
    predictions = clips[["label", "split", "target", "example"]].copy()
    valid = clips.index[clips.valid]
    predictions.loc[valid, "predicted"] = np.array(classes, object)[probabilities.argmax(1)]
    predictions.loc[valid, "probability"] = probabilities.max(1)
    places = pd.Index(classes).get_indexer(clips.target[valid])
    of_target = probabilities[np.arange(len(valid)), places]
    predictions.loc[valid, "target_probability"] = np.where(places < 0, np.nan, of_target)
    return predictions


def write_predictions(predictions, path):
    predictions.to_csv(path, float_format="%.4f")


def right_by_clip(clips, classes, probabilities):
    """Return whether the mean probabilities of each clip's examples predict the right class.

    Args:
        clips: DataFrame of examples that have a target.
        classes: list of the classes.
        probabilities: (examples, classes) array.

    Returns:
        Series of bool; its index is the clips' split and file_name.
    """
    keys = [clips.split, clips.file_name]
    means = pd.DataFrame(probabilities, clips.index, classes).groupby(keys, sort=False).mean()
    return means.idxmax(axis=1) == clips.groupby(keys, sort=False).target.first()


def confusion_of(predictions, classes):
    """Return a (classes, classes) DataFrame: testing examples of class i predicted as class j."""
    tested = predictions[(predictions.split == "testing") & (predictions.target != "")]
    counts = pd.crosstab(tested.target, tested.predicted)
    return counts.reindex(index=classes, columns=classes, fill_value=0)


def macro_f1(confusion):
    """Return the mean F1 score of the classes that have an example."""
    confusion = np.asarray(confusion)
    examples, taken_for = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * confusion.diagonal() / np.maximum(examples + taken_for, 1)
    return float(f1[examples > 0].mean())


def accuracies(clips, predictions, probabilities):
    """Return the accuracies of the classifier, as a dictionary for JSON.

    Accuracies are between 0 and 1. The accuracy of each class and the macro F1 are on the testing
    examples; the accuracy of a class without any is null.

    Args:
        clips: DataFrame, see `examples.assign_targets`.
        predictions: DataFrame of `predictions_of`.
        probabilities: (valid rows, classes) array.
    """
    used = predictions[predictions.target != ""]
    classes = sorted(set(used.target))
    right = (used.predicted == used.target).groupby(used.split)
    means, examples = right.mean(), right.size()
    chosen = clips.target != ""
    by_clip = right_by_clip(clips[chosen], classes, probabilities[chosen[clips.valid]])
    confusion = confusion_of(predictions, classes)
    tested = confusion.sum(axis=1)
    return {
        "accuracy": {side: float(means[side]) for side in SIDES},
        "accuracy_by_clip": {side: float(by_clip[side].mean()) for side in SIDES},
        "clips": {side: len(by_clip[side]) for side in SIDES},
        "examples": {side: int(examples[side]) for side in SIDES},
        "macro_f1": macro_f1(confusion),
        "accuracy_per_label": {
            name: float(confusion.loc[name, name] / tested[name]) if tested[name] else None
            for name in classes
        },
        "invalid_testing_clips": int((~clips.valid & (clips.split == "testing")).sum()),
    }


def speed(history, examples):
    """Return the best epoch, the duration of the training, and the versions of packages.

    Args:
        history: DataFrame of `training.train`.
        examples: number of training examples.
    """
    seconds = history.seconds.sum()  # training and validation
    return {
        "epoch": best_epoch(history),
        "epochs": len(history),
        "seconds": round(seconds, 1),
        "examples_per_second": round(examples * len(history) / seconds),
        "versions": {
            "python": platform.python_version(),
            **{name: sys.modules[name].__version__ for name in ("tensorflow", "keras", "numpy")},
        },
    }


def best_epoch(history):
    """Return the first epoch with the highest accuracy on the validation examples."""
    return int(history.epoch[history.validation_accuracy.idxmax()])


FEW_CLIPS = 50


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
    words = len(metrics["labels"])
    few = ". With so few testing clips, this says little" if clips < FEW_CLIPS else ""
    return (
        f"Classifier: accuracy {tested}, of {words} words ({1 / words:.1%} by chance); best on the "
        f"validation clips after epoch {metrics['epoch']} of {metrics['epochs']}{few}"
    )


def write_metrics(metrics, path):
    text = json.dumps(metrics, indent=2, ensure_ascii=False)
    Path(path).write_text(f"{text}\n", encoding="utf-8")


def draw_learning_curve(paths, history, testing_accuracy):
    """Draw the accuracy on training and validation examples by epoch, and mark the best epoch."""
    epoch = best_epoch(history)
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(history.epoch, history.training_accuracy, ".-", label="training, with noise")
    axes.plot(history.epoch, history.validation_accuracy, ".-", label="validation")
    label = f"testing, epoch {epoch}: {testing_accuracy:.1%}"
    axes.plot(epoch, testing_accuracy, "D", color="black", label=label)
    axes.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3)
    save_figure(figure, paths)


def draw_confusion_matrix(paths, confusion):
    """Draw a (classes, classes) DataFrame of `confusion_of`."""
    labels, counts = list(confusion.index), confusion.to_numpy()
    size = min(3 + 0.28 * len(labels), 20)  # inches
    font_size = min(9, 1000 / len(labels))  # points; labels must not overlap
    figure = Figure(figsize=(size + 0.5, size), layout="constrained")
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    places = np.arange(len(labels))
    axes.set_xticks(places, labels, rotation=90, fontsize=font_size, parse_math=False)
    axes.set_yticks(places, labels, fontsize=font_size, parse_math=False)
    axes.set(xlabel="taken for", ylabel="spoken word")
    accuracy = counts.diagonal().sum() / counts.sum()
    axes.set_title(f"{counts.sum():,} testing examples, {accuracy:.1%} right")
    for row, column in np.argwhere(counts):
        color = "white" if share[row, column] > 0.6 else "black"
        style = {"color": color, "ha": "center", "va": "center", "fontsize": 0.8 * font_size}
        axes.text(column, row, counts[row, column], **style)
    figure.colorbar(image, label="share of the spoken word's examples", shrink=0.7)
    save_figure(figure, paths)


def save_figure(figure, paths):
    # Without a fixed salt and date, the bytes of a picture would differ each time.
    with matplotlib.rc_context({"svg.hashsalt": "wavspec"}):
        for path in paths:
            figure.savefig(path, dpi=150, metadata={"Date": None})
