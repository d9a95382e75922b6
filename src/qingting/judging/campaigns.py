"""Making a study: items, answers as raters see them, units, and what was fixed in advance."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qingting.core.canonical import digest_of
from qingting.core.errors import DataError, NotFoundError, SpecificationError, did_you_mean
from qingting.domains.judging_pack import JudgingPack, Scenario
from qingting.judging.answers import Answer, check_complete
from qingting.judging.audit import note
from qingting.judging.blinding import blinded, mask_names
from qingting.judging.checks import checks_for
from qingting.judging.clients import system_prompt_of
from qingting.judging.design import budgets_of, design_warnings, units_of
from qingting.judging.tokens import new_public_id
from qingting.spec.judging import CampaignSpec
from qingting.spec.load import read_yaml, validated
from qingting.stats.decision_rule import DecisionRule, load_rule
from qingting.store.judging_tables import Arm, Campaign, Item, Response, Unit

UNLIMITED = 1_000_000
"""Places of calibration and attention units, which any number of raters may judge."""

STATES: Mapping[str, tuple[str, ...]] = {
    "open": ("draft", "paused"),
    "paused": ("open",),
    "closed": ("open", "paused"),
}
"""What a study may become, and from which states."""


@dataclass(frozen=True)
class Created:
    """A new study, counted."""

    campaign: Campaign
    n_items: int
    n_units: int
    n_masked: int
    """Names of models and makers that were masked in the answers."""
    n_judgments: int
    """Of the main part and the checks among it, as planned."""
    n_judgments_per_rater: int
    n_hours: float
    warnings: tuple[str, ...]
    is_new: bool = True
    """False where the same study stood in the database already."""


def load_campaign(path: Path) -> CampaignSpec:
    """Return the specification of a study in a YAML file; its rule is named relative to it.

    Raises:
        NotFoundError: there is no such file, or not the rule that it names.
        SpecificationError: everything that is wrong with it, with line and key path.
    """
    spec = validated(read_yaml(path), CampaignSpec)
    if spec.decision is None:
        return spec
    return spec.model_copy(update={"decision": str((path.parent / spec.decision).resolve())})


def create_campaign(
    session: Session,
    spec: CampaignSpec,
    pack: JudgingPack,
    answers: Sequence[Answer],
    *,
    at_ms: int,
    actor: str,
    endpoints: Mapping[str, Mapping[str, str]] | None = None,
    rule_file: Path | None = None,
    rule: DecisionRule | None = None,
) -> Created:
    """Return a new study in state ``draft``.

    Args:
        answers: of every arm to every item; empty only for live conversations.
        endpoints: arm to ``{"base_url", "model", "key_variable"}``, for live conversations.
        rule_file: the rule of the decision; by default what the study's ``decision`` names.
        rule: the rule itself, in place of a file.

    Raises:
        NotFoundError, SpecificationError, DataError: what is missing or contradictory.
    """
    is_live = spec.mode == "conversation" and spec.conversation.source == "live"
    arms = _arms(spec, answers, endpoints or {}, is_live=is_live)
    registered = _rule(spec, arms, rule_file, rule)
    wanted = [one for one in answers if one.arm in arms and one.language in spec.languages]
    if not is_live:
        if not wanted:
            raise DataError(f"no answer in {', '.join(spec.languages)}; see `languages`")
        check_complete(wanted, arms=arms)
    campaign = Campaign(
        public_id=new_public_id(),
        name=spec.name,
        mode=spec.mode,
        state="draft",
        spec=_frozen(spec),
        plan={},
        pack=pack.frozen_texts(),
        consent_version=pack.consent.version,
        rule=registered,
        registered_digest="",
        secret=secrets.token_hex(32),
        created_ms=at_ms,
    )
    session.add(campaign)
    session.flush()
    maker = _Maker(session, campaign, spec, pack)
    maker.add_arms(arms, endpoints or {})
    maker.add_items(wanted, is_live=is_live)
    maker.add_checks()
    maker.add_units()
    campaign.plan = maker.plan()
    campaign.registered_digest = registered_digest(session, campaign)
    note(
        session,
        actor=actor,
        action="create",
        subject=campaign.registered_digest,
        at_ms=at_ms,
        campaign_id=campaign.id,
    )
    return _counted(campaign, spec, maker)


def _counted(campaign: Campaign, spec: CampaignSpec, maker: _Maker) -> Created:
    quality = spec.quality
    checks = quality.share_calibration + quality.share_repeats + quality.share_attention
    n_judgments = ceil(sum(maker.n_places_in.values()) / (1 - checks))
    n_languages = len(spec.languages)
    warnings = list(
        design_warnings(
            spec, {key: len(of) for key, of in maker.main_items.items()}, n_arms=len(maker.arm_ids)
        )
    )
    if spec.mode != "pair" and spec.raters_per_unit < 3:
        warnings.append(
            f"{spec.raters_per_unit} raters a unit: below 3, agreement is hard to tell from chance"
        )
    if spec.n_raters < spec.raters_per_unit * n_languages:
        warnings.append(
            f"{spec.n_raters} raters cannot give {spec.raters_per_unit} judgments of every unit in "
            f"{n_languages} languages; each reads one language"
        )
    if (quality.share_calibration or quality.n_training) and not maker.n_checks["calibration"]:
        warnings.append(
            "the pack has no calibration for this mode: training and calibration are left out"
        )
    if quality.share_attention and not maker.n_checks["attention"]:
        warnings.append("the pack has no attention checks for this mode: they are left out")
    for language in spec.languages:
        if language not in maker.main_items:
            warnings.append(f"nothing to judge is in {language}; nobody can be invited to it")
    if campaign.rule is None:
        warnings.append("no rule of a decision is registered; results will be descriptive")
    return Created(
        campaign,
        maker.n_items,
        maker.n_units,
        maker.n_masked,
        n_judgments,
        ceil(n_judgments / spec.n_raters),
        n_judgments * spec.minutes_per_judgment / 60,
        tuple(warnings),
    )


def _arms(
    spec: CampaignSpec,
    answers: Sequence[Answer],
    endpoints: Mapping[str, Mapping[str, str]],
    *,
    is_live: bool,
) -> list[str]:
    known = list(endpoints) if is_live else list(dict.fromkeys(one.arm for one in answers))
    if is_live and not known:
        raise SpecificationError("a live conversation needs an endpoint for each arm (--endpoint)")
    chosen = list(spec.arms) if spec.arms is not None else known
    for arm in chosen:
        if arm not in known:
            raise SpecificationError(
                f"arms: no answers of {arm!r}.{did_you_mean(arm, known)} Arms: {', '.join(known)}"
            )
    if len(set(chosen)) != len(chosen):
        raise SpecificationError("arms: an arm is named twice")
    if len(chosen) < 2:
        raise SpecificationError(f"a study compares at least two arms; found {', '.join(chosen)}")
    return chosen


def _frozen(spec: CampaignSpec) -> dict[str, Any]:
    """Return the specification as a study keeps it, with what arms are told written out."""
    frozen = spec.model_dump(mode="json")
    if spec.mode == "conversation":
        frozen["conversation"]["system_prompt"] = system_prompt_of(spec)
    return frozen


def _rule(
    spec: CampaignSpec, arms: Sequence[str], file: Path | None, given: DecisionRule | None
) -> dict[str, Any] | None:
    if given is not None:
        return _of_arms(given, arms, named="rule").model_dump(mode="json")
    if spec.decision is None:
        return None
    return rule_of_study(file or Path(spec.decision), arms).model_dump(mode="json")


def rule_of_study(file: Path, arms: Sequence[str]) -> DecisionRule:
    """Return the rule in a file, which speaks of arms of the study.

    Raises:
        NotFoundError: there is no such file.
        SpecificationError: it is wrong, or names an arm that the study has not.
    """
    return _of_arms(load_rule(file), arms, named=str(file))


def _of_arms(rule: DecisionRule, arms: Sequence[str], *, named: str) -> DecisionRule:
    for role, arm in (("candidate", rule.candidate), ("baseline", rule.baseline)):
        if arm not in arms:
            raise SpecificationError(
                f"{named}: {role}: {arm!r} is not an arm of the study.{did_you_mean(arm, arms)}"
            )
    return rule


class _Maker:
    """Fills a new campaign, one kind of row after the other."""

    def __init__(
        self, session: Session, campaign: Campaign, spec: CampaignSpec, pack: JudgingPack
    ) -> None:
        self.session = session
        self.campaign = campaign
        self.spec = spec
        self.pack = pack
        self.arm_ids: dict[str, int] = {}
        self.main_items: dict[str, list[Item]] = {}
        self.n_places_in: dict[str, int] = {}
        self.n_items = self.n_units = self.n_masked = 0
        self.n_checks: Counter[str] = Counter()

    def add_arms(self, names: Sequence[str], endpoints: Mapping[str, Mapping[str, str]]) -> None:
        for name in names:
            arm = Arm(
                campaign_id=self.campaign.id,
                name=name,
                endpoint=dict(endpoints[name]) if name in endpoints else None,
                n_shown=0,
                n_first=0,
            )
            self.session.add(arm)
            self.session.flush()
            self.arm_ids[name] = arm.id

    def add_items(self, answers: Sequence[Answer], *, is_live: bool) -> None:
        scenarios = {one.id: one for one in self.pack.scenarios}
        by_item: dict[tuple[str, str], list[Answer]] = {}
        for one in answers:
            by_item.setdefault((one.ref, one.language), []).append(one)
        if is_live:
            chosen = self.pack.choose(self.spec.scenarios, with_client=True)
            by_item = {(one.id, language): [] for one in chosen for language in self.spec.languages}
        for (ref, language), given in sorted(by_item.items()):
            item = self._item(ref, language, scenarios.get(ref), given)
            self.session.add(item)
            self.session.flush()
            self.main_items.setdefault(language, []).append(item)
            self.n_items += 1
            for one in sorted(given, key=lambda answer: answer.arm):
                self._add_response(item, self.arm_ids[one.arm], one.turns)

    def _item(
        self, ref: str, language: str, scenario: Scenario | None, given: Sequence[Answer]
    ) -> Item:
        if scenario is not None:
            return self._scenario_item(scenario, language, role="main")
        prompt = given[0].prompt if given else None
        if prompt is None:
            raise NotFoundError(
                f"{ref}: no scenario of that name in the pack, and the answer gives no prompt."
                f"{did_you_mean(ref, [one.id for one in self.pack.scenarios])}"
            )
        if any(one.prompt != prompt for one in given):
            raise DataError(f"{ref} ({language}): arms answered different prompts")
        kind = given[0].kind or "counselling"
        return Item(
            campaign_id=self.campaign.id,
            ref=ref[:80],
            language=language,
            role="main",
            kind=kind,
            topic="other",
            difficulty=2,
            is_distressing=kind == "crisis",
            turns=[dict(turn) for turn in prompt],
            background=None,
            client=None,
            reference=None,
        )

    def _scenario_item(
        self, scenario: Scenario, language: str, *, role: str, ref: str | None = None
    ) -> Item:
        return Item(
            campaign_id=self.campaign.id,
            ref=ref or scenario.id,
            language=language,
            role=role,
            kind=scenario.kind,
            topic=scenario.topic,
            difficulty=scenario.difficulty,
            is_distressing=scenario.distressing,
            turns=[{"role": "user", "content": scenario.opening.text_in(language)}],
            background=scenario.background.text_in(language) if scenario.background else None,
            client=scenario.client.model_dump(mode="json") if scenario.client else None,
            reference=None,
        )

    def _add_response(
        self, item: Item, arm_id: int | None, turns: Sequence[Mapping[str, str]]
    ) -> None:
        shown = []
        n_masked = 0
        for turn in turns:
            names, language = tuple(self.arm_ids), item.language
            # a client that a model plays may repeat a name that it heard
            masked = (
                blinded(turn["content"], names=names, language=language)
                if turn["role"] == "assistant"
                else mask_names(turn["content"], names, language=language)
            )
            n_masked += masked.n_masked
            shown.append({"role": turn["role"], "content": masked.text})
        self.n_masked += n_masked
        self.session.add(
            Response(
                item_id=item.id,
                arm_id=arm_id,
                original=[dict(turn) for turn in turns],
                shown=shown,
                n_masked=n_masked,
            )
        )

    def add_checks(self) -> None:
        """Add calibration items and attention checks, with the judgment that each expects."""
        for language in self.spec.languages:
            for check in checks_for(self.pack, self.spec.mode, language):
                item = self._scenario_item(check.scenario, language, role=check.role, ref=check.ref)
                item.reference = check.reference
                self.session.add(item)
                self.session.flush()
                for turns in check.answers:
                    self._add_response(item, None, turns)
                    self.session.flush()  # responses are shown in the order of their ids
                self._add_unit(item, (), role=item.role, n_wanted=UNLIMITED)
                self.n_checks[check.role] += 1

    def add_units(self) -> None:
        """Add what is judged, the same for every language; a budget is shared by them."""
        budgets = budgets_of(self.spec.n_judgments, list(self.main_items))
        for place, (language, items) in enumerate(sorted(self.main_items.items())):
            by_id = {item.id: item for item in items}
            for unit in units_of(
                list(by_id),
                list(self.arm_ids.values()),
                mode=self.spec.mode,
                raters_per_unit=self.spec.raters_per_unit,
                n_judgments=budgets[language],
                seed=self.spec.seed + place,
            ):
                self._add_unit(by_id[unit.item], unit.arms, role="main", n_wanted=unit.n_wanted)
                self.n_units += 1
                self.n_places_in[language] = self.n_places_in.get(language, 0) + unit.n_wanted

    def _add_unit(self, item: Item, arms: Sequence[int], *, role: str, n_wanted: int) -> None:
        self.session.add(
            Unit(
                campaign_id=self.campaign.id,
                item_id=item.id,
                role=role,
                language=item.language,
                is_withdrawn=False,
                arm_id=arms[0] if arms else None,
                other_arm_id=arms[1] if len(arms) > 1 else None,
                n_wanted=n_wanted,
                n_taken=0,
            )
        )

    def plan(self) -> dict[str, Any]:
        """Return, per language, the places of the main part and an equal share of all judgments."""
        quality = self.spec.quality
        checks = quality.share_calibration + quality.share_repeats + quality.share_attention
        n_raters = max(1, round(self.spec.n_raters / len(self.n_places_in)))
        return {
            language: {"n_places": n, "n_per_rater": ceil(n / n_raters / (1 - checks))}
            for language, n in self.n_places_in.items()
        }


def registered_digest(session: Session, campaign: Campaign) -> str:
    """Return the sha256 of what was fixed before the first judgment."""
    arms = session.scalars(
        select(Arm.name).where(Arm.campaign_id == campaign.id).order_by(Arm.name)
    ).all()
    items = session.execute(
        select(Item.ref, Item.language, Item.role, Response.original)
        .join(Response, Response.item_id == Item.id, isouter=True)
        .where(Item.campaign_id == campaign.id)
        .order_by(Item.id, Response.id)
    )
    return digest_of(
        {
            "spec": campaign.spec,
            "pack": campaign.pack,
            "rule": campaign.rule,
            "arms": list(arms),
            "items": [list(row) for row in items],
        }
    )


def find_campaign(session: Session, name: str | None) -> Campaign:
    """Return a study by name or public id; the only one where no name is given.

    Raises:
        NotFoundError: there is none, or several and no name.
    """
    campaigns = session.scalars(select(Campaign).order_by(Campaign.id)).all()
    if name is None:
        if len(campaigns) == 1:
            return campaigns[0]
        names = ", ".join(one.name for one in campaigns) or "none"
        raise NotFoundError(f"which study? Name it with --study; this database holds: {names}")
    found = [one for one in campaigns if name in (one.name, one.public_id)]
    if len(found) > 1:
        ids = ", ".join(f"{one.public_id} ({one.state})" for one in found)
        raise NotFoundError(f"{len(found)} studies are called {name!r}; name one by its id: {ids}")
    if found:
        return found[0]
    known = [one.name for one in campaigns]
    raise NotFoundError(
        f"no study {name!r}.{did_you_mean(name, known)} Studies: {', '.join(known) or 'none'}"
    )


def change_state(
    session: Session, campaign: Campaign, state: str, *, at_ms: int, actor: str
) -> None:
    """Open, pause or close a study.

    Raises:
        DataError: the study cannot go there from its present state.
    """
    if campaign.state not in STATES[state]:
        raise DataError(
            f"the study is {campaign.state}; it can become {state} from "
            f"{' or '.join(STATES[state])} only"
        )
    campaign.state = state
    if state == "open" and campaign.opened_ms is None:
        campaign.opened_ms = at_ms
    if state == "closed":
        campaign.closed_ms = at_ms
    note(
        session,
        actor=actor,
        action=state,
        subject=campaign.public_id,
        at_ms=at_ms,
        campaign_id=campaign.id,
    )
