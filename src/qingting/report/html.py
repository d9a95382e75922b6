"""The report as one HTML file that opens from disk and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from ruamel.yaml import YAML

from qingting.report import charts, cost_tables, judging_tables, labels, tables
from qingting.report.file_names import PAGE, WORDS, WORDS_ZH
from qingting.report.findings import Findings
from qingting.report.quantities import count, plain
from qingting.report.results import (
    Advice,
    ArmResult,
    Example,
    Finding,
    Outcomes,
    Question,
    Results,
)
from qingting.report.texts import Bilingual, both, text, text_for
from qingting.report.words_labels import summary_of

_FOLDER = Path(__file__).parent
SECTIONS = (
    "answer",
    "overview",
    "curves",
    "contrasts",
    "knowledge",
    "quality",
    "efficiency",
    "examples",
    "data",
    "fairness",
    "advice",
    "reproduce",
)
"""The sections in their order for dialogues; each has a text ``section_NAME`` and an anchor of its name."""

_ABSENT = {"classification": ("knowledge", "quality"), "generation": ("knowledge",)}
"""Sections that a task has no results for."""

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")


def render_html(results: Results) -> str:
    """Return the report; equal results give equal bytes.

    Every sentence stands in Chinese and English, of which a switch without JavaScript shows one;
    the page opens in the language of most dialogues.
    """
    style = (_FOLDER / "static" / "report.css").read_text("utf-8")
    anchors = _Anchors()
    page = (
        _environment()
        .get_template("report.html")
        .render(
            **_context(results),
            style=Markup(style),
            caption_id=anchors.caption_id,
            note_id=anchors.note_id,
        )
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return page.replace("@style-digest@", digest, 1)


def sections_of(task: str, *, has_study: bool = False) -> tuple[str, ...]:
    """Return the sections of a task's report in their order; what people judged comes early."""
    kept = [name for name in SECTIONS if name not in _ABSENT.get(task, ())]
    if task == "classification":
        kept.insert(kept.index("contrasts"), "labels")
    if has_study:
        kept.insert(kept.index("answer") + 1, "judging")
    return tuple(kept)


class ModelAnswers(NamedTuple):
    """The answers of one model's arms to one prompt, base first."""

    model: str
    answers: tuple[tuple[ArmResult, str | None], ...]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"show": show, "count": count, "plain": plain}
    return environment


class _Anchors:
    """Ids for captions and footnotes: the n-th table of the page is ``table-n``."""

    def __init__(self) -> None:
        self._tables: dict[int, int] = {}

    def _number(self, table: tables.Table) -> int:
        return self._tables.setdefault(id(table), len(self._tables) + 1)

    def caption_id(self, table: tables.Table) -> str:
        return f"table-{self._number(table)}"

    def note_id(self, table: tables.Table, note: int) -> str:
        return f"table-{self._number(table)}-note-{note}"


def show(words: Bilingual | Advice | Finding | Question | str) -> Markup:
    """Return a text for the page: escaped, in both languages where they differ.

    Names in backticks become code, leads in double asterisks bold; nothing else is interpreted.
    """
    if isinstance(words, str):
        return _inline(words)
    if words.zh == words.en:
        return _inline(words.en)
    return Markup(
        '<span class="zh" lang="zh-Hans">{}</span><span class="en" lang="en">{}</span>'
    ).format(_inline(words.zh), _inline(words.en))


def _translated(task: str, key: str, **values: object) -> Markup:
    return show(text_for(task, key, **values))


def _inline(words: str) -> Markup:
    # Escaped first: what the patterns wrap can hold no markup of its own.
    escaped = str(escape(words))
    escaped = _CODE.sub(r"<code>\1</code>", escaped)
    return Markup(_STRONG.sub(r"<strong>\1</strong>", escaped))


def _context(results: Results) -> dict[str, Any]:
    outcomes, measurements = results.outcomes, results.measurements
    findings = Findings(outcomes)
    languages = outcomes.data.languages
    return {
        "t": partial(_translated, outcomes.task),
        "results": results,
        "outcomes": outcomes,
        "measurements": measurements,
        "findings": findings,
        "sections": sections_of(outcomes.task, has_study=outcomes.judging is not None),
        "language": "en" if languages.get("en", 0) > languages.get("zh", 0) else "zh",
        "summary": summary_of(results),
        "level": tables.level_of(findings),
        "scoreboard": tables.scoreboard(findings),
        "overview": tables.overview_table(findings),
        "curves": charts.curve_figures(findings),
        "forests": charts.forest_figures(findings),
        "contrast_table": tables.contrast_table(findings),
        "matrices": _matrices(findings),
        "accuracies": charts.accuracy_figures(findings),
        "label_table": labels.label_table(findings),
        "confusions": labels.confusion_figures(findings),
        "confusion_tables": labels.confusion_tables(findings),
        "reliabilities": labels.reliability_figures(findings),
        "calibration_table": labels.calibration_table(findings),
        "knowledge_figures": charts.knowledge_figures(findings),
        "knowledge_table": tables.knowledge_table(findings),
        "quality": _quality(findings),
        "cost_figures": charts.cost_figures(findings, measurements),
        "training_table": cost_tables.training_table(findings, measurements),
        "inference_table": cost_tables.inference_table(findings, measurements),
        "stage_table": cost_tables.stage_table(measurements),
        "examples": [(example, answers_of(findings, example)) for example in outcomes.examples],
        "split": charts.split_figure(findings),
        "defects": cost_tables.defect_table(findings),
        "flow": cost_tables.flow_table(findings),
        "recipe": cost_tables.recipe_table(findings),
        "deviations": cost_tables.deviation_table(findings),
        "resolved": cost_tables.resolved_table(findings),
        "proofs": cost_tables.proof_table(findings),
        "models": cost_tables.model_table(findings),
        "versions": cost_tables.settings_table(
            "reproduce_versions", "component", "version", outcomes.versions
        ),
        "hardware": cost_tables.settings_table(
            "reproduce_hardware", "setting", "value", measurements.hardware
        ),
        "seeds": seeds_of(findings),
        "specification": specification_yaml(outcomes.specification),
        **_study(outcomes),
    }


def _study(outcomes: Outcomes) -> dict[str, Any]:
    study = outcomes.judging
    if study is None:
        return {"study": None}
    return {
        "study": study,
        "study_standing": judging_tables.standing(study),
        "study_tables": judging_tables.study_tables(study.findings) if study.findings else None,
        "study_digests": judging_tables.digests(study),
        "study_files": {"page": PAGE, "words": WORDS, "words_zh": WORDS_ZH},
    }


def _matrices(findings: Findings) -> list[tables.Table]:
    return [tables.matrix(findings, measure) for measure in findings.met("tuned vs tuned")]


class QualityTables(NamedTuple):
    """The quality scores of one language: what is shown, the rest, and the signatures."""

    main: tables.Table
    rest: tables.Table | None
    signatures: tables.Table


def _quality(findings: Findings) -> list[QualityTables]:
    found = findings.measures_of("overlap", "form", "detail", "other")
    made = []
    for language in dict.fromkeys(measure.language for measure in found):
        name = text(language or "all_languages")
        mine = [measure for measure in found if measure.language == language]
        main = [m for m in mine if m.group in ("overlap", "form")]
        rest = [m for m in mine if m.group in ("detail", "other")]
        made.append(
            QualityTables(
                tables.score_table(
                    findings,
                    main,
                    text("quality_caption", language=name),
                    with_counts=True,
                    with_language=False,
                ),
                tables.score_table(
                    findings, rest, text("quality_rest", language=name), with_language=False
                )
                if rest
                else None,
                tables.signature_table(findings, mine),
            )
        )
    return made


def answers_of(findings: Findings, example: Example) -> list[ModelAnswers]:
    """Return every arm's answer by model; None where an arm gave none."""
    models = dict.fromkeys(arm.model for arm in findings.arms)
    return [
        ModelAnswers(
            model,
            tuple(
                (arm, example.responses.get(arm.id)) for arm in findings.arms if arm.model == model
            ),
        )
        for model in models
    ]


def seeds_of(findings: Findings) -> list[tuple[Bilingual, Bilingual]]:
    """Return every seed with what it was for."""
    specification = findings.outcomes.specification
    training = sorted({arm.seed for arm in findings.arms if arm.seed is not None})
    seeds = [(text("seed_training"), both(", ".join(map(str, training))))] if training else []
    for section, name in (("data", "seed_data"), ("analysis", "seed_analysis")):
        settings = specification.get(section)
        if isinstance(settings, dict) and "seed" in settings:
            seeds.append((text(name), both(str(settings["seed"]))))
    return seeds


def specification_yaml(specification: dict[str, Any]) -> str:
    """Return the experiment file as YAML, keys in their own order."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 96
    stream = io.StringIO()
    yaml.dump(specification, stream)
    return stream.getvalue()
