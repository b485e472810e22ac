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
from wavspec.dataset import (
    PATH_PATTERN,
    READ_AS_MISSING,
    Clip,
    clip_at,
    compiled,
    file_name_of,
    find_clips,
    label_in,
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
    assert len(ROWS) == 20
    assert sum(bool(row[5]) for row in ROWS) == 4


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
    [warning] = found.warnings
    assert "1 .wav, 2 .mp3, such as 'a/2.wav'" in warning and "path_pattern" in warning


def test_a_converted_file_is_not_told(tmp_path):
    files = ["a/1.m4a", "a/1.wav", "a/2.m4a", "b/2.wav"]
    [warning] = find_clips(os.fspath(make_files(tmp_path, files))).warnings
    assert "cannot read are left out: 1 .m4a, such as 'a/2.m4a'." in warning


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
    assert "such as 'yes/1.flac'" in str(error.value)
    [example] = re.findall("path_pattern: '(.*?)'", str(error.value))
    assert labels_of(dataset, example) == {"yes": ["yes/1.flac"]}


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
    assert clip_at(Unreachable(number), "yes/1.wav") == Clip("yes/1.wav", "", "")
    assert not leads_to_folder(Unreachable(number), match=True)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT])
def test_a_fault_of_the_machine_is_not(number):
    with pytest.raises(OSError, match="yes"):
        clip_at(Unreachable(number), "yes/1.wav")
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
    hidden = [
        *(".ipynb_checkpoints/a.wav", ".Trash-1000/files/a.wav", ".git/annex/objects/xx/K/K.wav"),
        *("yes/._a.wav", "__MACOSX/yes/a.wav", "$RECYCLE.BIN/a.wav", "$Recycle.Bin/a.flac"),
        *("yes/@eaDir/a.wav/SYNOAUDIO.wav", "System Volume Information/a.wav", "lost+found/a.wav"),
        "#recycle/yes/b.wav",
    ]
    others = [".git/config", "yes/.DS_Store", "__MACOSX/notes.txt"]
    dataset = make_files(tmp_path, ["yes/a.wav", *hidden, *others])
    found = find_clips(os.fspath(dataset))
    assert labels_of(dataset) == {"yes": ["yes/a.wav"]}
    [warning] = found.warnings
    assert f"{len(hidden)} audio files, such as {min(hidden)!r}" in warning


def test_one_hidden_file_is_told_in_the_singular(tmp_path):
    [warning] = find_clips(os.fspath(make_files(tmp_path, ["no/1.wav", "no/.1.wav"]))).warnings
    assert warning.endswith("are left out: 1 audio file, such as 'no/.1.wav'")


def test_hidden_things_without_audio_are_not_told(tmp_path):
    dataset = make_files(tmp_path, ["yes/a.wav", ".git/config", "yes/.DS_Store"])
    assert find_clips(os.fspath(dataset)).warnings == []


def test_hidden_folders_without_end_are_not_all_looked_into(tmp_path, monkeypatch):
    monkeypatch.setattr("wavspec.dataset.HIDDEN_FOLDERS", 3)
    dataset = make_files(tmp_path, ["yes/a.wav", *(f".git/{n}/a.wav" for n in range(5))])
    [warning] = find_clips(os.fspath(dataset)).warnings
    assert "at least 2 audio files" in warning


def test_a_hidden_folder_that_cannot_be_listed_is_no_error(tmp_path):
    dataset = make_files(tmp_path, ["yes/a.wav", "lost+found/b.wav"])
    (dataset / "lost+found").chmod(0)
    assert labels_of(dataset) == {"yes": ["yes/a.wav"]}
    (dataset / "lost+found").chmod(0o700)


def test_a_dataset_in_a_hidden_folder(tmp_path):
    dataset = make_dataset(tmp_path / ".cache" / "words", labels=["no"], clips=1)
    assert labels_of(dataset) == {"no": ["no/0.wav"]}


def test_labels_that_look_like_missing_values_are_told(tmp_path):
    assert READ_AS_MISSING == STR_NA_VALUES  # of pandas
    found = find_clips(os.fspath(make_files(tmp_path, ["nan/1.wav", "no/1.wav"])))
    assert list(found.labels) == ["nan", "no"]
    [warning] = found.warnings
    assert "'nan'" in warning and "keep_default_na=False" in warning


@given(names)
def test_a_label_comes_back_from_a_files_name(label):
    file = f"results/chunks/{file_name_of(label)}.0123456789ab.npy"
    assert file.count("/") == 2
    assert label_in(file) == label


def test_a_changed_pattern_runs_only_what_it_changes(built):
    (built.dataset / "more").mkdir()
    shutil.copy(built.dataset / "no" / "0.wav", built.dataset / "more" / "no-1.wav")
    both = r"([^/]*/)?(?P<label>[^/-]+)[/-]\d\.wav"
    assert built.run(path_pattern=both) == {"catalog", "spectrograms no", *SHORT}
    # Other speakers, the same labels.
    with_speakers = both.replace(r"\d", r"(?P<speaker>\d)")
    assert built.run(path_pattern=with_speakers) == {"tables"}
    split = pd.read_csv(built.results / "wavfile_split.csv", index_col=0, dtype=str)
    assert list(split.speaker) == ["0", "1", "1", "0", "1", "0", "1"]
    assert built.run(path_pattern=with_speakers) == set()


SHORT = {"concatenate", "tables", "pictures"}
