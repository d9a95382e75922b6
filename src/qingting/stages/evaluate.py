"""Score what one arm said: bits per byte, text metrics per language, knowledge.

Every score is kept per item, so that arms can be contrasted on the same items. Text metrics are
computed for each language apart, because Chinese is cut into characters and English into words
and the two must not be averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qingting.core.missing import Missing
from qingting.core.signature import Signature
from qingting.metrics.choice import (
    Choice,
    choose_by_likelihood,
    choose_by_log_odds,
    elastic_credit,
)
from qingting.metrics.choice_parser import parse_choice
from qingting.metrics.efficiency import bits_per_byte, bits_per_byte_signature
from qingting.metrics.text import score_texts
from qingting.stages.base import Context, Summary, read_jsonl, write_json

_Record = dict[str, Any]


def run(context: Context) -> Summary:
    """Write ``evaluation.json``: ``scores``, metric key → record with a value per item."""
    scores: dict[str, _Record] = {}
    details: dict[str, Any] = {}
    if "likelihoods" in context.inputs:
        scores |= _bits_per_byte(context)
    if "responses" in context.inputs:
        scores |= _text_scores(context)
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
    def plain(value: float | Missing) -> Any:
        return value.to_record() if isinstance(value, Missing) else value

    return {
        "metric": metric,
        "language": language,
        "direction": direction,
        "signature": signature,
        "corpus": plain(corpus),
        "corpus_signature": corpus_signature,
        "items": {item: plain(value) for item, value in items.items()},
        "clusters": dict(clusters or {}),
    }


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
    signature = bits_per_byte_signature("counsellor-turns")
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
