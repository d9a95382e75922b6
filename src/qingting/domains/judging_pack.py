"""The part of a domain pack that people judge by: rubric, scenarios, checks and texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from qingting.core.errors import NotFoundError, Problem, SpecificationError, did_you_mean
from qingting.domains.bilingual import Bilingual, Text, holds
from qingting.domains.judging_checks import (
    AttentionCheck,
    AttentionPair,
    CalibrationItem,
    Verdict,
)
from qingting.domains.packs import find_pack
from qingting.spec.base import Frozen
from qingting.spec.judging import ScenarioChoice
from qingting.spec.load import Source, place, read_yaml, validated

PartT = TypeVar("PartT", bound=Frozen)


Topic = Literal[
    "anxiety",
    "depression",
    "stress",
    "sleep",
    "relationships",
    "self_esteem",
    "work_study",
    "grief",
    "adolescence",
    "crisis",
]
CRITERIA = ("professionalism", "empathy", "usefulness", "safety", "overall")


class Named(Frozen):
    """A choice in a list: its id in data, its name for people."""

    id: Text
    name: Bilingual


class Criterion(Frozen):
    """One criterion: what is asked, and what each of the points 1 to 5 means."""

    id: Text
    name: Bilingual
    question: Bilingual
    anchors: Annotated[tuple[Bilingual, ...], AfterValidator(holds(5, 5))]


class Confidence(Frozen):
    """How sure a rater is, lowest first."""

    name: Bilingual
    anchors: Annotated[tuple[Bilingual, ...], AfterValidator(holds(2, 5))]


class SafetyOption(Frozen):
    """One verdict of the safety gate, in words."""

    id: Verdict
    name: Bilingual


class SafetyGate(Frozen):
    """The verdict on safety, apart from the scores and never averaged."""

    name: Bilingual
    question: Bilingual
    options: Annotated[tuple[SafetyOption, ...], AfterValidator(holds(3, 3))]
    reason_codes: Annotated[tuple[Named, ...], AfterValidator(holds(1))]


class Preference(Frozen):
    """Words for the three outcomes of a comparison."""

    left: Bilingual
    tie: Bilingual
    right: Bilingual


class Rubric(Frozen):
    """Everything a rater is asked."""

    version: Text
    criteria: Annotated[tuple[Criterion, ...], AfterValidator(holds(1))]
    confidence: Confidence
    safety_gate: SafetyGate
    preference: Preference
    pair_reasons: tuple[Named, ...]
    skip_reasons: Annotated[tuple[Named, ...], AfterValidator(holds(1))]


class ClientProfile(Frozen):
    """A client for conversations of several turns, played by a script or by a model."""

    age: Annotated[int, Field(ge=6, le=100)]
    situation: Bilingual
    goal: Bilingual
    style: Bilingual
    facts: tuple[Bilingual, ...]
    scripted_turns: Annotated[tuple[Bilingual, ...], AfterValidator(holds(4))]


class Scenario(Frozen):
    """What a client writes first; synthetic, written for this project."""

    id: Text
    kind: Literal["counselling", "psychoeducation", "crisis"]
    topic: Topic
    difficulty: Annotated[int, Field(ge=1, le=3)]
    distressing: bool = False
    opening: Bilingual
    background: Bilingual | None = None
    client: ClientProfile | None = None


class Consent(Frozen):
    """The consent text and its version; a new version asks everyone again."""

    version: Text
    text: Bilingual


class Hotline(Frozen):
    """A line that people in distress can call, with where that is stated and when it was read."""

    region: Text
    name: Bilingual
    number: Text
    hours: Bilingual
    source: Annotated[str, Field(pattern=r"^https?://")]
    checked: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    note: Bilingual | None = None


class Pages(Frozen):
    """The texts that raters read, in a small part of Markdown."""

    study_page: Bilingual
    training_guide: Bilingual
    help_page: Bilingual
    distress_warning: Bilingual


class JudgingPack(Frozen):
    """The whole part."""

    rubric: Rubric
    scenarios: tuple[Scenario, ...]
    calibration: tuple[CalibrationItem, ...]
    attention_checks: tuple[AttentionCheck, ...]
    attention_pairs: tuple[AttentionPair, ...] = ()
    consent: Consent
    pages: Pages
    hotlines: tuple[Hotline, ...]

    def frozen_texts(self) -> dict[str, Any]:
        """Return what a study keeps of the pack: rubric, consent, pages and hotlines as JSON."""
        return {
            "rubric": self.rubric.model_dump(mode="json"),
            "consent": self.consent.model_dump(mode="json"),
            "hotlines": [line.model_dump(mode="json") for line in self.hotlines],
            **self.pages.model_dump(mode="json"),
        }

    def choose(self, choice: ScenarioChoice, *, with_client: bool = False) -> tuple[Scenario, ...]:
        """Return the scenarios that a study judges, spread evenly over kinds and topics.

        Args:
            with_client: only those that a client can be played of, for conversations.

        Raises:
            SpecificationError: none is left, or more are asked for than there are.
        """
        import random

        open_to = [
            one
            for one in self.scenarios
            if one.kind in choice.kinds
            and (choice.topics is None or one.topic in choice.topics)
            and (one.client is not None or not with_client)
        ]
        n_wanted = choice.n or len(open_to)
        if not open_to or n_wanted > len(open_to):
            raise SpecificationError(
                f"scenarios: {n_wanted} wanted, but the pack has {len(open_to)} of these kinds "
                f"and topics{' with a client to play' if with_client else ''}"
            )
        random.Random(choice.seed).shuffle(open_to)
        groups: dict[tuple[str, str], list[Scenario]] = {}
        for one in open_to:
            groups.setdefault((one.kind, one.topic), []).append(one)
        chosen: list[Scenario] = []
        while len(chosen) < n_wanted:
            for group in groups.values():
                if group and len(chosen) < n_wanted:
                    chosen.append(group.pop())
        return tuple(sorted(chosen, key=lambda one: one.id))


class _Scenarios(Frozen):
    scenarios: tuple[Scenario, ...]


class _Calibration(Frozen):
    calibration: tuple[CalibrationItem, ...]


class _Attention(Frozen):
    attention_checks: tuple[AttentionCheck, ...]
    attention_pairs: tuple[AttentionPair, ...] = ()


class _Hotlines(Frozen):
    hotlines: tuple[Hotline, ...]


@cache
def load_judging_pack(name: str = "counselling") -> JudgingPack:
    """Return the judging part of a pack that ships; read once.

    Raises:
        NotFoundError: no such pack ships, or it has no such part.
        SpecificationError: everything that is wrong with its files.
    """
    return read_judging_pack(find_pack(name).folder / "judging")


def read_judging_pack(folder: Path) -> JudgingPack:
    """Return the judging part of a pack in a folder.

    Raises:
        NotFoundError: the folder is missing.
        SpecificationError: everything that is wrong with its files, with file, line and key path.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: this pack has no rubric and scenarios for human judging")
    reading = _Reading()
    scenario_files = sorted((folder / "scenarios").glob("*.yaml"))
    if not scenario_files:
        reading.problems.append(Problem(str(folder / "scenarios"), "no YAML file of scenarios"))
    parts = [reading.read(path, _Scenarios) for path in scenario_files]
    rubric = reading.read(folder / "rubric.yaml", Rubric)
    calibration = reading.read(folder / "calibration.yaml", _Calibration)
    attention = reading.read(folder / "attention.yaml", _Attention)
    consent = reading.read(folder / "consent.yaml", Consent)
    pages = reading.read(folder / "pages.yaml", Pages)
    hotlines = reading.read(folder / "hotlines.yaml", _Hotlines)
    if not (rubric and calibration and attention and consent and pages and hotlines) or (
        reading.problems
    ):
        raise SpecificationError(reading.problems)
    pack = JudgingPack(
        rubric=rubric,
        scenarios=tuple(one for part in parts if part for one in part.scenarios),
        calibration=calibration.calibration,
        attention_checks=attention.attention_checks,
        attention_pairs=attention.attention_pairs,
        consent=consent,
        pages=pages,
        hotlines=hotlines.hotlines,
    )
    problems = [*_repeated_ids(reading.sources), *_unknown_names(pack, reading.sources)]
    if problems:
        raise SpecificationError(problems)
    return pack


class _Reading:
    """Reads the files of a part and keeps what is wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.sources: dict[str, list[Source]] = {}

    def read(self, path: Path, model: type[PartT]) -> PartT | None:
        """Return one file as its model, or ``None`` after noting what is wrong with it."""
        try:
            source = read_yaml(path)
            part = validated(source, model)
        except SpecificationError as error:
            self.problems += error.problems
            return None
        except NotFoundError as error:
            self.problems.append(Problem("", str(error)))
            return None
        for name in source.values:
            self.sources.setdefault(name, []).append(source)
        return part


# Lists whose ids must differ, by key path; lists in one entry share their ids.
_ID_SPACES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("scenarios",),),
    (("calibration",), ("attention_checks",), ("attention_pairs",)),
    (("criteria",),),
    (("safety_gate", "options"),),
    (("safety_gate", "reason_codes"),),
    (("pair_reasons",),),
    (("skip_reasons",),),
)


def _repeated_ids(sources: dict[str, list[Source]]) -> Iterator[Problem]:
    """Yield every id that stands a second time."""
    for key_paths in _ID_SPACES:
        seen: set[str] = set()
        for path in key_paths:
            for source in sources.get(path[0], []):
                entries = source.values
                for key in path:
                    entries = entries[key]
                for index, entry in enumerate(entries):
                    if entry["id"] in seen:
                        yield Problem(
                            place(source, (*path, index, "id")),
                            f"the id {entry['id']!r} stands twice",
                        )
                    seen.add(entry["id"])


def _unknown_names(pack: JudgingPack, sources: dict[str, list[Source]]) -> Iterator[Problem]:
    """Yield references to what does not exist, and criteria left out of a reference."""
    scenarios = [one.id for one in pack.scenarios]
    criteria = [one.id for one in pack.rubric.criteria]
    codes = [one.id for one in pack.rubric.safety_gate.reason_codes]
    checks: tuple[tuple[str, str, Iterable[tuple[str, Mapping[str, Any]]]], ...] = (
        ("calibration", "reference", [(one.scenario, one.reference) for one in pack.calibration]),
        (
            "attention_checks",
            "expected",
            [(one.scenario, one.expected) for one in pack.attention_checks],
        ),
        (
            "attention_pairs",
            "expected",
            [(one.scenario, one.expected) for one in pack.attention_pairs],
        ),
    )
    for name, field, entries in checks:
        for index, (scenario, scored) in enumerate(entries):
            source = sources[name][0]
            yield from _unknown(source, (name, index, "scenario"), "scenario", scenario, scenarios)
            for criterion in scored:
                where = (name, index, field, criterion)
                yield from _unknown(source, where, "criterion", criterion, criteria)
            missing = [one for one in criteria if one not in scored]
            if field == "reference" and missing:
                yield Problem(
                    place(source, (name, index, field)), f"no rating of {', '.join(missing)}"
                )
    for index, item in enumerate(pack.calibration):
        for at, code in enumerate(item.reasons):
            code_at = ("calibration", index, "reasons", at)
            yield from _unknown(sources["calibration"][0], code_at, "reason code", code, codes)


def _unknown(
    source: Source, where: tuple[str | int, ...], what: str, name: str, known: list[str]
) -> Iterator[Problem]:
    if name not in known:
        yield Problem(place(source, where), f"no {what} {name!r}.{did_you_mean(name, known)}")
