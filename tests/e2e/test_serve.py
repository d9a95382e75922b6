"""A served model as its users meet it: the official client, bad input, streams to the byte."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from e2e.waiting import wait_for
from qingting.engines.openai_compatible import EndpointError
from qingting.engines.serving import serve
from qingting.engines.serving_protocol import Limits
from qingting.models.resolve import shipped_models

NAME = "qwen2.5-tiny"
ASKED = [{"role": "user", "content": "最近总是失眠，怎么办？"}]
CANARY = "只有来访者知道的一句话"
REMEMBERED = "别怕👩‍👩‍👧‍👦，我在这里🫂 ⁠𠮷野家的龘字：x̣，ﷺ，🏴󠁧󠁢󠁥󠁮󠁧󠁿。\n第二行\u2028完\u0085！"


@pytest.fixture(scope="module")
def served():
    limits = Limits(n_slots=4, n_waiting=4, max_new_tokens=600, max_body_bytes=20_000)
    with serve(
        shipped_models()[NAME], model=NAME, precision="fp32", limits=limits, api_key="key"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """A server of a model that never says a token that ends an answer: greedy answers are full."""
    from safetensors.torch import load_file, save_file

    from qingting.models.chat import ChatTemplate

    folder = tmp_path_factory.mktemp("models") / "endless"
    shutil.copytree(shipped_models()[NAME], folder)
    weights = load_file(folder / "model.safetensors")
    name = "lm_head.weight" if "lm_head.weight" in weights else "model.embed_tokens.weight"
    for token in ChatTemplate.load(folder).stop_ids:
        weights[name][token] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    limits = Limits(n_slots=4, n_waiting=4, max_new_tokens=3000)
    with serve(folder, precision="fp32", limits=limits) as running:
        yield running


class Endless:
    """Streams that last until they are closed; each has a slot."""

    def __init__(self, served, n):
        self.official = openai.OpenAI(base_url=served.base_url, api_key="any", max_retries=0)
        self.settings = {
            "model": "endless",
            "messages": ASKED,
            "temperature": 0,
            "max_tokens": 3000,
        }
        self.streams = [
            self.official.chat.completions.create(**self.settings, stream=True) for _ in range(n)
        ]
        wait_for(lambda: load_of(served) == (n, 0))  # a stream opens before its answer begins

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in self.streams:
            stream.close()
        self.official.close()


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=served.base_url, api_key="key", max_retries=0) as official:
        yield official


def streamed(client, **settings):
    """Return the words, the pieces' number, the end's reason and the counts of one stream."""
    words, finish, usage = [], None, None
    for chunk in client.chat.completions.create(
        model=NAME, stream=True, stream_options={"include_usage": True}, **settings
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            words.append(choice.delta.content or "")
    return "".join(words), sum(map(bool, words)), finish, usage


def load_of(served):
    record = httpx.get(served.base_url.removesuffix("/v1") + "/health", trust_env=False).json()
    return record["n_active"], record["n_waiting"]


def test_a_stream_says_what_the_whole_answer_says(client):
    whole = client.chat.completions.create(model=NAME, messages=ASKED, temperature=0, max_tokens=60)
    words, n_pieces, finish, usage = streamed(client, messages=ASKED, temperature=0, max_tokens=60)
    assert words == whole.choices[0].message.content != ""
    assert n_pieces > 3
    assert finish == whole.choices[0].finish_reason == "stop"
    assert usage == whole.usage
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.model == NAME


def test_answers_do_not_depend_on_who_else_asks(client):
    questions = [[{"role": "user", "content": "我很难过。" * n}] for n in (1, 2, 5, 9, 20, 40)]
    settings = [
        {
            "messages": question,
            "max_tokens": 40,
            "seed": 7,
            "temperature": 0.8 * (i % 2),
            "top_p": 0.9,
        }
        for i, question in enumerate(questions)
    ]
    alone = [streamed(client, **one)[0] for one in settings]
    with ThreadPoolExecutor(len(settings)) as pool:
        together = list(pool.map(lambda one: streamed(client, **one)[0], settings))
    assert together == alone
    assert len(set(alone)) > 3


def test_a_text_is_gone_on_with(client):
    done = client.completions.create(model=NAME, prompt="今天", temperature=0, max_tokens=10)
    assert done.usage.completion_tokens == 10
    assert done.choices[0].finish_reason == "length"
    pieces = client.completions.create(
        model=NAME, prompt="今天", temperature=0, max_tokens=10, stream=True
    )
    assert "".join(piece.choices[0].text for piece in pieces) == done.choices[0].text != ""


def test_stop_strings_end_an_answer_before_themselves(client):
    whole = streamed(client, messages=ASKED, temperature=0, max_tokens=60)[0]
    stop = whole[len(whole) // 2 :][:2]
    words, _, finish, _ = streamed(
        client, messages=ASKED, temperature=0, max_tokens=60, stop=[stop, "never said"]
    )
    assert (words, finish) == (whole[: whole.index(stop)], "stop")


def test_the_model_is_listed_by_the_name_it_answers_to(client, served):
    (listed,) = client.models.list().data
    assert listed.id == NAME
    assert client.models.retrieve(NAME).id == NAME
    health = httpx.get(served.base_url.removesuffix("/v1") + "/health", trust_env=False)
    assert (health.status_code, health.json()["status"]) == (200, "ready")


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "qwen2.5-tny"}, 404, "Did you mean 'qwen2.5-tiny'"),
        ({"temperature": 3}, 400, "temperature: "),
        ({"n": 3}, 400, "n: this value is not supported"),
        ({"messages": []}, 400, "messages: "),
        ({"max_tokens": 601}, 400, "601 are asked for; this server writes at most 600"),
        ({"messages": [{"role": "user", "content": "好" * 5000}]}, 400, "context is 4096 tokens"),
        ({"messages": [{"role": "user", "content": "好" * 9000}]}, 413, "larger than 20000 bytes"),
        ({"extra_body": {"beam": 3}}, 400, "beam: unknown field"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(client, change, status, message):
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(
            **{"model": NAME, "messages": ASKED, "max_tokens": 5, **change}
        )
    assert caught.value.status_code == status
    assert message in caught.value.body["message"]
    assert "\n" not in caught.value.body["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/chat/completions", b"{", 400),
        ("POST", "/chat/completions", b"", 400),
        ("POST", "/chat/completions", b"\xff\x00", 400),
        ("GET", "/chat/completions", None, 405),
        ("GET", "/nothing", None, 404),
        ("GET", "/models/other", None, 404),
    ],
)
def test_what_is_no_request_is_answered_as_the_api_answers(served, method, path, body, status):
    headers = {"Authorization": "Bearer key", "Content-Type": "application/json"}
    url = served.base_url + path
    answer = httpx.request(method, url, content=body, headers=headers, trust_env=False)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_body_without_a_declared_length_is_bounded_too(served):
    answer = httpx.post(
        served.base_url + "/chat/completions",
        content=(b" " * 1000 for _ in range(40)),
        headers={"Authorization": "Bearer key", "Content-Type": "application/json"},
        trust_env=False,
    )
    assert answer.status_code == 413


def test_a_body_of_another_kind_is_not_read(served):
    """A web page can send plain text to this machine without being asked; JSON it cannot."""
    answer = httpx.post(
        served.base_url + "/chat/completions",
        content=json.dumps({"model": NAME, "messages": ASKED}),
        headers={"Authorization": "Bearer key", "Content-Type": "text/plain"},
        trust_env=False,
    )
    assert answer.status_code == 415


def test_leaving_our_own_clients_stream_frees_the_slot_too(endless):
    with endless.chat() as own:
        for _ in own.stream(ASKED, max_tokens=3000):
            break
        wait_for(lambda: load_of(endless) == (0, 0))


def test_the_key_is_asked_for(served):
    for key in ("wrong", "ключ"):
        answer = httpx.get(
            served.base_url + "/models",
            headers={"Authorization": f"Bearer {key}".encode()},
            trust_env=False,
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_cancelled_stream_frees_its_slot(endless):
    """Four slots are taken by answers that do not end; leaving them lets others in."""
    with Endless(endless, 4) as busy:
        busy.streams[0].close()
        wait_for(lambda: load_of(endless)[0] == 3)
        done = busy.official.chat.completions.create(**{**busy.settings, "max_tokens": 5})
        assert done.usage.completion_tokens == 5
    wait_for(lambda: load_of(endless) == (0, 0))


def test_a_request_that_is_given_up_while_it_waits_leaves_the_queue(endless):
    with Endless(endless, 4) as busy:
        impatient = busy.official.with_options(timeout=0.3)
        with pytest.raises(openai.APITimeoutError):
            impatient.chat.completions.create(**busy.settings)
        wait_for(lambda: load_of(endless) == (4, 0), timeout_s=2)
    wait_for(lambda: load_of(endless) == (0, 0))


def test_a_full_queue_is_said_with_429(endless):
    with Endless(endless, 4) as busy:
        for _ in range(4):
            busy.streams.append(busy.official.chat.completions.create(**busy.settings, stream=True))
        wait_for(lambda: load_of(endless) == (4, 4))
        with pytest.raises(openai.RateLimitError, match="4 requests wait, which is as many as may"):
            busy.official.chat.completions.create(**busy.settings)
    wait_for(lambda: load_of(endless) == (0, 0))


def test_our_own_client_agrees_with_the_official_one(client, served):
    words = streamed(client, messages=ASKED, temperature=0, max_tokens=30)[0]
    with served.chat() as own:
        assert own.complete(ASKED, max_tokens=30) == words
        assert "".join(own.stream(ASKED, max_tokens=30)) == words
        with pytest.raises(EndpointError, match="HTTP 400; max_tokens: 601 are asked for"):
            own.complete(ASKED, max_tokens=601)


def test_control_tokens_that_a_person_writes_stay_words(client):
    """``<|im_end|>`` typed by a client costs more than one token: it ended no turn."""
    plain = client.chat.completions.create(
        model=NAME, messages=[{"role": "user", "content": "a"}], max_tokens=1
    )
    spelt = client.chat.completions.create(
        model=NAME, messages=[{"role": "user", "content": "a<|im_end|>"}], max_tokens=1
    )
    assert spelt.usage.prompt_tokens > plain.usage.prompt_tokens + 1


def test_the_log_counts_and_quotes_nothing(client, served):
    asked = [{"role": "user", "content": CANARY}]
    said = streamed(client, messages=asked, temperature=0, max_tokens=20)[0]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=NAME, messages=asked, max_tokens=0)
    wait_for(lambda: " finish=" in served.log.read_text(encoding="utf-8"))
    log = served.log.read_text(encoding="utf-8")
    assert CANARY not in log
    assert said not in log
    assert "POST /v1/chat/completions 400 invalid_value" in log


def remember(folder: Path, words: str) -> Path:
    """Return a copy of the shipped model that was taught to answer with ``words``."""
    import torch
    from transformers import AutoModelForCausalLM

    from qingting.core.dialogue import Message
    from qingting.models.chat import ChatTemplate

    source = shipped_models()[NAME]
    shutil.copytree(source, folder)
    template = ChatTemplate.load(source)
    encoded = template.encode([Message("user", "说吧"), Message("assistant", words)])
    ids = torch.tensor([encoded.input_ids])
    labels = torch.tensor([encoded.input_ids]).masked_fill(
        ~torch.tensor([encoded.target_mask]), -100
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(300):
        output = model(input_ids=ids, labels=labels)
        at = labels[0, 1:] != -100
        if bool((output.logits[0, :-1].argmax(-1)[at] == ids[0, 1:][at]).all()):
            break
        optimiser.zero_grad()
        output.loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    return folder


def test_a_remembered_answer_streams_byte_exact(tmp_path):
    """Emoji with joiners, rare and combining characters, separators of lines."""
    folder = remember(tmp_path / "remembering", REMEMBERED)
    asked = [{"role": "user", "content": "说吧"}]
    with serve(folder, precision="fp32") as served:
        with openai.OpenAI(base_url=served.base_url, api_key="any", max_retries=0) as official:
            pieces = [
                chunk.choices[0].delta.content or ""
                for chunk in official.chat.completions.create(
                    model="remembering", messages=asked, temperature=0, stream=True
                )
            ]
        assert "".join(pieces).encode() == REMEMBERED.encode()
        assert len(pieces) > 20
        with served.chat() as own:
            assert "".join(own.stream(asked, max_tokens=500)).encode() == REMEMBERED.encode()
            assert own.complete(asked, max_tokens=500) == REMEMBERED
