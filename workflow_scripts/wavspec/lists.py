"""The dataset's lists of the clips for validation and testing.

Some data sets, such as Speech Commands, contain them: one path below the dataset per line. Every
run imports this module, so it does not import pandas.
"""

import codecs
import os
import re
import unicodedata
from pathlib import Path

from .errors import reading

LISTS = {"validation": "validation_list.txt", "testing": "testing_list.txt"}
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lists(dataset):
    """Return {"validation" or "testing": bytes} of the lists of the dataset.

    They are in the folder `dataset` or, if this is named `audio`, in the folder above.

    Raises:
        WavspecError: a list cannot be read.
    """
    folder = Path(os.path.abspath(dataset))
    if folder.name == "audio" and not any((folder / name).is_file() for name in LISTS.values()):
        folder = folder.parent
    contents = {}
    for split, name in LISTS.items():
        with reading(folder / name):
            if (folder / name).is_file():
                contents[split] = (folder / name).read_bytes()
    return contents


def clips_in(contents, paths):
    """Return the clips in the lists, and warnings about the lists.

    A line and a path refer to the same clip if they differ only in a leading `./` or `audio/`, in
    slashes and backslashes, in spaces at the ends, or in the Unicode form of letters such as é.

    Args:
        contents: see `read_lists`.
        paths: collection of the clips' paths below the dataset.

    Returns:
        ({path: split}, list of warnings in words).
    """
    paths_by_form = {normal_form(path): path for path in paths} if contents else {}
    listed, warnings, twice = {}, [], set()
    for split, content in contents.items():
        lines = lines_of(content)
        # An exact match comes first: two paths can have the same form.
        found = {
            line: line if line in paths else paths_by_form.get(normal_form(line)) for line in lines
        }
        missing = [line for line, path in found.items() if path is None]
        if missing:
            warnings.append(
                f"{LISTS[split]} has {len(found)} clips, {len(missing)} of them not in the "
                f"dataset, such as {min(missing)!a}"
            )
        clips = set(found.values()) - {None}
        twice |= clips & listed.keys()
        listed |= dict.fromkeys(clips, split)
    if contents and not listed:
        warnings.append("no clip of the dataset is in the lists: they are ignored")
    if twice:
        warnings.append(
            f"{len(twice)} clips are in both lists, such as {min(twice)!r}: they count as testing"
        )
    return listed, warnings


def lines_of(content):
    """Return the lines of a list that are not blank, with any line ends and byte order mark."""
    encoding = "utf-16" if content.startswith(UTF_16) else "utf-8-sig"
    text = content.decode(encoding, errors="replace")
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def normal_form(path):
    path = os.path.normpath(path.strip().replace("\\", "/")).removeprefix("audio/")
    return unicodedata.normalize("NFC", path)
