"""Speakers and sides: by lists, patterns and folders, or by the published rule."""

import hashlib
import os
import re
import textwrap
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline.configuration import check_shares
from tables import NOTES, account, warnings_about
from wavs import REAL_CLIPS, needs_real_clips, write_wav
from wavspec.dataset import PATH_PATTERN, find_clips
from wavspec.errors import WavspecError
from wavspec.lists import lists_digest, read_lists
from wavspec.split import side_by_rule, speaker_in_name, split_of
from wavspec.summary import CURES, check_some_valid, loading_lines, sides_in_words

# The sides of some speakers in the lists of Speech Commands.
OFFICIAL = {
    "wow/026290a7_nohash_1.wav": "validation",
    "bed/026290a7_nohash_0.wav": "validation",
    "bed/0c40e715_nohash_0.wav": "testing",
}
SHARES = {"validation": 10, "testing": 10}


def make_files(folder, paths):
    """Make empty files; return the folder."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def rows_in(dataset, path_pattern=PATH_PATTERN, rows_of_clip=1):
    """The rows of the array that hold the clips of the dataset, as `rows.read_tables` has them."""
    labels = find_clips(os.fspath(dataset), path_pattern).labels
    rows = [
        (clip.path, label)
        for label, clips in labels.items()
        for clip in clips
        for _ in range(rows_of_clip)
    ]
    return pd.DataFrame(rows, columns=["path", "label"])


def sides_in(dataset, path_pattern=PATH_PATTERN, shares=SHARES):
    """The split of the dataset, as a DataFrame with the index path, and its warnings."""
    rows = rows_in(dataset, path_pattern)
    lists = lists_digest(read_lists(dataset))
    split, warnings = split_of(rows, dataset, path_pattern, shares, lists)
    assert list(split.index) == list(range(len(rows)))
    return split.set_index(pd.Index(rows.path)), warnings


def write_lists(dataset, validation="", testing=""):
    (dataset / "validation_list.txt").write_text(validation)
    (dataset / "testing_list.txt").write_text(testing)


def which_set(name):
    """The published rule, as in TensorFlow's input_data.py and torchaudio."""
    hashed = hashlib.sha1(re.sub(r"_nohash_.*$", "", os.path.basename(name)).encode()).hexdigest()
    percentage = (int(hashed, 16) % (2**27 - 1 + 1)) * (100.0 / (2**27 - 1))
    if percentage < 10:
        return "validation"
    return "testing" if percentage < 20 else "training"


@pytest.mark.parametrize(("path", "side"), OFFICIAL.items())
def test_the_rule_gives_the_official_sides(path, side):
    assert side_by_rule(speaker_in_name(path), 10, 10) == side == which_set(path)


@needs_real_clips
def test_the_rule_reproduces_the_lists_of_real_clips(tmp_path):
    by_lists, _ = sides_in(REAL_CLIPS)
    assert set(by_lists.split) == {"training", "validation", "testing"}
    assert list(by_lists.split) == list(map(which_set, by_lists.index))
    by_rule, warnings = sides_in(make_files(tmp_path / "without lists", by_lists.index))
    assert (by_rule == by_lists).all(axis=None)
    assert warnings == []


names = st.text(st.characters(exclude_characters="/\0\r\n", codec="utf-8"), max_size=9)


takes = st.sampled_from(["", "_nohash_0", "_nohash_x_nohash_1"])


@given(names, takes, st.sampled_from([".wav", ".WAV", ".flac"]))
def test_the_rule_is_the_published_one_for_every_name(name, take, ending):
    path = f"word/{name}{take}{ending}"
    assert side_by_rule(speaker_in_name(path), 10, 10) == which_set(path)


speakers = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=9)
percentages = st.integers(0, 50)


@given(speakers, percentages, percentages, st.lists(st.integers(0, 99), min_size=2, max_size=5))
def test_a_speaker_is_on_one_side_whatever_else_there_is(speaker, validation, testing, takes):
    paths = [f"word/{speaker}_nohash_{take}.wav" for take in takes]
    sides = {side_by_rule(speaker_in_name(path), validation, testing) for path in paths}
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
    dataset = make_files(tmp_path / "dataset", ["no/a.wav", "no/b.wav", "yes/c.wav", "yes/d.WAV"])
    write_lists(dataset, "no/a.wav\n", "./yes/c.wav\n\n")
    rows, warnings = sides_in(dataset)
    assert rows.split.to_dict() == {
        "no/a.wav": "validation",
        "no/b.wav": "training",
        "yes/c.wav": "testing",
        "yes/d.WAV": "training",
    }
    assert warnings == []


def test_lists_are_read_however_they_are_written(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    paths = [f"{decomposed}/1.wav", f"{composed}2/2.wav", "no/3.wav", "no/4.wav", " no/5.wav"]
    dataset = make_files(tmp_path / "dataset", paths)
    lines = [f"{composed}/1.wav", f"{decomposed}2/2.wav", "./no/3.wav", "no\\4.wav", " no/5.wav "]
    forms = [("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r", "utf-8"), ("\r\n", "utf-16")]
    for end, encoding in forms:
        content = end.join([*lines, ""]).encode(encoding)
        (dataset / "validation_list.txt").write_bytes(content)
        (dataset / "testing_list.txt").write_bytes(b"")
        rows, warnings = sides_in(dataset)
        assert set(rows.split) == {"validation"}, (end, encoding)
        assert warnings == []


def test_a_name_with_a_backslash_is_in_a_list(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/a\\b.wav", "no/a/b.wav"])
    write_lists(dataset, "no/a\\b.wav\n", "no/a/b.wav\n")
    rows, _ = sides_in(dataset)
    assert rows.split.to_dict() == {"no/a\\b.wav": "validation", "no/a/b.wav": "testing"}


def test_lists_that_do_not_fit_are_told_with_a_count(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/026290a7_nohash_0.wav", "no/x.wav"])
    write_lists(dataset, "no/x.wav\nno/gone.wav\nno/lost.wav\n")
    rows, warnings = sides_in(dataset)
    assert rows.split["no/x.wav"] == "validation"
    [warning] = warnings
    assert "validation_list.txt has 3 clips, 2 of them not in the dataset" in warning


def test_a_clip_in_both_lists_is_told(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/a.wav"])
    write_lists(dataset, "no/a.wav", "no/a.wav")
    rows, [warning] = sides_in(dataset)
    assert rows.split["no/a.wav"] == "testing" and "in both lists" in warning


@pytest.mark.parametrize("prefix", ["speech_commands/", "/data/"])
def test_lists_that_name_no_clip_do_not_put_all_into_training(tmp_path, prefix):
    dataset = make_files(tmp_path / "dataset", ["no/026290a7_nohash_0.wav"])
    write_lists(dataset, *2 * [f"{prefix}no/026290a7_nohash_0.wav\n"])
    rows, warnings = sides_in(dataset)
    assert list(rows.split) == ["validation"]
    assert "no clip of the dataset is in the lists: they are ignored" in warnings


def test_one_list_alone_is_not_believed(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/026290a7_nohash_0.wav"])
    (dataset / "testing_list.txt").write_text("no/026290a7_nohash_0.wav\n")
    rows, [warning] = sides_in(dataset)
    assert list(rows.split) == ["validation"]
    assert "testing_list.txt is ignored" in warning


def test_a_word_beside_the_lists_goes_by_the_rule(tmp_path):
    own = [f"hey_robot/{speaker}_nohash_0.wav" for speaker in ("026290a7", "0c40e715", "alice")]
    dataset = make_files(tmp_path / "dataset", ["no/0.wav", "no/1.wav", "no/2.wav", *own])
    write_lists(dataset, "no/0.wav\n", "no/1.wav\n")
    rows, [warning] = sides_in(dataset)
    assert (
        list(rows.split[own]) == list(map(which_set, own)) == ["validation", "testing", "training"]
    )
    assert rows.split["no/2.wav"] == "training"
    assert "no clip of 'hey_robot' is in the lists: a hash of the speaker decides" in warning
    assert "the split of 3 clips" in warning


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, " and 1 more")])
def test_a_few_words_beside_the_lists_are_named(tmp_path, count, more):
    words = [f"word{number}" for number in range(count)]
    dataset = make_files(tmp_path, ["no/0.wav", *(f"{word}/1.wav" for word in words)])
    write_lists(dataset, "no/0.wav\n")
    _, [warning, _] = sides_in(dataset)
    named = ", ".join(map(repr, words[:5]))
    assert warning.startswith(f"no clip of {named}{more} is in the lists")


def test_lists_that_change_during_the_run_end_it(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/0.wav"])
    write_lists(dataset, "no/0.wav\n")
    rows = rows_in(dataset)
    before = lists_digest(read_lists(dataset))
    write_lists(dataset, "", "no/0.wav\n")
    with pytest.raises(WavspecError, match="changed during the run: run again"):
        split_of(rows, dataset, PATH_PATTERN, SHARES, before)


@pytest.mark.parametrize(
    "folders",
    [
        {"train": "training", "test": "testing"},
        {"training": "training", "testing": "testing"},
        {"TRAIN": "training", "Val": "validation", "Test": "testing"},
        {"train": "training", "valid": "validation", "eval": "testing"},
        {"Training": "training", "validation": "validation", "dev": "validation"},
        {"x/train": "training", "x/test/more": "testing"},
        {"train": "training", "train/dev": "validation"},
    ],
    ids=str,
)
def test_folders_above_the_label_decide(tmp_path, folders):
    paths = {
        f"{folder}/yes/{n}_nohash_0.wav": folders[folder] for folder in folders for n in range(9)
    }
    rows, warnings = sides_in(make_files(tmp_path / "dataset", paths))
    assert rows.split.to_dict() == paths
    assert warnings == []


def test_words_can_be_called_as_sides_are(tmp_path):
    words = ["testing", "training", "train"]
    paths = [f"{word}/{n}_nohash_0.wav" for word in words for n in range(30)]
    dataset = make_files(tmp_path / "dataset", paths)
    rows, warnings = sides_in(dataset)
    assert list(rows.split) == list(map(which_set, rows.index))
    assert warnings == []
    assert list(find_clips(os.fspath(dataset)).labels) == sorted(words)


def test_folders_for_one_side_do_not_decide(tmp_path):
    paths = [f"{folder}yes/{n}_nohash_0.wav" for folder in ("", "test/") for n in range(20)]
    rows, [warning] = sides_in(make_files(tmp_path / "dataset", paths))
    assert list(rows.split) == list(map(which_set, rows.index))
    assert "20 clips" in warning and "'split' in path_pattern" in warning


def test_clips_beside_the_folders_that_decide_are_told(tmp_path):
    paths = ["train/yes/0.wav", "test/yes/1.wav", "more/yes/026290a7_nohash_0.wav"]
    rows, [warning] = sides_in(make_files(tmp_path / "dataset", paths))
    assert rows.split[paths[2]] == "validation"
    assert "1 clip ('more/yes/026290a7_nohash_0.wav')" in warning


def test_what_comes_first_decides(tmp_path):
    paths = ["train/dev-1.wav", "train/dev-2.wav", "train/-3.wav", "test/-4.wav"]
    dataset = make_files(tmp_path / "dataset", paths)
    write_lists(dataset, "", "train/dev-1.wav\n")
    pattern = r"[^/]+/(?P<split>dev)?(?P<label>-)\d\.wav"
    rows, warnings = sides_in(dataset, pattern)
    assert list(rows.split[paths]) == ["testing", "validation", "training", "testing"]
    assert warnings == []


def test_the_pattern_can_name_speakers(tmp_path):
    paths = [
        f"{digit}_{name}_{take}.wav" for digit in "01" for name in "abcdefgh" for take in "012"
    ]
    pattern = r"(?P<label>\d)_(?P<speaker>[a-z])_\d\.wav"
    rows, warnings = sides_in(make_files(tmp_path / "dataset", paths), pattern)
    assert [path[2] for path in rows.index] == list(rows.speaker)
    assert list(rows.split) == [which_set(speaker) for speaker in rows.speaker]
    assert warnings == []


def test_names_that_do_not_tell_the_speaker_are_told(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/alice_01.wav", "no/alice_02.wav"])
    rows, [warning] = sides_in(dataset)
    assert list(rows.speaker) == ["alice_01.wav", "alice_02.wav"]
    assert "2 of 2 clips, such as 'no/alice_01.wav', have no _nohash_ in their names" in warning
    assert "several splits" in warning and "'speaker'" in warning
    (dataset / "no/alice_02.wav").rename(dataset / "no/alice_nohash_2.wav")
    rows, [warning] = sides_in(dataset)
    assert list(rows.speaker) == ["alice_01.wav", "alice"]
    assert "1 of 2 clips" in warning


def test_background_noise_is_on_no_side(tmp_path):
    noise = "_background_noise_/pink.wav"
    dataset = make_files(tmp_path / "dataset", [noise, "no/a_nohash_0.wav"])
    rows, warnings = sides_in(dataset)
    assert rows.split[noise] == "" and warnings == []
    write_lists(dataset, "", f"no/a_nohash_0.wav\n{noise}\n")
    rows, _ = sides_in(dataset)
    assert rows.split[noise] == "testing"


def test_background_noise_in_folders_for_sides_is_on_no_side(tmp_path):
    paths = ["train/_background_noise_/a.wav", "train/no/b.wav", "test/no/c.wav"]
    rows, warnings = sides_in(make_files(tmp_path / "dataset", paths))
    assert list(rows.split[paths]) == ["", "training", "testing"] and warnings == []


def test_each_row_of_a_clip_has_its_side(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/a_nohash_0.wav", "yes/026290a7_nohash_0.wav"])
    rows = rows_in(dataset, rows_of_clip=3)
    lists = lists_digest(read_lists(dataset))
    split, _ = split_of(rows, dataset, PATH_PATTERN, SHARES, lists)
    assert split.to_csv() == (
        ",speaker,split\n0,a,training\n1,a,training\n2,a,training\n"
        "3,026290a7,validation\n4,026290a7,validation\n5,026290a7,validation\n"
    )


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"validation": 80, "testing": 80}, ["'split'", "80 % for validation", "validation: 10"]),
        ({"validation": 50, "testing": 50.0}, ["'split'", "no speakers for training"]),
        ({"validation": 0.1, "testing": 10}, ["'split.validation'", "mean 10, for 10 %"]),
        ({"validation": 10, "testing": 0.25}, ["'split.testing'", "mean 25, for 25 %"]),
    ],
)
def test_shares_that_cannot_be_meant_are_refused(shares, words):
    with pytest.raises(WavspecError) as error:
        check_shares(shares)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("shares", [(0, 0), (10, 10), (1, 98), (12.5, 0)])
def test_shares_that_leave_some_for_training(shares):
    check_shares(dict(zip(SHARES, shares, strict=True)))


def rows_of(*rows):
    columns = ["file_name", "label", "valid", "speaker", "split"]
    return pd.DataFrame(rows, columns=columns)


def test_the_summary_counts_valid_clips_and_speakers():
    rows = rows_of(
        ("a", "no", True, "ann", "training"),
        ("b", "no", True, "ann", "training"),
        ("c", "yes", True, "bob", "training"),
        ("c", "yes", True, "bob", "training"),  # the second example of a clip
        ("d", "no", True, "cy", "validation"),
        ("e", "yes", True, "cy", "validation"),
        ("f", "no", True, "di", "testing"),
        ("g", "yes", True, "di", "testing"),
        ("h", "yes", False, "eve", "testing"),
        ("i", "_background_noise_", True, "pink.wav", ""),
    )
    assert sides_in_words(rows) == (
        "Split of the valid clips: 3 training (2 speakers), 2 validation (1 speaker), "
        "2 testing (1 speaker), 1 in no split (1 speaker)"
    )


def test_the_summary_counts_invalid_clips_by_reason():
    rows = pd.DataFrame(
        [
            ("a", "no", True, "", "0", "0", "ann", "training"),
            ("b", "no", True, "", "99", "0", "ann", "training"),
            ("c", "no", False, "too short", "", "0", "ann", "training"),
            ("d", "no", False, "too short", "", "0", "ann", "training"),
            ("e", "yes", False, "unreadable", "", "0", "ann", "training"),
        ],
        columns=["file_name", "label", "valid", "reason", "padded", "example", "speaker", "split"],
    )
    assert account(rows, "there")[:3] == [
        "5 clips in 2 labels: 2 valid, 1 of them padded, 3 invalid "
        "(2 too short, 1 unreadable; see there/invalid.csv)",
        "  no 4, yes 1",
        CURES["too short"],
    ]


def test_valid_clips_that_are_likely_worthless_are_counted_with_an_example():
    rows = pd.DataFrame(
        [(f"{note} {number}", True, note) for note in NOTES for number in range(2)],
        columns=["file_name", "valid", "note"],
    )
    rows.loc[len(rows)] = "silent 0", True, "silent"
    lines = warnings_about(rows)
    assert sorted(line.partition(": ")[0] for line in lines) == sorted(
        f"{'3 examples of ' * (note == 'silent')}2 valid clips, such as '{note} 0'"
        for note in NOTES
    )
    assert all(NOTES[note] in " ".join(lines) for note in NOTES)


def test_the_summary_tells_sides_and_labels_that_lack_clips():
    rows = rows_of(
        ("a", "no", True, "ann", "training"),
        ("b", "yes", True, "ann", "training"),
        ("c", "yes", True, "bob", "testing"),
        ("d", "no", False, "bob", "testing"),
        ("e", "no", False, "bob", "validation"),
        ("f", "up", True, "bob", "testing"),
    )
    assert sides_in_words(rows).split("\n")[1:] == [
        "The classifier needs valid clips of each label in each split. There are none for training "
        "of up; none for validation; none for testing of no. Add speakers, or set larger shares in "
        "`split`."
    ]


def test_nothing_valid_is_an_error_with_what_helps():
    columns = ["file_name", "valid", "reason", "detail"]
    rows = pd.DataFrame(
        [
            ("no/a.wav", False, "too short", "0.500 s, 0.975 needed"),
            ("no/b.wav", False, "too short", "0.400 s, 0.975 needed"),
            ("no/c.wav", False, "unreadable", ""),
        ],
        columns=columns,
    )
    with pytest.raises(WavspecError) as error:
        check_some_valid(rows)
    assert str(error.value).split("\n") == [
        "None of 3 clips is valid:",
        "  2 too short, such as 'no/a.wav': 0.500 s, 0.975 needed",
        "  1 unreadable, such as 'no/c.wav'",
        "  Too short: set `short_clips: pad` to append zeros to short clips.",
    ]
    with pytest.raises(WavspecError, match="long_clips: cut"):
        check_some_valid(rows.assign(reason="too long"))
    rows.loc[2, "valid"] = True
    check_some_valid(rows)


text = st.text(st.characters(codec="utf-8", categories=["L", "M", "N", "P", "S", "Zs"]), min_size=1)
tricky = st.sampled_from(
    ["nan", "NaN", "None", "NA", "null", "01", "1e5", "true", "False", "-inf", " "]
)


# Files and a busy machine take longer than Hypothesis allows.
@settings(deadline=None)
@given(st.lists(st.tuples(text | tricky, text | tricky, st.booleans()), min_size=1, max_size=5))
def test_the_lines_that_load_the_results_give_back_labels_and_speakers(tmp_path_factory, rows):
    results = tmp_path_factory.mktemp("it's")
    labels, speakers, valid = zip(*rows, strict=True)
    files = [f"demo/{label}/{number}.wav" for number, label in enumerate(labels)]
    np.zeros((len(rows), 96, 64)).tofile(results / "wavfile_spec.dat")
    clips = pd.DataFrame({"file_name": files, "label": labels, "valid": valid})
    clips.to_csv(results / "wavfile_df.csv", lineterminator="\n")
    sides = pd.DataFrame({"speaker": speakers, "split": np.where(valid, "training", "")})
    sides.to_csv(results / "wavfile_split.csv", lineterminator="\n")

    loaded = {"np": np, "pd": pd}
    exec(loading_lines(results), loaded)
    assert loaded["audio"].shape == (len(rows), 96, 64)
    df = loaded["df"]
    assert (tuple(df.label), tuple(df.speaker)) == (labels, speakers)
    assert list(df.split) == list(sides.split)
    assert df.valid.dtype == bool and tuple(df.valid) == valid


def sides_of(workflow):
    """{path below the dataset: side} in the tables that a run wrote."""
    df = pd.read_csv(workflow.results / "wavfile_df.csv", index_col=0)
    df = df.join(pd.read_csv(workflow.results / "wavfile_split.csv", index_col=0))
    return {os.path.relpath(row.file_name, "../dataset"): row.split for row in df.itertuples()}


def test_changed_lists_and_shares_redo_the_split(built):
    assert built.run(split="{validation: 40}") == {"tables"}
    assert built.run(split="{testing: 10.0, validation: 40.0}") == set()
    assert built.run() == {"tables"}
    write_lists(built.dataset, "no/0.wav\n", "yes/1.wav\ngo/1.wav\n")
    assert built.run() == {"tables"}
    sides = sides_of(built)
    assert sides["no/0.wav"] == "validation" and sides["yes/1.wav"] == "testing"
    assert list(sides.values()).count("training") == 3
    write_lists(built.dataset, "no/0.wav\nyes/1.wav\n", "go/1.wav\n")
    assert built.run() == {"tables"}
    assert sides_of(built)["yes/1.wav"] == "validation"


def test_lists_in_a_dataset_below_home(built, monkeypatch):
    write_lists(built.dataset, "no/0.wav\n", "yes/1.wav\n")
    monkeypatch.setenv("HOME", os.fspath(built.dataset.parent))
    built.snakemake(dataset="~/dataset/")
    split = pd.read_csv(built.results / "wavfile_split.csv", index_col=0)
    df = pd.read_csv(built.results / "wavfile_df.csv", index_col=0).join(split)
    home = f"{built.dataset}/"
    assert list(df.file_name[df.split == "validation"]) == [f"{home}no/0.wav"]
    assert list(df.file_name[df.split == "testing"]) == [f"{home}yes/1.wav"]
    assert built.planned(dataset="~/dataset") == set()


def test_the_summary_has_the_sides_and_lines_that_load_it_all(built, monkeypatch):
    summary = (built.results / "summary.txt").read_text()
    assert "Split of the valid clips: " in summary and "(2 speakers)" in summary
    lines = summary.partition("To load them")[2].split("\n", 1)[1]
    loaded = {"np": np, "pd": pd}
    monkeypatch.chdir(built.folder)
    exec(textwrap.dedent(lines), loaded)
    assert list(loaded["df"].label) == ["go", "go", "no", "no", "yes", "yes"]


def test_a_run_without_a_valid_clip_fails(workflow):
    for path in workflow.dataset.rglob("*.wav"):
        write_wav(path, samples=100)
    process = workflow.snakemake(check=False)
    assert process.returncode == 1
    assert "None of 6 clips is valid:" in process.stdout and "short_clips: pad" in process.stdout
    assert "Traceback" not in process.stdout
    workflow.snakemake(short_clips="pad")
