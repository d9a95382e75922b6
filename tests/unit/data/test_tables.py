"""CSV and TSV, recognised by the names of their columns."""

import json

import pytest

PAIR = [("user", "a"), ("assistant", "b")]


@pytest.mark.parametrize(
    "content",
    [
        "question,answer\na,b\n",
        "Question;Answer\r\na;b\r\n",
        "id,prompt,response,source\n1,a,b,web\n",
        "instruction\toutput\na\tb\n",
        "instruction,input,output\na,,b\n",
        '"input", "output"\n"a", "b"\n',
        "来访者,咨询师\na,b\n",
        "\ufeff问题,回答\na,b",
        "prompt,response\ra,b\r",
        "\nquestion,answer\n\na,b\n\n",
    ],
)
def test_columns_for_the_two_sides(content, turns):
    assert turns(content) == [PAIR]


@pytest.mark.parametrize("key", ["messages", "conversation", "conversations"])
def test_a_column_that_holds_json(key, turns):
    cell = json.dumps([{"role": "user", "content": "a"}, {"from": "gpt", "value": "b"}])
    quoted = cell.replace('"', '""')
    assert turns(f'id,{key}\n1,"{quoted}"\n') == [PAIR]


def test_a_column_that_holds_text(turns):
    assert turns('id,dialogue\n1,"来访者：a\n咨询师：b"\n') == [PAIR]
    assert turns('text\n"<s>Human: a\n</s><s>Assistant: b\n</s>"\n') == [PAIR]


def test_alpaca_columns_with_history_and_system(read):
    [found] = read('system,history,instruction,output\nS,"[[""q"", ""r""]]",a,b\n')
    assert [turn.content for turn in found.turns] == ["q", "r", "a", "b"]
    assert found.system == "S"
    [found] = read("system,history,instruction,output\n,,a,b\n")
    assert found.system is None and len(found.turns) == 2


@pytest.mark.parametrize("name", ["dialogue_id", "conversation id", "id", "对话编号"])
def test_long_form(name, turns, read):
    rows = "1,client,a\n1,counselor,b\n2,client,a\n2,counselor,b\n"
    assert turns(f"{name},role,content\n{rows}") == [PAIR, PAIR]
    assert [found.place for found in read(f"{name},role,content\n{rows}")] == [
        "data.bin:2",
        "data.bin:4",
    ]


def test_long_form_without_a_number_is_one_dialogue(turns):
    assert turns("role,content\nclient,a\ncounselor,b\n") == [PAIR]


def test_rows_of_a_dialogue_that_stand_apart_are_reported(read):
    found = read("dialogue_id,role,content\n1,client,a\n2,client,b\n1,counselor,c\n")
    assert [record.problem is None for record in found] == [True, True, False]


def test_broken_rows_are_counted_with_their_lines(read):
    found = read('question,answer\na,b\na,b,c\nq\nx,"y"z\nd,e\n')
    assert [(record.place, record.problem is None) for record in found] == [
        ("data.bin:2", True),
        ("data.bin:3", False),
        ("data.bin:4", False),
        ("data.bin:5", False),
        ("data.bin:6", True),
    ]


def test_a_quote_that_is_never_closed_is_not_swallowed(read):
    found = read('question,answer\na,b\n"x,y\nc,d\n')
    assert len(found) == 2
    assert "lines 3 to 4" in found[1].problem


def test_an_empty_cell_is_an_empty_turn(defects):
    assert defects("question,answer\na,\n,b\n") == {"empty_turn": 2}


def test_a_cell_in_pythons_notation_is_refused(read):
    [found] = read("id,messages\n1,\"[{'role': 'user', 'content': 'a'}]\"\n")
    assert "Python" in found.problem


def test_long_cells_are_read(turns):
    words = "很长" * 200_000
    assert turns(f"question,answer\n{words},b\n") == [[("user", words), ("assistant", "b")]]


def test_text_is_no_table(read):
    assert read("来访者：你好, 我来了\n咨询师：好")[0].format == "labelled_text"
    assert read("text\nmore text\n")[0].format == "labelled_text"
