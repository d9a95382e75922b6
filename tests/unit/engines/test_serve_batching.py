"""Continuous batching: answers are those of the model alone, and slots come free."""

import random
import threading
from functools import lru_cache

import numpy as np
import pytest
import torch

from qingting.core.errors import ModelError
from qingting.engines.native.attention import VARLEN
from qingting.engines.native.batching import Generation, Progress, QueueFullError, Scheduler
from qingting.engines.native.batching_choice import Choice, choose_tokens
from qingting.engines.native.batching_rows import (
    CachedRows,
    RecomputedRows,
    SeparateRows,
    rows_for,
)
from qingting.engines.native.decoding import Sampling, decode
from qingting.engines.native.loading import load_checkpoint
from qingting.engines.native.server_text import AnswerText, TextLayout
from qingting.engines.protocol import Runtime
from qingting.models.resolve import shipped_models

CHAT_MODELS = sorted(name for name in shipped_models() if "bert" not in name)


@lru_cache
def checkpoint(name):
    return load_checkpoint(shipped_models()[name], Runtime(), dtype=torch.float32)


def prompts_of(n, seed=1):
    """Prompts shorter and longer than GPT-OSS's window of 128 tokens."""
    rng = random.Random(seed)
    return [[rng.randrange(10, 4000) for _ in range(rng.choice((3, 30, 200)))] for _ in range(n)]


def answers_alone(name, prompts, n_tokens):
    loaded = checkpoint(name)
    loaded.model.config._attn_implementation = VARLEN
    sampling = Sampling(n_tokens, n_tokens)
    return [
        decode(loaded.model, [prompt], sampling, stop_ids=[0])[0].ids[:n_tokens]
        for prompt in prompts
    ]


class Answers:
    """Collects what a scheduler delivers."""

    def __init__(self):
        self.steps: dict[int, list[Progress]] = {}
        self._changed = threading.Condition()

    def listener(self, number):
        self.steps[number] = []

        def deliver(progress):
            with self._changed:
                self.steps[number].append(progress)
                self._changed.notify_all()

        return deliver

    def wait(self, number, *, n_steps=None, timeout_s=60):
        def is_there():
            steps = self.steps[number]
            return len(steps) >= n_steps if n_steps else bool(steps and steps[-1].finish)

        with self._changed:
            assert self._changed.wait_for(is_there, timeout_s)
        return self.steps[number]


@pytest.fixture
def running():
    """Start the computing thread of a scheduler; it is stopped at the end."""
    started = []

    def start(scheduler):
        thread = threading.Thread(target=scheduler.run)
        thread.start()
        started.append((scheduler, thread))
        return scheduler

    yield start
    for scheduler, thread in started:
        scheduler.close()
        thread.join(20)
        assert not thread.is_alive()


class CountingRows:
    """A model whose next token is the last one plus one; notes what is asked of it."""

    vocabulary = 100

    def __init__(self, gate=None):
        self.rows, self.widest, self.gate, self.fails_at = [], 0, gate, None

    def join(self, prompts):
        self.rows.extend(prompt[-1] for prompt in prompts)
        self.widest = max(self.widest, len(self.rows))
        return self._logits(self.rows[-len(prompts) :])

    def advance(self, tokens):
        if self.gate is not None:
            self.gate.acquire(timeout=20)
        if self.fails_at in tokens:
            raise RuntimeError("someone's words")
        self.rows = list(tokens)
        return self._logits(tokens)

    def leave(self, row):
        self.rows[row] = self.rows[-1]
        self.rows.pop()

    def clear(self):
        self.rows.clear()

    def _logits(self, tokens):
        return torch.nn.functional.one_hot(
            (torch.tensor(list(tokens)) + 1) % self.vocabulary, self.vocabulary
        ).float()


class Digits:
    """A tokenizer whose token 7 reads ``7,``."""

    backend_tokenizer = None

    def decode(self, ids, **_):
        return "".join(f"{i}," for i in ids)


def counting(first, *, max_tokens=5, stop=99):
    return Generation((first,), AnswerText(TextLayout(Digits(), frozenset({stop}))), max_tokens)


@pytest.mark.parametrize("name", CHAT_MODELS)
def test_rows_that_come_and_go_say_what_the_model_says_alone(name):
    prompts, n_tokens = prompts_of(6), 24
    expected = answers_alone(name, prompts, n_tokens)
    rows, reason = rows_for(checkpoint(name).model, 4, 0)
    assert reason is None
    said, active, waiting, step = {}, [], list(range(6)), 0
    while active or waiting:
        if waiting and step % 5 == 0 and len(active) < 4:
            joining = [
                waiting.pop(0) for _ in range(min(1 + step % 2, len(waiting), 4 - len(active)))
            ]
            logits = rows.join([prompts[i] for i in joining])
            with torch.inference_mode():
                logits[:, 0] = float("-inf")  # as ``decode`` is told: token 0 ends no answer yet
            said.update({i: [t] for i, t in zip(joining, logits.argmax(-1).tolist(), strict=True)})
            active += joining
        logits = rows.advance([said[i][-1] for i in active])
        with torch.inference_mode():
            logits[:, 0] = float("-inf")
        for i, token in zip(active, logits.argmax(-1).tolist(), strict=True):
            said[i].append(token)
        for row in range(len(active) - 1, -1, -1):
            if len(said[active[row]]) >= n_tokens:
                rows.leave(row)
                active[row] = active[-1]
                active.pop()
        step += 1
    assert [tuple(said[i][:n_tokens]) for i in range(6)] == expected


def test_storage_grows_and_is_reused_without_a_trace():
    """More columns than the first allocation holds, rows of very different lengths."""
    name, n_tokens = "llama3.1-tiny", 300
    prompts = [[11, 12, 13], [21] * 400]
    expected = answers_alone(name, prompts, n_tokens)
    rows = CachedRows(checkpoint(name).model, 2)
    said = [[t] for t in _greedy(rows.join(prompts[:1]))]
    for _ in range(20):
        said[0].append(_greedy(rows.advance([said[0][-1]]))[0])
    said.append([_greedy(rows.join(prompts[1:]))[0]])
    while len(said[0]) < n_tokens:
        for answer, token in zip(said, _greedy(rows.advance([s[-1] for s in said])), strict=True):
            answer.append(token)
    assert tuple(said[0]) == expected[0]
    assert tuple(said[1]) == expected[1][: len(said[1])]


def _greedy(logits):
    logits = logits.clone()
    logits[:, 0] = float("-inf")
    return logits.argmax(-1).tolist()


def test_rows_read_anew_say_the_same():
    name, prompts = "qwen2.5-tiny", prompts_of(3)
    expected = answers_alone(name, prompts, 8)
    loaded = checkpoint(name)
    loaded.model.config._attn_implementation = "eager"
    rows = RecomputedRows(loaded.model, 0)
    said = [[t] for t in _greedy(rows.join(prompts))]
    for _ in range(7):
        for answer, token in zip(said, _greedy(rows.advance([s[-1] for s in said])), strict=True):
            answer.append(token)
    assert [tuple(answer) for answer in said] == expected


def toy(architecture):
    import transformers

    torch.manual_seed(3)
    sizes = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2}
    if architecture == "Mamba":
        config = transformers.MambaConfig(**sizes, state_size=4)
    else:
        config = transformers.FalconConfig(**sizes, num_attention_heads=2)
    return getattr(transformers, f"{architecture}ForCausalLM")(config).eval()


@pytest.mark.parametrize("architecture", ["Mamba", "Falcon"])
@pytest.mark.parametrize("kind", ["chosen", "separate", "recomputed"])
def test_an_architecture_with_another_state_says_what_it_says_alone(architecture, kind):
    """A recurrent one, and one whose attention has code of its own."""
    model = toy(architecture)
    chosen = rows_for(model, 4, 0)
    assert isinstance(chosen.rows, SeparateRows)
    assert chosen.reason.startswith("each answer is computed by itself (")
    rows = {
        "chosen": chosen.rows,
        "separate": SeparateRows(model),
        "recomputed": RecomputedRows(model, 0),
    }[kind]
    prompts = [[5, 6, 7], [9, 8, 7, 6, 5, 4], [11, 12]]
    said = [[t] for t in _greedy(rows.join(prompts[:2]))]
    for step in range(6):
        if step == 2:
            said.append([_greedy(rows.join(prompts[2:]))[0]])
        for answer, token in zip(said, _greedy(rows.advance([s[-1] for s in said])), strict=True):
            answer.append(token)
    rows.leave(0)
    said[2].append(_greedy(rows.advance([said[2][-1], said[1][-1]]))[0])
    for prompt, answer in zip(prompts, said, strict=True):
        ids = list(prompt)
        for token in answer:
            with torch.no_grad():
                assert _greedy(model(torch.tensor([ids])).logits[:, -1]) == [token]
            ids.append(token)


def test_a_model_that_scales_its_logits_is_not_answered_from_the_plain_head():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(3)
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        final_logit_softcapping=0.05,
    )
    chosen = rows_for(Gemma2ForCausalLM(config).eval(), 4, 0)
    assert isinstance(chosen.rows, SeparateRows)
    assert "logits differ by" in chosen.reason


def test_damaged_weights_are_refused_before_they_answer():
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=32, hidden_size=8, state_size=4, num_hidden_layers=1)
    model = MambaForCausalLM(config).eval()
    with torch.no_grad():
        model.get_input_embeddings().weight[3] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        rows_for(model, 4, 0)


def test_answers_join_a_running_batch_and_end_at_stop_or_limit(running):
    rows, answers = CountingRows(), Answers()
    scheduler = running(Scheduler(rows, n_slots=2, n_waiting=10))
    for number, generation in enumerate(
        (counting(10), counting(20, max_tokens=3), counting(96, max_tokens=50))
    ):
        scheduler.submit(generation, answers.listener(number))
    texts = ["".join(step.text for step in answers.wait(n)) for n in range(3)]
    assert texts == ["11,12,13,14,15,", "21,22,23,", "97,98,"]
    assert [answers.steps[n][-1].finish for n in range(3)] == ["length", "length", "stop"]
    assert answers.steps[2][-1].n_tokens == 3  # the token that ends it counts
    assert rows.widest == 2


def test_a_full_queue_refuses_and_a_cancelled_request_frees_its_slot(running):
    gate, answers = threading.Semaphore(0), Answers()
    scheduler = running(Scheduler(CountingRows(gate), n_slots=1, n_waiting=1))
    first = scheduler.submit(counting(10, max_tokens=80), answers.listener(0))
    answers.wait(0, n_steps=1)
    waiting = scheduler.submit(counting(20, max_tokens=2), answers.listener(1))
    with pytest.raises(QueueFullError, match=r"1 answers are being written and 1 requests wait"):
        scheduler.submit(counting(30), answers.listener(2))
    scheduler.cancel(waiting)
    assert answers.wait(1)[-1].finish == "cancelled"
    scheduler.submit(counting(40, max_tokens=2), answers.listener(3))
    scheduler.cancel(first)
    gate.release(10)
    assert answers.wait(0)[-1].finish == "cancelled"
    assert "".join(step.text for step in answers.wait(3)) == "41,42,"
    assert scheduler.load == (0, 0)


def test_a_failure_ends_the_answers_under_way_and_no_later_one(running, caplog):
    rows, answers = CountingRows(), Answers()
    rows.fails_at = 12
    scheduler = running(Scheduler(rows, n_slots=2, n_waiting=10))
    scheduler.submit(counting(10), answers.listener(0))
    assert answers.wait(0)[-1].finish == "failed"
    scheduler.submit(counting(20, max_tokens=2), answers.listener(1))
    assert "".join(step.text for step in answers.wait(1)) == "21,22,"
    assert "a step failed" in caplog.text


def test_closing_ends_everything_by_name():
    gate, answers = threading.Semaphore(0), Answers()
    scheduler = Scheduler(CountingRows(gate), n_slots=1, n_waiting=5)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    scheduler.submit(counting(10, max_tokens=80), answers.listener(0))
    answers.wait(0, n_steps=1)
    scheduler.submit(counting(20), answers.listener(1))
    scheduler.close()
    gate.release(5)
    assert answers.wait(0)[-1].finish == "shutdown"
    assert answers.wait(1)[-1].finish == "shutdown"
    thread.join(20)
    assert not thread.is_alive()


def choice(seed, *, temperature=1.0, top_p=1.0):
    return Choice(temperature, top_p, seed, 0)


def test_draws_follow_the_distribution_and_top_p_cuts_its_tail():
    """softmax(2, 1, 0) = (0.665, 0.245, 0.090); with top_p 0.8 the third goes: (0.731, 0.269)."""
    logits = torch.tensor([[0.0, 2.0, 1.0, float("-inf")]]).repeat(4000, 1)
    for top_p, expected in ((1.0, (0.090, 0.665, 0.245)), (0.8, (0.0, 0.731, 0.269))):
        drawn = choose_tokens(logits, [choice(i, top_p=top_p) for i in range(4000)])
        shares = np.bincount(drawn, minlength=4) / 4000
        # four standard errors of a share near a half
        assert np.abs(shares[:3] - expected).max() < 4 * 0.5 / 4000**0.5
        assert shares[3] == 0


def test_top_p_beyond_the_sorted_candidates_still_counts_all_mass():
    """1000 equal tokens: top_p 0.5 keeps 500 of them, more than are sorted at first."""
    logits = torch.zeros(3000, 1000)
    drawn = choose_tokens(logits, [choice(i, top_p=0.5) for i in range(3000)])
    assert 450 < len(set(drawn)) <= 501


def test_a_draw_depends_on_its_seed_alone():
    logits = torch.randn(5, 200, generator=torch.Generator().manual_seed(1))
    together = choose_tokens(logits, [choice(i, temperature=0.7, top_p=0.9) for i in range(5)])
    alone = [
        choose_tokens(logits[i : i + 1], [choice(i, temperature=0.7, top_p=0.9)])[0]
        for i in range(5)
    ]
    assert together == alone
    mixed = [
        choice(0, temperature=0.0),
        *(choice(i, temperature=0.7, top_p=0.9) for i in range(1, 5)),
    ]
    assert choose_tokens(logits, mixed) == [int(logits[0].argmax()), *alone[1:]]


def test_positions_and_neighbouring_seeds_draw_independently():
    """100 equal tokens: 20 000 draws fill 100 cells; chi-square with 99 degrees below 1 in 10⁶."""
    logits = torch.zeros(1, 100).repeat(20_000, 1)
    choices = [Choice(1.0, 1.0, i // 100, i % 100) for i in range(20_000)]
    drawn = np.array(choose_tokens(logits, choices))
    cells = np.bincount(drawn, minlength=100)
    assert ((cells - 200.0) ** 2 / 200.0).sum() < 180
    pairs = np.bincount(drawn[:-1] // 10 * 10 + drawn[1:] // 10, minlength=100)
    assert ((pairs - 19_999 / 100) ** 2 / (19_999 / 100)).sum() < 180


def test_rounding_hardly_ever_changes_a_draw():
    """Noise of 1e-6 as batches of other sizes bring it: a near tie of two times, about 1 in 10⁶."""
    torch.manual_seed(2)
    logits = torch.randn(2000, 4096)
    noisy = logits + 1e-6 * torch.randn(2000, 4096)
    for top_p in (1.0, 0.9):
        choices = [choice(i, temperature=2.0, top_p=top_p) for i in range(2000)]
        same = np.equal(choose_tokens(logits, choices), choose_tokens(noisy, choices))
        assert same.mean() > 0.998


def test_a_penalty_on_repetition_is_that_of_generation(running):
    name, n_tokens = "qwen2.5-tiny", 24
    loaded = checkpoint(name)
    loaded.model.config._attn_implementation = VARLEN
    prompts = prompts_of(3)
    rows, _ = rows_for(loaded.model, 4, 0)
    scheduler, answers = running(Scheduler(rows, n_slots=4, n_waiting=4)), Answers()
    for number, prompt in enumerate(prompts):
        text = AnswerText(TextLayout(Digits(), frozenset({0})))
        penalty = (1.0, 1.3, 1.6)[number]
        asked = Generation(tuple(prompt), text, n_tokens, repetition_penalty=penalty)
        scheduler.submit(asked, answers.listener(number))
    for number, prompt in enumerate(prompts):
        sampling = Sampling(n_tokens, 0, repetition_penalty=(1.0, 1.3, 1.6)[number])
        alone = decode(loaded.model, [prompt], sampling, stop_ids=[0])[0].ids[:n_tokens]
        said = "".join(step.text for step in answers.wait(number))
        assert said == Digits().decode([i for i in alone if i != 0])
