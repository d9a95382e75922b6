import hashlib
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.data.copies import DigestSet, turns_digest
from qingting.data.records import RawTurn


def digest(number):
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


@settings(deadline=None)
@given(st.lists(st.integers(0, 50)))
def test_it_behaves_as_a_set(numbers):
    known, held = set(), DigestSet()
    for number in numbers:
        assert held.add(digest(number)) == (number not in known)
        known.add(number)
    assert len(held) == len(known)


def test_it_grows_and_takes_few_bytes():
    held = DigestSet()
    for number in range(20_000):
        assert held.add(digest(number))
    assert not any(held.add(digest(number)) for number in range(20_000))
    assert sys.getsizeof(held._table) <= 40 * 20_000


def test_all_zero_digests_are_digests():
    held = DigestSet()
    assert held.add(bytes(16))
    assert not held.add(bytes(16))


def test_outer_white_space_is_nothing_inner_is_something():
    one = [RawTurn("user", "a b"), RawTurn("assistant", "c")]
    assert turns_digest(one) == turns_digest([RawTurn("user", " a b\n"), one[1]])
    assert turns_digest(one) != turns_digest([RawTurn("user", "a  b"), one[1]])
    assert turns_digest(one) != turns_digest([RawTurn(None, "a b", "x"), one[1]])
    assert turns_digest(one) != turns_digest(one[:1])
