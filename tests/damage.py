"""Ways to damage a file, for tests of repair."""

import os
import pickle
import shutil


def remove(path):
    path.unlink()


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    os.truncate(path, 0)


def append(path):
    with path.open("ab") as file:
        file.write(b'0,"\n')


def change_a_byte(path):
    """The size and the modification time stay the same."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def other_type(path):
    path.write_text('["outputs"]')


def not_utf_8(path):
    path.write_bytes(b"\xff" * 10)


def too_deep(path):
    path.write_text("[" * 100_000)


def pickled(path):
    path.write_bytes(pickle.dumps([1, 2]))


def make_folder(path):
    path.unlink()
    path.mkdir()
    (path / "file").write_text("text")


def link_to_nothing(path):
    path.unlink()
    path.symlink_to("nothing")


def restore(path, content):
    """Undo any damage."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


# Of an output with a fixed name. Snakemake itself fails at a folder in its place.
OF_OUTPUTS = [remove, cut, empty, append, change_a_byte, link_to_nothing]
OF_STAMPS = [cut, empty, append, other_type, not_utf_8, too_deep, make_folder, link_to_nothing]
