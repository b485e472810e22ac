"""Hundreds of broken WAV files: each is decoded as by the original, or an invalid row.

HOSTILE_FILES=3000 python -m pytest tests/test_broken_wav_files.py tries three thousand.
"""

import csv
import json
import math
import os
import random
import struct
import subprocess
import sys

import numpy as np
import pytest
import resampy
import soundfile
from wavs import SETTINGS, log_mel_examples, write_catalog, write_wav
from workflow import ROOT

FILES = int(os.environ.get("HOSTILE_FILES", 600))

# Formats of files that are named .wav in practice, as written by soundfile.
KINDS = [
    *[("WAV", kind) for kind in ("PCM_16", "PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")],
    *[("WAV", kind) for kind in ("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32")],
    *[("WAVEX", "PCM_16"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16")],
    *[("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("AU", "PCM_16")],
]
NUMBERS = [0, 1, 2, 3, 255, 256, 1024, 16_000, 0x7FFF, 0x8000, 0xFFFF]
NUMBERS_32 = [*NUMBERS, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0]


def seeds(folder):
    """The contents of complete files of every kind, at several rates and channel counts."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000, 3))
    contents = [write_wav(folder / "plain.wav").read_bytes()]
    for container, kind in KINDS:
        for rate, channels in [(16_000, 1), (8_000, 1), (22_050, 2), (48_000, 3)]:
            path = folder / "seed.wav"
            try:
                samples = noise[:rate, :channels]
                soundfile.write(path, samples, rate, format=container, subtype=kind)
            except (soundfile.LibsndfileError, ValueError):
                continue  # not every kind has every rate or channel count
            contents.append(path.read_bytes())
    big_endian = folder / "seed.wav"
    soundfile.write(big_endian, noise[:16_000, :1], 16_000, endian="BIG", subtype="PCM_16")
    return [*contents, big_endian.read_bytes(), *contents[:1] * 20]


def broken(content, chance):
    """`content` with one to three kinds of damage, most of it in the header."""
    content = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(min(64, len(content)) or 1)
        match chance.randrange(9):
            case 0:
                content = content[: chance.randrange(64)]
            case 1:
                content = content[: chance.randrange(len(content) + 1)]
            case 2:
                content[place : place + 4] = struct.pack("<I", chance.choice(NUMBERS_32))
            case 3:
                content[place : place + 2] = struct.pack("<H", chance.choice(NUMBERS))
            case 4:
                content[place : place + 1] = bytes([chance.randrange(256)])
            case 5:
                content[place:place] = chance.choice([b"LIST", b"data", b"fmt "]) + bytes(4)
            case 6:
                content += chance.choice([b"\0", b"id3 \xff\xff\xff\xff", chance.randbytes(33)])
            case 7:
                content[:4] = chance.choice([b"RIFX", b"RF64", b"FORM", b"OggS", b"fLaC", b"riff"])
            case 8:
                content[44:56] = struct.pack("<3f", *chance.sample([np.nan, np.inf, 1e38, 0.0], 3))
    return bytes(content)


def original(path):
    """The examples of any file by the original front end; raises as it does."""
    samples, rate = soundfile.read(path, dtype="int16")
    samples = samples / 32768.0
    samples = samples if samples.ndim == 1 else np.mean(samples, axis=1)
    samples = samples if rate == 16_000 else resampy.resample(samples, rate, 16_000)
    return log_mel_examples(samples)


def test_each_hostile_file_is_decoded_as_the_original_or_invalid(tmp_path):
    chance = random.Random(20260101)
    dataset = tmp_path / "dataset"
    (dataset / "no").mkdir(parents=True)
    complete = seeds(tmp_path)
    for number in range(FILES):
        path = dataset / "no" / f"{number:05}.wav"
        path.write_bytes(broken(chance.choice(complete), chance))
    write_wav(tmp_path / "one" / "no" / "0.wav", rate=8_000, samples=8_000)
    before, *_ = peak_of_chunk(tmp_path / "one", tmp_path)

    peak, chunk, table = peak_of_chunk(dataset, tmp_path)

    assert peak - before < 60

    spectrograms = np.load(chunk)
    valid = 0
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(spectrograms) == FILES
    for row, spectrogram in zip(rows, spectrograms, strict=True):
        path = dataset / row["path"]
        assert np.isfinite(spectrogram).all()
        # Of some FLAC and MP3 files, soundfile reads only as much as a header announces.
        whole = int(row["samples"] or 0) <= frames_of_original(path)
        if row["valid"] == "True":
            valid += 1
            if whole and soundfile.info(path).subtype not in ("FLOAT", "DOUBLE"):
                [expected] = original(path)
                np.testing.assert_allclose(spectrogram, expected, rtol=0, atol=1e-9)
        else:
            assert row["reason"] and row["detail"] and not spectrogram.any()
            assert not whole or examples_of_original(path) != 1, row
    assert FILES / 20 < valid < FILES * 0.9


def peak_of_chunk(dataset, folder, threads=1, **settings):
    """Write the chunk and table of the label `no` into `folder`, in a separate process.

    Return the peak memory in MB, and the two paths. How much the imports need depends on the Python
    and its packages: a bound is for the difference from another chunk.
    """
    if not os.path.exists("/proc/self/status"):
        pytest.skip("only Linux tells a process's own peak")
    # Not ru_maxrss, which includes the memory of the parent before the child's start.
    job = (
        "import sys; sys.path.insert(0, 'workflow_scripts');"
        "from spectrograms import write_chunk; from json import loads;"
        "write_chunk(*sys.argv[1:5], loads(sys.argv[5]), int(sys.argv[6]));"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    settings = {**SETTINGS, **settings}
    catalog, digest = write_catalog(dataset, "no", folder, settings)
    chunk, table = folder / f"no.{digest}.npy", folder / f"no.{digest}.csv"
    files = (dataset, catalog, chunk, table)
    command = [sys.executable, "-c", job, *files, json.dumps(settings), str(threads)]
    process = subprocess.run(command, cwd=ROOT, check=True, timeout=600, stdout=subprocess.PIPE)
    return int(process.stdout) / 1024, chunk, table


def test_memory_does_not_grow_with_the_label(tmp_path):
    write_wav(tmp_path / "no" / "0.wav")
    peaks = []
    for clips in (100, 4000):
        for number in range(1, clips):
            (tmp_path / "no" / f"{number}.wav").unlink(missing_ok=True)
            os.link(tmp_path / "no" / "0.wav", tmp_path / "no" / f"{number}.wav")
        peaks.append(peak_of_chunk(tmp_path, tmp_path)[0])
    assert peaks[1] - peaks[0] < 12


def frames_of_original(path):
    """The number of samples that the original reads if it can; the true one for other formats."""
    try:
        info = soundfile.info(path)
        return len(soundfile.read(path)[0]) if info.format in ("FLAC", "MP3") else math.inf
    except Exception:
        return math.inf


def examples_of_original(path):
    """The original's number of examples of the file; None if it fails or needs too much memory."""
    try:
        info = soundfile.info(path)
        if info.frames * info.channels > 10**7 or info.subtype in ("FLOAT", "DOUBLE"):
            return None
        return len(original(path))
    except Exception:
        return None
