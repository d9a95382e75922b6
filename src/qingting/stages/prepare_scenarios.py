"""Turn the scenarios that people will judge into prompts that every arm answers."""

from __future__ import annotations

from typing import Any

from qingting.domains.judging_pack import Scenario, read_judging_pack
from qingting.spec.judging import ScenarioChoice
from qingting.stages.base import Context, Summary, write_jsonl


def run(context: Context) -> Summary:
    """Write ``prompts.jsonl``: scenario, language, kind, and the client's opening as messages."""
    config = context.config
    pack = read_judging_pack(context.stage.sources["pack"])
    chosen = pack.choose(ScenarioChoice.model_validate(config["scenarios"], strict=False))
    prompts = [
        _prompt(scenario, language, config["system_prompt"])
        for scenario in chosen
        for language in config["languages"]
    ]
    write_jsonl(context.output / "prompts.jsonl", prompts)
    return {"n_prompts": len(prompts), "n_scenarios": len(chosen)}


def _prompt(scenario: Scenario, language: str, system_prompt: str | None) -> dict[str, Any]:
    messages = [{"role": "user", "content": scenario.opening.text_in(language)}]
    if system_prompt is not None:
        messages.insert(0, {"role": "system", "content": system_prompt})
    return {
        "id": f"{scenario.id}@{language}",
        "scenario": scenario.id,
        "language": language,
        "kind": scenario.kind,
        "messages": messages,
    }
