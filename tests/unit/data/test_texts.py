"""Texts from tables and plain files: nothing lost, nothing guessed, bad rows named by line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.core.errors import DataError, NotFoundError, SpecificationError
from qingting.data.texts import (
    TextColumns,
    language_of_text,
    read_texts,
    sentences,
    text_files,
    text_of,
)


def read(path, *, labelled=True, labels=(), **columns):
    return read_texts(path, labelled=labelled, columns=TextColumns(**columns), labels=labels)


def table(tmp_path, words, name="t.csv"):
    path = tmp_path / name
    path.write_text(words, encoding="utf-8")
    return path


@given(st.text())
def test_sentences_joined_are_the_text(text):
    parts = sentences(text)
    assert "".join(parts) == text
    assert all(parts)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("我睡不着。心里很乱！怎么办？", 3),
        ("I can't sleep. My heart races. Why?", 3),
        ("他说：“走吧。”我没动。", 2),
        ("Version 2.5 costs 3.99", 1),
        ("一行\n两行", 2),
        ("", 0),
    ],
)
def test_sentences_end_where_a_reader_would_say(text, n):
    assert len(sentences(text)) == n


def test_a_table_gives_texts_with_labels_languages_and_lines(tmp_path):
    path = table(tmp_path, "id,text,label,lang\na, 我很难过 ,p,zh\n,How are you?,o,\n")
    first, second = read(path).texts
    assert (first.id, text_of(first), first.kind, first.language) == ("a", "我很难过", "p", "zh")
    assert (second.id, second.kind, second.language) == ("t-3", "o", "en")
    assert (second.origin.file, second.origin.line) == ("t.csv", 3)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_forms_of_a_table_give_the_same_texts(tmp_path, name):
    rows = [("one, two", "a"), ("三", "b")]
    if name.endswith("jsonl"):
        words = "".join(json.dumps({"text": t, "label": k}) + "\n" for t, k in rows)
    elif name.endswith("tsv"):
        words = "text\tlabel\n" + "".join(f"{t}\t{k}\n" for t, k in rows)
    else:
        words = "text,label\n" + "".join(f'"{t}",{k}\n' for t, k in rows)
    found = read(table(tmp_path, words, name)).texts
    assert [(text_of(one), one.kind) for one in found] == rows


def test_columns_can_be_named(tmp_path):
    path = table(tmp_path, "words,what\nhello,x\n")
    (found,) = read(path, text="words", label="what").texts
    assert (text_of(found), found.kind) == ("hello", "x")


@pytest.mark.parametrize(
    ("words", "labels", "error", "complaint"),
    [
        ("text,label\na,x\n,y\n", (), DataError, "t.csv:3, column 'text': an empty text"),
        ("text,label\na,\n", (), DataError, "t.csv:2, column 'label': an empty label"),
        ("text,label\na,x\nb,yy\n", ("x", "y"), DataError, "t.csv:3, column 'label': unknown"),
        ("id,text,label\n1,a,x\n1,b,y\n", (), DataError, "t.csv:3, column 'id': the id '1'"),
        ("text\na\n", (), SpecificationError, "t.csv: no column holds the label"),
        ("body,label\na,x\n", (), SpecificationError, "t.csv: no column holds the text"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path, words, labels, error, complaint):
    with pytest.raises(error) as caught:
        read(table(tmp_path, words), labels=labels)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_bad_rows_are_counted_and_the_first_is_named(tmp_path):
    path = table(tmp_path, "text,label\na,x\n,y\n,y\nd,\n")
    with pytest.raises(DataError, match=r"t\.csv:3, .*and 2 more such rows"):
        read(path)


def test_a_near_label_is_offered(tmp_path):
    path = table(tmp_path, "text,label\na,psychologicl\n")
    with pytest.raises(DataError, match="Did you mean 'psychological'"):
        read(path, labels=("other", "psychological"))


def test_plain_text_gives_a_text_a_block_with_its_line(tmp_path):
    path = table(tmp_path, "One.\nStill one.\n\n \n\n  Two.\n", "t.txt")
    found = read(path, labelled=False).texts
    assert [text_of(one) for one in found] == ["One.\nStill one.", "Two."]
    assert [one.origin.line for one in found] == [1, 6]
    assert len({one.id for one in found}) == 2


def test_plain_text_cannot_be_sorted(tmp_path):
    with pytest.raises(SpecificationError, match="plain text has no labels"):
        read(table(tmp_path, "One.", "t.txt"))


def test_an_empty_plain_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no text"):
        read(table(tmp_path, " \n\n", "t.txt"), labelled=False)


def test_a_folder_gives_its_files_in_order(tmp_path):
    for name in ("b.csv", "a.jsonl", "notes.pdf"):
        table(tmp_path, "x", name)
    assert [path.name for path in text_files([tmp_path])] == ["a.jsonl", "b.csv"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="holds no file of texts"):
        text_files([tmp_path / "empty"])


def test_languages_are_told_apart():
    assert language_of_text("用Python怎么排序") == "zh"
    assert language_of_text("What does 你好 mean in English?") == "en"
