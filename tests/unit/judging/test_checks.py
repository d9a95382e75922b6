"""Checks of a study: which ones fit a mode, and how they are judged whichever side they stand on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from qingting.domains.judging_pack import load_judging_pack
from qingting.judging import desk
from qingting.judging.checks import as_shown, checks_for
from qingting.judging.exclusion import passes_attention
from qingting.judging.snapshot import gather
from qingting.judging.tasks import feedback_of, task_of
from qingting.store.database import Database
from qingting.store.judging_tables import Assignment, Item, Unit
from unit.judging.sample_pack import (
    AT_MS,
    full_form,
    new_database,
    new_rater,
    new_study,
    pair_form,
    sample_pack,
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


def quality(**shares: float) -> dict[str, Any]:
    return {
        "share_calibration": 0.0,
        "share_repeats": 0.0,
        "share_attention": 0.0,
        "n_training": 0,
        **shares,
    }


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("mode", "n_calibration", "n_attention"),
    [("single", 24, 6), ("pair", 8, 2), ("conversation", 4, 2)],
)
def test_the_pack_that_ships_has_checks_for_every_mode(
    mode: str, language: str, n_calibration: int, n_attention: int
) -> None:
    checks = list(checks_for(load_judging_pack(), mode, language))
    counts = Counter(one.role for one in checks)
    assert counts["calibration"] >= n_calibration
    assert counts["attention"] >= n_attention
    assert len({(one.role, one.ref) for one in checks}) == len(checks)
    for one in checks:
        assert len(one.answers) == (2 if mode == "pair" else 1)
        assert {len(turns) > 1 for turns in one.answers} == {mode == "conversation"}


def test_pairs_of_the_pack_prefer_either_side_and_have_ties() -> None:
    sides = Counter(
        side
        for one in checks_for(load_judging_pack(), "pair", "zh")
        if one.role == "calibration"
        for side in one.reference["preferences"].values()
    )
    assert min(sides["left"], sides["right"]) >= 20
    assert sides["tie"] >= 5


def test_single_answers_train_conversations_where_a_pack_has_none() -> None:
    checks = list(checks_for(sample_pack(), "conversation", "en"))
    assert {one.ref for one in checks if one.role == "calibration"} == {f"cal{n}" for n in range(4)}
    more = list(checks_for(sample_pack(has_more_checks=True), "conversation", "en"))
    assert [(one.ref, one.role) for one in more] == [
        ("talk0", "calibration"),
        ("talk1", "attention"),
    ]


def test_a_reference_changes_sides_with_the_answers_and_back() -> None:
    reference = {
        "preferences": {"overall": "left", "empathy": "tie"},
        "safety": {"left": "pass", "right": "fail"},
        "reasons": {"left": [], "right": ["missed_risk"]},
        "why": {"left": "it asks", "right": "it does not"},
    }
    shown = as_shown(reference, is_swapped=True)
    assert shown == {
        "preferences": {"overall": "right", "empathy": "tie"},
        "safety": {"right": "pass", "left": "fail"},
        "reasons": {"right": [], "left": ["missed_risk"]},
        "why": {"right": "it asks", "left": "it does not"},
    }
    assert as_shown(shown, is_swapped=True) == reference
    assert as_shown(reference, is_swapped=False) == reference


def test_a_pairs_attention_check_passes_on_whichever_side_it_stands(database: Database) -> None:
    seen = set()
    with database.writing() as session:
        made = new_study(
            session,
            mode="pair",
            pack=sample_pack(has_more_checks=True),
            quality=quality(share_attention=0.4),
            raters_per_unit=12,
        )
        assert [words for words in made.warnings if "attention" in words] == []
        for is_careful in (True, False) * 6:
            rater = new_rater(session, made.campaign)
            for _ in range(6):
                found = desk.next_assignment(session, made.campaign, rater, at_ms=AT_MS)
                assert isinstance(found, Assignment)
                form = pair_form("tie")
                if found.role == "attention":
                    seen.add(found.is_swapped)
                    sides = task_of(session, made.campaign, found, at_ms=AT_MS).sides
                    right = next(
                        side.name for side in sides if side.turns[0]["content"] == "选这一边。"
                    )
                    other = "left" if right == "right" else "right"
                    form["scores"]["overall"] = right if is_careful else other
                    form["safety"][other] = {"verdict": "concern", "reasons": ["missed_risk"]}
                submission = desk.Submission(found.public_id, found.public_id, form, 9000)
                desk.submit(session, made.campaign, rater, submission, at_ms=AT_MS)
        data = gather(session, made.campaign)
    assert seen == {True, False}
    expected = {one["item"]: one["reference"] for one in data.references}
    by_rater: dict[str, set[bool]] = {}
    for row in data.judgments:
        if row["role"] == "attention":
            passed = passes_attention(row, expected[row["item"]])
            by_rater.setdefault(row["rater"], set()).add(passed)
    assert sorted(by_rater.values(), key=str) == [{False}] * 6 + [{True}] * 6


def test_an_attention_check_fails_by_its_verdict_alone() -> None:
    pair = next(
        one
        for one in checks_for(sample_pack(has_more_checks=True), "pair", "zh")
        if one.role == "attention"
    )
    gate = {"verdict": "concern", "reasons": ["missed_risk"]}
    row = pair_form("left") | {"is_swapped": False}
    row["scores"] = row["scores"] | {"empathy": "tie"}
    assert not passes_attention(row, pair.reference)
    row["safety"] = row["safety"] | {"right": gate}
    assert passes_attention(row, pair.reference)
    assert not passes_attention(row | {"is_swapped": True}, pair.reference)


def test_a_written_conversation_is_shown_whole_and_told_with_its_reasons(
    database: Database,
) -> None:
    with database.writing() as session:
        campaign = new_study(
            session,
            mode="conversation",
            pack=sample_pack(has_more_checks=True),
            quality=quality(n_training=1),
        ).campaign
        rater = new_rater(session, campaign)
        found = desk.next_assignment(session, campaign, rater, at_ms=AT_MS)
        assert isinstance(found, Assignment)
        assert found.role == "training"
        task = task_of(session, campaign, found, at_ms=AT_MS)
        (side,) = task.sides
        assert [turn["role"] for turn in side.turns] == ["assistant", "user", "assistant"]
        assert task.turns[0]["content"] == "最近总是睡不好，第1次来问。"
        submission = desk.Submission(found.public_id, found.public_id, full_form(), 9000)
        desk.submit(session, campaign, rater, submission, at_ms=AT_MS)
        reference = feedback_of(session, found)["reference"]
        assert (reference["safety"], reference["reasons"]) == ("fail", ["missed_risk"])


def test_a_study_says_which_checks_its_pack_lacks(database: Database) -> None:
    with database.writing() as session:
        lacking = new_study(session, mode="pair", quality=quality(share_attention=0.1))
        assert "the pack has no attention checks for this mode: they are left out" in (
            lacking.warnings
        )
        single = sample_pack(n_calibration=1)
        alone = new_study(session, mode="pair", pack=single, quality=quality(n_training=1))
        assert any("no calibration for this mode" in words for words in alone.warnings)
        roles = session.execute(
            select(Unit.role, func.count())
            .join(Item, Item.id == Unit.item_id)
            .where(Unit.campaign_id == alone.campaign.id)
            .group_by(Unit.role)
        ).all()
        assert dict(roles).keys() == {"main"}
