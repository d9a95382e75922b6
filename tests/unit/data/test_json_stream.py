"""Records of a JSON text one at a time: broken ones are told, the others still come."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.data.json_stream import (
    BrokenJsonError,
    json_lines,
    json_values,
    parse_json,
)

scalars = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


def cut(data, size):
    return iter([data[place : place + size] for place in range(0, len(data), size)])


@settings(deadline=None)
@given(st.lists(values), st.sampled_from([None, 1, 4]), st.integers(1, 200), st.booleans())
def test_the_elements_of_any_array_come_back(elements, indent, size, escapes):
    data = json.dumps(elements, indent=indent, ensure_ascii=escapes).encode(
        "utf-8", "surrogatepass"
    )
    pieces = list(json_values(cut(data, size)))
    assert [piece.problem for piece in pieces] == [None] * len(elements)
    assert [json.loads(piece.raw.decode("utf-8", "surrogatepass")) for piece in pieces] == elements
    assert [piece.number for piece in pieces] == list(range(1, len(elements) + 1))


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=4), scalars, max_size=3)), st.integers(1, 200))
def test_the_lines_come_back(records, size):
    data = "\n".join(json.dumps(record) for record in records).encode()
    assert [json.loads(piece.raw) for piece in json_lines(cut(data, size))] == records


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_end_and_are_counted(data, size):
    for reader in (json_values, json_lines):
        pieces = list(reader(cut(data, size)))
        assert len(pieces) <= len(data) + 1


GOOD = '{"id": %d, "turns": [{"a": "x"}]}'


@pytest.mark.parametrize(
    "broken",
    [
        '{"id": 0, "turns": [}',
        '{"id": 0, "turns": [{"a": "x"}}',
        '{"id": 0, "turns": [{"a": "x]}',
        '{"id": 0, "turns": [{"a": "x"y"}]}',
        '{"id": 0, "turns": [{"a": "x"}',
        '{"id": 0 "turns": []}',
        '{"id": 0, "turns": [{"a": tru}]}',
        "nonsense, ",
        "}",
    ],
)
@pytest.mark.parametrize("separator", [", ", ",\n  "])
@pytest.mark.parametrize("size", [7, 10_000])
def test_one_broken_element_costs_one_record(broken, separator, size):
    elements = [GOOD % 1, broken, GOOD % 2, GOOD % 3]
    found, n_broken = [], 0
    for piece in json_values(cut(f"[{separator.join(elements)}]".encode(), size)):
        try:
            found.append(parse_json(piece.raw).value["id"] if not piece.problem else None)
        except BrokenJsonError:
            found.append(None)
        n_broken += found[-1] is None
    assert [number for number in found if number is not None] == [1, 2, 3]
    assert n_broken == 1


def test_a_cut_array_says_so():
    whole = f"[{GOOD % 1}, {GOOD % 2}]"
    for length in range(1, len(whole)):
        pieces = list(json_values(iter([whole[:length].encode()])))
        assert pieces[-1].problem
        assert all(piece.problem is None for piece in pieces[:-1])


def test_memory_is_bounded_by_the_record_not_the_text():
    n_taken = 0

    def chunks():
        nonlocal n_taken
        yield b"["
        for number in range(10**6):
            n_taken += 1
            yield (GOOD % number + ",").encode()

    pieces = json_values(chunks())
    for _ in range(5):
        next(pieces)
    assert n_taken < 10


def test_a_record_beyond_the_limit_is_passed_over():
    long = json.dumps({"id": 9, "a": "x" * 5000})
    array = f"[{GOOD % 1}, {long}, {GOOD % 2}]".encode()
    for size in (100, 100_000):
        pieces = list(json_values(cut(array, size), longest=1000))
        assert [piece.problem is None for piece in pieces] == [True, False, True]
    lines = f"{GOOD % 1}\n{long}\n{GOOD % 2}\n{long}".encode()
    for size in (100, 100_000):
        pieces = list(json_lines(cut(lines, size), longest=1000))
        assert [(piece.number, piece.problem is None) for piece in pieces] == [
            (1, True),
            (2, False),
            (3, True),
            (4, False),
        ]


def test_beyond_the_standard():
    assert parse_json(b'\xef\xbb\xbf{"a": 1}').value == {"a": 1}
    assert parse_json(b'{"a": NaN}').value.keys() == {"a"}
    assert parse_json(b'{"a": 123456789012345678901234567890}').value["a"] > 1e29
    assert parse_json(b'{"a": "\xff"}') == ({"a": "\ufffd"}, True)
    assert parse_json(rb'{"a": "\ud800b"}') == ({"a": "\ufffdb"}, True)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[" * 5000 + b"]" * 5000, b'{"a": 1, "a": 1}', b'{"a": "\t"}', b"\0", b"'a'"],
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(BrokenJsonError):
        parse_json(text)


def test_a_number_without_end_is_refused():
    with pytest.raises(BrokenJsonError):
        parse_json(b"[" + b"9" * 10_000 + b"]")
