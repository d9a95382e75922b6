"""The judging part of the counselling pack, and what its loader refuses."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from qingting.core.errors import NotFoundError, SpecificationError
from qingting.domains.bilingual import Bilingual
from qingting.domains.judging_pack import (
    CRITERIA,
    JudgingPack,
    Scenario,
    load_judging_pack,
    read_judging_pack,
)
from qingting.domains.packs import find_pack
from qingting.spec.judging import ScenarioChoice

HAN = re.compile(r"[\u3400-\u9fff]")
LETTER = re.compile(r"[A-Za-z]")
PHONE = re.compile(r"\d[\d \-–()]{1,}\d")  # three digits or more, however grouped
N_OF_KIND = {"psychoeducation": 40, "crisis": 20, "counselling": 60}
FOLDER = find_pack("counselling").folder / "judging"
KINDS = [
    kind for kind in N_OF_KIND if (FOLDER / "scenarios" / f"{kind}.yaml").exists()
]  # each kind has its file; what every kind must hold is checked for those that stand


@cache
def pack() -> JudgingPack:
    return load_judging_pack()


def of_kind(kind: str) -> list[Scenario]:
    return [one for one in pack().scenarios if one.kind == kind]


def texts(part: object, at: str = "") -> Iterator[tuple[str, Bilingual]]:
    """Yield every bilingual text below a part, with where it stands."""
    if isinstance(part, Bilingual):
        yield at, part
    elif isinstance(part, BaseModel):
        name = getattr(part, "id", "")
        for field in type(part).model_fields:
            yield from texts(getattr(part, field), f"{at}/{name}.{field}")
    elif isinstance(part, tuple):
        for index, entry in enumerate(part):
            yield from texts(entry, f"{at}[{index}]")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_the_number_of_scenarios_the_design_names(kind: str) -> None:
    assert len(of_kind(kind)) == N_OF_KIND[kind]


@pytest.mark.skipif(
    len(KINDS) < len(N_OF_KIND), reason="scenarios/counselling.yaml is not written yet"
)
def test_the_pack_holds_a_hundred_and_twenty_scenarios() -> None:
    assert len(pack().scenarios) == 120


def test_every_scenario_is_of_a_kind_that_has_a_file() -> None:
    assert {one.kind for one in pack().scenarios} == set(KINDS)
    assert {"psychoeducation", "crisis"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_difficulty_is_balanced_within_a_kind(kind: str) -> None:
    counts = Counter(one.difficulty for one in of_kind(kind))
    assert set(counts) == {1, 2, 3}
    assert max(counts.values()) - min(counts.values()) <= max(2, len(of_kind(kind)) // 10)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "crisis"])
def test_topics_are_balanced_and_each_spans_difficulties(kind: str) -> None:
    by_topic = Counter(one.topic for one in of_kind(kind) if one.topic != "crisis")
    assert len(by_topic) == 9
    assert max(by_topic.values()) - min(by_topic.values()) <= 1
    for topic in by_topic:
        assert len({one.difficulty for one in of_kind(kind) if one.topic == topic}) >= 2


def test_crisis_scenarios_warn_before_they_are_shown() -> None:
    assert all(one.distressing and one.topic == "crisis" for one in of_kind("crisis"))


@pytest.mark.parametrize("kind", KINDS)
def test_about_a_third_have_a_client_who_can_talk_on(kind: str) -> None:
    clients = [one.client for one in of_kind(kind) if one.client is not None]
    assert 0.25 <= len(clients) / len(of_kind(kind)) <= 0.42
    for client in clients:
        assert len(client.scripted_turns) >= 4
        assert client.facts


def test_openings_differ_in_both_languages() -> None:
    openings = [one.opening for one in pack().scenarios]
    assert len({one.zh for one in openings}) == len(openings)
    assert len({one.en for one in openings}) == len(openings)


def test_each_text_is_written_in_its_language() -> None:
    wrong = []
    for at, text in texts(pack()):
        chinese = text.zh.replace("{contact}", "")
        if at.startswith("/.hotlines"):  # names and web addresses of others
            chinese = re.sub(r"https?://\S+", "", chinese)
        n_han, n_latin = len(HAN.findall(chinese)), len(LETTER.findall(chinese))
        if n_han <= n_latin or HAN.search(text.en) or not LETTER.search(text.en):
            wrong.append(at)
    assert wrong == []


def test_no_number_that_could_be_dialled_stands_outside_the_hotlines() -> None:
    found = [
        (at, match)
        for at, text in texts(pack())
        if not at.startswith("/.hotlines")
        for side in (text.zh, text.en)
        for match in PHONE.findall(side)
    ]
    assert found == []


def test_the_search_for_numbers_finds_numbers() -> None:
    assert PHONE.findall("call 116 123 or 988, room 12") == ["116 123", "988"]


def test_rubric_anchors_five_criteria_with_five_different_points() -> None:
    rubric = pack().rubric
    assert tuple(one.id for one in rubric.criteria) == CRITERIA
    for criterion in rubric.criteria:
        assert len({anchor.zh for anchor in criterion.anchors}) == 5
        assert len({anchor.en for anchor in criterion.anchors}) == 5
    assert len(rubric.confidence.anchors) == 3
    assert [one.id for one in rubric.safety_gate.options] == ["pass", "concern", "fail"]
    assert {one.id for one in rubric.safety_gate.reason_codes} >= {
        "missed_risk",
        "harmful_advice",
        "discouraged_help",
        "false_assurance",
        "overstepped_role",
        "privacy",
        "invented_facts",
        "other",
    }


def test_calibration_spans_kinds_and_qualities() -> None:
    kind_of = {one.id: one.kind for one in pack().scenarios}
    items = pack().calibration
    assert len(items) >= 12
    assert {kind_of[one.scenario] for one in items} >= {"psychoeducation", "crisis"}
    overall = Counter(one.reference["overall"] for one in items)
    assert min(overall[1], overall[2] + overall[3], overall[4] + overall[5]) >= 3
    assert {one.safety for one in items} == {"pass", "concern", "fail"}


def test_a_failed_safety_verdict_goes_with_the_lowest_safety_scores() -> None:
    for one in pack().calibration:
        if one.safety == "fail":
            assert one.reference["safety"] <= 2, one.id
        if one.safety == "pass":
            assert one.reference["safety"] >= 3, one.id


def test_attention_checks_leave_no_room_for_opinion() -> None:
    checks = pack().attention_checks
    assert len(checks) >= 6
    for one in checks:
        assert all(high - low <= 1 for low, high in one.expected.values()), one.id
        assert any(low == high for low, high in one.expected.values()), one.id


def test_consent_and_pages_leave_a_place_for_the_contact() -> None:
    for text in (pack().consent.text, pack().pages.study_page, pack().pages.help_page):
        assert "{contact}" in text.zh
        assert "{contact}" in text.en


def test_hotlines_say_where_and_when_they_were_checked() -> None:
    assert {one.region for one in pack().hotlines} >= {"CN", "HK", "TW", "US", "GB"}
    for one in pack().hotlines:
        assert one.note is not None, one.number
        assert "stored copy" in one.note.en


def test_a_choice_spreads_over_topics() -> None:
    chosen = pack().choose(ScenarioChoice(kinds=("psychoeducation",), n=9))
    assert len({one.topic for one in chosen}) == 9


# What the loader refuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "judging"
    shutil.copytree(FOLDER, copy)
    return copy


def change(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of a text in a file; it must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refusals(folder: Path) -> list[str]:
    with pytest.raises(SpecificationError) as refused:
        read_judging_pack(folder)
    return str(refused.value).splitlines()


def test_an_unknown_key_is_refused_with_the_near_name(folder: Path) -> None:
    change(folder / "scenarios" / "crisis.yaml", "  difficulty: 1", "  dificulty: 1")
    lines = refusals(folder)
    assert any(
        "crisis.yaml:6 scenarios.0.dificulty: unknown key 'dificulty'. "
        "Did you mean 'difficulty'?" in line
        for line in lines
    )
    assert any("scenarios.0.difficulty: this key is required" in line for line in lines)


def test_a_missing_language_is_one_line(folder: Path) -> None:
    change(folder / "rubric.yaml", "{zh: 专业性, en: Professionalism}", "{zh: 专业性}")
    (line,) = refusals(folder)
    assert line.endswith("criteria.0.name.en: this key is required")


def test_an_id_that_stands_twice_is_one_line(folder: Path) -> None:
    change(folder / "scenarios" / "crisis.yaml", "id: x-cri-15", "id: x-cri-01")
    (line,) = refusals(folder)
    assert re.search(r"crisis\.yaml:\d+ scenarios\.14\.id: the id 'x-cri-01' stands twice$", line)


def test_an_id_that_stands_in_two_files_is_told(folder: Path) -> None:
    change(folder / "scenarios" / "psychoeducation.yaml", "id: p-anx-04", "id: x-cri-03")
    (line,) = refusals(folder)
    assert re.search(r"psychoeducation\.yaml:\d+ .*'x-cri-03' stands twice$", line)


def test_a_verdict_or_a_reason_that_stands_twice_is_told(folder: Path) -> None:
    change(folder / "rubric.yaml", "- id: concern", "- id: pass")
    change(folder / "rubric.yaml", "- id: other", "- id: missed_risk")
    first, second = refusals(folder)
    assert first.endswith("safety_gate.options.1.id: the id 'pass' stands twice")
    assert second.endswith("safety_gate.reason_codes.8.id: the id 'missed_risk' stands twice")


def test_an_unknown_scenario_is_told_with_the_near_name(folder: Path) -> None:
    change(folder / "calibration.yaml", "scenario: p-anx-02", "scenario: p-anx-2")
    (line,) = refusals(folder)
    assert "no scenario 'p-anx-2'. Did you mean 'p-anx-" in line


def test_a_rating_left_out_is_told(folder: Path) -> None:
    change(folder / "calibration.yaml", "usefulness: 5, safety: 5, overall: 5", "usefulness: 5")
    (line,) = refusals(folder)
    assert line.endswith("calibration.0.reference: no rating of safety, overall")


def test_too_few_anchors_are_counted(folder: Path) -> None:
    path = folder / "rubric.yaml"
    text = path.read_text(encoding="utf-8")
    start = text.index("  - zh: 说了明显错误")
    path.write_text(text[:start] + text[text.index("  - zh: 没有大错") :], encoding="utf-8")
    (line,) = refusals(folder)
    assert line.endswith("criteria.0.anchors: needs 5 entries, has 4")


def test_a_range_that_runs_backwards_is_refused(folder: Path) -> None:
    change(folder / "attention.yaml", "professionalism: [1, 2]", "professionalism: [2, 1]")
    (line,) = refusals(folder)
    assert "[2, 1] runs backwards" in line


def test_problems_of_all_files_are_told_at_once(folder: Path) -> None:
    change(folder / "scenarios" / "crisis.yaml", "difficulty: 1", "difficulty: 4")
    change(folder / "consent.yaml", 'version: "2"', "version: 2")
    (folder / "pages.yaml").unlink()
    lines = refusals(folder)
    assert len(lines) == 3
    assert [name for name in ("crisis", "consent", "pages") if name in " ".join(lines)] == [
        "crisis",
        "consent",
        "pages",
    ]


def test_a_pack_without_this_part_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no rubric and scenarios for human judging"):
        read_judging_pack(tmp_path / "judging")
