"""The server's log: bounded, and without anybody's words."""

import logging

from qingting.engines.native.server import WordlessFormatter


def test_a_trace_names_kind_and_place_and_not_the_message():
    formatter = WordlessFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError("what somebody said")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "a step failed", (), trace)
    text = formatter.format(record)
    assert text.startswith("ERROR a step failed")
    assert text.endswith("ValueError")
    assert "test_serve_log.py" in text
    assert "what somebody said" not in text.replace('raise ValueError("what somebody said")', "")
