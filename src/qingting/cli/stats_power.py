"""``qingting stats power``: how many prompts and raters a study needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.stats.power import Design, Power, Question, Search


def power(
    effect: Annotated[
        float | None,
        typer.Option(
            help="Likert: true difference in points (0.3). Pairs: mean outcome of the first arm, "
            "win 1, tie 0.5 (0.6)."
        ),
    ] = None,
    outcome: Annotated[Literal["likert", "pairs"], typer.Option(help="What raters give.")] = (
        "likert"
    ),
    prompts: Annotated[
        int | None,
        typer.Option(min=2, help="Number of prompts; without it the smallest is sought."),
    ] = None,
    raters: Annotated[
        int | None, typer.Option(min=1, help="Number of raters (12); with --vary raters sought.")
    ] = None,
    ratings_per_prompt: Annotated[
        int, typer.Option(min=1, help="Raters who judge both arms on each prompt.")
    ] = 3,
    wanted: Annotated[float, typer.Option(help="Power to reach.")] = 0.8,
    vary: Annotated[
        Literal["prompts", "raters"], typer.Option(help="Which number to seek.")
    ] = "prompts",
    margin: Annotated[
        float, typer.Option(help="0: superiority; above: not worse by as much.")
    ] = 0.0,
    analysis: Annotated[
        Literal["two-way", "prompts"],
        typer.Option(help="Clustered by prompt and rater, or by prompt (these raters only)."),
    ] = "two-way",
    sd_prompt: Annotated[float, typer.Option(min=0, help="SD between prompts.")] = 0.6,
    sd_rater: Annotated[float, typer.Option(min=0, help="SD between raters (severity).")] = 0.5,
    sd_arm_prompt: Annotated[float, typer.Option(min=0, help="SD of an arm by prompt.")] = 0.4,
    sd_arm_rater: Annotated[float, typer.Option(min=0, help="SD of an arm by rater.")] = 0.2,
    sd_residual: Annotated[float, typer.Option(min=0, help="SD of all the rest.")] = 0.8,
    tie_share: Annotated[
        float, typer.Option(min=0, max=0.95, help="Pairs: ties between equal arms.")
    ] = 0.2,
    scale: Annotated[str, typer.Option(help="Likert: smallest and largest rating.")] = "1:5",
    centre: Annotated[
        float | None,
        typer.Option(help="Likert: mean of the other arm (a little above the middle)."),
    ] = None,
    confidence_level: Annotated[float, typer.Option(help="Of the study's interval.")] = 0.95,
    runs: Annotated[int, typer.Option(min=200, help="Simulated studies per size.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 1,
    figure: Annotated[Path | None, typer.Option(help="Draw the power curve as SVG.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the figure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the simulated power of a study, or the smallest study with the wanted power."""
    from qingting.cli.stats_words import scale_of
    from qingting.core.errors import SpecificationError
    from qingting.core.missing import Missing
    from qingting.stats.power import Design, Question, VarianceModel, curve_of, smallest_design

    ends = scale_of(scale)
    assert ends is not None
    if not (float(ends.low).is_integer() and float(ends.high).is_integer()):
        raise SpecificationError("--scale runs between two whole numbers, such as 1:5")
    if effect is None:
        effect = 0.3 if outcome == "likert" else 0.6
    is_sought = (prompts if vary == "prompts" else raters) is None
    none = 0.0 if outcome == "likert" else 0.5
    if is_sought and effect - none <= -margin:
        raise SpecificationError(
            f"--effect {effect:g} with --margin {margin:g}: no number shows what is not so; the "
            f"effect must lie above {none - margin:g}"
        )
    model = VarianceModel(sd_prompt, sd_rater, sd_arm_prompt, sd_arm_rater, sd_residual)
    question = Question(
        outcome,
        effect,
        margin,
        tie_share,
        (int(ends.low), int(ends.high)),
        centre if centre is not None else (ends.low + ends.high) / 2 + 0.3,
        confidence_level,
        analysis,
    )
    n_raters = raters if raters is not None else max(12, ratings_per_prompt)
    try:
        if is_sought:
            if vary == "raters" and prompts is None:
                raise SpecificationError("--vary raters needs the number of --prompts")
            start = Design(prompts or 2, n_raters, ratings_per_prompt)
            found = smallest_design(
                start, question, model, wanted=wanted, vary=vary, seed=seed, n_runs=runs
            )
        else:
            assert prompts is not None
            found = curve_of(
                Design(prompts, n_raters, ratings_per_prompt),
                question,
                model,
                vary=vary,
                seed=seed,
                n_runs=runs,
            )
    except SpecificationError:
        raise
    except ValueError as error:
        raise SpecificationError(str(error)) from None
    if figure is not None:
        _draw(found, vary, wanted, figure, force=force)
    if as_json:
        smallest = found.smallest
        record: dict[str, Any] = {
            "question": {name: getattr(question, name) for name in question.__slots__},
            "variance_model": {name: getattr(model, name) for name in model.__slots__},
            "wanted": wanted if is_sought else None,
            "vary": vary,
            "seed": seed,
            "answer": smallest.to_record(),
            "tried": [one.to_record() for one in found.tried],
        }
        print_json(record)
        return
    if isinstance(found.smallest, Missing):
        typer.echo(f"power {wanted:.0%} is not reached: {found.smallest.reason}")
    elif is_sought:
        typer.echo(f"about {_study(found.smallest.design)}: {_figure(found.smallest)}")
    else:
        typer.echo(f"power of {_study(found.smallest.design)}: {_figure(found.smallest)}")
    typer.echo(_meaning(question, found.tried[-1].design))
    typer.echo(f"{'prompts':>7}  {'raters':>6}  {'ratings':>7}  {'power':>6}  ± (Monte Carlo)")
    for one in found.tried:
        n = one.design.n_prompts * one.design.ratings_per_prompt
        typer.echo(
            f"{one.design.n_prompts:>7}  {one.design.n_raters:>6}  {n:>7}  {one.power:6.3f}  "
            f"{one.standard_error:.3f}"
        )


def _study(design: Design) -> str:
    return (
        f"{design.n_prompts} prompts, {design.n_raters} raters, {design.ratings_per_prompt} of "
        "them per prompt"
    )


def _figure(found: Power) -> str:
    low, high = found.interval
    return (
        f"{found.power:.1%} (standard error {found.standard_error:.1%}, 95% {low:.1%} to "
        f"{high:.1%}, {found.n_runs} simulated studies)"
    )


def _meaning(question: Question, design: Design) -> str:
    shown = "superiority" if not question.margin else f"not worse by {question.margin:g}"
    unit = "points" if question.outcome == "likert" else "mean outcome"
    by = "prompt and rater" if question.analysis == "two-way" else "prompt (for these raters only)"
    return (
        f"to show {shown} at a true {question.effect:g} {unit}, {question.confidence_level:.0%} "
        f"interval clustered by {by}; each rater of a prompt judges both arms on it"
    )


def _draw(
    found: Search, vary: Literal["prompts", "raters"], wanted: float, path: Path, *, force: bool
) -> None:
    from qingting.report.band_figures import BandPoint, band_figure
    from qingting.report.standalone import write_figure
    from qingting.report.texts import both

    at = 0 if vary == "prompts" else 1
    points = [BandPoint(one.design[at], one.power, *one.interval) for one in found.tried]
    drawn = band_figure(
        "power",
        both("Power by size of the study"),
        both(f"Simulated power with 95% intervals, by number of {vary}."),
        points=points,
        axes=(both(vary), both("power")),
        line=(wanted, both(f"wanted {wanted:.0%}")),
        limits=(0.0, 1.02),
        are_few=True,
    )
    write_figure(path, drawn.svg, force=force)
