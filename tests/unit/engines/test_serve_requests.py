"""What a request may hold: refused by name, never left out silently."""

import json

import pytest

from qingting.engines.native.server_replies import AnswerRecord, event
from qingting.engines.native.server_requests import MAX_MESSAGES, ApiError, read_chat, read_text

TURN = {"role": "user", "content": "我睡不着"}


def chat(**fields):
    record = {"model": "m", "messages": [TURN], **fields}
    return read_chat(json.dumps({k: v for k, v in record.items() if v is not ...}).encode())


def problem(**fields):
    with pytest.raises(ApiError) as caught:
        chat(**fields)
    assert caught.value.status == 400
    assert "我睡不着" not in caught.value.message
    return caught.value


def test_what_nobody_said_is_as_the_api_defines_it():
    settings = chat().settings
    assert settings == ("m", 1.0, 1.0, None, None, (), False, False, 1.0)


def test_everything_offered_is_read():
    asked = chat(
        temperature=0,
        top_p=0.5,
        max_tokens=3,
        max_completion_tokens=7,
        seed=-1,
        stop="。",
        stream=True,
        stream_options={"include_usage": True},
        user="someone",
        n=1,
        tools=[],
        logprobs=False,
        response_format={"type": "text"},
        repetition_penalty=1.2,
    )
    assert asked.settings == ("m", 0.0, 0.5, 7, 2**63 - 1, ("。",), True, True, 1.2)


def test_words_may_come_in_parts_and_a_developer_is_the_system():
    parts = [{"type": "text", "text": "我"}, {"type": "text", "text": "睡不着"}]
    asked = chat(
        messages=[{"role": "developer", "content": "s"}, {"role": "user", "content": parts}]
    )
    assert asked.messages == (("system", "s"), ("user", "我睡不着"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": 2}, "n: this value is not supported here; only 1 is"),
        ({"n": True}, "n: this value is not supported here; only 1 is"),
        ({"tools": [{}]}, "tools: this value is not supported here; only [] is"),
        ({"logprobs": True}, "logprobs: this value is not supported here; only false is"),
        (
            {"presence_penalty": 0.5},
            "presence_penalty: this value is not supported here; only 0 is",
        ),
        ({"top_logprobs": 3}, "top_logprobs: this value is not supported here"),
        ({"tempreture": 1}, "tempreture: unknown field. Did you mean 'temperature'?"),
        ({"model": ...}, "model: this field is required"),
        ({"messages": ...}, "messages: this field is required"),
        ({"messages": []}, "messages: list should have at least 1 item after validation, not 0"),
        ({"messages": [TURN] * (MAX_MESSAGES + 1)}, "messages: list should have at most 256 items"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: input should be"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: this field is required"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content: input should be"),
        ({"messages": [TURN, {"role": "system", "content": "x"}]}, "messages: only the first"),
        ({"messages": [TURN, {"role": "assistant", "content": "x"}]}, "messages: the last message"),
        ({"temperature": 2.1}, "temperature: input should be less than or equal to 2"),
        ({"temperature": "warm"}, "temperature: input should be a valid number"),
        ({"top_p": 0}, "top_p: input should be greater than 0"),
        ({"max_tokens": 0}, "max_tokens: input should be greater than or equal to 1"),
        ({"max_tokens": 1.5}, "max_tokens: input should be a valid integer"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop: at most 4 stop strings; these are 5"),
        ({"stop": ""}, "stop: a stop string has 1 to 256 characters"),
        ({"stream_options": {"include_usage": True}}, "stream_options: only with stream: true"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    error = problem(**fields)
    assert error.message.startswith(message)
    assert "\n" not in error.message
    assert error.to_record()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"model": NaN}', b"[" * 5000, b"\xff\xfe", b'"\\ud800"'],
)
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(ApiError) as caught:
        read_chat(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_half_of_a_surrogate_pair_is_no_text():
    with pytest.raises(ApiError, match="not JSON"):
        read_chat(b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}]}')


def test_a_text_takes_one_prompt():
    read = read_text(b'{"model":"m","prompt":["a"],"echo":false,"best_of":1}')
    assert read.prompt == "a"
    with pytest.raises(ApiError, match="one prompt a request; this one holds 2"):
        read_text(b'{"model":"m","prompt":["a","b"]}')
    with pytest.raises(ApiError, match="echo: this value is not supported"):
        read_text(b'{"model":"m","prompt":"a","echo":true}')


def test_an_event_is_one_line_for_every_reader_of_lines():
    record = AnswerRecord("chat", model="m", fingerprint="f", n_prompt_tokens=1)
    words = "一\u2028二\u2029三\u0085四\r\n五"
    data = record.piece(words, None)
    assert len(data.decode().strip().splitlines()) == 1
    assert json.loads(data[6:])["choices"][0]["delta"] == {"content": words}
    assert event({"a": 1}) == b'data: {"a":1}\n\n'
