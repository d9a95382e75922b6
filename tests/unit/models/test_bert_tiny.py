"""The small BERT is what its card says, and all small models stay small."""

import json
import random
from collections import Counter

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from qingting.domains.packs import find_pack
from qingting.models.resolve import resolve, shipped_models, shipped_pretraining_record
from qingting.models.shipped import describe_shipped, stated_licence

FOLDER = shipped_models()["bert-tiny"]


def test_all_small_models_together_take_no_more_than_32_megabytes():
    files = [p for p in shipped_pretraining_record().parent.rglob("*") if p.is_file()]
    kept = [p for p in files if p.suffix in {".safetensors", ".json", ".jinja", ".md"}]
    assert sum(path.stat().st_size for path in kept) <= 32_000_000


def test_it_is_a_bert_of_about_a_million_parameters():
    described = next(one for one in describe_shipped() if one.name == "bert-tiny")
    assert described.architecture == "BertForMaskedLM"
    assert 500_000 < described.n_parameters < 1_500_000
    assert described.licence == stated_licence(FOLDER) == "cc-by-4.0"


def test_its_weights_are_bfloat16_and_nothing_is_missing():
    model, report = AutoModelForMaskedLM.from_pretrained(
        FOLDER, local_files_only=True, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_its_tokenizer_is_the_file_as_it_stands():
    from tokenizers import Tokenizer

    loaded = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
    raw = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    for text in ("我睡不着，怎么办？", "I can't sleep; Help ME.", "café 2024"):
        assert loaded(text)["input_ids"] == raw.encode(text).ids


def test_it_restores_hidden_characters_of_dialogues_it_has_not_seen():
    """The pack's dialogues were no part of its text: far better than the commonest token."""
    path = find_pack("counselling").dialogues / "zh-a.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()[:8]
    turns = [m["content"] for line in lines for m in json.loads(line)["messages"]]
    tokenizer = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
    model = AutoModelForMaskedLM.from_pretrained(
        FOLDER, local_files_only=True, dtype=torch.float32
    ).eval()
    rng, right, n = random.Random(0), 0, 0
    commonest = Counter(token for t in turns for token in tokenizer(t)["input_ids"][1:-1])
    chance = commonest.most_common(1)[0][1] / commonest.total()
    for turn in turns:
        ids = torch.tensor([tokenizer(turn, truncation=True, max_length=128)["input_ids"]])
        place = rng.randrange(1, ids.shape[1] - 1)
        hidden = int(ids[0, place])
        ids[0, place] = tokenizer.mask_token_id
        with torch.no_grad():
            right += int(model(input_ids=ids).logits[0, place].argmax()) == hidden
        n += 1
    assert right / n > 3 * chance


@pytest.mark.parametrize("task", ["dialogue", "generation"])
def test_it_is_refused_where_something_must_be_written(tmp_path, task):
    found = resolve("bert-tiny", base=tmp_path, task=task)
    assert "reads text and writes none" in found.obstacle
    assert resolve("bert-tiny", base=tmp_path, task="classification").obstacle is None
