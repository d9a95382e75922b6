"""``qingting stats agreement``: do raters mean the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from qingting.core.missing import Missing
    from qingting.stats.estimates import Estimate
    from qingting.stats.krippendorff import MeasurementLevel
    from qingting.stats.rating_files import RatingTable
    from qingting.stats.repeats import IntraRater

_MOST_CELLS = 50_000_000
# From so many items on the simulations found that intervals cover what they say.
_VERIFIED_FROM = {"Krippendorff's alpha": 30, "the kappas": 50, "the ICCs": 20}


def agreement(
    file: Annotated[
        Path, typer.Argument(help="Long (item, rater, rating) or wide (one column per rater).")
    ],
    level: Annotated[
        Literal["auto", "nominal", "ordinal", "interval", "ratio"],
        typer.Option(help="Of measurement; auto: ordinal for numbers, nominal for words."),
    ] = "auto",
    scale: Annotated[
        str | None, typer.Option(help="Smallest and largest rating, such as 1:5.")
    ] = None,
    categories: Annotated[
        str | None, typer.Option(help="The labels that may occur, in order, joined by commas.")
    ] = None,
    item_column: Annotated[str | None, typer.Option(help="Column of the items.")] = None,
    rater_column: Annotated[str | None, typer.Option(help="Column of the raters.")] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column of the ratings.")] = None,
    criterion_column: Annotated[
        str | None, typer.Option(help="Column of the criterion; each is computed alone.")
    ] = None,
    cluster_column: Annotated[
        str | None, typer.Option(help="Column of the dialogue, where items are not independent.")
    ] = None,
    arm_column: Annotated[
        str | None, typer.Option(help="Column of the arms, where an item has several replies.")
    ] = None,
    rater_columns: Annotated[
        str | None, typer.Option(help="The raters' columns of a wide table, joined by commas.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=200, help="Of the bootstrap.")] = 2000,
    confidence_level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print Krippendorff's alpha, kappas, intraclass correlations and consistency on repeats."""
    import numpy as np

    from qingting.cli.stats_words import names, require_level, scale_of, show_cells
    from qingting.core.errors import SpecificationError
    from qingting.stats.rating_files import read_ratings

    require_level(confidence_level, above=0)
    read = read_ratings(
        file,
        item_column=item_column,
        rater_column=rater_column,
        rating_column=rating_column,
        criterion_column=criterion_column,
        cluster_column=cluster_column,
        arm_column=arm_column,
        rater_columns=names(rater_columns),
        words=level == "nominal",
        categories=names(categories),
        scale=scale_of(scale),
    )
    for note in read.notes:
        typer.echo(f"note: {note}", err=True)
    show_cells(read.problems)
    records = []
    for table in read.tables:
        chosen: MeasurementLevel
        if level != "auto":
            chosen = level
        else:
            chosen = "ordinal" if table.categories is None or categories else "nominal"
        if chosen != "nominal" and table.categories is not None and not categories:
            raise SpecificationError(
                f"{file}: the ratings are words ({', '.join(table.categories[:4])}); give their "
                "order with --categories, or --level nominal"
            )
        if chosen in ("interval", "ratio") and table.categories is not None:
            raise SpecificationError(
                f"{file}: --level {chosen} needs numbers, and --categories makes words of them"
            )
        records.append(
            _Agreement(table, chosen, np.random.default_rng(seed), resamples, confidence_level)
        )
    if as_json:
        record = {
            "file": str(file),
            "layout": read.layout,
            "n_empty": read.n_empty,
            "notes": [*read.notes],
            "problems": [str(problem) for problem in read.problems],
            "criteria": [one.to_record() for one in records],
        }
        print_json(record)
        return
    for one in records:
        one.show()


class _Agreement:
    """Every coefficient of one criterion, each defined or with the reason why not."""

    def __init__(
        self,
        table: RatingTable,
        level: MeasurementLevel,
        rng: Any,
        n_resamples: int,
        confidence_level: float,
    ) -> None:
        import numpy as np

        from qingting.core.missing import Missing
        from qingting.stats.icc import ICC_FORMS, intraclass_correlation
        from qingting.stats.kappa import KAPPA_WEIGHTS, cohen_kappa, fleiss_kappa
        from qingting.stats.krippendorff import krippendorff_alpha
        from qingting.stats.rating_counts import count_judgments
        from qingting.stats.repeats import intra_rater_consistency

        first = table.first_ratings()
        n_items, n_raters = len(table.item_names), len(table.rater_names)
        counts = count_judgments(first.items, first.values, n_items=n_items)
        clusters = table.cluster_items
        self.table, self.level = table, level
        self.n_ratings, self.n_repeats = len(first.values), len(table.values) - len(first.values)
        self.estimates: dict[str, Estimate | Missing] = {}
        self.estimates[f"Krippendorff's alpha, {level}"] = _defined(
            lambda: krippendorff_alpha(
                counts,
                level=level,
                rng=rng,
                clusters=clusters,
                n_resamples=n_resamples,
                confidence_level=confidence_level,
            )
        )
        self.estimates["Fleiss' kappa"] = (
            _defined(
                lambda: fleiss_kappa(
                    counts.dense(), clusters=clusters, confidence_level=confidence_level
                )
            )
            if n_items * len(counts.values) <= _MOST_CELLS
            else Missing("too many distinct ratings")
        )
        if n_items * n_raters <= _MOST_CELLS:
            matrix = table.matrix()
            if n_raters == 2:
                for weights in KAPPA_WEIGHTS if level != "nominal" else ("none",):
                    name = "Cohen's kappa" + ("" if weights == "none" else f", {weights}")
                    self.estimates[name] = _defined(
                        partial(
                            cohen_kappa,
                            *matrix.T,
                            weights=weights,
                            clusters=clusters,
                            confidence_level=confidence_level,
                        )
                    )
            if level != "nominal" and table.categories is None:
                for form in ICC_FORMS:
                    self.estimates[f"ICC({form})"] = _defined(
                        partial(
                            intraclass_correlation,
                            matrix,
                            form=form,
                            confidence_level=confidence_level,
                        )
                    )
        self.intra: IntraRater | None = None
        if self.n_repeats:
            self.intra = intra_rater_consistency(
                table.items.tolist(),
                [table.rater_names[i] for i in table.raters],
                np.asarray(table.values),
                level=level,
                rng=rng,
                n_resamples=n_resamples,
                confidence_level=confidence_level,
            )

    @property
    def warnings(self) -> tuple[str, ...]:
        n_items = len(self.table.item_names)
        found = []
        few = [f"{name} from {n}" for name, n in _VERIFIED_FROM.items() if n_items < n]
        if few:
            found.append(
                f"{n_items} items are few: intervals were verified for {', '.join(few)} items on"
            )
        return tuple(found)

    def to_record(self) -> dict[str, Any]:
        return {
            "criterion": self.table.criterion,
            "level": self.level,
            "n_items": len(self.table.item_names),
            "n_raters": len(self.table.rater_names),
            "n_ratings": self.n_ratings,
            "n_repeats": self.n_repeats,
            "coefficients": {name: one.to_record() for name, one in self.estimates.items()},
            "intra_rater": None if self.intra is None else self.intra.to_record(),
            "warnings": [*self.warnings],
        }

    def show(self) -> None:
        from qingting.cli.stats_words import estimate_text

        title = f"{self.table.criterion}: " if self.table.criterion else ""
        typer.echo(
            f"{title}{len(self.table.item_names)} items, {len(self.table.rater_names)} raters, "
            f"{self.n_ratings} ratings, {self.n_repeats} repeats"
        )
        width = max(map(len, self.estimates))
        for name, one in self.estimates.items():
            typer.echo(f"  {name:<{width}}  {estimate_text(one, count='items')}")
        if self.intra is not None:
            typer.echo(f"  {'same rater again: alpha':<{width}}  {estimate_text(self.intra.alpha)}")
            same = estimate_text(self.intra.share_same)
            typer.echo(f"  {'same rater again: equal':<{width}}  {same}")
            for rater in self.intra.raters:
                typer.echo(
                    f"    {rater.rater}: {rater.n_items} items again, "
                    f"{rater.share_same:.0%} equal, mean difference {rater.mean_difference:.2f}"
                )
        for warning in self.warnings:
            typer.echo(f"warning: {warning}", err=True)


def _defined(compute: Callable[[], Estimate]) -> Estimate | Missing:
    from qingting.core.errors import UndefinedStatisticError
    from qingting.core.missing import Missing

    try:
        return compute()
    except UndefinedStatisticError as error:
        return Missing(str(error))
