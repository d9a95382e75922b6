"""Published dialogue collections: what is known about them is what the check finds."""

import json
from pathlib import Path

import pytest

from qingting.data.check import check
from qingting.data.convert import Target, convert
from qingting.data.output import record_file
from qingting.data.reading import read_records
from qingting.data.records import Defect

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the public data are not at {DATA}"),
]


def found(report):
    return {str(name): count for name, count in report.defects.items() if count}


@pytest.mark.parametrize("folder", ["CPsyCounD", "CPsyCounD/Data"])
def test_cpsycound(folder):
    report = check(DATA / "cpsycoun" / folder)
    assert report.format == "labelled_text"
    assert (report.n_dialogues, report.n_strictly_valid) == (3084, 1828)
    assert report.n_unlabelled_lines == 1958
    assert found(report) == {
        "unlabelled_line": 678,
        "empty_turn": 2,
        "alternation_break": 341,
        "ends_on_client": 731,
        "exact_duplicate": 2,
    }
    empty = [
        place.rpartition("/")[2].partition(".")[0] for place in report.places[Defect.EMPTY_TURN]
    ]
    assert empty == ["case_1408", "case_983"]


def test_cpsycoune():
    report = check(DATA / "cpsycoun" / "CPsyCounE")
    assert (report.format, report.n_dialogues, report.n_strictly_valid) == ("string_list", 45, 45)


@pytest.mark.parametrize(
    ("name", "n_dialogues", "n_pairs"),
    [("data", 1596, 5072), ("aiwei", 1600, 4217), ("tiangou", 1301, 3470)],
)
def test_emollm_survives_every_round_trip(name, n_dialogues, n_pairs, tmp_path):
    source = DATA / "emollm" / f"{name}.json"
    report = check(source)
    assert (report.n_dialogues, report.n_turns) == (n_dialogues, 2 * n_pairs)
    assert found(report) == {}
    expected = [
        [
            [exchange["system"]] if "system" in exchange else [],
            [exchange["input"], exchange["output"]],
        ]
        for dialogue in json.loads(source.read_text(encoding="utf-8"))
        for exchange in dialogue["conversation"]
    ]
    words = [word for exchange in expected for part in exchange for word in part]
    path = source
    for target in (*Target, Target.SHAREGPT):
        output = tmp_path / f"{name}-{target}-{path.stem}.json"
        with record_file(output, force=False) as file:
            result = convert(path, file, target=target)
        assert (result.n_dialogues, result.n_quarantined) == (n_dialogues, 0)
        dialogues = [record.to_dialogue() for record in read_records(output)]
        assert [turn.content for one in dialogues for turn in one.messages] == words
        path = output


def test_a_misleading_name_is_json_lines():
    report = check(DATA / "emollm" / "converted.json")
    assert (report.format, report.n_dialogues, report.n_strictly_valid) == ("alpaca", 1596, 1596)
    record = next(iter(read_records(DATA / "emollm" / "converted.json")))
    assert record.unit == "line"


def test_the_folder_of_emollm_is_a_mixture():
    report = check(DATA / "emollm")
    assert report.format == "mixed"
    assert report.n_dialogues == 1596 + 1600 + 1301 + 1596 + 85
    assert len(report.notices) == 4


def test_preference_pairs_are_refused():
    report = check(DATA / "hh_rlhf" / "harmless-base_test.jsonl.gz")
    assert report.format == "preference"
    assert found(report) == {"malformed": 2312}


def test_exams_in_a_zip_are_read_as_questions_and_answers():
    report = check(DATA / "cpsyexam" / "cpsyexam.zip")
    assert report.n_dialogues == 9855 + 1097 + 3902
    assert report.defects[Defect.ENDS_ON_CLIENT] == 3902
