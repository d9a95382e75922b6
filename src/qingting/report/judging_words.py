"""What a study of human judging found, in words first and then in tables."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from qingting.judging.analysis import StudyAnalysis
from qingting.report import judging_people as people
from qingting.report import judging_sections as sections
from qingting.report.judging_blocks import (
    Block,
    Heading,
    Paragraph,
    to_html,
    to_markdown,
)
from qingting.report.judging_language import Language, Speaker
from qingting.report.judging_rule import rule_section
from qingting.report.judging_summary import summary

_FOLDER = Path(__file__).parent


def study_markdown(result: StudyAnalysis, *, language: Language) -> str:
    """Return the whole analysis as a Markdown page in one language."""
    return to_markdown(study_blocks(result, language=language))


def first_page(result: StudyAnalysis, *, language: Language) -> str:
    """Return what stands before the tables, as Markdown."""
    speaker = Speaker(result, language)
    return to_markdown([_title(speaker), *summary(speaker)])


def study_html(result: StudyAnalysis) -> str:
    """Return the analysis as one HTML file in both languages that opens from disk and loads nothing.

    A switch without JavaScript shows one language; the page opens in the study's own.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_FOLDER / "static" / "report.css").read_text("utf-8")
    page = environment.get_template("judging_page.html").render(
        study=result.study["spec"]["name"],
        language="zh" if "zh" in result.study["spec"]["languages"] else "en",
        style=Markup(style),
        zh=to_html(study_blocks(result, language="zh")),
        en=to_html(study_blocks(result, language="en")),
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return page.replace("@style-digest@", digest, 1)


def study_blocks(result: StudyAnalysis, *, language: Language) -> list[Block]:
    """Return the whole analysis in one language, as parts of a page."""
    speaker = Speaker(result, language)
    return [
        _title(speaker),
        *summary(speaker),
        *rule_section(speaker),
        *sections.quality(speaker),
        *sections.everyone(speaker),
        *sections.safety(speaker),
        *people.agreement(speaker),
        *people.raters(speaker),
        *sections.parts(speaker),
        *people.audit(speaker),
        *_limits(speaker),
    ]


def _title(speaker: Speaker) -> Heading:
    title = speaker.say("人工盲评结果", "What people judged")
    return Heading(1, f"{title}{speaker.say('：', ': ')}{speaker.result.study['spec']['name']}")


def _limits(speaker: Speaker) -> list[Block]:
    result, say = speaker.result, speaker.say
    return [
        Heading(2, say("怎么读", "How to read this")),
        Paragraph(
            say(
                "区间说的是：换一批同类的场景、同类的评价者，结果大致会落在哪里；它管不到别的来访者、"
                "别的语言，也管不到长期效果。这里的结论不是临床有效性的证明，也不是让模型直接面对求助者的依据。",
                "Intervals speak of other scenarios and other raters of the same kind. They do not "
                "speak of other clients, other languages or lasting effects. Nothing here is a proof "
                "of clinical validity, nor a ground for letting a model talk with people in distress.",
            )
        ),
        Paragraph(
            say(
                f"快照 `{result.digest}`；事先登记的内容 `{result.study['registered_digest']}`。",
                f"Snapshot `{result.digest}`; fixed in advance: "
                f"`{result.study['registered_digest']}`.",
            )
        ),
    ]
