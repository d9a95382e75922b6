"""The question whether a rater recognises the model: late, alike for all, optional, kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from qingting.judging.guessing import FAMILIES
from qingting.judging.snapshot import freeze, read_snapshot
from qingting.judging.snapshot_tables import flat_row
from qingting.store.database import Database
from qingting.store.judging_tables import Assignment, Judgment
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.sample_pack import AT_MS, full_form, new_database, pair_form
from unit.web.test_rater_pages import address, enter, filled, hidden, invited, past_warnings

QUALITY = {
    "share_calibration": 0.15,
    "share_repeats": 0.0,
    "share_attention": 0.15,
    "share_guess": 0.4,
    "n_training": 1,
}
NEVER = {"share_calibration": 0.0, "share_repeats": 0.0, "share_attention": 0.0, "n_training": 0,
         "share_guess": 0.0}  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> TestClient:
    settings = WebSettings("http://testserver", tmp_path / "snapshots", requests_per_minute=10_000)
    return TestClient(create_app(database, settings), follow_redirects=True)


def signed_in(client: TestClient, database: Database, **changes: Any) -> None:
    """Become a rater of a new study by the API."""
    secret = invited(database, **changes)
    session = client.post("/api/v1/sessions", json={"invitation": secret}).json()["session"]
    client.headers["authorization"] = f"Bearer {session}"
    client.cookies.clear()
    client.post("/api/v1/consent", json={"version": "1"})


def judge_all(client: TestClient, say: Any) -> list[tuple[dict[str, Any], Any]]:
    """Judge everything with ``say(task)``; return each task and the answer to its judgment."""
    done = []
    while (task := client.post("/api/v1/next").json()["task"]) is not None:
        body = say(task) | {"idempotency_key": task["assignment"]}
        answer = client.post(f"/api/v1/assignments/{task['assignment']}/judgment", json=body)
        assert answer.status_code == 201, answer.text
        done.append((task, answer))
    return done


def test_the_question_comes_with_the_last_of_a_raters_share_and_with_checks_too(
    client: TestClient, database: Database
) -> None:
    signed_in(client, database, n_scenarios=8, quality=QUALITY, raters_per_unit=1, n_raters=1)
    done = judge_all(client, lambda task: full_form(3))
    asked = [task["asks_guess"] for task, _ in done]
    # 16 units, and checks of 30 % among all: 16 / 0.7 = 23 planned, of which 40 % are 10; after one
    # practice answer the question begins with the place 1 + 23 − 10 = 14
    assert asked == [place >= 14 for place in range(len(asked))]
    assert any(asked)
    with database.reading() as session:
        rows = session.execute(
            select(Assignment.role, Assignment.sequence, Judgment.guess).join(
                Judgment, Judgment.assignment_id == Assignment.id
            )
        ).all()
    assert {role for role, _, guess in rows if guess is not None} >= {"main", "calibration"}
    for _, sequence, guess in rows:  # asked and not answered is not the same as not asked
        assert guess == ({} if sequence >= 14 else None)


def test_a_guess_is_kept_and_frozen_and_stands_in_the_flat_table(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    signed_in(
        client, database, mode="pair", n_scenarios=4, raters_per_unit=1, n_raters=1,
        quality=QUALITY | {"n_training": 0},
    )  # fmt: skip
    guess = {"left": "qwen", "right": "no_idea"}
    judge_all(client, lambda task: pair_form() | ({"guess": guess} if task["asks_guess"] else {}))
    frozen = freeze(database, 1, into=tmp_path / "snapshots", at_ms=AT_MS, actor="test")
    rows = read_snapshot(frozen.folder).judgments
    said = [one["guess"] for one in rows]
    assert guess in said and None in said
    flat = flat_row(next(one for one in rows if one["guess"]))
    assert (flat["guess_left"], flat["guess_right"], flat["guess_answer"]) == (
        "qwen",
        "no_idea",
        None,
    )
    assert "guess" in (frozen.folder / "DICTIONARY.md").read_text(encoding="utf-8")


def test_a_study_that_says_so_never_asks_and_takes_no_guess(
    client: TestClient, database: Database
) -> None:
    signed_in(client, database, quality=NEVER)
    task = client.post("/api/v1/next").json()["task"]
    assert task["asks_guess"] is False
    body = full_form(3) | {"idempotency_key": task["assignment"], "guess": {"answer": "qwen"}}
    refused = client.post(f"/api/v1/assignments/{task['assignment']}/judgment", json=body)
    assert refused.status_code == 422
    assert "guess.answer" in refused.text


def test_a_family_that_is_not_on_the_list_is_refused_by_name(
    client: TestClient, database: Database
) -> None:
    signed_in(
        client, database, raters_per_unit=1, n_raters=1, n_scenarios=2,
        quality=NEVER | {"share_guess": 0.49},
    )  # fmt: skip
    for _ in range(4):
        task = client.post("/api/v1/next").json()["task"]
        body = full_form(3) | {"idempotency_key": task["assignment"]}
        place = f"/api/v1/assignments/{task['assignment']}/judgment"
        if task["asks_guess"]:
            refused = client.post(place, json=body | {"guess": {"answer": "my own arm"}})
            assert refused.status_code == 422 and "my own arm" in refused.text
            refused = client.post(place, json=body | {"guess": {"left": "qwen"}})
            assert refused.status_code == 422
            break
        client.post(place, json=body)
    else:
        raise AssertionError("the question never came")


def test_the_list_is_the_same_in_every_study(client: TestClient, database: Database) -> None:
    signed_in(client, database)
    found = client.get("/api/v1/families").json()
    assert list(found) == list(FAMILIES)
    assert found["no_idea"] == {"zh": "没有认出来", "en": "I do not recognise it"}


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_the_page_asks_and_shows_again_what_was_guessed(
    client: TestClient, database: Database, mode: str
) -> None:
    quality = NEVER | {"share_guess": 0.49}
    html = enter(
        client,
        invited(database, mode=mode, n_scenarios=4, quality=quality, raters_per_unit=1, n_raters=1),
    )
    sides = ("left", "right") if mode == "pair" else ("answer",)
    for _ in range(12):
        html = past_warnings(client, html)
        form = filled(html, point="left" if mode == "pair" else "4")
        if mode == "pair":
            del form["safety.answer"]
            form |= {f"safety.{side}": "pass" for side in sides}
        if "您认出是哪个模型写的了吗" in html:
            break
        assert 'name="guess.' not in html
        html = client.post(address(html), data=form).text
    else:
        raise AssertionError("the question never came")
    for side in sides:
        assert re.findall(rf'name="guess.{side}" value="(\w+)"', html) == list(FAMILIES)
    form |= {f"guess.{side}": "llama" for side in sides}
    client.post(address(html), data=form)
    with database.reading() as session:
        assert dict.fromkeys(sides, "llama") in session.scalars(select(Judgment.guess)).all()
    csrf = hidden(client.get("/judge/progress").text, "csrf")
    again = client.post("/judge/undo", data={"csrf": csrf}).text
    for side in sides:
        assert re.search(rf'name="guess.{side}" value="llama" checked', again)
