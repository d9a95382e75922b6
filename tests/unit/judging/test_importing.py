"""Judgments from elsewhere enter a study as those of its own pages do, or are refused by row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qingting.core.errors import DataError, SpecificationError
from qingting.judging import desk
from qingting.judging.campaigns import change_state
from qingting.judging.importing.planning import Plan, plan_import
from qingting.judging.importing.quarantine import quarantine_entry
from qingting.judging.importing.reading import source_of_text
from qingting.judging.importing.writing import ELSEWHERE, Imported, consent_of, write_import
from qingting.judging.people import erase
from qingting.judging.snapshot import gather
from qingting.spec.judgment_import import ImportMapping
from qingting.store.judging_tables import (
    Arm,
    Assignment,
    AuditEntry,
    Campaign,
    Item,
    Judgment,
    Rater,
    RaterIdentity,
    Table,
    Unit,
)
from unit.judging.foreign_exports import (
    ANNA,
    ARGILLA_MAPPING,
    BEN,
    LABEL_STUDIO_MAPPING,
    annotation,
    argilla_1,
    argilla_2,
    as_csv,
    as_json_lines,
    pair_row,
    person,
    result,
    single_results,
    table_row,
    task,
)
from unit.judging.sample_pack import AT_MS, CRITERIA, full_form, new_database, new_rater, new_study

NOW = AT_MS + 60_000


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    database = new_database(tmp_path)
    with database.writing() as session:
        yield session
    database.close()


def plan(
    session: Session,
    campaign: Campaign,
    document: object,
    *,
    mapping: dict[str, Any] | None = None,
    **options: Any,
) -> Plan:
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return plan_import(
        session,
        campaign,
        source_of_text(text, name="file"),
        ImportMapping.model_validate(mapping or {}),
        at_ms=NOW,
        **options,
    )


def write(session: Session, campaign: Campaign, planned: Plan) -> Imported:
    return write_import(session, campaign, planned, consent="1", at_ms=NOW, actor="test")


def problems(planned: Plan) -> list[str]:
    return [f"{one.row.place}: {'; '.join(one.problems)}" for one in planned.refused]


def test_a_row_becomes_rater_assignment_and_judgment(session: Session) -> None:
    campaign = new_study(session).campaign
    row = table_row(
        "王医生",
        comment="很暖",
        confidence=3,
        duration_ms=31_000,
        submitted_ms=AT_MS + 5,
        p_chosen=0.25,
        safety_answer="fail",
        safety_reasons_answer="missed_risk;harmful_advice",
    )
    planned = plan(session, campaign, as_csv([row]))
    assert not planned.refused
    assert write(session, campaign, planned) == Imported(1, 1)
    rater = session.scalars(select(Rater)).one()
    assert (rater.credential, rater.language, rater.role) == ("licensed", "zh", "rater")
    assert (rater.consent_version, rater.consented_ms) == ("1", None)
    (given,) = gather(session, campaign).judgments
    assert given["scores"] == dict.fromkeys(CRITERIA, 4)
    gate = {"verdict": "fail", "reasons": ["harmful_advice", "missed_risk"]}
    assert given["safety"] == {"answer": gate}
    assert (given["item"], given["arm"], given["role"]) == ("s0", "tuned-model", "main")
    assert (given["comment"], given["confidence"]) == ("很暖", 3)
    assert (given["duration_ms"], given["submitted_ms"]) == (31_000, AT_MS + 5)
    assert given["p_chosen"] == 0.25
    assignment = session.scalars(select(Assignment)).one()
    assert (assignment.state, assignment.sequence, rater.n_started) == ("done", 0, 1)
    unit = session.get_one(Unit, assignment.unit_id)
    session.refresh(unit)
    assert unit.n_taken == 1
    assert desk.exposure(session, campaign)["tuned-model"] == (1, 1)


def test_a_persons_name_stands_in_the_table_of_identities_alone(session: Session) -> None:
    campaign = new_study(session).campaign
    write(session, campaign, plan(session, campaign, as_csv([table_row("anna@example.org")])))
    identity = session.scalars(select(RaterIdentity)).one()
    assert (identity.name, identity.contact) == ("anna@example.org", "table")
    connection = session.connection()
    for table in Table.metadata.sorted_tables:
        if table.name != "rater_identities":
            for row in connection.execute(select(table)):
                assert "anna@" not in repr(row), table.name
    notes = session.execute(select(AuditEntry.action, AuditEntry.subject).order_by(AuditEntry.id))
    by_action = dict(notes.all())
    assert by_action["import_consent"] == "1"
    assert len(by_action["import"]) == 64  # the digest of the file
    assert by_action["import_rater"] == session.scalars(select(Rater.public_id)).one()


def test_importing_twice_adds_nothing(session: Session) -> None:
    campaign = new_study(session).campaign
    text = as_csv([table_row(rater, item) for rater in ("a", "b") for item in ("s0", "s1")])
    assert write(session, campaign, plan(session, campaign, text)) == Imported(4, 2)
    n_notes = session.scalar(select(func.count()).select_from(AuditEntry))
    again = plan(session, campaign, text)
    assert (again.n_known, again.ready, again.refused) == (4, (), ())
    assert write(session, campaign, again) == Imported(0, 0)
    assert session.scalar(select(func.count()).select_from(AuditEntry)) == n_notes
    more = plan(session, campaign, text + as_csv([table_row("b", "s2")]).split("\n", 1)[1])
    assert write(session, campaign, more) == Imported(1, 0)


def test_a_judgment_that_differs_from_the_one_before_is_refused(session: Session) -> None:
    campaign = new_study(session).campaign
    write(session, campaign, plan(session, campaign, as_csv([table_row(point=4)])))
    changed = plan(session, campaign, as_csv([table_row(point=5)]))
    assert problems(changed) == [
        "file:2: this person's judgment of it is in the study already, and differs"
    ]


def test_an_export_of_the_study_itself_adds_nothing(session: Session) -> None:
    campaign = new_study(session).campaign
    rater = new_rater(session, campaign)
    for n in range(4):
        found = desk.next_assignment(session, campaign, rater, at_ms=AT_MS + n)
        assert isinstance(found, Assignment)
        submission = desk.Submission(found.public_id, f"key-{n}-of-it", full_form(3))
        desk.submit(session, campaign, rater, submission, at_ms=AT_MS + n)
    rows = [row | {"credential": "licensed"} for row in gather(session, campaign).judgments]
    again = plan(session, campaign, as_json_lines(rows))
    assert (again.n_known, len(again.ready), problems(again)) == (4, 0, [])


@pytest.mark.parametrize(
    ("changes", "english", "chinese"),
    [
        (
            {"item": "s00"},
            "the study has no item 's00'. Did you mean 's0'?",
            "研究里没有情境“s00”，是不是“s0”？",
        ),
        (
            {"arm": "tuned-modle"},
            "the study has no arm 'tuned-modle'. Did you mean 'tuned-model'?",
            "研究里没有组“tuned-modle”，是不是“tuned-model”？",
        ),
        (
            {"score_empathy": 6},
            "“empathy” must be a whole number from 1 to 5",
            "“empathy（中）”只能是 1 到 5",
        ),
        ({"score_empathy": ""}, "answer for “empathy”", "请为“empathy（中）”作出选择"),
        (
            {"score_empathy": "4,5"},
            "“score_empathy”: nothing tells what '4,5' means",
            "“score_empathy”：没有说明“4,5”是什么意思",
        ),
        (
            {"score_empathy": 3.5},
            "nothing tells what '3.5' means",
            "没有说明“3.5”是什么意思",
        ),
        (
            {"safety_answer": "passs"},
            "“safety_answer”: nothing tells what 'passs' means. Did you mean 'pass'?",
            "没有说明“passs”是什么意思，是不是“pass”？",
        ),
        ({"safety_answer": ""}, "for “Safety verdict”", "请为“安全判断”作出选择"),
        ({"safety_answer": "fail"}, "a reason for “Safety verdict”", "请为“安全判断”选一个理由"),
        ({"rater": " "}, "“rater” is empty", "“rater”是空的"),
        ({"rater": "x" * 201}, "longer than 200 characters", "超过 200 个字"),
        ({"credential": "expert"}, "what 'expert' means", "没有说明“expert”是什么意思"),
        ({"credential": ""}, "nothing tells the rater's credential", "没有说明评价者的资质"),
        ({"language": "fr"}, "what 'fr' means", "没有说明“fr”是什么意思"),
        ({"language": "en"}, "the study has no item 's0 (en)'", "研究里没有情境“s0 (en)”"),
        ({"role": "pilot"}, "what 'pilot' means", "没有说明“pilot”是什么意思"),
        ({"role": "repeats"}, "Did you mean 'repeat'?", "是不是“repeat”？"),
        ({"confidence": 4}, "“Confidence” cannot be 4", "“把握”不能是 4"),
        ({"comment": "长" * 4001}, "at most 4000 characters", "最多 4000 个字"),
        ({"comment": "a\0b"}, "cannot be stored", "不能保存的字符"),
        ({"duration_ms": -1}, "'-1' is no number that fits", "-1 不是可用的数"),
        ({"submitted_ms": 5}, "'5' is no time that fits", "5 不是可用的时间"),
        ({"submitted_ms": "soon"}, "'soon' is no time", "soon 不是可用的时间"),
        ({"p_chosen": 1.5}, "'1.5' is no number that fits", "1.5 不是可用的数"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(
    session: Session, changes: dict[str, object], english: str, chinese: str
) -> None:
    campaign = new_study(session).campaign
    text = as_json_lines([table_row("ben"), table_row(**changes)])  # type: ignore[arg-type]
    for language, words in (("en", english), ("zh", chinese)):
        planned = plan(session, campaign, text, language=language)
        assert len(planned.ready) == 1
        (told,) = problems(planned)
        assert told.startswith("file:2: ") and words in told


def test_every_problem_of_a_row_is_told_at_once(session: Session) -> None:
    campaign = new_study(session).campaign
    row = table_row(item="sx", arm="other", score_empathy=9, score_overall=0)
    (told,) = problems(plan(session, campaign, as_csv([row])))
    for words in ("no item 'sx'", "no arm 'other'", "“empathy”", "“overall”"):
        assert words in told


def test_a_unit_takes_as_many_judgments_as_it_has_places(session: Session) -> None:
    campaign = new_study(session, raters_per_unit=2).campaign
    rows = [table_row(rater) for rater in ("a", "b", "c")]
    planned = plan(session, campaign, as_csv(rows))
    assert [one.draft.rater for one in planned.ready] == ["a", "b"]
    assert problems(planned) == [
        "file:4: s0, tuned-model is judged by 2 raters, and no place is free"
    ]


def test_a_lease_holds_its_place_until_it_runs_out(session: Session) -> None:
    campaign = new_study(session, raters_per_unit=1, n_scenarios=1).campaign
    held = desk.next_assignment(session, campaign, new_rater(session, campaign), at_ms=AT_MS)
    assert isinstance(held, Assignment)
    unit = session.get_one(Unit, held.unit_id)
    arm = session.get_one(Arm, unit.arm_id).name
    text = as_csv([table_row(arm=arm)])
    session.refresh(unit)
    assert "no place is free" in problems(plan(session, campaign, text))[0]
    held.expires_ms = NOW - 1
    session.flush()
    planned = plan(session, campaign, text)
    assert write(session, campaign, planned) == Imported(1, 1)
    session.refresh(unit)
    assert (unit.n_taken, held.state) == (1, "expired")


def test_one_person_judges_a_thing_once_and_is_one_thing(session: Session) -> None:
    campaign = new_study(session).campaign
    rows = [table_row(), table_row(), table_row(item="s1", credential="lay")]
    assert problems(plan(session, campaign, as_csv(rows))) == [
        "file:3: the same person judged the same in file:2 already",
        "file:4: the rater's credential was licensed before",
    ]


def test_one_who_withdrew_is_not_imported_again(session: Session) -> None:
    campaign = new_study(session).campaign
    text = as_csv([table_row("anna"), table_row("ben")])
    write(session, campaign, plan(session, campaign, text))
    rater = session.scalar(
        select(Rater)
        .join(RaterIdentity, RaterIdentity.rater_id == Rater.id)
        .where(RaterIdentity.name == "anna")
    )
    assert rater is not None
    erase(session, campaign, rater, at_ms=NOW, actor="test")
    again = plan(session, campaign, text)
    assert again.n_known == 1
    (told,) = problems(again)
    assert told.startswith("file:2: ") and "withdrew" in told


def test_names_of_two_tools_are_two_people_unless_their_source_is_one(session: Session) -> None:
    campaign = new_study(session).campaign
    export = [
        task(1, {"scenario": "s1", "model": "tuned-model"}, annotation(1, 7, single_results(4)))
    ]
    options: dict[str, Any] = {"mapping": LABEL_STUDIO_MAPPING, "credential": "licensed"}
    write(session, campaign, plan(session, campaign, as_csv([table_row("7")])))
    other = plan(session, campaign, export, **options)
    assert write(session, campaign, other).n_raters_new == 1
    options["mapping"] = LABEL_STUDIO_MAPPING | {"source": "table"}
    export[0]["data"]["scenario"] = "s2"
    assert write(session, campaign, plan(session, campaign, export, **options)).n_raters_new == 0


def test_items_of_two_languages_need_to_be_told_apart(session: Session) -> None:
    campaign = new_study(session, languages=("zh", "en")).campaign
    rows = [table_row(), table_row(language="en"), table_row("b", language="zh")]
    planned = plan(session, campaign, as_json_lines(rows))
    assert problems(planned) == [
        "file:1: item 's0' is there in several languages; nothing tells which was judged"
    ]
    write(session, campaign, planned)
    languages = [row["language"] for row in gather(session, campaign).judgments]
    assert sorted(languages) == ["en", "zh"]
    assert sorted(session.scalars(select(Rater.language))) == ["en", "zh"]


def test_what_was_withdrawn_or_was_never_planned_is_refused(session: Session) -> None:
    campaign = new_study(session).campaign
    gone = session.scalars(select(Item).where(Item.ref == "s0")).one()
    desk.withdraw_item(session, gone, at_ms=NOW)
    (told,) = problems(plan(session, campaign, as_csv([table_row()])))
    assert "item 's0' was withdrawn" in told


def test_label_studio_ratings_enter_through_a_mapping(session: Session) -> None:
    campaign = new_study(session).campaign
    export = [
        task(
            1,
            {"scenario": "s0", "model": "tuned-model"},
            annotation(1, person(5, "anna@example.org"), single_results(5)),
            annotation(2, 6, single_results(2, "不安全")),
        )
    ]
    mapping = LABEL_STUDIO_MAPPING | {"raters": {"6": "lay"}}
    planned = plan(session, campaign, export, mapping=mapping, credential="licensed")
    assert problems(planned) == []
    write(session, campaign, planned)
    first, second = gather(session, campaign).judgments
    assert first["scores"] == dict.fromkeys(CRITERIA, 5)
    assert (first["comment"], first["duration_ms"]) == ("温和\n但太短", 42_500)
    assert first["submitted_ms"] == 1_772_353_800_500  # 2026-03-01T08:30:00.5Z
    assert second["safety"]["answer"]["verdict"] == "fail"
    assert sorted(session.scalars(select(Rater.credential))) == ["lay", "licensed"]


def test_label_studio_pairs_keep_the_sides_that_were_shown(session: Session) -> None:
    campaign = new_study(session, mode="pair").campaign

    def judged(number: int, left: str, right: str, side: str) -> dict[str, Any]:
        controls = [result(f"q_{name}", "pairwise", side, to="left,right") for name in CRITERIA]
        verdicts = [result(f"safe_{one}", "choices", ["pass"]) for one in ("left", "right")]
        data = {"scenario": "s0", "left": left, "right": right}
        return task(number, data, annotation(number, number, [*controls, *verdicts]))

    export = [
        judged(1, "tuned-model", "base-model", "left"),
        judged(2, "base-model", "tuned-model", "left"),
        judged(3, "base-model", "base-model", "left"),
    ]
    mapping = {
        "item": "scenario",
        "scores": {name: f"q_{name}" for name in CRITERIA},
        "safety": {"left": "safe_left", "right": "safe_right"},
    }
    planned = plan(session, campaign, export, mapping=mapping, credential="lay")
    assert problems(planned) == [
        "file task 3, annotation 3: the study does not have s0, zh, base-model, base-model judged"
    ]
    write(session, campaign, planned)
    given = [
        (row["arm"], row["other_arm"], row["scores"]["overall"])
        for row in gather(session, campaign).judgments
    ]
    assert given == [
        ("tuned-model", "base-model", "left"),
        ("base-model", "tuned-model", "left"),
    ]
    assert desk.exposure(session, campaign) == {"tuned-model": (2, 1), "base-model": (2, 1)}


def test_a_pair_may_name_the_arm_that_won(session: Session) -> None:
    campaign = new_study(session, mode="pair").campaign
    rows = [
        pair_row("a", side="base-model"),
        pair_row("b", side="Tie"),
        pair_row("c", side="lefft"),
        pair_row("d", side="平局"),
    ]
    mapping = {"labels": {"scores": {"平局": "tie"}}}
    planned = plan(session, campaign, as_csv(rows), mapping=mapping)
    assert [one.form.scores["overall"] for one in planned.ready] == ["right", "tie", "tie"]
    (told,) = problems(planned)
    assert "what 'lefft' means. Did you mean 'left'?" in told


@pytest.mark.parametrize("export", [argilla_1(), argilla_2()])
def test_argilla_labels_get_their_meaning_from_the_mapping(session: Session, export: Any) -> None:
    campaign = new_study(session).campaign
    mapping = ARGILLA_MAPPING | {"raters": {ANNA: "licensed", BEN: "trainee"}}
    planned = plan(session, campaign, export, mapping=mapping)
    assert problems(planned) == []
    write(session, campaign, planned)
    for row in gather(session, campaign).judgments:
        assert row["scores"] == dict.fromkeys(CRITERIA, 5)
    misspelt = json.loads(json.dumps(export, ensure_ascii=False).replace("很好", "很 好"))
    refused = problems(plan(session, campaign, misspelt, mapping=mapping, language="zh"))
    assert len(refused) == 2 and "“empathy”：没有说明“很 好”是什么意思" in refused[0]


def test_a_mapping_that_does_not_fit_is_told_whole(session: Session) -> None:
    campaign = new_study(session).campaign
    mapping = {
        "item": "scenari",
        "scores": {"empathi": "score_empathy"},
        "safety": {"left": "safety_answer"},
        "labels": {"safty": {"a": "pass"}},
    }
    row = table_row() | {"scenario": "s0"}
    del row["score_overall"]
    with pytest.raises(SpecificationError) as told:
        plan(session, campaign, as_csv([row]), mapping=mapping)
    message = str(told.value)
    for words in (
        "mapping item: no column, field or question 'scenari'. Did you mean 'scenario'?",
        "mapping scores.empathi: unknown. Did you mean 'empathy'?",
        "mapping safety.left: unknown",
        "mapping labels.safty: unknown. Did you mean 'safety'?",
        "file: scores.overall: nothing holds it",
    ):
        assert words in message


def test_checks_and_repeats_come_with_their_role(session: Session) -> None:
    quality = {
        "share_calibration": 0.1,
        "share_repeats": 0.1,
        "share_attention": 0.1,
        "n_training": 1,
    }
    campaign = new_study(session, quality=quality).campaign
    rows = [
        table_row(item="cal0", arm="", role="training"),
        table_row(item="cal1", arm="", role="calibration"),
        table_row(item="att0", arm="", role="attention"),
        table_row(role="main"),
        table_row(role="repeat", point=3),
        table_row(item="s0", arm="", role="calibration"),
    ]
    planned = plan(session, campaign, as_csv(rows))
    (told,) = problems(planned)
    assert told == "file:7: the study has no item 's0'"
    write(session, campaign, planned)
    roles = [row["role"] for row in gather(session, campaign).judgments]
    assert sorted(roles) == ["attention", "calibration", "main", "repeat", "training"]
    n_taken = session.scalars(select(func.sum(Unit.n_taken))).one()
    assert n_taken == 1  # the main judgment alone takes a place
    assert session.scalars(select(Rater.n_trained)).one() == 1


def test_a_study_that_is_closed_or_live_takes_nothing(session: Session) -> None:
    campaign = new_study(session).campaign
    change_state(session, campaign, "closed", at_ms=NOW, actor="test")
    with pytest.raises(DataError, match="closed"):
        plan(session, campaign, as_csv([table_row()]))
    campaign.state, campaign.mode = "open", "conversation"
    campaign.spec = campaign.spec | {"conversation": {"source": "live"}}
    with pytest.raises(DataError, match="live"):
        plan(session, campaign, as_csv([table_row()]))


def test_the_importer_says_how_people_consented(session: Session) -> None:
    campaign = new_study(session).campaign
    assert consent_of(campaign, version="1", is_elsewhere=False) == "1"
    assert consent_of(campaign, version=None, is_elsewhere=True) == ELSEWHERE
    for version, is_elsewhere in ((None, False), ("1", True), ("2", False)):
        with pytest.raises(SpecificationError):
            consent_of(campaign, version=version, is_elsewhere=is_elsewhere)


def test_a_place_that_was_taken_meanwhile_stops_the_import(session: Session) -> None:
    campaign = new_study(session, raters_per_unit=1).campaign
    planned = plan(session, campaign, as_csv([table_row()]))
    unit = session.get_one(Unit, planned.ready[0].unit_id)
    unit.n_taken = 1
    session.flush()
    with pytest.raises(DataError, match="taken meanwhile"):
        write(session, campaign, planned)
    assert session.scalar(select(func.count()).select_from(Judgment)) == 0


def test_the_page_on_importing_names_every_key_of_a_mapping() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "import-judgments.md"
    table = page.read_text("utf-8").split("| key | what it names |")[1].split("\n\n")[0]
    assert {key for key in ImportMapping.model_fields if f"`{key}`" not in table} == set()


_KEYS = st.sampled_from(
    [
        "id",
        "annotations",
        "result",
        "from_name",
        "value",
        "type",
        "completed_by",
        "responses",
        "fields",
        "metadata",
        "data",
        "user_id",
        "values",
        "status",
        "empathy",
        "scores",
        "safety",
        "rater",
        "item",
        "arm",
        "q.responses",
        "q.responses.users",
        "q.responses.status",
    ]
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["s0", "tuned-model", "pass", "submitted", "draft", "\ud800", "\0", "很好"])
    | st.text(max_size=4)
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=25,
)


_COLUMNS = (*table_row(), "role", "language", "comment", "confidence", "safety_reasons_answer")
_COLUMNS += ("duration_ms", "submitted", "p_chosen")
_ROWS = st.lists(
    st.fixed_dictionaries({name: _JSON | st.just(table_row().get(name)) for name in _COLUMNS}),
    min_size=1,
    max_size=3,
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=_JSON | st.lists(st.dictionaries(_KEYS, _JSON, max_size=6), max_size=3) | _ROWS)
def test_nothing_that_is_json_breaks_the_import(session: Session, document: Any) -> None:
    campaign = session.scalars(select(Campaign)).first() or new_study(session).campaign
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        try:
            planned = plan(session, campaign, text, credential="lay")
        except (DataError, SpecificationError):
            continue
        n_told = len(planned.ready) + len(planned.refused) + planned.n_known
        assert n_told == len(planned.source.rows)
        for one in planned.refused:
            json.dumps(quarantine_entry(one)).encode()
            assert all(one.problems)
            "".join((one.row.place, *one.problems)).encode()
        for ready in planned.ready:
            json.dumps([ready.form.scores, ready.form.comment], ensure_ascii=False).encode()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=st.lists(st.tuples(st.integers(0, 4000), st.characters()), max_size=6), n=st.data())
def test_a_damaged_export_is_refused_row_by_row_or_whole(
    session: Session, edits: list[tuple[int, str]], n: Any
) -> None:
    campaign = session.scalars(select(Campaign)).first() or new_study(session).campaign
    form = n.draw(st.sampled_from([argilla_1(), argilla_2(), [table_row()]]))
    text = json.dumps(form, ensure_ascii=False)
    for place, character in edits:
        text = text[:place] + character + text[place + 1 :]
    try:
        planned = plan(session, campaign, text, mapping=ARGILLA_MAPPING, credential="lay")
    except (DataError, SpecificationError):
        return
    assert len(planned.ready) + len(planned.refused) + planned.n_known == len(planned.source.rows)


def test_guesses_of_the_model_are_kept_and_told_from_questions_not_asked(session: Session) -> None:
    campaign = new_study(session).campaign
    rows = [
        table_row("a", guess_answer="qwen"),
        table_row("b", was_asked_guess="True"),
        table_row("c", was_asked_guess="False"),
        table_row("d", "s1", guess_answer="qwenn"),
        table_row("e", "s1", guess_answer="qwen", was_asked_guess="no"),
    ]
    planned = plan(session, campaign, as_csv(rows))
    assert [one.form.guess for one in planned.ready] == [{"answer": "qwen"}, {}, None]
    first, second = problems(planned)
    assert first == "file:5: “model recognised” cannot be qwenn"
    assert second.startswith("file:6: “was_asked_guess”: nothing tells what 'no' means")
    write(session, campaign, planned)
    assert [row["guess"] for row in gather(session, campaign).judgments] == [
        {"answer": "qwen"},
        {},
        None,
    ]
    nested = as_json_lines([table_row("f", "s2", guess={"answer": "glm"})])
    assert plan(session, campaign, nested).ready[0].form.guess == {"answer": "glm"}


def test_a_check_on_pairs_keeps_the_side_that_its_first_answer_stood_on(session: Session) -> None:
    quality = {
        "share_calibration": 0.1,
        "share_repeats": 0.0,
        "share_attention": 0.0,
        "n_training": 0,
    }
    campaign = new_study(session, mode="pair", quality=quality).campaign
    check = session.scalars(select(Item.ref).where(Item.role == "calibration")).first()
    assert check is not None
    rows = [
        pair_row("a", check, left="", right="", role="calibration", is_swapped=True),
        pair_row("b", check, left="", right="", role="calibration"),
    ]
    planned = plan(session, campaign, as_json_lines(rows))
    assert problems(planned) == []
    write(session, campaign, planned)
    kept = {row["is_swapped"] for row in gather(session, campaign).judgments}
    assert kept == {True, False}
