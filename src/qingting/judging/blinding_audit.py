"""What could have told raters which arm they saw, and whether they thought they knew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from qingting.core.missing import Missing
from qingting.judging.criteria import SIGNIFICANCE, defined
from qingting.judging.guessing import NO_IDEA, family_of
from qingting.judging.leakage import FeatureLeak, LeakageAudit, leakage
from qingting.judging.rows import POINTS, Row, prompt_of
from qingting.stats.arm_difference import ArmDifference, arm_difference
from qingting.stats.clusters import FloatArray, Interval
from qingting.stats.estimates import Estimate


@dataclass(frozen=True, slots=True)
class ArmGuesses:
    """What raters thought had written an arm's answers.

    ``n_asked`` answers came with the question; of ``n_answered`` guesses ``n_named`` name a family
    and ``n_right`` the arm's own. ``above_chance``: by how much more often the same raters name
    this arm's family for its answers than for answers of other families. A blind rater has 0,
    whatever the liking for a name; 1 is a rater who always knows. The intervals hold for all arms
    at once with 95 % (Bonferroni).
    """

    arm: str
    family: str | None
    n_asked: int
    n_answered: int
    n_named: int
    n_right: int
    above_chance: Estimate | Missing


@dataclass(frozen=True, slots=True)
class LiveDelays:
    """What the clock may have told of an arm in live conversations.

    Of ``n_answers`` answers ``n_late`` took longer than the study's delay, and so came at a
    multiple of it; ``n_silent`` conversations ended without an answer.
    """

    arm: str
    n_answers: int
    n_late: int
    n_silent: int


@dataclass(frozen=True, slots=True)
class BlindingAudit:
    """What could have told raters which arm they saw.

    ``share_left``: pairs: how often the left answer was preferred, ties half, as the mean over
    scenarios; 0.5 without an effect of the order. ``guesses``: one entry per arm, none where the
    question was not asked.
    """

    n_masked: Mapping[str, int]
    form: LeakageAudit | Missing
    """How well length, lists, punctuation and the like tell arms apart."""
    share_left: Estimate | Missing
    guesses: tuple[ArmGuesses, ...]
    delays: tuple[LiveDelays, ...] = ()
    """Empty where nobody talked live."""


def blinding_audit(
    main: Sequence[Row],
    n_masked: Mapping[str, int],
    *,
    criterion: str,
    conversations: Sequence[Row] = (),
    seed: int = 7,
) -> BlindingAudit:
    """Return what judgments of the main part say on blinding.

    Args:
        main: rows of the main part.
        n_masked: names of models masked in the answers, per arm.
        criterion: whose preferences show an effect of the order.
        conversations: the snapshot's live ones.
        seed: of the exchanges in the audit of form.
    """
    return BlindingAudit(
        n_masked,
        form_audit(main, seed=seed),
        share_left(main, criterion=criterion),
        guesses_by_arm(main),
        delays_of(conversations),
    )


def share_left(main: Sequence[Row], *, criterion: str) -> Estimate | Missing:
    """Return how often the left answer was preferred, its interval clustered by rater and item.

    What the left wins and what the right wins are the scores of two arms; their difference, halved
    and put around one half, is the share.
    """
    said = [row for row in main if row["scores"].get(criterion) in POINTS]
    if not said:
        return Missing("no pairs were judged")
    won = np.array([POINTS[row["scores"][criterion]] for row in said])
    found = arm_difference(
        [True] * len(said) + [False] * len(said),
        [prompt_of(row) for row in said] * 2,
        np.concatenate([won, 1 - won]),
        raters=[row["rater"] for row in said] * 2,
    )
    interval = found.interval
    if not isinstance(interval, Missing):
        interval = Interval(max((1 + interval.low) / 2, 0.0), min((1 + interval.high) / 2, 1.0))
    return Estimate(
        (1 + found.value) / 2,
        interval,
        found.confidence_level,
        n_valid=len(said),
        n_missing=len(main) - len(said),
        method=found.method,
        n_clusters=min(found.n_prompts, found.n_raters),
    )


def sides_of(row: Row) -> Iterator[tuple[str, str]]:
    """Yield each side that was judged and its arm: ``answer``, or ``left`` and ``right``."""
    if row["other_arm"] is None:
        if row["arm"] is not None:
            yield "answer", row["arm"]
        return
    yield "left", row["arm"]
    yield "right", row["other_arm"]


def guesses_by_arm(main: Sequence[Row]) -> tuple[ArmGuesses, ...]:
    """Return what raters guessed of each arm; nothing where nobody was asked."""
    asked = [
        _Guess(row["rater"], prompt_of(row), arm, family_of(arm), row["guess"].get(side))
        for row in main
        if row.get("guess") is not None
        for side, arm in sides_of(row)
    ]
    arms = sorted({one.arm for one in asked})
    level = 1 - SIGNIFICANCE / max(len(arms), 1)
    return tuple(_guesses(arm, asked, confidence_level=level) for arm in arms)


@dataclass(frozen=True, slots=True)
class _Guess:
    rater: str
    prompt: str
    arm: str
    family: str | None
    said: str | None


def _guesses(arm: str, asked: Sequence[_Guess], *, confidence_level: float) -> ArmGuesses:
    family = family_of(arm)
    own = [one for one in asked if one.arm == arm]
    said = [one.said for one in own if one.said is not None]
    return ArmGuesses(
        arm,
        family,
        n_asked=len(own),
        n_answered=len(said),
        n_named=sum(one != NO_IDEA for one in said),
        n_right=sum(one == family for one in said),
        above_chance=_above_chance(arm, family, asked, confidence_level),
    )


def _above_chance(
    arm: str, family: str | None, asked: Sequence[_Guess], confidence_level: float
) -> Estimate | Missing:
    if family is None:
        return Missing("the arm's name tells no family that could be guessed")
    used = [
        one
        for one in asked
        if one.said is not None
        and (one.arm == arm or (one.family is not None and one.family != family))
    ]
    if all(one.arm == arm for one in used):
        return Missing("no answer of another family was guessed, so there is nothing to compare")
    # each rater is a unit of its own: only differences within a rater count, not its liking
    found = defined(
        lambda: arm_difference(
            [one.arm == arm for one in used],
            [one.rater for one in used],
            np.array([float(one.said == family) for one in used]),
            raters=[one.prompt for one in used],
            confidence_level=confidence_level,
        )
    )
    if isinstance(found, Missing):
        return Missing("no rater guessed both this arm and another family")
    return _bounded(found)


def _bounded(found: ArmDifference) -> Estimate:
    interval = found.interval
    if not isinstance(interval, Missing):
        interval = Interval(max(interval.low, -1.0), min(interval.high, 1.0))
    return Estimate(
        found.value,
        interval,
        found.confidence_level,
        n_valid=found.n_ratings,
        n_missing=0,
        method="Student t, within raters, clustered by rater and scenario",
        n_clusters=found.n_prompts,
    )


def delays_of(conversations: Sequence[Row]) -> tuple[LiveDelays, ...]:
    """Return how often each arm's live answers were late or did not come, arms in order."""
    counted: dict[str, list[int]] = {}
    for talk in conversations:
        if talk["arm"] is not None:
            counts = counted.setdefault(talk["arm"], [0, 0, 0])
            counts[0] += sum(turn["role"] == "assistant" for turn in talk["turns"])
            counts[1] += talk["n_late_answers"]
            counts[2] += talk["n_silent"]
    return tuple(LiveDelays(arm, *counts) for arm, counts in sorted(counted.items()))


def form_audit(main: Sequence[Row], *, seed: int) -> LeakageAudit | Missing:
    """Return how well the form of answers tells arms apart, every answer once.

    Besides the form as it was shown, the marks that an answer had before they were made alike.
    """
    # a stored answer was shown to several raters; live conversations are answers of their own
    answers: dict[tuple[str, str, tuple[float, ...]], dict[str, float]] = {}
    for row in main:
        for place, (_, arm) in enumerate(sides_of(row)):
            form, marks = row["form"][place], row["n_format_marks"][place]
            if form is not None and marks is not None:
                features = form | {"format_marks": float(marks)}
                answers[(arm, prompt_of(row), tuple(features.values()))] = features
    arms, items = [key[0] for key in answers], [key[1] for key in answers]
    names = next(iter(answers.values()), {})
    columns = {name: np.array([one[name] for one in answers.values()]) for name in names}
    ranked = {name: _ranked(values, items) for name, values in columns.items()}
    found = defined(lambda: leakage(arms, items, ranked, rng=np.random.default_rng(seed)))
    return found if isinstance(found, Missing) else _with_means(found, arms, columns)


def _ranked(values: FloatArray, prompts: Sequence[str]) -> FloatArray:
    """Return each value's place among those of its language, 0 to 1.

    A rater reads one language; that answers in another are longer must not blur what tells arms.
    """
    ranks = np.empty(len(values))
    languages = np.array([prompt.rpartition("|")[2] for prompt in prompts])
    for language in set(languages.tolist()):
        here = languages == language
        ranks[here] = rankdata(values[here]) / here.sum()
    return ranks


def _with_means(
    found: LeakageAudit, arms: Sequence[str], columns: Mapping[str, FloatArray]
) -> LeakageAudit:
    """Return an audit that tells means of the features instead of those of their ranks."""
    of = np.array(arms)

    def told(leak: FeatureLeak) -> FeatureLeak:
        values = columns[leak.feature]
        others = of == leak.other if leak.other is not None else of != leak.arm
        mean, other_mean = float(values[of == leak.arm].mean()), float(values[others].mean())
        return replace(leak, mean=mean, other_mean=other_mean)

    return replace(found, leaks=tuple(map(told, found.leaks)), strongest=told(found.strongest))
