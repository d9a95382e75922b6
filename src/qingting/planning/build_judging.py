"""The stages of human judging: a study is made, people judge, and what they said is analysed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qingting.core.errors import NotFoundError, Problem, SpecificationError, did_you_mean
from qingting.domains.packs import find_pack, pack_names
from qingting.judging.campaigns import rule_of_study
from qingting.judging.run_studies import StudyPlace
from qingting.planning.arms import Arm, arms_of
from qingting.planning.installed import installed_versions
from qingting.spec.experiment import Experiment
from qingting.spec.judging import CampaignSpec
from qingting.stages.base import VERSIONS, Stage


def judging_problems(experiment: Experiment, *, base: Path) -> list[Problem]:
    """Return what is wrong with an experiment's study; people must not find out after training."""
    judging = experiment.judging
    if judging is None:
        return []
    problems = []
    if judging.domain not in pack_names():
        problems.append(
            Problem(
                "judging.domain",
                f"no pack {judging.domain!r} ships.{did_you_mean(judging.domain, pack_names())}",
            )
        )
    known = [arm.id for arm in arms_of(experiment)]
    for arm in judging.arms or ():
        if arm not in known:
            problems.append(
                Problem(
                    "judging.arms",
                    f"{arm!r} is not an arm.{did_you_mean(arm, known)} Arms: {', '.join(known)}",
                )
            )
    judged = _judged(judging, known)
    if len(judged) < 2:
        problems.append(
            Problem("judging", f"a study compares at least two arms; here: {', '.join(judged)}")
        )
    if judging.decision is not None:
        try:
            rule_of_study(base / judging.decision, judged)
        except (NotFoundError, SpecificationError) as error:
            problems.append(Problem("judging.decision", str(error)))
    return problems


def _judged(judging: CampaignSpec, known: list[str]) -> list[str]:
    return list(dict.fromkeys(judging.arms)) if judging.arms is not None else known


def judging_stages(
    experiment: Experiment, arms: tuple[Arm, ...], *, base: Path, place: StudyPlace | None
) -> tuple[Stage, ...]:
    """Return ``judge``, ``collect`` and ``analyse_judgments``.

    A study is made only when every arm that it compares has answered: people's time is not spent
    on part of a comparison. To leave out an arm that fails, name the others in ``judging.arms``.
    """
    judging = experiment.judging
    assert judging is not None
    judged = _judged(judging, [arm.id for arm in arms])
    sources = {"pack": find_pack(judging.domain).folder / "judging"}
    if judging.decision is not None:
        sources["rule"] = base / judging.decision
    settings: dict[str, Any] = {} if place is None else {"place": place}
    return (
        _stage(
            "judge",
            {"study": judging.model_dump(mode="json"), "arms": judged},
            {"scenarios": "prepare_scenarios"}
            | {arm: f"generate/{arm}/scenarios" for arm in judged},
            sources=sources,
            settings=settings,
        ),
        _stage("collect", {}, {"study": "judge"}, settings=settings),
        _stage(
            "analyse_judgments",
            {"seed": experiment.analysis.seed},
            {"judgments": "collect"},
            versions=installed_versions(("numpy", "scipy")),
            settings=settings,
        ),
    )


def _stage(kind: str, config: dict[str, Any], inputs: dict[str, str], **more: Any) -> Stage:
    return Stage(id=kind, kind=kind, version=VERSIONS[kind], config=config, inputs=inputs, **more)
