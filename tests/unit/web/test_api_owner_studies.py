"""The owner's API makes studies, takes judgments from elsewhere, and leaves raters out."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from qingting.judging.analysis import analyse
from qingting.judging.snapshot import read_snapshot
from qingting.report.judging_words import study_markdown
from qingting.store.database import Database
from qingting.store.judging_tables import AuditEntry, Campaign, Judgment, Rater, RaterIdentity
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.foreign_exports import (
    ARGILLA_MAPPING,
    argilla_2,
    as_csv,
    as_json_lines,
    table_row,
)
from unit.judging.sample_pack import new_database
from unit.web.test_security import owner_headers, rater_client, signed_in, study

STUDIES = "/api/v1/owner/studies"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> TestClient:
    return TestClient(
        create_app(database, WebSettings("http://testserver", tmp_path / "snapshots"))
    )


def answers(arms: tuple[str, ...] = ("a", "b"), n: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "scenario": f"mine-{place}",
            "language": "zh",
            "answer": f"我在听，{arm}说。",
            "prompt": "最近总是睡不好。",
            "kind": "counselling",
        }
        for arm in arms
        for place in range(n)
    ]


def spec(**changes: Any) -> dict[str, Any]:
    return {"name": "spring", "languages": ["zh"], "raters_per_unit": 2, **changes}


def test_a_study_is_made_and_opened(client: TestClient, database: Database) -> None:
    owner = owner_headers(client, database)
    rule = {
        "candidate": "a",
        "baseline": "b",
        "margin": 0.2,
        "criteria": {"overall": {}},
    }
    body = {"spec": spec(), "answers": answers(), "open": True}
    made = client.post(STUDIES, headers=owner, json=body)
    assert made.status_code == 201, made.text
    record = made.json()
    assert (record["study"], record["state"], record["n_items"]) == ("spring", "open", 2)
    assert record["n_units"] == 4
    assert "no rule of a decision is registered" in record["warnings"][-1]
    shown = client.get(f"{STUDIES}/{record['id']}", headers=owner).json()
    assert shown["n_wanted"] == 8 and shown["registered_digest"] == record["registered_digest"]
    with database.reading() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "create")).one()
        assert entry.actor == "owner:api"
    wrong = client.post(STUDIES, headers=owner, json=body | {"rule": rule | {"candidte": "a"}})
    assert wrong.status_code == 422
    assert any(place.startswith("rule.") for place in wrong.json()["error"]["fields"])


def test_the_rule_comes_with_the_request(client: TestClient, database: Database) -> None:
    from ruamel.yaml import YAML

    owner = owner_headers(client, database)
    example = Path(__file__).parents[3] / "examples" / "decision" / "rule.yaml"
    rule = json.loads(json.dumps(YAML(typ="safe", pure=True).load(example.read_text("utf-8"))))
    arms = (rule["candidate"], rule["baseline"])
    body = {"spec": spec(), "answers": answers(arms), "rule": rule}
    made = client.post(STUDIES, headers=owner, json=body)
    assert made.status_code == 201, made.text
    with database.reading() as session:
        campaign = session.scalars(select(Campaign)).one()
        assert campaign.rule is not None and campaign.rule["candidate"] == arms[0]
    other = client.post(STUDIES, headers=owner, json=body | {"answers": answers(("a", "b"))})
    assert "not an arm of the study" in other.json()["error"]["message"]


def test_every_problem_of_a_study_is_told_by_its_key(
    client: TestClient, database: Database
) -> None:
    owner = owner_headers(client, database)
    bad = answers()
    bad[0]["answer"] = " "
    wrong = spec(raters_per_unit=0, exclusion={"min_medians": 3}, domain="councelling")
    answer = client.post(STUDIES, headers=owner, json={"spec": wrong, "answers": bad})
    assert answer.status_code == 422
    fields = answer.json()["error"]["fields"]
    assert "greater than 0" in fields["spec.raters_per_unit"]
    assert "Did you mean 'min_median_s'?" in fields["spec.exclusion.min_medians"]
    assert "an empty answer" in fields["answers:1, column 'answer'"]
    alone = client.post(STUDIES, headers=owner, json={"spec": spec(domain="x"), "answers": []})
    assert set(alone.json()["error"]["fields"]) == {"spec.domain", "answers"}
    shape = {"spec": spec(), "answers": [{"arm": "a", "scenario": "s", "languag": "zh"}]}
    typed = client.post(STUDIES, headers=owner, json=shape).json()
    assert "body.answers.0.languag" in typed["error"]["fields"]
    with database.reading() as session:
        assert session.scalars(select(Campaign)).all() == []


def test_no_file_or_address_of_the_server_is_taken_from_a_request(
    client: TestClient, database: Database
) -> None:
    owner = owner_headers(client, database)
    live = spec(mode="conversation", conversation={"source": "live"}, decision="/etc/hostname")
    answer = client.post(STUDIES, headers=owner, json={"spec": live, "answers": answers()})
    fields = answer.json()["error"]["fields"]
    assert "send the rule itself" in fields["spec.decision"]
    assert "on the server's host" in fields["spec.conversation.source"]


def test_judgments_are_imported_once_and_dry_first(client: TestClient, database: Database) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database)
    url = f"{STUDIES}/{public_id}/judgments:import"
    body = {"content": as_csv([table_row("王医生"), table_row("ben")]), "consent_version": "1"}
    dry = client.post(url, headers=owner, json=body | {"dry_run": True}).json()
    assert (dry["n_fit"], dry["n_imported"]) == (2, 0)
    done = client.post(url, headers=owner, json=body)
    assert done.status_code == 200
    assert (done.json()["n_imported"], done.json()["n_raters_new"]) == (2, 2)
    again = client.post(url, headers=owner, json=body).json()
    assert (again["n_imported"], again["n_already_there"]) == (0, 2)
    with database.reading() as session:
        assert len(session.scalars(select(Judgment)).all()) == 2
        assert "王医生" in session.scalars(select(RaterIdentity.name)).all()
        notes = session.scalars(select(AuditEntry).where(AuditEntry.action == "import"))
        assert {one.actor for one in notes} == {"owner:api"}


def test_an_export_is_imported_with_its_mapping(client: TestClient, database: Database) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database)
    url = f"{STUDIES}/{public_id}/judgments:import"
    body = {
        "content": json.dumps(argilla_2(), ensure_ascii=False),
        "mapping": ARGILLA_MAPPING,
        "consent_elsewhere": True,
        "credential": "lay",
    }
    done = client.post(url, headers=owner, json=body)
    assert done.status_code == 200, done.text
    assert (done.json()["format"], done.json()["n_imported"]) == ("argilla", 2)
    wrong = body | {"mapping": ARGILLA_MAPPING | {"itm": "x"}}
    told = client.post(url, headers=owner, json=wrong).json()["error"]["fields"]
    assert "Did you mean 'item'?" in told["mapping.itm"]
    for consent in ({"consent_elsewhere": False}, {"consent_version": "1"}):
        refused = client.post(url, headers=owner, json=body | consent)
        assert refused.status_code == 422
        assert "say how the raters consented" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "the study has no item 's9'"), ("zh", "研究里没有情境“s9”")],
)
def test_rows_that_cannot_be_used_are_named_in_the_owners_language(
    client: TestClient, database: Database, language: str, words: str
) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database) | {"accept-language": language}
    url = f"{STUDIES}/{public_id}/judgments:import"
    body = {"content": as_json_lines([table_row(), table_row(item="s9")]), "consent_version": "1"}
    refused = client.post(url, headers=owner, json=body)
    assert refused.status_code == 422
    assert words in refused.json()["error"]["fields"]["content:2"]
    with database.reading() as session:
        assert session.scalars(select(Judgment)).all() == []
    done = client.post(url, headers=owner, json=body | {"skip_bad": True}).json()
    assert (done["n_imported"], done["n_refused"]) == (1, 1)
    assert done["refused"][0]["place"] == "content:2" and words in done["refused"][0]["problems"][0]


def test_bodies_that_are_too_large_or_no_judgments_are_refused(
    client: TestClient, database: Database
) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database)
    url = f"{STUDIES}/{public_id}/judgments:import"
    large = {"content": "x" * (1 << 20), "consent_version": "1"}
    assert client.post(url, headers=owner, json=large).status_code == 413
    for content in ("[", "[]", "a,a\n1,2", "\n", "[1, 2]", "{}"):
        answer = client.post(url, headers=owner, json={"content": content, "consent_version": "1"})
        assert answer.status_code == 422, content


def test_a_rater_is_left_out_by_hand_and_let_in_again(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database)
    base = f"{STUDIES}/{public_id}"
    rows = [
        table_row(rater, f"s{n}", arm, point=3 + (arm == "tuned-model"), duration_ms=ms)
        for rater, ms in (("slow", 30_000), ("fast", 1000), ("third", 30_000))
        for n in range(3)
        for arm in ("tuned-model", "base-model")
    ]
    body = {"content": as_csv(rows), "consent_version": "1"}
    assert client.post(f"{base}/judgments:import", headers=owner, json=body).status_code == 200
    with database.reading() as session:
        by_name = dict(session.execute(select(RaterIdentity.name, RaterIdentity.rater_id)).all())

        slow = session.get_one(Rater, by_name["slow"]).public_id
        fast = session.get_one(Rater, by_name["fast"]).public_id
    url = f"{base}/exclusions"
    listed = client.get(url, headers=owner).json()
    assert [(one["rater"], one["rule"]) for one in listed["by_rule"]] == [(fast, "min_median_s")]
    wanted = {"rater": slow, "reason": "conflict_of_interest"}
    made = client.post(url, headers=owner, json=wanted)
    assert made.status_code == 201 and made.json()["is_late"] is False
    assert client.post(url, headers=owner, json=wanted).status_code == 422
    unknown = {"rater": "0" * 32, "reason": "not_eligible"}
    assert client.post(url, headers=owner, json=unknown).status_code == 404
    frozen = client.post(f"{base}/snapshots", headers=owner).json()
    result = analyse(read_snapshot(tmp_path / "snapshots" / frozen["digest"]), digest="-")
    assert result.n_raters == 1
    assert {one.rater: one.is_by_hand for one in result.exclusions} == {slow: True, fast: False}
    assert "1 of them by the owner, by hand (0 after results could be seen)" in study_markdown(
        result, language="en"
    )
    assert "其中 1 位由研究者逐个决定排除（0 位是在结果已经可以看到之后）" in study_markdown(
        result, language="zh"
    )
    assert client.delete(f"{url}/{slow}", headers=owner).status_code == 204
    assert client.delete(f"{url}/{slow}", headers=owner).status_code == 404
    assert client.delete(f"{url}/{fast}", headers=owner).status_code == 404  # by a rule
    late = client.post(url, headers=owner, json=wanted).json()
    assert late["is_late"] is True  # a snapshot was there, and results could be seen
    with database.reading() as session:
        notes = session.scalars(
            select(AuditEntry.action)
            .where(AuditEntry.subject == slow, AuditEntry.actor == "owner:api")
            .order_by(AuditEntry.id)
        ).all()
    assert notes == ["import_rater", "exclude", "readmit", "exclude"]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_snapshots_judgments_come_as_a_table_that_can_be_imported(
    client: TestClient, database: Database, ending: str
) -> None:
    _, public_id = study(database)
    owner = owner_headers(client, database)
    base = f"{STUDIES}/{public_id}"
    body = {"content": as_csv([table_row(), table_row("ben")]), "consent_version": "1"}
    client.post(f"{base}/judgments:import", headers=owner, json=body)
    digest = client.post(f"{base}/snapshots", headers=owner).json()["digest"]
    url = f"{base}/snapshots/{digest}/judgments?ending={ending}"
    table = client.get(url, headers=owner)
    assert table.status_code == 200
    if ending == "csv":
        first = next(csv.DictReader(io.StringIO(table.text)))
        assert (first["credential"], first["score_overall"]) == ("licensed", "4")
    again = client.post(
        f"{base}/judgments:import",
        headers=owner,
        json={"content": table.text, "consent_version": "1"},
    )
    assert again.json()["n_already_there"] == 2, again.text
    assert client.get(f"{base}/snapshots/none/judgments", headers=owner).status_code == 404


def test_an_owner_signs_out(client: TestClient, database: Database) -> None:
    owner = owner_headers(client, database)
    assert client.delete("/api/v1/owner/sessions", headers=owner).status_code == 204
    assert client.get(STUDIES, headers=owner).status_code == 401


def test_a_rater_is_told_whom_to_ask(client: TestClient, database: Database) -> None:
    campaign_id, _ = study(database)
    rating = signed_in(client, rater_client(client, database, campaign_id))
    told = client.get("/api/v1/support", headers=rating).json()
    assert told == {"contact": "邀请您的人", "hotlines": []}
