"""The pictures show what the tables and chunks hold, for any labels and clips."""

import base64
import io
import re
import warnings
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pictures
import pytest
from matplotlib import colormaps, image
from spectrograms import write_chunk
from wavs import make_dataset, write_catalog, write_wav
from wavspec.audio import SHORTEST_VALID, TOO_LONG
from wavspec.chunk import TableRow
from wavspec.front_end import MEL_WEIGHTS

OUTPUTS = {
    "spectrograms": "spectrograms.svg",
    "outcomes": "outcomes.svg",
    "lengths": "lengths.svg",
    "invalid": "invalid.html",
    "seal": "pictures.0123456789ab.csv",
}


def chunks_of(dataset, labels, folder):
    """Make the tables and chunks of `labels` in `folder`; return the two lists."""
    folder.mkdir()
    tables, chunks = [], []
    for label in labels:
        catalog, _ = write_catalog(dataset, label, folder)
        tables.append(catalog.with_suffix(".csv"))
        chunks.append(catalog.with_suffix(".npy"))
        write_chunk(dataset, catalog, chunks[-1], tables[-1])
    return tables, chunks


def drawn(dataset, tables, chunks, folder):
    """Draw all; return {output: file}."""
    folder.mkdir()
    outputs = {output: folder / name for output, name in OUTPUTS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures.draw(dataset, tables, chunks, **outputs)
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
    return pictures.Label(name, outcomes, lengths, rows, np.zeros((96, 64)) if example else None)


def test_labels_of_any_script_and_sign(tmp_path):
    labels = ["猫", "да", "a$b_c$d", "<b>&", "long " + "label" * 19]
    dataset = make_dataset(tmp_path / "dataset", labels, clips=1)
    outputs = drawn(dataset, *chunks_of(dataset, labels, tmp_path / "chunks"), tmp_path / "out")
    for output in ("spectrograms", "outcomes"):
        texts = texts_in(outputs[output])
        assert {*labels[:4]} <= {*texts}
        assert any(re.fullmatch("long .*…", text) for text in texts)


def test_the_spectrogram_is_that_of_the_first_valid_clip(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", ["yes"], clips=3)
    write_wav(dataset / "yes" / "0.wav", samples=9_000)
    tables, [chunk] = chunks_of(dataset, ["yes"], tmp_path / "chunks")
    outputs = drawn(dataset, tables, [chunk], tmp_path / "out")
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
    once, again = (drawn(dataset, *files, tmp_path / name) for name in ("once", "again"))
    for output in OUTPUTS:
        assert once[output].read_bytes() == again[output].read_bytes()


def test_a_dataset_without_a_valid_clip(tmp_path):
    dataset = tmp_path / "dataset"
    write_wav(dataset / "no" / "0.wav", samples=9_000)
    (dataset / "yes").mkdir()
    (dataset / "yes" / "0.wav").write_bytes(b"")
    files = chunks_of(dataset, ["no", "yes"], tmp_path / "chunks")
    outputs = drawn(dataset, *files, tmp_path / "out")
    assert {"too short", "unreadable"} <= {*texts_in(outputs["outcomes"])}
    assert "valid" not in texts_in(outputs["outcomes"])


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


@pytest.mark.parametrize("number", [1, 2, 100, 101, 1000])
def test_any_number_of_labels(number):
    labels = [label(f"word{place}", clips=place + 2, invalid=place % 2) for place in range(number)]
    figure = pictures.figure_of_spectrograms(labels)
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names == [f"word{place}" for place in range(number)][-100:]
    outcomes = pictures.figure_of_outcomes(labels).axes[0]
    assert len(outcomes.get_yticks()) == min(number, 100)
    for axes in (figure.axes[0], outcomes):
        assert (f"100 of {number} labels" in axes.get_title(loc="left")) == (number > 100)
    assert max(figure.get_size_inches()) < 15


def test_the_page_of_invalid_clips_is_small_enough_for_a_report():
    rows = [TableRow(f"猫/{n}.wav", "1", "1", False, *["<a>"] * 6) for n in range(50_000)]
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
