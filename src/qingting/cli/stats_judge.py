"""``qingting stats judge``: a cheap judge corrected by humans, and watched between versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.core.missing import Missing
    from qingting.stats.prediction_powered import PredictionPowered

HUMAN_COLUMNS = ("human", "human_score", "human_rating", "gold", "label", "expert")
JUDGE_COLUMNS = ("judge", "judge_score", "llm", "llm_score", "prediction", "judge_old")
NEXT_COLUMNS = ("judge_new", "judge_next", "judge_v2", "judge_2")

_AGREEMENT = (
    ("Krippendorff's alpha, interval", "alpha"),
    ("judge less human, mean", "bias"),
    ("distance of both, mean", "error"),
    ("share of equal scores", "exact"),
)
_DRIFT = (
    ("next less this version, mean", "shift"),
    ("share of changed scores", "changed"),
    ("Krippendorff's alpha, interval", "alpha"),
    ("change of distance to humans", "error_change"),
)


def judge(
    file: Annotated[
        Path, typer.Argument(help="A row a reply: judge's score, and a human's where there is one.")
    ],
    labels_chosen_at_random: Annotated[
        bool,
        typer.Option(
            "--labels-chosen-at-random",
            help="You vouch that humans scored a random part of the replies.",
        ),
    ] = False,
    human_column: Annotated[str | None, typer.Option(help="Column of human scores.")] = None,
    judge_column: Annotated[str | None, typer.Option(help="Column of the judge's scores.")] = None,
    next_column: Annotated[
        str | None, typer.Option(help="Column of another version of the judge; reports drift.")
    ] = None,
    item_column: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    arm_column: Annotated[str | None, typer.Option(help="Column of the arms.")] = None,
    criterion_column: Annotated[str | None, typer.Option(help="Column of the criterion.")] = None,
    criterion: Annotated[
        str | None, typer.Option(help="The criterion to read, where the table has several.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Largest mean shift of a judge that would not matter.")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="Smallest and largest score: 1:5.")] = None,
    confidence_level: Annotated[float, typer.Option(help="Of each interval.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of bootstrap and test.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print means by humans and judge together, the judge's agreement with humans, its drift."""
    import numpy as np

    from qingting.cli.stats_words import (
        estimate_text,
        p_text,
        require_level,
        scale_of,
        show_cells,
    )
    from qingting.core.columns import find_column, read_columns
    from qingting.core.errors import SpecificationError, UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.stats import rating_files as known
    from qingting.stats.judge_drift import judge_agreement, judge_drift
    from qingting.stats.score_files import criterion_rows

    if margin is not None and not 0 < margin < float("inf"):
        raise SpecificationError(f"--margin {margin:g} must be positive")
    require_level(confidence_level)
    columns = read_columns(file)
    limits = scale_of(scale)
    human_name = find_column(
        columns, role="human", names=HUMAN_COLUMNS, mapped=human_column, option="--human-column"
    )
    judge_name = find_column(
        columns, role="judge", names=JUDGE_COLUMNS, mapped=judge_column, option="--judge-column"
    )
    next_name = find_column(
        columns, role="next judge", names=NEXT_COLUMNS, mapped=next_column, required=False
    )
    item = find_column(
        columns, role="item", names=known.ITEM_COLUMNS, mapped=item_column, required=False
    )
    arm = find_column(
        columns, role="arm", names=known.ARM_COLUMNS, mapped=arm_column, required=False
    )
    assert human_name is not None and judge_name is not None
    human = known.read_numbers(columns, human_name, scale=limits)
    scored = known.read_numbers(columns, judge_name, scale=limits)
    following = None if next_name is None else known.read_numbers(columns, next_name, scale=limits)
    criteria = find_column(
        columns,
        role="criterion",
        names=known.CRITERION_COLUMNS,
        mapped=criterion_column,
        required=False,
    )
    unwanted = np.logical_not(criterion_rows(columns, criteria, criterion))
    for numbers in (human, scored, *((following,) if following else ())):
        numbers.values[unwanted] = np.nan
    problems = [*human.problems, *scored.problems, *(following.problems if following else ())]
    show_cells(problems)
    prompts = None if item is None else columns.values(item)
    if prompts is None:
        typer.echo("warning: no column of prompts: replies count as independent", err=True)
    if margin is not None and next_name is None:
        raise SpecificationError(
            "--margin is of the shift between two versions of the judge, and there is one; name "
            "the other's column with --next-column"
        )
    arms = None if arm is None else columns.values(arm)
    rng = np.random.default_rng(seed)
    combined = _combined(
        human.values,
        scored.values,
        prompts,
        arms,
        at_random=labels_chosen_at_random,
        confidence_level=confidence_level,
    )
    try:
        agreement: Any = judge_agreement(
            human.values, scored.values, rng=rng, clusters=prompts,
            confidence_level=confidence_level,
        )  # fmt: skip
    except UndefinedStatisticError as error:
        agreement = Missing(str(error))
    drift: Any = None
    if following is not None:
        try:
            drift = judge_drift(
                scored.values,
                following.values,
                rng=rng,
                human=human.values,
                margin=margin,
                clusters=prompts,
                confidence_level=confidence_level,
            )
        except UndefinedStatisticError as error:
            drift = Missing(str(error))
    if as_json:
        record = {
            "file": str(file),
            "problems": [str(problem) for problem in problems],
            "prediction_powered": {name: one.to_record() for name, one in combined.items()},
            "agreement": agreement.to_record(),
            "drift": None if drift is None else drift.to_record(),
        }
        print_json(record)
        return
    for name, one in combined.items():
        if isinstance(one, Missing):
            typer.echo(f"{name}: refused: {one.reason}")
            continue
        typer.echo(f"{name}: {estimate_text(one.estimate)}")
        typer.echo(f"  humans alone {estimate_text(one.human_only)}")
        weights = ", ".join(f"{weight:.2f}" for weight in one.tuning)
        typer.echo(
            f"  {one.n_human} human labels worth {one.effective_n:.0f} (×{one.gain:.2f}); "
            f"{one.n_judge_only} replies by the judge only; weight {weights}"
        )
    if isinstance(agreement, Missing):
        typer.echo(f"judge and humans: undefined: {agreement.reason}")
    else:
        typer.echo(f"judge and humans on {agreement.n_both} replies")
        for words, name in _AGREEMENT:
            typer.echo(f"  {words:<32} {estimate_text(getattr(agreement, name))}")
    if isinstance(drift, Missing):
        typer.echo(f"drift: undefined: {drift.reason}")
    elif drift is not None:
        typer.echo(f"next version on {drift.n_both} replies: {p_text(drift.test.p_value)}")
        for words, name in _DRIFT:
            typer.echo(f"  {words:<32} {estimate_text(getattr(drift, name))}")
        if not isinstance(drift.within_margin, Missing):
            within = drift.within_margin
            typer.echo(
                f"  margin ±{within.margin:g}: {within.verdict}, {p_text(within.p_equivalent)}"
            )


def _combined(
    human: Any,
    judge: Any,
    prompts: list[str] | None,
    arms: list[str] | None,
    *,
    at_random: bool,
    confidence_level: float,
) -> dict[str, PredictionPowered | Missing]:
    """Return the mean of each arm, and the difference where there are two."""
    import numpy as np

    from qingting.core.errors import UndefinedStatisticError
    from qingting.core.missing import Missing
    from qingting.stats.prediction_powered import (
        JudgedScores,
        prediction_powered_difference,
        prediction_powered_mean,
    )

    parts: dict[str, JudgedScores] = {}
    for name in dict.fromkeys(arms) if arms is not None else ("mean",):
        rows = np.array([arms is None or arms[i] == name for i in range(len(human))], bool)
        labels = None if prompts is None else [prompts[i] for i in np.flatnonzero(rows).tolist()]
        parts[name] = JudgedScores(human[rows], judge[rows], labels)
    found: dict[str, PredictionPowered | Missing] = {}
    options: dict[str, Any] = {
        "labels_chosen_at_random": at_random,
        "confidence_level": confidence_level,
    }
    for name, part in parts.items():
        try:
            found[name] = prediction_powered_mean(part, **options)
        except UndefinedStatisticError as error:
            found[name] = Missing(
                f"{error}{'' if at_random else ' (vouch with --labels-chosen-at-random)'}"
            )
    if len(parts) == 2:
        first, second = parts
        name = f"{first} − {second}"
        try:
            found[name] = prediction_powered_difference(parts[first], parts[second], **options)
        except UndefinedStatisticError as error:
            found[name] = Missing(str(error))
    return found
