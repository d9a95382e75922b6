"""How a plan looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qingting.planning.arms import deviations
from qingting.planning.build import Blueprint
from qingting.planning.plan import PlannedStage
from qingting.spec.experiment import Experiment, Question

_PLAIN_WIDTH = 160
_STYLE = {"cached": "green", "to do": "yellow", "blocked": "red", "waiting": "magenta"}


def print_plan(blueprint: Blueprint, planned: Sequence[PlannedStage], work: Path) -> None:
    """Print models with their deviations, stages with their status, and what is in the way."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH)
    experiment = blueprint.experiment
    console.print(Text(f"{experiment.experiment}: {_asked(experiment)}".rstrip(": ")))
    models = Table(title="Models")
    for name in ("model", "from", "runs as", "deviates from the common recipe"):
        models.add_column(name, overflow="fold")
    for model in experiment.models:
        runtime = blueprint.runtimes[model.label]
        found = blueprint.models[model.label]
        differing = deviations(experiment, model)
        models.add_row(
            model.label,
            str(
                found.folder.name
                if found.source == "shipped" and found.folder
                else found.hub_id or found.folder
            ),
            f"{runtime.device}, {runtime.precision}, {runtime.attention}",
            "\n".join(f"{key}: {_plain(a)} → {_plain(b)}" for key, (a, b) in differing.items())
            or "no",
        )
    console.print(models)
    stages = Table(title="Stages")
    stages.add_column("stage", overflow="fold")
    stages.add_column("status", no_wrap=True)
    stages.add_column("why", overflow="fold")
    for item in planned:
        stages.add_row(item.stage.id, Text(item.status, _STYLE[item.status]), item.reason)
    console.print(stages)
    counts = {status: sum(p.status == status for p in planned) for status in _STYLE}
    waiting = f", {counts['waiting']} waiting for people" if counts["waiting"] else ""
    console.print(
        f"{counts['cached']} cached, {counts['to do']} to do, {counts['blocked']} blocked{waiting}; "
        f"work folder {work}"
    )
    if blueprint.obstacles:
        console.print(Text("Before it can run here:", "bold"))
        for problem in blueprint.obstacles:
            console.print(Text(f"  {problem}", "red"))


def _asked(experiment: Experiment) -> str:
    question = experiment.question
    return question.en if isinstance(question, Question) else question or ""


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
