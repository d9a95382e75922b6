"""Live conversations: nothing said is lost, and no answer tells by its timing who gave it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from qingting.domains.judging_pack import load_judging_pack
from qingting.judging.campaigns import change_state, create_campaign
from qingting.judging.people import Guest, accept, consent, invite
from qingting.judging.tokens import now_ms
from qingting.spec.judging import CampaignSpec
from qingting.store.database import Database
from qingting.store.judging_tables import Arm, Assignment, Conversation, Judgment, Unit
from qingting.web.app import create_app
from qingting.web.settings import WebSettings
from unit.judging.sample_pack import AT_MS, full_form, new_database

DELAY_S = 1.2
ARMS = {"swift-tuned-1": 0.0, "slow-base-2": 0.25}
"""How long each arm thinks, in seconds; both less than the delay."""


class Models:
    """OpenAI-compatible servers of all arms behind one transport."""

    def __init__(self) -> None:
        self.thinks_s = dict(ARMS)
        self.fails: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.words = "我是通义千问，我听见你说的了。慢慢来。"

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/models"):
            return httpx.Response(200, json={"data": [{"id": name} for name in self.thinks_s]})
        body = json.loads(request.content)
        self.asked.append(body)
        await asyncio.sleep(self.thinks_s[body["model"]])
        if body["model"] in self.fails:
            return httpx.Response(400, json={"error": {"message": "out of order"}})
        message = {"role": "assistant", "content": self.words}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return httpx.Response(200, json={"model": body["model"], "choices": [choice], "usage": {}})


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(tmp_path)


def served(database: Database, models: Models, **changes: Any) -> TestClient:
    settings = WebSettings("http://testserver", Path("."), requests_per_minute=10_000, **changes)
    transport = httpx.MockTransport(models)
    return TestClient(create_app(database, settings, transport=transport), follow_redirects=True)


@pytest.fixture
def client(database: Database, models: Models) -> Iterator[TestClient]:
    with served(database, models) as client:
        yield client


def new_live_study(database: Database, **changes: Any) -> int:
    spec = CampaignSpec.model_validate(
        {
            "mode": "conversation",
            "languages": ("zh",),
            "scenarios": {"n": 4, "kinds": ("counselling",)},
            "conversation": {
                "source": "live",
                "min_turns": 1,
                "max_turns": 2,
                "delay_s": DELAY_S,
                "characters_per_s": 5000,
                **changes,
            },
            "quality": {
                "share_calibration": 0.0,
                "share_repeats": 0.0,
                "share_attention": 0.0,
                "n_training": 0,
            },
        }
    )
    endpoints = {name: {"base_url": "http://arms/v1", "model": name} for name in ARMS}
    pack = load_judging_pack()
    with database.writing() as session:
        made = create_campaign(
            session, spec, pack, (), at_ms=AT_MS, actor="test", endpoints=endpoints
        )
        change_state(session, made.campaign, "open", at_ms=AT_MS, actor="test")
        return made.campaign.id


def rater(database: Database, campaign_id: int) -> dict[str, str]:
    """Return the headers of a rater who has consented."""
    from qingting.store.judging_tables import Campaign

    with database.writing() as session:
        campaign = session.get_one(Campaign, campaign_id)
        made = invite(
            session, campaign, Guest("licensed", "zh"), days=9, at_ms=now_ms(), actor="test"
        )
        signed = accept(session, made.secret, at_ms=now_ms())
        consent(session, campaign, signed.rater, version=campaign.consent_version, at_ms=now_ms())
        return {"authorization": f"Bearer {signed.secret}"}


def next_task(client: TestClient, headers: dict[str, str]) -> dict[str, Any]:
    task: dict[str, Any] = client.post("/api/v1/next", headers=headers).json()["task"]
    return task


def say(client: TestClient, headers: dict[str, str], name: str, text: str, **more: Any) -> Any:
    body = {"text": text, "key": more.get("key", f"{text}-{time.monotonic_ns()}"[:64])}
    return client.post(f"/api/v1/assignments/{name}/say", json=body, headers=headers)


def reply(client: TestClient, headers: dict[str, str], name: str, **more: str) -> str:
    return client.get(f"/api/v1/assignments/{name}/reply", headers=headers | more).text


def words_in(stream: str) -> str:
    return "".join(
        json.loads(line.removeprefix("data: ")).get("text", "")
        for line in stream.splitlines()
        if line.startswith("data: ")
    )


def arm_of(database: Database, assignment: str) -> str:
    with database.reading() as session:
        return str(
            session.scalar(
                select(Arm.name)
                .join(Unit, Unit.arm_id == Arm.id)
                .join(Assignment, Assignment.unit_id == Unit.id)
                .where(Assignment.public_id == assignment)
            )
        )


def turns_of(database: Database, assignment: str) -> list[dict[str, Any]]:
    with database.reading() as session:
        found = session.scalar(
            select(Conversation)
            .join(Assignment, Assignment.id == Conversation.assignment_id)
            .where(Assignment.public_id == assignment)
        )
        return list(found.turns) if found else []


def test_a_rater_talks_and_judges(client: TestClient, database: Database, models: Models) -> None:
    headers = rater(database, new_live_study(database))
    task = next_task(client, headers)
    name = task["assignment"]
    assert task["is_live"] and task["turns"] == [] and task["talk"]["n_turns_left"] == 2
    assert task["talk"]["opening"] and task["talk"]["part"]["facts"]
    judged = client.post(
        f"/api/v1/assignments/{name}/judgment",
        json=full_form() | {"idempotency_key": "before-a-word"},
        headers=headers,
    )
    assert judged.json()["error"]["code"] == "conversation_short"
    answer = say(client, headers, name, "我睡不着。")
    assert answer.status_code == 202 and answer.json()["talk"]["is_waiting"]
    early = say(client, headers, name, "还在吗？")
    assert early.json()["error"]["code"] == "conversation_waits"
    stream = reply(client, headers, name)
    assert words_in(stream) == "我是〔某模型〕，我听见你说的了。慢慢来。"
    assert stream.rstrip().endswith("event: done\ndata: {}")
    seen = client.get(f"/api/v1/assignments/{name}", headers=headers).json()
    assert [turn["role"] for turn in seen["turns"]] == ["user", "assistant"]
    assert "千问" not in json.dumps(seen, ensure_ascii=False) and seen["talk"]["may_judge"]
    say(client, headers, name, "谢谢。")
    reply(client, headers, name)
    over = say(client, headers, name, "再说一句。")
    assert over.json()["error"]["code"] == "conversation_over"
    judged = client.post(
        f"/api/v1/assignments/{name}/judgment",
        json=full_form() | {"idempotency_key": "after-two-turns"},
        headers=headers,
    )
    assert judged.status_code == 201
    # the arm heard the whole conversation, and what every arm is told first
    heard = models.asked[-1]["messages"]
    assert [one["role"] for one in heard] == ["system", "user", "assistant", "user"]
    assert heard[2]["content"] == models.words


def test_answers_of_fast_and_slow_arms_begin_after_the_same_delay(
    client: TestClient, database: Database
) -> None:
    campaign = new_live_study(database)
    began: dict[str, float] = {}
    for _ in range(8):
        headers = rater(database, campaign)
        name = next_task(client, headers)["assignment"]
        started = time.monotonic()
        assert say(client, headers, name, "你好。").status_code == 202
        reply(client, headers, name)
        arm = arm_of(database, name)
        began.setdefault(arm, time.monotonic() - started)
        question, answer = turns_of(database, name)
        assert answer["ready_ms"] - question["asked_ms"] == DELAY_S * 1000
        assert answer["n_late"] == 0
        if len(began) == 2:
            break
    assert set(began) == set(ARMS)
    assert all(seconds >= DELAY_S for seconds in began.values())


def test_an_answer_that_is_late_waits_for_the_next_multiple_of_the_delay(
    client: TestClient, database: Database, models: Models
) -> None:
    models.thinks_s = dict.fromkeys(ARMS, DELAY_S + 0.2)
    headers = rater(database, new_live_study(database))
    name = next_task(client, headers)["assignment"]
    say(client, headers, name, "你好。")
    assert words_in(reply(client, headers, name))
    question, answer = turns_of(database, name)
    assert answer["ready_ms"] - question["asked_ms"] == 2 * DELAY_S * 1000
    assert answer["n_late"] == 1


def test_words_appear_at_the_pace_and_a_lost_connection_goes_on_where_it_was(
    client: TestClient, database: Database
) -> None:
    headers = rater(database, new_live_study(database, characters_per_s=40))
    name = next_task(client, headers)["assignment"]
    say(client, headers, name, "你好。")
    stream = reply(client, headers, name)
    pieces = re.findall(r"^id: (\d+)$", stream, re.M)
    assert len(pieces) > 2  # 22 characters at 40 a second are more than one piece
    rest = reply(client, headers, name, **{"last-event-id": pieces[0]})
    assert words_in(stream)[int(pieces[0]) :] == words_in(rest)


def test_an_arm_that_fails_loses_nothing_and_can_be_asked_again(
    client: TestClient, database: Database, models: Models
) -> None:
    models.fails = set(ARMS)
    headers = rater(database, new_live_study(database))
    name = next_task(client, headers)["assignment"]
    say(client, headers, name, "有人在吗？")
    stream = reply(client, headers, name)
    assert "event: silent" in stream and "out of order" not in stream
    seen = client.get(f"/api/v1/assignments/{name}", headers=headers).json()
    assert seen["talk"]["is_silent"] and seen["turns"][0]["content"] == "有人在吗？"
    models.fails = set()
    again = client.post(f"/api/v1/assignments/{name}/ask-again", headers=headers)
    assert again.status_code == 202 and again.json()["talk"]["is_waiting"]
    assert words_in(reply(client, headers, name))


def test_a_question_that_a_stopped_server_left_open_is_asked_by_the_next_one(
    database: Database, models: Models
) -> None:
    models.thinks_s = dict.fromkeys(ARMS, 30.0)
    headers = rater(database, new_live_study(database))
    with served(database, models) as client:
        name = next_task(client, headers)["assignment"]
        say(client, headers, name, "你好。")
    assert [turn["role"] for turn in turns_of(database, name)] == ["user"]
    models.thinks_s = dict(ARMS)
    with served(database, models) as client:
        assert words_in(reply(client, headers, name))
    assert len(turns_of(database, name)) == 2


def test_too_many_conversations_are_refused_before_anything_is_written(
    database: Database, models: Models
) -> None:
    models.thinks_s = dict.fromkeys(ARMS, 20.0)
    campaign = new_live_study(database)
    first, second = rater(database, campaign), rater(database, campaign)
    with served(database, models, max_conversations=1) as client:
        say(client, first, next_task(client, first)["assignment"], "你好。")
        name = next_task(client, second)["assignment"]
        refused = say(client, second, name, "你好，我是第二位。")
        assert refused.status_code == 503
        assert "您写的话还在" in refused.json()["error"]["message"]
        assert turns_of(database, name) == []


def test_saying_it_twice_says_it_once(client: TestClient, database: Database) -> None:
    headers = rater(database, new_live_study(database))
    name = next_task(client, headers)["assignment"]
    for _ in range(2):
        assert say(client, headers, name, "你好。", key="one-key-for-both").status_code == 202
    reply(client, headers, name)
    assert say(client, headers, name, "你好。", key="one-key-for-both").status_code == 202
    assert [turn["role"] for turn in turns_of(database, name)] == ["user", "assistant"]


def test_another_raters_conversation_is_unknown(client: TestClient, database: Database) -> None:
    campaign = new_live_study(database)
    mine, other = rater(database, campaign), rater(database, campaign)
    name = next_task(client, other)["assignment"]
    for method, path in (("POST", "say"), ("POST", "ask-again"), ("GET", "reply"), ("GET", "")):
        answer = client.request(
            method,
            f"/api/v1/assignments/{name}/{path}".rstrip("/"),
            json={"text": "x", "key": "k" * 8} if path == "say" else None,
            headers=mine,
        )
        assert answer.status_code == 404, (method, path)


def test_a_rater_who_withdraws_in_the_middle_leaves_nothing(
    client: TestClient, database: Database, models: Models
) -> None:
    models.thinks_s = dict.fromkeys(ARMS, 0.3)
    headers = rater(database, new_live_study(database))
    name = next_task(client, headers)["assignment"]
    say(client, headers, name, "你好。")
    assert client.delete("/api/v1/me", headers=headers).status_code == 200
    time.sleep(0.5)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Conversation)) == 0


# -- pages ---------------------------------------------------------------------------------------


def field(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, html
    return found[1]


def test_the_pages_work_without_scripts(client: TestClient, database: Database) -> None:
    headers = rater(database, new_live_study(database))
    client.cookies.set("qingting", headers["authorization"].removeprefix("Bearer "))
    html = client.get("/judge").text
    opening = re.search(r"<textarea id=\"say\"[^>]*>([^<]+)</textarea>", html)
    assert opening and "您扮演的来访者" in html and 'class="judgment"' not in html
    where = re.search(r'action="(/judge/a/\w+)/say"', html)
    assert where
    form = {"csrf": field(html, "csrf"), "key": field(html, "key"), "say": " "}
    assert "请先写一句话" in client.post(f"{where[1]}/say", data=form).text
    long = client.post(f"{where[1]}/say", data=form | {"say": "长" * 2001})
    assert long.status_code == 422 and "最多 2000 个字" in long.text and "长长长" in long.text
    html = client.post(f"{where[1]}/say", data=form | {"say": opening[1]}).text
    assert "对方正在输入" in html and f'url={where[1]}/look"' in html
    deadline = time.monotonic() + 10
    while "对方正在输入" in html and time.monotonic() < deadline:
        time.sleep(0.2)
        html = client.get(f"{where[1]}/look").text
    assert "我是〔某模型〕" in html and "结束对话，去评价" in html
    html = client.get(f"{where[1]}?ready=1&judge=1").text
    assert 'class="judgment"' in html and "先不评，再聊几句" in html
    said = {name: field(html, name) for name in ("csrf", "key", "shown_ms")}
    said |= {f"scores.{name}": "3" for name in re.findall(r'id="f-scores\.(\w+)"', html)}
    client.post(where[1], data=said | {"safety.answer": "pass"})
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Judgment)) == 1


def test_a_snapshot_holds_what_was_said_scrubbed(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    from qingting.judging.snapshot import freeze, read_snapshot

    campaign = new_live_study(database)
    headers = rater(database, campaign)
    name = next_task(client, headers)["assignment"]
    say(client, headers, name, "我的电话是13912345678。")
    reply(client, headers, name)
    client.post(
        f"/api/v1/assignments/{name}/judgment",
        json=full_form() | {"idempotency_key": "one-judgment"},
        headers=headers,
    )
    frozen = freeze(database, campaign, into=tmp_path / "s", at_ms=now_ms(), actor="test")
    data = read_snapshot(frozen.folder)
    (talk,) = data.conversations
    assert talk["judgment"] == 1 and talk["arm"] == arm_of(database, name)
    assert talk["turns"][0]["content"] == "我的电话是[phone]。"
    assert talk["n_masked"] == 1 and data.study["n_masked"][talk["arm"]] == 1
    shown = "我是〔某模型〕，我听见你说的了。慢慢来。"
    assert [one["characters"] for one in data.judgments[0]["form"]] == [len(shown)]


def test_who_claims_to_have_read_an_answer_learns_nothing_of_when_it_came(
    client: TestClient, database: Database
) -> None:
    headers = rater(database, new_live_study(database))
    name = next_task(client, headers)["assignment"]
    started = time.monotonic()
    say(client, headers, name, "你好。")
    time.sleep(DELAY_S / 2)  # the answer is stored by now
    stream = reply(client, headers, name, **{"last-event-id": "9999999"})
    assert time.monotonic() - started >= DELAY_S
    assert "event: done" in stream


def test_nobody_judges_what_nobody_saw(client: TestClient, database: Database) -> None:
    headers = rater(database, new_live_study(database, characters_per_s=5))
    name = next_task(client, headers)["assignment"]
    say(client, headers, name, "你好。")
    time.sleep(DELAY_S / 2)
    form = full_form() | {"idempotency_key": "too-early-for-it"}
    early = client.post(f"/api/v1/assignments/{name}/judgment", json=form, headers=headers)
    assert early.json()["error"]["code"] == "conversation_waits"


def test_withdrawing_marks_the_snapshots_on_disk(
    client: TestClient, database: Database, tmp_path: Path
) -> None:
    from qingting.core.errors import DataError
    from qingting.judging.snapshot import freeze, read_snapshot

    campaign = new_live_study(database)
    judging, talking = rater(database, campaign), rater(database, campaign)
    for headers in (judging, talking):
        name = next_task(client, headers)["assignment"]
        say(client, headers, name, "你好。")
        reply(client, headers, name)
        if headers is judging:
            form = full_form() | {"idempotency_key": "one-judgment"}
            client.post(f"/api/v1/assignments/{name}/judgment", json=form, headers=headers)
    frozen = freeze(database, campaign, into=tmp_path / "s", at_ms=now_ms(), actor="test")
    assert len(read_snapshot(frozen.folder).conversations) == 2
    # who has talked and judged nothing is held too
    assert client.delete("/api/v1/me", headers=talking).status_code == 200
    with pytest.raises(DataError, match="superseded"):
        read_snapshot(frozen.folder)
