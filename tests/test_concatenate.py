"""The copy of the concatenation: shared blocks if the file system supports it, the same bytes."""

import errno
import os
import shutil
import subprocess

import numpy as np
import pytest
from concatenate import concatenate
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


@pytest.mark.parametrize("error", [errno.EPERM, errno.EINVAL, errno.EIO, errno.EXDEV])
def test_a_copy_in_the_kernel_that_fails_continues_without_it(tmp_path, monkeypatch, error):
    copy = os.copy_file_range

    def copy_some(source, target, count):
        if os.lseek(source, 0, os.SEEK_CUR) > HEADER_BYTES:
            raise OSError(error, os.strerror(error))
        return copy(source, target, 1000)

    monkeypatch.setattr(os, "copy_file_range", copy_some)
    chunks = write_chunks(tmp_path, rows=3)
    concatenate(chunks, tmp_path / "out.dat")
    assert (tmp_path / "out.dat").read_bytes() == data_of(chunks)


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
