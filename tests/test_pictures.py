"""The pictures match the tables and chunks, for any labels and clips."""

import base64
import io
import os
import re
import subprocess
import sys
import warnings
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pictures
import pytest
from matplotlib import colormaps, image
from matplotlib.colors import to_hex
from pipeline.labels import read_rows
from spectrograms import write_chunk
from wavs import SETTINGS, make_dataset, write_catalog, write_wav
from wavspec.audio import SHORTEST_VALID, TOO_LONG
from wavspec.front_end import MEL_WEIGHTS
from workflow import ROOT

OUTPUTS = {
    "spectrograms": "spectrograms.svg",
    "outcomes": "outcomes.svg",
    "lengths": "lengths.svg",
    "invalid": "invalid.html",
}


def rows_of(dataset, labels, folder, settings=SETTINGS):
    """Write the tables and chunks of `labels` into `folder`; return the rows and the chunks."""
    folder.mkdir()
    tables, chunks = [], []
    for label in labels:
        catalog, _ = write_catalog(dataset, label, folder, settings)
        tables.append(catalog.with_suffix(".csv"))
        chunks.append(catalog.with_suffix(".npy"))
        write_chunk(dataset, catalog, chunks[-1], tables[-1], settings)
    return read_rows(tables, settings), chunks


def drawn(rows, chunks, folder):
    """Draw all; return {output: file}."""
    folder.mkdir()
    outputs = {output: folder / name for output, name in OUTPUTS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        *svg_files, page = outputs.values()
        pictures.draw(rows, chunks, svg_files, page)
    return outputs


def texts_in(svg):
    return [element.text for element in ElementTree.parse(svg).iter() if element.text]


def clips(**counts):
    """Clips as of `pictures.clips_of`: clips(yes={"valid": 3}) has three of the label yes."""
    rows = [
        (label, outcome, 1.0)
        for label, outcomes in counts.items()
        for outcome, number in outcomes.items()
        for _ in range(number)
    ]
    return pd.DataFrame(rows, columns=["label", "outcome", "seconds"])


def of_lengths(*lengths):
    return pd.DataFrame(lengths, columns=["outcome", "seconds"]).assign(label="yes")


def test_labels_of_any_script_and_sign(tmp_path):
    labels = ["猫", "да", "a$b_c$d", "<b>&", "long " + "label" * 19]
    dataset = make_dataset(tmp_path / "dataset", labels, clips=1)
    outputs = drawn(*rows_of(dataset, labels, tmp_path / "chunks"), tmp_path / "out")
    for output in ("spectrograms", "outcomes"):
        texts = texts_in(outputs[output])
        assert {*labels[:4]} <= {*texts}
        assert any(re.fullmatch("long .*…", text) for text in texts)


def test_the_spectrogram_is_that_of_the_first_valid_clip(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", ["no", "yes"], clips=3)
    write_wav(dataset / "yes" / "0.wav", samples=9_000)
    rows, chunks = rows_of(dataset, ["no", "yes"], tmp_path / "chunks")
    outputs = drawn(rows, chunks, tmp_path / "out")
    pattern = r'"data:image/png;base64,([^"]+)"'
    examples = [np.load(chunk)[place] for chunk, place in zip(chunks, (0, 1), strict=True)]
    loudest, lowest = max(example.max() for example in examples), np.log(0.01)
    # An SVG file has the rows of the array in order, and flips the picture.
    data = re.findall(pattern, outputs["spectrograms"].read_text())
    assert len(data) == 3
    for picture, example in zip(data, examples, strict=False):  # the last one is the colour bar
        shown = image.imread(io.BytesIO(base64.b64decode(picture)))
        expected = colormaps["magma"]((example.T - lowest) / (loudest - lowest))
        assert np.abs(shown - expected).max() < 2 / 255


def test_axes_are_in_seconds_and_hertz(tmp_path):
    for hertz in (250, 1000, 4000):
        band = pictures.band_at(hertz)
        peak = MEL_WEIGHTS[:, round(band)].argmax() * 16_000 / 512
        assert peak == pytest.approx(hertz, rel=0.1)
    axes = grid_of(1, tmp_path).axes[0]
    left, right, bottom, top = axes.images[0].get_extent()
    # The middle of the first frame of 25 ms and of the last, 950 ms later.
    assert (left + 0.005, right - 0.005) == pytest.approx((0.0125, 0.9625))
    assert (bottom, top) == (-0.5, 63.5)
    assert axes.get_xlim() == (0, 0.975)
    assert [*axes.get_xticks()] == [0, 0.4, 0.8]
    assert [*axes.get_yticks()] == [*pictures.band_at(np.array([250, 1000, 4000]))]


def test_the_same_clips_give_the_same_bytes(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", ["no", "yes"], clips=1)
    files = rows_of(dataset, ["no", "yes"], tmp_path / "chunks")
    once, again = (drawn(*files, tmp_path / name) for name in ("once", "again"))
    for output in OUTPUTS:
        assert once[output].read_bytes() == again[output].read_bytes()


def test_a_dataset_without_a_valid_clip(tmp_path):
    dataset = tmp_path / "dataset"
    write_wav(dataset / "no" / "0.wav", samples=9_000)
    (dataset / "yes").mkdir()
    (dataset / "yes" / "0.wav").write_bytes(b"")
    outputs = drawn(*rows_of(dataset, ["no", "yes"], tmp_path / "chunks"), tmp_path / "out")
    texts = texts_in(outputs["outcomes"])
    assert {"no", "yes", "too short", "unreadable", "no valid clips"} <= {*texts}
    assert "valid" not in texts


def test_the_outcome_and_length_of_each_clip(tmp_path):
    dataset = tmp_path / "dataset"
    lengths = {"a": 16_000, "b": 9_000, "c": 40_000, "d": 50_000, "e": 16_000}
    for name, samples in lengths.items():
        write_wav(dataset / "up" / f"{name}.wav", samples=samples)
    write_wav(dataset / "up" / "f.wav", samples=48_000, rate=48_000)
    (dataset / "up" / "g.wav").write_bytes(b"")
    settings = {**SETTINGS, "short_clips": "pad", "long_clips": "cut"}
    rows, _ = rows_of(dataset, ["up"], tmp_path / "chunks", settings)
    found = pictures.clips_of(rows)
    assert len(rows) > len(found) == 7  # a clip that is cut counts once
    outcomes = ["valid", "padded", "cut", "cut", "valid", "valid", "unreadable"]
    assert [*found.outcome] == outcomes
    assert [*found.seconds[:6]] == [1, 0.5625, 2.5, 3.125, 1, 1]
    assert np.isnan(found.seconds.iloc[6])


def bins_of(axes):
    """The bin of each outcome, {outcome: (left, right, bottom, top)}, in a picture of lengths.

    The outline of an outcome is its upper ends from left to right, then its lower ends.
    """
    bins = {}
    for polygon in axes.patches:
        x, y = polygon.get_xy().T
        edges = np.unique(x)
        upper = y[1 : 2 * len(edges) - 1 : 2]
        lower = y[2 * len(edges) - 1 : 4 * len(edges) - 3][::-1][::2]
        [place] = np.flatnonzero(upper != lower)
        bins[polygon.get_label()] = edges[place], edges[place + 1], lower[place], upper[place]
    return bins


def test_the_bounds_of_validity_are_on_edges_of_bins():
    lengths = {"too short": SHORTEST_VALID - 1, "valid": SHORTEST_VALID, "padded": TOO_LONG - 1}
    lengths["too long"] = TOO_LONG
    found = of_lengths(*((outcome, n / 16_000) for outcome, n in lengths.items()))
    [axes] = pictures.figure_of_lengths(found).axes
    bins = bins_of(axes)
    assert bins["too short"][1] == bins["valid"][0] == pytest.approx(0.975)
    assert bins["padded"][1] == bins["too long"][0] == pytest.approx(1.935)
    assert [line.get_xdata()[0] for line in axes.lines] == [0.975, 1.935]
    assert [text.get_text().strip() for text in axes.texts] == ["0.975 s", "1.935 s"]
    left, right = axes.get_xlim()
    assert left < 0.5 and 4 < right < 5 and axes.get_ylim() == (0.5, 10)


def test_counts_of_one_bin_are_stacked():
    found = of_lengths(
        *[("valid", 1.0)] * 30,
        *[("padded", 1.0)] * 5,
        *[("not finite", 1.0)] * 7,
        *[("unreadable", np.nan)] * 100,  # without a length
        *[("too long", 10.0)] * 2,
    )
    [axes] = pictures.figure_of_lengths(found).axes
    bins = {outcome: (bottom, top) for outcome, (_, _, bottom, top) in bins_of(axes).items()}
    assert bins == {
        "valid": (0, 30),
        "padded": (30, 35),
        "not finite": (35, 42),
        "too long": (0, 2),
    }
    left, right, *_ = bins_of(axes)["too long"]
    assert left < 10 < right and right / left == pytest.approx(1.03, abs=0.005)
    assert axes.get_ylim() == (0.5, 84)


def test_the_lengths_of_long_recordings():
    found = of_lengths(("valid", 0.975), ("valid", 1.93), ("cut", 1.935), ("cut", 3600.0))
    found.loc[len(found)] = "unreadable", 0.0, "yes"
    [axes] = pictures.figure_of_lengths(found).axes
    left, right = axes.get_xlim()
    assert left < 0.01 and right > 3600
    counts = {}
    for polygon in axes.patches:
        edges = np.unique(polygon.get_xy()[:, 0])
        assert np.isclose(edges, 0.975).any() and np.isclose(edges, 1.935).any()
        counts[polygon.get_label()] = polygon.get_xy()[:, 1].max()
    assert counts == {"valid": 1, "cut": 1, "unreadable": 1}
    # The upper bound is not one of clips that are cut.
    assert [line.get_xdata()[0] for line in axes.lines] == [0.975]


def bars_of(axes):
    """The bars of each outcome: {outcome: [(left end, length) for each label]}."""
    return {
        bars.get_label(): [(bar.get_x(), bar.get_width()) for bar in bars]
        for bars in axes.containers
    }


def test_the_bars_of_a_label_are_stacked():
    of_yes = {"valid": 5, "padded": 2, "too short": 3, "too long": 4, "unreadable": 1}
    of_no = {"valid": 1, "too long": 2, "missing": 6}
    figure = pictures.figure_of_outcomes(clips(yes=of_yes, no=of_no))
    valid, invalid = figure.axes
    assert bars_of(valid) == {"valid": [(0, 5), (0, 1)], "padded": [(5, 2), (1, 0)]}
    assert bars_of(invalid) == {
        "too short": [(0, 3), (0, 0)],
        "too long": [(3, 4), (0, 2)],
        "unreadable": [(7, 1), (2, 0)],
        "missing": [(8, 0), (2, 6)],
    }
    # The first label is at the top.
    assert [tick.get_text() for tick in valid.get_yticklabels()] == ["yes", "no"]
    bottom, top = valid.get_ylim()
    assert bottom > 1 and top < 0 and invalid.get_ylim() == (bottom, top)
    assert figure.get_suptitle() == "Valid and invalid clips of each label"
    labels = "valid clips", "invalid clips (another scale)"
    for axes, label, colors in zip(
        figure.axes, labels, (pictures.VALID, pictures.INVALID), strict=True
    ):
        assert axes.get_xlabel() == label
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert legend == list(bars_of(axes))
        for bars in axes.containers:
            assert to_hex(bars[0].get_facecolor()).upper() == colors[bars.get_label()]


def test_ticks_are_whole_numbers_of_clips():
    for axes in pictures.figure_of_outcomes(clips(yes={"valid": 1, "too short": 2})).axes:
        assert all(tick == round(tick) for tick in axes.get_xticks())


def test_no_frame_stands_where_no_clip_is_invalid():
    valid, invalid = pictures.figure_of_outcomes(clips(yes={"valid": 3})).axes
    assert invalid.get_xlabel() == "no invalid clips"
    assert not len(invalid.get_xticks()) and not invalid.get_legend()
    assert not any(spine.get_visible() for spine in invalid.spines.values())
    assert valid.get_xlabel() == "valid clips" and len(valid.get_xticks())


def grid_of(number, folder):
    """The Figure of the spectrograms of `number` labels; word1 has two clips, word2 three, ..."""
    rows, chunks = [], []
    for place in range(number):
        rows += [(f"word{place}", True, "0")] * (place + 1)
        chunks.append(folder / f"{place}.npy")
        np.save(chunks[-1], np.zeros((1, 96, 64)))
    rows = pd.DataFrame(rows, columns=["label", "valid", "example"])
    return pictures.figure_of_spectrograms(rows, chunks)


@pytest.mark.parametrize(
    ("number", "with_times", "with_hertz"),
    [(1, [0], [0]), (2, [0, 1], [0]), (4, [2, 3], [0, 2]), (5, [2, 3, 4], [0, 3])],
)
def test_times_are_below_each_column_and_frequencies_beside_each_row(
    number, with_times, with_hertz, tmp_path
):
    axes = grid_of(number, tmp_path).axes[:number]
    assert [place for place in range(number) if axes[place].xaxis.get_visible()] == with_times
    assert [place for place in range(number) if axes[place].yaxis.get_visible()] == with_hertz
    for place in with_times:
        assert [tick.get_text() for tick in axes[place].get_xticklabels()] == ["0", "0.4", "0.8"]


@pytest.mark.parametrize("number", [1, 101, 1000])
def test_any_number_of_labels(number, tmp_path):
    labels = [f"word{place}" for place in range(number)]
    outcomes = pictures.figure_of_outcomes(
        clips(**{label: {"valid": 1, "too long": place} for place, label in enumerate(labels)})
    )
    assert [tick.get_text() for tick in outcomes.axes[0].get_yticklabels()] == labels[-100:]
    figures = {"the most invalid clips": outcomes}
    titles = ["Valid and invalid clips of each label"]
    if number < 1000:  # the clips of the grid are as many as the square
        figure = figures["the most clips"] = grid_of(number, tmp_path)
        names = [axes.get_title(loc="left") for axes in figure.axes[: min(number, 100)]]
        assert names == labels[-100:]
        assert max(figure.get_size_inches()) < 14
        titles.append("The first valid clip of each label")
    for title, (chosen, figure) in zip(titles, figures.items(), strict=True):
        more = f": the 100 of {number} labels with {chosen}" if number > 100 else ""
        assert figure.get_suptitle() == title + more


def test_the_page_of_invalid_clips_is_small_enough_for_a_report(tmp_path):
    columns = ["path", "reason", "detail", "sample_rate", "channels", "samples"]
    rows = pd.DataFrame([[f"猫/{n}.wav", *["<a>"] * 5] for n in range(50_000)], columns=columns)
    path = tmp_path / "invalid.html"
    pictures.write_invalid(rows, path)
    page = path.read_text()
    assert re.search(f"The first {page.count('<tr><td>'):,} of 50,000 clips", page)
    assert len(base64.b64encode(page.encode())) < 2 * 2**20
    assert "<a>" not in page
    pictures.write_invalid(rows[:5000], path)
    assert "5,000 clips." in path.read_text() and "The first" not in path.read_text()


def test_the_picture_of_the_readme_is_drawn_from_results(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", ["no", "yes"], clips=1)
    (tmp_path / "results").mkdir()
    rows_of(dataset, ["no", "yes"], tmp_path / "results" / "chunks")
    command = [sys.executable, ROOT / "docs" / "draw.py", tmp_path / "results", tmp_path / "x.png"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow_scripts")}
    subprocess.run(command, env=environment, check=True)
    assert len(np.unique(image.imread(tmp_path / "x.png").reshape(-1, 4), axis=0)) > 100


def test_what_draws_the_pictures_anew(built):
    picture = built.results / "pictures" / "lengths.svg"
    content = picture.read_bytes()
    picture.unlink()
    assert built.run() == {"pictures"}
    assert picture.read_bytes() == content
    picture.write_bytes(content[:100])
    assert "lengths.svg is not as the workflow wrote it" in built.snakemake(check=False).stdout
