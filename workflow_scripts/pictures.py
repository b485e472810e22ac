"""Draw pictures of the clips, and write a page of the invalid ones."""

import html
import logging
import math
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from pipeline.job import job
from pipeline.labels import read_rows
from wavspec.audio import SHORTEST_VALID, TOO_LONG
from wavspec.front_end import (
    EXAMPLE_FRAMES,
    FRAME_LENGTH,
    HOP_LENGTH,
    LOG_OFFSET,
    MEL_BANDS,
    MEL_MAX,
    MEL_MIN,
    SAMPLE_RATE,
    hertz_to_mel,
)

MOST_LABELS = 100  # in one picture
# The report contains the page of invalid clips as a data: URL. Chromium's limit is 2 MB, and base64
# adds a third.
MOST_BYTES = 1_500_000
BIN = 0.015  # s: the widest bins with both bounds of validity at an edge
LONGEST = 200 * BIN  # s: longer clips are in the last bin

# The Okabe-Ito palette, safe for colour-blind readers.
VALID = {"valid": "#0072B2", "padded": "#56B4E9", "cut": "#009E73"}
INVALID = {
    "too short": "#E69F00",
    "too long": "#CC79A7",
    "unreadable": "#D55E00",
    "not finite": "#000000",
}
STYLE = {
    # Text, not outlines: browsers have fonts for every script.
    "svg.fonttype": "none",
    # "$" in a label is not a formula.
    "text.parse_math": False,
    # Without a fixed salt, the bytes of a picture would differ each time.
    "svg.hashsalt": "wavspec",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
SECONDS = (0.0, 0.5)  # ticks below each spectrogram
HERTZ = (250, 1000, 4000)  # ticks beside it


class LabelSummary(NamedTuple):
    """The numbers of a label in the pictures."""

    name: str
    outcomes: Counter  # {key of VALID or INVALID: clips}
    lengths: Counter  # {(outcome, sample rate, samples): clips}, as text
    invalid: int  # clips
    example: np.ndarray | None  # (96, 64) float64: its first valid clip, or None


def draw(rows, chunks, pictures, page):
    """Draw three pictures of all clips, and write the page of the invalid ones.

    Args:
        rows: DataFrame of the rows of all labels, see `rows.read_tables`.
        chunks: list of .npy files, one for each label, in row order.
        pictures: list of SVG files to write: a valid clip of each label; the numbers of valid and
            invalid clips; the lengths of the clips.
        page: HTML file to write: a searchable table of the invalid clips.
    """
    # matplotlib warns about letters that its fonts lack. The browser's fonts have them.
    warnings.filterwarnings("ignore", "Glyph")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    labels = summaries_of(rows, chunks)
    Path(page).write_text(page_of_invalid(rows[~rows["valid"]]), encoding="utf-8")
    with matplotlib.rc_context(STYLE):
        figures = figure_of_spectrograms, figure_of_outcomes, figure_of_lengths
        for picture, figure_of in zip(pictures, figures, strict=True):
            figure_of(labels).savefig(picture, metadata={"Date": None})


def summaries_of(rows, chunks):
    """Return a list of LabelSummary, see `draw`."""
    by_label = rows.groupby("label", sort=False)
    return [
        summary_of(name, table, chunk)
        for (name, table), chunk in zip(by_label, chunks, strict=True)
    ]


def summary_of(name, table, chunk):
    clips = table[table.example == "0"]
    padded = clips.valid & (clips.padded != "0")
    cut = clips.path.isin(table.path[table.example != "0"])
    outcomes = clips.reason.mask(clips.valid, "valid").mask(padded, "padded").mask(cut, "cut")
    lengths = Counter(zip(outcomes, clips.sample_rate, clips.samples, strict=True))
    example = None
    if table["valid"].any():
        # A copy, to close the file.
        example = np.array(np.load(chunk, mmap_mode="r")[table["valid"].argmax()])
    return LabelSummary(name, Counter(outcomes), lengths, (~clips.valid).sum(), example)


def figure_of_spectrograms(labels):
    """Return a Figure of a grid of spectrograms, one for each label.

    All are one image in one Axes object: one for each label would take ten times as long to draw.
    """
    labels = [label for label in labels if label.example is not None]
    title = "The first valid clip of each label"
    labels, title = chosen(labels, lambda label: label.outcomes.total(), title, "the most clips")
    columns = max(1, min(10, math.ceil(math.sqrt(len(labels)))))
    rows = max(1, math.ceil(len(labels) / columns))
    # A spectrogram and the space for its label, in pixels: one per frame and mel band.
    tile_width = EXAMPLE_FRAMES + 8
    inch = tile_width / min(4, 12 / columns)
    tile_height = MEL_BANDS + round(0.25 * inch)
    pixels = np.full((rows * tile_height, columns * tile_width), np.nan)
    width, height = columns * tile_width / inch, rows * tile_height / inch
    figure = Figure(figsize=(width + 1.6, height + 1))
    axes = axes_at(figure, 0.7, 0.5, width, height)
    lefts = np.arange(columns) * tile_width
    bottoms = np.arange(1, rows + 1) * tile_height
    for place, label in enumerate(labels):
        left, bottom = lefts[place % columns], bottoms[place // columns]
        # Time on the x axis, high frequencies at the top.
        tile = slice(bottom - MEL_BANDS, bottom), slice(left, left + EXAMPLE_FRAMES)
        pixels[tile] = label.example.T[::-1]
        axes.text(left, bottom - MEL_BANDS - 0.06 * inch, shortened(label.name, tile_width / inch))
    silence, loudest = math.log(LOG_OFFSET), np.nanmax(pixels, initial=0.0)
    image = axes.imshow(
        pixels, cmap="magma", vmin=silence, vmax=loudest, interpolation="none", aspect="auto"
    )
    times = np.add.outer(lefts, frame_at(np.array(SECONDS)))
    # The last columns can be one spectrogram shorter: their times are below it.
    whole = len(labels) - (rows - 1) * columns
    mark_times(axes, times[:whole])
    if whole < columns and rows > 1:
        shorter = axes.secondary_xaxis(bottoms[-2] - 0.5, transform=axes.transData)
        shorter.set_alignment("bottom")
        mark_times(shorter, times[whole:])
        shorter.spines[:].set_visible(False)
    bands = np.subtract.outer(bottoms - 1, band_at(np.array(HERTZ)))
    axes.set_yticks(bands.ravel(), [str(frequency) for frequency in HERTZ] * rows)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="time (s)", ylabel="frequency (Hz)")
    axes.set_title(title, loc="left")
    bar = axes_at(figure, width + 0.75, 0.5, 0.15, min(height, 3))
    figure.colorbar(image, bar, label=f"ln(magnitude + {LOG_OFFSET})")
    return figure


def mark_times(axes, times):
    """Set ticks for SECONDS on the x axis of `axes` at `times`, (columns, len(SECONDS))."""
    axes.set_xticks(times.ravel(), [f"{time:g}" for time in SECONDS] * len(times))


def frame_at(seconds):
    """Return the (fractional) number of the frame with its middle at this time."""
    return (seconds * SAMPLE_RATE - FRAME_LENGTH / 2) / HOP_LENGTH


def band_at(hertz):
    """Return the (fractional) number of the mel band with its centre at this frequency."""
    lowest, highest = hertz_to_mel(MEL_MIN), hertz_to_mel(MEL_MAX)
    return (hertz_to_mel(hertz) - lowest) / (highest - lowest) * (MEL_BANDS + 1) - 1


def figure_of_outcomes(labels):
    """Return a Figure of the numbers of valid clips, and of invalid clips by reason, per label."""
    labels, title = chosen(
        labels,
        lambda label: label.invalid,
        "Valid and invalid clips of each label",
        "the most invalid clips",
    )
    height = 0.18 * len(labels) + 0.2
    figure = Figure(figsize=(10, height + 1.3))
    places = range(len(labels))
    for left, meaning, colors, remark in (
        (1.7, "valid clips", VALID, ""),
        (5.9, "invalid clips", INVALID, " (another scale)"),
    ):
        axes = axes_at(figure, left, 0.6, 3.9, height)
        done = np.zeros(len(labels))
        for outcome, color in colors.items():
            clips = np.array([label.outcomes[outcome] for label in labels])
            if clips.any():
                axes.barh(places, clips, left=done, color=color, label=outcome)
                done += clips
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_yticks([])
        if done.any():
            axes.set_xlim(0, done.max() * 1.02)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set_xlabel(meaning + remark)
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False)
        else:
            axes.set_xlabel(f"no {meaning}")
            axes.set_xticks([])
            axes.spines[:].set_visible(False)
    figure.axes[0].set_yticks(places, [shortened(label.name, 1.5) for label in labels])
    figure.axes[0].set_title(title, loc="left", pad=22)
    return figure


def figure_of_lengths(labels):
    """Return a Figure of the lengths of all clips that could be read."""
    bins = {outcome: np.zeros(round(LONGEST / BIN)) for outcome in VALID | INVALID}
    for label in labels:
        for (outcome, sample_rate, samples), clips in label.lengths.items():
            if sample_rate:
                # A length within a rounding error below an edge counts as on the edge.
                place = int(int(samples) / int(sample_rate) / BIN + 1e-6)
                bins[outcome][min(place, len(bins[outcome]) - 1)] += clips
    figure = Figure(figsize=(10, 4))
    axes = axes_at(figure, 1, 0.6, 8.7, 2.8)
    edges = np.arange(len(bins["valid"]) + 1) * BIN
    done = np.zeros(len(edges) - 1)
    for outcome, color in (VALID | INVALID).items():
        if bins[outcome].any():
            axes.stairs(
                done + bins[outcome], edges, baseline=done, fill=True, color=color, label=outcome
            )
            done = done + bins[outcome]
    is_cut = bins["cut"].any()
    for samples in [SHORTEST_VALID] if is_cut else [SHORTEST_VALID, TOO_LONG]:
        seconds = samples / SAMPLE_RATE
        axes.axvline(seconds, color="black", linewidth=0.8, linestyle="--")
        axes.text(
            seconds + BIN, 1, f"{seconds:g} s", transform=axes.get_xaxis_transform(), va="top"
        )
    axes.set(
        xlim=(0, LONGEST), xlabel=f"length (s); clips of over {LONGEST:g} s are in the last bin"
    )
    # Logarithmic, because most data sets have nearly all clips in one bin.
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(0.5, max(10, 2 * done.max()))
    axes.set_ylabel(f"clips in {BIN * 1000:g} ms")
    meaning = "right of the line" if is_cut else "between the two lines"
    axes.set_title(f"Lengths of the clips; those {meaning} can be valid", loc="left")
    if done.any():
        axes.legend(loc="upper right", frameon=False)
    return figure


def axes_at(figure, *box):
    """Return new axes of `figure`, with left, bottom, width and height in inches."""
    return figure.add_axes(np.array(box) / np.tile(figure.get_size_inches(), 2))


def chosen(labels, key, title, meaning):
    """Return the labels with the highest `key`, in row order, and a matching title."""
    if len(labels) <= MOST_LABELS:
        return labels, title
    highest = sorted(range(len(labels)), key=lambda place: -key(labels[place]))[:MOST_LABELS]
    title = f"{title}: the {MOST_LABELS} of {len(labels)} labels with {meaning}"
    return [labels[place] for place in sorted(highest)], title


def shortened(name, inches):
    """Return as much of a label's `name` as fits into `inches`."""
    room = int(12 * inches)
    return name if len(name) <= room else f"{name[: room - 1]}…"


PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Invalid clips</title>
<style>
  body {{ font: 14px sans-serif; margin: 1em; }}
  table {{ border-collapse: collapse; margin-top: 1em; }}
  th, td {{ text-align: left; padding: 2px 12px 2px 0; border-bottom: 1px solid #ddd; }}
</style>
<label>Search: <input id="search" size="40" placeholder="label, file or reason" autofocus></label>
<span id="count">{count}</span>
<table>
<thead><tr>{head}</tr></thead>
<tbody id="rows">
{rows}</tbody>
</table>
<script>
  // Show the rows that contain every word of the search.
  const rows = [...document.getElementById("rows").rows];
  const texts = rows.map(row => row.textContent.toLowerCase());
  document.getElementById("search").oninput = event => {{
    const words = event.target.value.toLowerCase().split(/\\s+/);
    let shown = 0;
    rows.forEach((row, place) => {{
      row.hidden = !words.every(word => texts[place].includes(word));
      shown += !row.hidden;
    }});
    document.getElementById("count").textContent = `${{shown}} of ${{rows.length}} shown`;
  }};
</script>
"""


def page_of_invalid(rows):
    """Return an HTML page with a searchable table of the invalid clips."""
    columns = ["path", "reason", "detail", "sample_rate", "channels", "samples"]
    lines, room = [], MOST_BYTES - len(PAGE)
    for row in rows[columns].itertuples(index=False):
        line = f"<tr><td>{'<td>'.join(map(html.escape, row))}\n"
        room -= len(line.encode())
        if room < 0:
            break
        lines.append(line)
    missing = f", the first {len(lines)} of them here, all in invalid.csv"
    return PAGE.format(
        count=f"{len(rows)} invalid clips{missing if len(lines) < len(rows) else ''}",
        head="".join(f"<th>{column.replace('_', ' ')}" for column in columns),
        rows="".join(lines),
    )


if "snakemake" in globals():
    with job(snakemake) as outputs:
        rows = read_rows(snakemake.input.tables, snakemake.params.settings)
        pictures = [outputs.spectrograms, outputs.outcomes, outputs.lengths]
        draw(rows, snakemake.input.chunks, pictures, outputs.invalid)
