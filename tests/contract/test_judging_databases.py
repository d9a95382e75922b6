"""What the desk promises, held by SQLite and PostgreSQL alike, and by raters who come at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import create_engine, func, make_url, select, text
from sqlalchemy.orm import Session

from contract.postgres import postgres_server, server_programs
from qingting.judging import desk
from qingting.judging.people import erase
from qingting.judging.places import expire
from qingting.judging.problems import JudgingError
from qingting.judging.snapshot import freeze, read_snapshot
from qingting.judging.tasks import progress_of, task_of
from qingting.store.database import Database, open_database
from qingting.store.judging_tables import (
    Arm,
    Assignment,
    Campaign,
    Item,
    Judgment,
    Rater,
    Snapshot,
    Unit,
)
from qingting.web.auth import Caller, load_rater
from unit.judging.sample_pack import AT_MS, full_form, new_rater, new_study, pair_form

MINUTE = 60_000
HALF_AN_HOUR_LATER = AT_MS + 31 * MINUTE
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield server.address


_numbers = count()


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param(
            "postgresql",
            marks=[
                pytest.mark.postgres,
                pytest.mark.skipif(server_programs() is None, reason="PostgreSQL is not installed"),
            ],
        ),
    ]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    address = str(tmp_path / "judging.db")
    if request.param == "postgresql":
        server = make_url(request.getfixturevalue("postgres")).set(drivername="postgresql+psycopg")
        name = f"study_{next(_numbers)}"
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        address = server.set(database=name).render_as_string()
    opened = open_database(address, create=True)
    yield opened
    opened.close()


class Study:
    """An open study and its raters, each of whose requests is a transaction of its own."""

    def __init__(self, database: Database, *, n_raters: int, **changes: object) -> None:
        self.database = database
        with database.writing() as session:
            self.campaign = new_study(session, **changes).campaign  # type: ignore[arg-type]
            self.raters = [new_rater(session, self.campaign).id for _ in range(n_raters)]

    @contextmanager
    def request_of(self, rater: int) -> Iterator[tuple[Session, Campaign, Rater]]:
        caller = Caller("", "", self.raters[rater], None, by_cookie=True)
        with self.database.writing() as session:
            loaded, campaign = load_rater(session, caller, for_update=True)
            yield session, campaign, loaded

    def ask(self, rater: int, *, at_ms: int = AT_MS) -> Assignment | desk.Idle:
        with self.request_of(rater) as (session, campaign, loaded):
            return desk.next_assignment(session, campaign, loaded, at_ms=at_ms)

    def take(self, rater: int, *, at_ms: int = AT_MS) -> Assignment:
        found = self.ask(rater, at_ms=at_ms)
        assert isinstance(found, Assignment), found
        return found

    def say(
        self, rater: int, assignment: Assignment, *, key: str = "", at_ms: int = AT_MS
    ) -> desk.Receipt:
        form = pair_form() if self.campaign.mode == "pair" else full_form()
        said = desk.Submission(
            assignment.public_id, key or assignment.public_id, form, duration_ms=9000
        )
        with self.request_of(rater) as (session, campaign, loaded):
            return desk.submit(session, campaign, loaded, said, at_ms=at_ms)

    def work(self, rater: int) -> int:
        """Judge until nothing is left; return how many."""
        n_done = 0
        while isinstance(found := self.ask(rater), Assignment):
            self.say(rater, found)
            n_done += 1
        return n_done

    def n_taken(self, assignment: Assignment) -> int:
        with self.database.reading() as session:
            return session.get_one(Unit, assignment.unit_id).n_taken

    def n_judgments(self) -> int:
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(Judgment)) or 0

    def check_counts(self) -> None:
        """Places and exposure are what the assignments say, and no unit is above its number."""
        with self.database.reading() as session:
            held = session.execute(
                select(Assignment.unit_id, Assignment.is_swapped, Unit.arm_id, Unit.other_arm_id)
                .join(Unit, Unit.id == Assignment.unit_id)
                .where(Assignment.role == "main", Assignment.state.in_(("leased", "done")))
            ).all()
            units = session.execute(
                select(Unit.id, Unit.n_taken, Unit.n_wanted).where(Unit.role == "main")
            ).all()
            arms = session.execute(select(Arm.id, Arm.n_shown, Arm.n_first)).all()
        by_unit = Counter(unit for unit, *_ in held)
        shown: Counter[int | None] = Counter()
        first: Counter[int | None] = Counter()
        for _, is_swapped, arm, other in held:
            shown.update((arm,) if other is None else (arm, other))
            first[other if is_swapped and other is not None else arm] += 1
        assert {unit: n for unit, n, _ in units} == {unit: by_unit[unit] for unit, *_ in units}
        assert all(n <= wanted for _, n, wanted in units)
        assert {arm: (n, n_first) for arm, n, n_first in arms} == {
            arm: (shown[arm], first[arm]) for arm, *_ in arms
        }


def at_once(*calls: Callable[[], Found]) -> list[Found]:
    """Return what calls give that begin at the same moment, each in a thread of its own."""
    barrier = Barrier(len(calls))

    def begin(call: Callable[[], Found]) -> Found:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(begin, calls))


def test_a_lease_is_the_same_on_another_device_and_is_extended(database: Database) -> None:
    study = Study(database, n_raters=1)
    first = study.take(0)
    again = study.take(0, at_ms=AT_MS + MINUTE)
    assert again.id == first.id
    with database.reading() as session:
        stored = session.get_one(Assignment, first.id)
        assert stored.expires_ms == first.expires_ms + MINUTE
    study.check_counts()


def test_a_lease_that_ran_out_gives_its_place_to_another_and_is_honoured_while_one_is_left(
    database: Database,
) -> None:
    study = Study(database, n_raters=3, n_scenarios=1, raters_per_unit=1)
    late, other = study.take(0), study.take(1)
    assert study.ask(2) == "wait"
    replaced = study.take(2, at_ms=HALF_AN_HOUR_LATER)
    assert study.n_taken(replaced) == 1
    study.say(2, replaced, at_ms=HALF_AN_HOUR_LATER)
    taken, left = (0, 1) if replaced.unit_id == late.unit_id else (1, 0)
    with pytest.raises(JudgingError, match="已经由别人评完"):
        study.say(taken, (late, other)[taken], at_ms=HALF_AN_HOUR_LATER)
    study.say(left, (late, other)[left], at_ms=HALF_AN_HOUR_LATER)
    assert study.n_judgments() == 2
    study.check_counts()


def test_a_place_that_came_free_a_moment_after_the_last_look_is_found_before_saying_wait(
    database: Database,
) -> None:
    study = Study(database, n_raters=4, n_scenarios=1, raters_per_unit=1)
    held = study.take(0)
    study.take(1, at_ms=AT_MS + MINUTE)
    study.ask(2, at_ms=held.expires_ms - 1)  # this looks, and finds nothing that has run out
    assert study.take(3, at_ms=held.expires_ms).unit_id == held.unit_id
    study.check_counts()


def test_leases_that_ran_out_are_given_back_once_by_several_at_once(database: Database) -> None:
    study = Study(database, n_raters=6, raters_per_unit=1)
    for rater in range(6):
        study.take(rater)

    def sweep() -> int:
        with database.writing() as session:
            campaign = session.get_one(Campaign, study.campaign.id)
            return expire(session, campaign, at_ms=HALF_AN_HOUR_LATER)

    assert sum(at_once(*[sweep] * 4)) == 6
    study.check_counts()


def test_a_judgment_sent_again_is_acknowledged_again_and_stored_once(database: Database) -> None:
    study = Study(database, n_raters=1)
    assignment = study.take(0)
    first = study.say(0, assignment, key="a" * 20)
    again = study.say(0, assignment, key="a" * 20)
    assert not first.is_repeat_of_submission and again.is_repeat_of_submission
    assert first.judgment_id == again.judgment_id
    with pytest.raises(JudgingError, match="已经提交过"):
        study.say(0, assignment, key="b" * 20)
    with pytest.raises(JudgingError, match="同一个编号"):
        study.say(0, study.take(0), key="a" * 20)
    assert study.n_judgments() == 1


def test_a_judgment_sent_by_four_devices_at_once_is_stored_once(database: Database) -> None:
    study = Study(database, n_raters=1)
    assignment = study.take(0)
    receipts = at_once(*[lambda: study.say(0, assignment, key="a" * 20)] * 4)
    assert sorted(one.is_repeat_of_submission for one in receipts) == [False, True, True, True]
    assert len({one.judgment_id for one in receipts}) == 1
    assert study.n_judgments() == 1
    study.check_counts()


def test_a_rater_who_asks_on_four_devices_at_once_gets_one_assignment(database: Database) -> None:
    study = Study(database, n_raters=1)
    assert len({one.id for one in at_once(*[lambda: study.take(0)] * 4)}) == 1
    study.check_counts()


def test_the_last_place_goes_to_one_of_those_who_ask_at_once(database: Database) -> None:
    study = Study(database, n_raters=8, n_scenarios=1, raters_per_unit=1)
    study.say(0, study.take(0))  # one of the study's two places is left
    found = at_once(*[lambda rater=rater: study.ask(rater) for rater in range(1, 8)])
    assert sorted(str(one) for one in found if not isinstance(one, Assignment)) == ["wait"] * 6
    study.check_counts()


def test_a_place_lost_while_a_late_judgment_came_in_is_given_once(database: Database) -> None:
    study = Study(database, n_raters=2, n_scenarios=1, raters_per_unit=1)
    late, held = study.take(0), study.take(1)
    study.say(1, held)

    def say_late() -> str:
        try:
            study.say(0, late, at_ms=HALF_AN_HOUR_LATER)
        except JudgingError as error:
            return error.code
        return "stored"

    told, found = at_once(say_late, lambda: study.ask(1, at_ms=HALF_AN_HOUR_LATER))
    assert (told, isinstance(found, Assignment)) in (("stored", False), ("assignment_taken", True))
    study.check_counts()


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_raters_at_once_fill_every_unit_exactly(database: Database, mode: str) -> None:
    arms = ("a", "b", "c")
    study = Study(database, n_raters=6, mode=mode, arms=arms, n_scenarios=4, raters_per_unit=2)
    n_done = at_once(*[lambda rater=rater: study.work(rater) for rater in range(6)])
    # whoever was told to wait for others' leases, or to rest from crisis, comes again later
    at_ms = AT_MS
    for rater in range(6):
        while (found := study.ask(rater, at_ms=(at_ms := at_ms + 25 * MINUTE))) != "finished":
            assert isinstance(found, Assignment)
            study.say(rater, found, at_ms=at_ms)
            n_done[rater] += 1
    assert study.n_judgments() == sum(n_done) == 24  # 4 scenarios of 3 arms, or of 3 pairs
    with database.reading() as session:
        twice = Counter(session.execute(select(Assignment.rater_id, Assignment.unit_id)).all())
        assert set(twice.values()) == {1}
    study.check_counts()


def test_undo_opens_the_last_judgment_and_keeps_what_is_held(database: Database) -> None:
    study = Study(database, n_raters=1)
    first = study.take(0)
    study.say(0, first)
    held = study.take(0)
    with study.request_of(0) as (session, campaign, rater):
        opened, said = desk.undo_last(session, campaign, rater, at_ms=AT_MS)
        assert (opened.id, said.scores["overall"]) == (first.id, 4)
    assert study.n_judgments() == 1  # it counts until something else is said
    assert study.take(0).id == first.id
    study.say(0, first, key="again" * 4)
    assert study.n_judgments() == 1
    assert study.take(0).id == held.id
    study.check_counts()


def test_a_skipped_unit_goes_to_others_and_does_not_come_back(database: Database) -> None:
    study = Study(database, n_raters=2, n_scenarios=1, raters_per_unit=1)
    skipped = study.take(0)
    with study.request_of(0) as (session, campaign, rater):
        desk.skip(session, campaign, rater, skipped.public_id, reason="too_distressing")
    study.check_counts()
    study.say(0, study.take(0))
    assert study.ask(0) == "finished"
    assert study.take(1).unit_id == skipped.unit_id
    study.check_counts()


def test_an_item_withdrawn_meanwhile_ends_its_leases_and_is_not_given_again(
    database: Database,
) -> None:
    study = Study(database, n_raters=2, n_scenarios=3)
    assignment, other = study.take(0), study.take(1)
    with database.writing() as session:
        unit = session.get_one(Unit, assignment.unit_id)
        item = unit.item_id
        is_shared = session.get_one(Unit, other.unit_id).item_id == item
        n_ended = desk.withdraw_item(session, session.get_one(Item, item), at_ms=AT_MS)
    assert n_ended == 1 + is_shared
    with pytest.raises(JudgingError, match="撤下"):
        study.say(0, assignment)
    assert study.n_taken(assignment) == 0
    study.work(0)
    with database.reading() as session:
        given = session.scalars(
            select(Unit.item_id)
            .join(Assignment, Assignment.unit_id == Unit.id)
            .where(Assignment.state == "done")
        ).all()
    assert len(given) == 4 and item not in given
    study.check_counts()


def test_erasing_a_rater_removes_all_and_gives_places_back(
    database: Database, tmp_path: Path
) -> None:
    study = Study(database, n_raters=2)
    for rater in (0, 1):
        study.say(rater, study.take(rater))
        study.take(rater)
    freeze(database, study.campaign.id, into=tmp_path, at_ms=AT_MS, actor="test")
    with study.request_of(0) as (session, campaign, rater):
        pseudonym = rater.public_id
        assert erase(session, campaign, rater, at_ms=AT_MS, actor="test") == 1
    with database.reading() as session:
        assert session.get(Rater, study.raters[0]) is None
        assert set(session.scalars(select(Assignment.rater_id))) == {study.raters[1]}
        snapshot = session.scalars(select(Snapshot)).one()
        assert pseudonym in snapshot.raters and snapshot.superseded_ms == AT_MS
    assert study.n_judgments() == 1
    study.check_counts()


def test_a_snapshot_holds_what_was_said_and_the_same_again_is_the_same(
    database: Database, tmp_path: Path
) -> None:
    study = Study(database, n_raters=2, mode="pair", arms=("a", "b"), n_scenarios=2)
    for rater in (0, 1):
        study.work(rater)
    frozen = freeze(database, study.campaign.id, into=tmp_path, at_ms=AT_MS, actor="test")
    again = freeze(database, study.campaign.id, into=tmp_path, at_ms=AT_MS + 1, actor="test")
    assert (again.digest, again.is_new) == (frozen.digest, False)
    rows = read_snapshot(frozen.folder).judgments
    assert len(rows) == study.n_judgments() == 4
    assert {frozenset((row["arm"], row["other_arm"])) for row in rows} == {frozenset("ab")}
    assert all(set(row["scores"].values()) == {"left"} for row in rows)


def test_a_page_shows_the_answers_of_its_own_arms_in_their_order(database: Database) -> None:
    arms = ("a", "bb", "ccc")  # an answer names the length of its arm's name
    study = Study(database, n_raters=1, mode="pair", arms=arms, raters_per_unit=1, n_scenarios=3)
    with database.reading() as session:
        names = dict(session.execute(select(Arm.id, Arm.name)).all())
    at_ms, n_done = AT_MS, 0
    while (found := study.ask(0, at_ms=(at_ms := at_ms + 25 * MINUTE))) != "finished":
        assert isinstance(found, Assignment)
        with study.request_of(0) as (session, campaign, rater):
            unit = session.get_one(Unit, found.unit_id)
            pair = [len(names[arm]) for arm in (unit.arm_id, unit.other_arm_id) if arm]
            shown = task_of(session, campaign, found, at_ms=at_ms).sides
            expected = reversed(pair) if found.is_swapped else pair
            assert [
                f"·{n}）" in side.turns[0]["content"]
                for n, side in zip(expected, shown, strict=True)
            ] == [True, True]
            assert progress_of(session, campaign, rater).n_done == n_done
        study.say(0, found, at_ms=at_ms)
        n_done += 1
    assert n_done == 9  # 3 scenarios of 3 pairs


def test_what_comes_while_a_snapshot_is_gathered_is_in_all_of_it_or_in_none(
    database: Database,
) -> None:
    """A second connection commits between two reads; SQLite lets no writer in meanwhile."""
    with database.writing() as session:
        campaign = new_study(session).campaign
        identity = campaign.id
    with database.writing(sees_one_moment=True) as reader:
        before = reader.scalar(select(func.count()).select_from(Rater))
        if not database.is_sqlite:
            with database.writing() as writer:
                new_rater(writer, writer.get_one(Campaign, identity))
        assert reader.scalar(select(func.count()).select_from(Rater)) == before
    with database.reading() as session:
        n_raters = session.scalar(select(func.count()).select_from(Rater))
    assert n_raters == (0 if database.is_sqlite else 1)
