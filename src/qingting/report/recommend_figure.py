"""The figure of a recommendation: what each model takes of the memory, and which are left out."""

from __future__ import annotations

from qingting.models.recommend import Recommendation
from qingting.report.figures import Figure
from qingting.report.svg import Box, Canvas, Scale, tick_text, ticks
from qingting.report.texts import Bilingual

_WIDTH, _ROW = 640.0, 26.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 190.0, 60.0, 34.0, 46.0


def recommend_figure(found: Recommendation) -> Figure:
    """Return bars of predicted peak memory: models in their order, then those left out and why."""
    rows = [(one.card.name, one.peak_gib, "", f"{one.rank}. ") for one in found.ranked]
    rows += [
        (one.card.name, None, ", ".join(dict.fromkeys(r.criterion for r in one.reasons)), "")
        for one in found.excluded
    ]
    limit = found.wish.memory_gib
    height = _TOP + _ROW * len(rows) + _BOTTOM
    canvas = Canvas(_WIDTH, height)
    most = max([limit, *(peak for _, peak, _, _ in rows if peak is not None)]) * 1.05
    x = Scale(0.0, most, _LEFT, _WIDTH - _RIGHT)
    bottom = height - _BOTTOM
    marks = ticks(0.0, most)
    for mark in marks:
        canvas.line((x(mark), _TOP), (x(mark), bottom), "grid")
        step = marks[1] - marks[0] if len(marks) > 1 else 1.0
        canvas.text((x(mark), bottom + 17), tick_text(mark, step), "tick", anchor="middle")
    for place, (name, peak, why, prefix) in enumerate(rows):
        middle = _TOP + _ROW * (place + 0.5)
        canvas.text((_LEFT - 8, middle + 4), f"{prefix}{name}", "row-label", anchor="end")
        if peak is not None:
            box = Box(x(0.0), middle - 8, x(peak), middle + 8)
            canvas.rectangle(box, "bar c0")
            canvas.text((x(peak) + 6, middle + 4), f"{peak:.1f}", "row-value halo")
        elif why:
            canvas.text(
                (x(0.0) + 6, middle + 4), Bilingual(f"不合用：{why}", f"left out: {why}"), "tick"
            )
        else:
            words = Bilingual("体积很小，不占多少显存", "small; memory is no concern")
            canvas.text((x(0.0) + 6, middle + 4), words, "tick")
    canvas.line((x(limit), _TOP - 8), (x(limit), bottom), "baseline")
    canvas.text(
        (x(limit), _TOP - 12),
        Bilingual(f"显存 {limit:g} GiB", f"{limit:g} GiB"),
        "base-label",
        anchor="middle",
    )
    canvas.text(
        ((_LEFT + _WIDTH - _RIGHT) / 2, height - 12),
        Bilingual("预计峰值显存（GiB）", "predicted peak memory, GiB"),
        "axis-label",
        anchor="middle",
    )
    title = Bilingual("可用的模型", "Models that can be used")
    description = Bilingual(
        f"{len(found.ranked)} 个模型合用，{len(found.excluded)} 个不合用；虚线是显存大小。",
        f"{len(found.ranked)} models fit, {len(found.excluded)} are left out; the dashed line is "
        "the memory.",
    )
    return Figure(canvas.render("recommend", title, description), title)
