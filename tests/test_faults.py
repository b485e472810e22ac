"""Interrupted runs, a full disk, a dataset in motion and results changed by hand.

KILLS=30 python -m pytest tests/test_faults.py tries thirty kills in place of a few.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import psutil
import pytest
from conftest import Workflow, expected_outputs, jobs_named, make_dataset, write_wav

KILLS = int(os.environ.get("KILLS", 4))


def wait_until(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def start(workflow):
    return subprocess.Popen(
        workflow.command(),
        cwd=workflow.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_tree(process):
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in tree:
        member.kill()
    psutil.wait_procs(tree)


def finished_chunks(output):
    """The "spectrograms label" jobs that Snakemake announced as finished."""
    header = r"^(?:local)?rule spectrograms:\n(?: +.*\n)*? +"
    jobs = re.findall(rf"{header}jobid: (\d+)\n", output, re.MULTILINE)
    labels = re.findall(rf"{header}wildcards: label=(.*)\n", output, re.MULTILINE)
    finished = set(re.findall(r"^Finished jobid: (\d+) ", output, re.MULTILINE))
    return {
        f"spectrograms {label}" for job, label in zip(jobs, labels, strict=True) if job in finished
    }


def recovers(workflow, output):
    """See that the next run ends with the right bytes, and redoes no chunk that was finished."""
    before = workflow.written()
    process = workflow.snakemake(check=False)
    if process.returncode:
        assert "--unlock" in process.stdout
        workflow.snakemake("--unlock")
        workflow.snakemake()
    after = workflow.written()
    for job in finished_chunks(output):
        assert after[job] == before[job]
    assert workflow.outputs() == expected_outputs(workflow.dataset)
    assert {path.name for path in workflow.results.iterdir()} == {
        *(".gitignore", "catalog", "chunks", "logs"),
        *("wavfile_spec.dat", "wavfile_df.csv", "invalid.csv", "summary.txt"),
    }


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_run_killed_at_any_moment_is_finished_by_the_next(tmp_path, seed):
    """After any of the seven jobs, or a moment later, in the middle of the next."""
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", clips=30))
    moment = random.Random(seed)
    jobs_done = seed % 8
    process = start(workflow)
    wait_until(lambda: len(workflow.written()) >= jobs_done or process.poll() is not None)
    time.sleep(moment.uniform(0, 0.5) if jobs_done else moment.uniform(0, 3))
    if process.poll() is None:
        kill_tree(process)
    recovers(workflow, process.communicate()[0])


def test_a_run_killed_while_it_concatenates(tmp_path):
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", clips=500))
    process = start(workflow)
    wait_until((workflow.results / "wavfile_df.csv.part").exists)
    os.killpg(process.pid, signal.SIGKILL)
    output = process.communicate()[0]
    assert len(finished_chunks(output)) == 3
    spectrograms = workflow.results / "wavfile_spec.dat"
    # On a slow machine the signal may come too late, but never to a part of the file.
    assert not spectrograms.exists() or spectrograms.stat().st_size == 1500 * 96 * 64 * 8
    recovers(workflow, output)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_finished_by_the_next(tmp_path, sent):
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", clips=100))
    process = start(workflow)
    wait_until(lambda: list(workflow.results.glob("chunks/*.npy")))
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # what a terminal's Ctrl-C does
    else:
        process.send_signal(sent)
    output = process.communicate(timeout=60)[0]
    assert process.returncode
    recovers(workflow, output)


@pytest.fixture
def small_disk(workflow):
    """The workflow with its results on a file system of its own, and a function to size that."""
    workflow.results.mkdir(exist_ok=True)

    def resize(kilobytes, option=""):
        options = f"size={kilobytes}k{option}"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", workflow.results], check=True
        )

    try:
        resize(10_000)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no permission to mount a small file system")
    yield workflow, lambda kilobytes: resize(kilobytes, ",remount")
    subprocess.run(["umount", "--lazy", workflow.results], check=True)


@pytest.mark.parametrize(("kilobytes", "stage"), [(200, "chunks/"), (500, "wavfile_spec.dat")])
def test_a_full_disk_is_named_and_nothing_half_written_is_kept(small_disk, kilobytes, stage):
    workflow, resize = small_disk
    resize(kilobytes)
    process = workflow.snakemake(check=False)
    assert process.returncode == 1
    message = re.search(rf"^ *cannot write results/{stage}.*$", process.stdout, re.MULTILINE)[0]
    assert "No space left" in message and "bytes needed" in message
    assert not (workflow.results / "wavfile_spec.dat").exists()
    assert not list(workflow.results.glob("*.part"))
    resize(10_000)
    workflow.snakemake()
    assert workflow.outputs() == expected_outputs(workflow.dataset)


def during_the_run(workflow, change):
    """Run the workflow; `change` the dataset right after the catalog of "no" is written."""
    catalog = workflow.results / "catalog" / "no.csv"

    def watch():
        wait_until(lambda: catalog.exists() and catalog.stat().st_size > 40)
        change()

    watcher = threading.Thread(target=watch)
    watcher.start()
    process = workflow.snakemake()
    watcher.join()
    return process


def test_a_clip_that_vanishes_and_comes_back_is_healed_by_the_next_run(workflow):
    clip, aside = workflow.dataset / "no" / "0.wav", workflow.folder / "aside.wav"
    during_the_run(workflow, lambda: clip.rename(aside))
    assert b"no/0.wav,no,vanished," in (workflow.results / "invalid.csv").read_bytes()
    aside.rename(clip)
    assert workflow.run() == {"spectrograms no", "concatenate"}
    assert workflow.outputs() == expected_outputs(workflow.dataset)
    assert workflow.run() == set()


def test_a_clip_that_changes_during_the_run_is_healed_by_the_next_run(workflow):
    clip = workflow.dataset / "no" / "0.wav"
    during_the_run(workflow, lambda: write_wav(clip, seed=9, samples=17_000))
    assert workflow.run() == {"catalog no", "spectrograms no", "concatenate"}
    assert workflow.outputs() == expected_outputs(workflow.dataset)


def test_a_clip_that_changes_before_its_catalog_is_not_recorded_as_it_was(workflow):
    clip, aside = workflow.dataset / "yes" / "0.wav", workflow.folder / "aside.wav"

    def move_aside():
        wait_until((workflow.results / "logs").exists)
        clip.rename(aside)

    watcher = threading.Thread(target=move_aside)
    watcher.start()
    process = workflow.snakemake(check=False, cores=1)
    watcher.join()
    assert process.returncode == 1 and "run again" in process.stdout
    aside.rename(clip)
    workflow.snakemake()
    assert workflow.outputs() == expected_outputs(workflow.dataset)


@pytest.fixture
def built(workflow):
    workflow.snakemake()
    return workflow


@pytest.mark.parametrize(
    ("lost", "jobs"),
    [
        ("chunks/no.npy", {"spectrograms no", "concatenate"}),
        ("chunks/no.csv", {"spectrograms no", "concatenate"}),
        ("catalog/no.csv", {"catalog no", "spectrograms no", "concatenate"}),
        ("wavfile_spec.dat", {"concatenate"}),
    ],
)
def test_what_is_deleted_by_hand_is_made_again(built, lost, jobs):
    (built.results / lost).unlink()
    assert built.run() == jobs
    assert built.outputs() == expected_outputs(built.dataset)


def cut(chunk):
    os.truncate(chunk, chunk.stat().st_size - 49_152)


def swap(one, other):
    one.rename(f"{one}.aside")
    other.rename(one)
    one.with_name(f"{one.name}.aside").rename(other)


TAMPERING = {
    "chunk cut": ("chunks/no.npy", lambda chunks: cut(chunks / "no.npy")),
    "chunks swapped": (
        "chunks/go.npy",
        lambda chunks: swap(chunks / "no.npy", chunks / "go.npy"),
    ),
    "chunks and tables swapped": (
        "chunks/go.csv",
        lambda chunks: [
            swap(chunks / f"no.{kind}", chunks / f"go.{kind}") for kind in ("npy", "csv")
        ],
    ),
    "table of another version": (
        "chunks/no.csv",
        lambda chunks: (chunks / "no.csv").write_text("path,valid\nno/0.wav,True\n"),
    ),
    "table cut": (
        "chunks/no.csv",
        lambda chunks: os.truncate(chunks / "no.csv", 120),
    ),
}


@pytest.mark.parametrize(("named", "tamper"), TAMPERING.values(), ids=TAMPERING)
def test_what_is_changed_by_hand_is_never_concatenated(built, named, tamper):
    mtimes = {path: path.stat().st_mtime_ns for path in built.results.glob("c*/*")}
    tamper(built.results / "chunks")
    for path, mtime in mtimes.items():
        os.utime(path, ns=(mtime, mtime))
    write_wav(built.dataset / "yes" / "0.wav", seed=9)
    process = built.snakemake(check=False)
    assert process.returncode == 1
    assert f"results/{named}" in process.stdout
    assert not (built.results / "wavfile_spec.dat").exists()
    for name in ("go", "no"):
        for kind in ("npy", "csv"):
            (built.results / "chunks" / f"{name}.{kind}").unlink()
    assert built.run() == {"spectrograms go", "spectrograms no", "concatenate"}
    assert built.outputs() == expected_outputs(built.dataset)


def test_two_runs_at_once_do_not_mix(workflow):
    runs = [start(workflow), start(workflow)]
    outputs = [run.communicate()[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1]
    assert sorted(map(bool, map(jobs_named, outputs))) == [False, True]
    assert workflow.outputs() == expected_outputs(workflow.dataset)


def test_a_removed_label_is_reported(built):
    shutil.rmtree(built.dataset / "no")
    output = built.snakemake().stdout
    assert re.search(r"^Of labels no longer .*: results/chunks/no.npy$", output, re.MULTILINE)


def test_other_spellings_of_the_results_folder_are_the_same_folder(built):
    for number, spelling in enumerate([f"{built.results}/", "./results", "rules/../results"]):
        write_wav(built.dataset / "no" / "0.wav", seed=50 + number)
        jobs = {"catalog no", "spectrograms no", "concatenate"}
        assert built.run(results=spelling) == jobs
        assert built.outputs() == expected_outputs(built.dataset)


def test_a_broken_environment_ends_the_run_and_is_no_fault_of_the_clips(workflow):
    write_wav(workflow.dataset / "no" / "slow.wav", rate=8_000, samples=8_000)
    broken = workflow.folder / "broken"
    broken.mkdir()
    (broken / "resampy.py").write_text("raise ImportError('numba is not what it was')")
    workflow.environment = {**os.environ, "PYTHONPATH": str(broken)}
    process = workflow.snakemake(check=False)
    assert process.returncode == 1 and "numba is not what it was" in process.stdout
    workflow.environment = None
    workflow.snakemake()
    assert not (workflow.results / "invalid.csv").read_text().count("\n") > 1
