"""Gather everything a run found into ``results.json`` and the report's pages."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from qingting.core.missing import Missing
from qingting.domains.packs import pack_names
from qingting.metrics.text import score_texts
from qingting.report.advice import advise
from qingting.report.file_names import NAMES
from qingting.report.html import render_html
from qingting.report.markdown import render_markdown
from qingting.report.results import Measurements, Outcomes, Results
from qingting.stages.analyse_judgments import FINDINGS
from qingting.stages.base import ARM_KINDS, Context, Summary, read_json, read_jsonl
from qingting.store.artifacts import Artifact


def run(context: Context) -> Summary:
    """Write ``results.json``, ``report/index.html`` and ``report/performance_comparison.md``."""
    outcomes = _outcomes(context)
    measurements = _measurements(context)
    lasting, passing = advise(outcomes, measurements)
    results = Results(
        outcomes=outcomes.model_copy(update={"advice": lasting}),
        measurements=measurements.model_copy(update={"advice": passing}),
    )
    folder = context.output / "report"
    folder.mkdir()
    (context.output / "results.json").write_bytes(
        orjson.dumps(results.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n"
    )
    (folder / "index.html").write_text(render_html(results), encoding="utf-8")
    (folder / "performance_comparison.md").write_text(render_markdown(results), encoding="utf-8")
    judged = context.inputs.get("analyse_judgments")
    if judged is not None:
        for name in NAMES:
            shutil.copyfile(judged / name, folder / name)
    return {"n_arms": len(outcomes.arms)}


# -- outcomes ---------------------------------------------------------------------------------------


def _outcomes(context: Context) -> Outcomes:
    config = context.config
    data = context.inputs["data"].manifest["summary"]
    schedule = context.inputs.get("schedule")
    cut = schedule.manifest["summary"] if schedule is not None else {"n_cut": 0, "n_left_out": 0}
    analysis_artifact = context.inputs.get("analysis")
    analysis: dict[str, Any] = (
        read_json(analysis_artifact / "analysis.json")
        if analysis_artifact is not None
        else {"estimates": {}, "contrasts": [], "rankings": []}
    )
    value = {
        "experiment": config["experiment"]["experiment"],
        "question": config["experiment"]["question"],
        "task": config["experiment"].get("task", "dialogue"),
        "specification": config["experiment"],
        "data": {
            **data["data"],
            "sources": source_names(config["experiment"]["data"]["train"]),
            "n_cut": cut["n_cut"],
            "n_left_out": cut["n_left_out"],
        },
        "models": [_model(context, label) for label in config["models"]],
        "arms": [_arm(context, arm, analysis) for arm in config["arms"]],
        "contrasts": [_contrast(one) for one in analysis["contrasts"]],
        "rankings": analysis["rankings"],
        "baselines": _baselines(context),
        "references": _references(context),
        "judging": _judging(context),
        "examples": _examples(context),
        "advice": [],
        "versions": dict(context.stage.versions),
    }
    return Outcomes.model_validate_json(orjson.dumps(value))


def source_names(references: Sequence[str]) -> list[str]:
    """Return what the report calls the data: a pack by its name, anything else by its last part.

    A file or folder that merely has the name of a pack gets a slash: it is not the pack.
    """
    packs = pack_names()
    names = []
    for reference in references:
        name = Path(reference).name
        names.append(f"{name}/" if name in packs and reference not in packs else name)
    return names


def _model(context: Context, label: str) -> dict[str, Any]:
    record: Mapping[str, Any] = context.config["models"][label]
    trained = [
        context.inputs[f"train/{arm['id']}"].manifest["summary"]
        for arm in context.config["arms"]
        if arm["model"] == label and f"train/{arm['id']}" in context.inputs
    ]
    return {
        "label": label,
        "source": record["source"],
        "hub_id": record["hub_id"],
        "revision": record["revision"],
        "digest": context.source_digests[label],
        "architecture": record["architecture"],
        "n_parameters": trained[0]["n_parameters"] if trained else None,
        "licence": record["licence"],
    }


def _arm(context: Context, arm: Mapping[str, Any], analysis: Mapping[str, Any]) -> dict[str, Any]:
    identity = arm["id"]
    reason = next(
        (
            f"{kind}: {context.failures[f'{kind}/{identity}']}"
            for kind in ARM_KINDS
            if f"{kind}/{identity}" in context.failures
        ),
        None,
    )
    return {
        **{name: arm[name] for name in ("id", "model", "variant", "seed")},
        "status": "failed" if reason else "done",
        "reason": reason,
        "deviations": arm["deviations"] if arm["variant"] == "tuned" else {},
        "training": _training(context, arm),
        "proofs": _proofs(context, identity),
        "scores": _scores(context, identity, analysis),
        "classification": _classification(context, identity),
    }


def _classification(context: Context, identity: str) -> Any:
    artifact = context.inputs.get(f"evaluate/{identity}")
    if artifact is None:
        return None
    return read_json(artifact / "evaluation.json")["details"].get("classification")


def _training(context: Context, arm: Mapping[str, Any]) -> dict[str, Any] | None:
    artifact = context.inputs.get(f"train/{arm['id']}")
    if artifact is None:
        return None
    summary = artifact.manifest["summary"]
    log = list(read_jsonl(artifact / "log.jsonl"))
    samples = artifact / "samples.jsonl"
    asked = _sample_prompts(context, arm["seed"])
    return {
        **{
            name: summary[name]
            for name in (
                "method",
                "n_steps",
                "n_tokens",
                "n_target_tokens",
                "n_parameters",
                "n_trainable",
                "final_loss",
                "validation_loss",
                "best_step",
                "resolved",
            )
        },
        "loss_curve": [{"step": row["step"], "loss": row["loss"]} for row in log if "loss" in row],
        "validation_curve": [
            {"step": row["step"], "loss": row["validation_loss"]}
            for row in log
            if row.get("validation_loss") is not None
        ],
        "samples": [
            {"step": row["step"], "prompt": asked[row["id"]], "text": row["text"]}
            for row in (read_jsonl(samples) if samples.is_file() else ())
        ],
    }


def _sample_prompts(context: Context, seed: int) -> dict[str, str]:
    """Return what the client said before the last counsellor turn that training kept, by dialogue."""
    kept = read_json(context.inputs["schedule"] / f"schedule-{seed}.json")["n_messages"]
    asked: dict[str, str] = {}
    for record in read_jsonl(context.inputs["data"] / "validation.jsonl"):
        messages = record["messages"][: kept.get(record["id"])]
        turns = [n for n, m in enumerate(messages) if m["role"] == "assistant" and n]
        if turns:
            asked[record["id"]] = messages[turns[-1] - 1]["content"]
    return asked


def _proofs(context: Context, identity: str) -> list[dict[str, Any]]:
    artifact = context.inputs.get(f"export/{identity}")
    if artifact is None:
        return []
    return [
        {"name": name, "value": one["value"], "limit": one["limit"], "passed": one["holds"]}
        for name, one in read_json(artifact / "proofs.json").items()
    ]


def _scores(context: Context, identity: str, analysis: Mapping[str, Any]) -> list[dict[str, Any]]:
    artifact = context.inputs.get(f"evaluate/{identity}")
    if artifact is None:
        return []
    rows = []
    for key, record in read_json(artifact / "evaluation.json")["scores"].items():
        estimate = analysis["estimates"].get(key, {}).get(identity, {"missing": "not analysed"})
        undefined = "missing" in estimate
        rows.append(
            {
                "metric": record["metric"],
                "language": record["language"],
                "mean": estimate if undefined else estimate["value"],
                "interval": estimate if undefined else _interval(estimate),
                "corpus": record["corpus"],
                "signature": record["corpus_signature"],
                "direction": record["direction"],
                "n_valid": 0 if undefined else estimate["n_valid"],
                "n_missing": len(record["items"]) if undefined else estimate["n_missing"],
            }
        )
    return rows


def _interval(estimate: Mapping[str, Any]) -> Any:
    interval = estimate["interval"]
    if isinstance(interval, dict):
        return interval
    return {
        "low": interval[0],
        "high": interval[1],
        "confidence_level": estimate["confidence_level"],
        "method": estimate["method"],
    }


def _contrast(one: Mapping[str, Any]) -> dict[str, Any]:
    difference, test = one["difference"], one["test"]
    undefined = "missing" in difference
    return {
        "family": one["family"],
        "metric": one["metric"],
        "language": one["language"],
        "arm": one["first"],
        "other": one["second"],
        "difference": difference if undefined else difference["value"],
        "interval": difference if undefined else _interval(difference),
        "p": test if "missing" in test else test["p_value"],
        "p_adjusted": one["p_adjusted"],
        "verdict": one["verdict"],
        "n_items": one["n_pairs"],
        "n_missing": one["n_first_only"] + one["n_second_only"] + one["n_neither"],
    }


def _judging(context: Context) -> dict[str, Any] | None:
    """Return how the experiment's study stands, and what people said where that is known."""
    if "judge" not in context.stage.inputs:
        return None
    asked = context.config["experiment"]["judging"]
    made, judged = context.inputs.get("judge"), context.inputs.get("analyse_judgments")
    reason = next(
        (
            f"{role}: {context.failures[role]}"
            for role in ("judge", "collect", "analyse_judgments")
            if role in context.failures
        ),
        None,
    )
    study = read_json(made / "study.json") if made is not None else {}
    return {
        "name": asked["name"],
        "mode": asked["mode"],
        "status": "done" if judged is not None else "failed" if reason else "waiting",
        "waits_for": context.waiting.get("collect"),
        "reason": reason,
        "registered_digest": study.get("registered_digest"),
        "n_items": study.get("n_items"),
        "n_items_left_out": study.get("n_items_left_out"),
        "n_unanswered": study.get("n_unanswered", {}),
        "n_judgments_planned": study.get("n_judgments"),
        "findings": read_json(judged / FINDINGS) if judged is not None else None,
    }


def _baselines(context: Context) -> list[dict[str, Any]]:
    artifact = context.inputs.get("knowledge")
    if artifact is not None:
        return list(artifact.manifest["summary"]["baselines"])
    return _label_baselines(context)


def _label_baselines(context: Context) -> list[dict[str, Any]]:
    """Return the accuracy of knowing nothing of a text: guessing, and the commonest label always.

    Which label is the commonest is known from training, as it would be in use.
    """
    labels = context.inputs["data"].manifest["summary"].get("labels")
    if not labels:
        return []
    counts = {
        side: Counter(row["kind"] for row in read_jsonl(context.inputs["data"] / f"{side}.jsonl"))
        for side in ("train", "test")
    }
    commonest = max(labels, key=lambda label: counts["train"][label])
    return [
        {"name": "chance", "metric": "accuracy", "value": 1 / len(labels)},
        {
            "name": f"always {commonest}",
            "metric": "accuracy",
            "value": counts["test"][commonest] / counts["test"].total(),
        },
    ]


def _references(context: Context) -> list[dict[str, Any]]:
    """Return how long and how repetitive the counsellor's own answers are, per language."""
    if "prompts" not in context.inputs:
        return []
    prompts = list(read_jsonl(context.inputs["prompts"] / "prompts.jsonl"))
    rows = []
    for language in ("zh", "en"):
        words = [p["reference"] for p in prompts if p["language"] == language]
        if not words:
            continue
        scores = score_texts(words, metrics=("length", "repetition"), language=language).scores
        for name, score in scores.items():
            corpus = score.corpus
            mean = corpus.to_record() if isinstance(corpus, Missing) else corpus
            rows.append({"metric": name, "language": language, "mean": mean})
    return rows


def _examples(context: Context) -> list[dict[str, Any]]:
    """Return prompts that every arm answered: languages and kinds in turn, in the prompts' order."""
    n_examples = context.config["experiment"]["report"]["n_examples"]
    if "prompts" not in context.inputs:
        return _sorted_examples(context, n_examples)
    responses = {
        arm["id"]: {
            row["id"]: row["text"]
            for row in read_jsonl(context.inputs[f"generate/{arm['id']}"] / "responses.jsonl")
        }
        for arm in context.config["arms"]
        if f"generate/{arm['id']}" in context.inputs
    }
    if not responses:
        return []
    groups: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for prompt in read_jsonl(context.inputs["prompts"] / "prompts.jsonl"):
        groups.setdefault((prompt["language"], prompt.get("kind")), []).append(prompt)
    chosen: list[dict[str, Any]] = []
    while len(chosen) < n_examples and any(groups.values()):
        for group in groups.values():
            if group and len(chosen) < n_examples:
                chosen.append(group.pop(0))
    return [
        {
            "id": prompt["id"],
            "language": prompt["language"],
            "kind": prompt.get("kind"),
            "messages": prompt["messages"],
            "reference": prompt["reference"],
            "responses": {
                arm: texts[prompt["id"]]
                for arm, texts in responses.items()
                if prompt["id"] in texts
            },
        }
        for prompt in chosen
    ]


def _sorted_examples(context: Context, n_examples: int) -> list[dict[str, Any]]:
    """Return held-out texts with what every arm made of them, those most often missorted first."""
    arms = {
        arm["id"]: list(read_jsonl(artifact / "predictions.jsonl"))
        for arm in context.config["arms"]
        if (artifact := context.inputs.get(f"evaluate/{arm['id']}")) is not None
    }
    sorted_as: dict[str, dict[str, Any]] = {}
    n_wrong: Counter[str] = Counter()
    for arm, rows in arms.items():
        for row in rows:
            share = row["probabilities"][row["predicted"]]
            sorted_as.setdefault(row["id"], {})[arm] = f"{row['predicted']} ({share:.0%})"
            n_wrong[row["id"]] += row["predicted"] != row["label"]
    texts = list(read_jsonl(context.inputs["data"] / "test.jsonl"))
    texts.sort(key=lambda text: -n_wrong[text["id"]])
    return [
        {
            "id": text["id"],
            "language": text["language"],
            "kind": None,
            "messages": [
                {"role": "user", "content": "".join(m["content"] for m in text["messages"])}
            ],
            "reference": text["kind"],
            "responses": sorted_as[text["id"]],
        }
        for text in (texts[:n_examples] if arms else ())
    ]


# -- measurements -----------------------------------------------------------------------------------


def _measurements(context: Context) -> Measurements:
    value = {
        "hardware": context.inputs["data"].manifest["hardware"],
        "arms": [_costs(context, arm["id"]) for arm in context.config["arms"]],
        "advice": [],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Measurements.model_validate_json(orjson.dumps(value))


def _costs(context: Context, identity: str) -> dict[str, Any]:
    train = context.inputs.get(f"train/{identity}")
    benchmark = context.inputs.get(f"benchmark/{identity}")
    stages = [
        {"stage": role, **artifact.manifest["cost"]}
        for role, artifact in sorted(context.inputs.items())
        if role.endswith((f"/{identity}", f"/{identity}/knowledge"))
    ]
    return {
        "arm": identity,
        "training": _training_cost(train) if train is not None else None,
        "inference": [
            {
                "batch_size": one["batch_size"],
                "time_to_first_token_s": one["first_token_s"],
                "tokens_per_s": one["decode_tokens_per_s"],
                "peak_memory_bytes": one["peak_memory_bytes"],
            }
            for one in (read_json(benchmark / "benchmark.json") if benchmark is not None else ())
        ],
        "stages": stages,
    }


def _training_cost(train: Artifact) -> dict[str, Any]:
    measured, cost = train.manifest["summary"]["measurements"], train.manifest["cost"]
    return {
        "wall_s": measured["wall_s"],
        "cpu_s": cost["cpu_s"],
        "tokens_per_s": measured["tokens_per_s"],
        "peak_memory_bytes": cost["peak_memory_bytes"],
    }
