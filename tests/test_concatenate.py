"""The copy of the concatenation: shared blocks if the file system supports it, the same bytes."""

import fcntl
import os
import resource
import shutil
import subprocess

import numpy as np
import pytest
from concatenate import FICLONE, concatenate
from wavspec.chunk import HEADER_BYTES, ROW_BYTES, ChunkError, chunk_header

ROWS = 1_000  # 49 MB a chunk


def write_chunks(folder, rows=ROWS):
    """Two chunks of random rows."""
    random = np.random.default_rng(0)
    chunks = [folder / "a.npy", folder / "b.npy"]
    for chunk in chunks:
        chunk.write_bytes(chunk_header(rows) + random.bytes(rows * ROW_BYTES))
    return chunks


def data_of(chunks):
    return b"".join(chunk.read_bytes()[HEADER_BYTES:] for chunk in chunks)


@pytest.fixture(params=["xfs", "btrfs"])
def sharing_disk(request, tmp_path):
    """A folder on a loop-mounted file system whose files can share blocks, with 500 MB."""
    image, folder = tmp_path / "image", tmp_path / "mounted"
    if not shutil.which(f"mkfs.{request.param}"):
        pytest.skip(f"no mkfs.{request.param} on this machine")
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(500 * 2**20)
    subprocess.run([f"mkfs.{request.param}", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this machine mounts no {request.param}: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_blocks_are_shared_where_the_file_system_can(sharing_disk):
    chunks = write_chunks(sharing_disk)
    os.sync()
    before = shutil.disk_usage(sharing_disk).free
    size = 2 * ROWS * ROW_BYTES
    assert before > size * 1.1
    # Another copy of the data does not fit.
    with open(sharing_disk / "filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, before - size // 2)
    os.sync()
    free = shutil.disk_usage(sharing_disk).free
    concatenate(chunks, sharing_disk / "out.dat")
    os.sync()
    assert free - shutil.disk_usage(sharing_disk).free < size / 10
    assert (sharing_disk / "out.dat").read_bytes() == data_of(chunks)


@pytest.mark.parametrize("in_kernel", [True, False])
def test_the_copy_elsewhere(tmp_path, monkeypatch, in_kernel):
    if not in_kernel:
        monkeypatch.delattr(os, "copy_file_range")
    chunks = write_chunks(tmp_path)
    concatenate(chunks, tmp_path / "out.dat")
    assert (tmp_path / "out.dat").read_bytes() == data_of(chunks)


def test_a_copy_between_file_systems(tmp_path):
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no second file system at hand")
    chunks = write_chunks(tmp_path)
    out = "/dev/shm/wavfile_spec.dat.test"
    try:
        concatenate(chunks, out)
        with open(out, "rb") as file:
            assert file.read() == data_of(chunks)
    finally:
        os.remove(out)


@pytest.mark.parametrize("labels", [1, 2])
def test_what_is_shared_to_try_it_does_not_stay(tmp_path, monkeypatch, labels):
    """On any file system: a copy replaces the call that shares all blocks."""

    def share(target, request, source):
        assert request == FICLONE
        os.pwrite(target.fileno(), os.pread(source, os.fstat(source).st_size, 0), 0)

    chunks = write_chunks(tmp_path, rows=3)[:labels]
    monkeypatch.setattr(fcntl, "ioctl", share)
    # With its header, a single chunk is longer than the result.
    concatenate(chunks, tmp_path / "out.dat")
    assert (tmp_path / "out.dat").read_bytes() == data_of(chunks)


@pytest.fixture
def no_large_files():
    """Limit files to 1 MB, to keep a failing test from filling the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_too_small_a_disk_is_told_before_a_byte_is_written(tmp_path, request):
    rows = shutil.disk_usage(tmp_path).free // ROW_BYTES + 1
    chunk = tmp_path / "a.npy"
    chunk.write_bytes(chunk_header(rows))
    os.truncate(chunk, HEADER_BYTES + rows * ROW_BYTES)  # takes no space
    request.getfixturevalue("no_large_files")
    with pytest.raises(OSError, match=f"{rows * ROW_BYTES:,} bytes needed"):
        concatenate([chunk], tmp_path / "out.dat")
    assert (tmp_path / "out.dat").stat().st_size == 0


def test_a_chunk_that_grows_while_it_is_copied_is_not_taken(tmp_path, monkeypatch):
    chunks = write_chunks(tmp_path, rows=3)
    copy = os.copy_file_range

    def copy_and_append(*arguments):
        with chunks[1].open("ab") as chunk:
            chunk.write(bytes(ROW_BYTES))
        monkeypatch.undo()
        return copy(*arguments)

    monkeypatch.setattr(os, "copy_file_range", copy_and_append)
    with pytest.raises(ChunkError, match="changed while they were copied: run again"):
        concatenate(chunks, tmp_path / "out.dat")
