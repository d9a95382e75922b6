"""Tables of what things cost and of how the data were treated and the arms trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qingting.report.findings import Findings
from qingting.report.quantities import (
    count,
    decimal,
    duration,
    memory,
    parameters,
    percent,
    plain,
    significant,
)
from qingting.report.results import ArmMeasurements, Measurements, Proof
from qingting.report.tables import (
    Cell,
    Column,
    Mark,
    Notes,
    Row,
    Table,
    arm_row,
    column_of,
    plain_cell,
    score_cell,
    why_absent,
)
from qingting.report.texts import TEXTS, Bilingual, both, text


def training_table(findings: Findings, measurements: Measurements) -> Table:
    """Return what training each tuned arm cost, beside what came of it."""
    by_arm = {one.arm: one for one in measurements.arms}
    notes = Notes()
    rows = []
    for arm in findings.tuned:
        one = by_arm.get(arm.id, ArmMeasurements(arm=arm.id))
        cells = _training_cells(findings, one, notes)
        rows.append(arm_row(arm, [*cells, *_result_cells(findings, arm.id, notes)]))
    names = ("wall_time", "speed", "peak_memory", "trainable", "steps", "trained_tokens")
    columns = (*(Column(text(name)) for name in names), *_result_columns(findings))
    caption = text("training_cost_caption")
    return Table(caption, text("arm"), columns, tuple(rows), notes.collected())


def inference_table(findings: Findings, measurements: Measurements) -> Table:
    """Return what answering costs at every batch size, beside how good the answers are."""
    by_arm = {one.arm: one for one in measurements.arms}
    sizes = batch_sizes(measurements)
    notes = Notes()
    rows = []
    for arm in findings.arms if sizes else ():
        one = by_arm.get(arm.id, ArmMeasurements(arm=arm.id))
        cells = [cell for size in sizes for cell in _inference_cells(findings, one, size, notes)]
        rows.append(arm_row(arm, [*cells, *_result_cells(findings, arm.id, notes)]))
    columns = [
        Column(text(name), text("batch", batch=size))
        for size in sizes
        for name in ("first_token", "speed", "peak_memory")
    ]
    columns += _result_columns(findings)
    caption = text("inference_cost_caption")
    return Table(caption, text("arm"), tuple(columns), tuple(rows), notes.collected())


def batch_sizes(measurements: Measurements) -> list[int]:
    """Return every batch size that was timed, rising."""
    return sorted({i.batch_size for one in measurements.arms for i in one.inference})


def _result_columns(findings: Findings) -> list[Column]:
    return [column_of(findings, measure) for measure in findings.main]


def _result_cells(findings: Findings, arm_id: str, notes: Notes) -> list[Cell]:
    return [
        score_cell(measure, score, None, notes)
        if (score := findings.score(arm_id, measure))
        else notes.missing(why_absent(findings, arm_id))
        for measure in findings.main
    ]


def _training_cells(findings: Findings, one: ArmMeasurements, notes: Notes) -> list[Cell]:
    arm = findings.arm(one.arm)
    if one.training is None or arm is None or arm.training is None:
        return [notes.missing(why_absent(findings, one.arm))] * 6
    cost, training = one.training, arm.training
    share = percent(training.n_trainable / training.n_parameters) if training.n_parameters else ""
    return [
        plain_cell(duration(cost.wall_s)),
        plain_cell(significant(cost.tokens_per_s)),
        plain_cell(memory(cost.peak_memory_bytes)),
        Cell(both(parameters(training.n_trainable)), (both(share),) if share else ()),
        plain_cell(count(training.n_steps)),
        plain_cell(count(training.n_tokens)),
    ]


def _inference_cells(
    findings: Findings, one: ArmMeasurements, size: int, notes: Notes
) -> list[Cell]:
    found = next((i for i in one.inference if i.batch_size == size), None)
    if found is None:
        return [notes.missing(why_absent(findings, one.arm))] * 3
    return [
        plain_cell(duration(found.time_to_first_token_s)),
        plain_cell(significant(found.tokens_per_s)),
        plain_cell(memory(found.peak_memory_bytes)),
    ]


def stage_table(measurements: Measurements) -> Table:
    """Return the cost of every stage of every arm."""
    rows = [
        Row(
            both(timing.stage),
            (
                plain_cell(duration(timing.wall_s)),
                plain_cell(duration(timing.cpu_s)),
                plain_cell(memory(timing.peak_memory_bytes)),
            ),
        )
        for one in measurements.arms
        for timing in one.stages
    ]
    columns = tuple(Column(text(name)) for name in ("wall_time", "cpu_time", "peak_memory"))
    return Table(text("stage_costs"), text("stage"), columns, tuple(rows))


def flow_table(findings: Findings) -> Table:
    """Return the way from what was read to what was used, in dialogues."""
    data = findings.outcomes.data
    text = findings.words
    numbers: list[tuple[Bilingual, int]] = [
        (text("n_read"), data.n_dialogues),
        (text("n_strictly_valid"), data.n_strictly_valid),
        *(
            [(text("n_unlabelled_lines"), data.n_unlabelled_lines)]
            if findings.outcomes.task == "dialogue"
            else []
        ),
        (text("n_quarantined"), data.n_quarantined),
        (text("n_duplicates_dropped"), data.n_duplicates_dropped),
        (text("n_other_language"), data.n_other_language),
        (text("n_not_sampled"), data.n_not_sampled),
        *((text("repair", name=name), n) for name, n in data.repairs.items()),
        (text("n_usable"), data.n_usable),
        (text("n_near_duplicate_groups"), data.n_near_duplicate_groups),
        (text("n_seen_in_pretraining"), data.n_seen_in_pretraining),
        (text("n_cut"), data.n_cut),
        (text("n_left_out"), data.n_left_out),
    ]
    rows = tuple(Row(name, (plain_cell(count(n)),), is_code=False) for name, n in numbers)
    return Table(text("kept_caption"), text("flow"), (Column(text("n_affected")),), rows)


def defect_table(findings: Findings) -> Table:
    """Return the defects that were found, the most frequent first, in words."""
    data = findings.outcomes.data
    found = sorted(
        ((name, n) for name, n in data.defects.items() if n), key=lambda pair: (-pair[1], pair[0])
    )
    rows = tuple(
        Row(
            text(f"defect_{name}") if f"defect_{name}" in TEXTS else both(name),
            (
                plain_cell(count(n)),
                plain_cell(percent(n / data.n_dialogues)),
            ),
            both(name),
            is_code=False,
        )
        for name, n in found
    )
    columns = (Column(findings.words("n_affected")), Column(text("share")))
    return Table(findings.words("defects_caption"), text("defect"), columns, rows)


def recipe_table(findings: Findings) -> Table:
    """Return the common recipe, nested settings by their key path."""
    recipe = findings.outcomes.specification.get("recipe")
    settings = flatten(recipe) if isinstance(recipe, dict) else {}
    rows = tuple(Row(both(key), (plain_cell(plain(value)),)) for key, value in settings.items())
    return Table(
        text("recipe_caption"), text("setting"), (Column(text("value"), is_text=True),), rows
    )


def flatten(settings: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Return nested settings as key path → value."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{at}{key}.")
        else:
            flat[f"{at}{key}"] = value
    return flat


def deviation_table(findings: Findings) -> Table:
    """Return every deviation of an arm from the common recipe."""
    rows = tuple(
        Row(
            both(arm.id),
            (Cell(both(key)), plain_cell(plain(common)), plain_cell(plain(own))),
        )
        for arm in findings.arms
        for key, (common, own) in arm.deviations.items()
    )
    columns = tuple(
        Column(text(name), is_text=True) for name in ("setting", "common_value", "own_value")
    )
    return Table(text("deviations_caption"), text("arm"), columns, rows)


def resolved_table(findings: Findings) -> Table:
    """Return the settings as they were at run time, one row an arm."""
    trained = [arm for arm in findings.arms if arm.training is not None]
    keys = list(dict.fromkeys(k for arm in trained if arm.training for k in arm.training.resolved))
    notes = Notes()
    rows = []
    for arm in trained:
        assert arm.training is not None
        own = arm.training.resolved
        cells = [plain_cell(count(arm.training.n_steps)), plain_cell(count(arm.training.n_tokens))]
        cells += [
            plain_cell(plain(own[key])) if key in own else notes.missing(text("not_measured"))
            for key in keys
        ]
        rows.append(Row(both(arm.id), tuple(cells)))
    columns = (
        Column(text("steps")),
        Column(text("trained_tokens")),
        *(Column(both(key), is_text=True) for key in keys),
    )
    return Table(text("resolved_caption"), text("arm"), columns, tuple(rows), notes.collected())


def proof_table(findings: Findings) -> Table:
    """Return what was proved of every exported model."""
    proved = [arm for arm in findings.arms if arm.proofs]
    names = list(dict.fromkeys(proof.name for arm in proved for proof in arm.proofs))
    limits = {proof.name: proof.limit for arm in proved for proof in arm.proofs}
    notes = Notes()
    rows = []
    for arm in proved:
        by_name = {proof.name: proof for proof in arm.proofs}
        rows.append(
            Row(
                both(arm.id),
                tuple(
                    _proof_cell(by_name[name])
                    if name in by_name
                    else notes.missing(text("not_measured"))
                    for name in names
                ),
            )
        )
    columns = tuple(
        Column(findings.words(f"proof_{n}") if f"proof_{n}" in TEXTS else both(n), both(limits[n]))
        for n in names
    )
    return Table(text("proofs_caption"), text("arm"), columns, tuple(rows), notes.collected())


def _proof_cell(proof: Proof) -> Cell:
    value = proof.value
    if isinstance(value, bool):
        shown = text("yes" if value else "no")
    else:
        shown = both(f"{value:.0f}" if value == int(value) else decimal(value))
    mark: Mark = "better" if proof.passed else "worse"
    return Cell(shown, (text("passed" if proof.passed else "not_passed"),), mark)


def model_table(findings: Findings) -> Table:
    """Return where every candidate comes from."""
    rows = []
    for model in findings.outcomes.models:
        source = text(f"source_{model.source}")
        cells = (
            plain_cell(both(model.hub_id) if model.hub_id else source),
            plain_cell(model.architecture),
            plain_cell(
                both(parameters(model.n_parameters)) if model.n_parameters else text("unknown")
            ),
            plain_cell(both(model.licence) if model.licence else text("unknown")),
            plain_cell(both(model.revision) if model.revision else text("none")),
            plain_cell(model.digest[:16]),
        )
        rows.append(Row(both(model.label), cells))
    names = ("source", "architecture", "parameters", "licence", "revision", "digest")
    columns = tuple(Column(text(name), is_text=name != "parameters") for name in names)
    return Table(text("reproduce_models"), text("model"), columns, tuple(rows))


def settings_table(caption: str, corner: str, column: str, values: Mapping[str, Any]) -> Table:
    """Return key and value pairs as a table; the three names are keys of the texts."""
    rows = tuple(Row(both(key), (plain_cell(plain(value)),)) for key, value in values.items())
    return Table(text(caption), text(corner), (Column(text(column), is_text=True),), rows)
