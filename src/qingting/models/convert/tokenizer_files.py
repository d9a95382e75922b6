"""The tokenizer files of a converted folder, family by family."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qingting.core.errors import ModelError
from qingting.models.convert import chat_templates
from qingting.models.convert.plan import Plan
from qingting.models.convert.sentencepiece_model import SentencePieceModel, read_sentencepiece
from qingting.models.convert.source import read_json
from qingting.models.convert.tokenizer import AddedPiece, fast_tokenizer

_CHATGLM3_CONTROLS = (
    *("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
)
_CHATGLM3_WORDS = ("sop", "eop")
"""Controls that are spelled like words: found only where they stand alone (not in "philosophy")."""

_BAICHUAN2_ROLES = {"user_token_id": 195, "assistant_token_id": 196}
_GPT_OSS_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("chat_template.jinja", "generation_config.json"),
)
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """Names and contents of the tokenizer's files, and what generation must know of the tokens."""

    contents: Mapping[str, bytes]
    generation: Mapping[str, Any] = field(default_factory=dict)


def tokenizer_files(folder: Path, plan: Plan) -> TokenizerFiles:
    """Return the tokenizer files for a source folder.

    Raises:
        ModelError: the source's tokenizer is missing, damaged, another family's, or cannot be
            brought to a fast tokenizer with the same ids.
    """
    if plan.layout == "GPT-OSS MXFP4":
        return _gpt_oss(folder)
    settings = _settings(folder)
    name = str(settings.get("tokenizer_class", ""))
    if name.startswith("ChatGLM4"):
        raise ModelError(
            f"{folder}: the tokenizer is that of GLM-4, which has native checkpoints "
            "(THUDM/glm-4-9b-chat-hf); use those"
        )
    model = read_sentencepiece(folder / "tokenizer.model")
    place = str(folder / "tokenizer.model")
    build = {"ChatGLM3": _chatglm3, "Baichuan2-7B": _baichuan2, "InternLM2": _internlm2}
    files = build[plan.layout](folder, model, settings, place)
    n_tokens = max(json.loads(files.contents["tokenizer.json"])["model"]["vocab"].values()) + 1
    if n_tokens > plan.config["vocab_size"]:
        raise ModelError(
            f"{folder}: the tokenizer has {n_tokens} tokens and the model "
            f"{plan.config['vocab_size']}; fetch both from one model"
        )
    return files


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return read_json(path) if path.is_file() else {}


def _generation(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    values = read_json(path) if path.is_file() else {}
    values.pop("transformers_version", None)
    return values


def _chatglm3(
    folder: Path, model: SentencePieceModel, settings: Mapping[str, Any], place: str
) -> TokenizerFiles:
    if "chatglm2" in str(settings.get("name_or_path", "")).lower():
        raise ModelError(f"{folder}: ChatGLM2, whose prompts are others; use ChatGLM3-6B")
    first = len(model.pieces)
    unknown, end = model.pieces[0].text, model.pieces[2].text if first > 2 else "</s>"
    added = [
        AddedPiece(0, unknown),
        AddedPiece(2, end),
        *(
            AddedPiece(first + i, text, single_word=text in _CHATGLM3_WORDS)
            for i, text in enumerate(_CHATGLM3_CONTROLS)
        ),
    ]
    tokenizer = fast_tokenizer(model, added=added, before_text=("[gMASK]", "sop"), place=place)
    template = chat_templates.chatglm3(dummy_prefix=model.add_dummy_prefix)
    ids = {text: first + i for i, text in enumerate(_CHATGLM3_CONTROLS)}
    config = {
        "eos_token": end,
        "pad_token": unknown,
        "unk_token": unknown,
        "padding_side": "left",
        **_length(settings),
    }
    # The published chat() stops at these; an answer ends where the next turn begins.
    generation = {"eos_token_id": [2, ids["<|user|>"], ids["<|observation|>"]], "pad_token_id": 0}
    return _files(tokenizer.to_str(), config, template, {**generation, **_generation(folder)})


def _baichuan2(
    folder: Path, model: SentencePieceModel, settings: Mapping[str, Any], place: str
) -> TokenizerFiles:
    generation = _generation(folder)
    roles = {}
    for key, default in _BAICHUAN2_ROLES.items():
        token_id = generation.get(key, default)
        if not isinstance(token_id, int) or not 0 <= token_id < len(model.pieces):
            raise ModelError(f"{folder}: {key} {token_id!r} is no token of tokenizer.model")
        roles[key] = model.pieces[token_id].text
    tokenizer = fast_tokenizer(model, added=_named_tokens(settings, model, place), place=place)
    template = chat_templates.baichuan2(
        roles["user_token_id"],
        roles["assistant_token_id"],
        dummy_prefix=model.add_dummy_prefix,
    )
    config = {**_named_texts(settings, model), **_length(settings)}
    return _files(tokenizer.to_str(), config, template, generation)


def _internlm2(
    folder: Path, model: SentencePieceModel, settings: Mapping[str, Any], place: str
) -> TokenizerFiles:
    added = _named_tokens(settings, model, place)
    texts = _named_texts(settings, model)
    before = (texts["bos_token"],) if settings.get("add_bos_token", True) else ()
    tokenizer = fast_tokenizer(model, added=added, before_text=before, place=place)
    template = settings.get("chat_template")
    config = {**texts, **_length(settings)}
    return _files(
        tokenizer.to_str(),
        config,
        template if isinstance(template, str) else chat_templates.INTERNLM2,
        _generation(folder),
    )


def _named_texts(settings: Mapping[str, Any], model: SentencePieceModel) -> dict[str, str]:
    """Return the spellings of the tokens that have a role; SentencePiece's own where none is said."""
    fallback = {"bos_token": 1, "eos_token": 2, "unk_token": model.unknown_id, "pad_token": 2}
    texts = {}
    for role in _NAMED:
        value = settings.get(role)
        text = value.get("content") if isinstance(value, dict) else value
        texts[role] = text if isinstance(text, str) else model.pieces[fallback[role]].text
    return texts


def _named_tokens(
    settings: Mapping[str, Any], model: SentencePieceModel, place: str
) -> list[AddedPiece]:
    """Return the control tokens that tokenizer_config.json names, with their flags."""
    ids = {piece.text: i for i, piece in enumerate(model.pieces)}
    tokens: dict[int, AddedPiece] = {}
    listed = settings.get("added_tokens_decoder") or {}
    if not isinstance(listed, dict):
        raise ModelError(f"{place}: added_tokens_decoder in tokenizer_config.json is no mapping")
    for key, value in listed.items():
        if not str(key).isdigit() or not isinstance(value, dict):
            raise ModelError(f"{place}: added_tokens_decoder has the odd entry {key!r}")
        tokens[int(key)] = _added(int(key), value, place)
    known = {token.content for token in tokens.values()}
    for role, text in _named_texts(settings, model).items():
        if text in known:
            continue
        if text not in ids:
            raise ModelError(f"{place}: {role} {text!r} in tokenizer_config.json is no piece")
        value = settings.get(role)
        tokens[ids[text]] = _added(
            ids[text], value if isinstance(value, dict) else {"content": text}, place
        )
        known.add(text)
    return list(tokens.values())


def _added(token_id: int, value: Mapping[str, Any], place: str) -> AddedPiece:
    content = value.get("content")
    if not isinstance(content, str) or not content:
        raise ModelError(f"{place}: added token {token_id} has no content")
    flags = {key: bool(value.get(key, False)) for key in ("single_word", "lstrip", "rstrip")}
    return AddedPiece(token_id, content, special=bool(value.get("special", True)), **flags)


def _length(settings: Mapping[str, Any]) -> dict[str, Any]:
    length = settings.get("model_max_length")
    return {"model_max_length": length} if isinstance(length, int) else {}


def _files(
    tokenizer: str, config: Mapping[str, Any], template: str, generation: Mapping[str, Any]
) -> TokenizerFiles:
    # LlamaTokenizer and its like rebuild their own pipeline and ignore tokenizer.json's.
    full = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **config,
        "clean_up_tokenization_spaces": False,
    }
    return TokenizerFiles(
        {
            "tokenizer.json": tokenizer.encode(),
            "tokenizer_config.json": as_json(full),
            "chat_template.jinja": template.encode(),
        },
        generation,
    )


def _gpt_oss(folder: Path) -> TokenizerFiles:
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(f"{folder}: no tokenizer.json; fetch it as well")
    present = [name for name in _GPT_OSS_FILES if (folder / name).is_file()]
    contents = {name: (folder / name).read_bytes() for name in present}
    contents.pop("generation_config.json", None)
    return TokenizerFiles(contents, _generation(folder))


def as_json(values: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return readable JSON, as the files of a model folder are written."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
