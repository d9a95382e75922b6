"""How texts are divided: every label on every side, near-duplicates together, nothing guessed."""

from collections import Counter
from pathlib import Path

import orjson
import pytest

from qingting.core.errors import DataError
from qingting.stages.base import Context, Stage
from qingting.stages.prepare_continuations import choose_beginnings
from qingting.stages.prepare_texts import _sizes, run

CONFIG = {
    "task": "classification",
    "language": None,
    "max_dialogues": None,
    "validation": 0.2,
    "test": 0.2,
    "seed": 1,
    "text_column": None,
    "label_column": None,
    "labels": None,
}


@pytest.fixture
def prepare(tmp_path):
    """Prepare a table of (text, label); return the summary and the sides."""

    def go(rows, **config):
        path = tmp_path / "t.jsonl"
        lines = [orjson.dumps({"text": t, "label": k}) + b"\n" for t, k in rows]
        path.write_bytes(b"".join(lines))
        output = tmp_path / "output"
        output.mkdir(exist_ok=True)
        stage = Stage("p", "prepare_texts", 1, CONFIG | config, sources={"train0": Path(path)})
        context = Context(
            stage=stage,
            inputs={},
            source_digests={},
            failures={},
            output=output,
            state=tmp_path,
            emit=lambda *_, **__: None,
            launch=None,
        )
        summary = run(context)
        sides = {
            name: [
                orjson.loads(line) for line in (output / f"{name}.jsonl").read_bytes().splitlines()
            ]
            for name in ("train", "validation", "test", "probes", "quarantine")
        }
        return summary, sides

    return go


def rows_of(n, label, words="文本"):
    return [
        (f"{label}{words}{number * 7919 % 9973}号，各不相同{number}", label) for number in range(n)
    ]


def test_every_label_is_on_every_side_in_proportion(prepare):
    summary, sides = prepare([*rows_of(100, "often"), *rows_of(20, "seldom")])
    for name, n_often, n_seldom in (("train", 60, 12), ("validation", 20, 4), ("test", 20, 4)):
        counts = Counter(row["kind"] for row in sides[name])
        assert (counts["often"], counts["seldom"]) == (n_often, n_seldom)
    assert summary["labels"] == ["often", "seldom"]
    assert summary["data"]["kinds"] == {"often": 100, "seldom": 20}
    ids = [row["id"] for name in ("train", "validation", "test") for row in sides[name]]
    assert len(set(ids)) == len(ids) == 120


def test_labels_keep_the_order_in_which_they_are_declared(prepare):
    rows = [*rows_of(10, "a"), *rows_of(10, "b")]
    assert prepare(rows, labels=["b", "a"])[0]["labels"] == ["b", "a"]


def test_a_text_under_two_labels_is_set_aside_and_a_copy_dropped(prepare):
    rows = [*rows_of(10, "a"), *rows_of(10, "b"), ("both", "a"), ("both", "b"), rows_of(1, "a")[0]]
    summary, sides = prepare(rows)
    assert [row["kind"] for row in sides["quarantine"]] == ["a", "b"]
    data = summary["data"]
    assert data["defects"] == {"contradicting_labels": 2}
    assert (data["n_quarantined"], data["n_duplicates_dropped"], data["n_usable"]) == (2, 1, 20)


def test_near_duplicates_stay_on_one_side(prepare):
    base = "一段相当长的文本，讲的是一个人怎样在冬天的早晨独自走过结冰的湖面"
    near = [(f"{base}{end}", "a") for end in "甲乙丙丁戊己"]
    _, sides = prepare([*near, *rows_of(30, "a"), *rows_of(30, "b")])
    at = {
        name
        for name in ("train", "validation", "test")
        for row in sides[name]
        if base in "".join(m["content"] for m in row["messages"])
    }
    assert len(at) == 1


def test_one_label_only_is_an_error(prepare):
    with pytest.raises(DataError, match=r"t\.jsonl: all 5 texts are labelled 'a'"):
        prepare(rows_of(5, "a"))


def test_a_label_too_rare_to_divide_is_named(prepare):
    with pytest.raises(DataError, match="'rare'"):
        prepare([*rows_of(20, "a"), *rows_of(1, "rare")])


def test_a_declared_label_without_a_text_is_an_error(prepare):
    with pytest.raises(DataError, match="no text labelled 'c'"):
        prepare([*rows_of(10, "a"), *rows_of(10, "b")], labels=["a", "b", "c"])


def test_texts_without_labels_need_none(prepare):
    summary, sides = prepare(rows_of(20, "x"), task="generation")
    assert summary["labels"] == []
    assert all("kind" not in row for row in sides["train"])


@pytest.mark.parametrize("asked", [1, 7, 10, 33])
def test_a_number_is_shared_out_whole(asked):
    sizes = _sizes(asked, {"a": 50, "b": 30, "c": 21})
    assert sum(sizes.values()) == asked
    assert all(abs(sizes[k] - asked * n / 101) < 1 for k, n in (("a", 50), ("b", 30), ("c", 21)))


def test_a_beginning_and_its_end_are_the_text():
    from qingting.core.dialogue import Origin
    from qingting.data.texts import as_dialogue, text_of

    words = [
        "Some plain words about a long walk in the rain.",
        "今天下雨，我在河边走了很久很久，没有遇见人。",
        "短",
    ]
    made = [
        as_dialogue(str(n), text, label=None, language=None, origin=Origin("t", n))
        for n, text in enumerate(words)
    ]
    prompts = choose_beginnings(made, n_prompts=9, n_characters=20, seed=3)
    assert {prompt["dialogue"] for prompt in prompts} == {"0", "1"}
    for prompt in prompts:
        text = text_of(made[int(prompt["dialogue"])])
        begun = prompt["messages"][0]["content"]
        assert len(begun) <= 20
        assert text.startswith(begun)
        assert text[len(begun) :].strip() == prompt["reference"]
        if prompt["language"] == "en":
            assert text[len(begun)] == " "
    again = choose_beginnings(list(reversed(made)), n_prompts=9, n_characters=20, seed=3)
    assert again == prompts
    assert choose_beginnings(made, n_prompts=1, n_characters=20, seed=3) == prompts[:1]
