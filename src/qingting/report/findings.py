"""The results, looked up by what a reader asks: which arm, which measure, against whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, TypeGuard, get_args

from qingting.report.measures import PRIMARY_OVERLAP, Group, Measure, measure_of
from qingting.report.results import (
    ArmResult,
    Baseline,
    ContrastResult,
    MissingValue,
    Number,
    Outcomes,
    Ranking,
    Score,
)
from qingting.report.texts import Bilingual, text_for

Direction = Literal["higher", "lower", "neutral"]
MAX_OVERVIEW = 7


def is_number(value: Number) -> TypeGuard[float]:
    """Return whether there is a value."""
    return not isinstance(value, MissingValue)


class Findings:
    """Look-ups over the outcomes of one experiment. Nothing here computes a statistic."""

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes
        self._arms = {arm.id: arm for arm in outcomes.arms}
        self._scores = {
            (arm.id, measure_of(score)): score for arm in outcomes.arms for score in arm.scores
        }
        self._contrasts = {
            (one.arm, one.other, Measure(one.metric, one.language)): one
            for one in outcomes.contrasts
        }
        self._rankings = {
            Measure(ranking.metric, ranking.language): ranking for ranking in outcomes.rankings
        }

    def words(self, key: str, **values: object) -> Bilingual:
        """Return a text as the experiment's task has it."""
        return text_for(self.outcomes.task, key, **values)

    def hint(self, measure: Measure) -> Bilingual:
        """Return in a phrase what a measure measures in this experiment."""
        if measure.group == "likelihood":
            return self.words("hint_bits-per-byte")
        return measure.hint

    @property
    def arms(self) -> tuple[ArmResult, ...]:
        """Return every arm, failed ones included, in the order of the experiment."""
        return self.outcomes.arms

    @cached_property
    def failed(self) -> tuple[ArmResult, ...]:
        """Return the arms that failed."""
        return tuple(arm for arm in self.arms if arm.status == "failed")

    @cached_property
    def tuned(self) -> tuple[ArmResult, ...]:
        """Return the tuned arms, failed ones included."""
        return tuple(arm for arm in self.arms if arm.variant == "tuned")

    def arm(self, arm_id: str) -> ArmResult | None:
        """Return an arm by its id."""
        return self._arms.get(arm_id)

    def base_of(self, arm: ArmResult) -> ArmResult | None:
        """Return the untuned arm of the same model."""
        return next((a for a in self.arms if a.model == arm.model and a.variant == "base"), None)

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """Return every measure that any arm has a score for, in the order of the report."""
        found = {measure for _, measure in self._scores}
        return tuple(sorted(found, key=lambda measure: measure.sort_key))

    def measures_of(self, *groups: Group) -> tuple[Measure, ...]:
        """Return the measures of these groups."""
        return tuple(measure for measure in self.measures if measure.group in groups)

    def direction(self, measure: Measure) -> Direction:
        """Return which way is better, as the scores say."""
        for (_, other), score in self._scores.items():
            if other == measure:
                return score.direction
        # A contrast of a metric without any score: only bits per byte falls as models improve.
        return "lower" if measure.group == "likelihood" else "higher"

    def score(self, arm_id: str, measure: Measure) -> Score | None:
        """Return an arm's score, or None where it was not measured."""
        return self._scores.get((arm_id, measure))

    def contrast(self, arm_id: str, other: str, measure: Measure) -> ContrastResult | None:
        """Return the contrast ``arm`` minus ``other``, if it was computed that way round."""
        return self._contrasts.get((arm_id, other, measure))

    def contrasts(self, family: str, measure: Measure) -> tuple[ContrastResult, ...]:
        """Return the contrasts of a family on a measure."""
        return tuple(
            one
            for one in self.outcomes.contrasts
            if one.family == family and Measure(one.metric, one.language) == measure
        )

    def contrasted(self, family: str) -> tuple[Measure, ...]:
        """Return the measures with contrasts of a family, in the order of the report."""
        found = {
            Measure(one.metric, one.language)
            for one in self.outcomes.contrasts
            if one.family == family
        }
        return tuple(sorted(found, key=lambda measure: measure.sort_key))

    def met(self, family: str) -> tuple[Measure, ...]:
        """Return the main measures with contrasts of a family; any there are, if no main one."""
        contrasted = self.contrasted(family)
        return tuple(m for m in self.main if m in contrasted) or contrasted

    def ranking(self, measure: Measure) -> Ranking | None:
        """Return the ranking on a measure."""
        return self._rankings.get(measure)

    def baselines(self, measure: Measure) -> tuple[Baseline, ...]:
        """Return what no knowledge scores on a measure, lowest first."""
        words = set(measure.canonical.split("-"))
        matching = [
            one
            for one in self.outcomes.baselines
            # "knowledge-exact" stands beside exact accuracy however answers were read.
            if words.issuperset(Measure(one.metric, None).canonical.split("-"))
        ]
        return tuple(sorted(matching, key=lambda one: one.value))

    def languages_of(self, metric: str) -> tuple[Measure, ...]:
        """Return a metric's measures for the overview: all languages, or else each."""
        same = [m for m in self.measures if m.metric == metric]
        whole = [measure for measure in same if measure.language is None]
        return tuple(whole or same)

    def primary(self, group: Group) -> tuple[Measure, ...]:
        """Return the measures that speak for a group, one a language."""
        candidates = self.measures_of(group)
        if group == "overlap":
            for name in PRIMARY_OVERLAP:
                chosen = tuple(m for m in candidates if m.canonical == name)
                if chosen:
                    return self.languages_of(chosen[0].metric)
        return self.languages_of(candidates[0].metric) if candidates else ()

    @cached_property
    def main(self) -> tuple[Measure, ...]:
        """Return the measures that the summary speaks of."""
        losses = [m for m in self.measures_of("labels") if m.canonical == "log-loss"]
        return (
            *self.primary("likelihood"),
            *self.primary("overlap"),
            *self.primary("knowledge"),
            *self.primary("labels"),
            *losses,
        )

    @cached_property
    def overview(self) -> tuple[Measure, ...]:
        """Return the columns of the overview: the main ones, then a second look at each."""
        knowledge = [m for m in self.measures_of("knowledge") if "elastic" not in m.canonical]
        repetition = [m for m in self.measures_of("form") if m.canonical.startswith("repetition")]
        second = [m for m in self.measures_of("overlap") if m.canonical == "rouge-l-f"]
        labels = self.measures_of("labels")
        wanted = [*self.main, *knowledge, *repetition, *second, *labels]
        chosen = list(dict.fromkeys(wanted))[:MAX_OVERVIEW]
        return tuple(sorted(chosen, key=lambda m: _place(m)))

    def best(self, measure: Measure) -> tuple[str, float] | None:
        """Return the arm with the best mean and that mean; the first of equals."""
        ranking = self.ranking(measure)
        if ranking and ranking.rows:
            row = min(ranking.rows, key=lambda r: r.rank)
            return row.arm, row.mean
        return best_of(
            ((arm.id, self.score(arm.id, measure)) for arm in self.arms), self.direction(measure)
        )


def best_of(
    scores: Iterable[tuple[str, Score | None]], direction: Direction
) -> tuple[str, float] | None:
    """Return the arm with the best mean among those that have one; None where neutral or empty."""
    present: Sequence[tuple[str, float]] = [
        (arm, score.mean) for arm, score in scores if score is not None and is_number(score.mean)
    ]
    if not present or direction == "neutral":
        return None
    sign = 1.0 if direction == "higher" else -1.0
    return max(present, key=lambda pair: sign * pair[1])


def _place(measure: Measure) -> tuple[int, tuple[int, str, int]]:
    groups = get_args(Group)
    return groups.index(measure.group), measure.sort_key
