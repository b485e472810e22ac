"""`path_pattern`: which files are clips, their labels, speakers and splits."""

import errno
import os
import re
import shutil

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES
from test_split import make_files, split_in
from wavs import make_dataset
from wavspec.clip import file_name_of, label_in
from wavspec.dataset import (
    PATH_PATTERN,
    READ_AS_MISSING,
    compiled,
    file_state,
    find_clips,
    leads_to_folder,
    matched,
)
from wavspec.errors import WavspecError
from workflow import ROOT


def labels_of(dataset, *path_pattern):
    """{label: [path, ...]} of the dataset's clips."""
    labels = find_clips(os.fspath(dataset), *path_pattern).labels
    return {label: [clip.path for clip in clips] for label, clips in labels.items()}


def rows_of_the_page():
    """The rows of the table in docs/datasets.md: the name, and the code in the other columns."""
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    _, table = page.split("| data set |")
    for line in table.splitlines()[2:]:
        if not line.startswith("|"):
            return
        name, *cells = line.strip("|").split("|")
        yield name.strip(), *(re.findall("`([^`]*)`", cell) for cell in cells)


ROWS = list(rows_of_the_page())


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_patterns_of_the_page(tmp_path, row):
    _, paths, patterns, labels, speakers, splits = row
    dataset = make_files(tmp_path / "dataset", [*paths, "README.md", ".trash/yes/0.wav"])
    assert len(paths) == len(labels) and len(speakers) in (0, len(paths))
    found = labels_of(dataset, *patterns)
    assert {path: label for label in found for path in found[label]} == dict(
        zip(paths, labels, strict=True)
    )
    rows, _ = split_in(dataset, *patterns)
    for path, speaker in zip(paths, speakers, strict=False):
        assert rows.speaker[path] == speaker
    for path, split in zip(paths, splits, strict=False):
        assert split == " " or rows.split[path] == split


def test_the_page_has_all_its_rows():
    assert len(ROWS) == 23
    assert sum(bool(row[5]) for row in ROWS) == 6


def test_the_default_is_the_same_everywhere():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    assert config["path_pattern"] == PATH_PATTERN
    assert schema["properties"]["path_pattern"]["default"] == PATH_PATTERN


names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1)


@given(
    st.lists(names, max_size=4),
    names.filter(lambda name: name[0] != "."),
    st.sampled_from([".wav", ".WAV", ".wAv"]),
)
def test_the_default_takes_the_nearest_folder(folders, name, ending):
    match = matched(compiled(PATH_PATTERN), "/".join([*folders, name + ending]))
    assert match["label"] == (folders[-1] if folders else None)


def test_two_paths_can_have_one_label(tmp_path):
    dataset = make_files(tmp_path, ["a/yes-1.wav", "b/yes-2.wav", "b/no-1.wav"])
    pattern = r".*/(?P<label>\w+)-\d\.wav"
    assert labels_of(dataset, pattern) == {
        "no": ["b/no-1.wav"],
        "yes": ["a/yes-1.wav", "b/yes-2.wav"],
    }


def test_a_label_can_have_slashes(tmp_path):
    dataset = make_files(tmp_path, ["a/b/1.wav"])
    assert labels_of(dataset, r"(?P<label>.*)/[^/]*\.wav") == {"a/b": ["a/b/1.wav"]}


@pytest.mark.parametrize("in_pattern", ["wav", "WAV"])
@pytest.mark.parametrize("on_disk", ["wav", "WAV", "Wav"])
def test_the_case_of_the_ending_does_not_matter(tmp_path, in_pattern, on_disk):
    dataset = make_files(tmp_path, [f"yes/1.{on_disk}", "YES/1.wav"])
    found = labels_of(dataset, rf"(?P<label>[a-z]+)/\d\.{in_pattern}")
    assert found == {"yes": [f"yes/1.{on_disk}"]}


def test_other_endings_are_clips_if_the_pattern_names_them(tmp_path):
    dataset = make_files(
        tmp_path, ["a/1.flac", "a/2.wav", "a/3.OGG", "a/4.mp3", "a/5.MP3", "a/6.txt"]
    )
    found = find_clips(os.fspath(dataset), r"(?P<label>[^/]+)/\d\.(flac|ogg)")
    assert [clip.path for clip in found.labels["a"]] == ["a/1.flac", "a/3.OGG"]
    warning, _ = found.warnings
    assert "1 .wav, 2 .mp3, such as 'a/2.wav'" in warning and "path_pattern" in warning
    left_out = dict(found.left_out)
    assert list(left_out) == ["a/2.wav", "a/4.mp3", "a/5.MP3"]
    assert set(left_out.values()) == {"path_pattern does not match"}


def test_a_converted_file_is_not_left_out(tmp_path):
    files = ["a/1.m4a", "a/1.wav", "a/2.m4a", "b/2.wav"]
    found = find_clips(os.fspath(make_files(tmp_path, files)))
    [warning] = found.warnings
    assert "cannot read are left out: 1 .m4a, such as 'a/2.m4a'." in warning
    assert found.left_out == [("a/2.m4a", "libsndfile cannot read it")]


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"(?P<label>[^/]+/[^/]+\.wav", "is not a regular expression: missing )"),
        (r"(?P<lable>[^/]+)/[^/]+\.wav", "has no group (?P<label>...)"),
        (r"(?P<label>[^/]+)\.wav", "matches no file of the dataset"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(tmp_path, pattern, fault):
    dataset = make_files(tmp_path, ["about/notes.txt", "yes/0.m4a", "yes/1.flac"])
    with pytest.raises(WavspecError) as error:
        find_clips(os.fspath(dataset), pattern)
    assert f"config key 'path_pattern': '{pattern}' {fault}" in str(error.value)
    [example] = re.findall("path_pattern: '(.*?)'", str(error.value))
    if "matches no file" in fault:
        assert "such as 'yes/1.flac'" in str(error.value)
        assert labels_of(dataset, example) == {"yes": ["yes/1.flac"]}
    else:
        assert example == PATH_PATTERN


def test_only_a_folder_that_is_called_like_audio_is_taken_for_a_clip(tmp_path):
    dataset = make_files(tmp_path, ["yes/session/1.wav", "yes/2.wav/3.txt"])
    found = labels_of(dataset, "(?P<label>[^/]+)/.*")
    assert found == {"yes": ["yes/2.wav", "yes/2.wav/3.txt", "yes/session/1.wav"]}


class Unreachable:
    """An os.DirEntry of a link with an inaccessible target."""

    path = "yes/1.wav"

    def __init__(self, number):
        self.error = OSError(number, os.strerror(number), self.path)

    def stat(self):
        raise self.error

    is_dir = stat


@pytest.mark.parametrize("number", [errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOTDIR])
def test_a_link_that_leads_nowhere_is_the_clips_fault(number):
    assert file_state(Unreachable(number)) == ("", "")
    assert not leads_to_folder(Unreachable(number), match=True)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT])
def test_a_fault_of_the_machine_is_not(number):
    with pytest.raises(OSError, match="yes"):
        file_state(Unreachable(number))
    with pytest.raises(OSError, match="yes"):
        leads_to_folder(Unreachable(number), match=True)


def test_a_link_that_may_lead_to_a_folder_of_clips_is_not_passed_over():
    with pytest.raises(PermissionError):
        leads_to_folder(Unreachable(errno.EACCES), match=None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a/notes.txt"], "there is no audio file in {folder!r}. Set it to a folder that contains"),
        (
            ["a/1.mp3", "b/2.MP3", "b/3.flac"],
            "there is no .wav file in {folder!r}, but 2 .mp3, 1 .flac, such as 'a/1.mp3'. "
            "To use them as they are, set path_pattern: '((.*/)?(?P<label>[^/]+)/)?[^/]+\\.mp3'",
        ),
        (
            ["a/1.m4a"],
            "there is no .wav file in {folder!r}, but 1 .m4a, such as 'a/1.m4a'. "
            "Convert them to WAV, for example: ffmpeg -i 'a/1.m4a' 'a/1.wav'",
        ),
    ],
)
def test_a_dataset_without_wav_files_is_refused(tmp_path, files, message):
    dataset = os.fspath(make_files(tmp_path, files))
    with pytest.raises(WavspecError) as error:
        find_clips(dataset)
    assert f"config key 'dataset': {message.format(folder=dataset)}" in str(error.value)


def test_a_side_that_is_none_is_refused(tmp_path):
    dataset = make_files(tmp_path, ["fold1/yes/1.wav", "Train/yes/1.wav"])
    with pytest.raises(WavspecError, match=r"'split' is 'fold1' in 'fold1/yes/1.wav'"):
        find_clips(os.fspath(dataset), r"(?P<split>[^/]+)/(?P<label>[^/]+)/\d\.wav")


def test_hidden_things_are_not_clips(tmp_path):
    in_hidden_folders = [
        *(".ipynb_checkpoints/a.wav", ".Trash-1000/files/a.wav", ".git/annex/objects/xx/K/K.wav"),
        *("__MACOSX/yes/a.wav", "$RECYCLE.BIN/a.wav", "$Recycle.Bin/a.flac", "#recycle/yes/b.wav"),
        *("yes/@eaDir/a.wav/SYNOAUDIO.wav", "System Volume Information/a.wav", "lost+found/a.wav"),
    ]
    others = [".git/config", "yes/.DS_Store", "__MACOSX/notes.txt"]
    hidden = ["no/.b.wav", "yes/._a.wav"]
    clips = ["yes/a.wav", "no/a.wav"]
    dataset = make_files(tmp_path, [*clips, *in_hidden_folders, *others, *hidden])
    (dataset / "lost+found").chmod(0)
    found = find_clips(os.fspath(dataset))
    (dataset / "lost+found").chmod(0o700)
    assert labels_of(dataset) == {"no": ["no/a.wav"], "yes": ["yes/a.wav"]}
    assert found.warnings == ["hidden audio files are left out: 2 .wav, such as 'no/.b.wav'"]
    assert found.left_out == [(path, "hidden") for path in hidden]


def test_a_dataset_in_a_hidden_folder(tmp_path):
    dataset = make_dataset(tmp_path / ".cache" / "words", labels=["no"], clips=1)
    assert labels_of(dataset) == {"no": ["no/0.wav"]}


def test_labels_that_look_like_missing_values_are_named(tmp_path):
    assert READ_AS_MISSING == STR_NA_VALUES  # of pandas
    found = find_clips(os.fspath(make_files(tmp_path, ["nan/1.wav", "no/1.wav"])))
    assert list(found.labels) == ["nan", "no"]
    [warning] = found.warnings
    assert "'nan'" in warning and "keep_default_na=False" in warning


def warnings_of(folder, *paths):
    return find_clips(os.fspath(make_files(folder, paths))).warnings


def test_labels_that_are_nearly_the_same_are_named(tmp_path):
    labels = ["Yes", "yes", "yes ", "f\u00fcr", "fu\u0308r", "two words", "twowords", "no"]
    [warning] = warnings_of(tmp_path, *(f"{label}/1.wav" for label in labels))
    assert warning == (
        "labels that differ only in case, spaces or Unicode form: 'Yes', 'yes', 'yes '; "
        "'fu\\u0308r', 'f\u00fcr'; 'two words', 'twowords'"
    )


def test_a_label_in_several_folders_is_named(tmp_path):
    paths = ["old/yes/1.wav", "new/yes/1.wav", "yes/1.wav", "old/no/1.wav", "new/no/1.wav"]
    assert warnings_of(tmp_path, *paths, "old/up/1.wav") == [
        "the label 'no' (and 1 more) is in 2 folders, such as 'new/no' and 'old/no'"
    ]


@pytest.mark.parametrize(
    "paths",
    [
        ["train/yes/1.wav", "test/yes/2.wav", "train/no/1.wav"],
        ["yes/1.wav", "Test/yes/2.wav", "no/1.wav"],
        ["data/train/audio/yes/1.wav", "data/val/audio/yes/1.wav", "no/1.wav"],
    ],
)
def test_a_label_in_folders_for_the_splits_is_usual(tmp_path, paths):
    assert warnings_of(tmp_path, *paths) == []


@pytest.mark.parametrize(
    ("paths", "label", "labels"),
    [
        (["audio/dog-1.wav", "audio/cat-2.wav", "readme.txt"], "'audio'", ["cat", "dog"]),
        (["fold1/dog.1.flac.wav", "fold2/cat.2.wav"], "'fold1' (and 1 more)", ["cat", "dog"]),
        (["FSD50K.dev_audio/7.wav", "FSD50K.eval_audio/8.wav"], "(and 1 more)", ["7", "8"]),
        (["yes/Audio/1.wav", "no/Audio/2.wav", "no/noise/3.wav"], "'Audio'", ["no", "yes"]),
        (["data/audio/dog-1.wav", "data/audio/cat-2.wav"], "'audio'", ["cat", "dog"]),
        (["training-a/a0001.wav", "training-b/b0001.wav"], "'training-a'", ["a0001", "b0001"]),
        (["speech/a_1.wav", "speech/b_1.wav"], "'speech'", ["a", "b"]),
    ],
)
def test_labels_that_are_folders_for_any_files_are_named(tmp_path, paths, label, labels):
    """The suggested pattern works, and the warning names a table in the dataset."""
    warning, *_ = warnings_of(tmp_path, *paths, "meta/labels.csv")
    assert f"{label} " in warning and "'meta/labels.csv'" in warning
    [pattern] = re.findall(r"path_pattern, such as '(.*?)';", warning)
    assert sorted(labels_of(tmp_path, pattern)) == labels


def test_labels_that_are_words_are_not_taken_for_folders(tmp_path):
    words = ["data_point", "wave", "trainer", "evaluate", "test tone", "set", "on", "_test"]
    found = find_clips(os.fspath(make_files(tmp_path, [f"{word}/1.wav" for word in words])))
    assert [line for line in found.warnings if "folder" in line] == []


@given(names)
def test_a_label_comes_back_from_a_files_name(label):
    file = f"results/chunks/{file_name_of(label)}.0123456789ab.npy"
    assert file.count("/") == 2
    assert label_in(file) == label


def test_a_changed_pattern_runs_only_what_it_changes(built):
    (built.dataset / "more").mkdir()
    shutil.copy(built.dataset / "no" / "0.wav", built.dataset / "more" / "no-1.wav")
    for name in ("a.mp3", os.fsdecode(b"\xff.flac"), "b.txt"):
        (built.dataset / "more" / name).touch()
    both = r"([^/]*/)?(?P<label>[^/-]+)[/-]\d\.wav"
    assert built.run(path_pattern=both) == {"catalog", "spectrograms no", *SHORT}
    left_out = pd.read_csv(built.results / "left_out.csv")
    assert list(left_out.file_name.map(os.path.basename)) == ["a.mp3", "\\udcff.flac"]
    assert set(left_out.reason) == {"path_pattern does not match"}
    # Other speakers, the same labels.
    with_speakers = both.replace(r"\d", r"(?P<speaker>\d)")
    assert built.run(path_pattern=with_speakers) == {"tables"}
    split = pd.read_csv(built.results / "wavfile_split.csv", index_col=0, dtype=str)
    assert list(split.speaker) == ["0", "1", "1", "0", "1", "0", "1"]
    assert built.run(path_pattern=with_speakers) == set()


SHORT = {"concatenate", "tables", "pictures"}
