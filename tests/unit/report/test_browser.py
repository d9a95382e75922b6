"""The page in a real browser: no request, no error, no sideways scrolling, both languages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as runner:
        launched = runner.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(page_with_failure: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(page_with_failure, "utf-8")
    return path.as_uri()


def opened(
    browser: Any, address: str, *, width: int = 1280, **options: Any
) -> tuple[Any, list[str]]:
    """Return the page and what it asked for or complained of."""
    seen: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 844}, **options)
    page = context.new_page()
    page.on("request", lambda request: seen.append(request.url) if request.url != address else None)
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto(address)
    return page, seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_loads_nothing_and_complains_of_nothing(browser: Any, address: str, scheme: str) -> None:
    page, seen = opened(browser, address, color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(250, 248, 243)" if scheme == "light" else "rgb(18, 24, 26)")
    assert seen == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(browser: Any, address: str, width: int) -> None:
    page, _ = opened(browser, address, width=width)
    for language in ("zh", "en"):
        page.click(f"label[for=lang-{language}]")
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_switch_changes_every_sentence_without_script(browser: Any, address: str) -> None:
    page, _ = opened(browser, address, java_script_enabled=False)
    assert page.locator("h2").first.inner_text().endswith("结论")
    page.click("label[for=lang-en]")
    assert page.locator("h2").first.inner_text().endswith("The answer")
    assert page.locator(".zh:visible").count() == 0
    assert page.locator(".en:visible").count() > 100
    page.click("label[for=lang-zh]")
    assert page.locator(".en:visible").count() == 0


def test_the_switch_works_from_the_keyboard(browser: Any, address: str) -> None:
    page, _ = opened(browser, address)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.locator("h2").first.inner_text().endswith("The answer")


def test_chinese_glyphs_are_drawn(browser: Any, address: str) -> None:
    page, _ = opened(browser, address)
    drawn = page.evaluate(
        """() => {
            const shape = (text) => {
                const canvas = document.createElement('canvas');
                canvas.width = canvas.height = 40;
                const context = canvas.getContext('2d');
                context.font = '32px ' + getComputedStyle(document.body).fontFamily;
                context.fillText(text, 2, 32);
                return Array.from(context.getImageData(0, 0, 40, 40).data).join();
            };
            return [shape('听'), shape('倾'), shape('\\uFFFE')];
        }"""
    )
    if drawn[0] == drawn[1]:
        pytest.skip("no font with Chinese glyphs is installed")
    assert drawn[0] != drawn[2]


def test_figure_labels_do_not_overlap(browser: Any, address: str) -> None:
    page, _ = opened(browser, address)
    overlapping = page.evaluate(
        """() => [...document.querySelectorAll('svg')].flatMap(svg => {
            const boxes = [...svg.querySelectorAll('text')]
                .filter(t => t.getClientRects().length)
                .map(t => [t.textContent, t.getBoundingClientRect()]);
            const found = [];
            boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
                const w = Math.min(p.right, q.right) - Math.max(p.left, q.left);
                const h = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
                if (w > 1.5 && h > 4) found.push(a + ' / ' + b);
            }));
            return found;
        })"""
    )
    assert overlapping == []


def test_it_prints_without_clipping(browser: Any, address: str, tmp_path: Path) -> None:
    page, _ = opened(browser, address)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 695, "height": 1000})  # A4 less its margins at 96 dpi
    clipped = page.evaluate(
        """() => [...document.querySelectorAll('.scroll, .drawing')]
            .filter(box => box.getClientRects().length && box.scrollWidth > box.clientWidth + 1)
            .map(box => box.textContent.trim().slice(0, 60))"""
    )
    assert clipped == []
    page.pdf(path=str(tmp_path / "report.pdf"))
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
