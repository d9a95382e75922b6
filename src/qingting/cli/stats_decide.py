"""``qingting stats decide``: a preregistered rule applied to judgments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.stats.decision import Decision

_MARKS = {"met": "yes ", "failed": "NO  ", "open": "open"}


def decide(
    judgments: Annotated[
        Path, typer.Argument(help="A row a judgment: arm, prompt, rater, criterion, score.")
    ],
    rule: Annotated[Path, typer.Option(help="The rule, written before the judgments were seen.")],
    arm_column: Annotated[str | None, typer.Option(help="Column of the arms.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    rater_column: Annotated[str | None, typer.Option(help="Column of the raters.")] = None,
    criterion_column: Annotated[str | None, typer.Option(help="Column of the criteria.")] = None,
    score_column: Annotated[str | None, typer.Option(help="Column of the scores.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap of agreement.")] = 1,
    figure: Annotated[Path | None, typer.Option(help="Draw the differences as SVG.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the figure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Answer promote, do not promote, or inconclusive with what would settle it; exit code 0."""
    import hashlib

    import numpy as np

    from qingting.cli.stats_words import show_cells
    from qingting.stats.decision import decide as decided
    from qingting.stats.decision_rule import load_rule
    from qingting.stats.judgment_files import read_judgments

    loaded = load_rule(rule)
    read = read_judgments(
        judgments,
        loaded,
        mapped={
            "arm": arm_column,
            "prompt": prompt_column,
            "rater": rater_column,
            "criterion": criterion_column,
            "score": score_column,
        },
    )
    show_cells(read.problems)
    for what, n in read.ignored.items():
        typer.echo(f"{n} rows of {what} do not concern the rule", err=True)
    decision = decided(loaded, read, rng=np.random.default_rng(seed))
    if figure is not None:
        _draw(decision, figure, force=force)
    if as_json:
        record = {
            "rule": str(rule),
            "rule_sha256": hashlib.sha256(rule.read_bytes()).hexdigest(),
            "judgments": str(judgments),
            "candidate": loaded.candidate,
            "baseline": loaded.baseline,
            **decision.to_record(),
            "problems": [str(problem) for problem in read.problems],
            "ignored": dict(read.ignored),
        }
        print_json(record)
        return
    _show(decision, loaded.candidate, loaded.baseline)


def _show(decision: Decision, candidate: str, baseline: str) -> None:
    from qingting.core.missing import Missing

    typer.echo(f"{_sentence(decision)} ({candidate} against {baseline})")
    typer.echo(f"because {decision.because}")
    for clause in decision.clauses:
        typer.echo(f"  {_MARKS[clause.state]}  {clause.name}: {clause.demand}")
        typer.echo(f"        {clause.words}")
    if isinstance(decision.more, Missing):
        typer.echo(f"settling it: {decision.more.reason}")
    elif decision.more is not None:
        typer.echo(f"the number: {decision.more.basis}")
    typer.echo(
        f"confidence {decision.confidence_level:.0%}, {decision.looks} planned "
        f"look{'s' if decision.looks > 1 else ''}; deciding again on more judgments is another "
        "look, to be planned as `looks` in the rule"
    )


def _sentence(decision: Decision) -> str:
    from qingting.stats.more_ratings import More

    if decision.answer != "inconclusive":
        return decision.answer
    more = decision.more
    if not isinstance(more, More):
        return "inconclusive, and no number of ratings is known to settle it"
    towards = "promotion" if more.is_met else "no promotion"
    return (
        f"inconclusive, and about {more.n_ratings} more ratings of each criterion on "
        f"{more.n_prompts} more prompts would settle it (towards {towards})"
    )


def _draw(decision: Decision, path: Path, *, force: bool) -> None:
    from qingting.core.missing import Missing
    from qingting.report.figures import ForestRow, forest_plot
    from qingting.report.standalone import write_figure
    from qingting.report.texts import both

    verdicts = {"met": "better", "failed": "worse", "open": "inconclusive"}
    rows = []
    for clause in decision.clauses:
        if clause.kind not in ("primary", "other"):
            continue
        label = f"{clause.name} ({clause.demand})"
        if isinstance(clause.value, Missing):
            rows.append(ForestRow(label, "inconclusive", both(clause.words), None))
            continue
        low, high = (None, None) if isinstance(clause.interval, Missing) else clause.interval
        shown = both(f"{clause.value:+.2f}, bar {clause.bar:+g}")
        rows.append(ForestRow(label, verdicts[clause.state], shown, clause.value, low, high))
    drawn = forest_plot(
        "decision",
        both("Differences of candidate and baseline"),
        both(f"Each clause of quality with its interval; the answer is: {decision.answer}."),
        rows=rows,
        ends=(both("candidate worse"), both("candidate better")),
    )
    write_figure(path, drawn.svg, force=force)
