"""The concatenation's copy: shared blocks where the file system can, the same bytes elsewhere."""

import os
import resource
import shutil
import subprocess

import concatenate
import numpy as np
import pytest
from wavspec.chunk import HEADER_BYTES, ROW_BYTES

ROWS = 1_000  # 49 MB a chunk


def write_chunks(folder):
    """Two chunks of ROWS random rows each, as far as the copy looks at them."""
    random = np.random.default_rng(0)
    chunks = [folder / "a.npy", folder / "b.npy"]
    for chunk in chunks:
        chunk.write_bytes(bytes(HEADER_BYTES) + random.bytes(ROWS * ROW_BYTES))
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
    # Another copy of the data has no room any more.
    with open(sharing_disk / "filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, before - size // 2)
    os.sync()
    free = shutil.disk_usage(sharing_disk).free
    concatenate.write_spectrograms(sharing_disk / "out.dat", chunks)
    os.sync()
    assert free - shutil.disk_usage(sharing_disk).free < size / 10
    assert (sharing_disk / "out.dat").read_bytes() == data_of(chunks)


@pytest.mark.parametrize("in_kernel", [True, False])
def test_the_copy_elsewhere(tmp_path, monkeypatch, in_kernel):
    if not in_kernel:
        monkeypatch.delattr(os, "copy_file_range")
    chunks = write_chunks(tmp_path)
    concatenate.write_spectrograms(tmp_path / "out.dat", chunks)
    assert (tmp_path / "out.dat").read_bytes() == data_of(chunks)


def test_a_copy_between_file_systems(tmp_path):
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no second file system at hand")
    chunks = write_chunks(tmp_path)
    out = "/dev/shm/wavfile_spec.dat.test"
    try:
        concatenate.write_spectrograms(out, chunks)
        with open(out, "rb") as file:
            assert file.read() == data_of(chunks)
    finally:
        os.remove(out)


@pytest.fixture
def a_megabyte_at_most():
    """Call it to limit the size of the files that this process writes: not to fill the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_too_small_a_disk_is_told_before_a_byte_is_written(tmp_path, a_megabyte_at_most):
    size = shutil.disk_usage(tmp_path).free // ROW_BYTES * ROW_BYTES + ROW_BYTES
    (tmp_path / "a.npy").touch()
    os.truncate(tmp_path / "a.npy", HEADER_BYTES + size)  # takes no room itself
    a_megabyte_at_most()
    with pytest.raises(OSError, match=f"{size:,} bytes needed"):
        concatenate.write_spectrograms(tmp_path / "out.dat", [tmp_path / "a.npy"])
    assert (tmp_path / "out.dat").stat().st_size == 0
