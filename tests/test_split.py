"""The split: by the dataset's lists, or by the rule that made them."""

import csv

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from split import side_by_rule, speaker_of, write_split
from wavs import REAL_CLIPS, needs_real_clips, write_catalog, write_wav
from wavspec.dataset import find_clips

# The sides of some speakers of Speech Commands, which its own lists give.
OFFICIAL = {
    "wow/026290a7_nohash_1.wav": "validation",
    "bed/026290a7_nohash_0.wav": "validation",
    "bed/0c40e715_nohash_0.wav": "testing",
}


def split_of(dataset, folder, validation=10, testing=10):
    """The rows of the split of `dataset`, by path, as dicts; its counts and its warnings."""
    labels = find_clips(dataset).labels
    catalogs = [write_catalog(dataset, label, folder)[0] for label in labels]
    split = folder / "split.csv"
    (folder / "seals").mkdir(exist_ok=True)
    seal = folder / "seals" / "split.000000000000.csv"
    counts, warnings = write_split(dataset, catalogs, validation, testing, split, seal)
    with open(split, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row[""] for row in rows] == [str(number) for number in range(len(rows))]
    paths = [clip.path for clips in labels.values() for clip in clips]
    return dict(zip(paths, rows, strict=True)), counts, warnings


def make_clips(dataset, paths):
    for path in paths:
        write_wav(dataset / path, samples=100)
    return dataset


@pytest.mark.parametrize(("path", "side"), OFFICIAL.items())
def test_the_rule_gives_the_official_sides(path, side):
    assert side_by_rule(speaker_of(path), 10, 10) == side


@needs_real_clips
def test_the_rule_reproduces_the_lists_of_real_clips(tmp_path):
    by_lists, _, _ = split_of(REAL_CLIPS, tmp_path)
    sides = {row["split"] for row in by_lists.values()}
    assert sides == {"training", "validation", "testing"}
    for row in by_lists.values():
        assert side_by_rule(row["speaker"], 10, 10) == row["split"]


speakers = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=9)
percentages = st.integers(0, 50)


@given(speakers, percentages, percentages, st.lists(st.integers(0, 99), min_size=2, max_size=5))
def test_a_speaker_is_on_one_side_whatever_else_there_is(speaker, validation, testing, takes):
    paths = [f"word/{speaker}_nohash_{take}.wav" for take in takes]
    sides = {side_by_rule(speaker_of(path), validation, testing) for path in paths}
    assert len(sides) == 1
    if validation + testing == 0:
        assert sides == {"training"}


@given(st.integers(0, 99), st.integers(0, 99), speakers)
def test_a_larger_share_keeps_whom_it_had(smaller, larger, speaker):
    smaller, larger = sorted([smaller, larger])
    if side_by_rule(speaker, smaller, 0) == "validation":
        assert side_by_rule(speaker, larger, 0) == "validation"


def test_the_rule_gives_the_shares_it_is_told():
    sides = [side_by_rule(f"speaker {number}", 10, 20) for number in range(20_000)]
    assert 0.09 < sides.count("validation") / len(sides) < 0.11
    assert 0.19 < sides.count("testing") / len(sides) < 0.21


def test_the_lists_decide_where_they_are(tmp_path):
    dataset = make_clips(tmp_path / "dataset", ["no/a.wav", "no/b.wav", "yes/c.wav", "yes/d.WAV"])
    (dataset / "validation_list.txt").write_text("no/a.wav\n")
    (dataset / "testing_list.txt").write_text("./yes/c.wav\n\n")
    rows, counts, warnings = split_of(dataset, tmp_path)
    assert {path: row["split"] for path, row in rows.items()} == {
        "no/a.wav": "validation",
        "no/b.wav": "training",
        "yes/c.wav": "testing",
        "yes/d.WAV": "training",
    }
    assert [row["speaker"] for row in rows.values()] == ["a", "b", "c", "d"]
    assert counts == {"training": 2, "validation": 1, "testing": 1}
    assert warnings == []


def test_lists_that_do_not_fit_are_told_with_a_count(tmp_path):
    dataset = make_clips(tmp_path / "dataset", ["no/026290a7_nohash_0.wav", "no/x.wav"])
    (dataset / "validation_list.txt").write_text("no/x.wav\nno/gone.wav\nno/lost.wav\n")
    (dataset / "testing_list.txt").write_text("")
    rows, _, warnings = split_of(dataset, tmp_path)
    assert rows["no/x.wav"]["split"] == "validation"
    [warning] = warnings
    assert "validation_list.txt: 2 of the 3 clips in it are not there" in warning


@pytest.mark.parametrize("prefix", ["speech_commands/", "/data/"])
def test_lists_that_name_no_clip_do_not_put_all_into_training(tmp_path, prefix):
    dataset = make_clips(tmp_path / "dataset", ["no/026290a7_nohash_0.wav"])
    for name in ("validation_list.txt", "testing_list.txt"):
        (dataset / name).write_text(f"{prefix}no/026290a7_nohash_0.wav\n")
    rows, _, warnings = split_of(dataset, tmp_path)
    assert [row["split"] for row in rows.values()] == ["validation"]
    assert any("by the rule" in warning for warning in warnings)


def test_names_that_do_not_tell_the_speaker_are_told(tmp_path):
    dataset = make_clips(tmp_path / "dataset", ["no/alice_01.wav", "no/alice_02.wav"])
    rows, _, [warning] = split_of(dataset, tmp_path)
    assert [row["speaker"] for row in rows.values()] == ["alice_01", "alice_02"]
    assert "SPEAKER_nohash_NUMBER.wav" in warning
    (dataset / "no/alice_02.wav").rename(dataset / "no/alice_nohash_2.wav")
    assert split_of(dataset, tmp_path)[2] == []


def test_one_list_alone_is_not_believed(tmp_path):
    dataset = make_clips(tmp_path / "dataset", ["no/026290a7_nohash_0.wav"])
    (dataset / "testing_list.txt").write_text("no/026290a7_nohash_0.wav\n")
    rows, _, warnings = split_of(dataset, tmp_path)
    assert [row["split"] for row in rows.values()] == ["validation"]
    assert len(warnings) == 1


def test_background_noise_is_on_no_side(tmp_path):
    dataset = make_clips(tmp_path / "dataset", ["_background_noise_/pink.wav", "no/a.wav"])
    rows, counts, _ = split_of(dataset, tmp_path)
    assert rows["_background_noise_/pink.wav"] == {"": "0", "speaker": "pink", "split": ""}
    assert counts[""] == 1


def test_changed_lists_and_shares_redo_the_split(built):
    assert built.run(split="{validation: 40}") == {"split", "concatenate"}
    assert built.run() == {"split", "concatenate"}
    (built.dataset / "validation_list.txt").write_text("no/0.wav\n")
    (built.dataset / "testing_list.txt").write_text("yes/1.wav\n")
    assert built.run() == {"split", "concatenate"}
    df = pd.read_csv(built.results / "wavfile_df.csv", index_col=0)
    split = pd.read_csv(built.results / "wavfile_split.csv", index_col=0)
    joined = df.join(split)
    assert joined.file_name[joined.split == "validation"].str.endswith("no/0.wav").all()
    assert joined.split.value_counts().to_dict() == {"training": 4, "validation": 1, "testing": 1}
