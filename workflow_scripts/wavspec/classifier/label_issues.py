"""An HTML page of the clips whose label gets the lowest probability, with sound and picture."""

import base64
import html
import io
import math
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.image import imsave

from ..audio import InvalidClipError, MachineError, read_waveform
from ..front_end import (
    EXAMPLE_HOP_LENGTH,
    EXAMPLE_LENGTH,
    FULL_SCALE,
    LOG_OFFSET,
    SAMPLE_RATE,
)

# The report contains the page as a data: URL. Chromium's limit is 2 MB, and base64 adds a third.
MOST_BYTES = 1_500_000
SILENCE, LOUDEST = math.log(LOG_OFFSET), 6.0  # the ends of the colours, ln(magnitude + LOG_OFFSET)

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Doubtful clips</title>
<style>
  body {{ font: 14px sans-serif; margin: 1em; max-width: 70em; }}
  table {{ border-collapse: collapse; }}
  th, td {{ text-align: left; padding: 4px 16px 4px 0; border-bottom: 1px solid #ddd; }}
  img {{ display: block; width: 192px; height: 128px; }}
  td:last-child {{ overflow-wrap: anywhere; }}
</style>
<p>{introduction}</p>
<table>
<thead><tr><th>Spectrogram<th>Label<th>Probability<th>Taken for<th>Probability<th>Clip</tr></thead>
<tbody>
{rows}</tbody>
</table>
"""

ROW = """\
<tr><td><img alt="spectrogram" src="data:image/png;base64,{picture}"><td>{label}<td>{own}\
<td>{predicted}<td>{probability}<td>{player}<br>{clip}
"""


def doubtful_rows(predictions):
    """Return the rows of validation and testing examples whose own label gets under 50 %.

    The lowest probability comes first. With this threshold, every example with a wrong prediction
    is included, and none whose own label gets most of the probability.
    """
    held_out = predictions.split.isin(["validation", "testing"])
    doubted = predictions.target_probability[held_out & (predictions.target_probability < 0.5)]
    return doubted.sort_values(kind="stable").index.to_numpy()


def write_page(path, clips, predictions, spectrograms):
    """Write the HTML page of doubtful clips, as many as fit into MOST_BYTES.

    Args:
        path: file to write; it works offline.
        clips: DataFrame with file_name and example.
        predictions: DataFrame of `account.predictions_of`, of the same rows.
        spectrograms: raw float64 file of (N, 96, 64), of the same rows.
    """
    pictures = np.memmap(spectrograms, np.float64, "r").reshape(-1, 96, 64)
    doubtful = doubtful_rows(predictions)
    rows, room = [], MOST_BYTES
    for row in doubtful:
        said, clip = predictions.loc[row], clips.loc[row]
        class_note = f" (as {said.target})" if said.target != said.label else ""
        place = f", example {clip.example}" if said.example else ""
        text = ROW.format(
            picture=png(pictures[row]),
            label=html.escape(said.label + class_note),
            own=f"{said.target_probability:.1%}",
            predicted=html.escape(said.predicted),
            probability=f"{said.probability:.1%}",
            player=player(clip.file_name, clip.example),
            clip=f"{html.escape(clip.file_name)}{place}, {said.split}",
        )
        room -= len(text.encode())
        if room < 0:
            break
        rows.append(text)
    shown = "all" if len(rows) == len(doubtful) else f"the first {len(rows)} of"
    introduction = (
        f"Validation and testing clips whose own label gets a probability of under 50 %: {shown} "
        f"{len(doubtful):,}, lowest first. The cause can be a wrong label, a poor recording, or a "
        "mistake of the classifier. The column target_probability of predictions.csv has the "
        "probability for every clip."
    )
    Path(path).write_text(
        PAGE.format(introduction=introduction, rows="".join(rows)), encoding="utf-8"
    )


def png(spectrogram):
    """Return a (96, 64) spectrogram as a PNG picture in base64, with time on the x axis."""
    file = io.BytesIO()
    imsave(file, spectrogram.T, vmin=SILENCE, vmax=LOUDEST, cmap="magma", origin="lower")
    return base64.b64encode(file.getvalue()).decode()


def player(file_name, example):
    """Return HTML with a player for an example of a clip, or the reason why it cannot be read."""
    try:
        samples = read_waveform(file_name).samples
    except (InvalidClipError, MachineError) as error:
        return html.escape(f"cannot be read any more: {error}")
    start = example * EXAMPLE_HOP_LENGTH
    samples = np.clip(samples[start : start + EXAMPLE_LENGTH] / FULL_SCALE, -1, 1)
    file = io.BytesIO()
    # Lossless, and half the size of WAV.
    soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    sound = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls src="data:audio/flac;base64,{sound}"></audio>'
