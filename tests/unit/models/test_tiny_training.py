"""Training of the small models goes on after a stop as if nothing had happened."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from qingting.core.dialogue import Dialogue, Message
from qingting.models.chat import ChatTemplate
from qingting.models.tiny.architectures import GPT_OSS, QWEN2_5

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture(scope="module")
def training() -> Iterator[ModuleType]:
    sys.path.insert(0, str(SCRIPTS))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        from small_models import training

        yield training
    finally:
        torch.set_num_threads(n_threads)
        sys.path.remove(str(SCRIPTS))


def corpus_of(n_dialogues: int) -> object:
    from small_models.corpus import CPSYCOUND, Corpus

    dialogues = [
        Dialogue(
            f"d-{i}",
            (
                Message("user", f"我最近总是失眠，这是第{i}天了。"),
                Message("assistant", f"听起来这{i}天你很辛苦，能多说一些吗？"),
            ),
        )
        for i in range(n_dialogues)
    ]
    return Corpus({CPSYCOUND: dialogues}, frozenset({"d-0"}), {CPSYCOUND: "r"})


def test_training_resumes_exactly(training: ModuleType, tmp_path: Path) -> None:
    recipe = training.Recipe(n_tokens_per_step=128, sequence_lengths=(32, 64))
    corpus = corpus_of(20)
    straight = training.new_trainer(QWEN2_5, recipe)
    losses = list(training.train(straight, corpus, until_step=6))

    first = training.load_trainer(QWEN2_5, recipe, tmp_path / "a.pt")
    before = list(training.train(first, corpus, until_step=3))
    training.save_checkpoint(first, tmp_path / "a.pt")
    second = training.load_trainer(QWEN2_5, recipe, tmp_path / "a.pt")
    after = list(training.train(second, corpus, until_step=6))

    assert before + after == losses
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_a_decay_leaves_the_checkpoint_alone(training: ModuleType, tmp_path: Path) -> None:
    recipe = training.Recipe(n_tokens_per_step=64, sequence_lengths=(32,), decay_sequence_length=64)
    trainer = training.load_trainer(QWEN2_5, recipe, tmp_path / "a.pt")
    list(training.train(trainer, corpus_of(20), until_step=2))
    training.save_checkpoint(trainer, tmp_path / "a.pt")
    saved = (tmp_path / "a.pt").read_bytes()
    list(training.train(trainer, corpus_of(20), until_step=5, decay=True))
    assert trainer.step == 5
    rates = [group["lr"] for optimiser in trainer.optimisers for group in optimiser.param_groups]
    assert 0 < rates[0] < trainer.peaks[0]
    assert (tmp_path / "a.pt").read_bytes() == saved


def test_an_earlier_answer_of_gpt_oss_is_taught_to_stop(training: ModuleType) -> None:
    from small_models.corpus import Document

    chat = ChatTemplate.load(GPT_OSS.folder)
    turns = (Message("user", "你好"), Message("assistant", "你好，请说。"))
    row = training._encode_document(chat, Document(turns * 2))
    changed = [
        chat.tokenizer.convert_ids_to_tokens([given, taught])
        for given, taught in zip(row.inputs, row.targets, strict=True)
        if given != taught
    ]
    assert changed == [["<|end|>", "<|return|>"]]
