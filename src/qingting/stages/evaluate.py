"""Score what one arm said: bits per byte, text metrics per language, knowledge, labels.

Every score is kept per item, so that arms can be contrasted on the same items. Text metrics are
computed for each language apart, because Chinese is cut into characters and English into words
and the two must not be averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.calibration import expected_calibration_error
from qingting.metrics.choice import (
    Choice,
    choose_by_likelihood,
    choose_by_log_odds,
    elastic_credit,
)
from qingting.metrics.choice_parser import parse_choice
from qingting.metrics.classification import classification_report
from qingting.metrics.efficiency import bits_per_byte, bits_per_byte_signature
from qingting.metrics.text import score_texts
from qingting.stages.base import Context, Summary, read_jsonl, write_json, write_jsonl
from qingting.stats.proportions import wilson_interval

_Record = dict[str, Any]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def run(context: Context) -> Summary:
    """Write ``evaluation.json``: ``scores``, metric key → record with a value per item."""
    scores: dict[str, _Record] = {}
    details: dict[str, Any] = {}
    if "likelihoods" in context.inputs:
        scores |= _bits_per_byte(context)
    if "responses" in context.inputs:
        scores |= _text_scores(context)
    if "predictions" in context.inputs:
        labels, details["classification"] = _label_scores(context)
        scores |= labels
    if "knowledge" in context.inputs:
        knowledge, details["knowledge"] = _knowledge_scores(context)
        scores |= knowledge
    write_json(context.output / "evaluation.json", {"scores": scores, "details": details})
    return {"metrics": sorted(scores)}


def _record(
    metric: str,
    items: Mapping[str, float | Missing],
    *,
    signature: str,
    direction: str,
    corpus: float | Missing,
    corpus_signature: str,
    language: str | None = None,
    clusters: Mapping[str, str] | None = None,
) -> _Record:
    return {
        "metric": metric,
        "language": language,
        "direction": direction,
        "signature": signature,
        "corpus": _plain(corpus),
        "corpus_signature": corpus_signature,
        "items": {item: _plain(value) for item, value in items.items()},
        "clusters": dict(clusters or {}),
    }


def _plain(value: float | Missing) -> Any:
    return value.to_record() if isinstance(value, Missing) else value


# -- likelihood of the reference answers ------------------------------------------------------------


def _bits_per_byte(context: Context) -> dict[str, _Record]:
    path = context.inputs["likelihoods"] / "references.jsonl"
    if not path.is_file():
        return {}
    rows = list(read_jsonl(path))
    items: dict[str, float | Missing] = {
        row["id"]: bits_per_byte(row["nats"], row["n_bytes"])
        if row["n_bytes"]
        else Missing("the reference has no words")
        for row in rows
    }
    n_bytes = sum(row["n_bytes"] for row in rows)
    pooled: float | Missing = (
        bits_per_byte(sum(row["nats"] for row in rows), n_bytes)
        if n_bytes
        else Missing("no reference has words")
    )
    is_dialogue = context.task == "dialogue"
    signature = bits_per_byte_signature("counsellor-turns" if is_dialogue else "texts")
    record = _record(
        "bits-per-byte",
        items,
        signature=str(signature.at("item")),
        direction="lower",
        corpus=pooled,
        corpus_signature=str(signature),
    )
    return {"bits-per-byte": record}


# -- answers against references ---------------------------------------------------------------------


def _text_scores(context: Context) -> dict[str, _Record]:
    prompts = list(read_jsonl(context.inputs["prompts"] / "prompts.jsonl"))
    texts = {
        r["id"]: r["text"] for r in read_jsonl(context.inputs["responses"] / "responses.jsonl")
    }
    scores: dict[str, _Record] = {}
    for language in ("zh", "en"):
        asked = [prompt for prompt in prompts if prompt["language"] == language]
        if not asked:
            continue
        found = score_texts(
            [texts.get(p["id"], Missing("no answer was generated")) for p in asked],
            [p["reference"] for p in asked],
            metrics=context.config["metrics"],
            language=language,
        )
        clusters = {p["id"]: p["dialogue"] for p in asked}
        for name, score in found.scores.items():
            scores[f"{name}/{language}"] = _record(
                name,
                dict(zip(clusters, score.items(), strict=True)),
                signature=str(score.signature),
                direction=score.direction,
                corpus=score.corpus,
                corpus_signature=str(score.corpus_signature),
                language=language,
                clusters=clusters if len(set(clusters.values())) < len(clusters) else None,
            )
    return scores


# -- knowledge --------------------------------------------------------------------------------------


def _knowledge_scores(context: Context) -> tuple[dict[str, _Record], dict[str, Any]]:
    questions = list(read_jsonl(context.inputs["knowledge"] / "questions.jsonl"))
    keys = {q["id"]: frozenset(q["answer"]) for q in questions}
    scores: dict[str, _Record] = {}
    details: dict[str, Any] = {}
    if "likelihoods" in context.inputs:
        path = context.inputs["likelihoods"] / "choices.jsonl"
        chosen = _chosen_by_likelihood(questions, read_jsonl(path)) if path.is_file() else {}
        if chosen:
            scores |= _choice_records("likelihood", chosen, keys)
            details["likelihood"] = _by_subfield(questions, chosen)
    if "answers" in context.inputs:
        answers = context.inputs["answers"] / "responses.jsonl"
        texts = {row["id"]: row["text"] for row in read_jsonl(answers)}
        read: dict[str, Choice | Missing] = {
            q["id"]: parse_choice(texts[q["id"]], list(q["options"]), options=q["options"])
            if q["id"] in texts
            else Missing("no answer was generated")
            for q in questions
        }
        scores |= _choice_records("generation", read, keys)
        details["generation"] = _by_subfield(questions, read)
        details["n_unread"] = sum(isinstance(choice, Missing) for choice in read.values())
    return scores, details


def _chosen_by_likelihood(
    questions: Sequence[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]]
) -> dict[str, Choice | Missing]:
    nats = {row["id"]: row["nats"] for row in rows}
    chosen: dict[str, Choice | Missing] = {}
    for question in questions:
        identity = question["id"]
        if question["kind"] == "single":
            chosen[identity] = choose_by_likelihood({k: -v for k, v in nats[identity].items()})
        else:
            judged = {letter: nats[f"{identity}#{letter}"] for letter in question["options"]}
            chosen[identity] = choose_by_log_odds(
                {letter: one["no"] - one["yes"] for letter, one in judged.items()}
            )
    return chosen


def _choice_records(
    source: str, chosen: Mapping[str, Choice | Missing], keys: Mapping[str, Choice]
) -> dict[str, _Record]:
    """Return exact and elastic accuracy; a reply that settles on no option is a wrong one.

    A reply was given and did not answer: that is the model's result, not a failure to measure.
    """
    records = {}
    for rule in ("exact", "elastic"):
        items: dict[str, float | Missing] = {}
        for identity, choice in chosen.items():
            if isinstance(choice, Missing):
                items[identity] = 0.0
            elif rule == "exact":
                items[identity] = float(choice == keys[identity])
            else:
                items[identity] = elastic_credit(choice, keys[identity])
        signature = Signature(
            f"knowledge-{rule}", parameters=(("source", source), ("unread", "wrong"))
        )
        values = [value for value in items.values() if not isinstance(value, Missing)]
        name = f"knowledge-{source}-{rule}"
        records[name] = _record(
            name,
            items,
            signature=str(signature),
            direction="higher",
            corpus=sum(values) / len(values) if values else Missing("no question"),
            corpus_signature=str(signature.at("corpus")),
        )
    return records


def _by_subfield(
    questions: Sequence[Mapping[str, Any]], chosen: Mapping[str, Choice | Missing]
) -> dict[str, dict[str, int]]:
    """Return how many questions of each subfield were answered exactly right."""
    table: dict[str, dict[str, int]] = {}
    for question in questions:
        row = table.setdefault(question["subfield"], {"n_right": 0, "n_questions": 0})
        row["n_questions"] += 1
        row["n_right"] += chosen[question["id"]] == frozenset(question["answer"])
    return dict(sorted(table.items()))


# -- labels of texts --------------------------------------------------------------------------------

_SMALLEST_P = 1e-12
"""A probability below this counts as this in log loss, so that one sure mistake stays finite."""


def _label_scores(context: Context) -> tuple[dict[str, _Record], dict[str, Any]]:
    """Return accuracy, log loss and Brier score per text, and what belongs to all texts together.

    Writes ``predictions.jsonl``: ``{"id", "language", "label", "predicted", "probabilities"}``.
    """
    predictions = context.inputs["predictions"]
    classes: list[str] = predictions.manifest["summary"]["labels"]
    texts = list(read_jsonl(context.inputs["data"] / "test.jsonl"))
    found = {
        row["id"]: row["probabilities"] for row in read_jsonl(predictions / "predictions.jsonl")
    }
    shares = np.array([found[text["id"]] for text in texts])
    true = np.array([classes.index(text["kind"]) for text in texts])
    predicted = shares.argmax(axis=1)
    write_jsonl(
        context.output / "predictions.jsonl",
        [
            {
                "id": text["id"],
                "language": text["language"],
                "label": text["kind"],
                "predicted": classes[number],
                "probabilities": dict(zip(classes, row.tolist(), strict=True)),
            }
            for text, number, row in zip(texts, predicted, shares, strict=True)
        ],
    )
    at_true = shares[np.arange(len(texts)), true]
    values = {
        "accuracy": (predicted == true).astype(float),
        "log-loss": -np.log(np.maximum(at_true, _SMALLEST_P)),
        "brier": np.square(shares).sum(axis=1) - 2 * at_true + 1,
    }
    scores: dict[str, _Record] = {}
    spoken = [text["language"] for text in texts]
    languages = [None, *sorted(set(spoken))] if len(set(spoken)) > 1 else [None]
    for language in languages:
        places = [n for n, one in enumerate(spoken) if language in (None, one)]
        for metric, items in (
            values.items() if language is None else [("accuracy", values["accuracy"])]
        ):
            signature = Signature(metric, parameters=(("classes", str(len(classes))),))
            scores[metric if language is None else f"{metric}/{language}"] = _record(
                metric,
                {texts[n]["id"]: float(items[n]) for n in places},
                signature=str(signature),
                direction="higher" if metric == "accuracy" else "lower",
                corpus=float(items[places].mean()),
                corpus_signature=str(signature.at("corpus")),
                language=language,
            )
    return scores, _label_details(texts, shares, classes=classes, config=context.config)


def _label_details(
    texts: Sequence[Mapping[str, Any]],
    shares: FloatArray,
    *,
    classes: Sequence[str],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the confusion matrix, each class's figures with intervals, and calibration."""
    predicted = shares.argmax(axis=1)
    report = classification_report(
        [text["kind"] for text in texts],
        [classes[number] for number in predicted],
        classes=classes,
        scores_items_classes=shares,
    )
    level = config["confidence_level"]
    draws = _f1_draws(report.confusion_true_predicted, config)
    confidence = shares.max(axis=1)
    is_right = np.array(
        [text["kind"] == classes[number] for text, number in zip(texts, predicted, strict=True)]
    )
    return {
        "labels": list(classes),
        "confusion": report.confusion_true_predicted.tolist(),
        "classes": [
            {
                "label": one.label,
                "n_true": one.n_true,
                "n_predicted": one.n_predicted,
                "precision": _share(one.precision, one.n_right, one.n_predicted, level),
                "recall": _share(one.recall, one.n_right, one.n_true, level),
                "f1": _drawn(one.f1, draws[:, number], level),
                "auroc": _plain(one.auroc),
            }
            for number, one in enumerate(report.by_class)
        ],
        "macro_f1": _drawn(report.macro.f1, draws.mean(axis=1), level),
        "weighted_f1": _plain(report.weighted.f1),
        "mcc": _plain(report.mcc),
        "auroc": _plain(report.auroc_macro),
        "signature": str(report.signature),
        "mean_confidence": float(confidence.mean()),
        "ece": expected_calibration_error(confidence, is_right, n_bins=config["n_bins"]),
        "reliability": _reliability(confidence, is_right, n_bins=config["n_bins"]),
    }


def _share(value: float | Missing, n: int, total: int, level: float) -> Any:
    if isinstance(value, Missing):
        return value.to_record()
    low, high = wilson_interval(n, total, confidence_level=level)
    return _with_interval(value, low, high, level, "Wilson")


def _drawn(value: float | Missing, draws: FloatArray, level: float) -> Any:
    if isinstance(value, Missing):
        return value.to_record()
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return _with_interval(value, float(low), float(high), level, "bootstrap percentile")


def _with_interval(
    value: float, low: float, high: float, level: float, method: str
) -> dict[str, Any]:
    interval = {"low": low, "high": high, "confidence_level": level, "method": method}
    return {"value": value, "interval": interval}


def _f1_draws(confusion: IntArray, config: Mapping[str, Any]) -> FloatArray:
    """Return (n_resamples, n_classes) F1 over texts drawn again with replacement.

    What matters of a text is its cell of the confusion matrix, so drawing texts is drawing cells.
    """
    rng = np.random.default_rng(config["seed"])
    n, shares = int(confusion.sum()), confusion.ravel() / confusion.sum()
    cells = rng.multinomial(n, shares, size=config["n_resamples"])
    return _f1_of(cells.reshape(-1, *confusion.shape))


def _f1_of(confusions: IntArray) -> FloatArray:
    """Return F1 of each class, (…, n_classes): 2 TP / (2 TP + FP + FN), 0 where none of them."""
    right = np.diagonal(confusions, axis1=1, axis2=2).astype(float)
    involved = confusions.sum(axis=1) + confusions.sum(axis=2)
    f1: FloatArray = np.divide(2 * right, involved, out=np.zeros_like(right), where=involved > 0)
    return f1


def _reliability(
    confidence: FloatArray, is_right: BoolArray, *, n_bins: int
) -> list[dict[str, Any]]:
    """Return confidence and accuracy in equally wide bins, open below; empty bins are left out."""
    places = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    bins = []
    for place in np.unique(places):
        inside = places == place
        bins.append(
            {
                "low": float(place / n_bins),
                "high": float((place + 1) / n_bins),
                "n": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(is_right[inside].mean()),
            }
        )
    return bins
