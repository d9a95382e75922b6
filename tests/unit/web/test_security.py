"""Who may see what: every route refuses strangers, other raters and expired invitations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from qingting.judging.owners import add_owner, new_link
from qingting.judging.people import Guest, consent, invite
from qingting.judging.tokens import now_ms
from qingting.store.database import Database
from qingting.store.judging_tables import Campaign, Rater
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.sample_pack import AT_MS, new_database, new_study

OPEN_TO_ALL = {
    ("GET", "/"),
    ("GET", "/owner/sign-in"),
    ("POST", "/owner/sign-in"),
    ("GET", "/owner/link/{secret}"),
    ("POST", "/owner/link/{secret}"),
    ("GET", "/j/{secret}"),
    ("POST", "/j/{secret}"),
    ("POST", "/api/v1/sessions"),
    ("POST", "/api/v1/owner/sessions"),
}
"""Doors: they refuse by the secret that they are given."""


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> TestClient:
    settings = WebSettings(
        "http://testserver",
        tmp_path,
        requests_per_minute=100_000,
        wrong_sign_ins_per_minute=100_000,
    )
    return TestClient(
        create_app(database, settings), follow_redirects=False, raise_server_exceptions=True
    )


def routes(client: TestClient) -> list[tuple[str, str]]:
    found = []

    def walk(items: object) -> None:
        for route in items:  # type: ignore[attr-defined]
            if isinstance(route, APIRoute):
                found.extend((method, route.path) for method in sorted(route.methods))
            elif hasattr(route, "original_router"):
                walk(route.original_router.routes)

    walk(client.app.routes)  # type: ignore[attr-defined]
    return found


def filled(path: str, **values: str) -> str:
    for name in ("secret", "public_id", "assignment", "digest", "rater", "ref"):
        path = path.replace("{" + name + "}", values.get(name, "0" * 32))
    return path.replace("{part}", "consent").replace("{language}", "zh")


def rater_client(
    client: TestClient, database: Database, campaign_id: int, *, days: float = 3650
) -> str:
    """Sign a new, consenting rater in; return the secret of the invitation."""
    with database.writing() as session:
        campaign = session.get_one(Campaign, campaign_id)
        guest = Guest("lay", "zh")
        at_ms = AT_MS if days > 1 else now_ms() - 86_400_000
        made = invite(session, campaign, guest, days=days, at_ms=at_ms, actor="test")
        rater = session.query(Rater).filter_by(public_id=made.rater_public_id).one()
        consent(session, campaign, rater, version="1", at_ms=AT_MS)
    return made.secret


def signed_in(client: TestClient, secret: str) -> dict[str, str]:
    answer = client.post("/api/v1/sessions", json={"invitation": secret})
    client.cookies.clear()
    return {"authorization": f"Bearer {answer.json()['session']}"}


def study(database: Database) -> tuple[int, str]:
    with database.writing() as session:
        campaign = new_study(session).campaign
        return campaign.id, campaign.public_id


def owner_headers(client: TestClient, database: Database) -> dict[str, str]:
    with database.writing() as session:
        secret = new_link(session, add_owner(session, "api", password=None), at_ms=now_ms())
    answer = client.post("/api/v1/owner/sessions", json={"link": secret})
    assert answer.status_code == 201
    client.cookies.clear()
    return {"authorization": f"Bearer {answer.json()['session']}"}


def test_there_are_routes_to_test(client: TestClient) -> None:
    found = routes(client)
    assert len(found) > 50
    assert set(found) >= OPEN_TO_ALL
    base = "/api/v1/owner"
    assert set(found) >= {
        ("DELETE", f"{base}/sessions"),
        ("POST", f"{base}/studies"),
        ("POST", f"{base}/studies/{{public_id}}/judgments:import"),
        ("GET", f"{base}/studies/{{public_id}}/exclusions"),
        ("POST", f"{base}/studies/{{public_id}}/exclusions"),
        ("DELETE", f"{base}/studies/{{public_id}}/exclusions/{{rater}}"),
        ("GET", f"{base}/studies/{{public_id}}/snapshots/{{digest}}/judgments"),
    }


def test_a_visitor_without_a_session_is_refused_everywhere(
    client: TestClient, database: Database
) -> None:
    study(database)
    for method, path in routes(client):
        if (method, path) in OPEN_TO_ALL:
            continue
        answer = client.request(method, filled(path), json={})
        is_refused = answer.status_code in (401, 403)
        to_sign_in = answer.status_code == 303 and answer.headers["location"] == "/owner/sign-in"
        assert is_refused or to_sign_in, (method, path, answer.status_code)
        assert "tuned-model" not in answer.text


def test_doors_refuse_secrets_that_are_wrong_or_old(client: TestClient, database: Database) -> None:
    campaign_id, _ = study(database)
    expired = rater_client(client, database, campaign_id, days=0.00001)
    for secret in ("0" * 43, expired):
        assert client.get(f"/j/{secret}").status_code in (404, 410)
        assert client.post(f"/j/{secret}").status_code in (404, 410)
        answer = client.post("/api/v1/sessions", json={"invitation": secret})
        assert answer.status_code in (404, 410)
        assert client.post(f"/owner/link/{secret}").status_code == 410
    wrong = client.post("/owner/sign-in", data={"name": "x", "password": "y"})
    assert wrong.status_code == 403


def test_a_rater_is_refused_by_owners_routes_and_by_anothers_assignment(
    client: TestClient, database: Database
) -> None:
    campaign_id, public_id = study(database)
    mine = signed_in(client, rater_client(client, database, campaign_id))
    other = signed_in(client, rater_client(client, database, campaign_id))
    task = client.post("/api/v1/next", headers=other).json()["task"]
    for method, path in routes(client):
        where = filled(path, public_id=public_id)
        if path.startswith(("/owner", "/api/v1/owner")) and (method, path) not in OPEN_TO_ALL:
            answer = client.request(method, where, headers=mine)
            assert answer.status_code in (303, 401, 403), (method, path)
            assert "tuned-model" not in answer.text
        if "{assignment}" in path or path.startswith(("/judge/a/", "/judge/feedback/")):
            where = path.replace("{assignment}", task["assignment"])
            where = where.replace("{public_id}", task["assignment"])
            body = {"reason": "unclear"}
            if path.endswith("/judgment"):
                body = {"idempotency_key": "x" * 20, "scores": {}, "safety": {}}  # type: ignore[dict-item]
            if path.endswith("/say"):
                body = {"text": "x", "key": "x" * 20}
            answer = client.request(method, where, headers=mine, json=body)
            assert answer.status_code == 404, (method, path, answer.status_code, answer.text)


def test_an_owner_is_no_rater(client: TestClient, database: Database) -> None:
    study(database)
    with database.writing() as session:
        secret = new_link(session, add_owner(session, "o", password=None), at_ms=now_ms())
    answer = client.post(f"/owner/link/{secret}")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert client.get("/judge").status_code == 401
    assert client.post(f"/owner/link/{secret}").status_code == 410  # once only


def test_cookies_are_bound_to_https_where_there_is_https(
    database: Database, tmp_path: Path
) -> None:
    app = create_app(database, WebSettings("https://study.example", tmp_path))
    with database.writing() as session:
        secret = new_link(session, add_owner(session, "o", password=None), at_ms=now_ms())
    client = TestClient(app, base_url="https://study.example", follow_redirects=False)
    cookie = client.post(f"/owner/link/{secret}").headers["set-cookie"]
    assert cookie.startswith("__Host-qingting=") and "Secure" in cookie
    assert "max-age" in client.get("/owner").headers["strict-transport-security"]


def test_changes_by_cookie_need_the_sessions_token(client: TestClient, database: Database) -> None:
    campaign_id, _ = study(database)
    client.post(f"/j/{rater_client(client, database, campaign_id)}")
    for method, path in routes(client):
        if method == "GET" or (method, path) in OPEN_TO_ALL or "/owner" in path:
            continue
        answer = client.request(method, filled(path))
        assert answer.status_code == 403, (method, path, answer.status_code)


def test_an_owners_changes_by_cookie_need_the_sessions_token(
    client: TestClient, database: Database
) -> None:
    _, public_id = study(database)
    with database.writing() as session:
        secret = new_link(session, add_owner(session, "o", password=None), at_ms=now_ms())
    assert client.post(f"/owner/link/{secret}").status_code == 303
    changes = [
        (method, path)
        for method, path in routes(client)
        if method != "GET" and "/owner" in path and (method, path) not in OPEN_TO_ALL
    ]
    assert len(changes) >= 15
    for method, path in changes:
        answer = client.request(method, filled(path, public_id=public_id), json={})
        assert answer.status_code == 403, (method, path, answer.status_code)


def test_too_many_wrong_links_are_slowed_and_right_ones_do_not_count(
    database: Database, tmp_path: Path
) -> None:
    campaign_id, _ = study(database)
    settings = WebSettings("http://testserver", tmp_path, wrong_sign_ins_per_minute=3)
    client = TestClient(create_app(database, settings), follow_redirects=False)
    for _ in range(5):
        secret = rater_client(client, database, campaign_id)
        assert client.post(f"/j/{secret}").status_code == 303
    codes = [client.get(f"/j/{'0' * 43}").status_code for _ in range(5)]
    assert codes == [404, 404, 404, 429, 429]


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/sessions", content=b"x" * (2 << 20))
    assert answer.status_code == 413


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nothing_that_the_openapi_document_allows_breaks_the_server(
    client: TestClient, database: Database
) -> None:
    campaign_id, _ = study(database)
    rating = signed_in(client, rater_client(client, database, campaign_id))
    owning = owner_headers(client, database)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", client.app)
    n_called = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        from hypothesis import HealthCheck, Phase, given, settings

        @given(case=operation.as_strategy())
        @settings(
            max_examples=15,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def call(case: schemathesis.Case) -> None:
            nonlocal n_called
            n_called += 1
            if case.method == "DELETE":
                return  # would end the session under test
            answer = case.call(headers=owning if "/owner/" in case.path else rating)
            assert answer.status_code < 500, (case.method, case.path, answer.text)

        call()
    assert n_called > 60


def test_a_new_made_up_session_for_every_request_is_slowed_by_address(
    database: Database, tmp_path: Path
) -> None:
    settings = WebSettings(
        "http://testserver", tmp_path, requests_per_minute=3, raters_per_address=2
    )
    client = TestClient(create_app(database, settings), follow_redirects=False)
    codes = [
        client.get("/api/v1/me", headers={"authorization": f"Bearer {n}"}).status_code
        for n in range(8)
    ]
    assert codes == [401] * 6 + [429] * 2


def test_a_body_that_does_not_state_its_length_is_bounded_too(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * (1 << 16)

    answer = client.post("/api/v1/sessions", content=pieces())
    assert answer.status_code == 413


def test_nothing_but_the_consent_text_is_shown_before_consent(
    client: TestClient, database: Database
) -> None:
    with database.writing() as session:
        campaign = new_study(session).campaign
        made = invite(session, campaign, Guest("lay", "zh"), days=3650, at_ms=AT_MS, actor="test")
    headers = signed_in(client, made.secret)
    assert client.get("/api/v1/rubric", headers=headers).status_code == 403
    assert client.post("/api/v1/next", headers=headers).status_code == 403
    assert client.get("/api/v1/texts/consent", headers=headers).status_code == 200
