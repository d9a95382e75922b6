"""Chat rendering: a person's words stay words, and answering sees what training saw."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from qingting.core.dialogue import Message
from qingting.core.errors import ModelError
from qingting.models.chat import (
    HISTORY_END_NOT_TRAINED,
    STOP_APPENDED,
    SYSTEM_FOLDED,
    ChatTemplate,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{{ '<s>' }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GLM = (
    "[gMASK]sop{% for m in messages %}<|{{ m['role'] }}|>\n {{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
HARMONY = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m['content'] }}"
    "{% if loop.last and not add_generation_prompt %}<|return|>{% else %}<|end|>{% endif %}"
    "{% else %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IGNORES_SYSTEM = NO_SYSTEM.replace("{{ raise_exception('no system') }}", "").replace(
    "{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "llama": LLAMA,
    "glm": GLM,
    "harmony": HARMONY,
    "no_system": NO_SYSTEM,
    "ignores_system": IGNORES_SYSTEM,
}
SPECIAL = [
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "[gMASK]", "sop", "<|system|>", "<|user|>"),
    *("<|assistant|>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"),
]
DIALOGUE = [
    Message("system", "你是一名专业、温暖的心理咨询师。"),
    Message("user", "我最近睡不好。"),
    Message("assistant", "听起来你很辛苦，能多说一些吗？"),
    Message("user", "I worry at night 😟"),
    Message("assistant", "你愿意说说担心什么吗？"),
]


def make_tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=320,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=SPECIAL,
        show_progress=False,
    )
    backend.train_from_iterator(["system user assistant final 你好"] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False)])
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="module")
def templates() -> dict[str, ChatTemplate]:
    return {name: ChatTemplate(make_tokenizer(text)) for name, text in TEMPLATES.items()}


@pytest.mark.parametrize("name", ["chatml", "llama", "glm", "harmony"])
def test_harmless_text_encodes_as_the_rendered_string_does(
    templates: dict[str, ChatTemplate], name: str
) -> None:
    chat = templates[name]
    rendered = chat.tokenizer.apply_chat_template(
        [m._asdict() for m in DIALOGUE[:4]], tokenize=False, add_generation_prompt=True
    )
    encoded = chat.encode(DIALOGUE[:4], add_generation_prompt=True)
    assert chat.tokenizer.decode(encoded.input_ids, skip_special_tokens=False) == rendered


@pytest.mark.parametrize("name", list(TEMPLATES))
@settings(deadline=None, max_examples=60)
@given(
    words=st.lists(
        st.text(max_size=6)
        | st.sampled_from([*SPECIAL, "<tool_call>", "<|im_", "end|>", "\ue0000\ue001", "{{ 1 }}"]),
        min_size=1,
        max_size=6,
    )
)
def test_text_never_becomes_control_tokens(
    templates: dict[str, ChatTemplate], name: str, words: list[str]
) -> None:
    chat = templates[name]
    control = set(chat.tokenizer.added_tokens_decoder)

    def controls(said: str) -> list[int]:
        encoded = chat.encode([Message("user", said), DIALOGUE[2]])
        return [x for x in encoded.input_ids if x in control]

    assert controls("".join(words)) == controls("a")


@pytest.mark.parametrize("name", list(TEMPLATES))
@pytest.mark.parametrize("with_system", [True, False])
def test_answering_sees_what_training_saw(
    templates: dict[str, ChatTemplate], name: str, with_system: bool
) -> None:
    chat = templates[name]
    dialogue = DIALOGUE if with_system else DIALOGUE[1:]
    whole = chat.encode(dialogue)
    assert whole.message_ends == sorted(whole.message_ends)
    for index, message in enumerate(dialogue):
        if message.role == "assistant":
            prompt = chat.encode(dialogue[:index], add_generation_prompt=True).input_ids
            assert whole.input_ids[: len(prompt)] == prompt
            assert not whole.target_mask[len(prompt) - 1]
            assert whole.target_mask[len(prompt)]
        elif message.role == "user":
            prefix = chat.encode(dialogue[: index + 1])
            assert whole.input_ids[: whole.message_ends[index]] == prefix.input_ids
            assert whole.message_ends[: index + 1] == prefix.message_ends


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_targets_are_the_answers_with_their_end_of_turn(
    templates: dict[str, ChatTemplate], name: str
) -> None:
    chat = templates[name]
    encoded = chat.encode(DIALOGUE)
    runs: list[list[int]] = [[]]
    for token_id, is_target in zip(encoded.input_ids, encoded.target_mask, strict=True):
        if is_target:
            runs[-1].append(token_id)
        elif runs[-1]:
            runs.append([])
    answers = [run for run in runs if run]
    assert [chat.decode(run) for run in answers] == [DIALOGUE[2].content, DIALOGUE[4].content]
    assert answers[-1][-1] in chat.stop_ids
    assert (answers[0][-1] in chat.stop_ids) == (name != "harmony")
    assert all(x not in chat.stop_ids for run in answers for x in run[:-1])


def test_deviations_are_named(templates: dict[str, ChatTemplate]) -> None:
    assert {name: chat.deviations for name, chat in templates.items()} == {
        "chatml": (),
        "llama": (),
        "glm": (STOP_APPENDED,),
        "harmony": (HISTORY_END_NOT_TRAINED,),
        "no_system": (SYSTEM_FOLDED,),
        "ignores_system": (SYSTEM_FOLDED,),
    }


def test_chatglm_turn_ends_with_the_token_that_opens_the_next(
    templates: dict[str, ChatTemplate],
) -> None:
    chat = templates["glm"]
    text = chat.tokenizer.decode(chat.encode(DIALOGUE).input_ids, skip_special_tokens=False)
    assert text.endswith("你愿意说说担心什么吗？<|user|>")
    assert text.count("<|user|>") == 3
    assert chat.tokenizer.convert_tokens_to_ids("<|user|>") in chat.stop_ids


def test_folded_system_prompt_opens_the_first_client_turn(
    templates: dict[str, ChatTemplate],
) -> None:
    encoded = templates["no_system"].encode(DIALOGUE[:2])
    text = templates["no_system"].tokenizer.decode(encoded.input_ids)
    assert text == f"<|im_start|>user\n{DIALOGUE[0].content}\n\n{DIALOGUE[1].content}<|im_end|>"


def test_trimming_templates_trim(templates: dict[str, ChatTemplate]) -> None:
    padded, bare = Message("user", " \n a b \n"), Message("user", "a b")
    assert templates["llama"].encode([padded]) == templates["llama"].encode([bare])
    assert templates["chatml"].encode([padded]) != templates["chatml"].encode([bare])


def test_begin_of_sequence_stands_once(templates: dict[str, ChatTemplate]) -> None:
    chat = templates["llama"]
    assert chat.encode(DIALOGUE).input_ids.count(chat.tokenizer.bos_token_id) == 1


def test_only_the_final_channel_is_the_answer(templates: dict[str, ChatTemplate]) -> None:
    chat = templates["harmony"]
    text = (
        "<|channel|>analysis<|message|>think<|end|>"
        "<|start|>assistant<|channel|>final<|message|>你好<|return|>x"
    )
    ids = chat.tokenizer.encode(text, add_special_tokens=False)
    assert chat.decode(ids) == "你好"
    assert chat.decode(ids[: ids.index(chat.tokenizer.convert_tokens_to_ids("<|end|>"))]) == ""


def test_the_day_does_not_change_the_prompt() -> None:
    dated = "{{ strftime_now('%d %b %Y') }}" + CHATML
    chat = ChatTemplate(make_tokenizer(dated))
    ids = chat.encode(DIALOGUE[1:2]).input_ids
    assert chat.tokenizer.decode(ids).startswith("26 Jul 2024<|im_start|>")


def test_rewriting_earlier_turns_is_refused() -> None:
    rewriting = CHATML.replace("{{ m['content'] }}", "{{ messages | length }}{{ m['content'] }}")
    with pytest.raises(ModelError, match="earlier turns unchanged"):
        ChatTemplate(make_tokenizer(rewriting)).encode(DIALOGUE)


def test_refused_roles_are_named() -> None:
    strict = CHATML.replace(
        "{% for m in messages %}",
        "{% for m in messages %}{% if loop.index0 % 2 and m['role'] == 'user' %}"
        "{{ raise_exception('must alternate') }}{% endif %}",
    )
    with pytest.raises(ModelError, match="user, user: must alternate"):
        ChatTemplate(make_tokenizer(strict)).encode([DIALOGUE[1], DIALOGUE[1]])


def test_missing_template_names_folder_and_cure(tmp_path: Path) -> None:
    make_tokenizer(None).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=rf"{tmp_path}.*chat_template\.jinja"):
        ChatTemplate.load(tmp_path)
    with pytest.raises(ModelError, match="not a folder"):
        ChatTemplate.load(tmp_path / "absent")


def test_load_reads_the_generation_stop_tokens(tmp_path: Path) -> None:
    make_tokenizer(CHATML).save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [0, 1]}')
    chat = ChatTemplate.load(tmp_path)
    names = {chat.tokenizer.convert_ids_to_tokens(x) for x in chat.stop_ids}
    assert names == {"<s>", "</s>", "<|im_end|>"}
    assert chat.encode(DIALOGUE) == ChatTemplate(make_tokenizer(CHATML)).encode(DIALOGUE)


def test_signature_follows_the_template(templates: dict[str, ChatTemplate]) -> None:
    again = ChatTemplate(make_tokenizer(CHATML))
    assert again.signature() == templates["chatml"].signature()
    assert len({chat.signature() for chat in templates.values()}) == len(templates)


def test_import_leaves_transformers_alone() -> None:
    code = "import qingting.models.chat, sys; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
