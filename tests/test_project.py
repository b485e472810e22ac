"""The project: versions that agree, and a README whose commands work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from wavspec.audio import wavfile_to_examples
from workflow import ROOT, Workflow

PINS = re.compile(r"^([A-Za-z0-9_.-]+)==([^ \\\n]+)", re.MULTILINE)


def pins(path):
    return dict(PINS.findall(path.read_text()))


@pytest.mark.parametrize("env", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda env: env.stem)
def test_conda_environments_have_the_versions_of_the_requirements(env):
    required = {}
    for path in (ROOT / "requirements").glob("*.in"):
        required |= pins(path)
    [pip] = [
        entry["pip"]
        for entry in yaml.safe_load(env.read_text())["dependencies"]
        if isinstance(entry, dict)
    ]
    assert pip
    for package in pip:
        name, version = package.split("==")
        assert required[name] == version


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.in")), ids=lambda p: p.stem)
def test_requirements_are_compiled_and_hashed(path):
    compiled = path.with_suffix(".txt")
    assert pins(path).items() <= pins(compiled).items()
    assert compiled.read_text().count("--hash=sha256:") >= len(pins(compiled))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The workflow after a run on the demo clips."""
    workflow = Workflow(tmp_path_factory.mktemp("demo") / "project", ROOT / "demo")
    workflow.snakemake()
    return workflow


@pytest.mark.xdist_group("demo")
def test_the_demo_gives_what_the_readme_says(demo):
    spectrograms = np.fromfile(demo.results / "wavfile_spec.dat").reshape((-1, 96, 64))
    clips = pd.read_csv(demo.results / "wavfile_df.csv")
    invalid = pd.read_csv(demo.results / "invalid.csv")
    assert list(clips.columns) == ["Unnamed: 0", "file_name", "label", "valid"]
    assert len(spectrograms) == len(clips) == 34
    assert clips["valid"].dtype == bool and clips["valid"].sum() == 31
    assert sorted(invalid["reason"]) == ["too long", "too short", "unreadable"]
    split = pd.read_csv(demo.results / "wavfile_split.csv", index_col=0)
    assert set(split["split"].dropna()) == {"training", "validation", "testing"}
    assert [row.any() for row in spectrograms] == list(clips["valid"])
    for row in np.flatnonzero(clips["valid"]):
        examples = wavfile_to_examples(demo.folder / clips["file_name"][row])
        assert np.array_equal(examples, spectrograms[row : row + 1])


@pytest.mark.xdist_group("demo")
def test_chunks_are_what_numpy_loads(demo):
    for mode in (None, "r"):
        chunk = np.load(demo.chunk("go"), mmap_mode=mode)
        assert (chunk.shape, chunk.dtype) == ((6, 96, 64), np.float64)
    table = pd.read_csv(demo.chunk("go", ".csv"))
    assert list(table["sample_rate"]) == [16_000] * 5 + [44_100]
    assert Path(table["path"][5]).name == "stereo_44100.wav"


def test_a_job_has_the_one_thread_that_it_declares(workflow):
    with open(workflow.folder / "workflow_scripts" / "spectrograms.py", "a") as script:
        script.write('    print(os.environ["OPENBLAS_NUM_THREADS"])\n')
    workflow.snakemake("--until", "spectrograms")
    [log] = workflow.results.glob("logs/spectrograms/go.*.log")
    assert log.read_text().splitlines()[-1] == "1"


@pytest.mark.parametrize("name", ["a b", "a&b", "it's", "R(1)", "a:b"])
def test_make_refuses_a_path_that_snakemake_cannot_run_in(tmp_path, name):
    clone = tmp_path / name
    shutil.copytree(ROOT / "requirements", clone / "requirements")
    shutil.copy(ROOT / "Makefile", clone)
    # The first line is ours, the second one is make's.
    command = ["make", f"PYTHON={sys.executable}"]
    offline = {**os.environ, "PIP_NO_INDEX": "1"}
    run = subprocess.run(command, cwd=clone, env=offline, capture_output=True, text=True)
    refusal, _ = run.stderr.splitlines()
    assert refusal.startswith("Snakemake cannot run in a path with ")
    assert refusal.endswith(f"Move the clone: {clone}")
    assert not (clone / ".venv").exists()


def test_a_path_with_other_signs_and_letters_is_taken(tmp_path):
    folder = tmp_path / "猫é[1]{2}#!,~+@%=^-_."
    folder.mkdir()
    subprocess.run([sys.executable, ROOT / "requirements" / "check.py"], cwd=folder, check=True)
