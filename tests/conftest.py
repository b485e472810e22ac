"""Fixtures of most tests, and which tests run where."""

import os

# A job of the workflow has one BLAS thread. With more, some processors' kernels give the original
# front end other last bits.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import fcntl
import shutil
import signal
import sys
from importlib.util import find_spec

import hypothesis
import pytest
import slurm_cluster
from browser import CHROMIUM
from random_vggish import Vggish
from wavs import make_dataset
from workflow import Workflow

# Users have byte code, and some faults are seen only with it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says more about what else the machine does.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# A shell disables Ctrl-C for background processes, but some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Whether tests with these markers can run. Fixtures find out about the two other markers.
CAN_RUN = {
    "slurm": not slurm_cluster.MISSING
    and find_spec("snakemake_executor_plugin_slurm")
    and os.getuid() == 0,
    "tensorflow": find_spec("tensorflow"),
    "browser": CHROMIUM,
}
MARKERS_OF_FIXTURES = {
    "vggish_files": "tensorflow",
    "small_disk": "mount",
    "sharing_disk": "mount",
    "faulty": "compiler",
}
TOOLS = {*CAN_RUN, *MARKERS_OF_FIXTURES.values()}
INSTALLED = set(os.environ.get("REQUIRE", "").split())  # no test that needs these alone is skipped
STARTS_OF_PROCESSES = {
    *("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
}


def pytest_addoption(parser):
    text = "skip each test when it begins to start another process"
    parser.addoption("--no-processes", action="store_true", help=text)


@pytest.hookimpl(tryfirst=True)  # for -m to see the markers
def pytest_collection_modifyitems(config, items):
    reasons = {line.split(":")[0]: line for line in config.getini("markers")}
    for item in items:
        for fixture in MARKERS_OF_FIXTURES.keys() & item.fixturenames:
            item.add_marker(MARKERS_OF_FIXTURES[fixture])
        for marker, can_run in CAN_RUN.items():
            if item.get_closest_marker(marker) and not can_run:
                item.add_marker(pytest.mark.skip(reason=reasons[marker]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    tools = TOOLS & {marker.name for marker in item.iter_markers()}
    if report.skipped and tools and tools <= INSTALLED:
        report.outcome = "failed"
        report.longrepr = f"{report.longrepr[2]}, but REQUIRE has {' and '.join(tools)}"
    return report


@pytest.fixture(scope="session", autouse=True)
def no_processes(request):
    """With --no-processes, see above."""

    def skip(event, arguments):
        if event in STARTS_OF_PROCESSES:
            pytest.skip("starts another process")

    if request.config.getoption("no_processes"):
        sys.addaudithook(skip)


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
