"""Answers do not depend on their batch, on being killed, or on the cache."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from toys import FAMILIES, Events, toy_dialogues, toy_model
from transformers import AutoModelForCausalLM

from qingting.core.errors import DataError
from qingting.engines.native.attention import varlen
from qingting.engines.native.benchmark import benchmark
from qingting.engines.native.decoding import Sampling, decode
from qingting.engines.native.generation import generate
from qingting.engines.protocol import BenchmarkJob, GenerateJob, Runtime

PROMPTS = [list(range(60, 60 + n)) for n in (5, 33, 18, 2)]
STOP = 256


def write_prompts(path: Path, n: int) -> str:
    lines = []
    for dialogue in toy_dialogues(n):
        messages = [message._asdict() for message in dialogue.messages[:-1]]
        lines.append(json.dumps({"id": dialogue.id, "messages": messages}) + "\n")
    path.write_text("".join(lines))
    return str(path)


def generate_job(tmp_path: Path, checkpoint: Path, name: str, **changes: object) -> GenerateJob:
    output = tmp_path / name / "output"
    output.mkdir(parents=True)
    settings = {
        "output": str(output),
        "state": str(tmp_path / name / "state"),
        "runtime": Runtime(),
        "checkpoint": str(checkpoint),
        "prompts": write_prompts(tmp_path / "prompts.jsonl", 12),
        "max_new_tokens": 12,
        "batch_size": 4,
    }
    return GenerateJob(**(settings | changes))  # type: ignore[arg-type]


def responses(job: GenerateJob) -> list[dict[str, object]]:
    text = (Path(job.output) / "responses.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_those_of_transformers_one_by_one(family: str) -> None:
    model = toy_model(family).eval()
    model.set_attn_implementation("eager")
    expected = []
    for prompt in PROMPTS:
        ids = list(prompt)
        for _ in range(30):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            if ids[-1] == STOP:
                ids.pop()
                break
        expected.append(tuple(ids[len(prompt) :]))
    with varlen(model):
        answers = decode(model, PROMPTS, Sampling(max_new_tokens=30), stop_ids=[STOP])
        alone = decode(model, PROMPTS[1:2], Sampling(max_new_tokens=30), stop_ids=[STOP])
    assert [answer.ids for answer in answers] == expected
    assert alone[0] == answers[1]


def test_penalty_and_minimum_agree_with_transformers() -> None:
    model = toy_model("internlm2").eval()
    settings = {"max_new_tokens": 25, "min_new_tokens": 25, "repetition_penalty": 1.3}
    with varlen(model):
        answers = decode(model, PROMPTS, Sampling(**settings), stop_ids=[STOP])
    model.set_attn_implementation("eager")
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = torch.tensor([prompt])
        theirs = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, **settings
        )
        assert answer.ids == tuple(theirs[0, len(prompt) :].tolist())
        assert answer.n_tokens == 25 and not answer.is_stopped


def test_sampling_follows_the_distribution_and_the_seed() -> None:
    model = toy_model("qwen2").eval()
    prompt = PROMPTS[0]
    sampling = Sampling(max_new_tokens=1, temperature=1.5, top_p=0.6)
    with varlen(model):
        answers = decode(model, [prompt] * 4000, sampling, stop_ids=[STOP], seeds=range(4000))
        again = decode(model, [prompt], sampling, stop_ids=[STOP], seeds=[17])
    assert again[0] == answers[17]
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1]
    p, order = (logits.double() / 1.5).softmax(-1).sort(descending=True)
    n_kept = int((p.cumsum(0) < 0.6).sum()) + 1
    p, order = p[:n_kept] / p[:n_kept].sum(), order[:n_kept]
    drawn = torch.bincount(torch.tensor([a.ids[0] for a in answers]), minlength=264) / 4000
    assert drawn[order].sum() == pytest.approx(1.0)  # nothing outside the nucleus
    # five standard deviations of a share
    assert ((drawn[order] - p).abs() < 5 * (p * (1 - p) / 4000).sqrt() + 1e-9).all()


def test_responses_stand_in_the_order_of_the_prompts(tmp_path: Path, toys: dict[str, Path]) -> None:
    job = generate_job(tmp_path, toys["qwen2"], "whole")
    result = generate(job, Events())
    found = responses(job)
    assert [r["id"] for r in found] == [f"d{i}" for i in range(12)]
    assert set(found[0]) == {"id", "text", "n_prompt_tokens", "n_tokens", "finish"}
    assert result["n_tokens"] == sum(r["n_tokens"] for r in found)  # type: ignore[misc]
    single = generate_job(tmp_path, toys["qwen2"], "single", batch_size=1)
    generate(single, Events())
    assert responses(single) == found


def test_a_killed_job_ends_in_the_same_bytes(tmp_path: Path, toys: dict[str, Path]) -> None:
    settings = {"batch_size": 1, "max_new_tokens": 60, "temperature": 0.8, "seed": 3}
    whole = generate_job(tmp_path, toys["gpt_oss"], "whole", **settings)
    killed = generate_job(tmp_path, toys["gpt_oss"], "killed", **settings)
    generate(whole, Events())
    process = multiprocessing.get_context("fork").Process(target=generate, args=(killed, Events()))
    process.start()
    batches = Path(killed.state) / "batches"
    while process.is_alive() and len(list(batches.glob("*.json"))) < 3:
        time.sleep(0.002)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    kept = {p.name: p.read_bytes() for p in batches.glob("*.json")}
    generate(killed, Events())
    assert len(kept) >= 3
    assert all((batches / name).read_bytes() == content for name, content in kept.items())
    name = "responses.jsonl"
    assert (Path(killed.output) / name).read_bytes() == (Path(whole.output) / name).read_bytes()


def test_no_prompt_is_an_error(tmp_path: Path, toys: dict[str, Path]) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(DataError, match="no prompt"):
        generate(generate_job(tmp_path, toys["qwen2"], "e", prompts=str(empty)), Events())


def test_benchmark_reports_each_batch_size(tmp_path: Path, toys: dict[str, Path]) -> None:
    job = BenchmarkJob(
        output=str(tmp_path),
        state=str(tmp_path / "state"),
        runtime=Runtime(),
        checkpoint=str(toys["baichuan2"]),
        prompts=write_prompts(tmp_path / "prompts.jsonl", 3),
        n_new_tokens=6,
        n_repeats=2,
    )
    benchmark(job, Events())
    records = json.loads((tmp_path / "benchmark.json").read_text())
    assert [record["batch_size"] for record in records] == [1, 8]
    for record in records:
        assert record["first_token_s"] > 0 and record["decode_tokens_per_s"] > 0
        assert record["peak_memory_bytes"] > 1 << 20


def test_generation_leaves_stock_models_as_they_were() -> None:
    model: AutoModelForCausalLM = toy_model("qwen2").eval()
    model.set_attn_implementation("sdpa")
    with varlen(model):
        pass
    assert model.config._attn_implementation == "sdpa"
