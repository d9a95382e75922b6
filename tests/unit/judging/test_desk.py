"""The desk: who gets what, and that a judgment is taken once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qingting.judging import desk
from qingting.judging.places import expire
from qingting.judging.problems import JudgingError
from qingting.judging.snapshot import gather
from qingting.store.database import Database
from qingting.store.judging_tables import Assignment, Campaign, Item, Judgment, Rater, Unit
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


def take(session: Session, campaign: Campaign, rater: Rater, *, at_ms: int = AT_MS) -> Assignment:
    found = desk.next_assignment(session, campaign, rater, at_ms=at_ms)
    assert isinstance(found, Assignment), found
    return found


def say(
    session: Session,
    campaign: Campaign,
    rater: Rater,
    assignment: Assignment,
    *,
    key: str = "",
    at_ms: int = AT_MS,
) -> desk.Receipt:
    form = pair_form() if campaign.mode == "pair" else full_form()
    submission = desk.Submission(assignment.public_id, key or assignment.public_id, form, 9000)
    return desk.submit(session, campaign, rater, submission, at_ms=at_ms)


def n_judgments(session: Session) -> int:
    return int(session.scalar(select(func.count()).select_from(Judgment)) or 0)


def test_every_unit_is_judged_by_as_many_as_planned_and_by_nobody_twice(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session, raters_per_unit=3).campaign
        raters = [new_rater(session, campaign) for _ in range(3)]
        for rater in raters:
            for _ in range(12):
                say(session, campaign, rater, take(session, campaign, rater))
            assert desk.next_assignment(session, campaign, rater, at_ms=AT_MS) == "finished"
        units = session.scalars(select(Unit).where(Unit.role == "main")).all()
        assert {unit.n_taken for unit in units} == {3}
        twice = Counter(session.execute(select(Assignment.rater_id, Assignment.unit_id)).all())
        assert set(twice.values()) == {1}


def test_the_same_key_is_acknowledged_again_and_stored_once(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        assignment = take(session, campaign, rater)
        first = say(session, campaign, rater, assignment, key="a" * 20)
        again = say(session, campaign, rater, assignment, key="a" * 20)
        assert (first.judgment_id, first.is_repeat_of_submission) == (again.judgment_id, False)
        assert again.is_repeat_of_submission
        assert n_judgments(session) == 1


def test_a_second_form_for_a_judged_assignment_is_refused(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        assignment = take(session, campaign, rater)
        say(session, campaign, rater, assignment, key="a" * 20)
        with pytest.raises(JudgingError, match="已经提交过"):
            say(session, campaign, rater, assignment, key="b" * 20)
        other = take(session, campaign, rater)
        with pytest.raises(JudgingError, match="同一个编号"):
            say(session, campaign, rater, other, key="a" * 20)


def test_anothers_assignment_is_as_unknown_as_none(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        assignment = take(session, campaign, new_rater(session, campaign))
        with pytest.raises(JudgingError) as caught:
            say(session, campaign, new_rater(session, campaign), assignment)
        assert caught.value.code == "assignment_unknown"


def test_a_lease_that_runs_out_gives_its_place_to_others_and_is_honoured_while_one_is_left(
    database: Database,
) -> None:
    with database.writing() as session:
        campaign = new_study(session, n_scenarios=1, raters_per_unit=1).campaign
        slow, quick, third = (new_rater(session, campaign) for _ in range(3))
        late = take(session, campaign, slow)
        take(session, campaign, quick)
        assert desk.next_assignment(session, campaign, third, at_ms=AT_MS) == "wait"
        after = AT_MS + 31 * MINUTE
        replaced = take(session, campaign, third, at_ms=after)
        unit = session.get_one(Unit, replaced.unit_id)
        session.refresh(unit)
        assert unit.n_taken == 1
        slow_unit = session.get_one(Unit, late.unit_id)
        if late.unit_id == replaced.unit_id:
            say(session, campaign, third, replaced, at_ms=after)
            with pytest.raises(JudgingError, match="已经由别人评完"):
                say(session, campaign, slow, late, at_ms=after)
        else:
            say(session, campaign, slow, late, at_ms=after)
            session.refresh(slow_unit)
            assert slow_unit.n_taken == 1


def test_a_lease_is_the_same_on_another_device_until_it_is_judged(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        assert take(session, campaign, rater).id == take(session, campaign, rater).id


def test_undo_opens_the_last_judgment_and_keeps_what_is_held(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        first = take(session, campaign, rater)
        say(session, campaign, rater, first)
        held = take(session, campaign, rater)
        opened, said = desk.undo_last(session, campaign, rater, at_ms=AT_MS)
        assert opened.id == first.id
        assert said.scores["overall"] == 4
        assert n_judgments(session) == 1  # it counts until something else is said
        with pytest.raises(JudgingError, match="只能撤回最近一次"):
            desk.undo_last(session, campaign, rater, at_ms=AT_MS)
        assert take(session, campaign, rater).id == first.id
        say(session, campaign, rater, first, key="again" * 4)
        assert n_judgments(session) == 1
        assert take(session, campaign, rater).id == held.id


def test_an_undone_judgment_stays_when_its_lease_ends(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        first = take(session, campaign, rater)
        say(session, campaign, rater, first)
        desk.undo_last(session, campaign, rater, at_ms=AT_MS)
        n_taken = session.get_one(Unit, first.unit_id).n_taken
        later = AT_MS + 31 * 60_000
        assert expire(session, campaign, at_ms=later) == 1
        session.expire_all()
        assert first.state == "done" and first.undone_ms is None
        assert n_judgments(session) == 1
        assert session.get_one(Unit, first.unit_id).n_taken == n_taken == 1


def test_a_skipped_undone_judgment_goes_and_gives_its_place_back(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        first = take(session, campaign, rater)
        say(session, campaign, rater, first)
        desk.undo_last(session, campaign, rater, at_ms=AT_MS)
        desk.skip(session, campaign, rater, first.public_id, reason="unclear")
        session.expire_all()
        assert n_judgments(session) == 0
        assert session.get_one(Unit, first.unit_id).n_taken == 0


def test_what_was_said_of_a_withdrawn_item_cannot_be_undone_and_stays(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        first = take(session, campaign, rater)
        say(session, campaign, rater, first)
        item = session.get_one(Item, session.get_one(Unit, first.unit_id).item_id)
        desk.withdraw_item(session, item, at_ms=AT_MS)
        session.expire_all()
        with pytest.raises(JudgingError, match="已被研究者撤下"):
            desk.undo_last(session, campaign, rater, at_ms=AT_MS)
        assert n_judgments(session) == 1


def test_who_comes_back_late_goes_on_with_what_was_begun(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session, n_scenarios=1, raters_per_unit=1).campaign
        rater = new_rater(session, campaign)
        begun = take(session, campaign, rater)
        later = AT_MS + 31 * 60_000
        assert expire(session, campaign, at_ms=later) == 1
        again = desk.next_assignment(session, campaign, rater, at_ms=later)
        assert isinstance(again, Assignment) and again.id == begun.id
        assert session.get_one(Unit, begun.unit_id, populate_existing=True).n_taken == 1


def test_nothing_is_undone_where_nothing_was_said(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        with pytest.raises(JudgingError, match="没有可以撤回"):
            desk.undo_last(session, campaign, new_rater(session, campaign), at_ms=AT_MS)


def test_a_skipped_unit_goes_to_others_and_does_not_come_back(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session, n_scenarios=1, raters_per_unit=1).campaign
        rater, other = new_rater(session, campaign), new_rater(session, campaign)
        skipped = take(session, campaign, rater)
        with pytest.raises(JudgingError, match="请选一个跳过的理由"):
            desk.skip(session, campaign, rater, skipped.public_id, reason="whim")
        desk.skip(session, campaign, rater, skipped.public_id, reason="too_distressing")
        say(session, campaign, rater, take(session, campaign, rater))
        assert desk.next_assignment(session, campaign, rater, at_ms=AT_MS) == "finished"
        assert take(session, campaign, other).unit_id == skipped.unit_id


def test_an_item_withdrawn_meanwhile_is_told_and_gives_its_places_back(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign)
        assignment = take(session, campaign, rater)
        unit = session.get_one(Unit, assignment.unit_id)
        from qingting.store.judging_tables import Item

        desk.withdraw_item(session, session.get_one(Item, unit.item_id), at_ms=AT_MS)
        with pytest.raises(JudgingError, match="撤下"):
            say(session, campaign, rater, assignment)
        session.refresh(unit)
        assert unit.n_taken == 0
        assert take(session, campaign, rater).unit_id != unit.id


def test_nobody_works_without_consent_or_while_the_study_is_paused(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        rater = new_rater(session, campaign, has_consented=False)
        with pytest.raises(JudgingError, match="知情同意书"):
            desk.next_assignment(session, campaign, rater, at_ms=AT_MS)
        campaign.state = "paused"
        with pytest.raises(JudgingError, match="没有开放"):
            desk.next_assignment(session, campaign, rater, at_ms=AT_MS)


def test_a_pairs_exposure_counts_both_arms_and_one_as_first(database: Database) -> None:
    with database.writing() as session:
        campaign = new_study(session, mode="pair", arms=("a", "b", "c"), raters_per_unit=1).campaign
        rater = new_rater(session, campaign)
        for _ in range(6):
            say(session, campaign, rater, take(session, campaign, rater))
        session.expire_all()
        exposure = desk.exposure(session, campaign)
        assert {shown for shown, _ in exposure.values()} == {4}
        assert sum(first for _, first in exposure.values()) == 6
        assert {first for _, first in exposure.values()} == {2}


def test_crisis_comes_twice_in_a_row_at_most_and_again_after_a_rest(database: Database) -> None:
    from qingting.store.judging_tables import Item

    with database.writing() as session:
        campaign = new_study(session, n_scenarios=9).campaign
        rater = new_rater(session, campaign)
        kinds: list[str] = []
        at_ms = AT_MS
        for _ in range(30):
            found = desk.next_assignment(session, campaign, rater, at_ms=at_ms)
            if not isinstance(found, Assignment):
                break
            unit = session.get_one(Unit, found.unit_id)
            kinds.append(session.get_one(Item, unit.item_id).kind)
            assert kinds[-3:] != ["crisis"] * 3
            say(session, campaign, rater, found, at_ms=at_ms)
            at_ms += MINUTE
        if found == "rest":
            after = desk.next_assignment(session, campaign, rater, at_ms=at_ms + 21 * MINUTE)
            assert isinstance(after, Assignment)
        else:
            assert found == "finished" and len(kinds) == 18


def test_a_study_of_crisis_alone_asks_for_rests_and_ends(database: Database) -> None:
    from qingting.store.judging_tables import Item

    with database.writing() as session:
        campaign = new_study(session, n_scenarios=4).campaign
        for item in session.scalars(select(Item)):
            item.kind = "crisis"
        session.flush()
        rater = new_rater(session, campaign)
        at_ms, n_done, n_rests = AT_MS, 0, 0
        while (found := desk.next_assignment(session, campaign, rater, at_ms=at_ms)) != "finished":
            if found == "rest":
                n_rests += 1
                at_ms += 21 * MINUTE
                continue
            assert isinstance(found, Assignment)
            say(session, campaign, rater, found, at_ms=at_ms)
            n_done += 1
        assert (n_done, n_rests) == (8, 3)


def test_a_comment_is_frozen_without_identifiers_and_with_the_hotlines_of_the_pack(
    database: Database,
) -> None:
    line = "2389 2222"
    with database.writing() as session:
        campaign = new_study(session).campaign
        campaign.pack = {**campaign.pack, "hotlines": [{"number": line}]}
        rater = new_rater(session, campaign)
        found = take(session, campaign, rater)
        form = full_form() | {"comment": f"It gave {line}; reach me at +44 20 7946 0958."}
        desk.submit(
            session,
            campaign,
            rater,
            desk.Submission(found.public_id, "k" * 20, form, 9000),
            at_ms=AT_MS,
        )
        assert [row["comment"] for row in gather(session, campaign).judgments] == [
            f"It gave {line}; reach me at [phone]."
        ]
