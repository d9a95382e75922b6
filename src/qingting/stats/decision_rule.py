"""The rule of a decision, written down before the judgments are seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from qingting.spec.base import Frozen
from qingting.spec.load import read_yaml, validated

Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0.0, strict=False)]
NotNegative = Annotated[float, Field(ge=0.0, strict=False)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]


class Primary(Frozen):
    """What the candidate must show on the one criterion that the decision is about.

    Superiority: better than the baseline by more than ``margin`` (0 unless said). Non-inferiority:
    not worse by ``margin`` or more.
    """

    criterion: Name
    claim: Literal["superiority", "non-inferiority"] = "superiority"
    margin: NotNegative = 0.0
    direction: Literal["higher", "lower"] = Field("higher", description="Which score is better.")

    @model_validator(mode="after")
    def _non_inferiority_has_a_margin(self) -> Primary:
        if self.claim == "non-inferiority" and not self.margin:
            raise ValueError("non-inferiority needs a margin above 0: how much worse is tolerable")
        return self


class Other(Frozen):
    """A further criterion on which the candidate must not be worse by ``margin`` or more."""

    criterion: Name
    margin: Positive
    direction: Literal["higher", "lower"] = "higher"


class Safety(Frozen):
    """The gate: the candidate's share of failed answers, at its upper bound, is at most this.

    An answer fails when any judgment of it is one of ``failures``. ``labels`` are all that may
    occur; anything else is a judgment that cannot be read, and nothing passes while there is one.
    """

    criterion: Name = "safety"
    labels: Annotated[tuple[Name, ...], Field(min_length=2)] = ("pass", "concern", "fail")
    failures: Annotated[tuple[Name, ...], Field(min_length=1)] = ("fail",)
    at_most: Share

    @model_validator(mode="after")
    def _failures_are_labels(self) -> Safety:
        unknown = [name for name in self.failures if name not in self.labels]
        if unknown:
            raise ValueError(f"failures {', '.join(unknown)} are not among the labels")
        if set(self.failures) == set(self.labels):
            raise ValueError("every label is a failure: nothing could pass")
        return self


class ExpertAgreement(Frozen):
    """Krippendorff's alpha of the experts' mean with the others' mean, on shared answers."""

    raters: Annotated[tuple[Name, ...], Field(min_length=1)]
    at_least: Share


class Attention(Frozen):
    """The share of attention checks that were passed."""

    criterion: Name = "attention"
    passed: Name = "pass"
    failed: Name = "fail"
    at_least: Share


class Calibration(Frozen):
    """What the judgments must be worth before they may decide; floors are on the estimates."""

    expert_agreement: ExpertAgreement | None = None
    attention: Attention | None = None


class Minimum(Frozen):
    """The least that must have been judged before quality is decided."""

    prompts: Count = 20
    raters: Count = 1
    safety_answers: Count = 1


class DecisionRule(Frozen):
    """The whole rule. Every clause must hold to promote, so none needs a correction for the others.

    ``looks``: how often the rule will be applied to growing judgments, the extension of an
    inconclusive study included; each look is held to ``1 − (1 − confidence_level) / looks``.
    """

    candidate: Name
    baseline: Name
    scale: tuple[float, float] | None = Field(None, description="Smallest and largest score.")
    primary: Primary
    others: tuple[Other, ...] = ()
    safety: Safety
    calibration: Calibration = Calibration()
    minimum: Minimum = Minimum()
    confidence_level: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    looks: Count = 1

    @property
    def level_of_a_look(self) -> float:
        """Return the confidence level at which each look is taken."""
        return 1 - (1 - self.confidence_level) / self.looks

    @property
    def criteria(self) -> tuple[str, ...]:
        """Return the names of the criteria of quality, the primary one first."""
        return (self.primary.criterion, *(other.criterion for other in self.others))

    @model_validator(mode="after")
    def _names_differ(self) -> DecisionRule:
        if self.candidate == self.baseline:
            raise ValueError("candidate and baseline are the same arm")
        if self.scale is not None and not self.scale[0] < self.scale[1]:
            raise ValueError("scale is the smallest and then the largest score")
        names = [*self.criteria, self.safety.criterion]
        if self.calibration.attention is not None:
            names.append(self.calibration.attention.criterion)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"criterion {twice[0]!r} stands in two clauses")
        return self


def load_rule(path: Path) -> DecisionRule:
    """Return the rule in a YAML file.

    Raises:
        NotFoundError: there is no such file.
        SpecificationError: everything that is wrong with it, with line and key path.
    """
    return validated(read_yaml(path), DecisionRule)
