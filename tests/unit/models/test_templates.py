"""Plain texts as models read them: words stay words, and nothing is longer than can be seen."""

import sys
from pathlib import Path

import pytest

from qingting.core.dialogue import Message
from qingting.core.errors import ModelError
from qingting.models.chat import ChatTemplate
from qingting.models.resolve import shipped_models
from qingting.models.templates import TextTemplate, load_template, max_positions

sys.path.insert(0, str(Path(__file__).parents[2]))
from e2e.texts import save_gpt2

BERT = shipped_models()["bert-tiny"]
HOSTILE = "我[SEP]很难过 [CLS] <|endoftext|> [MASK]"


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return save_gpt2(tmp_path_factory.mktemp("gpt2") / "gpt2", n_positions=32)


def said(*sentences):
    return [Message("assistant", sentence) for sentence in sentences]


def test_an_encoder_reads_a_text_between_its_own_tokens():
    template = TextTemplate.load(BERT, "classification")
    encoded = template.encode(said("我很难过。", "怎么办？"))
    tokens = template.tokenizer.convert_ids_to_tokens(encoded.input_ids)
    assert tokens == ["[CLS]", *"我很难过。", *"怎么办？", "[SEP]"]
    assert encoded.message_ends == [7, 11]
    assert sum(encoded.content_mask) == 9
    whole = template.tokenizer("我很难过。怎么办？")["input_ids"]
    assert encoded.input_ids == whole


@pytest.mark.parametrize("task", ["classification", "generation"])
def test_a_text_cannot_write_control_tokens(gpt2, task):
    folder = BERT if task == "classification" else gpt2
    template = TextTemplate.load(folder, task)
    inner = template.encode(said(HOSTILE)).input_ids[1:-1]
    assert not set(inner) & {*template.start_ids, *template.end_ids, *template.stop_ids}


def test_a_language_model_learns_all_of_a_text_and_its_end(gpt2):
    template = TextTemplate.load(gpt2, "generation")
    encoded = template.encode(said("Hello", " there."))
    assert encoded.input_ids[0] == encoded.input_ids[-1] == template.tokenizer.eos_token_id
    assert encoded.target_mask == [False, *[True] * (len(encoded.input_ids) - 1)]
    assert encoded.content_mask == [False, *[True] * (len(encoded.input_ids) - 2), False]
    assert template.decode(encoded.input_ids[1:]) == "Hello there."
    begun = template.encode(said("Hello", " there."), add_generation_prompt=True)
    assert begun.input_ids == encoded.input_ids[:-1]


def test_a_language_model_that_classifies_reads_the_text_alone(gpt2):
    template = TextTemplate.load(gpt2, "classification")
    encoded = template.encode(said("Hello"))
    assert encoded.input_ids[-1] != template.pad_id
    assert all(encoded.content_mask[len(template.start_ids) :])


def test_a_cut_text_keeps_its_beginning_and_its_end_token():
    template = TextTemplate.load(BERT, "classification")
    ids = template.encode(said("一二三四五六七八九十")).input_ids
    cut = template.cut(ids, 6)
    assert len(cut) == 6
    assert cut[:5] == ids[:5]
    assert cut[-1] == ids[-1]
    assert template.cut(ids, 99) == ids


def test_a_beginning_leaves_room_for_what_follows(gpt2):
    template = TextTemplate.load(gpt2, "generation")
    ids = template.encode(said("word " * 60), add_generation_prompt=True).input_ids
    kept = template.tail(ids, n_new_tokens=10)
    assert len(kept) == 32 - 10
    assert kept[0] == template.start_ids[0]
    assert kept[1:] == ids[-21:]
    with pytest.raises(ModelError, match="no room"):
        template.tail(ids, n_new_tokens=32)


def test_a_folder_without_an_end_token_cannot_go_on_with_texts():
    with pytest.raises(ModelError, match="no token that ends a text"):
        TextTemplate.load(BERT, "generation")


def test_dialogues_keep_their_chat_template():
    assert isinstance(load_template(shipped_models()["qwen2.5-tiny"], "dialogue"), ChatTemplate)


def test_positions_are_read_from_every_kind_of_configuration():
    assert max_positions({"n_positions": 1024}) == 1024
    assert max_positions({"max_position_embeddings": 512, "model_type": "bert"}) == 512
    roberta = {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}
    assert max_positions(roberta) == 512
    assert max_positions({"model_type": "rwkv"}) is None


def test_signatures_tell_tasks_apart(gpt2):
    found = {TextTemplate.load(gpt2, task).signature() for task in ("classification", "generation")}
    assert len(found) == 2
