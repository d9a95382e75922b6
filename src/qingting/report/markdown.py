"""The report as Markdown: ``performance_comparison.md``, tables as GitHub renders them."""

from __future__ import annotations

import re

from qingting.report import cost_tables, judging_tables, labels, tables
from qingting.report.file_names import WORDS, WORDS_ZH
from qingting.report.findings import Findings
from qingting.report.html import sections_of, seeds_of, specification_yaml
from qingting.report.results import Advice, Question, Results
from qingting.report.results_judging import StudyResult
from qingting.report.tables import Cell, Row, Table
from qingting.report.texts import Bilingual, text
from qingting.report.words_labels import summary_of

_ACTIVE = re.compile(r"([\\<>|*_\[\]#~&])")
_KEPT = re.compile(r"`[^`]*`|\*\*[^*]+\*\*")


def render_markdown(results: Results) -> str:
    """Return the report as Markdown, the plain words first; equal results give equal bytes."""
    outcomes, measurements = results.outcomes, results.measurements
    findings = Findings(outcomes)
    summary = summary_of(results)
    sections, say = sections_of(outcomes.task), findings.words
    study = outcomes.judging
    level = tables.level_of(findings)
    asked = outcomes.question
    if isinstance(asked, Question):
        question = f"{escaped(asked.zh)} · {escaped(asked.en)}"
    else:
        question = escaped(asked) if asked else _line(say("no_question"))
    parts = [
        f"# {question}",
        f"{_line(say('report'))} · `{outcomes.experiment}` · {measurements.finished}",
        _heading("section_answer"),
        f"> {inline(summary.headline.zh)}\n>\n> {inline(summary.headline.en)}",
        _sentences(text("answer_best"), summary.best),
        _sentences(say("answer_tuning"), summary.tuning),
        "" if "labels" in sections else render_table(tables.scoreboard(findings)),
        _sentences(text("answer_inconclusive"), summary.open),
        _sentences(text("answer_failures"), summary.failures),
        _sentences(text("answer_limits"), summary.limits),
        *(_judging(study) if study is not None else ()),
        _heading("section_overview"),
        _paragraph(text("overview_intro", level=level)),
        render_table(tables.overview_table(findings)),
        *(_labels(findings) if "labels" in sections else ()),
        _heading("section_contrasts"),
        "" if "labels" in sections else _paragraph(text("contrasts_base_intro_table", level=level)),
        render_table(tables.contrast_table(findings)),
        _paragraph(say("contrasts_tuned_intro")),
        *(render_table(tables.matrix(findings, m)) for m in findings.met("tuned vs tuned")),
        *(_knowledge(findings) if "knowledge" in sections else ()),
        *(_quality(findings) if "quality" in sections else ()),
        _heading("section_efficiency"),
        _paragraph(text("efficiency_intro")),
        render_table(cost_tables.training_table(findings, measurements)),
        render_table(cost_tables.inference_table(findings, measurements)),
        _paragraph(text("memory_note")),
        _heading("section_data"),
        render_table(cost_tables.defect_table(findings)) or _paragraph(text("no_defects")),
        render_table(cost_tables.flow_table(findings)),
        _heading("section_fairness"),
        _paragraph(say("fairness_intro")),
        render_table(cost_tables.deviation_table(findings)) or _paragraph(text("no_deviations")),
        render_table(cost_tables.proof_table(findings)) or _paragraph(text("no_proofs")),
        _heading("section_advice"),
        _advice((*outcomes.advice, *measurements.advice)),
        _heading("section_reproduce"),
        *_reproduce(findings, results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_table(table: Table) -> str:
    """Return a table with its caption above and its notes below, or nothing without rows."""
    if not table.rows:
        return ""
    heads = [table.corner, *(column.name for column in table.columns)]
    hints = [None, *(column.hint for column in table.columns)]
    head = [
        _line(name) + (f"<br><sub>{_line(hint)}</sub>" if hint else "")
        for name, hint in zip(heads, hints, strict=True)
    ]
    rules = [":--", *(":--" if column.is_text else "--:" for column in table.columns)]
    lines = [_row(head), _row(rules), *(_row(_cells(row)) for row in table.rows)]
    notes = [f"{n}. {_line(note)}" for n, note in enumerate(table.notes, start=1)]
    parts = [f"**{_line(table.caption)}**", "\n".join(lines), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def inline(words: str) -> str:
    """Return a sentence with what Markdown would interpret made harmless, marks of ours kept."""
    done, out = 0, []
    for kept in _KEPT.finditer(words):
        out += [escaped(words[done : kept.start()]), _kept(kept[0])]
        done = kept.end()
    return "".join([*out, escaped(words[done:])])


def escaped(words: str) -> str:
    """Return text that Markdown shows as it stands, on one line."""
    return _ACTIVE.sub(r"\\\1", re.sub(r"[\r\n]+", " ", words))


def _kept(words: str) -> str:
    if words.startswith("`"):
        return words.replace("|", "\\|")
    return f"**{escaped(words[2:-2])}**"


def _cells(row: Row) -> list[str]:
    name = f"`{row.head.en}`" if row.is_code else _line(row.head)
    if row.under:
        name += f"<br><sub>{_line(row.under)}</sub>"
    return [name, *(_cell(cell) for cell in row.cells)]


def _cell(cell: Cell) -> str:
    sign = {"best": "● ", "tied": "○ "}.get(cell.mark, "")
    shown = _line(cell.shown)
    if cell.mark == "best":
        shown = f"**{shown}**"
    note = f"<sup>{cell.note}</sup>" if cell.note else ""
    details = "".join(f"<br><sub>{_line(detail)}</sub>" for detail in cell.details)
    return f"{sign}{shown}{note}{details}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _line(words: Bilingual) -> str:
    """Return both languages on one line."""
    if words.zh == words.en:
        return inline(words.en)
    return f"{inline(words.zh)} · {inline(words.en)}"


def _heading(key: str) -> str:
    return f"## {_line(text(key))}"


def _paragraph(words: Bilingual) -> str:
    return f"{inline(words.zh)}\n\n{inline(words.en)}"


def _sentences(heading: Bilingual, sentences: tuple[Bilingual, ...]) -> str:
    chinese = "\n".join(f"- {inline(one.zh)}" for one in sentences)
    english = "\n".join(f"- {inline(one.en)}" for one in sentences)
    return f"### {_line(heading)}\n\n{chinese}\n\n{english}" if sentences else ""


def _labels(findings: Findings) -> list[str]:
    found = [render_table(table) for table in labels.label_tables(findings)]
    return [
        _heading("section_labels"),
        _paragraph(text("labels_intro")),
        found[0],
        _paragraph(text("confusion_intro")),
        *found[1:],
    ]


def _knowledge(findings: Findings) -> list[str]:
    return [
        _heading("section_knowledge"),
        _paragraph(text("knowledge_intro")),
        render_table(tables.knowledge_table(findings)),
    ]


def _quality(findings: Findings) -> list[str]:
    measures = findings.measures_of("overlap", "form")
    parts = [
        f"## {_line(findings.words('section_quality'))}",
        _paragraph(findings.words("quality_intro")),
    ]
    for language in dict.fromkeys(measure.language for measure in measures):
        mine = [measure for measure in measures if measure.language == language]
        caption = text("quality_caption", language=text(language or "all_languages"))
        parts.append(render_table(tables.score_table(findings, mine, caption, with_language=False)))
        parts.append(render_table(tables.signature_table(findings, mine)))
    return parts


def _judging(study: StudyResult) -> list[str]:
    """Return what people judged: words first, then tables."""
    digests = judging_tables.digests(study)
    parts = [
        _heading("section_judging"),
        _paragraph(text("judging_intro")),
        *(_paragraph(sentence) for sentence in judging_tables.standing(study)),
    ]
    found = study.findings
    if found is not None:
        made = judging_tables.study_tables(found)
        parts += [
            *(inline(words) for words in found.words.zh),
            *(inline(words) for words in found.words.en),
            f"### {_line(text('judging_safety_title'))}",
            render_table(made.safety),
            render_table(made.arms),
            _paragraph(text("judging_scores_note")),
            *(render_table(one) for one in made.contrasts),
            render_table(made.agreement),
            f"{_line(text('judging_whole'))} [{WORDS_ZH}]({WORDS_ZH}) · [{WORDS}]({WORDS})",
            _paragraph(text("judging_whole_note")),
        ]
    if digests is not None:
        parts.append(_paragraph(digests))
    return parts


def _advice(advice: tuple[Advice, ...]) -> str:
    if not advice:
        return _paragraph(text("no_advice"))
    lines = []
    for number, one in enumerate(advice, start=1):
        lines.append(f"{number}. {inline(one.zh)}<br>{inline(one.en)}")
        lines += [f"   - {_line(Bilingual(e.zh, e.en))}" for e in one.evidence]
    return "\n".join(lines)


def _reproduce(findings: Findings, results: Results) -> list[str]:
    seeds = "\n".join(f"- {_line(name)}: {_line(value)}" for name, value in seeds_of(findings))
    yaml = specification_yaml(results.outcomes.specification)
    longest = max((len(run) for run in re.findall(r"`+", yaml)), default=0)
    fence = "`" * max(3, longest + 1)
    return [
        _paragraph(text("reproduce_intro")),
        "```sh\nqingting plan experiment.yaml\nqingting run experiment.yaml\n```",
        f"{fence}yaml\n{yaml}{fence}",
        seeds,
        render_table(cost_tables.model_table(findings)),
        render_table(
            cost_tables.settings_table(
                "reproduce_versions", "component", "version", results.outcomes.versions
            )
        ),
        render_table(
            cost_tables.settings_table(
                "reproduce_hardware", "setting", "value", results.measurements.hardware
            )
        ),
        _paragraph(text("reproduce_note")),
    ]
