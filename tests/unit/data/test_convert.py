"""Conversion: the words, the speakers and the system text come back exactly."""

import gzip
import json
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.core.dialogue import Message
from qingting.core.errors import DataError
from qingting.data.check import check
from qingting.data.convert import Target, convert, to_alpaca, to_messages, to_sharegpt, to_target
from qingting.data.output import record_file
from qingting.data.quarantine import quarantine_file
from qingting.data.reading import read_records

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"))
spoken = words.filter(lambda text: text.strip())
pairs = st.lists(st.tuples(words, words), min_size=1, max_size=4)
systems = st.none() | spoken


def messages_of(pairs, system):
    messages = [Message("system", system)] if system is not None else []
    for client, counsellor in pairs:
        messages += [Message("user", client), Message("assistant", counsellor)]
    return messages


def read_back(records, folder, name):
    path = folder / name
    with record_file(path, force=True) as file:
        for record in records:
            file.write(record)
    return [record.to_dialogue() for record in read_records(path)]


@settings(deadline=None)
@given(st.lists(st.tuples(pairs, systems), max_size=4), st.sampled_from(Target))
def test_any_dialogue_comes_back(tmp_path_factory, dialogues, target):
    folder = tmp_path_factory.mktemp("round")
    written = [messages_of(*dialogue) for dialogue in dialogues]
    for name in ("a.json", "a.jsonl", "a.jsonl.gz"):
        found = read_back([to_target(messages, target) for messages in written], folder, name)
        assert [list(dialogue.messages) for dialogue in found] == written


@settings(deadline=None)
@given(st.lists(st.sampled_from(["user", "assistant"]), min_size=1, max_size=6), st.data())
def test_any_order_of_speakers_comes_back(tmp_path_factory, roles, data):
    messages = [Message(role, data.draw(words)) for role in roles]
    for record in (to_sharegpt(messages), to_messages(messages)):
        [found] = read_back([record], tmp_path_factory.mktemp("round"), "a.jsonl")
        assert list(found.messages) == messages


def test_the_three_forms():
    messages = messages_of([("a", "b"), ("c", "d")], "S")
    assert to_sharegpt(messages)["conversations"][:2] == [
        {"from": "system", "value": "S"},
        {"from": "human", "value": "a"},
    ]
    assert to_messages(messages)["messages"][2] == {"role": "assistant", "content": "b"}
    assert to_alpaca(messages) == {
        "instruction": "c",
        "input": "",
        "output": "d",
        "system": "S",
        "history": [["a", "b"]],
    }
    assert to_alpaca(messages_of([("a", "b")], None)) == {
        "instruction": "a",
        "input": "",
        "output": "b",
    }


@pytest.mark.parametrize("roles", [[], ["user"], ["assistant", "user"], ["user", "user"]])
def test_alpaca_holds_pairs_only(roles):
    assert to_alpaca([Message(role, "a") for role in roles]) is None


ROWS = [
    {
        "id": 7,
        "source": "s",
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    },
    {"messages": [{"role": "user", "content": "a"}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "x", "content": "b"}]},
    {
        "kind": "crisis",
        "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    },
]


@pytest.fixture
def source(write):
    return write("\n".join(map(json.dumps, ROWS)) + "\n{broken")


def converted(source, tmp_path, **options):
    rejected = []
    with record_file(tmp_path / "out.jsonl", force=True) as file:
        result = convert(
            source,
            file,
            on_quarantine=lambda record, defects: rejected.append((record.place, defects)),
            **options,
        )
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    return result, rows, rejected


def test_everything_that_fits_is_written_with_its_defects(source, tmp_path):
    result, rows, rejected = converted(source, tmp_path, target=Target.MESSAGES)
    assert rows[0] == {"id": 7, "messages": ROWS[0]["messages"]}
    assert rows[1:] == [ROWS[1], ROWS[3]]
    assert [place for place, _ in rejected] == ["data.bin:3", "data.bin:5"]
    assert (result.n_records, result.n_dialogues, result.n_quarantined) == (5, 3, 2)
    assert result.keys_left_out == ("source",)


def test_what_a_form_cannot_hold_is_handed_over(source, tmp_path):
    result, rows, rejected = converted(source, tmp_path, target=Target.ALPACA)
    assert len(rows) == 1 and result.n_unfit == 2
    assert len(rejected) == result.n_quarantined == 4


def test_strict_writes_valid_dialogues_only(source, tmp_path):
    result, rows, rejected = converted(source, tmp_path, target=Target.SHAREGPT, is_strict=True)
    assert len(rows) == 1 and len(rejected) == 4
    assert result.to_record()["defects"]["ends_on_client"] == 2


def test_the_check_finds_the_same_before_and_after(source, tmp_path):
    converted(source, tmp_path, target=Target.SHAREGPT)
    before, after = check(source).defects, check(tmp_path / "out.jsonl").defects
    for name in ("single_message", "ends_on_client", "alternation_break"):
        assert before[name] == after[name]


def test_nothing_is_overwritten_or_left_half_written(tmp_path):
    path = tmp_path / "deep" / "out.json"
    with pytest.raises(KeyError), record_file(path, force=False) as file:
        file.write({"a": 1})
        raise KeyError
    assert list(path.parent.iterdir()) == []
    with record_file(path, force=False) as file:
        file.write({"a": "好"})
    assert path.read_text() == '[\n{"a":"好"}\n]\n'
    with pytest.raises(DataError, match="--force"), record_file(path, force=False):
        pass
    with record_file(path, force=True):
        pass
    assert json.loads(path.read_text()) == []
    with pytest.raises(DataError, match="folder"), record_file(tmp_path, force=True):
        pass


def test_the_same_records_give_the_same_bytes(tmp_path):
    contents = []
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        with record_file(tmp_path / name, force=False) as file:
            file.write({"a": 1})
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert gzip.decompress(contents[0]) == b'{"a":1}\n'


def test_a_quarantine_names_place_defects_and_words(source, tmp_path):
    path = tmp_path / "bad.jsonl"
    with quarantine_file(path, force=False) as sink:
        check(source, on_quarantine=sink)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["line"] for row in rows] == [2, 3, 4, 5]
    assert rows[0]["defects"] == ["ends_on_client", "single_message"]
    assert json.loads(rows[1]["raw"]) == ROWS[2]
    assert rows[3]["defects"] == ["malformed"] and rows[3]["reason"]
    assert rows[3]["raw"] == "{broken" and rows[3]["file"] == "data.bin"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_quarantine_file_without_need(tmp_path):
    with quarantine_file(tmp_path / "a", force=False):
        pass
    assert not (tmp_path / "a").exists()
    with quarantine_file(tmp_path / "a", force=False, always=True):
        pass
    assert (tmp_path / "a").read_bytes() == b""
