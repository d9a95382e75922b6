"""Repairs: each by name, none by default, no word lost, every change counted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.dialogue import Origin
from qingting.data.check import check
from qingting.data.reading import read_dialogues
from qingting.data.records import RawDialogue, RawTurn, UnlabelledLine, judge
from qingting.data.repair import Repair, repair

TEXT = "（来访者沉默）\n来访者：a\n1. 深呼吸：慢慢来\n来访者：b\n咨询师：c\n（微笑）\n来访者：d\n"


def contents(path, *repairs):
    found = list(read_dialogues(path, repairs=repairs))
    return [[message.content for message in dialogue.messages] for dialogue in found]


def test_nothing_is_repaired_unasked(write):
    assert contents(write(TEXT)) == []
    assert contents(write("来访者：a\n来访者：b\n咨询师：c\n")) == []


def test_merging_two_turns_of_one_speaker(write):
    path = write("来访者：a\n来访者：b\n咨询师：c\n")
    assert contents(path, Repair.MERGE_TURNS) == [["a\nb", "c"]]


def test_cutting_a_trailing_client_turn(write):
    path = write("来访者：a\n咨询师：b\n来访者：c\n")
    assert contents(path, Repair.CUT_TRAILING_CLIENT) == [["a", "b"]]
    assert contents(write("来访者：a\n"), Repair.CUT_TRAILING_CLIENT) == []


def test_an_unlabelled_line_becomes_a_stage_direction(write):
    path = write(TEXT)
    assert contents(path, *Repair) == [
        ["（来访者沉默）\na\n（1. 深呼吸：慢慢来）\nb", "c\n（微笑）"]
    ]
    path = write("Client: a\nsighs\nTherapist: b\n[nods]\n")
    assert contents(path, Repair.STAGE_DIRECTIONS) == [["a\n(sighs)", "b\n[nods]"]]


def test_repairs_are_counted_by_dialogue(write):
    report = check(write(TEXT), repairs=Repair)
    assert report.to_record()["repairs"] == dict.fromkeys(map(str, Repair), 1)
    assert report.n_usable == 1 and report.n_strictly_valid == 0
    assert "repairs" not in check(write(TEXT)).to_record()


def test_what_no_repair_can_mend_is_quarantined(write):
    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "x", "content": "b"}]},
        {"messages": []},
        5,
        {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
    ]
    rejected = []
    path = write("\n".join(map(json.dumps, rows)))
    found = list(
        read_dialogues(
            path, repairs=Repair, on_quarantine=lambda record, defects: rejected.append(defects)
        )
    )
    assert found == []
    assert rejected == [
        {"unknown_role"},
        {"missing_turns"},
        {"malformed"},
        {"single_message", "ends_on_client"},
    ]


turn = st.builds(
    RawTurn,
    st.sampled_from(["user", "assistant", None]),
    st.text(max_size=8),
    st.sampled_from(["x", "y"]),
)


@settings(deadline=None)
@given(st.lists(turn, max_size=8), st.lists(st.text(min_size=1, max_size=8), max_size=4), st.data())
def test_no_word_is_lost(turns, texts, data):
    lines = tuple(UnlabelledLine(data.draw(st.integers(0, len(turns))), text, 1) for text in texts)
    lines = tuple(sorted(lines, key=lambda line: line.n_turns_before))
    record = RawDialogue(Origin("f", 1), turns=tuple(turns), unlabelled=lines)
    repaired, made = repair(record, [Repair.MERGE_TURNS, Repair.STAGE_DIRECTIONS])
    after = "".join(turn.content for turn in repaired.turns)
    for turn in turns:
        assert turn.content.strip() in after
    if turns:
        assert all(line.text.strip() in after for line in lines)
        assert not repaired.unlabelled
    assert bool(made) == (repaired != record)
    assert repair(repaired, [Repair.MERGE_TURNS, Repair.STAGE_DIRECTIONS]).made == ()


@settings(deadline=None)
@given(st.lists(turn, max_size=8))
def test_repair_leaves_what_is_valid_alone(turns):
    record = RawDialogue(Origin("f", 1), turns=tuple(turns))
    if not judge(record):
        assert repair(record, Repair) == (record, ())


@pytest.mark.parametrize("name", list(Repair))
def test_each_repair_alone_mends_its_defect(name, write):
    broken = {
        Repair.STAGE_DIRECTIONS: "来访者：a\n嗯\n咨询师：b",
        Repair.MERGE_TURNS: "来访者：a\n来访者：a\n咨询师：b",
        Repair.CUT_TRAILING_CLIENT: "来访者：a\n咨询师：b\n来访者：c",
    }
    assert contents(write(broken[name])) == []
    assert len(contents(write(broken[name]), name)) == 1
