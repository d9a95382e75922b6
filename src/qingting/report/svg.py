"""A small canvas for inline SVG: text in two languages, scales, ticks, and labels that keep apart.

Colours, fonts and line styles are classes of the page's style sheet, so that dark mode and print
apply. Nothing is styled inline: the page's content policy allows no inline styles.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup, escape

from qingting.report.texts import Bilingual

Anchor = Literal["start", "middle", "end"]
FONT_SIZE = 12.0


class Box(NamedTuple):
    """A rectangle: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Return the area shared with another rectangle."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


class Scale(NamedTuple):
    """A linear map from data to the canvas."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value lies on the canvas."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """Return a generous guess of a text's width: a full-width character counts one em."""
    wide = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.55 for c in text)
    return wide * size


def ticks(low: float, high: float, *, about: int = 4) -> tuple[float, ...]:
    """Return round values within [low, high], roughly ``about`` of them."""
    if not high > low:
        return (low,)
    raw = (high - low) / about
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(n * step for n in range(first, last + 1))


def tick_text(value: float, step: float) -> str:
    """Return a tick's number with the decimals that its step needs."""
    digits = 0 if step >= 1 else min(6, math.ceil(-math.log10(step) - 1e-9))
    if step < 1 and not math.isclose(round(step, digits), step, rel_tol=1e-6):
        digits += 1
    shown = f"{value:,.{digits}f}"
    return ("0" if float(f"{value:.{digits}f}") == 0 else shown).replace("-", "−")


def padded(values: Iterable[float], *, share: float = 0.06) -> tuple[float, float]:
    """Return the range of values, widened on both sides so that marks do not touch the frame."""
    present = list(values)
    low, high = min(present), max(present)
    margin = (high - low) * share or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


class Canvas:
    """Collects shapes and turns them into one SVG element with a title and a description."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self._parts: list[Markup] = []

    def line(self, start: tuple[float, float], end: tuple[float, float], css: str) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add(
            '<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>',
            *map(_number, (x1, y1, x2, y2)),
            css,
        )

    def path(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Draw a line through points."""
        d = "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
        self._add('<path d="{}" class="{}"/>', d, css)

    def polygon(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Draw a filled shape."""
        corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._add('<polygon points="{}" class="{}"/>', corners, css)

    def rectangle(self, box: Box, css: str) -> None:
        """Draw a rectangle."""
        left, top, right, bottom = box
        self._add(
            '<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>',
            *map(_number, (left, top, right - left, bottom - top)),
            css,
        )

    def marker(self, shape: int, at: tuple[float, float], css: str, *, size: float = 5.0) -> None:
        """Draw the ``shape``-th marker: shapes tell series apart where colours cannot."""
        x, y = at
        kind = SHAPES[shape % len(SHAPES)]
        if kind == "circle":
            self._add(
                '<circle cx="{}" cy="{}" r="{}" class="{}"/>',
                *map(_number, (x, y, size)),
                css,
            )
            return
        points = " ".join(
            f"{_number(x + size * dx)},{_number(y + size * dy)}" for dx, dy in _OUTLINES[kind]
        )
        self._add('<polygon points="{}" class="{}"/>', points, css)

    def text(
        self,
        at: tuple[float, float],
        words: str | Bilingual,
        css: str = "",
        *,
        anchor: Anchor = "start",
    ) -> None:
        """Write words; in both languages where they differ, of which the page shows one."""
        x, y = _number(at[0]), _number(at[1])
        if isinstance(words, Bilingual) and words.zh != words.en:
            for language, shown in (("zh", words.zh), ("en", words.en)):
                self._add(
                    '<text x="{}" y="{}" text-anchor="{}" class="{}" lang="{}">{}</text>',
                    x,
                    y,
                    anchor,
                    f"{language} {css}".strip(),
                    language,
                    shown,
                )
            return
        shown = words.en if isinstance(words, Bilingual) else words
        self._add(
            '<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>', x, y, anchor, css, shown
        )

    def render(self, identity: str, title: Bilingual, description: Bilingual) -> Markup:
        """Return the SVG element; ``identity`` must be unique in the page."""
        head = Markup(
            '<svg viewBox="0 0 {w} {h}" role="img" aria-labelledby="{i}-t {i}-d">'
            '<title id="{i}-t">{title}</title><desc id="{i}-d">{description}</desc>'
        ).format(
            w=_number(self.width),
            h=_number(self.height),
            i=identity,
            title=_joined(title),
            description=_joined(description),
        )
        return head + Markup("").join(self._parts) + Markup("</svg>")

    def _add(self, template: str, *values: object) -> None:
        self._parts.append(Markup(template).format(*values))


SHAPES = ("circle", "square", "triangle", "diamond", "down", "pentagon", "hexagon", "cross")
_OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    "down": ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
    "pentagon": ((0, -1.1), (1.05, -0.34), (0.65, 0.89), (-0.65, 0.89), (-1.05, -0.34)),
    "hexagon": ((-1.1, 0), (-0.55, -0.95), (0.55, -0.95), (1.1, 0), (0.55, 0.95), (-0.55, 0.95)),
    "cross": (
        *((-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4)),
        *((0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4)),
    ),
}


class Placed(NamedTuple):
    """Where a label goes: its baseline's anchor, its box, and whether it needs a leader line."""

    x: float
    y: float
    anchor: Anchor
    box: Box
    is_far: bool


def place_labels(
    points: Sequence[tuple[float, float]],
    labels: Sequence[str],
    *,
    inside: Box,
    obstacles: Sequence[Box] = (),
    lines: Sequence[Box] = (),
    size: float = FONT_SIZE,
) -> tuple[Placed, ...]:
    """Return a place for each label near its point, clear of marks and of one another.

    Greedy: the most crowded points choose first, each the candidate that covers least, then the
    nearest. Candidates lie around the point at growing distances. Covering one of ``lines`` is
    better than moving far away, covering an obstacle or a label is not.
    """
    taken = [*obstacles, *(Box(x - 7, y - 7, x + 7, y + 7) for x, y in points)]
    crowding = [sum(math.hypot(x - u, (y - v) * 2) < 90 for u, v in points) for x, y in points]
    placed: dict[int, Placed] = {}
    for index in sorted(range(len(points)), key=lambda i: (-crowding[i], i)):
        width = text_width(labels[index], size)
        candidates = [
            candidate
            for candidate in _candidates(points[index], width, size)
            if candidate.box.left >= inside.left
            and candidate.box.right <= inside.right
            and candidate.box.top >= inside.top
            and candidate.box.bottom <= inside.bottom
        ] or list(_candidates(points[index], width, size))[:1]
        best = min(
            enumerate(candidates),
            key=lambda pair: (
                sum(pair[1].box.overlap(box) for box in taken)
                + 0.4 * sum(pair[1].box.overlap(box) for box in lines)
                + 2.0 * pair[0]
            ),
        )[1]
        placed[index] = best
        taken.append(best.box)
    return tuple(placed[index] for index in range(len(points)))


def _candidates(point: tuple[float, float], width: float, size: float) -> Iterable[Placed]:
    x, y = point
    for distance in (10.0, 20.0, 34.0, 50.0, 70.0, 95.0):
        for dx, dy in (
            (1, 0),
            (-1, 0),
            (0.7, -1),
            (0.7, 1),
            (-0.7, -1),
            (-0.7, 1),
            (0, -1),
            (0, 1),
        ):
            anchor_x = x + dx * distance
            left = anchor_x if dx > 0 else anchor_x - width if dx < 0 else x - width / 2
            middle = y + dy * distance
            box = Box(left - 1, middle - size * 0.62, left + width + 1, middle + size * 0.62)
            anchor: Anchor = "start" if dx > 0 else "end" if dx < 0 else "middle"
            at = anchor_x if dx else x
            yield Placed(at, middle + size * 0.35, anchor, box, distance > 20)


def spread(positions: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Return positions moved as little as needed to lie ``gap`` apart within [low, high]."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    moved = [min(max(positions[i], low), high) for i in order]
    for n in range(1, len(moved)):
        moved[n] = max(moved[n], moved[n - 1] + gap)
    if moved and moved[-1] > high:
        moved[-1] = high
        for n in range(len(moved) - 2, -1, -1):
            moved[n] = min(moved[n], moved[n + 1] - gap)
    result = [0.0] * len(positions)
    for place, index in enumerate(order):
        result[index] = moved[place]
    return result


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _joined(words: Bilingual) -> Markup:
    shown = words.en if words.zh == words.en else f"{words.zh} / {words.en}"
    return escape(shown)
