"""Odd names and folders: each clip is in the results, or an error names it before the run."""

import os
import string

import pandas as pd
import pytest
from wavs import make_dataset, write_wav
from wavspec.dataset import find_clips
from wavspec.errors import WavspecError

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
    # What pandas reads as missing values and truth values.
    "NA",
    "nan",
    "null",
    "true",
]
# Beginnings of Snakemake's own lines.
SNAKEMAKES = ("Using workflow specific profile", "Config file")


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
    with pytest.raises(WavspecError) as error:
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
    ("config", "message"),
    [
        (
            {"dataset": "/nowhere"},
            "config key 'dataset': '/nowhere' is not a folder that exists. "
            "Set it to a folder that contains a folder of WAV files for each label.",
        ),
        (
            {"dataset": "rules"},
            "config key 'dataset': there is no audio file in 'rules'. "
            "Set it to a folder that contains a folder of WAV files for each label.",
        ),
        (
            {"dataset": "2024_01"},
            "config key 'dataset' (the folder of audio files): 202401 is not of type "
            "'string'. For example: dataset: ~/speech_commands or dataset: ./2024_01",
        ),
        (
            {"dataset": ""},
            "config key 'dataset' (the folder of audio files): it has no value. "
            "For example: dataset: ~/speech_commands or dataset: ./2024_01",
        ),
        (
            {"datset": "rules"},
            "config key 'datset' does not exist. Did you mean 'dataset'?",
        ),
        (
            {"split": "{validaton: 20}"},
            "config key 'split.validaton' does not exist. Did you mean 'validation'?",
        ),
        (
            {"split": "20"},
            "config key 'split' (percent of the speakers for validation and for testing): 20 is "
            "not of type 'object'. For example: split: {validation: 10, testing: 10}",
        ),
        (
            {"split": "{testing: 0.1}"},
            "config key 'split.testing': 0.1 is less than one percent. "
            "Did you mean 10, for 10 % of the speakers?",
        ),
        (
            {"short_clips": "long"},
            "config key 'short_clips' (how to treat clips of under 0.975 s): "
            "'long' is not one of ['invalid', 'pad']. For example: short_clips: pad",
        ),
        (
            {"check_room": "maybe"},
            "config key 'check_room' (whether a run fails at its start if the results do not fit "
            "on the disk): 'maybe' is not of type 'boolean'. "
            "For example: --config check_room=false",
        ),
        (
            {"results": "a{x}"},
            "config key 'results' (the folder for everything that the workflow writes, a path "
            "without { } < >): 'a{x}' does not match '^[^{}<>]+$'. For example: "
            "results: ~/spectrograms or results: ./2024_01",
        ),
    ],
    ids=str,
)
def test_a_wrong_configuration_ends_in_one_message(workflow, config, message):
    process = workflow.snakemake("--dry-run", check=False, **config)
    assert process.returncode == 1
    said = [line for line in process.stdout.splitlines() if not line.startswith(SNAKEMAKES)]
    assert said == [message]


def test_results_that_cannot_be_written(workflow):
    process = workflow.snakemake("--dry-run", check=False, results="LICENSE/results")
    assert process.returncode == 1
    message = f"cannot write to 'LICENSE/results', because '{workflow.folder}/LICENSE' is not a "
    assert f"config key 'results': {message}folder" in process.stdout
    assert "Traceback" not in process.stdout


def test_results_inside_the_dataset(workflow):
    workflow.results = workflow.dataset / "results"
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()
    assert workflow.planned() == set()


def test_the_datasets_own_path_is_checked(tmp_path, monkeypatch):
    with pytest.raises(WavspecError, match="control characters"):
        find_clips(os.fspath(make_dataset(tmp_path / "new\nline")))
    monkeypatch.chdir(tmp_path / "new\nline")
    with pytest.raises(WavspecError, match="control characters"):
        find_clips(".")
