"""``qingting metrics choice``: choice questions, by what was written and by likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qingting.core.missing import Missing
    from qingting.metrics.calibration import Calibration
    from qingting.metrics.choice import Baseline, ChoiceScores


def choice(
    file: Annotated[
        Path, typer.Argument(help="CSV, TSV or JSON Lines: a key, and a reply or p_A, p_B … a row.")
    ],
    letters: Annotated[
        str | None, typer.Option(help="The options' letters, such as ABCDE; found or ABCD.")
    ] = None,
    multiple: Annotated[
        bool, typer.Option("--multiple", help="Several options may be right, for every question.")
    ] = False,
    reply_column: Annotated[str | None, typer.Option(help="Column of the replies.")] = None,
    key_column: Annotated[str | None, typer.Option(help="Column of the right answers.")] = None,
    kind_column: Annotated[
        str | None, typer.Option(help="Column that says single or multiple.")
    ] = None,
    bins: Annotated[int, typer.Option(min=2, help="Of the calibration error.")] = 10,
    confidence_level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print accuracy, elastic credit and calibration, beside what one letter alone would score."""
    from qingting.cli.output import print_json, show_problems
    from qingting.core.errors import UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.metrics.calibration import calibrate_choices
    from qingting.metrics.choice import (
        always_one_letter,
        choose_by_likelihood,
        score_choices,
    )
    from qingting.metrics.choice_files import read_choices

    read = read_choices(
        file,
        letters=letters,
        multiple=multiple,
        reply_column=reply_column,
        key_column=key_column,
        kind_column=kind_column,
    )
    show_problems(read.problems)
    results: dict[str, ChoiceScores] = {}
    if read.answers is not None:
        results["text"] = score_choices(read.answers, read.keys, source="text")
    calibration: Calibration | Missing = Missing("no probabilities in the file")
    if read.probabilities is not None:
        chosen = [
            one
            if isinstance(one, Missing)
            else Missing("several options may be right: likelihood ranks single letters")
            if several
            else choose_by_likelihood({letter: _log(p) for letter, p in one.items()})
            for one, several in zip(read.probabilities, read.is_multiple, strict=True)
        ]
        results["likelihood"] = score_choices(chosen, read.keys, source="likelihood")
        single = [
            Missing("several options may be right") if several else one
            for one, several in zip(read.probabilities, read.is_multiple, strict=True)
        ]
        try:
            calibration = calibrate_choices(single, read.keys, n_bins=bins)
        except UndefinedStatisticError as error:
            calibration = Missing(str(error))
    baselines = always_one_letter(read.keys, read.letters)
    if as_json:
        record = {
            "file": str(file),
            "columns": dict(read.columns),
            "letters": read.letters,
            "n_items": len(read.keys),
            "n_multiple": sum(read.is_multiple),
            "problems": [str(problem) for problem in read.problems],
            "results": {source: _record(one, confidence_level) for source, one in results.items()},
            "calibration": _calibration_record(calibration),
            "baselines": [
                {
                    "letter": one.letter,
                    "accuracy": _plain(one.accuracy),
                    "elastic": _plain(one.elastic),
                    "n_items": one.n_items,
                }
                for one in baselines
            ],
        }
        print_json(record)
        return
    for source, one in results.items():
        _show(source, one, confidence_level)
    _show_baselines(baselines, has_multiple=any(read.is_multiple))
    _show_calibration(calibration, asked=read.probabilities is not None)


def _log(p: float) -> float:
    import math

    return math.log(p) if p > 0 else -math.inf


def _plain(value: float | Missing) -> Any:
    from qingting.core.missing import Missing

    return value.to_record() if isinstance(value, Missing) else value


def _counts(scores: ChoiceScores) -> tuple[int, int, int]:
    """Return how many were right, answered, and usable."""
    n_usable = scores.n_items - scores.n_unusable_keys
    n_right = int(scores.exact.values[scores.exact.valid].sum())
    return n_right, scores.exact.n_valid, n_usable


def _interval(n_right: int, n_items: int, confidence_level: float) -> dict[str, Any] | None:
    from qingting.stats.proportions import wilson_interval

    if not n_items:
        return None
    low, high = wilson_interval(n_right, n_items, confidence_level=confidence_level)
    return {
        "low": low,
        "high": high,
        "confidence_level": confidence_level,
        "method": "Wilson, questions independent",
    }


def _record(scores: ChoiceScores, confidence_level: float) -> dict[str, Any]:
    n_right, n_answered, n_usable = _counts(scores)
    return {
        "accuracy": _plain(scores.strict_accuracy),
        "interval": _interval(n_right, n_usable, confidence_level),
        "accuracy_of_answered": _plain(scores.exact.corpus),
        "elastic_of_answered": _plain(scores.elastic.corpus),
        "n_right": n_right,
        "n_answered": n_answered,
        "n_unread": scores.n_unread,
        "n_unusable_keys": scores.n_unusable_keys,
        "missing": dict(scores.reasons),
        "signature": str(scores.exact.corpus_signature),
        "elastic_signature": str(scores.elastic.corpus_signature),
    }


def _calibration_record(found: Calibration | Missing) -> Any:
    from qingting.core.missing import Missing

    if isinstance(found, Missing):
        return found.to_record()
    return {**found._asdict(), "signature": str(found.signature)}


def _text(value: float | Missing) -> str:
    from qingting.core.missing import Missing

    return f"undefined ({value.reason})" if isinstance(value, Missing) else f"{value:.3f}"


def _show(source: str, scores: ChoiceScores, confidence_level: float) -> None:
    n_right, n_answered, n_usable = _counts(scores)
    interval = _interval(n_right, n_usable, confidence_level)
    span = (
        f" [{interval['low']:.3f}, {interval['high']:.3f}] at {confidence_level:g}"
        if interval
        else ""
    )
    typer.echo(f"by {source}")
    typer.echo(
        f"  accuracy              {_text(scores.strict_accuracy)}{span}, {n_right} right of "
        f"{n_usable} with a usable key"
    )
    typer.echo(f"  accuracy of answered  {_text(scores.exact.corpus)}, {n_answered} answered")
    typer.echo(f"  elastic of answered   {_text(scores.elastic.corpus)}")
    typer.echo(f"  keys not usable       {scores.n_unusable_keys}")
    typer.echo(f"  answers not read      {scores.n_unread}")
    if scores.reasons:
        typer.echo("  why not")
    for reason, count in sorted(scores.reasons.items(), key=lambda pair: -pair[1])[:8]:
        typer.echo(f"    {count:>5}  {reason}")
    typer.echo(f"  signature             {scores.exact.corpus_signature}")


def _show_baselines(baselines: Sequence[Baseline], *, has_multiple: bool) -> None:
    typer.echo("always one letter")
    for one in baselines:
        elastic = f", elastic {_text(one.elastic)}" if has_multiple else ""
        typer.echo(f"  {one.letter}  {_text(one.accuracy)}{elastic}")


def _show_calibration(found: Calibration | Missing, *, asked: bool) -> None:
    from qingting.core.missing import Missing

    if isinstance(found, Missing):
        if asked:
            typer.echo(f"calibration: undefined ({found.reason})")
        return
    typer.echo("calibration of single choices")
    typer.echo(f"  ECE {found.ece:.3f}, Brier {found.brier:.3f} over {found.n_valid} questions")
    typer.echo(
        f"  mean confidence {found.mean_confidence:.3f}, accuracy {found.accuracy:.3f}, "
        f"{found.n_missing} without probabilities or key"
    )
    typer.echo(f"  signature {found.signature}")
