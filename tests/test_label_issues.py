"""The clips whose label may be wrong: their table, and a page with sound and picture."""

import re

import numpy as np
import pandas as pd
import pytest
import soundfile
from browser import browser, needs_chromium
from wavspec.audio import samples_to_examples
from wavspec.classifier.label_issues import write_page, write_table

SECONDS = 2.5


def predictions_of(rows):
    """Clips and predictions of rows: file name, clip, start, label, target, split, ..."""
    of_clips = ["file_name", "clip_id", "start"]
    columns = [*of_clips, "label", "target", "split", "predicted", "probability"]
    table = pd.DataFrame(rows, columns=[*columns, "target_probability"])
    return table[of_clips], table.drop(columns=of_clips)


def write_clip(path, seconds=SECONDS):
    """Write a chirp, which keeps its form as MP3; return its samples."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    sound = np.round(9000 * np.sin(2 * np.pi * (200 + 400 * time) * time)).astype("<i2")
    soundfile.write(path, sound, 16_000)
    return sound


@pytest.fixture
def issues(tmp_path):
    """Clips, predictions and spectrograms with issues of two labels, and the sound of a clip."""
    sound = write_clip(tmp_path / "<a>.wav")
    examples = samples_to_examples(sound / 32768, 16_000)
    assert len(examples) == 2
    rows = [
        ("<a>.wav", 0, 0.0, "no", "_unknown_", "testing", "yes", 0.55, 0.45),
        ("<a>.wav", 0, 0.96, "no", "_unknown_", "testing", "yes", 0.9, 0.1),
        ("gone.wav", 1, 0.0, "<up>", "<up>", "training", "yes", 0.7, 0.3),
        ("half.wav", 2, 0.0, "yes", "yes", "validation", "yes", 0.5, 0.5),
        ("low.wav", 3, 0.0, "yes", "yes", "validation", "no", 0.80001, 0.04999),
        ("unused.wav", 4, 0.0, "yes", "", "training", "no", 0.9, np.nan),
        ("invalid.wav", 5, 0.0, "yes", "", "training", np.nan, np.nan, np.nan),
        ("<a>.wav", 6, 1.5, "no", "no", "testing", "yes", 0.8, 0.2),
    ]
    write_clip(tmp_path / "low.wav", seconds=1)
    clips, predictions = predictions_of([(f"{tmp_path}/{row[0]}", *row[1:]) for row in rows])
    np.concatenate([examples, np.zeros((6, 96, 64))]).tofile(tmp_path / "spectrograms.dat")
    return clips, predictions, sound


def test_the_table_has_all_clips_in_order(issues, tmp_path):
    """The lowest probability is first. A clip has one row, a file of several clips has several."""
    write_table(tmp_path / "issues.csv", *issues[:2])
    assert (tmp_path / "issues.csv").read_text().replace(f"{tmp_path}/", "") == (
        "file_name,label,split,predicted,probability,target_probability\n"
        "low.wav,yes,validation,no,0.8000,0.0500\n"
        "<a>.wav,no,testing,yes,0.9000,0.1000\n"
        "<a>.wav,no,testing,yes,0.8000,0.2000\n"
        "gone.wav,<up>,training,yes,0.7000,0.3000\n"
    )


SEEN = """
player.muted = true;
const rows = [...document.getElementById("rows").rows];
const seen = [];
for (const row of rows) {
  const [picture, button] = ["img", "button"].map(kind => row.querySelector(kind));
  await picture.decode();
  const found = {
    picture: [picture.naturalWidth, picture.naturalHeight],
    cells: [...row.cells].map(cell => cell.textContent),
  };
  seen.push(found);
  if (!button) continue;
  button.click();
  found.marked = button.classList.contains("playing");
  await until(() => player.ended && !document.querySelector(".playing"));
  found.played = player.currentTime;
  const sound = await (await fetch(button.dataset.sound)).arrayBuffer();
  const audio = await new OfflineAudioContext(1, 16000, 16000).decodeAudioData(sound);
  found.samples = [...audio.getChannelData(0)];
}
return seen;
"""


@needs_chromium
def test_label_issues_are_seen_and_heard(issues, tmp_path):
    clips, predictions, sound = issues
    page = tmp_path / "label_issues.html"
    write_page(page, clips, predictions, tmp_path / "spectrograms.dat")
    text = page.read_text()
    assert "<p>4 clips." in text and "http" not in text
    write_page(page, clips, predictions, tmp_path / "spectrograms.dat")
    assert page.read_text() == text
    with browser(tmp_path, page.as_uri()) as opened:
        seen = opened.evaluate(SEEN)
        widths = []
        for width in (400, 1200):
            opened.resize(width, 800)
            widths.append(opened.evaluate("return document.documentElement.scrollWidth"))
        opened.evaluate(
            'search.value = "training"; search.dispatchEvent(new Event("input"));'
            'await until(() => found.textContent == "1 of 4 found");'
        )
    assert widths == [400, 1200]
    low, cut, part, gone = seen
    assert cut["cells"][0].strip() == "▶ 0.975 s"
    assert cut["cells"][1:6] == ["no (as _unknown_)", "10.0%", "yes", "90.0%", "testing"]
    assert cut["cells"][6] == f"{tmp_path}/<a>.wav, from 0.96 s\n"
    assert gone["cells"][0].startswith("cannot be read any more") and "played" not in gone
    assert low["cells"][1:7] == [
        "yes",
        "5.0%",
        "no",
        "80.0%",
        "validation",
        f"{tmp_path}/low.wav\n",
    ]
    assert part["cells"][6] == f"{tmp_path}/<a>.wav, from 1.50 s\n"
    for found, start in ((low, 0), (cut, 15_360), (part, 24_000)):
        assert found["marked"] and found["picture"] == [96, 64]
        assert found["played"] == pytest.approx(0.975, abs=0.01)
        expected = sound[start : start + 15_600] / 32768
        heard = np.array(found["samples"])[: len(expected)]
        assert np.corrcoef(heard, expected)[0, 1] > 0.99


def test_the_page_fits_into_a_report(tmp_path):
    soundfile.write(tmp_path / "0.wav", np.random.default_rng(0).uniform(-1, 1, 16_000), 16_000)
    for number in range(1, 300):
        (tmp_path / f"{number}.wav").symlink_to(tmp_path / "0.wav")
    row = 0.0, "no", "no", "training", "yes", 0.6, 0.4
    clips, predictions = predictions_of([(f"{tmp_path}/{n}.wav", n, *row) for n in range(300)])
    np.random.default_rng(1).normal(size=(300, 96, 64)).tofile(tmp_path / "spectrograms.dat")
    write_page(tmp_path / "page.html", clips, predictions, tmp_path / "spectrograms.dat")
    text = (tmp_path / "page.html").read_text()
    assert 1_400_000 < len(text.encode()) <= 1_500_000
    [shown] = re.findall(r"The first (\d+) of 300 clips", text)
    assert int(shown) == text.count("<button") > 100
