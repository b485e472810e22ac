"""Speed compared with alternatives, each with one thread, from WAV files to a file.

    python benchmarks/others.py tensorflow    after `make tensorflow`, in .venv
    python benchmarks/others.py lhotse        in an environment with numpy, soundfile, lhotse,
                                              torch and urllib3

Both sides take turns on the same clips, many copies of the demo. The values differ:
lhotse has another filter bank of 64 mel bands, and TensorFlow computes in float32.
"""

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "workflow_scripts"))
from wavspec.audio import read_clip  # noqa: E402
from wavspec.front_end import EXAMPLE_LENGTH, ExampleBatch  # noqa: E402

CLIPS = 1024
ROUNDS = 7


def ours(paths, folder):
    batch = ExampleBatch()
    with open(folder / "ours", "wb") as file:
        for first in range(0, len(paths), batch.SIZE):
            for place, path in enumerate(paths[first : first + batch.SIZE]):
                batch.samples[place] = read_clip(path)[0][:EXAMPLE_LENGTH]
            file.write(batch.log_mel())


def tensorflow():
    """Return a function that computes log-mel examples with tf.signal, in batches of 64 clips."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    weights = tf.signal.linear_to_mel_weight_matrix(64, 257, 16_000, 125, 7500)

    @tf.function
    def log_mel(waveforms):
        spectrum = tf.signal.stft(waveforms, 400, 160, 512)
        return tf.math.log(tf.abs(spectrum) @ weights + 0.01)

    def run(paths, folder):
        with open(folder / "tensorflow", "wb") as file:
            for first in range(0, len(paths), 64):
                waveforms = [
                    soundfile.read(path, dtype="float32")[0][:EXAMPLE_LENGTH]
                    for path in paths[first : first + 64]
                ]
                file.write(log_mel(np.stack(waveforms)).numpy())

    return run


def lhotse():
    """Return a function that computes and stores features as in lhotse's documentation."""
    import torch
    from lhotse import CutSet, Fbank, FbankConfig, LilcomChunkyWriter, Recording, RecordingSet

    torch.set_num_threads(1)
    extractor = Fbank(FbankConfig(num_filters=64))

    def run(paths, folder):
        recordings = RecordingSet.from_recordings(
            Recording.from_file(path, recording_id=str(number)) for number, path in enumerate(paths)
        )
        CutSet.from_manifests(recordings=recordings).to_eager().compute_and_store_features(
            extractor, folder / f"lhotse{time.time_ns()}", storage_type=LilcomChunkyWriter
        )

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", choices=("lhotse", "tensorflow"))
    name = parser.parse_args().other
    other = globals()[name]()
    words = sorted((ROOT / "demo").glob("[a-z]*/en_*.wav"))
    paths = [str(words[number % len(words)]) for number in range(CLIPS)]
    in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    times = []
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        for _ in range(1 + ROUNDS):
            times.append([])
            for function in (other, ours):
                start = time.perf_counter()
                function(paths, Path(folder))
                times[-1].append(time.perf_counter() - start)
    times = times[1:]  # the first one includes preparation
    theirs, own = (1e6 / CLIPS * statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(their / our for their, our in times)
    print(f"us a clip: {name} {theirs:.0f}, ours {own:.0f}, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
