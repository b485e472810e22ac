"""Evaluate the classifier: metrics, pictures, and label issues.

The testing clips are used once, here, after the training.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from pipeline.job import job, summarize
from wavspec.classifier import label_issues, metrics
from wavspec.split_checks import speakers_in_testing

AS_TEXT = {"dtype": {"label": str, "speaker": str}, "keep_default_na": False}


def evaluate(inputs, outputs):
    """Write the results of a trained classifier, and return its metrics.

    Args:
        inputs: object with the outputs of `train.py` (facts, history, examples, probabilities,
            early), and clips, split, spectrograms: the tables and the array of the clips. Rows of
            `examples` beyond those of the tables are of long silence.
        outputs: object with the attributes
            metrics: JSON file;
            predictions: CSV file, see `metrics.predictions_of`;
            learning_curve, confusion_matrix: lists of pictures, in formats that matplotlib writes;
            label_issues, label_issues_table: HTML and CSV file, see `label_issues`.
    """
    facts = json.loads(Path(inputs.facts).read_text(encoding="utf-8"))
    labels, history = facts["labels"], pd.read_csv(inputs.history)
    examples = pd.read_csv(
        inputs.examples, index_col=0, dtype={"label": str}, keep_default_na=False
    )
    probabilities = np.load(inputs.probabilities)
    clips, split = (
        pd.read_csv(path, index_col=0, **AS_TEXT) for path in (inputs.clips, inputs.split)
    )
    predictions = metrics.predictions_of(examples, labels, probabilities)
    in_table = predictions.loc[clips.index]
    predictions.to_csv(outputs.predictions, float_format="%.4f")
    facts |= {
        **metrics.metrics_of(examples, predictions, labels, probabilities),
        # Without background noise, which is in no split of the table.
        "speakers": speakers_in_testing(split[(split.split != "") & in_table.target.ne("")]),
    }
    metrics.write_json(facts, outputs.metrics)
    metrics.draw_learning_curve(outputs.learning_curve, history, facts["accuracy"]["testing"])
    confusion = metrics.confusion_of(predictions, labels)
    metrics.draw_confusion_matrix(outputs.confusion_matrix, confusion)
    # The column `start` exists if any row begins later in its file.
    clips = clips.assign(clip_id=examples.clip_id, start=split.get("start", 0.0))
    early = metrics.predictions_of(examples, labels, np.load(inputs.early)).loc[clips.index]
    label_issues.write_table(outputs.label_issues_table, clips, early)
    label_issues.write_page(outputs.label_issues, clips, early, inputs.spectrograms)
    return facts


if "snakemake" in globals():
    with job(snakemake) as outputs:
        facts = evaluate(snakemake.input, outputs)
        summarize(
            f"In {os.path.dirname(snakemake.output.metrics)}: model.keras, model.tflite, "
            "labels.txt, metrics.json, predictions.csv, confusion_matrix.png, learning_curve.png. "
            "label_issues.html has the clips whose label gets a low probability"
        )
        summarize(metrics.in_words(facts))
