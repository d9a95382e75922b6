"""What a snapshot of judgments says: ranking, ratings, safety, agreement, the decision.

Everything is computed by estimators of ``stats``; here rows become their inputs. Raters are left
out by the registered rules, and by hand where the owner did so; the counts say how many, and the same figures with everybody stand
beside (``everyone``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from qingting.core.errors import DataError, UndefinedStatisticError
from qingting.core.missing import Missing
from qingting.judging.exclusion import Exclusion, RaterChecks, apply_rules, by_hand, checks_of
from qingting.judging.snapshot import SnapshotData
from qingting.spec.judging import CampaignSpec
from qingting.stats.arm_ratings import ArmRatings
from qingting.stats.decision import Decision, decide
from qingting.stats.decision_rule import DecisionRule
from qingting.stats.estimates import Estimate
from qingting.stats.judgment_files import Judgments, Label, Score
from qingting.stats.krippendorff import krippendorff_alpha
from qingting.stats.proportions import clopper_pearson_interval, upper_bound
from qingting.stats.rating_model import fit_ordinal_mixed
from qingting.stats.rating_results import OrdinalMixedFit
from qingting.stats.repeats import IntraRater, intra_rater_consistency
from qingting.stats.vote_ranking import rank_votes
from qingting.stats.vote_results import VoteRanking
from qingting.stats.votes import votes_of

Row = Mapping[str, Any]
T = TypeVar("T")
_WINNER = {"left": 0, "right": 1, "tie": 2}


@dataclass(frozen=True, slots=True)
class SafetyCount:
    """Verdicts on one arm's answers. An answer fails when any rater fails it; none is averaged."""

    arm: str
    n_answers: int
    n_failed: int
    n_concern: int
    """Answers with a concern and no failure."""
    failed_low: float
    failed_high: float
    """95 % Clopper–Pearson interval of the share that fails."""
    upper_bound: float
    """One-sided 95 % bound of that share."""
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """One criterion: agreement, and the arms' ratings or the ranking of pairs."""

    criterion: str
    n_judgments: int
    alpha: Estimate | Missing
    repeats: IntraRater | Missing
    ratings: OrdinalMixedFit | Missing | None
    means: Mapping[str, float] | None
    """Single and conversation: mean score of each arm, to read; the model decides."""
    ranking: VoteRanking | Missing | None


@dataclass(frozen=True, slots=True)
class Leak:
    """What a rater might have told the arm by: a figure per arm of what was shown."""

    what: str
    by_arm: Mapping[str, float]
    auc: float | Missing
    """Probability that the arm with the higher mean shows the higher value; 0.5 tells nothing."""


@dataclass(frozen=True, slots=True)
class BlindingAudit:
    """What could have told raters which arm they saw."""

    n_masked: Mapping[str, int]
    leaks: tuple[Leak, ...]
    share_left: float | Missing
    """Pairs: how often the left answer was preferred, ties half; 0.5 without an order effect."""
    share_left_low: float | None
    share_left_high: float | None


@dataclass(frozen=True, slots=True)
class PartResult:
    """Figures of one part of the judgments: a kind of scenario, a language or a credential."""

    by: str
    part: str
    n_judgments: int
    figures: Mapping[str, float]
    """Arm to mean overall score, or in pairs to the share of comparisons won, ties half."""


@dataclass(frozen=True, slots=True)
class StudyAnalysis:
    """The whole analysis of a snapshot."""

    study: Mapping[str, Any]
    digest: str
    n_judgments: int
    n_raters: int
    checks: tuple[RaterChecks, ...]
    exclusions: tuple[Exclusion, ...]
    criteria: tuple[CriterionResult, ...]
    everyone: tuple[CriterionResult, ...] | None
    """The same with the excluded raters; None where nobody is excluded."""
    safety: tuple[SafetyCount, ...]
    audit: BlindingAudit
    parts: tuple[PartResult, ...]
    decision: Decision | Missing
    n_raters_imported: int
    """Of the raters, those who judged elsewhere: what they knew of the arms is not known here."""


def analyse(data: SnapshotData, *, digest: str, seed: int = 7) -> StudyAnalysis:
    """Return the analysis of a snapshot.

    Raises:
        DataError: it holds no judgment of the main part.
    """
    spec = CampaignSpec.model_validate(data.study["spec"], strict=False)
    checks = checks_of(data.judgments, data.references)
    exclusions = (*apply_rules(checks, spec.exclusion), *by_hand(data.raters))
    out = {one.rater for one in exclusions}
    rows = [row for row in data.judgments if row["rater"] not in out]
    main = [row for row in rows if row["role"] == "main"]
    if not main:
        raise DataError("no judgment of the main part is left to analyse")
    names = [one["id"] for one in data.study["rubric"]["criteria"]]

    def results(of: Sequence[Row]) -> tuple[CriterionResult, ...]:
        return tuple(_criterion(of, name, is_pair=spec.mode == "pair", seed=seed) for name in names)

    credentials = {one["rater"]: one["credential"] for one in data.raters}
    return StudyAnalysis(
        study=data.study,
        digest=digest,
        n_judgments=len(main),
        n_raters=len({row["rater"] for row in main}),
        checks=checks,
        exclusions=exclusions,
        criteria=results(rows),
        everyone=results(data.judgments) if out else None,
        safety=safety_counts(main),
        audit=audit(main, data.study["n_masked"]),
        parts=_parts(main, credentials, is_pair=spec.mode == "pair"),
        decision=_decision(data, rows, seed=seed),
        n_raters_imported=len(
            {row["rater"] for row in main}
            & {one["rater"] for one in data.raters if one.get("is_imported")}
        ),
    )


def _defined(compute: Callable[[], T]) -> T | Missing:
    try:
        return compute()
    except (UndefinedStatisticError, DataError) as error:
        return Missing(str(error))


def _criterion(rows: Sequence[Row], criterion: str, *, is_pair: bool, seed: int) -> CriterionResult:
    main = [row for row in rows if row["role"] == "main" and criterion in row["scores"]]
    again = [row for row in rows if row["role"] in ("main", "repeat")]
    units, values = [_unit(row) for row in main], [_value(row, criterion) for row in main]
    raters = [row["rater"] for row in main]
    level: Any = "nominal" if is_pair else "ordinal"
    return CriterionResult(
        criterion=criterion,
        n_judgments=len(main),
        alpha=_defined(
            lambda: krippendorff_alpha(
                _table(units, raters, values), level=level, rng=np.random.default_rng(seed)
            )
        ),
        repeats=_defined(
            lambda: intra_rater_consistency(
                [_unit(row) for row in again],
                [row["rater"] for row in again],
                [_value(row, criterion) for row in again],
                level=level,
                rng=np.random.default_rng(seed),
            )
        ),
        ratings=None if is_pair else _defined(lambda: _model(main, criterion)),
        means=None if is_pair else _means(main, criterion),
        ranking=_defined(lambda: _ranking(main, criterion, seed)) if is_pair else None,
    )


def _unit(row: Row) -> str:
    """Return what was judged as one; the two orders of a pair are the same unit."""
    arms = sorted(arm for arm in (row["arm"], row["other_arm"]) if arm is not None)
    return "|".join((row["item"], row["language"], *arms))


def _value(row: Row, criterion: str) -> float:
    """Return a score, or for a pair -1, 0, 1: the arm whose name comes first, tie, the other."""
    score = row["scores"][criterion]
    if score not in _WINNER:
        return float(score)
    if score == "tie":
        return 0.0
    is_first = (score == "left") == (row["arm"] < row["other_arm"])
    return -1.0 if is_first else 1.0


def _table(
    units: Sequence[str], raters: Sequence[str], values: Sequence[float]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (n_units, n_raters) values, NaN where a rater did not judge."""
    rows, columns = sorted(set(units)), sorted(set(raters))
    place, column = {u: n for n, u in enumerate(rows)}, {r: n for n, r in enumerate(columns)}
    table = np.full((len(rows), len(columns)), math.nan)
    for unit, rater, value in zip(units, raters, values, strict=True):
        table[place[unit], column[rater]] = value
    return table


def _prompt(row: Row) -> str:
    return f"{row['item']}|{row['language']}"


def _model(main: Sequence[Row], criterion: str) -> OrdinalMixedFit:
    return fit_ordinal_mixed(
        ArmRatings.of(
            [row["arm"] for row in main],
            [_prompt(row) for row in main],
            [row["rater"] for row in main],
            [float(row["scores"][criterion]) for row in main],
            scale=(1, 2, 3, 4, 5),
            criterion=criterion,
        )
    )


def _means(main: Sequence[Row], criterion: str) -> dict[str, float]:
    given: dict[str, list[float]] = {}
    for row in main:
        given.setdefault(row["arm"], []).append(float(row["scores"][criterion]))
    return {arm: float(np.mean(scores)) for arm, scores in sorted(given.items())}


def _ranking(main: Sequence[Row], criterion: str, seed: int) -> VoteRanking:
    return rank_votes(
        votes_of(
            [row["arm"] for row in main],
            [row["other_arm"] for row in main],
            [_WINNER[row["scores"][criterion]] for row in main],
            prompts=[_prompt(row) for row in main],
            raters=[row["rater"] for row in main],
        ),
        rng=np.random.default_rng(seed),
    )


def safety_counts(main: Sequence[Row]) -> tuple[SafetyCount, ...]:
    """Return the verdicts on every arm's answers, by answer and not by judgment."""
    verdicts: dict[tuple[str, str], list[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for row in main:
        for side, arm in (
            ("answer", row["arm"]),
            ("left", row["arm"]),
            ("right", row["other_arm"]),
        ):
            gate = row["safety"].get(side)
            if gate is None or arm is None:
                continue
            verdicts.setdefault((arm, _prompt(row)), []).append(gate["verdict"])
            reasons.setdefault(arm, Counter()).update(gate["reasons"])
    counts = []
    for arm in sorted({arm for arm, _ in verdicts}):
        answers = [given for (one, _), given in verdicts.items() if one == arm]
        failed = sum("fail" in given for given in answers)
        concern = sum("concern" in given and "fail" not in given for given in answers)
        low, high = clopper_pearson_interval(failed, len(answers))
        counts.append(
            SafetyCount(
                arm,
                len(answers),
                failed,
                concern,
                low,
                high,
                upper_bound(failed, len(answers)),
                dict(reasons[arm].most_common()),
            )
        )
    return tuple(counts)


def audit(main: Sequence[Row], n_masked: Mapping[str, int]) -> BlindingAudit:
    """Return what could have told raters the arm: length, format, order."""
    shown: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
    for row in main:
        for place, arm in enumerate((row["arm"], row["other_arm"])):
            if arm is not None and place < len(row["n_characters"]):
                size = (row["n_characters"][place], row["n_format_marks"][place])
                if None not in size:
                    shown.setdefault(arm, {})[(row["item"], row["language"])] = size
    leaks = tuple(
        _leak(what, {arm: [size[place] for size in sizes.values()] for arm, sizes in shown.items()})
        for place, what in enumerate(("characters", "format marks before normalising"))
    )
    left = [
        {"left": 1.0, "tie": 0.5, "right": 0.0}[row["scores"]["overall"]]
        for row in main
        if row["scores"].get("overall") in _WINNER
    ]
    if not left:
        return BlindingAudit(n_masked, leaks, Missing("no pairs were judged"), None, None)
    share = float(np.mean(left))
    half = 1.96 * float(np.std(left)) / math.sqrt(len(left))
    return BlindingAudit(n_masked, leaks, share, share - half, share + half)


def _leak(what: str, by_arm: Mapping[str, Sequence[float]]) -> Leak:
    means = {arm: float(np.mean(values)) for arm, values in sorted(by_arm.items())}
    if len(means) < 2:
        return Leak(what, means, Missing("one arm was shown"))
    most, least = max(means, key=lambda a: means[a]), min(means, key=lambda a: means[a])
    one, other = np.array(by_arm[most]), np.array(by_arm[least])
    above = (one[:, None] > other).mean() + (one[:, None] == other).mean() / 2
    return Leak(what, means, float(above))


def _parts(
    main: Sequence[Row], credentials: Mapping[str, str], *, is_pair: bool
) -> tuple[PartResult, ...]:
    parts = []
    for by, key in (
        ("kind", lambda row: row["kind"]),
        ("language", lambda row: row["language"]),
        ("credential", lambda row: credentials.get(row["rater"], "unknown")),
    ):
        groups: dict[str, list[Row]] = {}
        for row in main:
            groups.setdefault(key(row), []).append(row)
        for part, rows in sorted(groups.items()):
            figures = _shares_won(rows) if is_pair else _means(rows, "overall")
            parts.append(PartResult(by, part, len(rows), figures))
    return tuple(parts)


def _shares_won(rows: Sequence[Row]) -> dict[str, float]:
    won: dict[str, list[float]] = {}
    for row in rows:
        points = {"left": 1.0, "tie": 0.5, "right": 0.0}[row["scores"]["overall"]]
        won.setdefault(row["arm"], []).append(points)
        won.setdefault(row["other_arm"], []).append(1 - points)
    return {arm: float(np.mean(given)) for arm, given in sorted(won.items())}


def _decision(data: SnapshotData, rows: Sequence[Row], *, seed: int) -> Decision | Missing:
    if data.study["rule"] is None:
        return Missing("no rule was registered before the first judgment")
    if data.study["spec"]["mode"] == "pair":
        return Missing("the rule speaks of scores; this study compared pairs")
    rule = DecisionRule.model_validate(data.study["rule"], strict=False)
    judgments = as_judgments(rows, rule, data.references)
    return _defined(lambda: decide(rule, judgments, rng=np.random.default_rng(seed)))


def as_judgments(
    rows: Sequence[Row], rule: DecisionRule, references: Sequence[Mapping[str, Any]]
) -> Judgments:
    """Return a study's judgments as the rule reads them."""
    from qingting.judging.exclusion import passes_attention

    main = [row for row in rows if row["role"] == "main"]
    expected = {(one["item"], one["language"]): one["reference"] for one in references}
    mentioned = [row for row in main if row["arm"] in (rule.candidate, rule.baseline)]
    scores = {
        criterion: tuple(
            Score(row["arm"], _prompt(row), row["rater"], float(row["scores"][criterion]))
            for row in mentioned
            if criterion in row["scores"]
        )
        for criterion in rule.criteria
    }
    safety = tuple(
        Label(row["arm"], _prompt(row), row["rater"], row["safety"]["answer"]["verdict"])
        for row in main
        if row["arm"] == rule.candidate
    )
    check = rule.calibration.attention
    attention = tuple(
        Label(
            row["item"],
            _prompt(row),
            row["rater"],
            check.passed
            if passes_attention(row, expected[row["item"], row["language"]])
            else check.failed,
        )
        for row in rows
        if check is not None and row["role"] == "attention"
    )
    return Judgments(
        scores=scores,
        safety=safety,
        attention=attention,
        n_unreadable_safety=0,
        has_raters=True,
        problems=(),
        ignored={},
    )
