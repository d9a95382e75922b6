"""Choosing an arm by measured results: from ``results.json`` to an order and how firm it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qingting.core.errors import Problem, SpecificationError, did_you_mean
from qingting.core.missing import Missing
from qingting.report.choosing_options import Gate
from qingting.report.results import ArmMeasurements, MissingValue, Results, Score
from qingting.stats.choosing import (
    Firmness,
    Shares,
    firmness,
    order_of,
    pareto_front,
    rank_shares,
    scaled,
    weighted,
    winning_shares,
)

FloatArray = NDArray[np.float64]

COSTS: Mapping[str, bool] = {
    "answer_tokens_per_s": True,
    "answer_first_token_s": False,
    "answer_memory_gib": False,
    "training_wall_s": False,
    "training_cpu_s": False,
    "training_memory_gib": False,
}
"""Measures of cost → whether higher is better; answers at the largest batch measured."""

N_DRAWS = 4000


class Value(NamedTuple):
    """A measure of one arm with its standard error; 0 where none is known."""

    mean: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether an arm passes a gate, and on which figure."""

    gate: str
    passed: bool
    why: str


@dataclass(frozen=True, slots=True)
class ArmChoice:
    """One arm: its values, and either its place or why it has none."""

    arm: str
    values: Mapping[str, Value | Missing]
    gates: tuple[GateResult, ...]
    criteria: Mapping[str, float] | None
    score: float | None
    rank: int | None
    on_front: bool | None
    why_unranked: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The whole result; arrays are over ``ranked``, best first."""

    weights: Mapping[str, float]
    measures: Mapping[str, tuple[str, ...]]
    arms: tuple[ArmChoice, ...]
    ranked: tuple[str, ...]
    table: FloatArray
    """(n_ranked, n_criteria) in 0..1."""
    shares: Shares | None
    rank_shares: FloatArray | None
    firm: Firmness | None
    open_pairs: tuple[tuple[str, str, float], ...]
    """Neighbours and others whose order the uncertainty leaves open: (above, below, probability)."""


def choose(
    results: Results,
    weights: Mapping[str, float],
    measures: Mapping[str, tuple[str, ...]],
    *,
    gates: Sequence[Gate] = (),
    rng: np.random.Generator,
) -> Choice:
    """Return the arms in order of weighted results, gates first.

    Raises:
        SpecificationError: no arm has a measure of that name, or a measure has no better end.
    """
    reader = _Reader(results)
    measures = {criterion: reader.expanded(names) for criterion, names in measures.items()}
    named = [name for names in measures.values() for name in names]
    reader.check([*named, *(gate.measure for gate in gates)])
    arms = [_arm(reader, arm, named, gates) for arm in reader.arms]
    able = [one for one in arms if one.why_unranked is None]
    if not able:
        return Choice(
            weights=weights,
            measures=measures,
            arms=tuple(arms),
            ranked=(),
            table=np.zeros((0, len(weights))),
            shares=None,
            rank_shares=None,
            firm=None,
            open_pairs=(),
        )
    return _ranked(reader, arms, able, weights, measures, rng=rng)


def _arm(reader: _Reader, arm: str, named: Sequence[str], gates: Sequence[Gate]) -> ArmChoice:
    values = {name: reader.value(arm, name) for name in dict.fromkeys(named)}
    passed = tuple(_passes(reader, arm, gate) for gate in gates)
    why = next((f"fails {one.gate}: {one.why}" for one in passed if not one.passed), None)
    if why is None:
        lacking = [(n, v.reason) for n, v in values.items() if isinstance(v, Missing)]
        why = f"{lacking[0][0]} is missing: {lacking[0][1]}" if lacking else None
    return ArmChoice(arm, values, passed, None, None, None, None, why)


def _passes(reader: _Reader, arm: str, gate: Gate) -> GateResult:
    value = reader.value(arm, gate.measure)
    if isinstance(value, Missing):
        return GateResult(str(gate), False, f"missing ({value.reason}), and nothing unseen passes")
    bound = value.low if gate.at_least else value.high
    ok = bound >= gate.bound if gate.at_least else bound <= gate.bound
    end = "" if value.low == value.high else f", {'lower' if gate.at_least else 'upper'} bound"
    return GateResult(str(gate), bool(ok), f"{bound:.4g}{end}")


def _ranked(
    reader: _Reader,
    arms: Sequence[ArmChoice],
    able: Sequence[ArmChoice],
    weights: Mapping[str, float],
    measures: Mapping[str, tuple[str, ...]],
    *,
    rng: np.random.Generator,
) -> Choice:
    w = np.array(list(weights.values()))
    table = _criteria(reader, able, measures, list(weights), draws=None)
    scores = weighted(table, w)
    order = order_of(scores, [one.arm for one in able])
    drawn = _criteria(reader, able, measures, list(weights), draws=_draws(able, rng))
    firm = firmness(weighted(drawn, w)[:, order])
    front = pareto_front(table)
    placed = {
        able[at].arm: ArmChoice(
            arm=able[at].arm,
            values=able[at].values,
            gates=able[at].gates,
            criteria=dict(zip(weights, map(float, table[at]), strict=True)),
            score=float(scores[at]),
            rank=rank,
            on_front=bool(front[at]),
            why_unranked=None,
        )
        for rank, at in enumerate(order, start=1)
    }
    names = tuple(able[at].arm for at in order)
    return Choice(
        weights=weights,
        measures=measures,
        arms=(
            *(placed[name] for name in names),
            *(one for one in arms if one.why_unranked is not None),
        ),
        ranked=names,
        table=table[order],
        shares=winning_shares(table[order], rng=rng),
        rank_shares=rank_shares(table[order], rng=rng),
        firm=firm,
        open_pairs=tuple(
            (names[i], names[j], float(firm.p_above[i, j]))
            for i in range(len(names))
            for j in range(i + 1, len(names))
            if firm.p_above[i, j] < 0.95
        ),
    )


def _draws(able: Sequence[ArmChoice], rng: np.random.Generator) -> dict[str, FloatArray]:
    """Return normal draws of every measure, (n_draws, n_arms); arms are drawn apart."""
    drawn = {}
    for name in able[0].values:
        values = [one.values[name] for one in able]
        means = np.array([v.mean for v in values if isinstance(v, Value)])
        errors = np.array([v.standard_error for v in values if isinstance(v, Value)])
        drawn[name] = means + errors * rng.standard_normal((N_DRAWS, len(able)))
    return drawn


def _criteria(
    reader: _Reader,
    able: Sequence[ArmChoice],
    measures: Mapping[str, tuple[str, ...]],
    criteria: Sequence[str],
    *,
    draws: Mapping[str, FloatArray] | None,
) -> FloatArray:
    """Return criteria in 0..1, (n_arms, n_criteria), or (n_draws, n_arms, n_criteria).

    Draws are brought to the scale of the measured values, so that an end that moves by chance does
    not move everything else.
    """
    columns = []
    for criterion in criteria:
        parts = []
        for name in measures[criterion]:
            means = np.array([one.values[name].mean for one in able])  # type: ignore[union-attr]
            higher = reader.higher_is_better(name)
            if draws is None:
                parts.append(scaled(means, higher_is_better=higher))
            elif means.max() == means.min():
                parts.append(np.ones_like(draws[name]))
            else:
                ends = (means.min(), means.max()) if higher else (means.max(), means.min())
                parts.append(
                    (draws[name] - ends[0]) / (ends[1] - ends[0])  # not cut: chance goes both ways
                )
        columns.append(np.mean(parts, axis=0))
    return np.stack(columns, axis=-1)


class _Reader:
    """Finds measures in results: scores by ``metric`` or ``metric/language``, and costs."""

    def __init__(self, results: Results) -> None:
        self._outcomes = {arm.id: arm for arm in results.outcomes.arms}
        self._costs: dict[str, ArmMeasurements] = {
            one.arm: one for one in results.measurements.arms
        }
        self.arms = list(self._outcomes)

    def known(self) -> list[str]:
        """Return every name that some arm has a measure of."""
        names: dict[str, None] = {}
        for arm in self._outcomes.values():
            for score in arm.scores:
                names[_name(score)] = None
        return [*names, *COSTS]

    def expanded(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return measures by their full names: one that is told by language stands for each."""
        known = self.known()
        full: list[str] = []
        for name in names:
            by_language = [one for one in known if one.rpartition("/")[0] == name]
            full += [name] if name in known or not by_language else by_language
        return tuple(full)

    def check(self, names: Sequence[str]) -> None:
        """Raise unless every name is measured somewhere and has a better end."""
        known = self.known()
        problems = []
        for name in dict.fromkeys(names):
            if name not in known:
                problems.append(
                    Problem(
                        name,
                        f"no arm has this measure.{did_you_mean(name, known)} "
                        f"Known: {', '.join(known)}",
                    )
                )
            elif name not in COSTS and self._direction(name) == "neutral":
                problems.append(Problem(name, "neither more nor less of it is better"))
        if problems:
            raise SpecificationError(problems)

    def _scores(self, name: str) -> list[Score]:
        return [s for arm in self._outcomes.values() for s in arm.scores if _name(s) == name]

    def _direction(self, name: str) -> str:
        return self._scores(name)[0].direction

    def higher_is_better(self, name: str) -> bool:
        """Return which end of a measure is better."""
        return COSTS[name] if name in COSTS else self._direction(name) == "higher"

    def value(self, arm: str, name: str) -> Value | Missing:
        """Return a measure of an arm, or why there is none."""
        if name in COSTS:
            cost = self._cost(arm, name)
            return cost if isinstance(cost, Missing) else Value(cost, 0.0, cost, cost)
        outcome = self._outcomes[arm]
        if outcome.status == "failed":
            return Missing(outcome.reason or "the arm failed")
        for score in outcome.scores:
            if _name(score) == name:
                return _value(score)
        return Missing("not measured for this arm")

    def _cost(self, arm: str, name: str) -> float | Missing:
        found = self._costs.get(arm)
        if found is None:
            return Missing("nothing was measured of this arm")
        kind, _, what = name.partition("_")
        if kind == "training":
            if found.training is None:
                return 0.0  # an untuned base costs no training
            if what == "memory_gib":
                return found.training.peak_memory_bytes / 2**30
            return float(found.training.wall_s if what == "wall_s" else found.training.cpu_s)
        if not found.inference:
            return Missing("speed was not measured (evaluations.inference)")
        largest = max(found.inference, key=lambda one: one.batch_size)
        return {
            "tokens_per_s": float(largest.tokens_per_s),
            "first_token_s": float(largest.time_to_first_token_s),
            "memory_gib": largest.peak_memory_bytes / 2**30,
        }[what]


def _name(score: Score) -> str:
    return f"{score.metric}/{score.language}" if score.language else score.metric


def _value(score: Score) -> Value | Missing:
    if isinstance(score.mean, MissingValue):
        return Missing(score.mean.missing)
    mean = float(score.mean)
    interval = score.interval
    if isinstance(interval, MissingValue):
        return Value(mean, 0.0, mean, mean)
    from scipy.special import ndtri

    z = float(ndtri(0.5 + interval.confidence_level / 2))
    return Value(mean, (interval.high - interval.low) / (2 * z), interval.low, interval.high)
