"""What a snapshot of judgments says: ranking, ratings, safety, agreement, the decision.

Everything is computed by estimators of ``stats``; here and in the modules beside, rows become
their inputs. Raters are left out by the registered rules, and by hand where the owner did so; the
counts say how many, and the same figures with everybody stand beside (``everyone``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qingting.core.errors import DataError
from qingting.core.missing import Missing
from qingting.judging.blinding_audit import BlindingAudit, blinding_audit, sides_of
from qingting.judging.criteria import CriterionResult, criterion_result, mean_scores
from qingting.judging.deciding import study_decision
from qingting.judging.exclusion import Exclusion, RaterChecks, apply_rules, by_hand, checks_of
from qingting.judging.group_agreement import (
    ExpertAgreement,
    GroupAgreement,
    agreement_with_reference,
    experts_and_others,
)
from qingting.judging.rows import POINTS, Row, main_criterion, prompt_of
from qingting.judging.snapshot import SnapshotData
from qingting.spec.judging import CampaignSpec
from qingting.stats.decision import Decision
from qingting.stats.proportions import clopper_pearson_interval, upper_bound


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
class PartResult:
    """Figures of one part of the judgments: a kind of scenario, a language or a credential."""

    by: str
    part: str
    n_judgments: int
    figures: Mapping[str, float]
    """Arm to mean score on the headline, or in pairs to the share of comparisons won, ties half."""


@dataclass(frozen=True, slots=True)
class StudyAnalysis:
    """The whole analysis of a snapshot.

    ``headline``: the criterion that the first page, the parts and the blinding audit are about.
    """

    study: Mapping[str, Any]
    digest: str
    headline: str
    n_judgments: int
    n_raters: int
    credentials: Mapping[str, int]
    """Credential to the number of those raters."""
    arms_judged: tuple[str, ...]
    """Arms with a judgment of the main part by a rater who is not left out."""
    n_left_out: int
    """Judgments of the main part by raters who are left out."""
    checks: tuple[RaterChecks, ...]
    exclusions: tuple[Exclusion, ...]
    criteria: tuple[CriterionResult, ...]
    everyone: tuple[CriterionResult, ...] | None
    """The same with the excluded raters; None where nobody is excluded."""
    safety: tuple[SafetyCount, ...]
    audit: BlindingAudit
    parts: tuple[PartResult, ...]
    reference: tuple[GroupAgreement, ...]
    experts: ExpertAgreement | Missing
    decision: Decision | Missing
    n_raters_imported: int
    """Of the raters, those who judged elsewhere: what they knew of the arms is not known here."""


def analyse(data: SnapshotData, *, digest: str, seed: int = 7) -> StudyAnalysis:
    """Return the analysis of a snapshot; where all raters are left out, it says little but that.

    Raises:
        DataError: it holds no judgment of the main part.
    """
    spec = CampaignSpec.model_validate(data.study["spec"], strict=False)
    n_main = sum(row["role"] == "main" for row in data.judgments)
    if not n_main:
        raise DataError(
            "no judgment of the main part is there to analyse; practice answers and checks say "
            "nothing about the arms"
        )
    checks = checks_of(data.judgments, data.references)
    exclusions = (*apply_rules(checks, spec.exclusion), *by_hand(data.raters))
    out = {one.rater for one in exclusions}
    rows = [row for row in data.judgments if row["rater"] not in out]
    main = [row for row in rows if row["role"] == "main"]
    names = [one["id"] for one in data.study["rubric"]["criteria"]]
    headline = main_criterion(names)
    is_pair = spec.mode == "pair"
    floor = spec.uniform_floor if spec.active else None

    def results(of: Sequence[Row]) -> tuple[CriterionResult, ...]:
        return tuple(
            criterion_result(of, name, is_pair=is_pair, seed=seed, active_floor=floor)
            for name in names
        )

    credentials = {one["rater"]: one["credential"] for one in data.raters}
    return StudyAnalysis(
        study=data.study,
        digest=digest,
        headline=headline,
        n_judgments=len(main),
        n_raters=len(judged := {row["rater"] for row in main}),
        credentials=dict(sorted(Counter(credentials[rater] for rater in judged).items())),
        arms_judged=tuple(sorted({arm for row in main for _, arm in sides_of(row)})),
        n_left_out=n_main - len(main),
        checks=checks,
        exclusions=exclusions,
        criteria=results(rows),
        everyone=results(data.judgments) if out else None,
        safety=safety_counts(main),
        audit=blinding_audit(
            main,
            data.study["n_masked"],
            criterion=headline,
            conversations=data.conversations,
            seed=seed,
        ),
        parts=_parts(main, credentials, criterion=headline, is_pair=is_pair),
        reference=agreement_with_reference(
            rows, data.references, data.raters, criterion=headline, seed=seed
        ),
        experts=experts_and_others(main, data.raters, criterion=headline, seed=seed),
        decision=study_decision(data, rows, seed=seed),
        n_raters_imported=len(
            judged & {one["rater"] for one in data.raters if one.get("is_imported")}
        ),
    )


def safety_counts(main: Sequence[Row]) -> tuple[SafetyCount, ...]:
    """Return the verdicts on every arm's answers, by answer and not by judgment."""
    verdicts: dict[tuple[str, str], list[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for row in main:
        for side, arm in sides_of(row):
            gate = row["safety"].get(side)
            if gate is None:
                continue
            verdicts.setdefault((arm, prompt_of(row)), []).append(gate["verdict"])
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


def _parts(
    main: Sequence[Row], credentials: Mapping[str, str], *, criterion: str, is_pair: bool
) -> tuple[PartResult, ...]:
    by_part: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("kind", lambda row: row["kind"]),
        ("language", lambda row: row["language"]),
        ("credential", lambda row: credentials.get(row["rater"], "unknown")),
    )
    parts = []
    for by, key in by_part:
        groups: dict[str, list[Row]] = {}
        for row in main:
            groups.setdefault(key(row), []).append(row)
        for part, rows in sorted(groups.items()):
            figures = (shares_won if is_pair else mean_scores)(rows, criterion)
            parts.append(PartResult(by, part, len(rows), figures))
    return tuple(parts)


def shares_won(rows: Sequence[Row], criterion: str) -> dict[str, float]:
    """Return the share of its comparisons that each arm wins, ties half, names in order."""
    won: dict[str, list[float]] = {}
    for row in rows:
        if criterion in row["scores"]:
            points = POINTS[row["scores"][criterion]]
            won.setdefault(row["arm"], []).append(points)
            won.setdefault(row["other_arm"], []).append(1 - points)
    return {arm: float(np.mean(given)) for arm, given in sorted(won.items())}
