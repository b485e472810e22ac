"""Fixtures of most tests."""

import os

# A job of the workflow has one BLAS thread. With more, some processors' kernels give the original
# front end other last bits.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import fcntl
import shutil
import signal
import sys

import pytest
from random_vggish import Vggish
from wavs import make_dataset
from workflow import Workflow

# Users have byte code, and some faults are seen only with it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell disables Ctrl-C for background processes, but some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def workflow(tmp_path):
    """The workflow with a small dataset of three labels of two valid clips each."""
    return Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset"))


@pytest.fixture(scope="session")
def clean_build(tmp_path_factory, worker_id):
    """A folder with the workflow of the fixture above after a clean build, one for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder = shared / "clean_build"
    with open(shared / "clean_build.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = shared / "clean_build.part"
            Workflow(part / "project", make_dataset(part / "dataset")).snakemake()
            part.rename(folder)
    return folder


@pytest.fixture
def built(clean_build, tmp_path):
    """The workflow after a clean build: a copy, with Snakemake's records and modification times."""
    shutil.copytree(clean_build, tmp_path, dirs_exist_ok=True, symlinks=True)
    return Workflow(tmp_path / "project", tmp_path / "dataset")


@pytest.fixture(scope="session")
def vggish_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vggish")
    yield Vggish(folder)
    shutil.rmtree(folder)


def pytest_xdist_auto_num_workers(config):
    """One more than cores: a run of Snakemake waits a second at its end."""
    return os.cpu_count() + 1
