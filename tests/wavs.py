"""WAV files for the tests, and their results by the original front end and the notebook."""

import hashlib
import importlib.util
import os
import struct
import sysconfig
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pipeline.provenance import label_digest
from wavspec.clip import Clip, new_csv
from wavspec.dataset import find_clips

SETTINGS = {"short_clips": "invalid", "long_clips": "invalid", "hop": 0.96}


def folder_of(variable, meaning):
    """Return the folder in an environment variable, and a mark that skips if it is not set."""
    folder = os.environ.get(variable)
    reason = f"set {variable} to {meaning} to run this test"
    return Path(folder or "."), pytest.mark.skipif(not folder, reason=reason)


REAL_CLIPS, needs_real_clips = folder_of(
    "REAL_CLIPS", "a folder of real clips at 16 kHz, such as some of Speech Commands,"
)
REFERENCE, needs_reference = folder_of(
    "VGGISH_REFERENCE", "a folder of reference values of the original front end"
)


def write_wav(path, seed=0, samples=16_000, rate=16_000):
    """Write seeded noise to `path` as a plain 16-bit mono WAV file; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 3000, samples).astype("<i2")
    with wave.open(os.fspath(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    return path


def riff(data, tag=1, channels=1, rate=16_000, bits=16):
    """The bytes of a WAV file with any format fields, right or wrong."""
    block = channels * bits // 8
    fields = struct.pack("<HHIIHH", tag, channels, rate, rate * block % 2**32, block % 2**16, bits)
    chunks = b"WAVEfmt \x10\0\0\0" + fields + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def make_dataset(folder, labels=("go", "no", "yes"), clips=2):
    """Write `clips` valid clips for each of `labels` below `folder`; return the folder."""
    for number, label in enumerate(labels):
        for clip in range(clips):
            write_wav(folder / label / f"{clip}.wav", seed=100 * number + clip)
    return folder


def write_catalog(dataset, label, folder, settings=SETTINGS, segments=()):
    """Write the catalog of a label of `dataset` into `folder`; return it and its digest.

    With `segments`, pairs of seconds, it has these parts of each clip.
    """
    clips = find_clips(dataset).labels[label]
    if segments:
        clips = [Clip(*clip[:3], *segment) for clip in clips for segment in segments]
    digest = label_digest(clips, settings)
    catalog = folder / f"{label}.{digest}.catalog"
    with new_csv(catalog, Clip._fields) as writer:
        writer.writerows(clips)
    return catalog, digest


def original_mel_features():
    """PyPI's torchvggish.mel_features, the original front end, loaded without its torch."""
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


def log_mel_examples(samples, hop=96):
    """The (examples, 96, 64) of a mono waveform at 16 kHz, `hop` frames apart, by the original."""
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
    return ORIGINAL.frame(log_mel, 96, hop)


def hashed(outputs):
    """The two outputs, with a hash of the array: pytest would show its differences for minutes."""
    spectrograms, table = outputs
    return hashlib.sha256(spectrograms).hexdigest(), table


def expected_outputs(dataset, as_configured=None):
    """The bytes of (wavfile_spec.dat, wavfile_df.csv) for a dataset of plain, readable clips.

    Computed as in the notebook: with the original front end, one clip after another, and pandas.
    """
    import pandas as pd  # slow, and not needed by all who import this module

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
