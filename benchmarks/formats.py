"""Time per example of labels in several formats, compared with the original front end.

    PYTHONPATH=workflow_scripts:tests python benchmarks/formats.py [--clips 2000] [--minutes 60]

Both sides read the same files, decoding included, in one thread, and take turns. CPU times, because
the writing of a long recording's chunk waits for the disk.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import resampy
import soundfile
from spectrograms import write_chunk
from wavs import SETTINGS, log_mel_examples, write_catalog

ROUNDS = 3


def original(paths):
    """Return the number of examples of the files by the original front end."""
    count = 0
    for path in paths:
        samples, rate = soundfile.read(path, dtype="int16")
        samples = samples / 32768.0
        if rate != 16_000:
            samples = resampy.resample(samples, rate, 16_000)
        count += len(log_mel_examples(samples))
    return count


def workflow(folder, label):
    """Return the number of examples of a label's job."""
    settings = {**SETTINGS, "long_clips": "cut"}
    catalog, digest = write_catalog(folder, label, folder, settings)
    chunk = folder / f"{label}.{digest}.npy"
    table = chunk.with_suffix(".csv")
    return write_chunk(folder, catalog, chunk, table, settings)["examples"]


def microseconds(function, *arguments):
    """Return the CPU time per example."""
    start = time.process_time()
    count = function(*arguments)
    return 1e6 * (time.process_time() - start) / count


def write_label(folder, clips, seconds, rate, **options):
    folder.mkdir(parents=True)
    for number in range(clips):
        noise = np.random.default_rng(number).normal(0, 0.1, int(seconds * rate))
        # Named .wav, which is no obstacle, because libsndfile reads the format from the content.
        soundfile.write(folder / f"{number}.wav", noise, rate, **{"format": "WAV", **options})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    labels = {
        "plain WAV": (arguments.clips, 1, 16_000, {"subtype": "PCM_16"}),
        "MP3": (arguments.clips, 1, 16_000, {"format": "MP3"}),
        "FLAC": (arguments.clips, 1, 16_000, {"format": "FLAC"}),
        **{
            f"{arguments.minutes:g} minutes, {rate / 1000:g} kHz": (
                *(1, 60 * arguments.minutes, rate),
                {"subtype": "PCM_16"},
            )
            for rate in (16_000, 44_100, 48_000)
        },
    }
    print("| label | original, us an example | workflow | ratio |\n|---|---|---|---|")
    for name, (clips, seconds, rate, options) in labels.items():
        with tempfile.TemporaryDirectory() as folder:
            write_label(Path(folder, "no"), clips, seconds, rate, **options)
            paths = [*Path(folder, "no").iterdir()]
            times = [
                (microseconds(original, paths), microseconds(workflow, Path(folder), "no"))
                for _ in range(ROUNDS if clips > 1 else 1)
            ]
            theirs, ours = map(statistics.median, zip(*times, strict=True))
            ratio = statistics.median(theirs / ours for theirs, ours in times)
            print(f"| {clips} x {name} | {theirs:.0f} | {ours:.0f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
