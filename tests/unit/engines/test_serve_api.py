"""The API before there is a model, and where something is wrong with the server itself."""

import asyncio
import json

import httpx
import pytest

from qingting.engines.native.server_api import create_app
from qingting.engines.native.server_service import Service
from qingting.engines.serving_protocol import Limits

ASKED = {"model": "m", "messages": [{"role": "user", "content": "what somebody said"}]}


class BrokenService(Service):
    """A server with a bug whose message quotes its client."""

    def require(self):
        raise RuntimeError("what somebody said")


def service(kind=Service, state="loading"):
    made = kind("m", Limits(), instance="i", api_key=None)
    made.state = state
    return made


def no_mailbox():
    raise AssertionError("nothing is answered here")


def ask(served, method, path, **content):
    async def once():
        transport = httpx.ASGITransport(create_app(served, no_mailbox), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **content)

    return asyncio.run(once())


@pytest.mark.parametrize(
    ("state", "code"),
    [("loading", "model_not_ready"), ("failed", "model_not_ready"), ("ending", "shutting_down")],
)
def test_without_a_model_everything_says_so_with_503(state, code):
    for method, path, content in (
        ("GET", "/v1/models", {}),
        ("POST", "/v1/chat/completions", {"json": ASKED}),
        ("POST", "/v1/completions", {"json": {"model": "m", "prompt": "x"}}),
    ):
        answer = ask(service(state=state), method, path, **content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
        assert answer.headers["retry-after"] == "1"
    health = ask(service(state=state), "GET", "/health")
    assert (health.status_code, health.json()["status"]) == (503, state)


def test_a_malformed_request_is_refused_even_while_the_model_loads():
    answer = ask(service(), "POST", "/v1/chat/completions", json={**ASKED, "n": 2})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")


def test_a_bug_is_answered_in_form_and_quotes_nobody():
    answer = ask(service(BrokenService), "POST", "/v1/chat/completions", json=ASKED)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "somebody" not in answer.text


def test_nothing_is_described_to_visitors_that_loads_from_elsewhere():
    for path in ("/docs", "/redoc", "/openapi.json"):
        answer = ask(service(), "GET", path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_lengths_are_bounded_by_what_was_declared():
    answer = ask(
        service(),
        "POST",
        "/v1/chat/completions",
        content=json.dumps(ASKED),
        headers={"Content-Type": "application/json", "Content-Length": str(1 << 30)},
    )
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
