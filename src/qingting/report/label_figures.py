"""Confusion matrices and reliability diagrams as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

from qingting.report.figures import PANEL_WIDTH, Figure, colour
from qingting.report.quantities import percent
from qingting.report.results import ReliabilityBin
from qingting.report.svg import Box, Canvas, Scale, text_width
from qingting.report.texts import Bilingual, text

N_SHADES = 6
"""Shades of a cell, ``h0`` (nothing) to ``h5`` (all of its row); classes of the style sheet."""
MAX_LABELS_DRAWN = 12


def confusion_matrix(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    labels: Sequence[str],
    counts: Sequence[Sequence[int]],
) -> Figure:
    """Return a matrix of counts, rows true and columns predicted, shaded by the row's share."""
    n = len(labels)
    longest = min(max(text_width(label, 11) for label in labels), 120.0)
    left, top = longest + 30, 40.0
    size = min(88.0, (PANEL_WIDTH - left - 8) / n)
    canvas = Canvas(PANEL_WIDTH, top + size * n + 12)
    canvas.text(
        (left + size * n / 2, 13), text("confusion_predicted"), "end-label", anchor="middle"
    )
    canvas.text((2, 13), text("confusion_true"), "end-label")
    for column, label in enumerate(labels):
        shown = _shortened(label, size - 4)
        canvas.text((left + size * (column + 0.5), 31), shown, "tick", anchor="middle")
    for row, label in enumerate(labels):
        middle = top + size * (row + 0.5)
        canvas.text((left - 8, middle + 4), _shortened(label, longest), "tick", anchor="end")
        total = sum(counts[row])
        for column, count in enumerate(counts[row]):
            share = count / total if total else 0.0
            shade = 0 if not count else 1 + min(N_SHADES - 2, int(share * (N_SHADES - 1)))
            at = (left + size * column, top + size * row)
            kind = "right" if row == column else "wrong"
            canvas.rectangle(
                Box(at[0] + 1, at[1] + 1, at[0] + size - 1, at[1] + size - 1),
                f"cell {kind} h{shade}",
            )
            centre = at[0] + size / 2
            css = "cell-text on" if shade >= N_SHADES - 2 else "cell-text"
            canvas.text(
                (centre, middle + (0 if size >= 40 else 4)), f"{count:,}", css, anchor="middle"
            )
            if size >= 40 and total:
                shown = percent(share, digits=0)
                canvas.text((centre, middle + 15), shown, f"{css} small", anchor="middle")
    return Figure(canvas.render(identity, title, description), title)


def reliability_diagram(
    identity: str,
    title: Bilingual,
    description: Bilingual,
    *,
    bins: Sequence[ReliabilityBin],
    series: int,
) -> Figure:
    """Return confidence against share right, a dot a bin, sized by how many texts it holds."""
    width, height = PANEL_WIDTH, 268.0
    left, right, top, bottom = 48.0, width - 14, 26.0, height - 44
    canvas = Canvas(width, height)
    x, y = Scale(0.0, 1.0, left, right), Scale(0.0, 1.0, bottom, top)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.line((left, y(tick)), (right, y(tick)), "grid")
        shown = percent(tick, digits=0)
        canvas.text((left - 7, y(tick) + 4), shown, "tick", anchor="end")
        canvas.text((x(tick), bottom + 16), shown, "tick", anchor="middle")
    canvas.line((x(0), y(0)), (x(1), y(1)), "baseline")
    canvas.text(
        ((left + right) / 2, height - 8), text("reliability_x"), "axis-label", anchor="middle"
    )
    canvas.text((6, 13), text("reliability_y"), "axis-label")
    most = max((one.n for one in bins), default=1)
    drawn = [(x(one.confidence), y(one.accuracy)) for one in bins]
    if len(drawn) > 1:
        canvas.path(drawn, f"curve training {colour(series)}")
    for one, at in zip(bins, drawn, strict=True):
        size = 3.0 + 6.0 * (one.n / most) ** 0.5
        canvas.marker(0, at, f"point filled {colour(series)}", size=size)
    return Figure(canvas.render(identity, title, description), title)


def _shortened(label: str, width: float) -> str:
    if text_width(label, 11) <= width:
        return label
    kept = label
    while kept and text_width(kept + "…", 11) > width:
        kept = kept[:-1]
    return kept + "…"
