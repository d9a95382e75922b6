"""What counts as which defect; turns are judged as written."""

import json

import pytest

from qingting.data.check import check
from qingting.data.records import Defect

C, T = "user", "assistant"


def dialogue(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([(C, "a"), (T, "b")], {}),
        ([(C, "a"), (T, "b"), (C, "c"), (T, "d")], {}),
        ([(C, "a")], {"single_message", "ends_on_client"}),
        ([(T, "a")], {"single_message", "starts_on_counsellor"}),
        ([(C, "a"), (T, "b"), (C, "c")], {"ends_on_client"}),
        ([(T, "a"), (C, "b"), (T, "c")], {"starts_on_counsellor"}),
        ([(C, "a"), (C, "b"), (T, "c"), (T, "d")], {"alternation_break"}),
        # an empty turn stays in the alternation test: it neither hides nor makes a break
        ([(C, "a"), (T, ""), (C, "b"), (T, "c")], {"empty_turn"}),
        ([(C, "a"), (C, " \n"), (T, "c")], {"empty_turn", "alternation_break"}),
        ([(C, "a"), (T, "\u3000")], {"empty_turn"}),
        ([(C, "a"), (T, None)], {"empty_turn"}),
        ([(C, "a"), ("narrator", "b"), (T, "c")], {"unknown_role"}),
        ([(C, "a"), ("narrator", "b")], {"unknown_role"}),
        ([(C, "a"), (None, "b")], {"unknown_role"}),
        ([(C, "a"), ("", "b")], {"unknown_role"}),
        ([(C, "a"), ("x", "b"), ("x", "c"), (T, "d")], {"unknown_role", "alternation_break"}),
        ([(C, "a"), ("x", "b"), ("y", "c"), (T, "d")], {"unknown_role"}),
        ([("system", "s"), (C, "a"), (T, "b")], {}),
        ([("system", "s")], {"missing_turns"}),
        ([], {"missing_turns"}),
    ],
)
def test_defects_of_turns(turns, expected, defects):
    assert defects(dialogue(*turns)) == dict.fromkeys(expected, 1)


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": None},
        {"conversations": []},
        {"messages": ""},
        {"id": 5, "topic": "sleep"},
        {},
        [],
        {"text": ""},
    ],
)
def test_nothing_that_could_hold_a_turn_is_missing_turns(record, defects):
    assert defects([dialogue((C, "a"), (T, "b")), record]) == {"missing_turns": 1}


@pytest.mark.parametrize(
    "record",
    [
        5,
        None,
        True,
        "",
        {"conversations": 5},
        {"conversations": {"from": "human", "value": "a"}},
        {"conversations": [[{"from": "human", "value": "a"}]]},
        {"conversations": ["a", 5]},
        {"conversations": [None]},
        {"conversations": [{"from": "human"}]},
        {"conversations": [{"value": "a"}]},
        {"conversations": [{"from": 1, "value": "a"}]},
        {"conversations": [{"from": "human", "value": 5}]},
        {"conversations": [{"from": "human", "value": {"text": "a"}}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"role": "user", "content": ["a", "b"]}]},
        {"data": {"conversations": [{"from": "human", "value": "a"}]}},
        {"conversation": [{"system": "s"}]},
        {"conversation": [{"input": 1, "output": "b"}]},
        {"instruction": "a", "output": ["good", "bad"]},
        {"instruction": "a", "output": "b", "history": [["a"]]},
        {"instruction": "a", "output": "b", "history": "x"},
        {"instruction": "a", "output": "b", "system": 5},
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"conversations": [], "chosen": {}, "rejected": {}},
        [[["a"]]],
        ["来访者：a", 5],
    ],
)
def test_what_cannot_be_read_is_malformed_and_nothing_else(record, defects, read):
    good = dialogue((C, "a"), (T, "b"))
    assert defects([good, record]) == {"malformed": 1}
    [_, found] = read([good, record])
    assert found.problem and found.place == "data.bin#2"


def test_a_preference_pair_is_recognised_and_the_reason_is_clear(checked):
    report = checked([{"prompt": "a", "chosen": "b", "rejected": "c"}] * 2)
    assert report.format == "preference"
    assert "chosen/rejected" in report.problems["data.bin#1"]


@pytest.mark.parametrize(
    "text",
    [
        '{"messages": [{"role": "user", "content": "a", "content": "b"}]}',
        '{"messages": [], "messages": [{"role": "user", "content": "a"}]}',
        '{"messages" : [{"role" : "user", "role" : "user", "content" : "a"}]}',
    ],
)
def test_a_key_that_stands_twice_would_lose_a_value(text, checked):
    report = checked(text)
    assert report.defects[Defect.MALFORMED] == 1
    assert "twice" in next(iter(report.problems.values()))


def test_a_colon_after_a_quote_in_words_is_no_key(defects):
    assert defects(dialogue((C, '他说"好":是"吗" :对'), (T, '\\":'))) == {}


def test_redundant_copies_are_counted_and_stay_valid(checked):
    one = dialogue((C, "a"), (T, "b"))
    spaced = dialogue((C, " a\n"), (T, "b\u3000"))
    other_system = dialogue(("system", "s"), (C, "a"), (T, "b"))
    in_alpaca = {"instruction": "a", "output": "b"}
    swapped = dialogue((T, "a"), (C, "b"))
    joined = dialogue((C, "a\nassistant\nb"), (T, ""))
    report = checked([one, spaced, other_system, in_alpaca, swapped, joined])
    assert report.defects[Defect.EXACT_DUPLICATE] == 3
    assert report.n_strictly_valid == 4


def test_malformed_records_are_no_copies(defects):
    assert defects([5, 5, {}, {}]) == {"malformed": 2, "missing_turns": 2}


def test_counts_of_turns_and_lines(checked):
    report = checked("系统：s\n来访者：a\n旁白\n\n咨询师：b\n来访者：c\n（哭）\n")
    assert (report.n_turns, report.n_unlabelled_lines, report.n_dialogues) == (3, 2, 1)
    assert report.defects[Defect.UNLABELLED_LINE] == 1
    assert report.places[Defect.UNLABELLED_LINE] == ("data.bin:3",)
    assert report.places[Defect.ENDS_ON_CLIENT] == ("data.bin:6",)
    # a turn of an unknown speaker is nobody's
    assert checked(dialogue((C, "a"), ("x", "b"))).n_turns == 1


def test_text_without_a_single_speaker_has_no_turns(defects):
    assert defects("hello\nworld\n") == {"unlabelled_line": 1, "missing_turns": 1}
    assert defects(["hello", "world"]) == {"unlabelled_line": 1, "missing_turns": 1}


def test_the_json_form_holds_what_was_promised(checked):
    record = checked([dialogue((C, "a"), (T, "b"))]).to_record()
    assert list(record) == [
        "format",
        "n_dialogues",
        "n_strictly_valid",
        "n_turns",
        "n_unlabelled_lines",
        "defects",
    ]
    assert list(record["defects"]) == [str(defect) for defect in Defect]
    json.dumps(record)


def test_places_are_the_first_ones(write):
    path = write([dialogue((C, "a"))] * 5)
    report = check(path, n_places=2)
    assert report.places[Defect.SINGLE_MESSAGE] == ("data.bin#1", "data.bin#2")
    assert report.defects[Defect.SINGLE_MESSAGE] == 5
