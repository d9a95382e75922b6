"""Turn multiple-choice questions into prompts, and into options whose likelihood is measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from qingting.core.errors import DataError
from qingting.core.missing import Missing
from qingting.metrics.choice import Choice, always_one_letter
from qingting.stages.base import Context, Summary, seeded_place, write_jsonl

_ASK = {
    ("zh", "single"): "以下是一道单项选择题，请只回答正确选项的字母。",
    ("zh", "multiple"): "以下是一道多项选择题，请只回答所有正确选项的字母。",
    (
        "en",
        "single",
    ): "This is a multiple-choice question with one right answer. Reply with its letter only.",
    (
        "en",
        "multiple",
    ): "This is a multiple-choice question with several right answers. Reply with their letters only.",
}

_LETTER = re.compile("[A-Z]")

_JUDGE = {
    "zh": ("对下面这道题来说，这个选项正确吗？请只回答“是”或“否”。", "是", "否"),
    "en": ("Is this option right for the question below? Reply with Yes or No only.", "Yes", "No"),
}


def run(context: Context) -> Summary:
    """Write ``questions.jsonl``, ``prompts.jsonl`` and ``choices.jsonl``, in the same order."""
    config = context.config
    questions = list(_read(context))
    if config["language"] is not None:
        questions = [q for q in questions if q["language"] == config["language"]]
    if config["n_questions"] is not None and config["n_questions"] < len(questions):
        order = sorted(questions, key=lambda q: seeded_place(config["seed"], q["id"]))
        chosen = {q["id"] for q in order[: config["n_questions"]]}
        questions = [q for q in questions if q["id"] in chosen]
    if not questions:
        raise DataError(
            f"{context.stage.sources['questions']}: no question in language {config['language']!r}"
        )
    messages = [_messages(q, config["system_prompt"]) for q in questions]
    write_jsonl(context.output / "questions.jsonl", questions)
    write_jsonl(
        context.output / "prompts.jsonl",
        [{"id": q["id"], "messages": m} for q, m in zip(questions, messages, strict=True)],
    )
    write_jsonl(
        context.output / "choices.jsonl",
        [choice for q in questions for choice in _choices(q, config["system_prompt"])],
    )
    return {
        "n_questions": len(questions),
        "n_multiple": sum(q["kind"] == "multiple" for q in questions),
        "subfields": sorted({q["subfield"] for q in questions}),
        "baselines": _baselines(questions),
    }


def _baselines(questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what no knowledge scores exactly right: chance, and each letter always."""
    chances = [
        1 / len(q["options"]) if q["kind"] == "single" else 1 / (2 ** len(q["options"]) - 1)
        for q in questions
    ]
    keys: list[Choice | Missing] = [frozenset(q["answer"]) for q in questions]
    letters = sorted({letter for q in questions for letter in q["options"]})
    rows = [("chance", sum(chances) / len(chances))]
    rows += [
        (f"always {one.letter}", one.n_right / one.n_items)
        for one in always_one_letter(keys, letters)
    ]
    return [{"name": name, "metric": "knowledge-exact", "value": value} for name, value in rows]


def _read(context: Context) -> Iterator[dict[str, Any]]:
    """Yield the questions of a file; a key that names no option is an error, never guessed."""
    path = context.stage.sources["questions"]
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            try:
                question = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise DataError(f"{place}: not JSON ({error})") from None
            _check(question, place, seen)
            yield {**question, "answer": sorted(question["answer"])}


def _check(question: Any, place: str, seen: set[str]) -> None:
    needed = {"id", "language", "kind", "question", "options", "answer", "subfield"}
    if not isinstance(question, dict) or needed - question.keys():
        missing = ", ".join(
            sorted(needed - (question.keys() if isinstance(question, dict) else set()))
        )
        raise DataError(f"{place}: a question needs {missing}")
    if question["language"] not in ("zh", "en") or question["kind"] not in ("single", "multiple"):
        raise DataError(f"{place}: language is zh or en, kind is single or multiple")
    if question["id"] in seen:
        raise DataError(f"{place}: id {question['id']!r} stands twice")
    seen.add(question["id"])
    options = question["options"]
    if (
        not isinstance(options, dict)
        or len(options) < 2
        or not all(
            _LETTER.fullmatch(letter) and isinstance(text, str) for letter, text in options.items()
        )
    ):
        raise DataError(f"{place}: options are two or more, each a capital letter with its text")
    unknown = sorted(set(question["answer"]) - set(question["options"]))
    if unknown or not question["answer"]:
        raise DataError(f"{place}: the key {question['answer']} names no option of this question")
    if question["kind"] == "single" and len(question["answer"]) != 1:
        raise DataError(f"{place}: a single-answer question has the key {question['answer']}")


def _choices(question: Mapping[str, Any], system_prompt: str | None) -> Iterator[dict[str, Any]]:
    """Yield what is scored by likelihood: the letters of a single-answer question against each
    other; for several answers each option by its own yes-or-no question, ``id#letter``.
    """
    if question["kind"] == "single":
        yield {
            "id": question["id"],
            "messages": _messages(question, system_prompt),
            "options": {letter: letter for letter in question["options"]},
        }
        return
    judge, yes, no = _JUDGE[question["language"]]
    for letter, text in question["options"].items():
        content = f"{judge}\n\n{question['question']}\n{letter}. {text}"
        yield {
            "id": f"{question['id']}#{letter}",
            "messages": _prompt(content, system_prompt),
            "options": {"yes": yes, "no": no},
        }


def _messages(question: Mapping[str, Any], system_prompt: str | None) -> list[dict[str, str]]:
    options = "\n".join(f"{letter}. {text}" for letter, text in question["options"].items())
    ask = _ASK[question["language"], question["kind"]]
    return _prompt(f"{ask}\n\n{question['question']}\n{options}", system_prompt)


def _prompt(content: str, system_prompt: str | None) -> list[dict[str, str]]:
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, {"role": "user", "content": content}]
