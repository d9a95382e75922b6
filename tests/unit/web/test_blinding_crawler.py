"""No byte that a rater receives tells which arm wrote an answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from qingting.judging.people import Guest, invite
from qingting.store.database import Database
from qingting.store.judging_tables import Arm, Assignment, Response, Unit
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.sample_pack import AT_MS, full_form, new_database, new_study, pair_form
from unit.web.test_rater_pages import address, enter, hidden, past_warnings

ARMS = ("Zhiyun-tuned-v2/lora", "Zhiyun-tuned-v2/base", "third_arm")
QUALITY = {
    "share_calibration": 0.1,
    "share_repeats": 0.1,
    "share_attention": 0.1,
    "n_training": 1,
}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> TestClient:
    settings = WebSettings("http://testserver", tmp_path, requests_per_minute=100_000)
    return TestClient(create_app(database, settings), follow_redirects=True)


def invited(database: Database, mode: str) -> str:
    changes = {} if mode == "pair" else {"quality": QUALITY}
    with database.writing() as session:
        campaign = new_study(session, arms=ARMS, mode=mode, n_scenarios=9, **changes).campaign
        for response in session.scalars(select(Response)):
            if response.arm_id is not None:  # an answer that says what it is
                names = {arm.id: arm.name for arm in session.scalars(select(Arm))}
                assert names[response.arm_id] not in str(response.shown)
        guest = Guest("licensed", "zh")
        return invite(session, campaign, guest, days=3650, at_ms=AT_MS, actor="test").secret


def secrets_of(database: Database) -> list[str]:
    """Return everything that must not be sent: names of arms, registered digest, study secret."""
    from qingting.store.judging_tables import Campaign

    with database.reading() as session:
        campaign = session.scalars(select(Campaign)).one()
        return [*ARMS, "Zhiyun", "third_arm", campaign.secret, campaign.registered_digest]


def check(content: str, secrets: list[str], where: str) -> None:
    for secret in secrets:
        assert secret not in content, f"{where} tells {secret}"
    for word in ("arm_id", "other_arm", "unit_id", "is_swapped", "p_chosen", "n_taken"):
        assert word not in content, f"{where} tells {word}"


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_no_page_tells_the_arm(client: TestClient, database: Database, mode: str) -> None:
    html = enter(client, invited(database, mode))
    secrets = secrets_of(database)
    if "start=1" in html:
        check(html, secrets, "training")
        html = client.get("/judge?start=1").text
    seen: set[str] = set()
    for _ in range(25):
        html = past_warnings(client, html)
        check(html, secrets, "a task")
        for path in set(re.findall(r'(?:href|src)="(/[^"#]*)"', html)) - seen:
            seen.add(path)
            answer = client.get(path)
            check(answer.text + str(answer.headers), secrets, path)
        match = re.search(r'action="(/judge/a/\w+)" class="judgment"', html)
        if match is None:
            break
        form = {name: hidden(html, name) for name in ("csrf", "key", "shown_ms")}
        said = pair_form() if mode == "pair" else full_form(3)
        form |= {f"scores.{name}": str(value) for name, value in said["scores"].items()}
        form |= {f"safety.{side}": "pass" for side in said["safety"]}
        answer = client.post(address(html), data=form)
        check(answer.text + str(answer.headers), secrets, "after a judgment")
        html = client.get("/judge").text
    assert len(seen) > 6


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_no_answer_of_the_api_tells_the_arm(
    client: TestClient, database: Database, mode: str
) -> None:
    secret = invited(database, mode)
    session = client.post("/api/v1/sessions", json={"invitation": secret}).json()["session"]
    client.headers["authorization"] = f"Bearer {session}"
    client.cookies.clear()
    client.post("/api/v1/consent", json={"version": "1"})
    secrets = secrets_of(database)
    for _ in range(25):
        answer = client.post("/api/v1/next")
        check(answer.text + str(answer.headers), secrets, "next")
        task = answer.json()["task"]
        if task is None:
            break
        body = (pair_form() if mode == "pair" else full_form(3)) | {
            "idempotency_key": task["assignment"]
        }
        done = client.post(f"/api/v1/assignments/{task['assignment']}/judgment", json=body)
        assert done.status_code == 201, done.text
        check(done.text, secrets, "a receipt")
        check(client.get("/api/v1/me").text, secrets, "me")
    for path in ("rubric", "texts/consent", "texts/help_page", "openapi.json"):
        answer = client.get(f"/api/v1/{path}")
        if path != "openapi.json":
            check(answer.text, secrets, path)
        assert not any(secret in answer.text for secret in secrets)


def test_ids_are_random_and_sides_do_not_tell_the_arm(database: Database) -> None:
    from qingting.judging import desk
    from unit.judging.sample_pack import new_rater

    with database.writing() as session:
        campaign = new_study(session, arms=ARMS, mode="pair", n_scenarios=30).campaign
        swapped: dict[tuple[int, int], list[bool]] = {}
        for _ in range(3):
            rater = new_rater(session, campaign)
            for _ in range(60):
                found = desk.next_assignment(session, campaign, rater, at_ms=AT_MS)
                if not isinstance(found, Assignment):
                    break
                unit = session.get_one(Unit, found.unit_id)
                assert re.fullmatch(r"[0-9a-f]{32}", found.public_id)
                swapped.setdefault((unit.arm_id, unit.other_arm_id), []).append(found.is_swapped)
                submission = desk.Submission(found.public_id, found.public_id, pair_form(), 1)
                desk.submit(session, campaign, rater, submission, at_ms=AT_MS)
    for sides in swapped.values():
        assert 0.35 <= sum(sides) / len(sides) <= 0.65
