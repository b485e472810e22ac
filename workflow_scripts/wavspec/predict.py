"""Label recordings with a trained classifier.

The CSV file on stdout has a row for each example: 0.975 s of a file from `start`, in seconds. Files
that cannot be read are named on stderr, and the exit code is then 1.
"""

import argparse
import csv
import itertools
import json
import os
import re
import signal
import sys
import warnings
from contextlib import contextmanager

import numpy as np

from .audio import InvalidClipError, read_clip
from .dataset import is_audio, walk
from .errors import WavspecError, reading
from .front_end import EXAMPLE_LENGTH, HOP_LENGTH, SAMPLE_RATE, log_mel_of, waveforms_in

BATCH_SIZE = 64  # examples
ANY_PATH = re.compile(".+", re.DOTALL)


def load_model(path):
    """Return a trained classifier and the facts that its training wrote into training.json.

    Args:
        path: model.keras or model.tflite, with training.json beside it, or the folder of both.

    Returns:
        (function from (n, 96, 64) float32 examples to (n, labels) float32 probabilities,
        dictionary with the keys `labels`, `features` and `versions`).

    Raises:
        WavspecError: a file or a package is missing, or the model takes embeddings.
    """
    if os.path.isdir(path):
        path = os.path.join(path, "model.keras")
    if not os.path.isfile(path):
        raise WavspecError(f"there is no model {path}: train one with `snakemake classifier`")
    beside = os.path.join(os.path.dirname(path), "training.json")
    try:
        with reading(beside), open(beside, encoding="utf-8") as file:
            facts = json.load(file)
        features = facts["features"]
    except (ValueError, TypeError, KeyError) as error:
        raise WavspecError(f"{beside} is damaged: run `snakemake classifier` again") from error
    if features != "spectrograms":
        raise WavspecError(
            f"{path} takes embeddings, and recordings are labelled from their spectrograms. Train "
            "with the config key 'classifier.features' set to 'spectrograms'"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only fatal errors
    try:
        return (load_tflite if path.endswith(".tflite") else load_keras)(path), facts
    except ImportError as error:
        raise WavspecError(
            f"{error}. model.keras needs TensorFlow (run `make tensorflow`); model.tflite needs "
            "TensorFlow or ai-edge-litert"
        ) from error
    except Exception as error:  # of any type; Keras quotes the whole model
        cause = " ".join(str(error).split())[:200]
        keras = facts["versions"]["keras"]
        raise WavspecError(f"cannot load {path}, of Keras {keras}: {cause}") from error


def load_keras(path):
    import keras

    return keras.saving.load_model(path, compile=False).predict_on_batch


def load_tflite(path):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow

        Interpreter = tensorflow.lite.Interpreter  # noqa: N806
    warnings.simplefilter("ignore", UserWarning)  # TensorFlow's, which advises ai_edge_litert
    run = Interpreter(path).get_signature_runner()
    [name] = run.get_input_details()
    return lambda examples: next(iter(run(**{name: examples}).values()))


def files_in(path):
    """Return [path], or the sorted paths of the audio files below it if it is a folder."""
    if not os.path.isdir(path):
        return [path]
    found = (clip.path for folder in walk(path, ANY_PATH) for _, clip in folder.clips)
    files = [os.path.join(path, name) for name in sorted(filter(is_audio, found))]
    if not files:
        raise WavspecError(f"{path}: no audio file in this folder")
    return files


def read_examples(path, short_clips, hop_length):
    """Return an iterable of the (15600,) samples of each example of a file.

    Args:
        path: the file. Its length does not matter for the memory.
        short_clips: see `audio.read_clip`.
        hop_length: samples from the start of an example to that of the next.
    """
    clip = read_clip(path, short_clips=short_clips, long_clips="cut")
    if clip.length < EXAMPLE_LENGTH:
        return [np.pad(clip.samples, (0, EXAMPLE_LENGTH - clip.length))]
    return waveforms_in(clip.blocks, hop_length)


class Recordings:
    """Yields (path, start in seconds, (15600,) samples) of each example in files and folders."""

    def __init__(self, paths, short_clips, hop_length):
        self.short_clips, self.hop_length = short_clips, hop_length
        self.files, self.failures = [], 0
        # On a terminal, the lines on stdout would mix with it.
        self.shows_progress = sys.stderr.isatty() and not sys.stdout.isatty()
        for path in paths:
            with self.reporting(path):
                self.files += files_in(path)

    def __iter__(self):
        for number, path in enumerate(self.files, 1):
            with self.reporting(path):
                examples = read_examples(path, self.short_clips, self.hop_length)
                for place, waveform in enumerate(examples):
                    start = place * self.hop_length / SAMPLE_RATE
                    if place % BATCH_SIZE == 0:
                        self.progress(f"file {number} of {len(self.files)}, {start:.0f} s")
                    yield path, start, waveform
        self.progress("")

    @contextmanager
    def reporting(self, path):
        """Print an error on stderr and continue."""
        try:
            yield
        except (InvalidClipError, WavspecError) as error:
            self.failures += 1
            self.progress("")
            where = f"{path}: " if isinstance(error, InvalidClipError) else ""
            print(f"{where}{error}", file=sys.stderr)

    def progress(self, text):
        if self.shows_progress:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main(arguments=None):
    """Write the labels of recordings to stdout; return the exit code."""
    parser = argparse.ArgumentParser("python -m wavspec.predict", description=__doc__)
    parser.add_argument("model", help="results/classifier, or model.keras or model.tflite in it")
    parser.add_argument("paths", nargs="+", metavar="file", help="a recording, or a folder of them")
    parser.add_argument("--hop", type=float, default=0.96, help="seconds between two starts")
    options = parser.parse_args(arguments)
    hop_length = HOP_LENGTH * round(options.hop / 0.01)
    if hop_length < 1 or round(options.hop, 2) != options.hop:
        parser.error(f"--hop {options.hop} is not a multiple of 0.01, such as 0.48")
    try:
        predict, facts = load_model(options.model)
    except WavspecError as error:
        parser.error(str(error))
    # Names of files can have bytes that are not UTF-8.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("file_name", "start", "label", "probability"))
    recordings = Recordings(options.paths, facts.get("short_clips"), hop_length)
    found = iter(recordings)
    while batch := list(itertools.islice(found, BATCH_SIZE)):
        examples = log_mel_of(np.array([waveform for _, _, waveform in batch]))
        probabilities = predict(examples.astype(np.float32))
        for (path, start, _), row in zip(batch, probabilities, strict=True):
            label = facts["labels"][row.argmax()]
            writer.writerow((path, f"{start:.2f}", label, f"{row.max():.4f}"))
    return min(recordings.failures, 1)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # no traceback if `head` closes the pipe
    sys.exit(main())
