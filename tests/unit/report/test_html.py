"""One file, all sections, nothing loaded, nothing unescaped, nothing missing shown as zero."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_results import HOSTILE, replaced

import qingting.report
from qingting.report.html import SECTIONS, render_html
from qingting.report.results import MissingValue, Results

_VOID = {"meta", "input", "br", "img", "link", "hr", "line", "path", "rect", "circle", "polygon"}


class Page(HTMLParser):
    """Checks that tags nest, and gathers what tests ask for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.headings: list[int] = []
        self.urls: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"unclosed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        values = dict(attrs)
        self.attributes.update(values.keys())
        if "id" in values:
            self.ids.append(values["id"] or "")
        for name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href"):
            if values.get(name):
                self.urls.append(values[name] or "")
        self.targets += (values.get("aria-labelledby") or "").split()
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


@pytest.fixture(scope="module")
def parsed(page: str) -> Page:
    return Page(page)


def test_tags_nest_and_ids_are_unique(parsed: Page, page_with_failure: str) -> None:
    assert [name for name, n in Counter(parsed.ids).items() if n > 1] == []
    Page(page_with_failure)


def test_every_link_and_label_has_its_target(parsed: Page) -> None:
    assert all(url.startswith("#") for url in parsed.urls), parsed.urls
    assert {url[1:] for url in parsed.urls} | set(parsed.targets) <= set(parsed.ids)


def test_sections_stand_in_order(page: str) -> None:
    places = [page.index(f'<section id="{name}"') for name in SECTIONS]
    assert places == sorted(places)


def test_headings_do_not_skip_a_level(parsed: Page) -> None:
    assert parsed.headings[0] == 1 and parsed.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(parsed.headings, parsed.headings[1:], strict=False))


def test_nothing_is_loaded_or_run(page: str, parsed: Page) -> None:
    assert parsed.tags["script"] == parsed.tags["link"] == parsed.tags["img"] == 0
    assert parsed.tags["iframe"] == parsed.tags["object"] == parsed.tags["form"] == 0
    assert not [name for name in parsed.attributes if name.startswith("on") or name == "style"]
    assert (
        "url(" not in page
        and "@import" not in page
        and "http" not in re.sub("http-equiv", "", page)
    )


def test_the_policy_allows_the_one_style_sheet_and_nothing_else(page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page


def test_user_text_is_escaped(page: str) -> None:
    assert HOSTILE not in page and "<script" not in page and "<img" not in page
    assert "&lt;script&gt;alert" in page


def test_hostile_names_and_reasons_are_escaped(results: Results) -> None:
    arms = (
        results.outcomes.arms[0],
        results.outcomes.arms[1].model_copy(update={"status": "failed", "reason": HOSTILE}),
    )
    data = results.outcomes.data.model_copy(
        update={"sources": (HOSTILE,), "system_prompt": HOSTILE}
    )
    changed = replaced(
        results,
        outcomes={"arms": arms, "data": data, "question": HOSTILE, "experiment": HOSTILE},
    )
    page = render_html(changed)
    assert "<script" not in page and "<img" not in page
    Page(page)


def test_tables_have_captions_and_scopes(page: str, parsed: Page) -> None:
    assert parsed.tags["caption"] == parsed.tags["table"] > 10
    heads = re.findall(r"<th[ >][^>]*", page)
    assert heads and all('scope="' in head for head in heads)
    # Wide tables scroll in a box of their own that a keyboard can reach.
    assert page.count("<table>") == page.count('role="region" tabindex="0"')


def test_both_languages_stand_side_by_side(page: str, parsed: Page) -> None:
    n_chinese = page.count('class="zh" lang="zh-Hans"')
    assert n_chinese == page.count('class="en" lang="en"') > 300
    assert "lang-zh" in parsed.ids and "lang-en" in parsed.ids


def test_the_page_opens_in_the_language_of_most_dialogues(results: Results) -> None:
    english = results.outcomes.data.model_copy(update={"languages": {"en": 5, "zh": 1}})
    page = render_html(replaced(results, outcomes={"data": english}))
    assert '<html lang="en">' in page
    assert re.search(r'id="lang-en"[^>]* checked', page)


def test_equal_results_give_equal_bytes(results: Results) -> None:
    assert render_html(results) == render_html(
        Results.model_validate_json(results.model_dump_json())
    )


def test_a_failed_arm_is_shown_with_its_reason(page_with_failure: str) -> None:
    assert page_with_failure.count("the loss became NaN at step 17") > 5
    assert "enters no comparison" in page_with_failure


def test_missing_values_are_dashes_with_reasons_never_zero(results: Results) -> None:
    nothing = MissingValue(missing="the worker was killed")
    arms = tuple(
        arm.model_copy(
            update={
                "scores": tuple(
                    score.model_copy(
                        update={"mean": nothing, "interval": nothing, "corpus": nothing}
                    )
                    for score in arm.scores
                )
            }
        )
        for arm in results.outcomes.arms
    )
    undefined = tuple(
        one.model_copy(
            update=dict.fromkeys(("difference", "interval", "p", "p_adjusted"), nothing)
            | {"verdict": "undefined"}
        )
        for one in results.outcomes.contrasts
    )
    changed = replaced(
        results,
        outcomes={"arms": arms, "contrasts": undefined, "rankings": (), "advice": ()},
        measurements={"arms": (), "advice": ()},
    )
    page = render_html(changed)
    Page(page)
    overview = page[page.index('<section id="overview"') : page.index('<section id="curves"')]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", overview, re.S)
    assert cells and all("—" in cell and not re.search(r"0\.0|0%", cell) for cell in cells)
    assert "the worker was killed" in overview


def test_a_bare_experiment_still_gives_a_page(results: Results) -> None:
    empty = replaced(
        results,
        outcomes={
            "question": None,
            "arms": (),
            "contrasts": (),
            "rankings": (),
            "baselines": (),
            "examples": (),
            "advice": (),
            "models": (),
        },
        measurements={"arms": (), "advice": (), "hardware": {}},
    )
    page = render_html(empty)
    Page(page)
    assert "The experiment file states no question" in page


def test_the_page_is_small_enough_to_send(page: str) -> None:
    assert len(page.encode()) < 1_500_000


def test_the_specification_is_there_to_copy(page: str) -> None:
    assert "learning_rate: 0.0002" in page and "qingting run experiment.yaml" in page


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_colours_meet_wcag_aa(mode: int) -> None:
    """Text needs 4.5:1 and graphics 3:1 (WCAG 2.2, 1.4.3 and 1.4.11)."""
    style = (Path(qingting.report.__file__).parent / "static" / "report.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.S)[mode]
    light = dict(
        re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{(.*?)\}", style, re.S)[0])
    )
    colours = light | dict(re.findall(r"--([\w-]+): (#\w{6})", block))

    def ratio(one: str, other: str) -> float:
        a, b = sorted((_luminance(colours[one]), _luminance(colours[other])))
        return (b + 0.05) / (a + 0.05)

    for ground in ("paper", "card", "code", "accent-soft"):
        for ink in ("ink", "muted", "accent", "better", "worse", "open"):
            assert ratio(ink, ground) >= 4.5, f"{ink} on {ground}: {ratio(ink, ground):.2f}"
    assert ratio("warm-ink", "warm") >= 4.5
    assert ratio("accent", "paper") >= 4.5
    for n in range(8):
        assert ratio(f"c{n}", "card") >= 4.5  # labels take these colours too
