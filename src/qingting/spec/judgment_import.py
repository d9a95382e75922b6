"""What the columns, fields and questions of judgments from elsewhere mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from qingting.spec.base import Frozen

Name = Annotated[str, Field(min_length=1)]
Meaning = int | str
Credential = Literal["licensed", "trainee", "researcher", "lay"]


class ImportMapping(Frozen):
    """Which column, field or question plays which part. What is null goes by its usual names.

    A field of a task or record may be named with where it stands (``data.model``,
    ``fields.model``, ``metadata.model``), should a question bear the same name.
    """

    item: Name | None = Field(None, description="Name of the scenario, as the study has it.")
    arm: Name | None = Field(None, description="The arm judged; in pairs the one on the left.")
    other_arm: Name | None = Field(None, description="Pairs: the arm on the right.")
    language: Name | None = Field(None, description="zh or en; not needed in one language.")
    rater: Name | None = Field(None, description="Who judged; kept apart from what was said.")
    credential: Name | None = Field(None, description="What the rater is.")
    role: Name | None = Field(
        None, description="main, calibration, attention, repeat or training; main where absent."
    )
    scores: Mapping[str, Name] = Field({}, description="Criterion to where its score stands.")
    safety: Mapping[str, Name] = Field(
        {}, description="Side (answer; in pairs left and right) to where its verdict stands."
    )
    safety_reasons: Mapping[str, Name] = Field({}, description="Side to where its codes stand.")
    guess: Mapping[str, Name] = Field(
        {}, description="Side to where the family of models stands that the rater recognised."
    )
    was_asked_guess: Name | None = Field(
        None, description="Whether the rater was asked; where absent, who guessed was."
    )
    is_swapped: Name | None = Field(
        None, description="Pairs that are checks: whether their first answer stood on the right."
    )
    reasons: Name | None = Field(None, description="Pairs: codes why one was preferred.")
    confidence: Name | None = Field(None, description="1 low to 3 high.")
    comment: Name | None = Field(None, description="Free text.")
    duration_ms: Name | None = Field(None, description="How long it took, in milliseconds.")
    duration_s: Name | None = Field(None, description="The same in seconds.")
    submitted: Name | None = Field(
        None, description="When: milliseconds since 1970, or ISO 8601 (UTC where it names no zone)."
    )
    p_chosen: Name | None = Field(None, description="With which probability it was chosen.")
    labels: Mapping[str, Mapping[str, Meaning]] = Field(
        {},
        description="What labels mean: criterion, or scores (all criteria), safety, "
        "safety_reasons, reasons, guess, confidence, item, arm (both), language, credential or role, to "
        "label to value.",
    )
    raters: Mapping[str, Credential] = Field(
        {}, description="Rater to credential, where no column tells it."
    )
    source: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(
        None,
        description="Where the names of raters come from; one name of one source is one person. "
        "By default the format.",
    )
