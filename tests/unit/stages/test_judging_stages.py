"""A study is made once, waits for people, is read when it may be, and forgets who withdraws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.core.errors import DataError, StoreError, WaitingError
from qingting.domains.packs import find_pack
from qingting.execution.withdrawals import forget_withdrawn
from qingting.judging.campaigns import change_state
from qingting.judging.people import Guest, accept, consent, erase, invite
from qingting.judging.run_studies import StudyPlace
from qingting.judging.simulation import draw_rater, work, world_of
from qingting.judging.snapshot import freeze, mark_superseded
from qingting.report.results_judging import StudyFindings
from qingting.spec.judging import CampaignSpec
from qingting.stages import analyse_judgments, collect, judge, prepare_scenarios
from qingting.stages.base import Context, Stage, read_json, write_jsonl
from qingting.store.artifacts import Artifact, ArtifactStore
from qingting.store.judging_tables import Campaign, Rater

AT_MS = 1_700_000_000_000
ARMS = ("tiny/base", "tiny/lora")
PACK = find_pack("counselling").folder / "judging"


class World:
    """A work folder in which arms answered, stage by stage as a run would do them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.place = StudyPlace(
            str(folder / "judging.db"), folder / "snapshots", "--database judging.db"
        )
        self.n_stages = 0
        self.spec = CampaignSpec.model_validate(
            {"name": "small", "languages": ("zh",), "scenarios": {"n": 6}, "n_raters": 4},
            strict=False,
        )
        config = {
            "scenarios": self.spec.scenarios.model_dump(mode="json"),
            "languages": ["zh"],
            "system_prompt": None,
        }
        self.scenarios = self.ran("prepare_scenarios", config, {}, sources={"pack": PACK})

    def ran(
        self,
        kind: str,
        config: dict[str, Any],
        inputs: dict[str, Artifact],
        sources: dict[str, Path] | None = None,
    ) -> Artifact:
        run = {
            "prepare_scenarios": prepare_scenarios.run,
            "judge": judge.run,
            "collect": collect.run,
            "analyse_judgments": analyse_judgments.run,
        }[kind]
        self.n_stages += 1
        output = self.folder / f"{self.n_stages}"
        output.mkdir()
        stage = Stage(
            id=kind,
            kind=kind,
            version=1,
            config=config,
            sources=sources or {},
            settings={"place": self.place},
        )
        summary = run(
            Context(
                stage=stage,
                inputs=inputs,
                source_digests=stage.outside(inputs),
                failures={},
                output=output,
                state=output,
                emit=lambda _event, **fields: self.notes.append(fields["message"]),
                launch=lambda *_: None,  # type: ignore[arg-type, return-value]
            )
        )
        return Artifact(str(self.n_stages), output, {"summary": summary, "outputs": {}})

    def answered(self, arm: str, *, silent: int = 0, word: str = "我在听。") -> Artifact:
        self.n_stages += 1
        output = self.folder / f"{self.n_stages}"
        output.mkdir()
        prompts = list(prepare_scenarios_rows(self.scenarios))
        write_jsonl(
            output / "responses.jsonl",
            [
                {"id": row["id"], "text": "" if place < silent else f"{word}{place}{arm[-1]}"}
                for place, row in enumerate(prompts)
            ],
        )
        return Artifact(str(self.n_stages), output, {"summary": {}, "outputs": {}})

    def judge(self, answers: dict[str, Artifact]) -> Artifact:
        config = {"study": self.spec.model_dump(mode="json"), "arms": list(answers)}
        return self.ran(
            "judge", config, {"scenarios": self.scenarios, **answers}, sources={"pack": PACK}
        )

    def made(self) -> Artifact:
        return self.judge({arm: self.answered(arm) for arm in ARMS})

    @contextmanager
    def writing(self) -> Iterator[tuple[Session, Campaign]]:
        with self.place.opened() as database, database.writing() as session:
            yield session, session.scalars(select(Campaign)).one()

    def judged(self) -> None:
        """Open the study and let four simulated raters do all of it."""
        rng = np.random.default_rng(5)
        with self.writing() as (session, campaign):
            change_state(session, campaign, "open", at_ms=AT_MS, actor="test")
            world = world_of(session, campaign, {ARMS[0]: -1.5, ARMS[1]: 1.5}, rng=rng)
            raters = []
            for _ in range(4):
                made = invite(
                    session, campaign, Guest("licensed", "zh"), days=7, at_ms=AT_MS, actor="test"
                )
                rater = accept(session, made.secret, at_ms=AT_MS).rater
                consent(session, campaign, rater, version=campaign.consent_version, at_ms=AT_MS)
                raters.append(draw_rater(rater, rng=rng))
            assert work(session, campaign, raters, world, at_ms=AT_MS, rng=rng) == 36

    def state(self, state: str) -> None:
        with self.writing() as (session, campaign):
            change_state(session, campaign, state, at_ms=AT_MS, actor="test")

    def freeze(self) -> str:
        with self.place.opened() as database:
            with database.reading() as session:
                identity = session.scalars(select(Campaign.id)).one()
            return freeze(
                database, identity, into=self.place.snapshots, at_ms=AT_MS, actor="test"
            ).digest

    def erase_one(self) -> None:
        with self.writing() as (session, campaign):
            rater = session.scalars(select(Rater).order_by(Rater.id)).first()
            assert rater is not None
            assert erase(session, campaign, rater, at_ms=AT_MS, actor="test") > 0
        with self.place.opened() as database:
            mark_superseded(database)

    def waits(self, study: Artifact) -> WaitingError:
        with pytest.raises(WaitingError) as caught:
            self.ran("collect", {}, {"study": study})
        assert "\n" not in str(caught.value)
        return caught.value


def prepare_scenarios_rows(scenarios: Artifact) -> Iterator[dict[str, Any]]:
    from qingting.stages.base import read_jsonl

    return read_jsonl(scenarios / "prompts.jsonl")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_study_is_made_once_as_a_draft(world: World) -> None:
    answers = {arm: world.answered(arm) for arm in ARMS}
    first, again = world.judge(answers), world.judge(answers)
    record = read_json(first / "study.json")
    assert record == read_json(again / "study.json")
    assert (record["n_items"], record["n_units"], record["n_items_left_out"]) == (6, 12, 0)
    with world.writing() as (_, campaign):  # one and no more
        assert campaign.state == "draft"
        assert campaign.public_id == record["study"]


def test_other_answers_make_another_study_and_leave_the_first(world: World) -> None:
    first = world.made()
    world.judged()
    second = world.judge({arm: world.answered(arm, word="慢慢说。") for arm in ARMS})
    ids = [read_json(one / "study.json")["study"] for one in (first, second)]
    with world.place.opened() as database, database.reading() as session:
        found = {one.public_id: one.state for one in session.scalars(select(Campaign))}
    assert found == {ids[0]: "open", ids[1]: "draft"}
    assert any(ids[0] in note and "not closed" in note for note in world.notes)


def test_items_that_an_arm_left_unanswered_are_counted_and_not_judged(world: World) -> None:
    record = read_json(
        world.judge({ARMS[0]: world.answered(ARMS[0], silent=2), ARMS[1]: world.answered(ARMS[1])})
        / "study.json"
    )
    assert (record["n_items"], record["n_items_left_out"]) == (4, 2)
    assert record["n_unanswered"] == {ARMS[0]: 2}
    assert "tiny/base 2" in world.notes[0]


def test_an_arm_that_says_nothing_is_refused(world: World) -> None:
    with pytest.raises(DataError, match="tiny/base answered none of 6"):
        world.judge({ARMS[0]: world.answered(ARMS[0], silent=6), ARMS[1]: world.answered(ARMS[1])})


def test_people_are_waited_for_until_the_study_is_closed(world: World) -> None:
    study = world.made()
    draft = world.waits(study)
    assert draft.code == "draft"
    assert "`qingting judge open --database judging.db`" in str(draft)
    world.judged()
    at_work = world.waits(study)
    assert at_work.code == "open" and "36 of 36" in str(at_work)
    world.state("paused")
    assert world.waits(study).code == "paused"
    world.state("closed")
    collected = read_json(world.ran("collect", {}, {"study": study}) / "judgments.json")
    assert (collected["state"], collected["n_judgments"]) == ("closed", 36)
    assert (world.place.snapshots / collected["snapshot"]).is_dir()


def test_what_the_owner_froze_is_read_while_people_go_on(world: World) -> None:
    study = world.made()
    world.judged()
    digest = world.freeze()
    collected = read_json(world.ran("collect", {}, {"study": study}) / "judgments.json")
    assert (collected["snapshot"], collected["state"]) == (digest, "open")


def test_a_withdrawal_asks_for_a_new_snapshot_and_the_old_one_is_refused(world: World) -> None:
    study = world.made()
    world.judged()
    world.freeze()
    collected = world.ran("collect", {}, {"study": study})
    world.erase_one()
    gone = world.waits(study)
    assert gone.code == "superseded" and "`qingting judge freeze" in str(gone)
    with pytest.raises(DataError, match="superseded"):
        world.ran("analyse_judgments", {"seed": 7}, {"judgments": collected})
    digest = world.freeze()
    assert (
        read_json(world.ran("collect", {}, {"study": study}) / "judgments.json")["snapshot"]
        == digest
    )


def test_a_closed_study_is_frozen_anew_after_a_withdrawal(world: World) -> None:
    study = world.made()
    world.judged()
    world.state("closed")
    before = read_json(world.ran("collect", {}, {"study": study}) / "judgments.json")
    world.erase_one()
    after = read_json(world.ran("collect", {}, {"study": study}) / "judgments.json")
    assert after["snapshot"] != before["snapshot"]
    assert after["n_raters"] == before["n_raters"] - 1


def test_the_analysis_is_written_for_the_report_and_in_words(world: World) -> None:
    study = world.made()
    world.judged()
    world.state("closed")
    collected = world.ran("collect", {}, {"study": study})
    analysed = world.ran("analyse_judgments", {"seed": 7}, {"judgments": collected})
    found = StudyFindings.model_validate_json((analysed / "findings.json").read_bytes())
    assert (found.n_judgments, found.n_raters, found.state) == (36, 4, "closed")
    overall = next(one for one in found.criteria if one.criterion == "overall")
    assert [arm.arm for arm in overall.arms] == ["tiny/lora", "tiny/base"]
    assert isinstance(overall.contrasts, tuple)
    (contrast,) = overall.contrasts
    better = {"better": contrast.arm, "worse": contrast.other}
    assert better[contrast.verdict] == "tiny/lora"
    words = (analysed / "human_judge_analysis.md").read_text("utf-8")
    assert all(one in words for one in found.words.en)
    page = (analysed / "human_judge_analysis.html").read_text("utf-8")
    assert "人工盲评结果" in page and "What people judged" in page


def test_a_study_that_was_closed_without_a_judgment_fails(world: World) -> None:
    study = world.made()
    world.state("open")
    world.state("closed")
    with pytest.raises(DataError, match="no judgment"):
        world.ran("collect", {}, {"study": study})


def test_a_database_that_is_gone_makes_no_second_study(world: World) -> None:
    study = world.made()
    for path in world.folder.glob("judging.db*"):
        path.unlink()
    with pytest.raises(StoreError, match="not there; put it back"):
        world.ran("collect", {}, {"study": study})
    assert not list(world.folder.glob("judging.db*"))


def test_another_database_is_told_apart(world: World, tmp_path: Path) -> None:
    study = world.made()
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    other.made()
    with pytest.raises(StoreError, match="does not hold study"):
        other.ran("collect", {}, {"study": study})


def test_results_made_from_withdrawn_judgments_leave_the_work_folder(world: World) -> None:
    study = world.made()
    world.judged()
    digest = world.freeze()
    store = ArtifactStore(world.folder / "work")

    def committed(key: str, kind: str, inputs: list[str], summary: dict[str, str]) -> None:
        manifest = {
            "stage": kind,
            "ingredients": {"kind": kind, "inputs": {one: one for one in inputs}},
            "summary": summary,
        }
        store.commit(store.new_attempt(), key, manifest)

    committed("a", "collect", [study.key], {"snapshot": digest})
    committed("b", "analyse_judgments", ["a"], {})
    committed("c", "report", ["b", "x"], {})
    committed("d", "report", ["waiting:open", "x"], {})
    committed("x", "analyse", [], {})
    assert forget_withdrawn(store, world.place) == 0
    world.erase_one()
    assert forget_withdrawn(store, world.place) == 3
    assert store.artifact_keys() == ["d", "x"]
