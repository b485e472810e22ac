"""Digests: equal things have equal digests, and different things different ones."""

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pipeline.configuration import with_types
from pipeline.digests import digest
from wavspec.lists import read_lists

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False).filter(lambda number: not number.is_integer())
    | st.text()
)
things = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
configurations = st.dictionaries(st.text(), things, min_size=2)


def same(one, other):
    """Whether two of the `things` are equal, other than True == 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@given(things, things)
def test_two_things_have_one_digest_only_if_they_are_the_same(one, other):
    assert (digest(one) == digest(other)) == same(one, other)


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_where_one_thing_ends_counts(one, other):
    assume(one != other)
    assert digest(*one) != digest(*other)
    assert digest(one) != digest(other)
    assert digest(*one, *other) != digest(one, other)


@given(configurations, st.randoms())
def test_the_order_of_keys_does_not_count(configuration, random):
    keys = list(configuration)
    random.shuffle(keys)
    assert digest({key: configuration[key] for key in keys}) == digest(configuration)
    nested = {"split": {key: configuration[key] for key in keys}}
    assert digest(nested) == digest({"split": configuration})


def test_known_pairs():
    assert digest(1) != digest(True) != digest("True")
    assert digest((1, 2)) == digest([1, 2]) != digest(1, 2)
    assert digest("a", "b") != digest("ab") != digest(b"ab")
    assert digest(None) != digest() != digest("") != digest([])
    assert digest({"a": 1}) != digest([("a", 1)])


@pytest.mark.parametrize("written", ["10", "10.0", "1.0e+1"])
def test_how_a_number_is_written_does_not_count(written):
    for value in (written, float(written)):
        assert repr(with_types({"split": {"validation": value}})) == "{'split': {'validation': 10}}"


def test_a_digest_is_the_same_in_every_run():
    assert digest("yes", 10, {"b": [1.5, None], "a": b"\0"}) == DIGEST_OF_ANOTHER_RUN


DIGEST_OF_ANOTHER_RUN = "6c7b8607d46f"


folders = st.lists(
    st.text(st.characters(exclude_characters="/\0"), min_size=1).filter(lambda n: n not in "."),
    min_size=1,
    max_size=3,
)


@given(folders)
def test_how_a_folder_is_written_does_not_count(names):
    folder = "/".join(names)
    for written in (f"{folder}/", f"./{folder}", f".//{folder}/.", folder.replace("/", "//")):
        assert digest(str(Path(written))) == digest(str(Path(folder)))


lines = st.lists(st.sampled_from(["no/1.wav", "no/2.wav", "yes/1.wav"]), unique=True)


@given(lines, lines, st.integers(0, 3))
def test_a_line_that_moves_from_one_list_to_the_other_counts(validation, testing, moved):
    moved = min(moved, len(testing))
    assume(moved)

    def digest_of(validation, testing):
        return digest(
            {
                "validation": "".join(f"{line}\n" for line in validation).encode(),
                "testing": "".join(f"{line}\n" for line in testing).encode(),
            }
        )

    before = digest_of(validation, testing)
    assert digest_of([*validation, *testing[:moved]], testing[moved:]) != before
    assert digest_of(testing, validation) != before or testing == validation


def test_a_list_that_is_empty_is_not_one_that_is_missing(tmp_path):
    missing = digest(read_lists(tmp_path))
    (tmp_path / "testing_list.txt").write_bytes(b"")
    assert digest(read_lists(tmp_path)) != missing
