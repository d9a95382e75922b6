"""Make the study in which people judge what arms answered to the scenarios; a person opens it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from qingting.core.errors import DataError
from qingting.domains.judging_pack import read_judging_pack
from qingting.judging.answers import Answer, answers_to, complete_items
from qingting.judging.campaigns import Created
from qingting.judging.run_studies import StudyPlace, create_once, other_studies
from qingting.judging.tokens import now_ms
from qingting.spec.judging import CampaignSpec
from qingting.stages.base import Context, Summary, read_jsonl, write_json


def run(context: Context) -> Summary:
    """Write ``study.json``: which study it is, what was fixed in advance, the work it takes.

    The same inputs find the same study again, however often a run is killed in between. Items that
    some arm left without an answer are not judged; they are counted by arm.
    """
    config = context.config
    spec = CampaignSpec.model_validate_json(orjson.dumps(config["study"]))
    arms: list[str] = config["arms"]
    prompts = list(read_jsonl(context.inputs["scenarios"] / "prompts.jsonl"))
    given = answers_to(
        prompts,
        {arm: read_jsonl(context.inputs[arm] / "responses.jsonl") for arm in arms},
    )
    n_unanswered = {arm: len(prompts) - sum(one.arm == arm for one in given) for arm in arms}
    answers, n_left_out = _complete(given, arms, n_prompts=len(prompts))
    if n_left_out:
        silent = ", ".join(f"{arm} {n}" for arm, n in n_unanswered.items() if n)
        context.emit(
            "note",
            message=f"{n_left_out} of {len(prompts)} items are not judged: left without an answer "
            f"by {silent}",
        )
    place: StudyPlace = context.stage.settings["place"]
    with place.opened(create=True) as database, database.writing() as session:
        made = create_once(
            session,
            spec,
            read_judging_pack(context.stage.sources["pack"]),
            answers,
            at_ms=now_ms(),
            rule_file=context.stage.sources.get("rule"),
        )
        others = other_studies(session, made.campaign)
        record = _record(made) | {
            "n_items_left_out": n_left_out,
            "n_unanswered": {arm: n for arm, n in n_unanswered.items() if n},
        }
    for other in others:
        context.emit(
            "note",
            message=f"study {other} in {place.shown} judges other answers and is not closed: what "
            "people judge there is not used by this run",
        )
    write_json(context.output / "study.json", record)
    return record


def _complete(
    given: Sequence[Answer], arms: Sequence[str], *, n_prompts: int
) -> tuple[tuple[Answer, ...], int]:
    for arm in arms:
        if not any(one.arm == arm for one in given):
            raise DataError(f"{arm} answered none of {n_prompts} scenarios: nothing to judge")
    answers, _ = complete_items(given)
    if not answers:
        raise DataError("there is no scenario that every arm answered")
    n_judged = len({(one.ref, one.language) for one in answers})
    return answers, n_prompts - n_judged


def _record(made: Created) -> dict[str, Any]:
    campaign = made.campaign
    return {
        "study": campaign.public_id,
        "name": campaign.name,
        "mode": campaign.mode,
        "registered_digest": campaign.registered_digest,
        "has_rule": campaign.rule is not None,
        "n_items": made.n_items,
        "n_units": made.n_units,
        "n_judgments": made.n_judgments,
        "n_judgments_per_rater": made.n_judgments_per_rater,
        "n_hours": round(made.n_hours, 2),
        "n_masked_names": made.n_masked,
        "warnings": list(made.warnings),
    }
