"""The tenth that was kept back is exactly what the record says, and nothing of it was seen."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from qingting.core.dialogue import Dialogue
from qingting.data.leakage import PretrainingRecord, fingerprints, was_seen
from qingting.data.near_duplicates import group_near_duplicates
from qingting.models.tiny.architectures import QWEN2_5

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"
RECORD_PATH = QWEN2_5.folder.parent / "pretraining.json"


@pytest.fixture(scope="module")
def record() -> PretrainingRecord:
    return PretrainingRecord.load(RECORD_PATH)


def test_nothing_seen_is_kept_back(record: PretrainingRecord) -> None:
    assert record.seen.isdisjoint(record.held_out)


def test_each_source_gave_a_tenth(record: PretrainingRecord) -> None:
    for source in record.sources:
        share = source.n_held_out / source.n_dialogues
        assert 0.1 <= share < 0.15, source.name
        assert source.licence in {"CC BY 4.0", "MIT"}
        assert len(source.revision) == 40


@pytest.fixture(scope="module")
def corpus_module() -> ModuleType:
    if not (DATA / "cpsycoun").is_dir() or not (DATA / "emollm").is_dir():
        pytest.skip("needs ../shared/data with cpsycoun and emollm")
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from small_models import corpus
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return corpus


@pytest.mark.shared_data
def test_the_division_is_the_recorded_one(
    record: PretrainingRecord, corpus_module: ModuleType
) -> None:
    corpus = corpus_module.read_corpus(DATA)
    assert corpus_module.pretraining_record(corpus) == record
    for source, dialogues in corpus.dialogues.items():
        for dialogue in dialogues:
            if dialogue.id in corpus.held_out:
                assert not was_seen(dialogue, record)
                assert fingerprints(dialogue) <= record.held_out
            elif source.is_trained_on:
                assert was_seen(dialogue, record)


@pytest.mark.shared_data
def test_no_near_duplicate_crosses_the_division(corpus_module: ModuleType) -> None:
    corpus = corpus_module.read_corpus(DATA)
    dialogues: list[Dialogue] = [d for found in corpus.dialogues.values() for d in found]
    texts = ["".join(turn.content for turn in dialogue.turns) for dialogue in dialogues]
    sides: dict[int, set[bool]] = {}
    for dialogue, group in zip(dialogues, group_near_duplicates(texts), strict=True):
        sides.setdefault(group, set()).add(dialogue.id in corpus.held_out)
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.shared_data
def test_training_documents_hold_nothing_kept_back(
    record: PretrainingRecord, corpus_module: ModuleType
) -> None:
    import random

    corpus = corpus_module.read_corpus(DATA)
    documents = corpus_module.training_documents(corpus, random.Random(0))
    for document in documents:
        if document.messages:
            assert fingerprints(Dialogue("x", document.messages)).isdisjoint(record.held_out)
