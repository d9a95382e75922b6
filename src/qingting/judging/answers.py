"""Answers of arms to scenarios: from a table of one's own, or from the folder of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qingting.core.columns import Columns, find_column, read_columns
from qingting.core.errors import DataError, NotFoundError, Problem, SpecificationError
from qingting.store.artifacts import Artifact, ArtifactStore

Turn = Mapping[str, str]
"""``{"role": "user" | "assistant", "content": text}``."""


@dataclass(frozen=True)
class Answer:
    """What one arm said to one item.

    ``turns``: one answer, or a whole conversation that ends with the arm. ``prompt``: what was said
    before, for items that no pack holds.
    """

    arm: str
    ref: str
    language: str
    turns: tuple[Turn, ...]
    prompt: tuple[Turn, ...] | None = None
    kind: str | None = None


def read_answers(path: Path) -> tuple[Answer, ...]:
    """Return the answers in a CSV, TSV or JSON Lines table.

    Columns: ``arm`` (or ``model``), ``scenario`` (``item``, ``prompt_id``, ``id``), ``answer``
    (``response``, ``text``), or ``turns`` as JSON; ``language``; and for items of one's own
    ``prompt`` (what the client wrote, as text or JSON turns) and ``kind``.

    Raises:
        DataError, SpecificationError: what cannot be used, with file, line and column.
    """
    return answers_of_table(read_columns(path))


def answers_of_table(table: Columns) -> tuple[Answer, ...]:
    """Return the answers in a table; see ``read_answers``.

    Raises:
        SpecificationError: what cannot be used, with line and column.
    """
    names = {
        role: find_column(table, role=role, names=known, required=role in ("arm", "scenario"))
        for role, known in (
            ("arm", ("arm", "model")),
            ("scenario", ("scenario", "item", "prompt_id", "id")),
            ("answer", ("answer", "response", "text")),
            ("turns", ("turns", "messages")),
            ("language", ("language", "lang")),
            ("prompt", ("prompt", "question")),
            ("kind", ("kind",)),
        )
    }
    if names["answer"] is None and names["turns"] is None:
        raise SpecificationError(
            f"{table.path}: no column holds the answers (known names: answer, response, text, turns); "
            f"found {', '.join(table.names)}"
        )
    answers: list[Answer] = []
    problems: list[Problem] = []
    for row in range(len(table)):
        found = _answer(table, row, names)
        if isinstance(found, Answer):
            answers.append(found)
        else:
            problems.append(found)
    problems += _twice(answers)
    if problems:
        raise SpecificationError(problems)
    return tuple(answers)


def _answer(table: Columns, row: int, names: Mapping[str, str | None]) -> Answer | Problem:
    def cell(role: str) -> str:
        name = names[role]
        return table.values(name)[row] if name else ""

    def wrong(role: str, message: str) -> Problem:
        column = f", column {names[role]!r}" if names[role] else ""
        return Problem(f"{table.path}:{table.lines[row]}{column}", message)

    for role in ("arm", "scenario"):
        if not cell(role).strip():
            return wrong(role, "empty")
    turns = turns_of(cell("turns"), role="assistant") if cell("turns") else None
    if turns is None:
        if not cell("answer").strip():
            return wrong("answer", "an empty answer; a model that gave none has not answered")
        turns = ({"role": "assistant", "content": cell("answer")},)
    if not turns or turns[-1]["role"] != "assistant":
        return wrong("turns", "not a list of turns that ends with the assistant")
    prompt = turns_of(cell("prompt"), role="user") if cell("prompt").strip() else None
    if prompt == ():
        return wrong("prompt", "not a text or a list of turns with role and content")
    spoken = (prompt or turns)[0]["content"]
    language = cell("language").strip().lower() or language_of(spoken)
    if language not in ("zh", "en"):
        return wrong("language", f"{language!r} is neither zh nor en")
    kind = cell("kind").strip() or None
    return Answer(cell("arm").strip(), cell("scenario").strip(), language, turns, prompt, kind)


def turns_of(text: str, *, role: str) -> tuple[Turn, ...]:
    """Return turns from JSON, or the text as one turn of ``role``; empty when it is neither."""
    if not text.lstrip().startswith("["):
        return ({"role": role, "content": text},)
    try:
        raw = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return ({"role": role, "content": text},)
    turns = []
    for one in raw:
        if (
            not isinstance(one, dict)
            or one.get("role") not in ("user", "assistant")
            or not isinstance(one.get("content"), str)
        ):
            return ()
        turns.append({"role": one["role"], "content": one["content"]})
    return tuple(turns)


def language_of(text: str) -> str:
    """Return ``zh`` where a fifth of the letters are Han characters, else ``en``."""
    letters = [c for c in text if c.isalpha()]
    n_han = sum("一" <= c <= "鿿" for c in letters)
    return "zh" if letters and n_han >= len(letters) / 5 else "en"


def _twice(answers: Sequence[Answer]) -> list[Problem]:
    seen: set[tuple[str, str, str]] = set()
    problems = []
    for one in answers:
        key = (one.arm, one.ref, one.language)
        if key in seen:
            problems.append(
                Problem("", f"{one.arm} answers {one.ref} ({one.language}) twice; keep one answer")
            )
        seen.add(key)
    return problems


@dataclass(frozen=True)
class Run:
    """What a finished run offers to judge: answers, and the study that its experiment asks for."""

    answers: tuple[Answer, ...]
    judging: Mapping[str, Any] | None
    """The experiment's ``judging`` section, as JSON."""


def answers_of_run(work: Path) -> Run:
    """Return what every arm of a finished run answered, to scenarios or else to held-out prompts.

    Raises:
        NotFoundError: the folder holds no finished report with answers.
    """
    store = ArtifactStore.for_reading(work)
    ingredients = _ingredients(store, work)
    inputs: Mapping[str, str] = ingredients["inputs"]
    arms = [str(arm["id"]) for arm in ingredients["config"]["arms"]]
    # scenarios are what a study is about; without them the held-out prompts serve
    part = "scenarios" if "scenarios" in inputs else "prompts"
    suffix = "/scenarios" if part == "scenarios" else ""
    answers = answers_to(
        _rows(store, inputs.get(part), "prompts.jsonl"),
        {
            arm: _rows(store, inputs.get(f"generate/{arm}{suffix}"), "responses.jsonl")
            for arm in arms
        },
    )
    if not answers:
        raise NotFoundError(f"{work}: this run holds no answers to judge (evaluations.text is off)")
    return Run(answers, ingredients["config"]["experiment"].get("judging"))


def answers_to(
    prompts: Iterable[Mapping[str, Any]],
    responses_arms: Mapping[str, Iterable[Mapping[str, Any]]],
) -> tuple[Answer, ...]:
    """Return what arms said to prompts; an arm that said nothing to one has not answered it."""
    known = {row["id"]: row for row in prompts}
    return tuple(
        _of_run(arm, row["text"], known[row["id"]])
        for arm, rows in responses_arms.items()
        for row in rows
        if row["id"] in known and row["text"].strip()
    )


def arms_of_run(work: Path) -> tuple[tuple[str, ...], Mapping[str, Any] | None]:
    """Return the arms of a finished run, and its experiment's ``judging`` section.

    Raises:
        NotFoundError: the folder holds no finished report.
    """
    config = _ingredients(ArtifactStore.for_reading(work), work)["config"]
    return tuple(str(arm["id"]) for arm in config["arms"]), config["experiment"].get("judging")


def _ingredients(store: ArtifactStore, work: Path) -> dict[str, Any]:
    """Return what the newest report of a run was made from."""
    reports = [
        found
        for key in store.artifact_keys()
        if (found := store.find(key)) is not None and found.manifest["stage"] == "report"
    ]
    if not reports:
        raise NotFoundError(
            f"{work}: no finished run; name the work folder of `qingting run`, "
            "the one that holds artifacts/"
        )
    newest = max(reports, key=lambda artifact: str(artifact.manifest["finished"]))
    ingredients: dict[str, Any] = newest.manifest["ingredients"]
    return ingredients


def _rows(store: ArtifactStore, key: str | None, name: str) -> list[dict[str, Any]]:
    artifact: Artifact | None = store.find(key) if key else None
    if artifact is None or not (artifact / name).is_file():
        return []
    with (artifact / name).open("rb") as file:
        return [orjson.loads(line) for line in file if line.strip()]


def _of_run(arm: str, text: str, prompt: Mapping[str, Any]) -> Answer:
    turns = tuple(
        {"role": turn["role"], "content": turn["content"]}
        for turn in prompt["messages"]
        if turn["role"] != "system"
    )
    return Answer(
        arm=arm,
        ref=str(prompt.get("scenario", prompt["id"])),
        language=prompt["language"],
        turns=({"role": "assistant", "content": text},),
        prompt=turns,
        kind=None,
    )


def complete_items(answers: Sequence[Answer]) -> tuple[tuple[Answer, ...], int]:
    """Return the answers to items that every arm answered, and how many items were left out."""
    arms = {one.arm for one in answers}
    by_item: dict[tuple[str, str], set[str]] = {}
    for one in answers:
        by_item.setdefault((one.ref, one.language), set()).add(one.arm)
    complete = {item for item, have in by_item.items() if have == arms}
    kept = tuple(one for one in answers if (one.ref, one.language) in complete)
    return kept, len(by_item) - len(complete)


def check_complete(answers: Sequence[Answer], *, arms: Sequence[str]) -> None:
    """Raise unless every arm answered every item; what one arm lacks cannot be compared.

    Raises:
        DataError: names the first arms and items that lack an answer.
    """
    items = {(one.ref, one.language) for one in answers}
    have = {(one.arm, one.ref, one.language) for one in answers}
    lacking = [
        f"{arm} on {ref} ({language})"
        for ref, language in sorted(items)
        for arm in arms
        if (arm, ref, language) not in have
    ]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise DataError(
            f"no answer from {'; '.join(lacking[:3])}{more}. Have them answered, or leave the "
            "items out with --complete-only"
        )
