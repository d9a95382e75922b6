"""Each form in which people keep dialogues, recognised from its content."""

import json

import pytest

PAIR = [("user", "你好"), ("assistant", "您好，请讲")]
HELLO, ANSWER = "你好", "您好，请讲"


def lines(*records):
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


ONE_DIALOGUE = {
    "sharegpt": {
        "conversations": [{"from": "human", "value": HELLO}, {"from": "gpt", "value": ANSWER}]
    },
    "messages": {
        "messages": [{"role": "user", "content": HELLO}, {"role": "assistant", "content": ANSWER}]
    },
    "alpaca": {"instruction": HELLO, "input": "", "output": ANSWER},
    "conversation": {"conversation": [{"input": HELLO, "output": ANSWER}]},
    "role_content": [
        {"role": "client", "content": HELLO},
        {"role": "counselor", "content": ANSWER},
    ],
    "string_list": [f"求助者：{HELLO}", f"支持者：{ANSWER}"],
    "tagged_text": {"text": f"<s>Human: {HELLO}\n</s><s>Assistant: {ANSWER}\n</s>"},
    "labelled_text": {"dialogue": f"来访者：{HELLO}\n\n心理咨询师: {ANSWER}"},
    "question_answer": {"question": HELLO, "answer": ANSWER},
}


@pytest.mark.parametrize("name", ONE_DIALOGUE)
def test_each_form_gives_the_same_turns(name, read, turns):
    record = ONE_DIALOGUE[name]
    for content in (record, [record], lines(record), json.dumps([record], indent=2)):
        assert turns(content) == [PAIR]
        assert [found.format for found in read(content)] == [name]


@pytest.mark.parametrize("name", ONE_DIALOGUE)
def test_many_records_are_many_dialogues(name, turns):
    record = ONE_DIALOGUE[name]
    assert turns([record, record, record]) == [PAIR] * 3
    assert turns(lines(record, record)) == [PAIR] * 2


def test_forms_may_be_mixed(checked, turns):
    records = list(ONE_DIALOGUE.values())
    assert turns(records) == [PAIR] * len(records)
    assert turns(lines(*records)) == [PAIR] * len(records)
    report = checked(records)
    assert report.format == "mixed"
    assert report.defects["exact_duplicate"] == len(records) - 1


def test_plain_text_is_one_dialogue(turns):
    assert turns(f"来访者：{HELLO}\r\n\r\n心理咨询师： {ANSWER} \r\n") == [PAIR]
    assert turns(f"Client: {HELLO}\nTHERAPIST : {ANSWER}") == [PAIR]
    assert turns(f"求助者：{HELLO}\r支持者：{ANSWER}\r") == [PAIR]


def test_a_line_without_a_label_continues_no_turn(read):
    [record] = read("来访者：你好\n（沉默）\n咨询师：您好\n妈妈：他很乖\n")
    assert [turn.content for turn in record.turns] == ["你好", "您好"]
    assert [tuple(line) for line in record.unlabelled] == [
        (1, "（沉默）", 2),
        (2, "妈妈：他很乖", 4),
    ]


@pytest.mark.parametrize("name", ["来访者（姚先生）", "来访者1", "A", "我的医生", "1. 深呼吸"])
def test_only_a_bare_name_is_a_label(name, read):
    [record] = read(f"来访者：你好\n{name}：嗯\n咨询师：您好\n")
    assert len(record.unlabelled) == 1


@pytest.mark.parametrize(
    "name",
    [
        "human",
        "USER",
        "Client",
        "patient",
        "Help-Seeker",
        "help_seeker",
        "来访者",
        "求助者",
        "用户",
        "咨询者",
        "患者",
    ],
)
def test_names_of_the_client(name, turns):
    assert turns({"messages": [{"role": name, "content": "a"}]}) == [[("user", "a")]]
    assert turns(f"{name}：a\n咨询师：b")[0][0] == ("user", "a")


@pytest.mark.parametrize(
    "name",
    [
        "gpt",
        "Assistant",
        "counselor",
        "counsellor",
        "therapist",
        "bot",
        "model",
        "supporter",
        "心理咨询师",
        "咨询师",
        "支持者",
        "医生",
        "助手",
    ],
)
def test_names_of_the_counsellor(name, turns):
    assert turns({"conversations": [{"from": name, "value": "a"}]}) == [[("assistant", "a")]]
    assert turns(f"来访者：a\n{name}:b")[0][1] == ("assistant", "b")


def test_a_system_text_is_no_turn(read):
    system = {
        "sharegpt": {"system": "S", "conversations": [{"from": "human", "value": "a"}]},
        "in the list": {
            "messages": [{"role": "System", "content": "S"}, {"role": "user", "content": "a"}]
        },
        "both": {
            "system": "S",
            "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a"}],
        },
        "alpaca": {"system": "S", "instruction": "a", "output": "b"},
        "conversation": {
            "conversation": [
                {"system": "S", "input": "a", "output": "b"},
                {"system": "S", "input": "c", "output": "d"},
            ]
        },
        "tagged": {"text": "<s>System: S\n</s><s>Human: a\n</s>"},
        "strings": ["系统：S", "来访者：a"],
    }
    for record in system.values():
        [found] = read(record)
        assert found.system == "S"
        assert all(turn.role in ("user", "assistant") for turn in found.turns)


def test_an_empty_system_text_is_none(read):
    for empty in ("", " ", None):
        [found] = read({"system": empty, "instruction": "a", "output": "b"})
        assert found.system is None


@pytest.mark.parametrize(
    "messages",
    [
        [("system", "S"), ("system", "T"), ("user", "a"), ("assistant", "b")],
        [("user", "a"), ("system", "S"), ("assistant", "b")],
    ],
)
def test_a_second_system_text_is_refused_not_dropped(messages, defects):
    turns = [{"role": role, "content": content} for role, content in messages]
    assert defects({"messages": turns}) == {"malformed": 1}


def test_alpaca_puts_instruction_and_input_into_one_turn(turns):
    assert turns({"instruction": "a", "input": "b", "output": "c"}) == [
        [("user", "a\nb"), ("assistant", "c")]
    ]
    assert turns({"instruction": "", "input": "b", "output": "c"})[0][0] == ("user", "b")
    assert turns({"instruction": "a", "input": None, "output": "c"})[0][0] == ("user", "a")


def test_alpaca_history_comes_first(turns):
    record = {"instruction": "e", "output": "f", "history": [["a", "b"], ["c", "d"]]}
    assert [content for _, content in turns(record)[0]] == list("abcdef")
    assert turns({"instruction": "a", "output": "b", "history": None}) == [
        [("user", "a"), ("assistant", "b")]
    ]


def test_exchanges_may_be_named_for_the_speakers(turns, defects):
    exchange = {"human": HELLO, "assistant": ANSWER}
    assert turns({"conversation": [exchange, exchange]}) == [PAIR * 2]
    assert defects({"conversation": [{"human": "a", "user": "b", "assistant": "c"}]}) == {
        "malformed": 1
    }


def test_text_parts_are_put_together(turns):
    parts = [{"type": "text", "text": "你"}, {"type": "text", "text": "好"}]
    assert turns({"messages": [{"role": "user", "content": parts}]}) == [[("user", "你好")]]


def test_tools_of_sharegpt_are_named_as_left_out(read):
    record = {**ONE_DIALOGUE["sharegpt"], "tools": '[{"name": "x"}]', "source": "s"}
    [found] = read(record)
    assert found.other_keys == {"tools", "source"}
    assert read({**ONE_DIALOGUE["sharegpt"], "tools": "[]"})[0].other_keys == set()


def test_segments_in_a_text_file_begin_dialogues(turns):
    one = f"<s>System: S\n</s><s>Human: {HELLO}\n</s><s>Assistant: {ANSWER}\n</s>"
    assert turns(one + "\n" + one) == [PAIR, PAIR]
    assert turns(one.replace("</s><s>", "</s>\n<s>") + "\n" + one) == [PAIR, PAIR]
    bare = f"<s>Human: {HELLO}\n</s><s>Assistant: {ANSWER}\n</s>"
    assert turns(f"{bare}\n{bare}\n{bare}") == [PAIR] * 3


def test_a_segment_without_a_speaker_is_an_unlabelled_line(defects):
    assert defects("<s>Human: a\n</s><s>hm\n</s><s>Assistant: b</s>") == {"unlabelled_line": 1}
    assert defects("<s>Human: a\n</s><s>Narrator: b\n</s>") == {"unknown_role": 1}


def test_an_array_of_strings_may_hold_transcripts(turns):
    transcript = f"来访者：{HELLO}\n咨询师：{ANSWER}"
    assert turns([transcript, transcript]) == [PAIR, PAIR]


def test_the_first_broken_line_does_not_hide_json_lines(read):
    content = '{"conversations": [\n' + lines(*[ONE_DIALOGUE["sharegpt"]] * 3)
    assert [(found.place, found.problem is None) for found in read(content)] == [
        ("data.bin:1", False),
        ("data.bin:2", True),
        ("data.bin:3", True),
        ("data.bin:4", True),
    ]


def test_objects_that_follow_one_another_are_records(turns):
    pretty = json.dumps(ONE_DIALOGUE["messages"], indent=1)
    assert turns(pretty + "\n" + pretty) == [PAIR, PAIR]
    assert turns(f"[{pretty}]\n[{pretty}, ]") == [PAIR, PAIR]


def test_rows_of_turns_belong_together_by_number(read, turns):
    rows = [
        {"dialogue_id": 1, "role": "client", "content": HELLO},
        {"dialogue_id": 1, "role": "counselor", "content": ANSWER},
        {"dialogue_id": "b", "role": "client", "content": HELLO},
    ]
    assert turns(lines(*rows)) == [PAIR, PAIR[:1]]
    assert turns(rows) == [PAIR, PAIR[:1]]
    torn = read(lines(*rows, rows[1]))
    assert [found.problem is None for found in torn] == [True, True, False]


def test_rows_without_a_number_are_one_dialogue(turns, defects):
    rows = [{"role": "client", "content": HELLO}, {"role": "counselor", "content": ANSWER}]
    assert turns(lines(*rows)) == [PAIR]
    assert defects(lines(rows[0], 5, rows[1])) == {"malformed": 1}
    assert defects(lines(ONE_DIALOGUE["alpaca"], rows[0])) == {"malformed": 1}


def test_own_id_language_and_kind_are_kept(read):
    record = {**ONE_DIALOGUE["messages"], "id": "x-1", "language": "zh", "kind": "crisis"}
    dialogue = read(record)[0].to_dialogue()
    assert (dialogue.id, dialogue.language, dialogue.kind) == ("x-1", "zh", "crisis")
    assert read(ONE_DIALOGUE["messages"])[0].to_dialogue().id == "data.bin#1"
