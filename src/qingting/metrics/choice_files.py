"""Files of choice questions: replies, keys and, where there are any, probabilities per option."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qingting.core.columns import Columns, RowProblem, find_column, read_columns
from qingting.core.errors import Problem, SpecificationError
from qingting.core.missing import Missing
from qingting.metrics.choice import option_probabilities
from qingting.metrics.choice_parser import Choice, parse_choice, parse_key

KEY_COLUMNS = (
    "key", "answer_key", "correct", "correct_answer", "gold", "label", "reference", "target",
    "ref", "答案",
)  # fmt: skip
REPLY_COLUMNS = (
    "response", "reply", "prediction", "predict", "predicted", "generated", "output",
    "hypothesis", "model_answer", "模型回答",
)  # fmt: skip
KIND_COLUMNS = ("kind", "type", "question_type", "题型")
_SINGLE = frozenset({"single", "single choice", "单选", "单选题", "false", "0", ""})
_MULTIPLE = frozenset({"multiple", "multi", "multiple choice", "多选", "多选题", "true", "1"})
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class ChoiceFile:
    """The questions of a file; all sequences are (n_items,).

    ``answers``: what each reply settles on. ``keys``: the right options. ``probabilities``: letter
    → probability. A ``Missing`` says why there is none. ``problems`` names keys, kinds and
    probabilities that cannot be used, by file and line.
    """

    answers: tuple[Choice | Missing, ...] | None
    keys: tuple[Choice | Missing, ...]
    is_multiple: tuple[bool, ...]
    probabilities: tuple[Mapping[str, float] | Missing, ...] | None
    letters: str
    columns: Mapping[str, str]
    problems: tuple[RowProblem, ...]


def read_choices(
    path: Path,
    *,
    letters: str | None = None,
    multiple: bool = False,
    reply_column: str | None = None,
    key_column: str | None = None,
    kind_column: str | None = None,
) -> ChoiceFile:
    """Return the questions of a CSV, TSV or JSON Lines file.

    Columns: a key, and replies or probabilities or both. Columns named by one letter (``A``,
    ``B`` …) hold the options' text; ``p_A``, ``p_B`` … their probabilities; ``loglik_A`` … their
    log-likelihoods. ``answer`` is the reply beside a column ``key`` or the like, and the key
    beside a reply.

    Args:
        path: the file.
        letters: the options' letters; by default those of the option, probability or likelihood
            columns, else ``ABCD``.
        multiple: whether every question may have several right options; a kind column
            (``single``/``multiple``, ``单选``/``多选``) says so per question instead.
        reply_column: the column of the replies, where its name is not recognised.
        key_column: that of the keys.
        kind_column: that of the kinds.

    Raises:
        SpecificationError: no key, or neither replies nor probabilities, or bad letters.
        DataError: the file cannot be read.
    """
    table = read_columns(path)
    key_name, reply_name = _key_and_reply(table, key_column, reply_column)
    kind_name = find_column(
        table, role="kind", names=KIND_COLUMNS, mapped=kind_column, required=False
    )
    by_option = {
        prefix: {
            match[1]: name
            for name in table.names
            if (match := re.fullmatch(rf"{prefix}([A-Z])", name))
        }
        for prefix in ("", "p_", "loglik_")
    }
    letters = _letters(letters, by_option)
    scores, is_log = by_option["p_"], False
    if not scores:
        scores, is_log = by_option["loglik_"], True
    if reply_name is None and not scores:
        raise SpecificationError(
            f"{path}: no column holds replies ({', '.join(REPLY_COLUMNS[:4])} …) and none "
            f"probabilities (p_A, p_B …); found {', '.join(table.names)}"
        )
    problems: list[RowProblem] = []
    kinds = _kinds(table, kind_name, problems, default=multiple)
    keys: list[Choice | Missing] = []
    for row, text in enumerate(table.values(key_name)):
        key = parse_key(text, letters, multiple=kinds[row])
        if isinstance(key, Missing):
            problems.append(table.problem(row, key_name, key.reason))
        keys.append(key)
    options = {one: name for one, name in by_option[""].items() if one in letters}
    return ChoiceFile(
        None if reply_name is None else _answers(table, reply_name, letters, options),
        tuple(keys),
        tuple(kinds),
        _probabilities(table, scores, problems, is_log=is_log) if scores else None,
        letters,
        {
            role: name
            for role, name in (("key", key_name), ("reply", reply_name), ("kind", kind_name))
            if name is not None
        },
        tuple(sorted(problems, key=lambda problem: problem.line)),
    )


def _key_and_reply(
    table: Columns, key_column: str | None, reply_column: str | None
) -> tuple[str, str | None]:
    """Return the columns; ``answer`` is whichever of the two is not found otherwise."""
    key = find_column(table, role="key", names=KEY_COLUMNS, mapped=key_column, required=False)
    reply = find_column(
        table,
        role="reply",
        names=REPLY_COLUMNS if key is None else (*REPLY_COLUMNS, "answer"),
        mapped=reply_column,
        required=False,
    )
    if key is None:
        key = find_column(table, role="key", names=(*KEY_COLUMNS, "answer"), option="--key-column")
    assert key is not None  # find_column raises where a required column is absent
    return key, None if reply == key else reply


def _letters(given: str | None, by_option: Mapping[str, Mapping[str, str]]) -> str:
    found = [tuple(sorted(columns)) for columns in by_option.values() if len(columns) > 1]
    letters = given or max(("".join(one) for one in found), key=len, default="ABCD")
    if not re.fullmatch(r"[A-Z]{2,}", letters) or len(set(letters)) != len(letters):
        raise SpecificationError(
            [Problem("letters", f"{letters!r} is not two or more different capitals, such as ABCD")]
        )
    return letters


def _kinds(
    table: Columns, name: str | None, problems: list[RowProblem], *, default: bool
) -> list[bool]:
    if name is None:
        return [default] * len(table)
    kinds = []
    for row, text in enumerate(table.values(name)):
        plain = text.strip().lower()
        if plain not in _SINGLE | _MULTIPLE:
            problems.append(
                table.problem(row, name, f"{text!r} is neither single nor multiple; read as single")
            )
        kinds.append(plain in _MULTIPLE)
    return kinds


def _answers(
    table: Columns, name: str, letters: str, options: Mapping[str, str]
) -> tuple[Choice | Missing, ...]:
    texts = {letter: table.values(column) for letter, column in options.items()}
    return tuple(
        parse_choice(
            reply,
            letters,
            options={letter: column[row] for letter, column in texts.items() if column[row]},
        )
        for row, reply in enumerate(table.values(name))
    )


def _probabilities(
    table: Columns, columns: Mapping[str, str], problems: list[RowProblem], *, is_log: bool
) -> tuple[Mapping[str, float] | Missing, ...]:
    texts = {letter: table.values(name) for letter, name in columns.items()}
    found: list[Mapping[str, float] | Missing] = []
    for row in range(len(table)):
        # An option that the question does not have has no number.
        cells = {letter: column[row].strip() for letter, column in texts.items()}
        cells = {letter: text for letter, text in cells.items() if text}
        one: Mapping[str, float] | Missing
        if not cells:
            one = Missing("no probabilities")
        else:
            one = _shares(cells, is_log=is_log)
            if isinstance(one, Missing):
                problems.append(table.problem(row, columns[next(iter(cells))], one.reason))
        found.append(one)
    return tuple(found)


def _shares(cells: Mapping[str, str], *, is_log: bool) -> Mapping[str, float] | Missing:
    try:
        numbers = {letter: float(text) for letter, text in cells.items()}
    except ValueError:
        return Missing("a probability is no number")
    if is_log:
        if any(math.isnan(x) or x == math.inf for x in numbers.values()):
            return Missing("a log-likelihood is not finite")
        if all(x == -math.inf for x in numbers.values()):
            return Missing("every option has likelihood 0")
        return option_probabilities(numbers)
    if not all(0 <= x <= 1 for x in numbers.values()):
        return Missing("a probability lies outside 0 to 1")
    total = sum(numbers.values())
    if abs(total - 1) > _TOLERANCE:
        return Missing(f"the probabilities sum to {total:.4g} instead of 1")
    return {letter: x / total for letter, x in numbers.items()}
