"""A classifier of spoken words, trained on the spectrograms or on their embeddings.

It trains on the training clips, the validation clips choose the best epoch, and the testing clips
are used once, at the end. Each speaker is on one side only, so the accuracy on the testing clips is
an estimate for new speakers.
"""

import os
from shutil import rmtree

import numpy as np
import pandas as pd
from pipeline.job import job, summarize, warn
from wavspec.classifier.examples import (
    BACKGROUND,
    SIDES,
    assign_targets,
    moments,
    open_examples,
    read_clips,
)


def classify(inputs, config, threads, backup, outputs):
    """Train and test a classifier, and write the model, its metrics and predictions.

    The same inputs, configuration and threads give the same results on the same machine, even if
    the training was interrupted and resumed.

    Args:
        inputs: object with the attributes
            examples: file of raw float64, C order: (N, 96, 64) spectrograms or (N, 128) embeddings;
            spectrograms: file of the spectrograms, for the page of label issues;
            clips, split: CSV files, see `examples.read_clips`.
        config: dictionary of the workflow's configuration; `classifier` and `split` are used.
        threads: number of threads for TensorFlow.
        backup: folder for a backup of each epoch, see `training.train`. Its name,
            `training.{digest}`, must change if any other argument changes. It is removed at the
            end.
        outputs: object with the attributes
            model: .keras file to write. It takes (n, 96, 64) log-mel examples or (n, 128)
                embeddings, and returns (n, labels) probabilities;
            metrics: JSON file, see `metrics.accuracies` and `metrics.speed`;
            predictions: CSV file, see `metrics.predictions_of`;
            history: CSV file, see `training.train`;
            learning_curve, confusion_matrix: lists of pictures, in formats that matplotlib writes;
            label_issues, label_issues_table: HTML and CSV file, see `label_issues`.

    Raises:
        WavspecError: the files have different numbers of rows, a valid clip's example is not finite, a
            word of the configuration is not in the dataset, there are fewer than two classes, or a
            side has no clip.
    """
    # Not at the top of the file: TensorFlow takes seconds to import.
    from wavspec.classifier import label_issues, metrics, network, training

    settings = config["classifier"]
    options = training.Options(settings["epochs"], settings["batch_size"], settings["seed"])
    device = training.set_up_tensorflow(threads, options.seed)
    clips = read_clips(inputs.clips, inputs.split)
    examples = open_examples(inputs.examples, settings["features"], clips)
    left_out = assign_targets(clips, settings["words"], config["split"], options.seed)
    classes = sorted(set(clips.target) - {""})
    if missed := [label for label in left_out if label != BACKGROUND]:
        warn(f"the classifier leaves out labels without a valid training clip: {', '.join(missed)}")

    targets = pd.Index(classes).get_indexer(clips.target)  # -1 where there is none
    rows = {side: np.flatnonzero((targets >= 0) & (clips.split == side)) for side in SIDES}
    print(f"{device}; {len(rows['training']):,} training examples of {len(classes)} labels")
    mean, variance = moments(examples, rows["training"])
    model = network.build_network(examples.shape, len(classes), mean, variance)
    batches = training.TrainingBatches(examples, rows["training"], targets, options.batch_size)
    validation = training.Batches(examples, rows["validation"], targets)
    history = training.train(model, batches, validation, options, backup)

    valid = training.Batches(examples, np.flatnonzero(clips.valid), targets)
    probabilities = model.predict(valid, verbose=0)
    predictions = metrics.predictions_of(clips, classes, probabilities)
    facts = {
        "labels": classes,
        "labels_left_out": left_out,
        "features": settings["features"],
        "seed": options.seed,
        "device": device,
        **metrics.accuracies(clips, predictions, probabilities),
        **metrics.speed(history, len(rows["training"])),
    }
    model.save(outputs.model)
    metrics.write_metrics(facts, outputs.metrics)
    metrics.write_predictions(predictions, outputs.predictions)
    history.to_csv(outputs.history, index=False, float_format="%.6g")
    metrics.draw_learning_curve(outputs.learning_curve, history, facts["accuracy"]["testing"])
    confusion = metrics.confusion_of(predictions, classes)
    metrics.draw_confusion_matrix(outputs.confusion_matrix, confusion)
    label_issues.write_table(outputs.label_issues_table, clips, predictions)
    label_issues.write_page(outputs.label_issues, clips, predictions, inputs.spectrograms)
    rmtree(backup)
    summarize(metrics.in_words(facts))


if "snakemake" in globals():
    # Keras may be configured for another framework. By default, TensorFlow takes all of a GPU's
    # memory.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    folder = os.path.dirname(snakemake.output.model)
    # Not an output, because Snakemake would delete it before a job that resumes from it. Not a
    # parameter either: a report would show it beside the pictures.
    _, digest, *_ = os.path.basename(snakemake.output.stamp).split(".")
    backup = f"{folder}/training.{digest}"
    with job(snakemake) as outputs:
        classify(snakemake.input, snakemake.params.config, snakemake.threads, backup, outputs)
        summarize(
            f"In {folder}: model.keras, metrics.json, predictions.csv, confusion_matrix.png, "
            "learning_curve.png. label_issues.html has the clips whose label gets a low probability."
        )
