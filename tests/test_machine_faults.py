"""Faults of the machine: the label's job fails, and no clip becomes invalid."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wavs import make_dataset, write_catalog, write_wav
from workflow import ROOT, Workflow

FAULTY = Path(__file__).parent / "faulty.c"


@pytest.fixture(scope="session")
def faulty(tmp_path_factory):
    """The environment variable that preloads faulty.c."""
    compiler = shutil.which("cc")
    if not (compiler and sys.platform == "linux"):
        pytest.skip("faults below Python need Linux and a C compiler")
    library = tmp_path_factory.mktemp("faulty") / "faulty.so"
    command = [compiler, "-shared", "-fPIC", "-o", library, FAULTY, "-ldl"]
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library)}


def fault(number, call, file, end, after=0):
    """The environment variables of a fault, see faulty.c."""
    names = ("FAULT", "FAULT_CALL", "FAULT_FILE", "FAULT_END", "FAULT_AFTER")
    return dict(zip(names, map(str, (number, call, file, end, after)), strict=True))


class Label:
    """A label of a plain clip, a clip that libsndfile decodes, and a link to nothing."""

    def __init__(self, folder):
        self.dataset = folder / "dataset"
        write_wav(self.dataset / "no" / "plain.wav")
        noise = np.random.default_rng(1).normal(0, 0.1, 30_000)
        soundfile.write(self.dataset / "no" / "24_bits.wav", noise, 16_000, subtype="PCM_24")
        (self.dataset / "no" / "gone.wav").symlink_to("nowhere")
        self.catalog, digest = write_catalog(self.dataset, "no", folder)
        (folder / "chunks").mkdir()
        self.chunk = folder / "chunks" / f"no.{digest}.npy"
        self.table = self.chunk.with_suffix(".csv")
        self.log = folder / "log"

    def run(self, **environment):
        """Run the label's job; return whether it succeeded and the last line of its log."""
        options = {
            **{"dataset": self.dataset, "catalog": self.catalog, "chunk": self.chunk},
            **{"table": self.table, "log": self.log, "threads": 1},
            **{"short-clips": "invalid", "long-clips": "invalid", "hop": 0.96},
        }
        command = [sys.executable, "workflow_scripts/spectrograms.py"]
        command += [str(text) for name in options for text in (f"--{name}", options[name])]
        process = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment})
        *_, last = self.log.read_text().removesuffix("\ndone\n").splitlines()
        return process.returncode == 0, last.removeprefix("Error: ")

    def outputs(self):
        return {path.name: path.read_bytes() for path in self.chunk.parent.iterdir()}


@pytest.fixture
def label(tmp_path):
    return Label(tmp_path)


def test_the_library_itself_changes_nothing(label, faulty):
    assert label.run() == (True, "2 valid, 1 unreadable, 2 examples")
    expected = label.outputs()
    assert len(expected) == 2
    assert label.run(**faulty, **fault(errno.EIO, "read", "other.wav", ""))[0]
    assert label.outputs() == expected


FAILS = ["EIO", "EMFILE", "ENFILE", "ENOMEM", "ETIMEDOUT", "ESTALE"]


@pytest.mark.parametrize(
    ("clip", "call", "name"),
    [
        *[("plain.wav", "open", name) for name in FAILS],
        ("gone.wav", "open", "EIO"),
        ("24_bits.wav", "open", "EIO"),
        *[("plain.wav", "read", name) for name in ("EIO", "ESTALE")],
    ],
)
def test_a_clip_that_cannot_be_read_now_ends_the_job(label, faulty, clip, call, name):
    number = getattr(errno, name)
    cause = f"cannot read {label.dataset}/no/{clip}: {os.strerror(number)}"
    assert label.run(**faulty, **fault(number, call, "dataset/no/", clip)) == (False, cause)
    assert label.outputs() == {}
    assert label.run() == (True, "2 valid, 1 unreadable, 2 examples")


def test_each_read_of_a_clip_ends_the_job_if_it_fails(label, faulty):
    cause = f"cannot read {label.dataset}/no/24_bits.wav: {os.strerror(errno.EIO)}"
    done = (True, "2 valid, 1 unreadable, 2 examples")
    # How many reads there are depends on the Python.
    for reads in range(100):
        faults = fault(errno.EIO, "read", "dataset/no/", "24_bits.wav", after=reads)
        if (outcome := label.run(**faulty, **faults)) == done:
            break
        assert outcome == (False, cause), reads
        assert label.outputs() == {}
    # At least that of the plain reader, and those of libsndfile: the header and the samples.
    assert reads >= 3


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("clip", ["plain.wav", "24_bits.wav"])
def test_reads_that_give_less_than_asked_for_change_nothing(label, faulty, clip, after):
    label.run()
    expected = label.outputs()
    assert label.run(**faulty, **fault(0, "read", "dataset/no/", clip, after))[0]
    assert label.outputs() == expected


@pytest.mark.parametrize("name", ["EACCES", "EPERM", "ELOOP", "ENXIO"])
def test_an_error_that_lasts_is_the_clips(label, faulty, name):
    number = getattr(errno, name)
    faults = fault(number, "open", "dataset/no/", "plain.wav")
    assert label.run(**faulty, **faults) == (True, "1 valid, 2 unreadable, 1 examples")
    assert f"unreadable,{os.strerror(number)}," in label.table.read_text()


@pytest.mark.parametrize("error", ["OSError", "ImportError", "MemoryError"])
def test_a_library_that_does_not_load_ends_the_job(label, tmp_path, error):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "soundfile.py").write_text(f"raise {error}('no libsndfile')")
    cause = f"cannot read {label.dataset}/no/24_bits.wav: no libsndfile"
    assert label.run(PYTHONPATH=str(tmp_path / "broken")) == (False, cause)
    assert label.outputs() == {}
    assert label.run()[0]


def test_a_catalog_that_cannot_be_read_is_named_and_kept(label, faulty):
    cause = f"cannot read {label.catalog}: {os.strerror(errno.EIO)}"
    assert label.run(**faulty, **fault(errno.EIO, "read", "no.", ".catalog")) == (False, cause)
    assert label.run()[0]


@pytest.mark.parametrize(("ending", "after"), [(".npy", 0), (".npy", 1), (".csv", 0)])
def test_a_write_that_fails_names_the_file(label, faulty, ending, after):
    cause = f"cannot write {label.chunk.with_suffix(ending)}: {os.strerror(errno.EIO)}"
    faults = fault(errno.EIO, "write", f"{label.chunk.parent}/", ending, after)
    assert label.run(**faulty, **faults) == (False, cause)
    assert label.outputs() == {}
    assert label.run()[0]


def test_other_labels_are_made_and_the_next_run_heals(tmp_path, faulty):
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset"))
    faults = fault(errno.EIO, "open", "dataset/no/", "1.wav")
    workflow.environment = {**os.environ, **faulty, **faults}
    process = workflow.snakemake(check=False)
    assert process.returncode == 1
    assert f"cannot read {workflow.as_configured()}/no/1.wav: Input/output error" in process.stdout
    chunks = [path.name.split(".")[0] for path in workflow.results.glob("chunks/*.npy")]
    assert sorted(chunks) == ["go", "yes"]
    workflow.environment = None
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()
