import pickle

import pytest

from qingting.core.missing import Missing, is_missing_record


def test_missing_is_never_mistaken_for_false():
    with pytest.raises(TypeError, match="no truth value"):
        bool(Missing("timed out"))


def test_missing_survives_json_and_pickle():
    missing = Missing("timed out")
    assert missing.to_record() == {"missing": "timed out"}
    assert Missing.from_record(missing.to_record()) == missing
    assert pickle.loads(pickle.dumps(missing)) == missing


@pytest.mark.parametrize("value", [0.0, None, {}, {"missing": "x", "value": 1}, "missing"])
def test_other_records_are_not_missing(value):
    assert is_missing_record({"missing": "x"})
    assert not is_missing_record(value)
