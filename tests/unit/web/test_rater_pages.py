"""A rater's way through the pages, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from qingting.judging.people import Guest, invite
from qingting.store.database import Database
from qingting.store.judging_tables import Judgment
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.sample_pack import AT_MS, CRITERIA, new_database, new_study, sample_pack


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> TestClient:
    app = create_app(database, WebSettings("http://testserver", tmp_path / "snapshots"))
    return TestClient(app, follow_redirects=True)


def invited(database: Database, *, language: str = "zh", **changes: object) -> str:
    with database.writing() as session:
        campaign = new_study(session, **changes).campaign  # type: ignore[arg-type]
        made = invite(
            session,
            campaign,
            Guest("licensed", language),  # type: ignore[arg-type]
            days=3650,
            at_ms=AT_MS,
            actor="test",
        )
        return made.secret


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, html
    return found[1]


def enter(client: TestClient, secret: str) -> str:
    """Go from the invitation to the first page of work; return that page."""
    assert "邀请" in client.get(f"/j/{secret}").text
    html = client.post(f"/j/{secret}").text
    assert "知情同意" in html
    answer = {
        "csrf": hidden(html, "csrf"),
        "version": hidden(html, "version"),
        "answer": "agree",
    }
    return client.post("/judge/consent", data=answer).text


def past_warnings(client: TestClient, html: str) -> str:
    while match := re.search(r'href="(/judge/a/\w+\?ready=1)"', html):
        html = client.get(match[1]).text
    return html


def filled(html: str, *, point: str = "4") -> dict[str, str]:
    form = {name: hidden(html, name) for name in ("csrf", "key", "shown_ms")}
    return form | {f"scores.{name}": point for name in CRITERIA} | {"safety.answer": "pass"}


def address(html: str) -> str:
    found = re.search(r'action="(/judge/a/\w+)" class="judgment"', html)
    assert found, html
    return found[1]


def test_from_the_invitation_to_the_last_judgment(client: TestClient, database: Database) -> None:
    html = past_warnings(client, enter(client, invited(database)))
    for n in range(12):
        assert f"已完成 {n} 条" in html
        html = past_warnings(client, client.post(address(html), data=filled(html)).text)
    assert "都评完了" in html
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Judgment)) == 12


def test_a_form_that_is_not_whole_comes_back_as_it_was_filled_in(
    client: TestClient, database: Database
) -> None:
    html = past_warnings(client, enter(client, invited(database)))
    form = filled(html)
    del form["scores.empathy"]
    form["comment"] = "<script>alert(1)</script>"
    back = client.post(address(html), data=form)
    assert back.status_code == 422
    assert "请为“empathy（中）”作出选择" in back.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in back.text
    assert re.search(r'name="scores.overall" value="4" checked', back.text)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Judgment)) == 0


def test_a_double_click_stores_one_judgment(client: TestClient, database: Database) -> None:
    html = past_warnings(client, enter(client, invited(database)))
    place, form = address(html), filled(html)
    client.post(place, data=form)
    again = client.post(place, data=form)
    assert again.status_code == 200
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Judgment)) == 1


def test_a_forged_form_changes_nothing(client: TestClient, database: Database) -> None:
    html = past_warnings(client, enter(client, invited(database)))
    form = filled(html) | {"csrf": "x" * 43}
    refused = client.post(address(html), data=form)
    assert refused.status_code == 403
    assert "没有保存" in refused.text
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Judgment)) == 0


def test_undo_shows_the_last_judgment_as_it_was_said(
    client: TestClient, database: Database
) -> None:
    html = past_warnings(client, enter(client, invited(database)))
    html = client.post(address(html), data=filled(html, point="2")).text
    csrf = hidden(html, "csrf")
    opened = client.post("/judge/undo", data={"csrf": csrf}).text
    assert re.search(r'name="scores.overall" value="2" checked', opened)


def test_training_comes_first_and_is_told_its_reference(
    client: TestClient, database: Database
) -> None:
    quality = {
        "share_calibration": 0.0,
        "share_repeats": 0.0,
        "share_attention": 0.0,
        "n_training": 2,
    }
    html = enter(client, invited(database, quality=quality))
    assert "评分说明" in html
    html = client.get("/judge?start=1").text
    for _ in range(2):
        feedback = client.post(address(html), data=filled(html)).text
        assert "参考评分" in feedback
        assert "因为……" in feedback
        html = past_warnings(client, client.get("/judge").text)
    assert "已完成 0 条" in html


def test_a_practice_conversation_is_read_whole_and_told_with_its_reasons(
    client: TestClient, database: Database
) -> None:
    quality = {
        "share_calibration": 0.0,
        "share_repeats": 0.0,
        "share_attention": 0.0,
        "n_training": 1,
    }
    pack = sample_pack(has_more_checks=True)
    secret = invited(database, mode="conversation", pack=pack, quality=quality)
    enter(client, secret)
    html = client.get("/judge?start=1").text
    assert "睡不着。" in html and "多久了？" in html
    feedback = client.post(address(html), data=filled(html)).text
    assert "睡不着。" in feedback and "多久了？" in feedback
    assert "missed_risk（中）" in feedback
    assert "因为没有问……" in feedback


def test_withdrawing_erases_and_ends_the_session(client: TestClient, database: Database) -> None:
    secret = invited(database)
    html = past_warnings(client, enter(client, secret))
    client.post(address(html), data=filled(html))
    csrf = hidden(client.get("/judge/withdraw").text, "csrf")
    assert "已经删除" in client.post("/judge/withdraw", data={"csrf": csrf}).text
    assert client.get("/judge").status_code == 401
    assert "已经退出" in client.post(f"/j/{secret}").text
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Judgment)) == 0


@pytest.mark.parametrize("path", ["/judge", "/judge/progress", "/judge/a/none", "/judge/help"])
def test_visitors_without_an_invitation_see_nothing(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


def test_every_answer_carries_a_strict_policy(client: TestClient) -> None:
    for path in ("/owner/sign-in", "/j/none", "/nowhere", "/static/app.css"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_pairs_are_trained_judged_and_told_side_by_side(
    client: TestClient, database: Database
) -> None:
    quality = {
        "share_calibration": 0.0,
        "share_repeats": 0.0,
        "share_attention": 0.0,
        "n_training": 1,
    }
    secret = invited(database, mode="pair", arms=("a", "b", "c"), quality=quality)
    enter(client, secret)
    html = client.get("/judge?start=1").text
    for place in (None, "main"):
        form = {name: hidden(html, name) for name in ("csrf", "key", "shown_ms")}
        form |= {f"scores.{name}": "left" for name in CRITERIA}
        form |= {"safety.left": "pass", "safety.right": "pass", "reasons": "warmer"}
        answer = client.post(address(html), data=form)
        assert answer.status_code == 200, answer.text
        if place is None:
            assert "参考评分" in answer.text and "左边更好" in answer.text
            assert answer.text.count("因为……") == 2
            html = past_warnings(client, client.get("/judge").text)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Judgment)) == 2
