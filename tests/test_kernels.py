"""The original's values, bit for bit, with every kernel of OpenBLAS and any number of threads.

OpenBLAS selects a kernel for the processor. OPENBLAS_CORETYPE selects another one. It is read when
numpy is imported, so each test here runs a separate Python.
"""

import hashlib
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wavs import (
    expected_outputs,
    hashed,
    log_mel_examples,
    make_dataset,
    original_examples,
    write_wav,
)
from wavspec.audio import read_waveform, wavfile_to_examples
from wavspec.front_end import HOP_LENGTH, ExampleBatch, frames_at_end, waveforms_in
from workflow import ROOT, Workflow

# numpy's wheels have five of these, and the other names stand for one of the five, such as Zen for
# Haswell. Other builds of OpenBLAS have more.
KERNELS = (
    "Prescott Core2 Nehalem Barcelona Sandybridge Excavator Haswell Zen SkylakeX Cooperlake"
).split()

blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
pytestmark = [
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64"),
        reason=f"the kernels named here are those of x86 processors, this is {platform.machine()}",
    ),
    pytest.mark.skipif(
        "openblas" not in blas, reason=f"numpy does its products by {blas}, not by OpenBLAS"
    ),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of noise, from 1e-4 of full scale to full scale, in many lengths."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(1)
    lengths = [15_600, 15_760, 15_920, 16_000, 30_959, 144_000, 960_000]
    lengths += rng.integers(15_600, 30_960, 23).tolist()
    loudness = rng.permutation(np.geomspace(1e-4, 1.0, len(lengths)))
    for number, (length, peak) in enumerate(zip(lengths, loudness, strict=True)):
        samples = peak * rng.uniform(-1, 1, length)
        soundfile.write(folder / f"{number:02}.wav", samples, 16_000, subtype="PCM_16")
    soundfile.write(folder / "silence.wav", np.zeros(16_000), 16_000, subtype="PCM_16")
    return folder


def differing(folder):
    """The names of the files of `folder` whose examples are not the original's."""
    return [
        path.name
        for path in sorted(folder.iterdir())
        if not np.array_equal(wavfile_to_examples(path), original_examples(path))
    ]


def differing_with_hop(folder):
    """The files of `folder` whose examples with hops of 1 and 29 frames are not the original's."""
    batch, names = ExampleBatch(), []
    for path in sorted(folder.iterdir()):
        samples = read_waveform(path).samples
        for hop in (1, 29):
            examples = []
            for number, used in enumerate(waveforms_in([samples], hop * HOP_LENGTH)):
                batch.samples[0] = used
                ending = (0, *frames_at_end(len(samples), number * hop))
                examples.append(batch.log_mel([ending])[0].copy())
            if not np.array_equal(examples, log_mel_examples(samples / 32768, hop)):
                names.append((path.name, hop))
    return names


def digest(folder):
    """A digest of the examples of all files of `folder`."""
    values = [wavfile_to_examples(path).tobytes() for path in sorted(folder.iterdir())]
    return hashlib.sha256(b"".join(values)).hexdigest()


def environment(kernel, threads=1):
    """The environment variables that select this kernel of OpenBLAS, or with "" the default."""
    variables = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": str(threads),
        "PYTHONPATH": str(ROOT / "workflow_scripts"),
    }
    variables.pop("OPENBLAS_CORETYPE", None)
    return {**variables, "OPENBLAS_CORETYPE": kernel} if kernel else variables


def under_kernel(function, folder, *arguments, **options):
    """The result of function(folder) of this module in a separate Python, as text."""
    code = f"import sys, test_kernels as t, pathlib; print(t.{function}(pathlib.Path(sys.argv[1])))"
    process = subprocess.run(
        [sys.executable, "-c", code, folder],
        cwd=Path(__file__).parent,
        env=environment(*arguments, **options),
        capture_output=True,
        text=True,
    )
    if process.returncode == -signal.SIGILL:
        pytest.skip("this processor lacks instructions that the kernel uses")
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@pytest.mark.parametrize("kernel", ["", *KERNELS])
def test_the_values_are_bit_for_bit_the_originals(clips, kernel):
    assert under_kernel("differing", clips, kernel) == "[]"


@pytest.mark.parametrize("kernel", ["", *KERNELS])
def test_the_last_frames_of_a_recording_are_the_originals(tmp_path, kernel):
    for frames in (100, 101, 102, 103, 206, 301, 599):
        write_wav(tmp_path / f"{frames}.wav", seed=frames, samples=400 + 160 * (frames - 1))
    assert under_kernel("differing_with_hop", tmp_path, kernel) == "[]"


@pytest.mark.skipif(os.cpu_count() == 1, reason="on one processor OpenBLAS has one thread")
@pytest.mark.parametrize(
    "kernel", ["", "Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX"]
)
def test_several_threads_give_the_bits_of_one(clips, kernel):
    one = under_kernel("digest", clips, kernel)
    for threads in (2, 4):
        assert under_kernel("digest", clips, kernel, threads=threads) == one


def write_expected_outputs(folder):
    """Write the notebook's results for folder/dataset to files in `folder`."""
    spectrograms, table = expected_outputs(folder / "dataset", "../dataset")
    (folder / "expected.dat").write_bytes(spectrograms)
    (folder / "expected.csv").write_bytes(table)


def test_a_run_under_another_kernel_gives_the_originals_bits(tmp_path):
    # The oldest kernel runs on every processor, and is not the default of a current one.
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset"))
    workflow.environment = environment("Prescott")
    workflow.snakemake()
    under_kernel("write_expected_outputs", tmp_path, "Prescott")
    names = ("expected.dat", "expected.csv")
    assert workflow.outputs() == hashed([(tmp_path / name).read_bytes() for name in names])
