"""Runs of a copy of the workflow, and which jobs ran."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from wavs import expected_outputs, hashed

ROOT = Path(__file__).resolve().parent.parent
SNAKEMAKE = str(Path(sys.executable).parent / "snakemake")


# A stage that somebody adds changes nothing about these.
STAGES = {
    *("catalog", "spectrograms", "concatenate", "tables", "pictures"),
    *("embeddings", "train", "evaluate"),
}


class Workflow:
    """A copy of the project in a separate folder, to run Snakemake in."""

    environment = None  # that of the tests
    stages = STAGES  # those whose jobs count

    def __init__(self, folder, dataset):
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if not name.startswith(("tests/", "demo/", ".")) and (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        # Snakemake's own output names each job, with its wildcards.
        profile = folder / "profiles" / "default" / "config.yaml"
        profile.write_text(profile.read_text().replace("\nlogger: rich\n", "\n"))
        self.folder = folder
        self.dataset = dataset
        self.results = folder / "results"

    def command(self, *arguments, cores=2, **config):
        # Relative, to give a copy of everything the same paths.
        folders = {"dataset": self.as_configured(), "results": self.relative(self.results)}
        config = {**folders, **config}
        pairs = [f"{key}={value}" for key, value in config.items()]
        return [SNAKEMAKE, "--cores", str(cores), *arguments, "--config", *pairs]

    def relative(self, path):
        return os.path.relpath(path, self.folder)

    def as_configured(self):
        """The dataset's folder as the configuration has it, and with it the tables."""
        return self.relative(self.dataset)

    def expected(self):
        """The outputs of a clean build of the dataset, see `expected_outputs`."""
        return hashed(expected_outputs(self.dataset, self.as_configured()))

    def snakemake(self, *arguments, check=True, cores=2, **config):
        """Run Snakemake; return the finished process, with its output as one text."""
        command = self.command(*arguments, cores=cores, **config)
        process = run(command, self.folder, self.environment or os.environ)
        assert not check or process.returncode == 0, process.stdout
        return process

    def start(self, *arguments, **config):
        """Start Snakemake in a new process group; return the process."""
        return subprocess.Popen(
            self.command(*arguments, **config),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def planned(self, *arguments, **config):
        """The jobs that a dry run names, as {"rule label", ...}; without rule all."""
        jobs = jobs_named(self.snakemake("--dry-run", *arguments, **config).stdout)
        return {job for job in jobs if job.split()[0] in self.stages}

    def run(self, *arguments, **config):
        """Run Snakemake; return the jobs that ran, found from the outputs that were written.

        A dry run before it must print the same jobs and change no file.
        """
        files = self.files()
        planned = self.planned(*arguments, **config)
        assert self.files() == files
        before = self.written()
        self.snakemake(*arguments, **config)
        after = self.written()
        ran = {job for job in after if after[job] - before.get(job, set())}
        assert ran == planned
        return ran

    def files(self):
        """{file: mtime in ns} of everything in the results."""
        return {path: path.stat().st_mtime_ns for path in self.results.rglob("*") if path.is_file()}

    def written(self):
        """{"rule label" or "rule": {(name, mtime in ns), ...}} of each job's outputs that exist."""
        written = {}
        for job, pattern in {
            "spectrograms {}": "chunks/*.npy",
            "{}": "stamps/*.json",
        }.items():
            for path in self.results.glob(pattern):
                # After damage, the new stamp has a number after its digest.
                name = re.match(r"(.*?)\.[0-9a-f]{12}\.", path.name)[1]
                state = path.name, path.lstat().st_mtime_ns
                written.setdefault(job.format(name), set()).add(state)
        return {job: files for job, files in written.items() if job.split()[0] in self.stages}

    def chunk(self, label, ending=".npy"):
        """The one file of a label's chunk."""
        [chunk] = self.results.glob(f"chunks/{label}.{'[0-9a-f]' * 12}{ending}")
        return chunk

    def catalog(self, label):
        [catalog] = self.results.glob(f"catalog/{label}.{'[0-9a-f]' * 12}.csv")
        return catalog

    def outputs(self):
        """A hash of wavfile_spec.dat, and the bytes of wavfile_df.csv."""
        files = [self.results / name for name in ("wavfile_spec.dat", "wavfile_df.csv")]
        return hashed([file.read_bytes() for file in files])


def run(command, folder, environment, seconds=300):
    """Run a command in `folder`; return the finished process, with its output as one text."""
    with tempfile.NamedTemporaryFile("r", errors="surrogateescape") as output:
        if command[0] == SNAKEMAKE:
            request = {
                "command": [os.fspath(part) for part in command],
                "folder": os.fspath(folder),
                "environment": dict(environment),
                "output": output.name,
                "seconds": seconds,
            }
            server = snakemake_server()
            print(json.dumps(request), file=server.stdin, flush=True)
            code = int(server.stdout.readline())
        else:
            options = {"cwd": folder, "env": environment, "timeout": seconds}
            code = subprocess.run(command, stdout=output, stderr=output, **options).returncode
            output.seek(0)
        return subprocess.CompletedProcess(command, code, output.read())


@cache
def snakemake_server():
    """The process that starts Snakemake for `run`, one for all tests."""
    command = [sys.executable, "-P", ROOT / "tests" / "snakemake_server.py"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def jobs_named(output):
    """The jobs announced in Snakemake's output, as {"rule label", ...}; without rule all."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?: +.*\n)+)", output, re.MULTILINE)
    labels = [re.search(r"^ +wildcards: label=(.*), digest=", block, re.M) for _, block in blocks]
    return {
        f"{rule} {label[1]}" if label else rule
        for (rule, _), label in zip(blocks, labels, strict=True)
        if rule != "all"
    }


def wait_until(condition, meaning="", seconds=60):
    """Wait for `condition()` to become true; return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s, but not so: {meaning}")
        time.sleep(0.01)
    return value


def kill_group(process):
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]
