"""The pictures match the tables and chunks, for any labels and clips."""

import base64
import io
import re
import warnings
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pictures
import pytest
from matplotlib import colormaps, image
from spectrograms import write_chunk
from wavs import SETTINGS, make_dataset, write_catalog, write_wav
from wavspec.audio import SHORTEST_VALID, TOO_LONG
from wavspec.chunk import TableRow
from wavspec.front_end import MEL_WEIGHTS
from wavspec.rows import read_tables

OUTPUTS = {
    "spectrograms": "spectrograms.svg",
    "outcomes": "outcomes.svg",
    "lengths": "lengths.svg",
    "invalid": "invalid.html",
}


def chunks_of(dataset, labels, folder):
    """Write the tables and chunks of `labels` into `folder`; return the two lists."""
    folder.mkdir()
    tables, chunks = [], []
    for label in labels:
        catalog, _ = write_catalog(dataset, label, folder)
        tables.append(catalog.with_suffix(".csv"))
        chunks.append(catalog.with_suffix(".npy"))
        write_chunk(dataset, catalog, chunks[-1], tables[-1], SETTINGS)
    return tables, chunks


def drawn(tables, chunks, folder):
    """Draw all; return {output: file}."""
    folder.mkdir()
    outputs = {output: folder / name for output, name in OUTPUTS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        *svg_files, page = outputs.values()
        rows = read_tables(tables, SETTINGS)
        pictures.draw(rows, chunks, svg_files, page)
    return outputs


def texts_in(svg):
    return [element.text for element in ElementTree.parse(svg).iter() if element.text]


def image_in(svg):
    """The first image in `svg`, (rows, columns, 4)."""
    data = re.search(r'"data:image/png;base64,([^"]+)"', svg.read_text())[1]
    return image.imread(io.BytesIO(base64.b64decode(data)))


def label(name="yes", clips=1, invalid=0, example=True):
    outcomes = Counter({"valid": clips - invalid, "too short": invalid})
    lengths = Counter({("valid", "16000", "16000"): clips - invalid})
    rows = [TableRow("a.wav", "1", "1", False, "too short", "", "", "", "", "")] * invalid
    return pictures.LabelSummary(
        name, outcomes, lengths, len(rows), np.zeros((96, 64)) if example else None
    )


def test_labels_of_any_script_and_sign(tmp_path):
    labels = ["猫", "да", "a$b_c$d", "<b>&", "long " + "label" * 19]
    dataset = make_dataset(tmp_path / "dataset", labels, clips=1)
    outputs = drawn(*chunks_of(dataset, labels, tmp_path / "chunks"), tmp_path / "out")
    for output in ("spectrograms", "outcomes"):
        texts = texts_in(outputs[output])
        assert {*labels[:4]} <= {*texts}
        assert any(re.fullmatch("long .*…", text) for text in texts)


def test_the_spectrogram_is_that_of_the_first_valid_clip(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", ["yes"], clips=3)
    write_wav(dataset / "yes" / "0.wav", samples=9_000)
    tables, [chunk] = chunks_of(dataset, ["yes"], tmp_path / "chunks")
    outputs = drawn(tables, [chunk], tmp_path / "out")
    example = np.load(chunk)[1]
    lowest = np.log(0.01)
    expected = colormaps["magma"]((example - lowest) / (example.max() - lowest)).transpose(1, 0, 2)
    shown = image_in(outputs["spectrograms"])[-64:, :96]
    assert np.abs(shown - expected[::-1]).max() < 2 / 255


def test_axes_are_in_seconds_and_hertz():
    for hertz in (250, 1000, 4000):
        band = pictures.band_at(hertz)
        peak = MEL_WEIGHTS[:, round(band)].argmax() * 16_000 / 512
        assert peak == pytest.approx(hertz, rel=0.1)
    # The middle of the first frame of 25 ms, and of the next, 10 ms later.
    assert pictures.frame_at(0.0125) == 0 and pictures.frame_at(0.0225) == 1


def test_the_same_clips_give_the_same_bytes(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", ["no", "yes"], clips=1)
    files = chunks_of(dataset, ["no", "yes"], tmp_path / "chunks")
    once, again = (drawn(*files, tmp_path / name) for name in ("once", "again"))
    for output in OUTPUTS:
        assert once[output].read_bytes() == again[output].read_bytes()


def test_a_dataset_without_a_valid_clip(tmp_path):
    dataset = tmp_path / "dataset"
    write_wav(dataset / "no" / "0.wav", samples=9_000)
    (dataset / "yes").mkdir()
    (dataset / "yes" / "0.wav").write_bytes(b"")
    files = chunks_of(dataset, ["no", "yes"], tmp_path / "chunks")
    outputs = drawn(*files, tmp_path / "out")
    texts = texts_in(outputs["outcomes"])
    assert {"no", "yes", "too short", "unreadable", "no valid clips"} <= {*texts}
    assert "valid" not in texts


def test_the_bounds_of_validity_are_on_edges_of_bins():
    lengths = {"too short": SHORTEST_VALID - 1, "valid": SHORTEST_VALID, "padded": TOO_LONG - 1}
    lengths["too long"] = TOO_LONG
    counted = label()._replace(
        lengths=Counter({(outcome, "16000", str(n)): 5 for outcome, n in lengths.items()})
    )
    [axes] = pictures.figure_of_lengths([counted]).axes
    bins = {}
    for stairs in axes.patches:
        counts, edges, baseline = stairs.get_data()
        [place] = np.flatnonzero(counts != baseline)
        bins[stairs.get_label()] = edges[place], edges[place + 1]
    assert bins["too short"][1] == bins["valid"][0] == pytest.approx(0.975)
    assert bins["padded"][1] == bins["too long"][0] == pytest.approx(1.935)
    assert [line.get_xdata()[0] for line in axes.lines] == [0.975, 1.935]
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [
        ("0.975 s", pytest.approx(0.99)),
        ("1.935 s", pytest.approx(1.95)),
    ]
    assert axes.get_xlim() == (0, 3) and axes.get_ylim() == (0.5, 10)


def test_counts_of_one_bin_are_stacked():
    lengths = Counter({("valid", "16000", "16000"): 30, ("padded", "8000", "8000"): 5})
    lengths["not finite", "16000", "16000"] = 7
    lengths["unreadable", "", ""] = 100  # without a length
    lengths["too long", "16000", "160000"] = 2
    [axes] = pictures.figure_of_lengths([label()._replace(lengths=lengths)]).axes
    stacked = {}
    for stairs in axes.patches:
        counts, edges, baseline = stairs.get_data()
        [place] = np.flatnonzero(counts != baseline)
        stacked[stairs.get_label()] = (round(edges[place], 3), baseline[place], counts[place])
    assert stacked == {
        "valid": (0.99, 0, 30),
        "padded": (0.99, 30, 35),
        "not finite": (0.99, 35, 42),
        "too long": (2.985, 0, 2),
    }
    assert axes.get_ylim() == (0.5, 84)


def bars_of(axes):
    """The bars of each outcome: {outcome: [(left end, length) for each label]}."""
    return {
        bars.get_label(): [(bar.get_x(), bar.get_width()) for bar in bars]
        for bars in axes.containers
    }


def test_the_bars_of_a_label_are_stacked():
    of_yes = {"valid": 5, "padded": 2, "too short": 3, "too long": 4, "unreadable": 1}
    of_no = {"valid": 1, "too long": 2, "not finite": 6}
    labels = [
        label(name)._replace(outcomes=Counter(outcomes))
        for name, outcomes in {"yes": of_yes, "no": of_no}.items()
    ]
    figure = pictures.figure_of_outcomes(labels)
    valid, invalid = figure.axes
    assert bars_of(valid) == {"valid": [(0, 5), (0, 1)], "padded": [(5, 2), (1, 0)]}
    assert bars_of(invalid) == {
        "too short": [(0, 3), (0, 0)],
        "too long": [(3, 4), (0, 2)],
        "unreadable": [(7, 1), (2, 0)],
        "not finite": [(8, 0), (2, 6)],
    }
    assert valid.get_xlim() == (0, pytest.approx(7 * 1.02))
    assert invalid.get_xlim() == (0, pytest.approx(8 * 1.02))
    # The first label is at the top.
    assert [tick.get_text() for tick in valid.get_yticklabels()] == ["yes", "no"]
    assert valid.get_ylim() == invalid.get_ylim() == (1.6, -0.6)
    assert valid.get_title(loc="left") == "Valid and invalid clips of each label"
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "valid clips",
        "invalid clips (another scale)",
    ]
    for axes in figure.axes:
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert legend == list(bars_of(axes))


def test_no_frame_stands_where_no_clip_is_invalid():
    valid, invalid = pictures.figure_of_outcomes([label(clips=3)]).axes
    assert invalid.get_xlabel() == "no invalid clips"
    assert not len(invalid.get_xticks()) and not invalid.get_legend()
    assert not any(spine.get_visible() for spine in invalid.spines.values())
    assert valid.get_xlabel() == "valid clips" and len(valid.get_xticks())


@pytest.mark.parametrize(
    ("number", "at_the_bottom", "above"), [(1, 1, 0), (2, 2, 0), (4, 2, 0), (5, 2, 1), (7, 1, 2)]
)
def test_each_column_has_its_times_below_its_last_spectrogram(number, at_the_bottom, above):
    figure = pictures.figure_of_spectrograms([label(f"word{place}") for place in range(number)])
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "The first valid clip of each label"
    texts = [tick.get_text() for tick in axes.get_xticklabels()]
    assert texts == ["0", "0.5"] * at_the_bottom
    columns = [*axes.get_xticks()]
    assert len(axes.child_axes) == (above > 0)
    figure.draw_without_rendering()  # which places the ticks
    pixels = axes.images[0].get_array()
    for shorter in axes.child_axes:
        columns += [*shorter.get_xticks()]
        texts = [tick.get_text() for tick in shorter.get_xticklabels()]
        assert texts == ["0", "0.5"] * above
        rows = len(axes.get_yticks()) // 3
        _, bottom = axes.transData.inverted().transform(shorter.bbox.min)
        assert bottom == pytest.approx(len(pixels) * (rows - 1) / rows - 0.5)
        assert shorter.get_xticklabels()[0].get_window_extent().y1 < shorter.bbox.y0
    # A spectrogram and its margin are 104 wide; 0.5 s are 50 frames of 10 ms.
    firsts = columns[::2]
    assert np.diff(firsts) == pytest.approx([104] * (len(firsts) - 1))
    assert np.subtract(columns[1::2], firsts) == pytest.approx([50] * len(firsts))


@pytest.mark.parametrize("number", [1, 2, 100, 101, 1000])
def test_any_number_of_labels(number):
    labels = [label(f"word{place}", clips=place + 2, invalid=place % 2) for place in range(number)]
    figure = pictures.figure_of_spectrograms(labels)
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names == [f"word{place}" for place in range(number)][-100:]
    outcomes = pictures.figure_of_outcomes(labels).axes[0]
    assert len(outcomes.get_yticks()) == min(number, 100)
    for axes, title, chosen in (
        (figure.axes[0], "The first valid clip of each label", "the most clips"),
        (outcomes, "Valid and invalid clips of each label", "the most invalid clips"),
    ):
        more = f": the 100 of {number} labels with {chosen}" if number > 100 else ""
        assert axes.get_title(loc="left") == title + more
    assert max(figure.get_size_inches()) < 14


def test_the_page_of_invalid_clips_is_small_enough_for_a_report():
    rows = pd.DataFrame(
        [TableRow(f"猫/{n}.wav", "1", "1", False, *["<a>"] * 6) for n in range(50_000)]
    )
    page = pictures.page_of_invalid(rows)
    assert "50000 invalid clips, the first " in page
    assert len(base64.b64encode(page.encode())) < 2 * 2**20
    assert "<a>" not in page
    assert "the first " not in pictures.page_of_invalid(rows[:5000])


def test_what_draws_the_pictures_anew(built):
    picture = built.results / "pictures" / "lengths.svg"
    content = picture.read_bytes()
    picture.unlink()
    assert built.run() == {"pictures"}
    assert picture.read_bytes() == content
    picture.write_bytes(content[:100])
    assert "lengths.svg is not as the workflow wrote it" in built.snakemake(check=False).stdout


def test_a_clip_that_was_cut_counts_once(tmp_path):
    dataset = tmp_path / "dataset"
    write_wav(dataset / "up" / "0.wav")
    write_wav(dataset / "up" / "1.wav", samples=40_000)
    settings = {**SETTINGS, "long_clips": "cut"}
    catalog, _ = write_catalog(dataset, "up", tmp_path, settings)
    chunk, table = catalog.with_suffix(".npy"), catalog.with_suffix(".csv")
    write_chunk(dataset, catalog, chunk, table, settings)
    rows = read_tables([table], settings)
    [label] = pictures.summaries_of(rows, [chunk])
    assert len(rows) == 3 and label.outcomes == {"valid": 1, "cut": 1}
    assert label.lengths == {("valid", "16000", "16000"): 1, ("cut", "16000", "40000"): 1}
    [axes] = pictures.figure_of_lengths([label]).axes
    assert axes.get_title(loc="left").endswith("right of the line can be valid")
    assert [text.get_text() for text in axes.texts] == ["0.975 s"]
