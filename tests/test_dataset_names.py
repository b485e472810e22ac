"""Hostile names and folders: each clip is in the two files, or refused by name before any work."""

import os
import string

import pandas as pd
import pytest
from wavs import make_dataset, write_wav
from wavspec.dataset import find_clips
from wavspec.run.job import JobError

ODD_NAMES = [
    "two words",
    " lead and trail ",
    "it's",
    'say "go"',
    "a,b",
    "-rf",
    "--help",
    "{label}",
    "<results>",
    "100%",
    "%s",
    "#5",
    "$(touch owned)",
    "`touch owned`",
    "a;touch owned",
    "a&b|c>d",
    "back\\slash",
    "tab=here",
    "*",
    "?[x]",
    "~",
    "caf\u00e9",  # one normal form ...
    "cafe\u0301",  # ... and the other
    "да",
    "はい",
    "\u202eright to left",
    ("abcdefghijklmnopqrstuvwxyz0123456789" * 7)[:238],
    "007",
    # What pandas takes for missing values and truth values.
    "NA",
    "nan",
    "null",
    "true",
]


def test_odd_names_are_in_the_two_files(workflow):
    write_wav(workflow.dataset / "in the root.wav")
    for number, name in enumerate(ODD_NAMES):
        write_wav(workflow.dataset / name / f"{name[:240]}.wav", seed=number)
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()
    table = pd.read_csv(
        workflow.results / "wavfile_df.csv", dtype={"label": str}, keep_default_na=False
    )
    assert set(table["label"]) == {"go", "no", "yes", workflow.dataset.name, *ODD_NAMES}
    for file_name, label in zip(table["file_name"], table["label"], strict=True):
        assert (workflow.folder / file_name).is_file()
        assert os.path.basename(os.path.dirname(file_name)) == label
    assert not list(workflow.folder.rglob("owned"))
    assert workflow.planned() == set()


@pytest.mark.parametrize(
    "name",
    [
        b"go/new\nline.wav",
        b"go/return\r.wav",
        b"new\nline/1.wav",
        b"go/\xff\xfe.wav",
        b"\xff\xfe/1.wav",
        b"ho" * 20 + b"/1.wav",
        (string.ascii_lowercase * 10)[:239].encode() + b"/1.wav",
    ],
)
def test_names_that_cannot_be_kept_are_refused_by_name(tmp_path, name):
    dataset = make_dataset(tmp_path / "dataset")
    write_wav(dataset / os.fsdecode(name))
    with pytest.raises(JobError) as error:
        find_clips(os.fspath(dataset))
    assert repr(os.fsdecode(name))[1:-1].split("/")[0] in str(error.value)


def test_a_refused_dataset_ends_the_run_before_any_work(workflow):
    write_wav(workflow.dataset / ("ho" * 20) / "1.wav")
    process = workflow.snakemake(check=False)
    assert process.returncode == 1
    assert f"'{'ho' * 20}'" in process.stdout and "Traceback" not in process.stdout
    assert workflow.written() == {}


def test_where_clips_may_lie(tmp_path):
    dataset = tmp_path / "corpus"
    for path in (
        "in the root.wav",
        "deep/er/yes/1.wav",
        "yes/2.WAV",
        "YES/3.wAv",
        "yes/not a clip.wave",
        "yes/wav",
    ):
        write_wav(dataset / path)
    (dataset / "linked").symlink_to(dataset / "deep", target_is_directory=True)
    (dataset / "yes" / "loop").symlink_to(dataset, target_is_directory=True)
    (dataset / "deep" / "nowhere").symlink_to("missing", target_is_directory=True)
    (dataset / "deep" / "itself").symlink_to("itself")
    (dataset / "yes" / "itself.wav").symlink_to("itself.wav")
    (dataset / "empty").mkdir()
    found = {
        label: [clip.path for clip in clips]
        for label, clips in find_clips(os.fspath(dataset)).labels.items()
    }
    assert found == {
        "YES": ["YES/3.wAv"],
        "corpus": ["in the root.wav"],
        "yes": [
            "deep/er/yes/1.wav",
            "linked/er/yes/1.wav",
            "yes/2.WAV",
            "yes/itself.wav",
        ],
    }


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"dataset": "/nowhere"}, ["dataset", "'/nowhere'", "folder"]),
        ({"dataset": "LICENSE"}, ["dataset", "'LICENSE'", "folder"]),
        ({"dataset": "rules"}, ["dataset", "'rules'", ".wav"]),
        ({"dataset": "12"}, ["'dataset'", "12 is not text", "./"]),
        ({"dataset": ""}, ["'dataset'", "None is not text"]),
        ({"datset": "rules"}, ["'datset'", "mean 'dataset'"]),
        (
            {"path_pattern": "'(?P<label>.*'"},
            ["'path_pattern'", "regular expression", "go/0.wav"],
        ),
        ({"path_pattern": "(.*)/.*.wav"}, ["'path_pattern'", "(?P<label>...)", "go/0.wav"]),
        ({"path_pattern": "(?P<label>.*).mp3"}, ["'path_pattern'", "no file", "go/0.wav"]),
        ({"split": "{validation: 80, testing: 80}"}, ["'split'", "training", "validation: 10"]),
        ({"split": "{validation: 0.1}"}, ["'split.validation'", "10 %"]),
        ({"short_clips": "long"}, ["'short_clips'", "'long'", "invalid, pad"]),
        ({"results": "LICENSE/results"}, ["results", "'LICENSE/results'", "folder"]),
        ({"results": "a{x}"}, ["results", "'a{x}'", "[^{}<>]"]),
    ],
    ids=str,
)
def test_a_wrong_configuration_ends_in_one_message(workflow, config, named):
    process = workflow.snakemake("--dry-run", check=False, **config)
    assert process.returncode == 1
    assert all(word in process.stdout for word in named), process.stdout
    assert "Traceback" not in process.stdout


def test_results_inside_the_dataset(workflow):
    workflow.results = workflow.dataset / "no" / "results"
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()
    assert workflow.planned() == set()


def test_the_datasets_own_path_is_checked(tmp_path):
    with pytest.raises(JobError, match="control characters"):
        find_clips(os.fspath(make_dataset(tmp_path / "new\nline")))
