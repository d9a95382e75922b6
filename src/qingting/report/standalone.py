"""A figure as a file of its own, with the styles that a page would have given it."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from qingting.core.errors import SpecificationError, StoreError

_OTHER_KINDS = {".png", ".pdf", ".jpg", ".jpeg", ".gif", ".webp", ".html"}


def write_figure(path: Path, svg: Markup, *, force: bool = False) -> None:
    """Write a rendered figure as an SVG file that needs no page; words are the English ones.

    Raises:
        SpecificationError: the name ends in that of another kind of picture.
        StoreError: the file exists and ``force`` is not set, or cannot be written.
    """
    if path.suffix.lower() in _OTHER_KINDS:
        raise SpecificationError(
            f"{path}: figures are SVG; call it {path.with_suffix('.svg').name}"
        )
    if path.exists() and not force:
        raise StoreError(f"{path} exists; overwrite it with --force")
    try:
        path.write_text(standalone_svg(svg), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from None


def standalone_svg(svg: Markup) -> str:
    """Return a figure with its namespace, size and the page's rules for figures, light scheme."""
    css = resources.files("qingting.report").joinpath("static/report.css").read_text("utf-8")
    colours = css[: css.index("}") + 1]
    rules = [line for line in css.splitlines() if line.startswith("svg ")]
    style = "\n".join([colours, *rules, "svg { background: var(--card); } .zh { display: none; }"])
    box = re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if box is None:
        raise ValueError("expected a figure that begins with its viewBox")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{box[1]}" height="{box[2]}"'
    start = svg.index(">") + 1
    opening = str(svg[len("<svg") : start])
    return f"{head}{opening}<style>{style}</style>{svg[start:]}\n"
