"""The clips whose own label gets less than half of the probability: a table, and a page to hear."""

import base64
import html
import io
import math

import numpy as np
import soundfile
from matplotlib.image import imsave

from ..audio import InvalidClipError, MachineError, read_waveform
from ..front_end import (
    EXAMPLE_LENGTH,
    EXAMPLE_SHAPE,
    FULL_SCALE,
    LOG_OFFSET,
    SAMPLE_RATE,
)
from ..html_page import write_page as write_html

SILENCE, LOUDEST = math.log(LOG_OFFSET), 6.0  # the ends of the colours, ln(magnitude + LOG_OFFSET)
COLUMNS = ["file_name", "label", "split", "predicted", "probability", "target_probability"]


def issues_of(clips, predictions):
    """Return the predictions with a target_probability of under 0.5, lowest first.

    They have the columns of `clips`, too. A clip of several examples has one row: its lowest. With
    the threshold of 0.5, every example with a wrong prediction is below it.

    Args:
        clips: DataFrame of the examples with file_name, start (in the file, in seconds) and clip_id
            (a number for each clip: a file can have several).
        predictions: DataFrame of `metrics.predictions_of`, of the same rows.
    """
    low = predictions[predictions.target_probability < 0.5]
    low = low.join(clips[["file_name", "start", "clip_id"]])
    return low.sort_values("target_probability", kind="stable").drop_duplicates("clip_id")


def write_table(path, clips, predictions):
    """Write the CSV file of all label issues, see `issues_of`."""
    issues = issues_of(clips, predictions)
    issues.to_csv(path, columns=COLUMNS, index=False, float_format="%.4f")


def write_page(path, clips, predictions, spectrograms):
    """Write the HTML page of the label issues, as many as fit, with sound and picture.

    Args:
        path: file to write.
        clips, predictions: see `issues_of`.
        spectrograms: raw float64 file of (N, 96, 64), of the same rows.
    """
    pictures = np.memmap(spectrograms, np.float64, "r").reshape(-1, *EXAMPLE_SHAPE)
    issues = issues_of(clips, predictions)
    text = (
        "Clips whose own label gets less than half of the probability, lowest first. The cause "
        "can be a wrong label, a poor recording, or a mistake of the classifier. Training clips "
        "are included. Probabilities are means over early epochs, because later a network can "
        "learn wrong labels by heart. label_issues.csv has all of these clips."
    )
    columns = ["", "label", "its probability", "predicted", "its probability", "split", "file"]
    rows = (cells_of(issue, pictures[issue.Index]) for issue in issues.itertuples())
    write_html(path, "Label issues", text, columns, rows, len(issues))


def cells_of(issue, spectrogram):
    """Return the cells of a row of the page, as HTML."""
    label = issue.label if issue.label == issue.target else f"{issue.label} (as {issue.target})"
    place = f", from {issue.start:.2f} s" if issue.start else ""
    sound = player(issue.file_name, issue.start)
    return [
        f'<img alt="spectrogram" src="{picture(spectrogram)}">{sound}',
        html.escape(label),
        f"{issue.target_probability:.1%}",
        html.escape(issue.predicted),
        f"{issue.probability:.1%}",
        issue.split,
        html.escape(issue.file_name) + place,
    ]


def picture(spectrogram):
    """Return a (96, 64) spectrogram as the URL of a picture, with time on the x axis."""
    colors = {"vmin": SILENCE, "vmax": LOUDEST, "cmap": "magma", "origin": "lower"}
    file = io.BytesIO()
    # A tenth of the size of PNG.
    imsave(file, spectrogram.T, **colors, format="webp", pil_kwargs={"quality": 80})
    return data_url("image/webp", file)


def player(file_name, start):
    """Return a button that plays the example from `start` (s) of a file, or why it cannot."""
    segment = start, start + EXAMPLE_LENGTH / SAMPLE_RATE
    try:
        samples = read_waveform(file_name, segment=segment).samples
    except (InvalidClipError, MachineError) as error:
        return html.escape(f"cannot be read any more: {error}")
    samples = np.clip(samples / FULL_SCALE, -1, 1)
    file = io.BytesIO()
    # Less than half the size of FLAC.
    soundfile.write(file, samples, SAMPLE_RATE, format="MP3")
    sound = data_url("audio/mpeg", file)
    return f'<button data-sound="{sound}">▶ {len(samples) / SAMPLE_RATE:.3f} s</button>'


def data_url(kind, file):
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
