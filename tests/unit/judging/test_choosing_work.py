"""Checks among a rater's work: none is lost, none comes too early, and budgets are told about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.judging import desk
from qingting.judging.choosing_work import REPEAT_DISTANCE
from qingting.spec.judging import CampaignSpec
from qingting.store.database import Database
from qingting.store.judging_tables import Assignment, Campaign, Item, Rater, Unit
from unit.judging.sample_pack import (
    AT_MS,
    full_form,
    new_database,
    new_rater,
    new_study,
    pair_form,
)

MINUTE = 60_000


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


def quality(*, calibration: float = 0.0, repeats: float = 0.0, attention: float = 0.0):
    return {
        "share_calibration": calibration,
        "share_repeats": repeats,
        "share_attention": attention,
        "n_training": 0,
    }


def study(session: Session, **changes: Any) -> tuple[Campaign, Rater]:
    options: dict[str, Any] = {"n_scenarios": 30, "n_calibration": 40, "n_attention": 30}
    campaign = new_study(session, **{**options, **changes}).campaign
    return campaign, new_rater(session, campaign)


def take(session: Session, campaign: Campaign, rater: Rater, *, at_ms: int) -> Assignment:
    found = desk.next_assignment(session, campaign, rater, at_ms=at_ms)
    if found == "rest":
        found = desk.next_assignment(session, campaign, rater, at_ms=at_ms + 21 * MINUTE)
    assert isinstance(found, Assignment), found
    return found


def say(session: Session, campaign: Campaign, rater: Rater, given: Assignment) -> None:
    form = pair_form() if campaign.mode == "pair" else full_form()
    submission = desk.Submission(given.public_id, given.public_id, form, 9000)
    desk.submit(session, campaign, rater, submission, at_ms=given.leased_ms)


def roles(session: Session, campaign: Campaign, rater: Rater, n: int, *, start: int = 0) -> list:
    given = []
    for step in range(start, start + n):
        given.append(take(session, campaign, rater, at_ms=AT_MS + step * 22 * MINUTE))
        say(session, campaign, rater, given[-1])
    return given


def test_every_check_has_its_share_within_one_at_every_moment(database: Database) -> None:
    shares = {"calibration": 0.10, "repeat": 0.05, "attention": 0.04}
    with database.writing() as session:
        campaign, _ = study(
            session, quality=quality(calibration=0.10, repeats=0.05, attention=0.04)
        )
        for _ in range(4):
            rater = new_rater(session, campaign)
            counts: Counter[str] = Counter()
            for n, one in enumerate(roles(session, campaign, rater, 45), start=1):
                counts[one.role] += 1
                for role, share in shares.items():
                    assert abs(counts[role] - n * share) <= 1 + 1e-9


def test_repeats_that_were_due_too_early_are_made_up_for(database: Database) -> None:
    with database.writing() as session:
        campaign, rater = study(session, quality=quality(repeats=0.3))
        given = roles(session, campaign, rater, 40)
        places = [n for n, one in enumerate(given) if one.role == "repeat"]
        assert places[0] == REPEAT_DISTANCE + 1, "the first answer lies 8 judgments back then"
        # two or three were due in the first nine places; they follow as soon as they can
        assert abs(len(places) - 0.3 * 40) <= 1
        for place in places:
            first = next(n for n, one in enumerate(given) if one.unit_id == given[place].unit_id)
            assert place - first > REPEAT_DISTANCE


def test_a_check_that_is_skipped_is_not_pressed_and_one_that_ran_out_is_made_up(
    database: Database,
) -> None:
    with database.writing() as session:
        campaign, rater = study(session, quality=quality(attention=0.2))
        at_ms = AT_MS
        first = take(session, campaign, rater, at_ms=at_ms)
        while first.role != "attention":
            say(session, campaign, rater, first)
            at_ms += MINUTE
            first = take(session, campaign, rater, at_ms=at_ms)
        desk.skip(session, campaign, rater, first.public_id, reason="unclear")
        after = take(session, campaign, rater, at_ms=at_ms)
        assert after.role == "main"
        say(session, campaign, rater, after)
        late = take(session, campaign, rater, at_ms=at_ms)
        while late.role != "attention":
            say(session, campaign, rater, late)
            at_ms += MINUTE
            late = take(session, campaign, rater, at_ms=at_ms)
        again = take(session, campaign, rater, at_ms=late.expires_ms + 1)
        assert (again.role, again.unit_id != late.unit_id) == ("attention", True)


def test_a_withdrawn_item_is_not_repeated(database: Database) -> None:
    with database.writing() as session:
        campaign, rater = study(session, quality=quality(repeats=0.3))
        for one in roles(session, campaign, rater, REPEAT_DISTANCE + 1):
            item = session.get_one(Unit, one.unit_id).item_id
            desk.withdraw_item(session, session.get_one(Item, item), at_ms=AT_MS)
        session.expire_all()
        n_main = 0
        for one in roles(session, campaign, rater, REPEAT_DISTANCE, start=20):
            assert one.role == "main"
            n_main += 1
        assert n_main == REPEAT_DISTANCE


def test_checks_of_crisis_keep_to_the_limit_in_a_row_too(database: Database) -> None:
    with database.writing() as session:
        campaign, rater = study(session, quality=quality(calibration=0.3, repeats=0.2))
        for item in session.scalars(select(Item).where(Item.role == "calibration")):
            item.kind = "crisis"
        session.flush()
        kinds: list[str] = []
        for _ in range(40):
            found = desk.next_assignment(session, campaign, rater, at_ms=AT_MS)
            if not isinstance(found, Assignment):
                break
            unit = session.get_one(Unit, found.unit_id)
            kinds.append(session.get_one(Item, unit.item_id).kind)
            assert kinds[-3:] != ["crisis"] * 3
            say(session, campaign, rater, found)
        assert len(kinds) == 40 and kinds.count("crisis") > 10


def test_an_active_study_draws_rare_pairs_too_and_logs_the_propensity_of_the_pair(
    database: Database,
) -> None:
    with database.writing() as session:
        campaign, _ = study(
            session, mode="pair", arms=("a", "b", "c"), active=True, uniform_floor=0.6,
            n_scenarios=20,
        )  # fmt: skip
        for n in range(4):
            roles(session, campaign, new_rater(session, campaign), 20, start=20 * n)
        rows = session.execute(
            select(Unit.arm_id, Unit.other_arm_id, Assignment.p_chosen).join(
                Assignment, Assignment.unit_id == Unit.id
            )
        ).all()
        p = np.array([row[2] for row in rows])
        assert len(rows) == 80
        assert p.min() >= 0.6 / 3 and p.max() <= 1 - 2 * 0.6 / 3
        # one over the propensity has the mean 3 (one for each pair), with a spread of at most
        # sqrt(3 * (1 / 0.2 - 3)) = 2.4 for a vote
        assert abs(np.mean(1 / p) - 3) < 3 * 2.5 / np.sqrt(80)
        assert min(Counter(row[:2] for row in rows).values()) >= 8
        assert len({tuple(row[:2]) for row in rows}) == 3


@pytest.mark.parametrize(
    ("n_judgments", "said"),
    [
        (14, ["7 pairs (zh) show 3 arms unequally, by up to 14.3%", "is 18"]),
        (18, []),
        (2, ["1 pairs (zh) show 3 arms unequally", "cannot connect 3 arms", "4 judgments"]),
    ],
)
def test_a_budget_that_cannot_be_balanced_is_told_with_the_next_that_can(
    database: Database, n_judgments: int, said: list[str]
) -> None:
    with database.writing() as session:
        made = new_study(
            session, mode="pair", arms=("a", "b", "c"), raters_per_unit=2, n_judgments=n_judgments
        )
        told = [one for one in made.warnings if "n_judgments" in one]
        assert bool(told) is bool(said)
        assert all(any(part in one for one in told) for part in said)
        assert made.n_units == n_judgments // 2


def test_a_budget_leaves_an_active_choice_nothing_but_the_order(database: Database) -> None:
    with database.writing() as session:
        made = new_study(
            session, mode="pair", arms=("a", "b", "c"), active=True, n_judgments=18,
            raters_per_unit=2,
        )  # fmt: skip
        assert any("decides the order alone" in one for one in made.warnings)


def test_checks_that_leave_no_room_for_the_study_are_refused() -> None:
    shares = {"share_calibration": 0.4, "share_repeats": 0.3, "share_attention": 0.3}
    with pytest.raises(ValueError, match="nothing of the study is left"):
        CampaignSpec.model_validate({"quality": shares})
