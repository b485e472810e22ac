"""Speakers and splits: by a table, lists, patterns and folders, or by the published hash."""

import hashlib
import os
import re
import textwrap
import unicodedata
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment
from pipeline.configuration import check_percentages
from tables import NOTES, summary_lines, warnings_about
from wavs import REAL_CLIPS, needs_real_clips, write_wav
from wavspec.dataset import PATH_PATTERN, SPLITS, find_clips
from wavspec.errors import WavspecError
from wavspec.lists import read_lists
from wavspec.split import fitting_shares, percentage_of, split_by_hash, split_of
from wavspec.split_checks import SHARES, shared_speakers, speakers_in_testing, split_warnings
from wavspec.summary import CURES, check_some_valid, loading_lines, split_summary
from workflow import ROOT, Workflow

# The splits of some speakers in the lists of Speech Commands.
OFFICIAL = {
    "wow/026290a7_nohash_1.wav": "validation",
    "bed/026290a7_nohash_0.wav": "validation",
    "bed/0c40e715_nohash_0.wav": "testing",
}


def make_files(folder, paths):
    """Make empty files; return the folder."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def rows_in(dataset, path_pattern=PATH_PATTERN, rows_of_clip=1):
    """The rows of the array that hold the clips of the dataset, as `labels.read_rows` has them."""
    labels = find_clips(os.fspath(dataset), path_pattern).labels
    rows = [
        (clip.path, label, str(example))
        for label, clips in labels.items()
        for clip in clips
        for example in range(rows_of_clip)
    ]
    return pd.DataFrame(rows, columns=["path", "label", "example"])


def split_in(dataset, path_pattern=PATH_PATTERN, shares=SHARES, given=None):
    """The split of the dataset, as a DataFrame with the index path, and all warnings about it."""
    rows = rows_in(dataset, path_pattern)
    split, warnings = split_of(rows, read_lists(dataset), path_pattern, shares, given)
    assert list(split.index) == list(range(len(rows)))
    clips = rows.join(split).set_index("path", drop=False)
    return clips, warnings + split_warnings(clips, shares)


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


def by_hash(paths):
    """The splits of clips by the hash."""
    rows = pd.DataFrame({"path": paths, "label": "word", "example": "0"})
    return list(split_of(rows, {}, ".*(?P<label>)", SHARES)[0].split)


def test_the_hash_gives_the_official_splits():
    assert by_hash(list(OFFICIAL)) == list(OFFICIAL.values()) == list(map(which_set, OFFICIAL))


@needs_real_clips
def test_the_hash_reproduces_the_lists_of_real_clips(tmp_path):
    by_lists, _ = split_in(REAL_CLIPS)
    assert set(by_lists.split) == set(SPLITS)
    assert list(by_lists.split) == list(map(which_set, by_lists.index))
    hashed, warnings = split_in(make_files(tmp_path / "without lists", by_lists.index))
    assert (hashed.split == by_lists.split).all() and (hashed.speaker == by_lists.speaker).all()
    assert warnings == []


names = st.text(st.characters(exclude_characters="/\0\r\n", codec="utf-8"), max_size=9)
takes = st.sampled_from(["", "_nohash_0", "_nohash_x_nohash_1"])


endings = st.sampled_from([".wav", ".WAV", ".flac"])


@settings(max_examples=20, deadline=None)
@given(st.sets(st.tuples(names, takes, endings).map("".join), min_size=1, max_size=20))
def test_the_hash_is_the_published_one_for_every_name(names):
    paths = [f"word/{name}" for name in names]
    assert by_hash(paths) == list(map(which_set, paths))


names_of_speakers = st.text(
    st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=9
)


@given(st.integers(0, 99), st.integers(0, 99), names_of_speakers)
def test_a_larger_share_only_adds_speakers(smaller, larger, speaker):
    smaller, larger = sorted([smaller, larger])
    if split_by_hash(speaker, smaller, 0) == "validation":
        assert split_by_hash(speaker, larger, 0) == "validation"


def test_the_hash_gives_the_shares():
    splits = [split_by_hash(f"speaker {number}", 10, 20) for number in range(20_000)]
    assert 0.09 < splits.count("validation") / len(splits) < 0.11
    assert 0.19 < splits.count("testing") / len(splits) < 0.21
    assert {split_by_hash(str(number), 0, 0) for number in range(100)} == {"training"}


def test_the_lists_decide(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/a.wav", "no/b.wav", "yes/c.wav", "yes/d.WAV"])
    write_lists(dataset, "no/a.wav\n", "./yes/c.wav\n\n")
    clips, warnings = split_in(dataset)
    assert clips.split.to_dict() == {
        "no/a.wav": "validation",
        "no/b.wav": "training",
        "yes/c.wav": "testing",
        "yes/d.WAV": "training",
    }
    assert len(warnings) == 1 and "no known speaker" in warnings[0]


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
        clips, warnings = split_in(dataset)
        assert set(clips.split) == {"validation"}, (end, encoding)
        assert not any("not in the dataset" in warning for warning in warnings)


def test_a_name_with_a_backslash_is_in_a_list(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/a\\b.wav", "no/a/b.wav"])
    write_lists(dataset, "no/a\\b.wav\n", "no/a/b.wav\n")
    clips, _ = split_in(dataset)
    assert clips.split.to_dict() == {"no/a\\b.wav": "validation", "no/a/b.wav": "testing"}


def test_lists_that_do_not_fit_are_counted(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/026290a7_nohash_0.wav", "no/x.wav"])
    write_lists(dataset, "no/x.wav\nno/gone.wav\nno/lost.wav\n")
    clips, [warning, *_] = split_in(dataset)
    assert clips.split["no/x.wav"] == "validation"
    assert "validation_list.txt has 3 clips, 2 of them not in the dataset" in warning


def test_a_clip_in_both_lists_counts_as_testing(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/a.wav"])
    write_lists(dataset, "no/a.wav", "no/a.wav")
    clips, [warning, *_] = split_in(dataset)
    assert clips.split["no/a.wav"] == "testing" and "in both lists" in warning


@pytest.mark.parametrize("prefix", ["speech_commands/", "/data/"])
def test_lists_that_name_no_clip_do_not_put_all_into_training(tmp_path, prefix):
    dataset = make_files(tmp_path / "dataset", ["no/026290a7_nohash_0.wav"])
    write_lists(dataset, *2 * [f"{prefix}no/026290a7_nohash_0.wav\n"])
    clips, warnings = split_in(dataset)
    assert list(clips.split) == ["validation"]
    assert "no clip of the dataset is in the lists: they are ignored" in warnings


def test_one_list_alone_counts_and_the_hash_takes_the_other_split(tmp_path):
    paths = [f"no/{speaker}_nohash_0.wav" for speaker in ("a", "b", "026290a7", "0c40e715")]
    dataset = make_files(tmp_path / "dataset", paths)
    (dataset / "testing_list.txt").write_text("no/a_nohash_0.wav\n")
    clips, [warning] = split_in(dataset)
    assert list(clips.split[paths]) == ["testing", "training", "validation", "training"]
    assert "takes 1 for validation from the 3 for training" in warning


def test_lists_beside_a_folder_audio_as_kaggle_has_them(tmp_path):
    paths = ["yes/a_nohash_0.wav", "yes/b_nohash_0.wav", "yes/c_nohash_0.wav"]
    make_files(tmp_path / "train", [f"audio/{path}" for path in paths])
    write_lists(tmp_path / "train", paths[0], paths[1])
    for folder in ("train", "train/audio"):
        clips, warnings = split_in(tmp_path / folder)
        assert list(clips.split) == ["validation", "testing", "training"] and warnings == []


def test_the_hash_decides_for_labels_beside_the_lists(tmp_path):
    own = [f"hey_robot/{speaker}_nohash_0.wav" for speaker in ("026290a7", "0c40e715", "alice")]
    listed = [f"no/{number}_nohash_0.wav" for number in range(3)]
    dataset = make_files(tmp_path / "dataset", [*listed, *own])
    write_lists(dataset, listed[0], listed[1])
    clips, [warning] = split_in(dataset)
    assert (
        list(clips.split[own]) == list(map(which_set, own)) == ["validation", "testing", "training"]
    )
    assert clips.split[listed[2]] == "training"
    assert f"but for 3 clips (such as '{own[0]}')" in warning


def test_a_new_clip_of_a_listed_speaker_follows_its_speaker_or_is_counted(tmp_path):
    paths = ["no/alice_nohash_0.wav", "no/bert_nohash_0.wav", "no/cy_nohash_0.wav"]
    own, unlisted = "hey/alice_nohash_0.wav", "no/alice_nohash_1.wav"
    dataset = make_files(tmp_path / "dataset", [*paths, own])
    write_lists(dataset, paths[0], paths[1])
    assert which_set(own) == "training"
    clips, [warning] = split_in(dataset)
    assert clips.split[own] == "validation" and "by the speaker's other clips" in warning
    # In a label of the lists, what they do not name is for training.
    make_files(dataset, [unlisted])
    clips, warnings = split_in(dataset)
    assert clips.split[unlisted] == "training"
    assert warnings[0].startswith("1 of 3 speakers is in more than one split, such as 'alice'")


@pytest.mark.parametrize(
    "folders",
    [
        {"train": "training", "test": "testing", "dev": "validation"},
        {"TRAIN": "training", "Val": "validation", "Test": "testing"},
        {"train": "training", "valid": "validation", "eval": "testing"},
        {"x/train": "training", "x/test/more": "testing", "train/dev": "validation"},
    ],
    ids=str,
)
def test_folders_above_the_label_decide(tmp_path, folders):
    paths = {
        f"{folder}/yes/{folders[folder]}{n}_nohash_{take}.wav": folders[folder]
        for folder in folders
        for n in range(9)
        for take in "01"
    }
    clips, warnings = split_in(make_files(tmp_path / "dataset", paths))
    assert clips.split.to_dict() == paths
    assert warnings == []


def test_labels_can_be_named_as_splits(tmp_path):
    labels = ["testing", "training", "train"]
    paths = [f"{label}/{n}_nohash_0.wav" for label in labels for n in range(30)]
    dataset = make_files(tmp_path / "dataset", paths)
    clips, warnings = split_in(dataset)
    assert list(clips.split) == list(map(which_set, clips.index))
    assert warnings == []
    assert list(find_clips(os.fspath(dataset)).labels) == sorted(labels)


def test_folders_without_training_do_not_decide(tmp_path):
    paths = [f"{folder}yes/{n}_nohash_0.wav" for folder in ("", "test/") for n in range(20)]
    clips, [warning] = split_in(make_files(tmp_path / "dataset", paths))
    assert list(clips.split) == list(map(which_set, clips.index))
    assert "20 clips" in warning and "'split' in path_pattern" in warning


def test_what_comes_first_decides(tmp_path):
    paths = ["train/dev-1.wav", "train/dev-2.wav", "train/-3.wav", "test/-4.wav", "test/-5.wav"]
    dataset = make_files(tmp_path / "dataset", paths)
    write_lists(dataset, "", "train/dev-1.wav\n")
    pattern = r"[^/]+/(?P<split>dev)?(?P<label>-)\d\.wav"
    table = pd.DataFrame({"split": ["testing", "", "validation", "", ""]})  # as the rows
    assert list(rows_in(dataset, pattern).path[:3]) == ["test/-4.wav", "test/-5.wav", paths[2]]
    for of_table, of_third in ((None, "training"), (table, "validation")):
        clips, _ = split_in(dataset, pattern, given=of_table)
        expected = ["testing", "validation", of_third, "testing", "testing"]
        assert list(clips.split[paths]) == expected


def test_a_table_decides_before_everything_else(tmp_path):
    paths = ["test/no/a-1.wav", "train/no/b-1.wav", "train/no/c-1.wav"]
    dataset = make_files(tmp_path / "dataset", paths)
    write_lists(dataset, "train/no/b-1.wav", "test/no/a-1.wav")
    pattern = r"(?P<split>test|train)/(?P<label>[^/]+)/(?P<speaker>.)-\d\.wav"
    table = pd.DataFrame({"speaker": ["x", "", "x"], "split": ["training", "testing", ""]})
    clips, _ = split_in(dataset, pattern, given=table)
    assert list(clips.speaker) == ["x", "b", "x"]
    assert list(clips.split.iloc[:2]) == ["training", "testing"]
    assert list(clips.decided_by.iloc[:2]) == ["table", "table"]
    clips, _ = split_in(dataset, pattern, given=table[["speaker"]])
    assert list(clips.speaker) == ["x", "b", "x"]
    assert list(clips.split.iloc[:2]) == ["testing", "validation"]


def test_the_pattern_can_name_speakers(tmp_path):
    paths = [
        f"{digit}_{name}_{take}.wav" for digit in "01" for name in "abcdefgh" for take in "012"
    ]
    pattern = r"(?P<label>\d)_(?P<speaker>[a-z])_\d\.wav"
    clips, warnings = split_in(make_files(tmp_path / "dataset", paths), pattern)
    assert [path[2] for path in clips.index] == list(clips.speaker)
    assert list(clips.split) == [which_set(speaker) for speaker in clips.speaker]
    assert warnings == []


def test_names_without_a_speaker_are_counted(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/alice_01.wav", "no/alice_02.wav"])
    clips, [warning] = split_in(dataset)
    assert list(clips.speaker) == ["", ""]
    assert list(clips.split) == list(map(which_set, clips.index))
    assert warning.startswith("2 of 2 clips, such as 'no/alice_01.wav', have no known speaker")
    assert "_nohash_" in warning and "'speaker'" in warning
    (dataset / "no/alice_02.wav").rename(dataset / "no/alice_nohash_2.wav")
    clips, [warning] = split_in(dataset)
    assert list(clips.speaker) == ["", "alice"]
    assert "1 of 2 clips" in warning


def test_the_same_file_name_in_two_splits_is_not_the_same_speaker(tmp_path):
    paths = [f"{folder}/yes/{n}.wav" for folder in ("train", "val", "test") for n in range(9)]
    clips, [warning] = split_in(make_files(tmp_path / "dataset", paths))
    assert shared_speakers(clips).empty and warning.startswith("27 of 27 clips")
    assert speakers_in_testing(clips) == "the speakers of 9 of 9 testing examples are unknown"


# Speakers in several splits


def test_speakers_in_several_splits_are_counted_by_folders(tmp_path):
    paths = [
        f"{split}/{label}/{speaker}_nohash_{take}.wav"
        for split, speakers in {"train": "abc", "val": "bd", "test": "abe"}.items()
        for speaker in speakers
        for label in ("no", "yes")
        for take in "01"
    ]
    clips, warnings = split_in(make_files(tmp_path / "dataset", paths))
    assert warnings == [
        "2 of 5 speakers are in more than one split, such as 'b' (4 training, 4 validation, 4 "
        "testing clips): expect less accuracy on new speakers"
    ]
    assert shared_speakers(clips).to_dict("index") == {
        "a": {"training": 4, "validation": 0, "testing": 4},
        "b": {"training": 4, "validation": 4, "testing": 4},
    }
    assert speakers_in_testing(clips) == (
        "2 of 3 testing speakers are also in training: expect less on new speakers"
    )
    alone = clips[clips.speaker.isin(["c", "d", "e"])]
    assert speakers_in_testing(alone) == "none of 1 testing speaker is in training"


def test_recordings_that_lists_cut_in_two_are_counted(tmp_path):
    """As ESC-50's folds: the recording is the speaker, and a later fold has its second half."""
    paths = [f"audio/{fold}-{100 + fold // 2}-A-0.wav" for fold in range(1, 6)]
    dataset = make_files(tmp_path / "dataset", paths)
    write_lists(dataset, paths[3], paths[4])
    pattern = r"audio/\d-(?P<speaker>\d+)-[A-Z]-(?P<label>\d+)\.wav"
    _, [warning] = split_in(dataset, pattern)
    assert warning.startswith(
        "1 of 3 speakers is in more than one split, such as '102' (1 validation, 1 testing clips)"
    )


def test_background_noise_does_not_count(tmp_path):
    paths = [f"{split}/_background_noise_/a_nohash_0.wav" for split in ("train", "val", "test")]
    paths += [f"{split}/no/{split}_nohash_0.wav" for split in ("train", "val", "test")]
    clips, warnings = split_in(make_files(tmp_path / "dataset", paths))
    assert list(clips.split[paths]) == ["", "", "", *SPLITS] and warnings == []
    assert "No speaker is in two splits." in split_summary(clips.assign(valid=True))


def test_background_noise_is_in_a_split_only_if_the_lists_name_it(tmp_path):
    noise = "_background_noise_/pink.wav"
    dataset = make_files(tmp_path / "dataset", [noise, "no/a_nohash_0.wav"])
    clips, warnings = split_in(dataset)
    assert clips.split[noise] == "" and warnings == []
    write_lists(dataset, "", f"no/a_nohash_0.wav\n{noise}\n")
    assert split_in(dataset)[0].split[noise] == "testing"


def test_a_word_before_the_speaker_as_in_the_published_test_set(tmp_path):
    speakers = ["0c540988", "0c40e715", "9e92ef0c"]
    paths = [f"yes/{speaker}_nohash_{n}.wav.wav" for speaker in speakers for n in range(9)]
    paths += [f"_unknown_/backward_{speaker}_nohash_0.wav.wav" for speaker in speakers]
    clips, _ = split_in(make_files(tmp_path / "dataset", paths))
    assert set(clips.speaker) == set(speakers)


@pytest.mark.parametrize("labels", [["other"], ["other", "yes"]])
def test_names_that_hide_the_speaker_in_one_label_or_in_all(tmp_path, labels):
    paths = [
        f"{label}/{label * (label in labels)}{n}{speaker}_nohash_{take}.wav"
        for label in ("other", "yes")
        for speaker in "abcdefgh"
        for n in "01"
        for take in ("0" if label in labels else "01")
    ]
    clips, [warning] = split_in(make_files(tmp_path / "dataset", paths))
    assert warning.startswith(f"{16 * len(labels)} of {len(paths)} clips, such as 'other/other0a_")
    assert "are the only ones of their speaker, such as 'other0a'" in warning
    assert len(split_summary(clips.assign(valid=True))) == 1  # no promise


def test_some_speakers_with_one_clip_are_usual(tmp_path):
    paths = [f"yes/{n}_nohash_0.wav" for n in range(40)] + [
        f"no/{n}_nohash_0.wav" for n in range(9)
    ]
    assert split_in(make_files(tmp_path / "dataset", paths))[1] == []


# Splits that are missing


def in_folders(speakers, takes=5):
    """Paths of {folder: number of speakers}, each with some takes of two words."""
    return [
        f"{folder}{label}/{folder.strip('/')}{speaker}_nohash_{take}.wav"
        for folder, count in speakers.items()
        for speaker in range(count)
        for label in ("no", "yes")
        for take in range(takes)
    ]


@pytest.mark.parametrize(
    ("speakers", "taken"),
    [
        ({"train/": 60, "test/": 5}, {"validation"}),
        ({"train/": 60, "val/": 5}, {"testing"}),
        ({"train/": 60}, {"validation", "testing"}),
        # Without a speaker below 10 %, the nearest is taken.
        ({"train/": 2, "test/": 2}, {"validation"}),
        ({"train/": 3}, {"validation", "testing"}),
    ],
)
def test_missing_splits_are_taken_from_the_training_speakers(tmp_path, speakers, taken):
    clips, [warning] = split_in(make_files(tmp_path / "dataset", in_folders(speakers)))
    assert set(clips.split) == set(SPLITS)
    assert set(clips.split[clips.decided_by == "training"]) == taken
    assert shared_speakers(clips).empty
    assert warning.startswith("the split is decided by folders such as train/ and test/, with no")
    in_training = clips.index.str.startswith("train/")
    assert f"from the {in_training.sum()} for training" in warning
    if speakers["train/"] == 60:
        hashed = clips[in_training].speaker.map(lambda name: split_by_hash(name, **SHARES))
        expected = hashed.where(hashed.isin(taken), "training")
        assert (clips.split[in_training] == expected).all()


def test_nothing_is_taken_for_a_share_of_zero(tmp_path):
    dataset = make_files(tmp_path / "dataset", in_folders({"train/": 30, "test/": 5}))
    clips, [warning] = split_in(dataset, shares={"validation": 0, "testing": 10})
    assert set(clips.split) == {"training", "testing"}
    assert warning.startswith("config key 'split' has no effect")


def test_one_training_speaker_cannot_be_divided(tmp_path):
    dataset = make_files(tmp_path / "dataset", in_folders({"train/": 1, "test/": 1}))
    clips, [warning] = split_in(dataset)
    assert set(clips.split) == {"training", "testing"}
    assert "Add speakers for validation" in warning


def setting_in(warning):
    """The shares that a warning recommends."""
    validation, testing = re.search(r"split: {validation: (.*), testing: (.*)}", warning).groups()
    return {"validation": float(validation), "testing": float(testing)}


@pytest.mark.parametrize("case", ["hash", "lists", "pattern"])
def test_all_in_one_split_is_explained_with_shares_that_work(tmp_path, case):
    speakers = [name for name in map("{:08x}".format, range(400)) if which_set(name) == "testing"]
    paths = [f"test/yes/{speaker}_nohash_{n}.wav" for speaker in speakers for n in "01"]
    dataset = make_files(tmp_path / "dataset", paths)
    pattern = PATH_PATTERN
    if case == "hash":
        dataset /= "test"
    if case == "lists":
        write_lists(dataset, "", "\n".join(paths))
    if case == "pattern":
        pattern = "(?P<split>test)/(?P<label>[^/]+)/[^/]+"
    clips, [warning] = split_in(dataset, pattern)
    assert set(clips.split) == {"testing"}
    assert warning.startswith(f"all {len(paths)} clips are in testing: ")
    assert {
        "hash": "like all speakers of the testing split of Speech Commands",
        "lists": "delete the lists",
        "pattern": "remove that group",
    }[case] in warning
    shares = setting_in(warning)
    if case == "lists":
        write_lists(dataset)
    clips, _ = split_in(dataset, PATH_PATTERN, shares)
    for split in SPLITS:
        count = clips.speaker[clips.split == split].nunique()
        assert f"{count} in {split}" in warning
        assert count > len(speakers) * (0.7 if split == "training" else 0.05)


def test_one_speaker_cannot_be_divided(tmp_path):
    dataset = make_files(tmp_path / "dataset", [f"yes/anna_nohash_{n}.wav" for n in range(5)])
    _, [warning] = split_in(dataset)
    assert warning.startswith("all 5 clips are in validation: a hash puts 1 speaker there. Add")


def test_all_in_training_as_configured_is_no_warning(tmp_path):
    dataset = make_files(tmp_path / "dataset", [f"yes/{n}_nohash_0.wav" for n in range(9)])
    clips, warnings = split_in(dataset, shares={"validation": 0, "testing": 0})
    assert set(clips.split) == {"training"} and warnings == []


@settings(deadline=None)
@given(st.sets(names_of_speakers, min_size=1, max_size=9), st.integers(0, 40), st.integers(0, 40))
def test_fitting_shares_fit(speakers, validation, testing):
    shares = {"validation": validation, "testing": testing}
    for needed in (["validation"], ["testing"], ["validation", "testing"]):
        fit = fitting_shares(speakers, shares, needed)
        if fit:
            check_percentages(fit)
            assert {split_by_hash(name, **fit) for name in speakers} >= {"training", *needed}
        else:
            # Too few, or not apart by a whole percentage.
            assert len({int(percentage_of(name)) for name in speakers}) <= len(needed)


def test_shares_without_effect_are_named(tmp_path):
    folders = {"train/": 3, "val/": 3, "test/": 3}
    dataset = make_files(tmp_path / "dataset", in_folders(folders))
    shares = {"validation": 20, "testing": 10}
    assert split_in(dataset)[1] == []
    assert split_in(dataset, shares=shares)[1] == [
        "config key 'split' has no effect: the split is decided by folders such as train/ and test/"
    ]


def test_the_default_shares_are_the_same_everywhere():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    properties = schema["properties"]["split"]["properties"]
    assert config["split"] == SHARES == {name: properties[name]["default"] for name in properties}


def test_each_row_of_a_clip_has_its_split(tmp_path):
    dataset = make_files(tmp_path / "dataset", ["no/a_nohash_0.wav", "yes/026290a7_nohash_0.wav"])
    rows = rows_in(dataset, rows_of_clip=3)
    split, _ = split_of(rows, {}, PATH_PATTERN, SHARES)
    assert split[["speaker", "split"]].to_csv() == (
        ",speaker,split\n0,a,training\n1,a,training\n2,a,training\n"
        "3,026290a7,validation\n4,026290a7,validation\n5,026290a7,validation\n"
    )


def test_segments_of_one_file_can_have_other_speakers_and_splits():
    rows = pd.DataFrame({"path": "a.wav", "label": ["no", "no", "yes"], "example": ["0", "1", "0"]})
    table = pd.DataFrame({"speaker": ["x", "x", "y"], "split": ["training", "training", "testing"]})
    split, _ = split_of(rows, {}, ".*(?P<label>)", SHARES, table)
    assert split[["speaker", "split"]].values.tolist() == table.values.tolist()


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
        check_percentages(shares)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("shares", [(0, 0), (10, 10), (1, 98), (12.5, 0)])
def test_shares_that_leave_some_for_training(shares):
    check_percentages(dict(zip(SHARES, shares, strict=True)))


CLIPS = [
    ("a", "no", True, "ann", "training"),
    ("b", "no", True, "ann", "training"),
    ("c", "yes", True, "bob", "training"),
    ("d", "no", True, "cy", "validation"),
    ("e", "yes", True, "cy", "validation"),
    ("f", "no", True, "di", "testing"),
    ("g", "yes", True, "di", "testing"),
    ("h", "yes", False, "eve", "testing"),
    ("i", "_background_noise_", True, "", ""),
]


def test_the_summary_counts_valid_clips_and_speakers():
    clips = pd.DataFrame(CLIPS, columns=["path", "label", "valid", "speaker", "split"])
    counts, promise = split_summary(clips)
    assert counts == (
        "Split of the valid clips: 3 training (2 speakers), 2 validation (1 speaker), "
        "2 testing (1 speaker), 1 in no split"
    )
    assert promise == "No speaker is in two splits."
    unknown = clips.assign(speaker=clips.speaker.replace({"ann": "", "bob": ""}))
    assert split_summary(unknown) == [counts.replace(" (2 speakers)", "")]
    shared = clips.replace({"speaker": {"di": "cy"}, "split": {"training": "testing"}})
    assert split_summary(shared) == [
        "Split of the valid clips: 0 training, 2 validation (1 speaker), 5 testing (3 speakers), "
        "1 in no split"
    ]


def test_the_summary_counts_invalid_clips_by_reason():
    rows = pd.DataFrame(
        [
            ("a", "no", True, "", "0", "0", "ann", "training"),
            ("b", "no", True, "", "99", "0", "ann", "training"),
            ("c", "no", False, "too short", "", "0", "ann", "training"),
            ("d", "no", False, "too short", "", "0", "ann", "training"),
            ("e", "yes", False, "unreadable", "", "0", "ann", "training"),
        ],
        columns=["path", "label", "valid", "reason", "padded", "example", "speaker", "split"],
    )
    assert summary_lines(rows, "there")[:3] == [
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


def test_nothing_valid_is_an_error_with_what_helps():
    columns = ["file_name", "valid", "reason", "detail", "example"]
    rows = pd.DataFrame(
        [
            ("no/a.wav", False, "too short", "0.500 s, 0.975 needed", "0"),
            ("no/b.wav", False, "too short", "0.400 s, 0.975 needed", "0"),
            ("no/c.wav", False, "unreadable", "", "0"),
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
    split = pd.DataFrame({"speaker": speakers, "split": np.where(valid, "training", "")})
    split.to_csv(results / "wavfile_split.csv", lineterminator="\n")

    loaded = {"np": np, "pd": pd}
    exec(loading_lines(results), loaded)
    assert loaded["audio"].shape == (len(rows), 96, 64)
    df = loaded["df"]
    assert (tuple(df.label), tuple(df.speaker)) == (labels, speakers)
    assert list(df.split) == list(split.split)
    assert df.valid.dtype == bool and tuple(df.valid) == valid


def test_the_readme_loads_the_results_as_the_summary_does():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"\n{loading_lines('results')}" in readme


@pytest.mark.parametrize("name", ["confusion_matrix", "learning_curve"])
def test_captions_promise_what_the_summary_does(tmp_path, name):
    caption = Environment().from_string((ROOT / "report" / f"{name}.rst").read_text())
    (tmp_path / "summary.txt").write_text("Split: ...\nNo speaker is in two splits.\nTo load\n")
    picture = SimpleNamespace(path=tmp_path / "classifier" / f"{name}.svg")
    other = SimpleNamespace(path=tmp_path / "pictures" / "outcomes.svg")
    assert "No speaker" in caption.render(files=[other, picture])
    shared = "2 of 5 speakers are in more than one split"
    (tmp_path / "summary.txt").write_text(f"Warning: {shared}, such as 'a_': expect\n")
    text = caption.render(files=[other, picture])
    assert "o speaker" not in text and (shared in text) == (name == "confusion_matrix")


def split_written(workflow):
    """{path below the dataset: split} in the tables that a run wrote."""
    df = pd.read_csv(workflow.results / "wavfile_df.csv", index_col=0)
    df = df.join(pd.read_csv(workflow.results / "wavfile_split.csv", index_col=0))
    return {os.path.relpath(row.file_name, "../dataset"): row.split for row in df.itertuples()}


def test_changed_lists_and_shares_redo_the_split(built):
    assert built.run(split="{validation: 40}") == {"tables"}
    assert built.run(split="{testing: 10.0, validation: 40.0}") == set()
    assert built.run() == {"tables"}
    write_lists(built.dataset, "no/0.wav\n", "yes/1.wav\ngo/1.wav\n")
    assert built.run() == {"tables"}
    split = split_written(built)
    assert split["no/0.wav"] == "validation" and split["yes/1.wav"] == "testing"
    assert list(split.values()).count("training") == 3
    write_lists(built.dataset, "no/0.wav\nyes/1.wav\n", "go/1.wav\n")
    assert built.run() == {"tables"}
    assert split_written(built)["yes/1.wav"] == "validation"


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


def test_the_summary_has_the_split_and_lines_that_load_it_all(built, monkeypatch):
    summary = (built.results / "summary.txt").read_text()
    assert "Split of the valid clips: " in summary and "The classifier needs" not in summary
    lines = summary.partition("To load them")[2].split("\n", 1)[1]
    loaded = {"np": np, "pd": pd}
    monkeypatch.chdir(built.folder)
    exec(textwrap.dedent(lines), loaded)
    assert list(loaded["df"].label) == ["go", "go", "no", "no", "yes", "yes"]


def test_a_speaker_in_all_folders_is_a_warning_at_the_end_and_in_the_summary(tmp_path):
    for folder in ("train", "val", "test"):
        for label in ("no", "yes"):
            write_wav(tmp_path / "dataset" / folder / label / "anna_nohash_0.wav")
    workflow = Workflow(tmp_path / "project", tmp_path / "dataset")
    screen = workflow.snakemake().stdout
    warning = (
        "Warning: 1 of 1 speaker is in more than one split, such as 'anna' (2 training, 2 "
        "validation, 2 testing clips): expect less accuracy on new speakers\n"
    )
    summary = (workflow.results / "summary.txt").read_text()
    assert screen.count(warning) == summary.count(warning) == 1
    assert "No speaker is" not in summary


def test_a_run_without_a_valid_clip_fails(workflow):
    for path in workflow.dataset.rglob("*.wav"):
        write_wav(path, samples=100)
    process = workflow.snakemake(check=False)
    assert process.returncode == 1
    assert "None of 6 clips is valid:" in process.stdout and "short_clips: pad" in process.stdout
    assert "Traceback" not in process.stdout
    workflow.snakemake(short_clips="pad")
