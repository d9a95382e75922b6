import pickle

import pytest

from qingting.core import errors
from qingting.core.canonical import canonical_json, digest_of
from qingting.core.errors import Problem, SpecificationError, WaitingError


def test_the_order_of_keys_does_not_matter():
    assert digest_of({"a": 1, "b": [1.5, None]}) == digest_of({"b": [1.5, None], "a": 1})


def test_an_integer_is_not_a_float():
    assert digest_of({"a": 1}) != digest_of({"a": 1.0})


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": float("-inf")}])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match="no JSON form"):
        canonical_json(value)


def test_unknown_types_are_refused():
    with pytest.raises(TypeError):
        canonical_json({"a": object()})


def test_errors_survive_pickling():
    error = SpecificationError([Problem("a.yaml:3 x", "wrong")])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a.yaml:3 x: wrong"
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.QingtingError):
            assert str(pickle.loads(pickle.dumps(kind("what happened")))) == "what happened"


def test_what_is_waited_for_survives_pickling():
    error = pickle.loads(pickle.dumps(WaitingError("open it", "draft")))
    assert (str(error), error.code) == ("open it", "draft")
