"""What masked language modelling hides, and that rows lose no token."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

from qingting.core.dialogue import Dialogue, Message

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def encoder() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from small_models import encoder
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return encoder


def test_a_seventh_is_hidden_and_never_a_control_token(encoder: ModuleType) -> None:
    ids = [2, *range(100, 180), 3, *range(200, 213), 3]
    rng = random.Random(0)
    n_hidden = n_masked = n_left = 0
    for _ in range(200):
        row = encoder._masked(ids, 100, 4, rng)
        assert len(row.inputs) == len(row.targets) == 100
        hidden = [n for n, target in enumerate(row.targets) if target != encoder.IGNORED]
        assert all(row.targets[n] == ids[n] >= 5 for n in hidden)
        assert all(row.inputs[n] == ids[n] for n in range(len(ids)) if n not in hidden)
        assert row.inputs[len(ids) :] == [0] * (100 - len(ids))
        n_hidden += len(hidden)
        n_masked += sum(row.inputs[n] == 4 for n in hidden)
        n_left += sum(row.inputs[n] == ids[n] for n in hidden)
    assert n_hidden == 200 * 14  # round(0.15 × 93)
    assert n_masked / n_hidden == pytest.approx(0.8, abs=0.04)
    assert n_left / n_hidden == pytest.approx(0.1, abs=0.04)


def test_turns_are_laid_out_in_order_and_cut_nowhere_but_at_the_end(encoder: ModuleType) -> None:
    turns = ("我最近总是睡不好。" * 9, "愿意多说一点吗？", "I feel tired and low. " * 12)
    dialogue = Dialogue("d", tuple(Message("user", words) for words in turns))
    rows = encoder._rows([dialogue], encoder.EncoderRecipe(), random.Random(1))
    found = []
    for row in rows:
        whole = [
            target if target != encoder.IGNORED else token
            for token, target in zip(row.inputs, row.targets, strict=True)
        ]
        assert whole[0] == 2
        found += [token for token in whole[1:] if token]
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder.FOLDER, local_files_only=True)
    expected = [i for words in turns for i in tokenizer(words)["input_ids"][1:]]
    assert found == expected
