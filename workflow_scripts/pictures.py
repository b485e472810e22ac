"""Draw pictures of the clips, and write a page of the invalid ones."""

import html
import logging
import math
import warnings

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from pipeline.job import job
from pipeline.labels import read_rows
from wavspec.audio import SHORTEST_VALID, TOO_LONG
from wavspec.front_end import (
    EXAMPLE_FRAMES,
    EXAMPLE_LENGTH,
    FRAME_LENGTH,
    HOP_LENGTH,
    LOG_OFFSET,
    MEL_BANDS,
    MEL_MAX,
    MEL_MIN,
    SAMPLE_RATE,
    hertz_to_mel,
)
from wavspec.html_page import write_page

MOST_LABELS = 100  # in one picture
BOUNDS = SHORTEST_VALID / SAMPLE_RATE, TOO_LONG / SAMPLE_RATE  # s

# The Okabe-Ito palette, safe for colour-blind readers.
VALID = {"valid": "#0072B2", "padded": "#56B4E9", "cut": "#009E73"}
INVALID = {
    "too short": "#E69F00",
    "too long": "#CC79A7",
    "unreadable": "#D55E00",
    "not finite": "#000000",
    "missing": "#F0E442",
}
COLORS = VALID | INVALID
STYLE = {
    # Text, not outlines: browsers have fonts for every script.
    "svg.fonttype": "none",
    # "$" in a label is not a formula.
    "text.parse_math": False,
    # Without a fixed salt, the bytes of a picture would differ each time.
    "svg.hashsalt": "wavspec",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def draw(rows, chunks, pictures, page):
    """Draw three pictures of all clips, and write the page of the invalid ones.

    Args:
        rows: DataFrame of the rows of all labels, see `labels.read_rows`.
        chunks: list of .npy files, one for each label, in row order.
        pictures: list of SVG files to write: a valid clip of each label; the numbers of valid and
            invalid clips; the lengths of the clips.
        page: HTML file to write: a searchable table of the invalid clips.
    """
    # matplotlib warns about letters that its fonts lack. The browser's fonts have them.
    warnings.filterwarnings("ignore", "Glyph")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    clips = clips_of(rows)
    with matplotlib.rc_context(STYLE):
        figures = [figure_of_spectrograms(rows, chunks), figure_of_outcomes(clips)]
        figures.append(figure_of_lengths(clips))
        for picture, figure in zip(pictures, figures, strict=True):
            figure.savefig(picture, metadata={"Date": None})
    write_invalid(rows[~rows.valid], page)


def clips_of(rows):
    """Return a DataFrame with a row for each clip.

    Its columns are label, outcome (a key of COLORS) and seconds (NaN if the length is unknown).
    """
    outcome = rows.reason.mask(rows.valid, "valid")
    outcome = outcome.mask(rows.valid & (rows.padded != "0"), "padded")
    outcome = outcome.mask(rows.example.shift(-1, fill_value="0") != "0", "cut")
    seconds = pd.to_numeric(rows.samples) / pd.to_numeric(rows.sample_rate)
    clips = pd.DataFrame({"label": rows.label, "outcome": outcome, "seconds": seconds})
    return clips[rows.example == "0"]


def figure_of_spectrograms(rows, chunks):
    """Return a Figure with the spectrogram of the first valid clip of each label."""
    chunk_of = dict(zip(rows.label.unique(), chunks, strict=True))
    clips = rows.label[rows.example == "0"].value_counts(sort=False)
    place = rows.groupby("label").cumcount()[rows.valid]
    first = place.groupby(rows.label, sort=False).first()
    title = "The first valid clip of each label"
    labels, title = chosen(clips[first.index], title, "the most clips")
    examples = [np.load(chunk_of[label], mmap_mode="r")[first[label]] for label in labels]

    columns = max(1, min(10, math.ceil(math.sqrt(len(labels)))))
    lines = max(1, math.ceil(len(labels) / columns))
    tile = min(4, 12 / columns)  # inches
    width, height = 1.6 + columns * tile, 1 + lines * (0.25 + tile / 1.5)
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, x=0.6 / width, y=1 - 0.1 / height, ha="left", va="top", fontsize=11)
    sides = {"left": 0.6 / width, "right": 1 - 1 / width, "bottom": 0.5 / height}
    grid = figure.add_gridspec(
        lines, columns, **sides, top=1 - 0.5 / height, wspace=0.08, hspace=0.375 / tile
    )
    # Frames of 25 ms overlap: each is drawn as the 10 ms around its middle.
    start = (FRAME_LENGTH - HOP_LENGTH) / 2 / SAMPLE_RATE
    stop = start + EXAMPLE_FRAMES * HOP_LENGTH / SAMPLE_RATE
    style = {"cmap": "magma", "aspect": "auto", "interpolation": "none", "origin": "lower"}
    style["extent"] = start, stop, -0.5, MEL_BANDS - 0.5
    hertz = np.array([250, 1000, 4000])
    style["vmin"] = math.log(LOG_OFFSET)  # silence
    style["vmax"] = max([0.0, *(example.max() for example in examples)])
    for place, (label, example) in enumerate(zip(labels, examples, strict=True)):
        axes = figure.add_subplot(grid[place])
        image = axes.imshow(example.T, **style)
        axes.set_title(shortened(label, tile), loc="left", pad=3)
        axes.set_xlim(0, EXAMPLE_LENGTH / SAMPLE_RATE)
        axes.set_xticks([0, 0.4, 0.8], ["0", "0.4", "0.8"])
        axes.set_xticks(np.arange(10) / 10, minor=True)
        axes.set_yticks(band_at(hertz), hertz)
        axes.xaxis.set_visible(place + columns >= len(labels))
        axes.yaxis.set_visible(place % columns == 0)
        axes.spines[:].set_visible(False)
    if examples:
        figure.supxlabel("time (s)", y=0.05 / height, va="bottom", fontsize=9)
        figure.supylabel("frequency (Hz)", x=0.05 / width, fontsize=9)
        bar = figure.add_axes(
            [1 - 0.85 / width, 0.5 / height, 0.15 / width, min(3, height - 1) / height]
        )
        figure.colorbar(image, bar, label=f"ln(magnitude + {LOG_OFFSET})")
    return figure


def band_at(hertz):
    """Return the (fractional) number of the mel band with its centre at this frequency."""
    lowest, highest = hertz_to_mel(MEL_MIN), hertz_to_mel(MEL_MAX)
    return (hertz_to_mel(hertz) - lowest) / (highest - lowest) * (MEL_BANDS + 1) - 1


def figure_of_outcomes(clips):
    """Return a Figure of the numbers of valid clips, and of invalid clips by reason, per label."""
    counts = pd.crosstab(clips.label, clips.outcome).reindex(clips.label.unique())
    counts = counts[sorted(counts, key=list(COLORS).index)]
    invalid = counts.filter(INVALID).sum(axis=1)
    title = "Valid and invalid clips of each label"
    labels, title = chosen(invalid, title, "the most invalid clips")
    counts = counts.loc[labels].rename(lambda label: shortened(label, 1.5))
    figure = Figure(figsize=(10, 0.18 * len(labels) + 1.5), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    for axes, (meaning, remark, colors) in zip(
        figure.subplots(1, 2, sharey=True),
        [("valid clips", "", VALID), ("invalid clips", " (another scale)", INVALID)],
        strict=True,
    ):
        part = counts.filter(colors)
        if part.empty:
            axes.set(xlabel=f"no {meaning}", xticks=[])
            axes.spines[:].set_visible(False)
            axes.tick_params(left=False)
            continue
        part.plot.barh(stacked=True, ax=axes, color=colors, width=0.8, legend=False)
        axes.set(xlabel=meaning + remark, ylabel="")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=5, handlelength=1, columnspacing=1
        )
    axes.invert_yaxis()
    return figure


def figure_of_lengths(clips):
    """Return a Figure of the lengths of all clips that could be read."""
    clips = clips[np.isfinite(clips.seconds)]
    seconds = clips.seconds.clip(lower=0.01)
    # From syllables to hours: bins of a constant ratio, 3 %, with both bounds at an edge.
    one, two = BOUNDS
    ratio = (two / one) ** (1 / 24)
    first, last = (
        math.floor(math.log(length / one, ratio))
        for length in (min(0.5, seconds.min()), max(4, seconds.max()))
    )
    # A length within a rounding error below an edge counts as on the edge.
    edges = one * ratio ** np.arange(first, last + 2) * (1 - 1e-9)
    outcomes = [outcome for outcome in COLORS if (clips.outcome == outcome).any()]
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    counts, *_ = axes.hist(
        [seconds[clips.outcome == outcome] for outcome in outcomes],
        edges,
        stacked=True,
        histtype="stepfilled",
        color=[COLORS[outcome] for outcome in outcomes],
        label=outcomes,
    )
    for bound in BOUNDS[:1] if "cut" in outcomes else BOUNDS:
        axes.axvline(bound, color="black", linewidth=0.8, linestyle="--")
        axes.text(bound, 1, f" {bound:g} s", transform=axes.get_xaxis_transform(), va="top")
    axes.set(xscale="log", xlim=(edges[0], edges[-1]), xlabel="length (s)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    # Logarithmic, because most data sets have nearly all clips in one bin.
    axes.set(yscale="log", ylim=(0.5, max(10, 2 * np.max(counts))), ylabel="clips per bin of 3 %")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(f"Lengths of the clips; a spectrogram takes {one:g} s", loc="left", fontsize=11)
    if outcomes:
        axes.legend(loc="upper right")
    return figure


def chosen(counts, title, meaning):
    """Return the labels with the highest counts, in row order, and a matching title."""
    if len(counts) <= MOST_LABELS:
        return list(counts.index), title
    highest = set(counts.nlargest(MOST_LABELS).index)
    title = f"{title}: the {MOST_LABELS} of {len(counts)} labels with {meaning}"
    return [label for label in counts.index if label in highest], title


def shortened(name, inches):
    """Return as much of a label's `name` as fits into `inches`."""
    room = int(12 * inches)
    return name if len(name) <= room else f"{name[: room - 1]}…"


def write_invalid(rows, path):
    """Write the page of the invalid clips to `path`."""
    columns = ["path", "reason", "detail", "sample_rate", "channels", "samples"]
    cells = (map(html.escape, row) for row in rows[columns].itertuples(index=False))
    names = [column.replace("_", " ") for column in columns]
    text = "Clips without a spectrogram, with the reason. invalid.csv has all of them."
    write_page(path, "Invalid clips", text, names, cells, len(rows))


if "snakemake" in globals():
    with job(snakemake) as outputs:
        rows = read_rows(snakemake.input.tables, snakemake.params.settings)
        pictures = [outputs.spectrograms, outputs.outcomes, outputs.lengths]
        draw(rows, snakemake.input.chunks, pictures, outputs.invalid)
