"""Files of judgments are recognised by what stands in them, and read row by row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qingting.core.errors import DataError, NotFoundError
from qingting.judging.importing.reading import read_source, source_of_text
from unit.judging.foreign_exports import (
    ANNA,
    BEN,
    annotation,
    argilla_1,
    argilla_1_datasets,
    argilla_2,
    argilla_2_flat,
    as_csv,
    as_json_lines,
    person,
    result,
    single_results,
    table_row,
    task,
)


def read(document: object) -> Any:
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return source_of_text(text, name="export.json")


@pytest.mark.parametrize(
    "text",
    [
        as_csv([table_row()]),
        as_csv([table_row()], delimiter="\t"),
        "\ufeff" + as_csv([table_row()]),
        as_json_lines([table_row()]),
        as_json_lines([table_row(), table_row("ben")]),
        json.dumps([table_row()]),
        "\n" + json.dumps(table_row(), indent=2),
    ],
)
def test_a_table_is_recognised(text: str) -> None:
    source = read(text)
    assert source.format == "table"
    assert source.rows[0].cells["item"] == "s0"
    assert str(source.rows[0].cells["score_empathy"]) == "4"


def test_rows_are_placed_by_line_and_by_record() -> None:
    assert [row.place for row in read(as_csv([table_row(), table_row("ben")])).rows] == [
        "export.json:2",
        "export.json:3",
    ]
    rows = read([table_row(), "no row"]).rows
    assert [(row.place, row.fault) for row in rows] == [
        ("export.json record 1", None),
        ("export.json record 2", "no_record"),
    ]


def test_a_line_that_cannot_be_read_is_one_fault_and_kept() -> None:
    text = as_json_lines([table_row()]) + '{"rater": \n' + as_json_lines([table_row("ben")])
    rows = read(text).rows
    assert [row.fault is None for row in rows] == [True, False, True]
    assert rows[1].place == "export.json:2" and rows[1].raw == '{"rater": '
    huge = read('{"rater": ' + "9" * 6000 + "}\n" + as_json_lines([table_row()]))
    assert "not JSON" in (huge.rows[0].fault or "") and huge.rows[1].fault is None


def test_nested_parts_of_our_own_export_are_named_as_in_its_table() -> None:
    row = {"scores": {"safety": 4}, "safety": {"answer": {"verdict": "fail", "reasons": ["x"]}}}
    cells = read(as_json_lines([row])).rows[0].cells
    assert cells["score_safety"] == 4 and "safety" not in cells
    assert (cells["safety_answer"], cells["safety_reasons_answer"]) == ("fail", ["x"])


def test_annotations_of_label_studio_become_rows_by_annotator() -> None:
    export = [
        task(
            7,
            {"scenario": "s0", "model": "tuned-model"},
            annotation(11, 5, single_results(4)),
            annotation(12, person(6, "anna@example.org"), single_results(2, "不安全")),
            annotation(13, 8, [], was_cancelled=True),
        ),
        task(8, {"scenario": "s1", "model": "tuned-model"}),
    ]
    source = read(export)
    assert source.format == "label-studio"
    assert dict(source.set_aside) == {
        "cancelled annotations": 1,
        "tasks without an annotation": 1,
    }
    first, second = source.rows
    assert first.place == "export.json task 7, annotation 11"
    assert first.told == {
        "rater": 5,
        "submitted": "2026-03-01T08:30:00.500000Z",
        "duration_s": 42.5,
    }
    assert first.cells["q_empathy"] == 4 and first.cells["notes"] == "温和\n但太短"
    assert first.cells["safe"] == "安全" and first.cells["data.scenario"] == "s0"
    assert second.told["rater"] == "anna@example.org"
    assert second.cells["why"] == ["missed_risk", "harmful_advice"]


def test_a_pairwise_control_tells_a_side() -> None:
    given = [result("q", "pairwise", "right", to="left,right")]
    (row,) = read([task(1, {"scenario": "s0"}, annotation(1, 5, given))]).rows
    assert row.cells["q"] == "right"


def test_a_control_that_answers_twice_is_a_fault() -> None:
    given = [result("q", "rating", 2), result("q", "rating", 3)]
    (row,) = read([task(1, {}, annotation(1, 5, given))]).rows
    assert row.fault == "twice_in_one"
    broken = {"id": 4, "annotations": [{"id": 1, "result": "x"}]}
    assert [row.fault for row in read([task(1, {}, annotation(1, 5, [])), broken]).rows] == [
        None,
        "no_task",
    ]


@pytest.mark.parametrize(
    "export",
    [
        argilla_1(),
        argilla_2(),
        {key: [one[key] for one in argilla_2()] for key in argilla_2()[0]},
        {one["id"]: one for one in argilla_2()},
        as_json_lines(argilla_1()),
    ],
)
def test_responses_of_argilla_become_rows_by_user(export: object) -> None:
    source = read(export)
    assert source.format == "argilla"
    assert [row.told["rater"] for row in source.rows] == [ANNA, BEN]
    for row in source.rows:
        assert row.cells["empathy"] == "很好"  # the suggestion of a model said otherwise
        assert row.cells["metadata.scenario"] == row.cells["scenario"] == "s0"
        assert row.place.startswith("export.json record entry-1, user ")
    assert sum(source.set_aside.values()) == 1


@pytest.mark.parametrize("export", [argilla_1_datasets(), argilla_2_flat()])
def test_drafts_are_set_aside_where_the_export_tells_them(export: list[dict[str, Any]]) -> None:
    for form in (export, as_json_lines(export)):
        source = read(form)
        assert [row.told["rater"] for row in source.rows] == [ANNA]
        assert dict(source.set_aside) == {"draft responses": 1}
        assert source.rows[0].cells["safe"] == "yes"


def test_discarded_responses_are_counted() -> None:
    source = read(argilla_1(status="discarded"))
    assert [row.told["rater"] for row in source.rows] == [BEN]
    assert dict(source.set_aside) == {"discarded responses": 2}


def test_a_malformed_record_is_a_fault_of_its_own() -> None:
    broken = [*argilla_1()[:1], {"id": "x", "fields": {}, "responses": [{"values": {"q": 3}}]}]
    assert [row.fault for row in read(broken).rows] == [None, None, "no_record"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no row"),
        ("[]", "holds no row"),
        ("[{", "export.json:1: not JSON"),
        ('[{"a": NaN}]', "NaN"),
        ('[{"a": 1, "a": 2}]', "'a' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("rater,rater\n1,2\n", "twice"),
    ],
)
def test_what_is_no_file_of_judgments_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text)


def test_files_may_be_compressed_and_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "judgments.csv.gz"
    path.write_bytes(gzip.compress(as_csv([table_row()]).encode()))
    assert len(read_source(path).rows) == 1
    with pytest.raises(NotFoundError):
        read_source(tmp_path / "none.csv")
    path.write_bytes(as_csv([table_row("王")]).encode("gb18030"))
    with pytest.raises(DataError, match="GB18030"):
        read_source(path)
