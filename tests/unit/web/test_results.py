"""An owner reads what a snapshot says; nobody else does, and nothing withdrawn is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from qingting.judging import desk
from qingting.judging.owners import add_owner, new_link
from qingting.judging.people import erase
from qingting.judging.snapshot import analysis_folder, freeze, mark_superseded
from qingting.judging.tokens import now_ms
from qingting.store.database import Database
from qingting.store.judging_tables import Assignment, Campaign, Rater
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.sample_pack import AT_MS, full_form, new_database, new_rater, new_study


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    settings = WebSettings("http://testserver", tmp_path / "snapshots", requests_per_minute=9999)
    with TestClient(create_app(database, settings), follow_redirects=False) as client:
        yield client


def judged(database: Database, folder: Path) -> tuple[str, str, Path]:
    """Return a study with a few judgments: its id, and the snapshot's digest and folder."""
    with database.writing() as session:
        campaign = new_study(session).campaign
        for place in range(3):
            rater = new_rater(session, campaign)
            for n in range(8):
                found = desk.next_assignment(session, campaign, rater, at_ms=AT_MS + n * 60_000)
                assert isinstance(found, Assignment)
                form = full_form(1 + (n + place) % 5)
                submission = desk.Submission(found.public_id, f"{place}-{n}-key", form, 30_000)
                desk.submit(session, campaign, rater, submission, at_ms=AT_MS + n * 60_000)
        identity, public_id = campaign.id, campaign.public_id
    frozen = freeze(database, identity, into=folder, at_ms=now_ms(), actor="test")
    return public_id, frozen.digest, frozen.folder


def sign_in(client: TestClient, database: Database) -> None:
    with database.writing() as session:
        owner = add_owner(session, "o", password=None)
        secret = new_link(session, owner, at_ms=now_ms())
    assert client.post(f"/owner/link/{secret}").status_code == 303


def test_results_are_computed_beside_the_server_and_read_by_the_owner(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    study, digest, _ = judged(database, tmp_path / "snapshots")
    where = f"/owner/study/{study}/snapshots/{digest}/results"
    assert client.get(where).status_code == 303  # to the sign-in page
    sign_in(client, database)
    before = client.get(where, headers={"accept-language": "en"}).text
    assert "Compute the results" in before and "Looking at results early" in before
    assert client.get(f"{where}/page").status_code == 404
    token = before.split('name="csrf" value="')[1].split('"')[0]
    assert client.post(where).status_code == 403
    assert client.post(where, data={"csrf": token}).status_code == 303
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        text = client.get(where, headers={"accept-language": "en"}).text
        if "Being computed" not in text:
            break
        time.sleep(0.3)
    assert "Read them" in text, text
    shown = client.get(f"{where}/page")
    assert "tuned-model" in shown.text
    assert "script-src" not in shown.headers["content-security-policy"]
    assert "sandbox" in shown.headers["content-security-policy"]
    assert client.get(f"{where}/figures").json()["digest"] == digest
    api = client.get(f"/api/v1/owner/studies/{study}/snapshots/{digest}/analysis").json()
    assert api["state"] == "done" and api["figures"]["digest"] == digest


def test_what_someone_withdrew_from_is_neither_shown_nor_kept(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    study, digest, folder = judged(database, tmp_path / "snapshots")
    analysis_folder(folder).mkdir()
    (analysis_folder(folder) / "human_judge_analysis.md").write_text("words", encoding="utf-8")
    with database.writing() as session:
        campaign = session.scalars(select(Campaign)).one()
        rater: Any = session.scalars(select(Rater)).first()
        erase(session, campaign, rater, at_ms=now_ms(), actor="test")
    mark_superseded(database)
    assert not analysis_folder(folder).exists()
    sign_in(client, database)
    where = f"/owner/study/{study}/snapshots/{digest}/results"
    assert client.get(where).status_code == 410
    assert client.get(f"{where}/page").status_code == 410
    assert client.get(f"/owner/study/{'0' * 32}/snapshots/{digest}/results").status_code == 404


def test_a_snapshot_that_cannot_be_read_says_why(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    study, digest, folder = judged(database, tmp_path / "snapshots")
    (folder / "judgments.jsonl").write_text("{}\n", encoding="utf-8")
    sign_in(client, database)
    with database.writing() as session:
        link = new_link(session, add_owner(session, "api", password=None), at_ms=now_ms())
    secret = client.post("/api/v1/owner/sessions", json={"link": link}).json()["session"]
    where = f"/api/v1/owner/studies/{study}/snapshots/{digest}/analysis"
    headers = {"authorization": f"Bearer {secret}"}
    assert client.post(where, headers=headers).status_code == 202
    deadline = time.monotonic() + 120
    while (found := client.get(where, headers=headers).json())["state"] == "computing":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert found["state"] == "failed" and "changed since it was frozen" in found["reason"]


def test_a_killed_computation_leaves_the_next_one_possible(
    database: Database, tmp_path: Path
) -> None:
    import os
    import signal

    from qingting.web.results import Results

    _, _, folder = judged(database, tmp_path / "snapshots")
    results = Results()
    results.start(folder)
    pool = results._open_pool()
    deadline = time.monotonic() + 60
    while not (processes := list((pool._processes or {}).values())):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(processes[0].pid or 0, signal.SIGKILL)
    while results.state_of(folder)[0] == "computing":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert results.state_of(folder)[0] == "failed"
    results.start(folder)
    while results.state_of(folder)[0] == "computing":
        assert time.monotonic() < deadline + 120
        time.sleep(0.2)
    assert results.state_of(folder) == ("done", "")
    results.close()
