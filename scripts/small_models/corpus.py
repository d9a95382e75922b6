"""The pre-training corpus: what is read, what is kept back, and the record of both."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from qingting.core.dialogue import Dialogue, Message, Role
from qingting.core.errors import DataError, NotFoundError
from qingting.data.leakage import (
    PretrainingRecord,
    PretrainingSource,
    fingerprints,
    held_out_tenth,
)

SYSTEM_PROMPTS = (
    "你是一名专业、温暖的心理咨询师。",
    "你是一位心理咨询师，请倾听来访者，并给予共情和支持。",
    "请以咨询师的身份回应来访者。",
    "现在你是一个心理专家，我有一些心理问题，请你用专业的知识帮我解决。",
    "You are a warm, professional counsellor.",
)
"""Prompts that training dialogues get by turns, beside none at all."""

COUNSELLOR_PROMPT = SYSTEM_PROMPTS[0]
N_PRIMER_COPIES = 6


@dataclass(frozen=True, slots=True)
class Source:
    """A data set, its licence, and whether its kept part is trained on."""

    name: str
    licence: str
    attribution: str
    is_trained_on: bool
    keeps_own_prompt: bool = False


CPSYCOUND = Source(
    "CPsyCoun/CPsyCounD",
    "CC BY 4.0",
    "CPsyCoun: Zhang et al. (2024), github.com/CAS-SIAT-XinHai/CPsyCoun",
    is_trained_on=True,
)
EMOLLM_DATA = Source(
    "EmoLLM/data.json", "MIT", "EmoLLM, github.com/SmartFlowAI/EmoLLM", is_trained_on=True
)
EMOLLM_AIWEI = Source(
    "EmoLLM/aiwei.json",
    "MIT",
    "EmoLLM, github.com/SmartFlowAI/EmoLLM",
    is_trained_on=True,
    keeps_own_prompt=True,
)
EMOLLM_CONVERTED = Source(
    "EmoLLM/converted.json",
    "MIT",
    "EmoLLM, github.com/SmartFlowAI/EmoLLM",
    is_trained_on=False,
)
EMOLLM_TIANGOU = Source(
    "EmoLLM/tiangou.json",
    "MIT",
    "EmoLLM, github.com/SmartFlowAI/EmoLLM",
    is_trained_on=False,
)
EMOLLM_SELF = Source(
    "EmoLLM/self_cognition_EmoLLM.json",
    "MIT",
    "EmoLLM, github.com/SmartFlowAI/EmoLLM",
    is_trained_on=False,
)


class Corpus(NamedTuple):
    """Dialogues by source, the ids kept back, and the revision of each source."""

    dialogues: dict[Source, list[Dialogue]]
    held_out: frozenset[str]
    revisions: dict[Source, str]

    def part(self, source: Source, *, held_out: bool) -> list[Dialogue]:
        """Return the dialogues of a source that were kept back, or those that were not."""
        return [d for d in self.dialogues[source] if (d.id in self.held_out) == held_out]


class Document(NamedTuple):
    """One training text: a conversation, or plain text where ``messages`` is empty."""

    messages: tuple[Message, ...]
    text: str = ""


def read_corpus(data: Path) -> Corpus:
    """Return all sources below ``data`` with a tenth of each kept back.

    Raises:
        NotFoundError: The folder does not hold the sources.
    """
    cpsycoun, emollm = data / "cpsycoun", data / "emollm"
    if not (cpsycoun / "CPsyCounD" / "Data").is_dir() or not (emollm / "data.json").is_file():
        raise NotFoundError(
            f"{data} does not hold cpsycoun/CPsyCounD/Data and emollm/data.json: give the folder "
            "that holds both data sets with --data."
        )
    dialogues = {
        CPSYCOUND: list(_read_cpsycound(cpsycoun / "CPsyCounD" / "Data")),
        EMOLLM_DATA: list(_read_conversations(emollm / "data.json")),
        EMOLLM_AIWEI: list(_read_conversations(emollm / "aiwei.json")),
        EMOLLM_CONVERTED: list(_read_converted(emollm / "converted.json")),
        EMOLLM_TIANGOU: list(_read_conversations(emollm / "tiangou.json")),
        EMOLLM_SELF: list(_read_instructions(emollm / "self_cognition_EmoLLM.json")),
    }
    revisions = {
        source: _revision((cpsycoun if source is CPSYCOUND else emollm) / "SOURCE.txt")
        for source in dialogues
    }
    held_out = held_out_tenth({source.name: found for source, found in dialogues.items()})
    return Corpus(dialogues, held_out, revisions)


def read_primer() -> list[str]:
    """Return the paragraphs of the English primer that ships with the counselling pack."""
    path = resources.files("qingting.domains.counselling") / "primer.en.txt"
    return [part.strip() for part in path.read_text(encoding="utf-8").split("\n\n") if part.strip()]


def pretraining_record(corpus: Corpus) -> PretrainingRecord:
    """Return the record of what was trained on and what was kept back.

    The rows of converted.json are those of data.json as instructions with their history, so both
    forms of these dialogues are recorded.

    Raises:
        DataError: Something seen shares a fingerprint with something kept back.
    """
    seen: set[str] = set()
    held_out: set[str] = set()
    sources = []
    for source, dialogues in corpus.dialogues.items():
        back = corpus.part(source, held_out=True)
        for dialogue in back:
            held_out |= _fingerprints_of_forms(dialogue, source)
        if source.is_trained_on or source is EMOLLM_CONVERTED:
            for dialogue in corpus.part(source, held_out=False):
                seen |= _fingerprints_of_forms(dialogue, source)
        sources.append(
            PretrainingSource(
                name=source.name,
                licence=source.licence,
                attribution=source.attribution,
                revision=corpus.revisions[source],
                n_dialogues=len(dialogues),
                n_held_out=len(back),
                is_trained_on=source.is_trained_on,
            )
        )
    if not seen.isdisjoint(held_out):
        raise DataError("a dialogue that was kept back shares its opening with one that was not")
    return PretrainingRecord(tuple(sources), frozenset(seen), frozenset(held_out))


def training_documents(corpus: Corpus, rng: random.Random) -> list[Document]:
    """Return one epoch of documents in random order, each dialogue with a prompt or none."""
    documents = []
    for source in corpus.dialogues:
        if not source.is_trained_on:
            continue
        for dialogue in corpus.part(source, held_out=False):
            system = dialogue.messages[: len(dialogue.messages) - len(dialogue.turns)]
            if not source.keeps_own_prompt:
                prompt = rng.choice((*SYSTEM_PROMPTS, COUNSELLOR_PROMPT, None))
                system = (Message("system", prompt),) if prompt else ()
            documents.append(Document((*system, *dialogue.turns)))
    documents.extend(Document((), text) for text in read_primer() * N_PRIMER_COPIES)
    rng.shuffle(documents)
    return documents


_SPEAKERS: dict[str, Role] = {"来访者": "user", "心理咨询师": "assistant"}


def _read_cpsycound(folder: Path) -> Iterator[Dialogue]:
    """Yield the dialogues; a line without a speaker goes on the turn before it."""
    for path in sorted(folder.glob("*.txt")):
        turns: list[Message] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            speaker, colon, words = line.strip().partition("：")
            role = _SPEAKERS.get(speaker.strip()) if colon else None
            if role is None:
                role, words = (turns[-1].role, line.strip()) if turns else (None, "")
            if role is None or not words.strip():
                continue
            if turns and turns[-1].role == role:
                turns[-1] = Message(role, f"{turns[-1].content}\n{words.strip()}")
            else:
                turns.append(Message(role, words.strip()))
        if turns:
            yield Dialogue(f"cpsycound-{path.stem}", tuple(turns))


def _read_conversations(path: Path) -> Iterator[Dialogue]:
    for index, row in enumerate(_read_json(path)):
        pairs = row["conversation"]
        messages = [Message("system", pairs[0]["system"])] if pairs[0].get("system") else []
        for pair in pairs:
            messages += [Message("user", pair["input"]), Message("assistant", pair["output"])]
        yield Dialogue(f"{path.stem}-{index}", tuple(messages))


def _read_converted(path: Path) -> Iterator[Dialogue]:
    """Yield data.json again, taken back from its instruction form."""
    marks: dict[str, Role] = {"来访者：": "user", "医生：": "assistant"}
    for index, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        _, _, history = row["instruction"].partition("对话：\n")
        turns: list[Message] = []
        for part in (history + row["output"]).splitlines():
            mark = next((mark for mark in marks if part.startswith(mark)), None)
            if mark is not None:
                turns.append(Message(marks[mark], part.removeprefix(mark)))
            elif turns:
                turns[-1] = Message(turns[-1].role, f"{turns[-1].content}\n{part}")
        yield Dialogue(f"{path.stem}-{index}", tuple(turns))


def _read_instructions(path: Path) -> Iterator[Dialogue]:
    for index, row in enumerate(_read_json(path)):
        asked = "\n".join(part for part in (row["instruction"], row["input"]) if part)
        turns = (Message("user", asked), Message("assistant", row["output"]))
        yield Dialogue(f"{path.stem}-{index}", turns)


def _fingerprints_of_forms(dialogue: Dialogue, source: Source) -> frozenset[str]:
    own = fingerprints(dialogue)
    if source in (EMOLLM_DATA, EMOLLM_CONVERTED):
        return own | fingerprints(_as_instruction(dialogue))
    return own


def _as_instruction(dialogue: Dialogue) -> Dialogue:
    """Return a dialogue as converted.json would put it: history as an instruction, one answer."""
    labels = {"user": "来访者：", "assistant": "医生："}
    lines = [labels[role] + words for role, words in dialogue.turns[:-1]]
    prompt = "".join(m.content for m in dialogue.messages if m.role == "system")
    instruction = "\n".join([f"{prompt}\n\n对话：", *lines, "医生："])
    answer = dialogue.turns[-1].content
    turns = (Message("user", instruction), Message("assistant", answer))
    return Dialogue(f"{dialogue.id}-instruction", turns)


def _read_json(path: Path) -> Sequence[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _revision(path: Path) -> str:
    """Return the commit of a data set: the second word of its SOURCE.txt."""
    return path.read_text(encoding="utf-8").split()[1]
