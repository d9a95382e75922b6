"""Contrast the arms on the same items: intervals, Holm-corrected tests, ranks with intervals."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from qingting.core.errors import UndefinedStatisticError
from qingting.core.missing import Missing, is_missing_record
from qingting.stages.base import Context, Summary, read_json, write_json
from qingting.stats.contrasts import ArmScores, Contrast, contrast_arms
from qingting.stats.estimates import Estimate, mean_estimate
from qingting.stats.proportions import proportion_estimate
from qingting.stats.ranking import rank_arms

_Scores = dict[str, dict[str, Any]]  # metric key → its record, of one arm


def run(context: Context) -> Summary:
    """Write ``analysis.json``: estimates per arm, contrasts in families, rankings."""
    config = context.config
    arms = [arm for arm in config["arms"] if arm["id"] in context.inputs]
    scores = {
        a["id"]: read_json(context.inputs[a["id"]] / "evaluation.json")["scores"] for a in arms
    }
    keys = list(dict.fromkeys(key for one in scores.values() for key in one))
    families = {
        "tuned vs base": _tuned_against_base(arms),
        "tuned vs tuned": _tuned_against_tuned(arms),
    }
    analysis: dict[str, Any] = {"estimates": {}, "contrasts": [], "rankings": []}
    for key in keys:
        having = {arm: one[key] for arm, one in scores.items() if key in one}
        analysis["estimates"][key] = {
            arm: _estimate(record, config, _rng(config, key, arm)) for arm, record in having.items()
        }
        for family, pairs in families.items():
            asked = [(a, b) for a, b in pairs if a in having and b in having]
            analysis["contrasts"] += _contrasts(family, key, having, asked, config)
        ranking = _ranking(key, having, config)
        if ranking is not None:
            analysis["rankings"].append(ranking)
    write_json(context.output / "analysis.json", analysis)
    return {"n_arms": len(arms), "n_contrasts": len(analysis["contrasts"])}


def _tuned_against_base(arms: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    bases = {arm["model"]: arm["id"] for arm in arms if arm["variant"] == "base"}
    return [
        (arm["id"], bases[arm["model"]])
        for arm in arms
        if arm["variant"] == "tuned" and arm["model"] in bases
    ]


def _tuned_against_tuned(arms: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return list(combinations([arm["id"] for arm in arms if arm["variant"] == "tuned"], 2))


def _rng(config: Mapping[str, Any], *names: str) -> np.random.Generator:
    """Return a generator for one computation; an arm's own interval depends on no other arm."""
    return np.random.default_rng([config["seed"], *(zlib.crc32(name.encode()) for name in names)])


def _arm_scores(record: Mapping[str, Any]) -> ArmScores:
    return ArmScores(
        {
            item: Missing(value["missing"]) if is_missing_record(value) else float(value)
            for item, value in record["items"].items()
        },
        record["signature"],
    )


def _estimate(
    record: Mapping[str, Any], config: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    scores = _arm_scores(record).scores_items
    clusters = record["clusters"]
    if record["metric"] == "accuracy":  # a proportion of independent texts, proper at 0 and 1 too
        return proportion_estimate(
            sum(value == 1.0 for value in scores.values()),
            len(scores),
            confidence_level=config["confidence_level"],
            signature=record["signature"],
        ).to_record()
    try:
        estimate: Estimate = mean_estimate(
            list(scores.values()),
            rng=rng,
            method="bca",
            clusters=[clusters[item] for item in scores] if clusters else None,
            n_resamples=config["n_resamples"],
            confidence_level=config["confidence_level"],
            signature=record["signature"],
        )
    except UndefinedStatisticError as error:
        return Missing(str(error)).to_record()
    return estimate.to_record()


def _contrasts(
    family: str,
    key: str,
    having: Mapping[str, Mapping[str, Any]],
    pairs: list[tuple[str, str]],
    config: Mapping[str, Any],
) -> list[dict[str, Any]]:
    if not pairs:
        return []
    record = next(iter(having.values()))
    if record["direction"] == "neutral":
        return []
    made = contrast_arms(
        {arm: _arm_scores(one) for arm, one in having.items()},
        pairs=pairs,
        rng=_rng(config, key, family),
        n_resamples=config["n_resamples"],
        confidence_level=config["confidence_level"],
        method="bca",
        clusters=record["clusters"] or None,
    )
    verdict = _verdict_reader(record["direction"])
    return [
        contrast.to_record()
        | {
            "family": family,
            "metric": record["metric"],
            "language": record["language"],
            "verdict": verdict(contrast),
        }
        for contrast in made
    ]


def _verdict_reader(direction: str) -> Callable[[Contrast], str]:
    better = {"higher": "first higher", "lower": "second higher"}[direction]

    def read(contrast: Contrast) -> str:
        if isinstance(contrast.difference, Missing):
            return "undefined"
        if contrast.verdict == "inconclusive":
            return "inconclusive"
        return "better" if contrast.verdict == better else "worse"

    return read


def _ranking(
    key: str, having: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[str, Any] | None:
    record = next(iter(having.values()))
    if record["direction"] == "neutral" or len(having) < 2:
        return None
    try:
        ranking = rank_arms(
            {arm: _arm_scores(one) for arm, one in having.items()},
            higher_is_better=record["direction"] == "higher",
            clusters=record["clusters"] or None,
            confidence_level=config["confidence_level"],
        )
    except UndefinedStatisticError:
        return None
    return {
        "metric": record["metric"],
        "language": record["language"],
        "method": f"{ranking.method}: {ranking.claim}",
        "rows": [row._asdict() for row in ranking.arms],
    }
