"""Speed and memory compared with the original front end and the notebook's loop, in one run.

    make bench                  a reduced Speech Commands, about a minute
    make bench CLIPS=105835     its full size; 20 GB of memory, about five minutes

Prints a table and writes it to results/benchmark.md. Absolute times depend on the machine and its
load: compare the ratios.
"""

import os

# The notebook's numpy would use every core for small products, without a gain; both sides get one.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from spectrograms import write_chunk
from wavs import SETTINGS, original_examples, write_catalog
from wavspec.audio import FAINT, PLAIN_HEADER, InvalidClipError, read_clip
from wavspec.chunk import ROW_BYTES
from wavspec.front_end import (
    EXAMPLE_LENGTH,
    FRAME_LENGTH,
    LOG_OFFSET,
    ExampleBatch,
)
from workflow import ROOT, Workflow

# Clips of each label in Speech Commands v0.02.
LABELS = {
    **{"five": 4052, "zero": 4052, "yes": 4044, "seven": 3998, "no": 3941, "nine": 3934},
    **{"down": 3917, "one": 3890, "go": 3880, "two": 3880, "stop": 3872, "six": 3860},
    **{"on": 3845, "left": 3801, "eight": 3787, "right": 3778, "off": 3745, "four": 3728},
    **{"three": 3727, "up": 3723, "dog": 2128, "wow": 2123, "house": 2113, "marvin": 2100},
    **{"bird": 2064, "happy": 2054, "cat": 2031, "sheila": 2022, "bed": 2014, "tree": 1759},
    **{"backward": 1664, "visual": 1592, "follow": 1579, "learn": 1575, "forward": 1557},
}
NOISE_FILES = 6


def make_speech_commands(folder, clips):
    """Write a data set like Speech Commands, with `clips` files in all, from the demo clips.

    As there, one clip in ten is cut, half of these are too short; six clips are a minute long.
    """
    random = np.random.default_rng(0)
    words = [path.read_bytes()[44:] for path in sorted((ROOT / "demo").glob("[a-z]*/en_*.wav"))]
    words = [np.frombuffer(word, "<i2").astype(np.float64) for word in words]
    share = (clips - NOISE_FILES) / sum(LABELS.values())
    for label, count in LABELS.items():
        (folder / label).mkdir(parents=True)
        for number in range(round(count * share)):
            word = words[random.integers(len(words))] * random.uniform(0.3, 1.0)
            word += random.normal(0, 30, len(word))
            length = len(word) if random.random() > 0.1 else random.integers(15_200, 16_000)
            write_plain(folder / label / f"{number:08x}_nohash_0.wav", word[:length])
    (folder / "_background_noise_").mkdir()
    for number in range(NOISE_FILES):
        noise = random.normal(0, 1000, 60 * 16_000)
        write_plain(folder / "_background_noise_" / f"{number}.wav", noise)


def write_plain(path, samples):
    data = samples.astype("<i2").tobytes()
    sizes = (len(data) + 36).to_bytes(4, "little"), len(data).to_bytes(4, "little")
    path.write_bytes(PLAIN_HEADER % sizes + data)


def notebook(dataset, results):
    """As the notebook: one clip after another, all spectrograms in memory, pandas row by row."""
    import resampy  # noqa: F401  VGGish's own reader loads it, too, for whatever clips

    paths = [os.path.join(folder, name) for folder, _, names in os.walk(dataset) for name in names]
    labels = [os.path.basename(os.path.dirname(path)) for path in paths]
    table = pd.DataFrame({"file_name": paths, "label": labels})
    spectrograms = np.zeros((len(paths), 96, 64))
    for index, row in table.iterrows():
        examples = original_examples(row["file_name"])
        table.loc[index, "valid"] = len(examples) == 1
        if len(examples) == 1:
            spectrograms[index] = examples[0]
    spectrograms.tofile(os.path.join(results, "wavfile_spec.dat"))
    table.to_csv(os.path.join(results, "wavfile_df.csv"))


def original_front_end(paths):
    for path in paths:
        original_examples(path)


def front_end(paths):
    """Compute the examples of valid clips, as in a label's job."""
    batch = ExampleBatch()
    for first in range(0, len(paths), batch.SIZE):
        for i, path in enumerate(paths[first : first + batch.SIZE]):
            batch.samples[i] = read_clip(path).samples[:EXAMPLE_LENGTH]
        batch.log_mel()
        may_be_faint(batch)


def may_be_faint(batch):
    """The check for worthless clips that runs for each clip, see `write_rows`."""
    return np.abs(batch.samples[:, ::100]).max(axis=1) <= FAINT


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def compare_front_ends(paths, rounds=7):
    """(us a clip of the original, of ours, median ratio of the rounds), decode included."""
    times = [(seconds(original_front_end, paths), seconds(front_end, paths)) for _ in range(rounds)]
    per_clip = [1e6 / len(paths) * statistics.median(column) for column in zip(*times, strict=True)]
    return *per_clip, statistics.median(original / ours for original, ours in times)


def time_of_steps(paths):
    """{step: us a clip} of the front end."""
    batch = ExampleBatch()
    for i, path in enumerate(paths[: batch.SIZE]):
        batch.samples[i] = read_clip(path).samples[:EXAMPLE_LENGTH]
    batch.log_mel()
    windowed, magnitude = batch._windowed, batch._magnitude
    mel = np.ones((len(windowed), 64))

    def read():
        for path in paths[: batch.SIZE]:
            read_clip(path)

    def window():
        np.copyto(windowed.reshape(batch.SIZE, 96, -1)[..., :FRAME_LENGTH], batch._frames)
        rows = windowed.reshape(-1, len(batch._window))
        np.multiply(rows, batch._window, out=rows)

    steps = {
        "read": read,
        "window": window,
        "FFT": lambda: np.fft.rfft(windowed, out=batch._spectrum),
        "magnitude": lambda: np.abs(batch._spectrum, out=magnitude),
        "mel bands": lambda: batch._mel_product(magnitude, mel),
        "log": lambda: np.log(np.add(mel, LOG_OFFSET, out=mel), out=mel).fill(1.0),
        "worthless?": lambda: may_be_faint(batch),
    }
    repeats = len(paths) // batch.SIZE
    times = {}
    for name, step in steps.items():
        took = seconds(lambda step=step: [step() for _ in range(repeats)])
        times[name] = 1e6 * took / (repeats * batch.SIZE)
    return times


def measured(command, **options):
    """Run `command`; return its (wall s, CPU s, peak MB of its largest process)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, *map(str, command)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        **options,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, int(process.stdout.split()[-1])


@contextmanager
def touched_memory(size):
    """Hold 1.5 times `size` bytes of memory, and free them as other processes allocate theirs.

    A virtual machine can return freed memory to its host. The next touch of such a page then
    takes five times as long as the work on it, which is the host's time, not that of a side. Half
    more than `size`, because the host is sometimes faster to take it.
    """
    block = 2**24
    size = min(3 * size // 2, available_memory() - 2**31)
    held = [np.ones(block // 8) for _ in range(size // block)]
    # Without memory that processes allocate and free again.
    level = available_memory() - size // 16
    over = threading.Event()

    def give_way():
        while held and not over.wait(0.005):
            for _ in range(min(len(held), (level - available_memory()) // block)):
                held.pop()

    thread = threading.Thread(target=give_way)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def available_memory():
    """Bytes that Linux could give to processes without swapping."""
    text = Path("/proc/meminfo").read_text()
    return 1024 * int(re.search(r"MemAvailable: +(\d+) kB", text)[1])


def compare_lengths(paths, folder, rounds=7):
    """(us an example of clips of one example, of clips of about 40 s, median ratio of the rounds).

    Each long clip has the samples of 40 short ones.
    """
    samples = [np.frombuffer(Path(path).read_bytes()[44:], "<i2") for path in paths]
    (folder / "lengths" / "long").mkdir(parents=True)
    (folder / "lengths" / "short").mkdir()
    for number, path in enumerate(paths):
        os.link(path, folder / "lengths" / "short" / f"{number}.wav")
    for first in range(0, len(paths), 40):
        long = folder / "lengths" / "long" / f"{first}.wav"
        write_plain(long, np.concatenate(samples[first : first + 40]))
    settings = {**SETTINGS, "long_clips": "cut"}

    def per_example(label):
        catalog, digest = write_catalog(folder / "lengths", label, folder, settings)
        chunk = folder / f"{label}.{digest}.npy"
        start = time.perf_counter()
        counts = write_chunk(
            folder / "lengths", catalog, chunk, chunk.with_suffix(".csv"), settings
        )
        return 1e6 * (time.perf_counter() - start) / counts["examples"]

    times = [(per_example("short"), per_example("long")) for _ in range(rounds)]
    shutil.rmtree(folder / "lengths")
    short, long = (statistics.median(column) for column in zip(*times, strict=True))
    return short, long, statistics.median(long / short for short, long in times)


def compare_starts(path, folder, rounds=15):
    """(s to import numpy, s of the job of a label of one clip, median ratio of the rounds)."""
    (folder / "start" / "zero").mkdir(parents=True)
    os.link(path, folder / "start" / "zero" / "0.wav")
    catalog, digest = write_catalog(folder / "start", "zero", folder)
    chunk = folder / f"start.{digest}.npy"
    options = {
        **{"dataset": folder / "start", "catalog": catalog, "chunk": chunk},
        **{"table": chunk.with_suffix(".csv"), "log": folder / "start.log", "threads": 1},
        **{"short-clips": "invalid", "long-clips": "invalid", "hop": 0.96},
    }
    job = [sys.executable, ROOT / "workflow_scripts" / "spectrograms.py"]
    job += [str(text) for name in options for text in (f"--{name}", options[name])]
    numpy_alone = [sys.executable, "-c", "import numpy"]
    run = subprocess.check_call
    times = [(seconds(run, numpy_alone), seconds(run, job)) for _ in range(rounds)]
    alone, whole = (statistics.median(column) for column in zip(*times, strict=True))
    return alone, whole, statistics.median(whole / alone for alone, whole in times)


def chunk_memory(dataset, clips, folder):
    """Peak MB of a process that writes the chunk of a label of `clips` clips (links to one)."""
    clip = next(path for path in dataset.glob("zero/*.wav"))
    (folder / "many" / "zero").mkdir(parents=True)
    for number in range(clips):
        os.link(clip, folder / "many" / "zero" / f"{number}.wav")
    catalog, digest = write_catalog(folder / "many", "zero", folder)
    peak = measured([sys.executable, __file__, "--chunk", folder / "many", catalog])[2]
    shutil.rmtree(folder / "many")
    (folder / f"zero.{digest}.npy").unlink()
    return peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--folder", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    parser.add_argument("--notebook", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--chunk", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.notebook:
        return notebook(*arguments.notebook)
    if arguments.chunk:
        chunk = Path(arguments.chunk[1]).with_suffix(".npy")
        return write_chunk(*arguments.chunk, chunk, chunk.with_suffix(".csv"), SETTINGS)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        report = benchmark(Path(folder), arguments.clips)
    print(report)
    (ROOT / "results" / "benchmark.md").write_text(report)


def benchmark(folder, clips):
    dataset = folder / "speech_commands"
    make_speech_commands(dataset, clips)
    valid = []
    for path in map(str, sorted(dataset.glob("[a-z]*/*.wav"))[:1200]):
        try:
            read_clip(path)
        except InvalidClipError:
            continue
        valid.append(path)
    valid = valid[:1000]
    cores = os.cpu_count()

    original, ours, ratio = compare_front_ends(valid)
    steps = time_of_steps(valid)
    short, long, of_lengths = compare_lengths(valid, folder)
    alone, job, of_starts = compare_starts(valid[0], folder)
    memory = [chunk_memory(dataset, count, folder) for count in (4_052, 40_000)]

    both_outputs = 2 * clips * ROW_BYTES  # of the notebook: in its memory, and as a file
    (folder / "notebook").mkdir()
    command = [sys.executable, __file__, "--notebook", dataset, folder / "notebook"]
    with touched_memory(both_outputs):
        loop_wall, loop_cpu, loop_memory = measured(command)
    shutil.rmtree(folder / "notebook")

    workflow = Workflow(folder / "project", dataset)
    snakemake = workflow.command(cores=cores)
    inside = {"cwd": workflow.folder}
    with touched_memory(both_outputs):
        wall, cpu, _ = measured(snakemake, **inside)
    version, *_ = measured([snakemake[0], "--version"])
    nothing, *_ = measured(snakemake, **inside)
    write_plain(next(dataset.glob("zero/*.wav")), np.ones(16_000))
    with touched_memory(clips * ROW_BYTES):
        changed, *_ = measured(snakemake, **inside)
    processor = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    breakdown = ", ".join(f"{name} {value:.0f}" for name, value in steps.items())
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    return f"""\
{clips} clips; {processor}, {cores} cores, {versions}

| | original | workflow | ratio |
|---|---|---|---|
| front end, one core, us a clip | {original:.0f} | {ours:.0f} | {ratio:.1f} |
| folder to the two files, s | {loop_wall:.1f} | {wall:.1f} | {loop_wall / wall:.1f} |
| the same, CPU s | {loop_cpu:.1f} | {cpu:.1f} | {loop_cpu / cpu:.1f} |
| nothing changed, s over `snakemake --version` ({version:.1f} s) | | {nothing - version:.1f} | |
| one clip changed, s ({clips * ROW_BYTES / 1e9:.2f} GB concatenated) | | {changed:.1f} | |
| peak memory, MB | {loop_memory} | {memory[0]} (4,052 clips a label), {memory[1]} (40,000) | |

Front end, us a clip: {breakdown}

Clips of 40 s that are cut: {long:.0f} us an example; of one example: {short:.0f}; {of_lengths:.2f}
times as long. A label of one clip: {job:.2f} s; `import numpy`: {alone:.2f}; {of_starts:.2f} times.
"""


if __name__ == "__main__":
    main()
