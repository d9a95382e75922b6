"""An experiment with people in it: the run waits for them, reads what they said, forgets on request."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from e2e.running import Run, outcomes
from qingting.cli.judge import app as judge_app
from qingting.judging.campaigns import change_state
from qingting.judging.people import Guest, accept, consent, erase, invite
from qingting.judging.simulation import draw_rater, work, world_of
from qingting.judging.snapshot import freeze, mark_superseded
from qingting.judging.tokens import now_ms
from qingting.report.results import Results
from qingting.store.database import Database, open_database
from qingting.store.judging_tables import Arm, Campaign, Rater

JUDGED = """\
experiment: judged
models: [qwen2.5-tiny]
data: {train: counselling, max_dialogues: 40, validation: 4, test: 8, seed: 3}
recipe: {learning_rate: 2e-3, max_steps: 2, effective_batch: 4, max_length: 512, n_samples: 0}
evaluations:
  text: {n_prompts: 4, max_new_tokens: 8, metrics: [length]}
  knowledge: null
  inference: null
analysis: {n_resamples: 200}
report: {n_examples: 1}
judging:
  name: small study
  languages: [zh]
  scenarios: {n: 6}
  raters_per_unit: 3
  n_raters: 4
  max_new_tokens: 12
"""
TUNED, BASE = "qwen2.5-tiny/lora", "qwen2.5-tiny/base"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("judged") / "judged.yaml"
    path.write_text(JUDGED, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def drafted(spec: Path) -> Path:
    """The work folder of a run that made its study, which nobody has opened."""
    work_folder = spec.parent / "work"
    status, out, err = Run(spec, work_folder, "--json").finish()
    assert status == 3, err
    said = json.loads(out)
    assert said["status"] == "waiting" and said["failures"] == []
    (waiting,) = said["waiting"]
    assert waiting["stage"] == "collect" and "qingting judge open --database" in waiting["reason"]
    last = err.strip().splitlines()[-1]
    assert "waiting for people" in last
    return work_folder


@pytest.fixture
def folder(drafted: Path, tmp_path: Path) -> Path:
    """A copy of it for one test to go on with."""
    return Path(shutil.copytree(drafted, tmp_path / "work"))


def again(spec: Path, folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    status, out, err = Run(spec, folder, "--json", *options).finish()
    return status, json.loads(out), err


def results_of(folder: Path) -> Results:
    return Results.model_validate_json((folder / "results.json").read_bytes())


def database_of(folder: Path) -> Database:
    return open_database(folder / "judging.db")


def people_judge(folder: Path) -> None:
    """Open the study and have four simulated raters of known opinion do all of it at the desk."""
    rng, at_ms = np.random.default_rng(5), now_ms() - 86_400_000
    database = database_of(folder)
    with database.writing() as session:
        campaign = session.scalars(select(Campaign)).one()
        change_state(session, campaign, "open", at_ms=at_ms, actor="test")
        quality = {
            arm: (2.0 if arm == TUNED else -2.0) for arm in session.scalars(select(Arm.name))
        }
        world = world_of(session, campaign, quality, rng=rng, share_unsafe=0.3)
        raters = []
        for _ in range(4):
            guest = Guest("licensed", "zh", name="王小明")
            made = invite(session, campaign, guest, days=7, at_ms=at_ms, actor="test")
            rater = accept(session, made.secret, at_ms=at_ms).rater
            consent(session, campaign, rater, version=campaign.consent_version, at_ms=at_ms)
            raters.append(draw_rater(rater, rng=rng))
        assert work(session, campaign, raters, world, at_ms=at_ms, rng=rng) == 36
    database.close()


def freeze_now(folder: Path) -> str:
    database = database_of(folder)
    with database.reading() as session:
        identity = session.scalars(select(Campaign.id)).one()
    frozen = freeze(database, identity, into=folder / "snapshots", at_ms=now_ms(), actor="test")
    database.close()
    return frozen.digest


def test_the_report_is_there_while_people_have_not_judged(drafted: Path) -> None:
    study = results_of(drafted).outcomes.judging
    assert study is not None and study.findings is None
    assert (study.status, study.waits_for) == ("waiting", "draft")
    assert study.n_items == 6
    page = (drafted / "report" / "index.html").read_text("utf-8")
    assert "still a draft" in page and "No human has judged yet" in page
    assert not list((drafted / "report").glob("human_judge_analysis*"))
    assert [arm.status for arm in results_of(drafted).outcomes.arms] == ["done", "done"]


def test_waiting_again_repeats_nothing_and_makes_no_second_study(spec: Path, folder: Path) -> None:
    status, said, err = again(spec, folder)
    assert (status, said["n_run"]) == (3, 0), err
    database = database_of(folder)
    with database.reading() as session:
        assert session.scalars(select(Campaign.state)).all() == ["draft"]
    database.close()


def test_the_plan_shows_what_waits(spec: Path, drafted: Path) -> None:
    status, out, _ = Run(spec, drafted, "--json", command="plan").finish()
    assert status == 0
    stages = {one["stage"]: one["status"] for one in json.loads(out)["stages"]}
    waiting = {name for name, state in stages.items() if state == "waiting"}
    assert waiting == {"collect", "analyse_judgments"}
    assert {state for name, state in stages.items() if name not in waiting} == {"cached"}


def test_what_people_said_is_in_the_report_once_it_is_frozen(spec: Path, folder: Path) -> None:
    people_judge(folder)
    status, said, err = again(spec, folder)
    assert status == 3 and "36 of 36" in said["waiting"][0]["reason"], err
    digest = freeze_now(folder)
    status, said, err = again(spec, folder)
    assert status == 0, err
    assert (said["status"], said["n_run"]) == ("done", 3)  # collect, analyse_judgments, report
    study = results_of(folder).outcomes.judging
    assert study is not None and study.findings is not None
    assert (study.findings.snapshot, study.findings.state) == (digest, "open")
    overall = next(one for one in study.findings.criteria if one.criterion == "overall")
    assert [arm.arm for arm in overall.arms] == [TUNED, BASE]
    gate = {one.arm: one.n_failed for one in study.findings.safety}
    assert gate[TUNED] == 0 < gate[BASE]
    words = (folder / "report" / "human_judge_analysis.md").read_text("utf-8")
    assert all(one in words for one in study.findings.words.en)
    page = (folder / "report" / "index.html").read_text("utf-8")
    assert "interim" in page and 'href="human_judge_analysis.html"' in page
    for text in (page, words, outcomes(folder)):
        assert "王小明" not in text and str(folder) not in text
    before = outcomes(folder)
    status, said, _ = again(spec, folder)
    assert (status, said["n_run"]) == (0, 0)
    assert outcomes(folder) == before


def test_a_withdrawal_takes_the_result_back_and_asks_for_a_new_snapshot(
    spec: Path, folder: Path
) -> None:
    people_judge(folder)
    freeze_now(folder)
    assert again(spec, folder)[0] == 0
    pseudonym = withdraw_one(folder)
    assert pseudonym[:8] in (folder / "report" / "human_judge_analysis.md").read_text("utf-8")
    status, said, err = again(spec, folder)
    assert status == 3 and "withdrawn" in said["waiting"][0]["reason"], err
    study = results_of(folder).outcomes.judging
    assert study is not None
    assert (study.waits_for, study.findings) == ("superseded", None)
    assert not list((folder / "report").glob("human_judge_analysis*"))
    holding = [p for p in (folder / "artifacts").rglob("*") if p.is_file()]
    assert not [p for p in holding if pseudonym.encode() in p.read_bytes()]
    freeze_now(folder)
    assert again(spec, folder)[0] == 0
    assert pseudonym[:8] not in (folder / "report" / "human_judge_analysis.md").read_text("utf-8")


def withdraw_one(folder: Path) -> str:
    database = database_of(folder)
    with database.writing() as session:
        campaign = session.scalars(select(Campaign)).one()
        rater = session.scalars(select(Rater).order_by(Rater.id)).first()
        assert rater is not None
        pseudonym = rater.public_id
        erase(session, campaign, rater, at_ms=now_ms(), actor="test")
    mark_superseded(database)
    database.close()
    return pseudonym


def test_a_closed_study_is_frozen_and_reported_by_the_run(spec: Path, folder: Path) -> None:
    people_judge(folder)
    database = database_of(folder)
    with database.writing() as session:
        campaign = session.scalars(select(Campaign)).one()
        change_state(session, campaign, "closed", at_ms=now_ms(), actor="test")
    database.close()
    status, _, err = again(spec, folder)
    assert status == 0, err
    study = results_of(folder).outcomes.judging
    assert study is not None and study.findings is not None
    assert study.findings.state == "closed"
    assert (folder / "snapshots" / study.findings.snapshot).is_dir()


def test_other_inputs_make_another_study_beside_and_lose_no_judgment(
    spec: Path, folder: Path
) -> None:
    people_judge(folder)
    status, said, err = again(spec, folder, "--set", "judging.raters_per_unit=2")
    assert status == 3, err
    assert "--study" in said["waiting"][0]["reason"]
    assert "is not closed" in err
    database = database_of(folder)
    with database.reading() as session:
        states = session.scalars(select(Campaign.state).order_by(Campaign.id)).all()
    database.close()
    assert states == ["open", "draft"]


def test_the_command_that_makes_studies_finds_the_one_of_the_run(folder: Path) -> None:
    made = CliRunner().invoke(judge_app, ["create", "--run", str(folder), "--open", "--json"])
    assert made.exit_code == 0, made.output
    record = json.loads(made.stdout)
    study = results_of(folder).outcomes.judging
    assert study is not None
    assert (record["is_new"], record["state"]) == (False, "open")
    assert record["registered_digest"] == study.registered_digest


def test_no_study_is_made_of_a_part_of_its_arms(spec: Path, tmp_path: Path) -> None:
    """One model's weights hold NaN: nobody is asked to judge, and the report says why."""
    broken = broken_model(tmp_path / "broken")
    status, said, err = again(spec, tmp_path / "work", "--set", f"models=[qwen2.5-tiny, {broken}]")
    assert status == 1, err
    assert said["status"] == "failed" and said["waiting"] == []
    study = results_of(tmp_path / "work").outcomes.judging
    assert study is not None and study.status == "failed"
    assert study.reason is not None and study.reason.startswith("judge: ")
    assert not (tmp_path / "work" / "judging.db").exists()


def broken_model(folder: Path) -> Path:
    import torch
    from safetensors.torch import load_file, save_file

    from qingting.models.resolve import shipped_models

    shutil.copytree(shipped_models()["llama3.1-tiny"], folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "mlp.down_proj" in name)
    weights[name] = torch.full_like(weights[name], float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_database_is_named_only_where_people_judge(tmp_path: Path) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text(JUDGED[: JUDGED.index("judging:")], encoding="utf-8")
    status, _, err = Run(plain, tmp_path / "work", "--database", "x.db").finish()
    assert status == 2 and "belongs to an experiment with `judging`" in err
