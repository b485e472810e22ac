"""`snakemake --profile slurm` on a real Slurm: what is submitted, and faults.

The tests see from Slurm's records and from the outputs which jobs ran. Nothing in the
workflow is changed for these tests: a job is caught in the middle of its work by a label of clips
that take long to resample, and its process is stopped there.
"""

import os
import re
import signal
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from slurm_cluster import ACCOUNT, Cluster, wait_until
from wavs import make_dataset, write_wav
from workflow import Workflow

pytestmark = pytest.mark.slurm

# Characters that sbatch, srun and two command lines could misread.
AWKWARD_LABELS = [
    *("a b", "it's", 'q"q', "$HOME", "x,y=z", "100%", "-n", "zoë", "猫", "007", "a;b&c", "*")
]


@contextmanager
def running_cluster(folder, accounting):
    cluster = Cluster(folder, accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("slurm"), accounting=True) as cluster:
        yield cluster


class OnCluster(Workflow):
    """A copy of the project as a user of this cluster would set it up, to run there."""

    def __init__(self, folder, dataset, cluster, partition="main"):
        super().__init__(folder, dataset)
        self.cluster = cluster
        self.environment = cluster.environment
        keys = {"slurm_partition": partition}
        if cluster.accounting:
            keys["slurm_account"] = ACCOUNT
        profile = folder / "slurm" / "config.yaml"
        text = profile.read_text()
        for key, value in keys.items():
            text, found = re.subn(f"# {key}: .*", f"{key}: {value}", text)
            assert found == 1
        profile.write_text(text)

    def command(self, *arguments, cores=None, **config):
        command = super().command(*arguments, **config)
        start = command.index("--cores")
        # The tests mostly wait for the next status check of a job.
        profile = ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1"]
        return [*command[:start], *profile, *command[start + 2 :]]

    @contextmanager
    def running(self, *arguments):
        """Yield a running Snakemake; it ends with the `with`."""
        with (self.folder / "terminal").open("w") as terminal:
            process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=self.environment,
                stdout=terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def terminal(self):
        return (self.folder / "terminal").read_text()

    def run(self, *arguments, **config):
        """Run to the end; return how many chunks were written, and what was submitted."""
        submitted, before = len(self.cluster.submissions()), self.chunks()
        self.snakemake(*arguments, **config)
        return len(self.chunks() - before), self.cluster.submissions()[submitted:]

    def chunks(self):
        """{(path, mtime in ns)} of all chunks."""
        paths = (self.results / "chunks").glob("*.npy")
        return {(path, path.stat().st_mtime_ns) for path in paths}

    def writers(self):
        """{label: processes that are writing its chunk}, for those that any is."""
        writers = {}
        for process in psutil.process_iter(["name", "cwd"]):
            if process.info["cwd"] == str(self.folder):
                try:
                    files = [Path(file.path) for file in process.open_files() if file.mode != "r"]
                except psutil.Error:
                    continue
                # An unfinished chunk has a temporary name: the job's log names the label.
                if any(file.parent.parent == self.results / "chunks" for file in files):
                    logs = {file for file in files if file.parent.name == "spectrograms"}
                    for log in logs:
                        writers.setdefault(log.name.split(".")[0], []).append(process)
        return writers

    def hold(self, label):
        """Wait until a job is writing the label's chunk, and stop it there."""
        (process,) = wait_until(lambda: self.writers().get(label), f"{label} is being written", 60)
        process.send_signal(signal.SIGSTOP)

    def label_of(self, job):
        """The label of a submission for one label alone."""
        script = self.cluster.command(f"scontrol write batch_script {job} -")
        return re.search("spectrograms:label=([a-z]+)", script)[1]


class Watch(threading.Thread):
    """Counts, as long as it runs, how many processes write a label's chunk at once."""

    def __init__(self, workflow):
        super().__init__()
        self.workflow = workflow
        self.most = Counter()
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.1):
            for label, processes in self.workflow.writers().items():
                self.most[label] = max(self.most[label], len(processes))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.done.set()
        self.join()


def make_slow_dataset(folder, labels):
    """Write labels of many copies of a clip that takes long to resample: some seconds in all."""
    samples = np.random.default_rng(0).normal(0, 0.1, (60_000, 2))
    for label in labels:
        (folder / label).mkdir(parents=True)
        soundfile.write(folder / label / "0.wav", samples, 48_000)
        for number in range(1, 20):
            os.link(folder / label / "0.wav", folder / label / f"{number}.wav")
    return folder


def local_outputs(folder, dataset):
    workflow = Workflow(folder, dataset)
    workflow.snakemake()
    return workflow.outputs()


def test_a_first_run_and_one_after_a_clip_changed(cluster, tmp_path):
    dataset = make_dataset(tmp_path / "dataset", AWKWARD_LABELS)
    workflow = OnCluster(tmp_path / "project", dataset, cluster)
    written, submissions = workflow.run()
    assert written == len(AWKWARD_LABELS)
    assert workflow.outputs() == workflow.expected()
    assert [(job.state, job.comment) for job in submissions] == [
        *2 * [("COMPLETED", "rule_labels_spectrograms")],
        ("COMPLETED", "rule_concatenate"),
    ]
    assert len({job.node for job in submissions}) >= 2

    write_wav(workflow.dataset / "a b" / "0.wav", seed=7)
    # Also on a file system that shows a node's files only some seconds later.
    late = workflow.folder / "late"
    cluster.after_each_job(
        f"mkdir {late} || exit 0; cd {workflow.results}/chunks; mv 'a b'.* {late}\n"
        "exec < /dev/null > /dev/null 2>&1\n"
        f"setsid sh -c 'touch {late}.begun; sleep 4; mv {late}/* .' &\n"
        # Slurm kills what is still in the script's process group at its end.
        f"while [ ! -e {late}.begun ]; do sleep 0.1; done"
    )
    try:
        written, submissions = workflow.run()
    finally:
        cluster.after_each_job("")
    assert written == 1
    assert [(job.state, job.comment) for job in submissions] == [
        ("COMPLETED", "rule_labels_spectrograms"),
        ("COMPLETED", "rule_concatenate"),
    ]
    assert workflow.outputs() == workflow.expected()


def test_what_changes_while_jobs_wait_changes_no_name(cluster, tmp_path):
    """Nodes get the names of outputs from the main process, and do not read the dataset."""
    dataset = make_dataset(tmp_path / "dataset")
    lists = {side: dataset / f"{side}_list.txt" for side in ("validation", "testing")}
    for clip, file in enumerate(lists.values()):
        file.write_text(f"no/{clip}.wav\n")
    workflow = OnCluster(tmp_path / "project", dataset, cluster)
    cluster.command("scontrol update PartitionName=main State=DOWN")
    with workflow.running() as run:
        wait_until(lambda: cluster.unfinished(), "a job is waiting", 60)
        lists["testing"].write_text("yes/0.wav\n")
        write_wav(dataset / "up" / "0.wav", seed=7)
        cluster.command("scontrol update PartitionName=main State=UP")
        assert run.wait(300) == 1
    # The split is not made of lists that the run did not begin with. All else is done.
    assert "changed during the run: run again" in workflow.terminal()
    assert (workflow.results / "wavfile_spec.dat").exists()
    assert {path.name.split(".")[0] for path, _ in workflow.chunks()} == {"go", "no", "yes"}

    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()
    split = (workflow.results / "wavfile_split.csv").read_text()
    assert split.split() == [
        *(",speaker,split", "0,,training", "1,,training", "2,,validation"),
        *("3,,training", "4,,training", "5,,testing", "6,,training"),
    ]


def test_warnings_and_the_summary_are_the_last_words(cluster, tmp_path):
    dataset = make_dataset(tmp_path / "dataset")
    (dataset / "no" / "0.flac").write_bytes(b"")
    workflow = OnCluster(tmp_path / "project", dataset, cluster)
    _, _, end = workflow.snakemake().stdout.rpartition("Elapsed time")
    summary = (workflow.results / "summary.txt").read_text()
    assert "0.flac" in summary and "_nohash_" in summary
    assert end.partition("\n")[2] == summary


def test_a_queue_of_an_hour_takes_every_submission(cluster, tmp_path):
    dataset = make_dataset(tmp_path / "dataset", [f"label {number}" for number in range(9)])
    workflow = OnCluster(tmp_path / "project", dataset, cluster, partition="short")
    written, submissions = workflow.run()
    assert written == 9
    assert [job.state for job in submissions] == ["COMPLETED", "COMPLETED"]


def test_every_kind_of_lost_job_runs_again(cluster, tmp_path):
    dataset = make_slow_dataset(tmp_path / "dataset", ["cancelled", "lost", "memory", "time"])
    workflow = OnCluster(tmp_path / "project", dataset, cluster)
    known = {job.id for job in cluster.submissions()}

    cluster.command("scontrol update PartitionName=main State=DOWN")
    with workflow.running("--group-components", "labels=1") as run, Watch(workflow) as watch:
        wait_until(lambda: len(cluster.unfinished()) == 4, "four jobs are waiting")
        first = {workflow.label_of(job): job for job in cluster.unfinished()}
        cluster.command(f"scontrol update JobId={first['memory']} MinMemoryNode=200")
        cluster.command(f"scontrol update JobId={first['time']} TimeLimit=1")
        cluster.command("scontrol update PartitionName=main State=UP")
        for label in ("cancelled", "lost", "time"):
            workflow.hold(label)
        cluster.command(f"scancel {first['cancelled']}")
        node = cluster.submission(first["lost"]).node
        cluster.lose_node(node)
        assert run.wait(300) == 0, workflow.terminal()
    cluster.start_node(node)

    assert workflow.outputs() == local_outputs(tmp_path / "local", dataset)
    assert set(watch.most.values()) == {1}
    assert {label: cluster.submission(job).state for label, job in first.items()} == {
        "cancelled": "CANCELLED",
        "lost": "NODE_FAIL",
        "memory": "FAILED",
        "time": "TIMEOUT",
    }
    later = [job for job in cluster.submissions() if job.id not in {*known, *first.values()}]
    assert [(job.state, job.memory, job.limit) for job in later] == [
        *4 * [("COMPLETED", "2000M", "4:00")],
        ("COMPLETED", "1000M", "20:00"),
    ]
    # Only lines of errors: the line of a submission has its log in brackets.
    named = re.findall("^ *log: (.*)/([0-9]+).log ", workflow.terminal(), re.MULTILINE)
    assert set(first.values()) == {job for _, job in named}
    assert all(os.path.exists(f"{folder}/{job}.log") for folder, job in named)


def test_interrupted_killed_and_run_again(cluster, tmp_path):
    dataset = make_slow_dataset(tmp_path / "dataset", ["one", "two"])
    workflow = OnCluster(tmp_path / "project", dataset, cluster)

    with workflow.running() as run:
        workflow.hold("one")
        os.killpg(run.pid, signal.SIGINT)  # as the terminal does at Ctrl-C
        assert run.wait(120) != 0
    wait_until(lambda: not cluster.unfinished(), "no job is left")

    with workflow.running():
        workflow.hold("one")  # and SIGKILL for Snakemake
    known = cluster.submissions()
    assert workflow.snakemake(check=False).returncode != 0  # for its lock is still there
    assert cluster.submissions() == known
    cluster.cancel_all()
    workflow.snakemake("--unlock")
    with Watch(workflow) as watch:
        workflow.snakemake()
    assert set(watch.most.values()) == {1}
    assert workflow.outputs() == local_outputs(tmp_path / "local", dataset)


@pytest.mark.tensorflow
def test_the_later_stages(cluster, vggish_files, tmp_path):
    dataset = make_dataset(tmp_path / "dataset", clips=4)
    for number, side in enumerate(("validation", "testing")):
        clips = [f"{label}/{number}.wav\n" for label in ("go", "no", "yes")]
        (dataset / f"{side}_list.txt").write_text("".join(clips))
    config = {**vggish_files.config, "classifier": "{epochs: 1}"}
    workflow = OnCluster(tmp_path / "project", dataset, cluster, partition="large")
    _, submissions = workflow.run("all", "embeddings", "classifier", **config)
    assert {(job.comment, job.cpus, job.memory, job.state) for job in submissions} == {
        ("rule_labels_spectrograms", "1", "1000M", "COMPLETED"),
        ("rule_concatenate", "1", "1000M", "COMPLETED"),
        ("rule_embeddings", "16", "2500M", "COMPLETED"),
        ("rule_train", "8", "2000M", "COMPLETED"),
    }
    predictions = (workflow.results / "classifier" / "predictions.csv").read_text()
    assert predictions.count("\n") == 1 + 12

    local = Workflow(tmp_path / "local", dataset)
    local.snakemake("all", "embeddings", **config)
    for name in ("wavfile_spec.dat", "wavfile_embed.dat", "wavfile_embed.csv"):
        assert (workflow.results / name).read_bytes() == (local.results / name).read_bytes()


def test_a_site_without_accounting(tmp_path):
    dataset = make_dataset(tmp_path / "dataset")
    (tmp_path / "slurm").mkdir()
    with running_cluster(tmp_path / "slurm", accounting=False) as cluster:
        workflow = OnCluster(tmp_path / "project", dataset, cluster)
        written, submissions = workflow.run()
    assert written == 3
    assert [job.state for job in submissions] == ["COMPLETED", "COMPLETED"]
    assert workflow.outputs() == workflow.expected()
