"""Arms ranked by votes: strengths, intervals, ranks and contrasts, and what cannot be said."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student_t

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.stats.bradley_terry import PairFit, PairLikelihood, PairModel
from qingting.stats.clusters import Interval, require_level
from qingting.stats.comparison_graph import comparison_graph, graph_problems
from qingting.stats.corrections import holm
from qingting.stats.elo import ELO_PER_LOG_ODDS
from qingting.stats.vote_covariance import (
    CovarianceMethod,
    VoteCovariance,
    largest_t,
    vote_covariance,
)
from qingting.stats.vote_results import ArmContrast, ArmStrength, Effect, Remedy, VoteRanking
from qingting.stats.votes import (
    LEFT,
    RIGHT,
    TIE,
    FloatArray,
    IntArray,
    VoteCells,
    Votes,
    count_cells,
    numbered,
    renumbered,
    repeated,
)

Clustering = Literal["auto", "none", "prompt", "rater", "both"]
OrderEffect = Literal["auto", "yes", "no"]

DEFAULT_VOTE_RESAMPLES = 2_000
RANK_CLAIM = (
    "all true ranks within a group of comparable arms lie in their intervals at once, with at "
    "least the stated confidence"
)


def rank_votes(
    votes: Votes,
    *,
    rng: np.random.Generator,
    model: Literal["auto", "bradley-terry", "davidson"] = "auto",
    order_effect: OrderEffect = "auto",
    cluster: Clustering = "auto",
    method: CovarianceMethod = "bootstrap",
    n_resamples: int = DEFAULT_VOTE_RESAMPLES,
    confidence_level: float = 0.95,
    remedy: Remedy = "none",
) -> VoteRanking:
    """Return arms ranked by maximum likelihood, with intervals that respect clusters.

    Intervals are the estimate ± Student's t times the standard error, which comes from a
    bootstrap or a sandwich; degrees of freedom: the smaller number of clusters less one.

    Args:
        votes: what was preferred to what. Where they have weights, the estimate is that of the
            weighted likelihood, ``log_likelihood`` and ``deviance`` are sums of weighted terms, and
            numbers of votes stay numbers of votes.
        rng: of the bootstrap and of the simultaneous rank intervals.
        model: ``"auto"`` is Davidson's where there are ties. Bradley–Terry counts a tie as half
            a win for both.
        order_effect: of standing on the left; ``"auto"`` fits it where it can be told apart.
        cluster: the independent units; ``"auto"``: prompts and raters, so far as they are known.
        method: of the standard errors.
        n_resamples: of the bootstrap.
        confidence_level: of each interval, and of all ranks together.
        remedy: ``"half-votes"`` adds half a win in both directions to every compared pair, which
            makes estimates finite under separation and draws all of them towards 0.

    Raises:
        UndefinedStatisticError: no two arms have a finite distance, or an effect asked for cannot
            be estimated.
    """
    require_level(confidence_level)
    graph = comparison_graph(votes)
    problems = graph_problems(votes, graph)
    groups = graph.groups if remedy == "none" else graph.components
    if remedy != "none":
        instead = "what is given for it comes from the remedy alone"
        problems = tuple(one.replace("none is given", instead) for one in problems)
    within = groups[votes.left] == groups[votes.right]
    if not within.any():
        raise UndefinedStatisticError("no two arms have a finite distance: " + "; ".join(problems))
    used = votes if within.all() else votes.select(within)
    chosen: PairModel = (
        model if model != "auto" else "davidson" if (used.winners == TIE).any() else "bradley-terry"
    )
    if chosen == "davidson" and not (used.winners == TIE).any():
        raise UndefinedStatisticError("Davidson's model needs a tie; use Bradley–Terry")
    if chosen == "davidson" and (used.winners == TIE).all():
        raise UndefinedStatisticError("every vote is a tie, so no distance has an interval")
    warnings: list[str] = []
    likelihood, fit = _fitted(used, groups, chosen, order_effect, remedy, warnings)
    clusters = _clusters(used, cluster, warnings)
    covariance: VoteCovariance | Missing
    try:
        covariance = vote_covariance(
            likelihood,
            fit,
            tuple(clusters.values()),
            method=method,
            rng=rng,
            n_resamples=n_resamples,
        )
    except UndefinedStatisticError as error:
        covariance = Missing(str(error))
        warnings.append(f"no intervals: {error}")
    summary = _Summary(votes, groups, fit, covariance, confidence_level, chosen)
    has_order = likelihood.n_linear > len(votes.arms) + len(votes.covariate_names)
    at = len(votes.arms)
    by = " and ".join(clusters) if clusters else "vote"
    return VoteRanking(
        arms=summary.arms(rng),
        contrasts=summary.contrasts(),
        model=chosen,
        order_effect=summary.effect(at) if has_order else None,
        covariates={
            name: summary.effect(at + has_order + n) for n, name in enumerate(votes.covariate_names)
        },
        log_nu=summary.effect(-1) if chosen == "davidson" else None,
        method=(f"bootstrap ({n_resamples} resamples)" if method == "bootstrap" else "sandwich")
        + f" by {by}, Student t",
        remedy=remedy,
        confidence_level=confidence_level,
        rank_claim=RANK_CLAIM,
        n_votes=len(votes),
        n_one_sided=len(votes) - len(used),
        n_clusters={name: int(c.max()) + 1 for name, c in clusters.items()},
        n_failed_resamples=0 if isinstance(covariance, Missing) else covariance.n_failed,
        log_likelihood=fit.log_likelihood,
        deviance=fit.deviance,
        problems=problems,
        warnings=tuple(warnings),
    )


def _fitted(
    votes: Votes,
    groups: NDArray[Any],
    model: PairModel,
    order_effect: OrderEffect,
    remedy: Remedy,
    warnings: list[str],
) -> tuple[PairLikelihood, PairFit]:
    def fitted(*, with_order: bool) -> tuple[PairLikelihood, PairFit]:
        cells = count_cells(votes, order_effect=with_order)
        added = half_votes(cells) if remedy == "half-votes" else None
        likelihood = PairLikelihood(cells, groups, model, added=added)
        return likelihood, likelihood.fit()

    if order_effect == "auto":
        try:
            return fitted(with_order=True)
        except UndefinedStatisticError as error:
            warnings.append(f"no order effect is fitted: {error}")
    return fitted(with_order=order_effect == "yes")


def half_votes(cells: VoteCells) -> FloatArray:
    """Return half a win in both directions for every compared pair, (n_cells, 3)."""
    signs = cells.design[:, : cells.n_arms].toarray()
    pairs = numbered([tuple(np.flatnonzero(row)) for row in signs])
    share = 0.5 / np.bincount(pairs)[pairs]
    return np.column_stack([share, share, np.zeros(len(share))])


def _clusters(votes: Votes, cluster: Clustering, warnings: list[str]) -> dict[str, IntArray]:
    known = {"prompt": votes.prompts, "rater": votes.raters}
    asked = {"auto": ("prompt", "rater"), "both": ("prompt", "rater"), "none": ()}.get(
        cluster, (cluster,)
    )
    chosen = {}
    for name in asked:
        labels = known[name]
        if labels is not None:
            chosen[name] = renumbered(labels)
        elif cluster != "auto":
            raise UndefinedStatisticError(f"the votes do not say which {name} they come from")
    for name, labels in known.items():
        if name not in chosen and repeated(labels):
            warnings.append(
                f"votes are counted as independent, but {name}s gave several each; what votes of "
                f"one {name} share makes these intervals too narrow (cluster by {name})"
            )
    if cluster == "auto" and not chosen:
        warnings.append(
            "no column names prompts or raters, so votes are counted as independent; if prompts "
            "or raters repeat, the intervals are too narrow"
        )
    if votes.weights is not None and not chosen:
        chosen["vote"] = np.arange(len(votes), dtype=np.int32)
    for name, labels in chosen.items():
        n_units = int(labels.max()) + 1
        if n_units < FEWEST_CLUSTERS:
            warnings.append(
                f"only {n_units} {name}{'s' * (n_units != 1)}: intervals were verified from {FEWEST_CLUSTERS} on"
            )
    return chosen


# From so many prompts and raters on the simulations found that intervals cover what they say.
FEWEST_CLUSTERS = 20


class _Summary:
    """Estimates and covariance, put into words per arm and pair."""

    def __init__(
        self,
        votes: Votes,
        groups: NDArray[Any],
        fit: PairFit,
        covariance: VoteCovariance | Missing,
        confidence_level: float,
        model: PairModel,
    ) -> None:
        self.votes, self.groups, self.model = votes, groups, model
        self.parameters, self.covariance = fit.parameters, covariance
        self.level = confidence_level
        self.t = 0.0
        if not isinstance(covariance, Missing):
            self.t = float(_quantile(covariance.df, 1 - (1 - confidence_level) / 2))

    def effect(self, index: int) -> Effect:
        value = float(self.parameters[index])
        if isinstance(self.covariance, Missing):
            return Effect(value, self.covariance, self.covariance)
        se = float(np.sqrt(self.covariance.matrix[index, index]))
        return Effect(value, *self._spread(value, se))

    def _spread(self, value: float, se: float) -> tuple[float | Missing, Interval | Missing]:
        if not se > 1e-12:
            none = Missing("the clusters show no spread")
            return none, none
        return se, Interval(value - self.t * se, value + self.t * se)

    def arms(self, rng: np.random.Generator) -> tuple[ArmStrength, ...]:
        votes = self.votes
        n_arms = len(votes.arms)
        won = _count(votes, LEFT, n_arms, left=True) + _count(votes, RIGHT, n_arms, left=False)
        lost = _count(votes, RIGHT, n_arms, left=True) + _count(votes, LEFT, n_arms, left=False)
        tied = _count(votes, TIE, n_arms, left=True) + _count(votes, TIE, n_arms, left=False)
        found = []
        for group in np.unique(self.groups):
            members = np.flatnonzero(self.groups == group)
            ranks = self._ranks(members, rng)
            for place, arm in enumerate(members):
                n = (
                    int(won[arm] + lost[arm] + tied[arm]),
                    *(int(c[arm]) for c in (won, lost, tied)),
                )
                if len(members) == 1:
                    alone = Missing("no finite distance to another arm")
                    found.append(
                        ArmStrength(votes.arms[arm], int(group), *([alone] * 7), *n)  # type: ignore[arg-type]
                    )
                    continue
                effect = self.effect(int(arm))
                low, high = ranks.low[place], ranks.high[place]
                found.append(
                    ArmStrength(
                        votes.arms[arm],
                        int(group),
                        effect.value,
                        effect.standard_error,
                        effect.interval,
                        1000 + ELO_PER_LOG_ODDS * effect.value,
                        int(ranks.rank[place]),
                        low,
                        high,
                        *n,
                    )
                )
        return tuple(sorted(found, key=_place))

    def _ranks(self, members: NDArray[np.int64], rng: np.random.Generator) -> _Ranks:
        strengths = self.parameters[members]
        n = len(members)
        rank = 1 + (strengths[None, :] > strengths[:, None] + 1e-9).sum(axis=1)
        if isinstance(self.covariance, Missing):
            return _Ranks(rank, [self.covariance] * n, [self.covariance] * n)
        if n < 2:
            return _Ranks(rank, [1] * n, [1] * n)
        matrix = self.covariance.matrix[np.ix_(members, members)]
        pairs = np.array(list(combinations(range(n), 2))).T
        critical = largest_t(matrix, self.covariance.df, rng, self.level, pairs)
        better, worse = np.zeros(n, int), np.zeros(n, int)
        for i, j in pairs.T:
            difference = strengths[i] - strengths[j]
            se = np.sqrt(max(matrix[i, i] + matrix[j, j] - 2 * matrix[i, j], 0.0))
            # Without spread there is no standard error, so nothing is proven.
            if se <= 1e-12 or abs(difference) <= critical * se:
                continue
            above, below = (i, j) if difference > 0 else (j, i)
            worse[above] += 1
            better[below] += 1
        return _Ranks(rank, [int(b) + 1 for b in better], [int(n - w) for w in worse])

    def contrasts(self) -> tuple[ArmContrast, ...]:
        found = []
        for i, j in combinations(range(len(self.votes.arms)), 2):
            if self.groups[i] != self.groups[j]:
                continue
            difference = float(self.parameters[i] - self.parameters[j])
            interval: Interval | Missing
            p: float | Missing
            if isinstance(self.covariance, Missing):
                interval = p = self.covariance
            else:
                matrix = self.covariance.matrix
                se = float(np.sqrt(max(matrix[i, i] + matrix[j, j] - 2 * matrix[i, j], 0.0)))
                known, interval = self._spread(difference, se)
                p = (
                    known
                    if isinstance(known, Missing)
                    else float(2 * _tail(self.covariance.df, abs(difference) / known))
                )
            tie = None
            if self.model == "davidson":
                nu = float(np.exp(self.parameters[-1]))
                tie = nu / (2 * float(np.cosh(difference / 2)) + nu)
            found.append(
                ArmContrast(
                    self.votes.arms[i],
                    self.votes.arms[j],
                    difference,
                    interval,
                    p,
                    p,
                    float(expit(difference)),
                    tie,
                )
            )
        tested = [n for n, one in enumerate(found) if not isinstance(one.p_value, Missing)]
        if tested:
            adjusted = holm(np.array([found[n].p_value for n in tested], float))
            for n, p_holm in zip(tested, adjusted, strict=True):
                found[n] = found[n]._replace(p_holm=float(p_holm))
        return tuple(found)


class _Ranks(NamedTuple):
    rank: NDArray[np.int64]
    low: list[Any]
    high: list[Any]


def _count(votes: Votes, winner: int, n_arms: int, *, left: bool) -> NDArray[np.int64]:
    side = votes.left if left else votes.right
    return np.bincount(side[votes.winners == winner], minlength=n_arms)


def _place(arm: ArmStrength) -> tuple[Any, ...]:
    if isinstance(arm.strength, Missing):
        return (1, arm.group, 0.0, arm.arm)
    return (0, arm.group, -arm.strength, arm.arm)


def _quantile(df: float, p: float) -> float:
    return float(student_t.ppf(p, df) if np.isfinite(df) else norm.ppf(p))


def _tail(df: float, t: float) -> float:
    return float(student_t.sf(t, df) if np.isfinite(df) else norm.sf(t))
