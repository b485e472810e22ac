"""The digests in the names of files, which say what a file was made of.

A file whose name carries the digest of everything that it depends on is up to date because it
exists, wherever it was moved or copied, and whoever keeps the records.
"""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .. import BEGAN_NS

ROOT = Path(__file__).resolve().parents[3]
PATTERN = "[0-9a-f]{12}"


class Code(NamedTuple):
    """The code that a stage's files are made by, besides that of earlier stages."""

    scripts: tuple  # files below `workflow_scripts`
    packages: tuple  # those whose pinned versions in requirements/*.in count
    env: str  # the file in `envs`, of which every byte counts


CODE = {
    "spectrograms": Code(
        (
            *("spectrograms.py", "wavspec/audio.py", "wavspec/chunk.py", "wavspec/dataset.py"),
            *("wavspec/run/digests.py", "wavspec/run/files.py", "wavspec/front_end.py"),
        ),
        ("numpy", "resampy", "soundfile"),
        "front_end.yaml",
    ),
    "split": Code(("split.py", "wavspec/run/seals.py"), (), "front_end.yaml"),
    "concatenate": Code(("concatenate.py", "wavspec/run/seals.py"), (), "front_end.yaml"),
    "pictures": Code(
        (
            *("pictures.py", "wavspec/audio.py", "wavspec/chunk.py", "wavspec/front_end.py"),
            "wavspec/run/seals.py",
        ),
        ("matplotlib", "numpy"),
        "pictures.yaml",
    ),
    "embeddings": Code(
        ("embeddings.py", "wavspec/run/seals.py", "wavspec/vggish.py"),
        ("tensorflow", "tf-slim"),
        "tensorflow.yaml",
    ),
    "classifier": Code(
        ("classifier.py", "wavspec/run/seals.py"),
        ("matplotlib", "numpy", "tensorflow"),
        "tensorflow.yaml",
    ),
}


def digest(*things):
    """Return 12 hex digits that change with any of `things`.

    The order of a dict's keys does not count. 10 and 10.0 are the same, and so are lists and
    tuples.

    Args:
        things: text, bytes, numbers, truth values, None, and lists, tuples and dicts of them.
    """
    return hashlib.sha256(ascii(canonical(things)).encode()).hexdigest()[:12]


def canonical(thing):
    """Return `thing` in a form that has one repr, however it was written."""
    if isinstance(thing, dict):
        pairs = [(canonical(key), canonical(value)) for key, value in thing.items()]
        return dict(sorted(pairs, key=ascii))
    if isinstance(thing, list | tuple):
        return tuple(map(canonical, thing))
    if isinstance(thing, float) and thing.is_integer():
        return int(thing)
    return thing


@cache
def code_digest(stage):
    """Return the digest of the code of a stage, and of the versions that it runs with.

    This process may have imported an older version of a script that was written after the process
    began. The digest then includes the time of writing, so that no file has it in its name.
    """
    code = CODE[stage]
    scripts = [ROOT / "workflow_scripts" / script for script in code.scripts]
    written = [script.stat().st_ctime_ns for script in scripts]
    content = [script.read_bytes() for script in scripts]
    pin = re.compile(rf"^(?:{'|'.join(code.packages)})\s*[=<>~!].*$", re.MULTILINE)
    requirements = sorted((ROOT / "requirements").glob("*.in"))
    versions = [pin.findall(file.read_text(encoding="utf-8")) for file in requirements]
    since = [time for time in written if time > BEGAN_NS]
    return digest(content, versions, (ROOT / "envs" / code.env).read_bytes(), *since)


def label_digest(clips, short_clips):
    """Return the digest of a label: of its clips, and of all else that its spectrograms depend on.

    Args:
        clips: the label's Clips, in row order.
        short_clips: the configuration's key of that name.
    """
    state = "".join(f"{clip.path}\0{clip.size}\0{clip.mtime_ns}\n" for clip in clips)
    return digest(state, short_clips, code_digest("spectrograms"))


@cache
def content_digest(*files):
    """Return the digest of the content of `files`, one after another, read once in a process."""
    sha256 = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            hashlib.file_digest(file, lambda: sha256)
    return sha256.hexdigest()[:12]


def digest_in(file):
    """Return the digest in the name of `file`, `{name}.{digest}.{ending}`."""
    return Path(file).stem.rpartition(".")[2]


def stage_of(seal):
    """Return the stage of a seal, which its name begins with; see seals.py."""
    return Path(seal).name.split(".")[0]


def remove_superseded(folder, current):
    """Remove the files in `folder` that have a digest in their names but are not of `current`.

    Unfinished files that killed jobs left there are removed, too.

    Args:
        folder: a folder of files `{name}.{digest}.{ending}`.
        current: set of "{name}.{digest}" to keep.
    """
    has_digest = re.compile(rf".*\.{PATTERN}")
    for file in Path(folder).glob("*"):
        is_superseded = file.stem not in current and has_digest.fullmatch(file.stem)
        if is_superseded or ".part" in file.suffixes[-2:]:
            file.unlink(missing_ok=True)
