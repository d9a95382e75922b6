"""A study in which people judge answers blind: what is judged, how, by how many, by which rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from qingting.spec.base import Frozen
from qingting.spec.recipe import PositiveInt

Mode = Literal["single", "pair", "conversation"]
"""What one judgment is of: one answer, two answers side by side, or a whole conversation."""

Kind = Literal["counselling", "psychoeducation", "crisis"]
Language = Literal["zh", "en"]
Share = Annotated[float, Field(ge=0.0, lt=0.5)]
UnitInterval = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegativeInt = Annotated[int, Field(ge=0)]


class ScenarioChoice(Frozen):
    """Which scenarios of the domain pack are judged; all of them unless narrowed."""

    kinds: tuple[Kind, ...] = Field(
        ("counselling", "psychoeducation", "crisis"),
        min_length=1,
        description="Kinds of scenario.",
    )
    topics: tuple[str, ...] | None = Field(None, description="All topics where null.")
    n: PositiveInt | None = Field(
        None, description="How many, spread evenly over kinds and topics; all where null."
    )
    seed: NotNegativeInt = Field(7, description="Of the choice, where n is given.")


class ExclusionSpec(Frozen):
    """Rules by which a rater's judgments are left out, fixed before the first judgment.

    A rule that is null is not applied. Reports show the results with and without the excluded.
    """

    max_failed_attention: NotNegativeInt | None = Field(
        1, description="More failed attention checks than this exclude a rater."
    )
    min_repeat_agreement: UnitInterval | None = Field(
        None, description="Share of repeated answers scored within one point, at least this."
    )
    min_median_s: Positive | None = Field(
        5.0, description="Median seconds for a judgment; faster cannot have been read."
    )
    max_same_answers: UnitInterval | None = Field(
        None,
        description="Share of judgments that give every criterion the same score; in pairs, the "
        "same side on every criterion and in all of them.",
    )
    max_calibration_error: Positive | None = Field(
        None, description="Mean distance, in points, from the reference ratings."
    )


class QualitySpec(Frozen):
    """Items among the others that show how well a rater judges, as shares of all judgments."""

    share_calibration: Share = Field(0.10, description="Answers that carry reference ratings.")
    share_repeats: Share = Field(0.05, description="Answers that the same rater judges again.")
    share_attention: Share = Field(0.04, description="Answers that have one right judgment.")
    share_guess: Share = Field(
        0.15,
        description="Judgments at the end of a rater's share that also ask whether the model was "
        "recognised, from the same list in every study; 0 never asks.",
    )
    n_training: NotNegativeInt = Field(
        3, description="Calibration answers with feedback before the first judgment."
    )

    @model_validator(mode="after")
    def _leaves_room(self) -> QualitySpec:
        total = self.share_calibration + self.share_repeats + self.share_attention
        if total >= 1:
            raise ValueError(f"the shares of checks sum to {total:g}; nothing of the study is left")
        return self


class ConversationSpec(Frozen):
    """How conversations come about in mode ``conversation``."""

    source: Literal["live", "simulated"] = Field(
        "simulated",
        description="live: the rater talks with the model; simulated: a client that is played by "
        "a script or a model has talked with it, the same client with every arm.",
    )
    min_turns: PositiveInt = Field(3, description="Turns of the client before it may be judged.")
    max_turns: PositiveInt = Field(8, description="Turns of the client after which it ends.")
    delay_s: Annotated[float, Field(gt=0.0, le=120.0)] = Field(
        6.0,
        description="live: silence before an answer, the same for every arm; an answer that takes "
        "longer waits for the next multiple of it.",
    )
    characters_per_s: Positive = Field(
        25.0, description="live: pace of an answer, the same for every arm."
    )
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = Field(
        0.0, description="Of every arm's answers."
    )
    repetition_penalty: Annotated[float, Field(ge=1.0, le=2.0)] | None = Field(
        None, description="Of every arm's answers; sent to servers that know it where given."
    )
    system_prompt: str | None = Field(
        None, description="What every arm is told first; the domain pack's where null."
    )

    @model_validator(mode="after")
    def _turns_are_ordered(self) -> ConversationSpec:
        if self.min_turns > self.max_turns:
            raise ValueError(f"min_turns {self.min_turns} is above max_turns {self.max_turns}")
        return self


class CampaignSpec(Frozen):
    """One study of one mode, from what is judged to the rule of the decision."""

    name: Annotated[str, Field(min_length=1, max_length=80, description="What raters see.")] = (
        "study"
    )
    mode: Mode = Field("single", description="What one judgment is of.")
    languages: tuple[Language, ...] = Field(
        ("zh", "en"), min_length=1, description="Each rater judges in one of them."
    )
    arms: tuple[str, ...] | None = Field(None, description="Names of arms; all where null.")
    domain: str = Field("counselling", description="The pack that holds rubric and scenarios.")
    scenarios: ScenarioChoice = Field(
        ScenarioChoice(), description="Which scenarios of the pack are judged."
    )
    raters_per_unit: PositiveInt = Field(
        3, description="Raters of each answer (or pair); below 3 agreement is weak."
    )
    n_judgments: PositiveInt | None = Field(
        None, description="Pairs: the budget of judgments; every pair on every item where null."
    )
    n_raters: PositiveInt = Field(6, description="How many people are expected to judge.")
    minutes_per_judgment: Positive = Field(2.5, description="To plan hours with.")
    items_may_return: bool = Field(
        True, description="Whether a rater may see a scenario again with another arm."
    )
    max_crisis_in_a_row: PositiveInt = Field(
        2, description="Items of crisis that one person sees without another between."
    )
    lease_minutes: Positive = Field(30.0, description="How long an item is kept for a rater.")
    active: bool = Field(False, description="Pairs: choose by information, with a uniform floor.")
    uniform_floor: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.3, description="With active: the share of choices that is spread evenly."
    )
    quality: QualitySpec = Field(
        QualitySpec(), description="Checks among the judgments, and training before them."
    )
    exclusion: ExclusionSpec = Field(
        ExclusionSpec(), description="Rules by which raters are left out."
    )
    conversation: ConversationSpec = Field(
        ConversationSpec(), description="Mode conversation: how conversations come about."
    )
    decision: str | None = Field(
        None, description="File with the rule of the decision, as `stats decide` reads it."
    )
    max_new_tokens: PositiveInt = Field(
        256, description="In an experiment: the longest answer to a scenario, in tokens."
    )
    contact: Annotated[str, Field(min_length=3)] | None = Field(
        None, description="Whom raters may ask, on every page; null: whoever invited them."
    )
    seed: NotNegativeInt = Field(7, description="Of the order in which work is given.")

    @model_validator(mode="after")
    def _fits_its_mode(self) -> CampaignSpec:
        if self.mode != "pair" and self.active:
            raise ValueError("active chooses pairs; it needs mode pair")
        if self.mode != "pair" and self.n_judgments is not None:
            raise ValueError(
                "n_judgments is the budget of pairs; in this mode raters_per_unit sets the work"
            )
        return self
