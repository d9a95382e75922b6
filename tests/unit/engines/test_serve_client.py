"""The client: retries, streams, clear errors, and proof of which model answers."""

import asyncio
import pickle

import httpx
import orjson
import pytest

from qingting.core.dialogue import Message
from qingting.core.errors import SpecificationError
from qingting.engines.event_stream import EventLines
from qingting.engines.openai_compatible import ChatEndpoint, EndpointError

ASKED = [Message("user", "我昨天和妈妈吵了一架，心里很难受。")]


class Endpoint:
    """A scripted endpoint: what stands in ``answers`` comes back in turn, the last one again."""

    def __init__(self, *answers, models=("counsellor",)):
        self.answers = list(answers)
        self.models = models
        self.asked = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            if self.models is None:
                return httpx.Response(404)
            return httpx.Response(200, json={"data": [{"id": name} for name in self.models]})
        self.asked.append(orjson.loads(request.content))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **settings) -> ChatEndpoint:
        self.slept = []
        return ChatEndpoint(
            "http://there/v1/",
            "counsellor",
            transport=httpx.MockTransport(self),
            sleep=self.slept.append,
            **settings,
        )


def reply(words="我在听。", model="counsellor"):
    choice = {"message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    return httpx.Response(200, json={"model": model, "choices": [choice], "usage": usage})


def refusal(status, message="no", **headers):
    return httpx.Response(status, json={"error": {"message": message}}, headers=headers)


def events(*records, done=True):
    body = b"".join(b"data: " + orjson.dumps(r) + b"\n\n" for r in records)
    return httpx.Response(200, content=body + (b"data: [DONE]\n\n" if done else b""))


def delta(words, model="counsellor"):
    return {"model": model, "choices": [{"delta": {"content": words}}]}


def test_an_answer_comes_with_what_was_asked_for():
    endpoint = Endpoint(reply())
    assert endpoint.client().complete(ASKED, max_tokens=20, temperature=0.5, seed=3) == "我在听。"
    assert endpoint.asked == [
        {
            "model": "counsellor",
            "messages": [{"role": "user", "content": ASKED[0].content}],
            "max_tokens": 20,
            "temperature": 0.5,
            "seed": 3,
        }
    ]
    assert endpoint.client().reply(ASKED, max_tokens=20)[1:] == ("stop", 9, 4)


@pytest.mark.parametrize(
    "address", ["localhost:8000/v1", "ftp://x/v1", "http:///v1", "http://x:port/v1", ""]
)
def test_what_is_no_address_is_refused_at_once(address):
    with pytest.raises(SpecificationError, match="address"):
        ChatEndpoint(address, "m")


def test_the_key_is_sent_and_shown_nowhere():
    seen = []

    def handler(request):
        seen.append(request.headers["authorization"])
        return refusal(401, "key sk-secret is wrong")

    client = ChatEndpoint(
        "http://there/v1", "m", api_key="sk-secret", transport=httpx.MockTransport(handler)
    )
    with pytest.raises(EndpointError, match="HTTP 401; check the API key") as caught:
        client.complete(ASKED, max_tokens=5)
    assert seen == ["Bearer sk-secret"]
    assert "sk-secret" not in str(caught.value)
    client.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status):
    endpoint = Endpoint(refusal(status), httpx.ConnectError("x"), reply())
    assert endpoint.client().complete(ASKED, max_tokens=5) == "我在听。"
    assert len(endpoint.asked) == 3
    assert 0.25 <= endpoint.slept[0] <= 0.5 <= endpoint.slept[1] <= 1.0


def test_the_wait_that_the_endpoint_asks_for_is_kept():
    endpoint = Endpoint(refusal(429, **{"Retry-After": "7"}), reply())
    endpoint.client().complete(ASKED, max_tokens=5)
    assert endpoint.slept == [7.0]


def test_what_will_not_pass_is_not_tried_again():
    endpoint = Endpoint(refusal(400, "max_tokens: too many"))
    with pytest.raises(EndpointError, match=r"HTTP 400; max_tokens: too many$") as caught:
        endpoint.client().complete(ASKED, max_tokens=5)
    assert len(endpoint.asked) == 1
    assert caught.value.status == 400


def test_it_gives_up_after_its_retries_with_one_line():
    endpoint = Endpoint(httpx.ReadTimeout("x"))
    with pytest.raises(EndpointError, match=r"no answer within 5 s \(ReadTimeout\)") as caught:
        endpoint.client(n_retries=2, timeout_s=5).complete(ASKED, max_tokens=5)
    assert len(endpoint.asked) == 3
    assert "\n" not in str(caught.value)
    with pytest.raises(EndpointError, match=r"not reachable \(ConnectError\)"):
        Endpoint(httpx.ConnectError("x")).client(n_retries=0).complete(ASKED, max_tokens=5)


def test_an_error_that_repeats_the_dialogue_is_not_passed_on():
    endpoint = Endpoint(refusal(400, f"cannot tokenize {ASKED[0].content!r}"))
    with pytest.raises(EndpointError) as caught:
        endpoint.client().complete(ASKED, max_tokens=5)
    assert "妈妈" not in str(caught.value)


def test_a_model_that_is_not_there_is_named_before_anything_is_said():
    endpoint = Endpoint(reply(), models=("counselor", "other"))
    with pytest.raises(EndpointError, match=r"'counsellor' is not served.*mean 'counselor'"):
        endpoint.client().complete(ASKED, max_tokens=5)
    assert endpoint.asked == []


def test_an_answer_by_another_model_is_refused():
    with pytest.raises(EndpointError, match="answered by 'somebody'"):
        Endpoint(reply(model="somebody")).client().complete(ASKED, max_tokens=5)
    with pytest.raises(EndpointError, match="answered by 'somebody'"):
        list(Endpoint(events(delta("x", "somebody"))).client().stream(ASKED, max_tokens=5))


def test_a_dated_version_and_a_missing_list_are_accepted():
    endpoint = Endpoint(reply(model="counsellor-2026-01-31"), models=None)
    assert endpoint.client().complete(ASKED, max_tokens=5) == "我在听。"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"model": "counsellor", "choices": []}),
        reply(words=None),
    ],
)
def test_an_answer_that_is_none_is_an_error_and_no_empty_string(answer):
    with pytest.raises(EndpointError, match="OpenAI-compatible"):
        Endpoint(answer).client().complete(ASKED, max_tokens=5)


def test_a_stream_is_put_together_exactly_whatever_characters_it_holds():
    words = ["👩‍👩‍👧", "第一\u2028行\u0085二\x0b三", "\n\n", "é\ufffd"]
    endpoint = Endpoint(events(*map(delta, words), {"model": "counsellor", "choices": []}))
    assert list(endpoint.client().stream(ASKED, max_tokens=5)) == words
    assert endpoint.asked[0]["stream"] is True


def test_events_are_found_however_the_bytes_are_cut():
    body = (
        b': ping\r\nevent: x\r\ndata: {"a":1}\r\n\r\ndata:{"b":"\xe2\x80\xa8"}\n\ndata: [DONE]\n\n'
    )
    for size in range(1, len(body) + 1):
        lines = EventLines()
        chunks = [body[i : i + size] for i in range(0, len(body), size)]
        assert list(lines.events(chunks)) == [b'{"a":1}', b'{"b":"\xe2\x80\xa8"}']
        assert lines.is_done


def test_a_stream_that_breaks_off_is_an_error_and_never_the_end():
    with pytest.raises(EndpointError, match="broke off before its end"):
        list(Endpoint(events(delta("我"), done=False)).client().stream(ASKED, max_tokens=5))
    failing = events(delta("我"), {"error": {"code": "out_of_memory", "message": "m"}})
    with pytest.raises(EndpointError, match=r"broke off \(out_of_memory\)"):
        list(Endpoint(failing).client().stream(ASKED, max_tokens=5))


def test_a_stream_is_tried_again_until_words_have_come():
    class Breaking(httpx.SyncByteStream):
        def __iter__(self):
            yield b"data: " + orjson.dumps(delta("我")) + b"\n\n"
            raise httpx.ReadError("gone")

    endpoint = Endpoint(refusal(503), events(delta("我在")))
    assert list(endpoint.client().stream(ASKED, max_tokens=5)) == ["我在"]
    assert len(endpoint.asked) == 2
    endpoint = Endpoint(httpx.Response(200, stream=Breaking()))
    said = endpoint.client().stream(ASKED, max_tokens=5)
    assert next(said) == "我"
    with pytest.raises(EndpointError, match=r"broke off \(ReadError\)"):
        next(said)
    assert len(endpoint.asked) == 1


def test_the_asynchronous_calls_do_the_same():
    async def talk():
        endpoint = Endpoint(refusal(503, **{"Retry-After": "0"}), reply())
        client = endpoint.client()
        whole = await client.acomplete(ASKED, max_tokens=5)
        streaming = Endpoint(events(delta("我"), delta("在"))).client()
        pieces = [words async for words in streaming.astream(ASKED, max_tokens=5)]
        await client.aclose()
        await streaming.aclose()
        with pytest.raises(EndpointError, match="is not served"):
            await Endpoint(reply(), models=("x",)).client().acomplete(ASKED, max_tokens=5)
        return whole, pieces

    assert asyncio.run(talk()) == ("我在听。", ["我", "在"])


def test_errors_can_travel_between_processes():
    error = pickle.loads(pickle.dumps(EndpointError("no", 503)))
    assert (str(error), error.status) == ("no", 503)
