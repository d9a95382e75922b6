"""Likelihoods against stock software, one text at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from toys import FAMILIES, Events, toy_dialogues, write_dialogues
from transformers import AutoModelForCausalLM

from qingting.core.dialogue import Dialogue, Message
from qingting.core.errors import DataError
from qingting.engines.native.measuring import measure
from qingting.engines.native.scoring import reference_messages, score
from qingting.engines.protocol import MeasureJob, Runtime, ScoreJob
from qingting.models.chat import ChatTemplate

QUESTIONS = [
    {"id": "q0", "messages": [{"role": "user", "content": "one or two?"}]},
    {
        "id": "q1",
        "messages": [
            {"role": "system", "content": "choose"},
            {"role": "user", "content": "a longer question, " * 3},
        ],
    },
]
OPTIONS = {"A": "A", "B": "B and more", "AB": "AB"}


def nats(model, ids: list[int], positions: list[int]) -> float:  # type: ignore[no-untyped-def]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return -sum(float(logits[t - 1, ids[t]]) for t in positions)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_stock_software_on_one_text_at_a_time(
    tmp_path: Path, toys: dict[str, Path], family: str
) -> None:
    dialogues = toy_dialogues(5)
    choices = tmp_path / "choices.jsonl"
    choices.write_text("".join(json.dumps(q | {"options": OPTIONS}) + "\n" for q in QUESTIONS))
    job = ScoreJob(
        output=str(tmp_path),
        state=str(tmp_path),
        runtime=Runtime(),
        checkpoint=str(toys[family]),
        references=write_dialogues(tmp_path / "dialogues.jsonl", dialogues),
        choices=str(choices),
        tokens_per_batch=300,
    )
    references_path = tmp_path / "references.jsonl"
    result = score(job, Events())
    assert result["n_references"] == 5 and result["n_choices"] == 2
    model = AutoModelForCausalLM.from_pretrained(toys[family], attn_implementation="eager")
    template = ChatTemplate.load(toys[family])
    references = [json.loads(line) for line in references_path.read_text().splitlines()]
    for dialogue, found in zip(dialogues, references, strict=True):
        chat = template.encode(dialogue.messages)
        words = [m.content for m in dialogue.messages if m.role == "assistant"]
        positions = [t for t, is_content in enumerate(chat.content_mask) if is_content]
        # one byte is one token here, so the words' bytes are counted twice, independently
        assert found["n_tokens"] == found["n_bytes"] == sum(map(len, words)) == len(positions)
        assert found["id"] == dialogue.id
        assert found["nats"] == pytest.approx(nats(model, chat.input_ids, positions), abs=1e-3)
    scored = [json.loads(line) for line in choices.read_text().splitlines()]
    assert [record["id"] for record in scored] == ["q0", "q1"]
    for question, found in zip(QUESTIONS, scored, strict=True):
        messages = [Message(**m) for m in question["messages"]]  # type: ignore[union-attr]
        prompt = template.encode(messages, add_generation_prompt=True).input_ids
        for name, text in OPTIONS.items():
            chat = template.encode([*messages, Message("assistant", text)])
            positions = [t for t in range(len(prompt), len(chat.input_ids)) if chat.target_mask[t]]
            assert found["n_tokens"][name] == len(positions) == len(text) + 1
            expected = nats(model, chat.input_ids, positions)
            assert found["nats"][name] == pytest.approx(expected, abs=1e-3)


def test_an_empty_file_and_a_repeated_id_are_errors(tmp_path: Path, toys: dict[str, Path]) -> None:
    path = tmp_path / "dialogues.jsonl"

    def job() -> ScoreJob:
        return ScoreJob(
            output=str(tmp_path),
            state=str(tmp_path),
            runtime=Runtime(),
            checkpoint=str(toys["qwen2"]),
            references=str(path),
        )

    path.write_text("")
    with pytest.raises(DataError, match="empty"):
        score(job(), Events())
    write_dialogues(path, toy_dialogues(1) * 2)
    with pytest.raises(DataError, match="'d0' more than once"):
        score(job(), Events())


def test_lengths_are_those_of_the_template(tmp_path: Path, toys: dict[str, Path]) -> None:
    dialogues = toy_dialogues(3)
    job = MeasureJob(
        output=str(tmp_path),
        state=str(tmp_path),
        runtime=Runtime(),
        checkpoint=str(toys["qwen2"]),
        dialogues=(write_dialogues(tmp_path / "a.jsonl", dialogues),),
    )
    result = measure(job, Events())
    rows = [json.loads(x) for x in (tmp_path / "lengths.jsonl").read_text().splitlines()]
    template = ChatTemplate.load(toys["qwen2"])
    for dialogue, row in zip(dialogues, rows, strict=True):
        ends = [
            len(template.encode(dialogue.messages[: i + 1]).input_ids)
            for i in range(len(dialogue.messages))
        ]
        assert row == {"id": dialogue.id, "message_ends": ends}
    assert result["n_tokens"] == sum(row["message_ends"][-1] for row in rows)


def test_bytes_are_those_of_the_words_that_every_template_keeps() -> None:
    words = (Message("user", " hello "), Message("assistant", "\n go on "))
    kept = reference_messages(Dialogue("d", words))
    assert kept == [Message("user", " hello "), Message("assistant", "go on")]
