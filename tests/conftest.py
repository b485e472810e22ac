"""What the tests share: real WAVs, the original front end, and runs of a copy of the workflow."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
# Where jobs, run as scripts, find each other too.
sys.path.insert(0, str(ROOT / "workflow_scripts"))

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="no folder ../shared with real clips and reference values"
)


def write_wav(path, seed=0, samples=16_000, rate=16_000):
    """Write seeded noise to `path` as a plain 16-bit mono WAV file; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 3000, samples).astype("<i2")
    with wave.open(os.fspath(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    return path


def make_dataset(folder, labels=("go", "no", "yes"), clips=2):
    """Write `clips` valid clips for each of `labels` below `folder`; return the folder."""
    for number, label in enumerate(labels):
        for clip in range(clips):
            write_wav(folder / label / f"{clip}.wav", seed=100 * number + clip)
    return folder


def original_mel_features():
    """PyPI's torchvggish.mel_features: the original front end, by path, for want of torch."""
    path = Path(sysconfig.get_path("purelib"), "torchvggish", "mel_features.py")
    spec = importlib.util.spec_from_file_location("original_mel_features", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ORIGINAL = original_mel_features()


def original_examples(path):
    """The (examples, 96, 64) log-mel examples of a 16 kHz mono WAV file, by the original code."""
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 16_000 and samples.ndim == 1
    return log_mel_examples(samples / 32768.0)


def log_mel_examples(samples):
    """The (examples, 96, 64) of a mono waveform at 16 kHz, by the original code."""
    log_mel = ORIGINAL.log_mel_spectrogram(
        samples,
        audio_sample_rate=16_000,
        log_offset=0.01,
        window_length_secs=0.025,
        hop_length_secs=0.010,
        num_mel_bins=64,
        lower_edge_hertz=125,
        upper_edge_hertz=7500,
    )
    return ORIGINAL.frame(log_mel, 96, 96)


def expected_outputs(dataset, as_configured=None):
    """The bytes of (wavfile_spec.dat, wavfile_df.csv) for a dataset of plain, readable clips.

    Made as the notebook made them: the original front end, one clip after another, and pandas.
    """
    found = [path for path in dataset.rglob("*") if path.suffix.lower() == ".wav"]
    paths = sorted(found, key=lambda path: (path.parent.name, str(path.relative_to(dataset))))
    rows, table = [], []
    for path in paths:
        frames = soundfile.info(path).frames
        valid = 15_600 <= frames < 30_960
        rows.append(original_examples(path)[0] if valid else np.zeros((96, 64)))
        file_name = os.path.join(as_configured or dataset, path.relative_to(dataset))
        table.append((file_name, path.parent.name, valid))
    columns = ["file_name", "label", "valid"]
    return np.stack(rows).tobytes(), pd.DataFrame(table, columns=columns).to_csv().encode()


class Workflow:
    """A copy of the project in a folder of its own, to run Snakemake in."""

    environment = None  # that of the tests

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
        self.folder = folder
        self.dataset = dataset
        self.results = folder / "results"

    def command(self, *arguments, cores=2, **config):
        snakemake = Path(sys.executable).parent / "snakemake"
        config = {"dataset": self.dataset, **config}
        pairs = [f"{key}={value}" for key, value in config.items()]
        return [snakemake, "--cores", str(cores), *arguments, "--config", *pairs]

    def snakemake(self, *arguments, check=True, cores=2, **config):
        """Run Snakemake to its end; return the finished process, its output as one text."""
        process = subprocess.run(
            self.command(*arguments, cores=cores, **config),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            timeout=300,
        )
        assert not check or process.returncode == 0, process.stdout
        return process

    def planned(self, *arguments, **config):
        """The jobs that a dry run names, as {"rule label", ...}; without rule all."""
        return jobs_named(self.snakemake("--dry-run", *arguments, **config).stdout)

    def run(self, *arguments, **config):
        """Run Snakemake; return the jobs that ran, told by which outputs were written.

        The dry run before it must have named the same.
        """
        planned = self.planned(*arguments, **config)
        before = self.written()
        self.snakemake(*arguments, **config)
        after = self.written()
        ran = {job for job, mtime in after.items() if before.get(job) != mtime}
        assert ran == planned
        return ran

    def written(self):
        """{"rule label": mtime in ns} of every job's output that exists."""
        outputs = {
            f"{rule} {path.stem}": path
            for rule, pattern in (("catalog", "catalog/*.csv"), ("spectrograms", "chunks/*.npy"))
            for path in self.results.glob(pattern)
        }
        outputs["concatenate"] = self.results / "wavfile_df.csv"
        return {job: path.stat().st_mtime_ns for job, path in outputs.items() if path.exists()}

    def outputs(self):
        """The bytes of (wavfile_spec.dat, wavfile_df.csv)."""
        return tuple(
            (self.results / name).read_bytes() for name in ("wavfile_spec.dat", "wavfile_df.csv")
        )


def jobs_named(output):
    """The jobs announced in Snakemake's output, as {"rule label", ...}; without rule all."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?: +.*\n)+)", output, re.MULTILINE)
    labels = [re.search(r"^ +wildcards: label=(.*)$", block, re.MULTILINE) for _, block in blocks]
    return {
        f"{rule} {label[1]}" if label else rule
        for (rule, _), label in zip(blocks, labels, strict=True)
        if rule != "all"
    }


@pytest.fixture
def workflow(tmp_path):
    """The workflow with a small dataset of three labels of two valid clips each."""
    return Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset"))
