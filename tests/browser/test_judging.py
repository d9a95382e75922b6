"""A rater's path and the owner's pages in a real browser: keyboard, phone, axe, stored scripts."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import func, select

from qingting.domains.judging_pack import load_judging_pack
from qingting.judging.answers import Answer
from qingting.judging.campaigns import change_state, create_campaign
from qingting.judging.owners import add_owner, new_link
from qingting.judging.people import Guest, invite
from qingting.judging.tokens import now_ms
from qingting.spec.judging import CampaignSpec, ScenarioChoice
from qingting.store.database import Database, open_database
from qingting.store.judging_tables import Campaign, Judgment
from qingting.web.app import create_app
from qingting.web.settings import WebSettings

pytestmark = pytest.mark.browser

CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)
HOSTILE = (
    '<script>window.hit=1</script><img src=x onerror="window.hit=1">'
    '<a href="javascript:window.hit=1">点</a> 我在听，慢慢说。"\'&'
)
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


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
def axe_source() -> str:
    pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


class Site:
    """A served study of each mode, with invitations to it."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.url = url

    def invitation(self, study: str, language: str) -> str:
        with self.database.writing() as session:
            campaign = session.scalars(select(Campaign).where(Campaign.name == study)).one()
            guest = Guest("licensed", language, name=HOSTILE[:100])  # type: ignore[arg-type]
            made = invite(session, campaign, guest, days=9, at_ms=now_ms(), actor="test")
        return f"{self.url}/j/{made.secret}"

    def owner_link(self) -> str:
        with self.database.writing() as session:
            owner = add_owner(session, f"owner {time.time_ns()}", password=None)
            return f"{self.url}/owner/link/{new_link(session, owner, at_ms=now_ms())}"

    def n_judgments(self) -> int:
        with self.database.reading() as session:
            return int(session.scalar(select(func.count()).select_from(Judgment)) or 0)


def answers() -> tuple[Answer, ...]:
    pack = load_judging_pack()
    return tuple(
        Answer(
            arm,
            scenario.id,
            language,
            ({"role": "assistant", "content": f"{HOSTILE} ({arm[-1]}{place})"},),
        )
        for arm in ("model-a", "model-b")
        for place, scenario in enumerate(pack.choose(ScenarioChoice(n=16)))
        for language in ("zh", "en")
    )


ENDPOINTS = {name: {"base_url": "http://arms/v1", "model": name} for name in ("model-a", "model-b")}


def live_spec() -> CampaignSpec:
    return CampaignSpec.model_validate(
        {
            "name": "live",
            "mode": "conversation",
            "raters_per_unit": 9,
            "conversation": {
                "source": "live",
                "min_turns": 2,
                "max_turns": 3,
                "delay_s": 0.8,
                "characters_per_s": 200,
            },
        }
    )


def arm(request: httpx.Request) -> httpx.Response:
    """Answer as any arm would, with words that try to be a script."""
    if request.url.path.endswith("/models"):
        return httpx.Response(200, json={"data": [{"id": name} for name in ENDPOINTS]})
    message = {"role": "assistant", "content": f"{HOSTILE} 我听见了。" * 2}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    model = json.loads(request.content)["model"]
    return httpx.Response(200, json={"model": model, "choices": [choice], "usage": {}})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    database = open_database(folder / "judging.db", create=True)
    with database.writing() as session:
        for mode in ("single", "pair"):
            # a share of a dozen at most, so that the question on blinding comes within ten
            spec = CampaignSpec(name=mode, mode=mode, raters_per_unit=9, n_raters=60)  # type: ignore[arg-type]
            quality = spec.quality.model_copy(update={"share_guess": 0.49})
            spec = spec.model_copy(update={"quality": quality})
            pack, at_ms = load_judging_pack(), now_ms()
            made = create_campaign(session, spec, pack, answers(), at_ms=at_ms, actor="test")
            change_state(session, made.campaign, "open", at_ms=at_ms, actor="test")
        made = create_campaign(
            session, live_spec(), pack, (), at_ms=at_ms, actor="test", endpoints=ENDPOINTS
        )
        change_state(session, made.campaign, "open", at_ms=at_ms, actor="test")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = WebSettings(url, folder / "snapshots", requests_per_minute=10_000)
    app = create_app(database, settings, transport=httpx.MockTransport(arm))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield Site(database, url)
    server.should_exit = True
    thread.join()
    listener.close()
    database.close()


def opened(browser: Any, size: dict[str, Any], language: str) -> tuple[Any, list[str]]:
    """Return a page, and what it asked elsewhere for or complained of."""
    locale = "zh-CN" if language == "zh" else "en-GB"
    page = browser.new_context(locale=locale, **size).new_page()
    page.set_default_timeout(20_000)
    seen: list[str] = []
    page.on("pageerror", lambda error: seen.append(f"error {error}"))
    page.on("dialog", lambda dialog: (seen.append("dialog"), dialog.dismiss()))
    page.on(
        "request",
        lambda request: None if "127.0.0.1" in request.url else seen.append(request.url),
    )
    return page, seen


def check_page(page: Any, axe_source: str, where: str) -> None:
    """Hold a page to axe, to its width, and to scripts that must not run."""
    page.evaluate(axe_source)
    found = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})"
        ".then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
        ".map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 120)).join(' | ')))"
    )
    assert found == [], f"{where}: {found}"
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 1, f"{where} is {wide} px too wide"
    assert page.evaluate("window.hit") is None, f"{where} ran a stored script"


def press_on(page: Any, key: str = "Enter", *, times: int = 1) -> None:
    for _ in range(times):
        page.keyboard.press(key)


def focus_by_tab(page: Any, selector: str) -> None:
    """Reach an element by Tab alone."""
    for _ in range(80):
        if page.evaluate("s => document.activeElement?.matches(s) ?? false", selector):
            return
        page.keyboard.press("Tab")
    words = page.inner_text("body")[:300]
    raise AssertionError(f"{selector} is not reached by Tab on {page.url}: {words}")


def judge_by_keyboard(page: Any, mode: str) -> None:
    """Answer every question with number keys and submit with Enter."""
    n_criteria = page.locator("fieldset.points:not(.short)").count()
    press_on(page, "2" if mode == "pair" else "4", times=n_criteria)
    press_on(page, "1", times=2 if mode == "pair" else 1)
    press_on(page, "1")  # confidence
    press_on(page, "1", times=page.locator("fieldset.guess").count())
    with page.expect_navigation():
        press_on(page)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("mode", ["single", "pair"])
def test_from_consent_to_the_tenth_judgment_by_keyboard_alone(
    browser: Any, site: Site, axe_source: str, mode: str, size: dict[str, Any], language: str
) -> None:
    page, seen = opened(browser, size, language)
    before = site.n_judgments()
    page.goto(site.invitation(mode, language))
    check_page(page, axe_source, "invitation")
    focus_by_tab(page, "button.primary")
    with page.expect_navigation():
        press_on(page)
    assert page.url.endswith("/judge/consent")
    check_page(page, axe_source, "consent")
    focus_by_tab(page, "button.primary")
    with page.expect_navigation():
        press_on(page)
    checked: set[str] = set()
    n_judged = n_guessed = 0
    for _ in range(60):
        if n_judged == 10:
            break
        kind = _kind_of(page)
        if kind == "task" and page.locator("fieldset.guess").count():
            kind = "task with a guess"
        if kind not in checked:
            check_page(page, axe_source, kind)
            checked.add(kind)
        if kind.startswith("task"):
            n_guessed += kind == "task with a guess"
            judge_by_keyboard(page, mode)
            n_judged += "feedback" not in page.url
        else:
            focus_by_tab(page, "a.button.primary")
            with page.expect_navigation():
                press_on(page)
    assert n_judged == 10
    assert site.n_judgments() - before >= 10
    assert {"task", "task with a guess", "training", "feedback"} <= checked
    with site.database.reading() as session:
        guesses = session.scalars(select(Judgment.guess).order_by(Judgment.id.desc()).limit(20))
        sides = ("left", "right") if mode == "pair" else ("answer",)
        assert n_guessed and list(guesses).count(dict.fromkeys(sides, "no_idea")) >= n_guessed
    for path in ("progress", "help", "study", "withdraw", "training"):
        page.goto(f"{site.url}/judge/{path}")
        check_page(page, axe_source, path)
    assert page.evaluate("document.documentElement.lang") == ("zh-CN" if language == "zh" else "en")
    assert seen == []
    page.context.close()


@pytest.mark.parametrize(
    ("size", "language"), [(PHONE, "zh"), (DESKTOP, "en")], ids=["phone-zh", "desktop-en"]
)
def test_talking_with_an_arm_and_judging_it_by_keyboard_alone(
    browser: Any, site: Site, axe_source: str, size: dict[str, Any], language: str
) -> None:
    page, seen = opened(browser, size, language)
    page.goto(site.invitation("live", language))
    for _ in range(2):  # the invitation, then consent
        focus_by_tab(page, "button.primary")
        with page.expect_navigation():
            press_on(page)
    for _ in range(30):
        if page.locator("#saying").count():
            break
        if _kind_of(page) == "task":  # practice with written answers
            judge_by_keyboard(page, "single")
        else:
            focus_by_tab(page, "a.button.primary")
            with page.expect_navigation():
                press_on(page)
    check_page(page, axe_source, "the client to play")
    for n_said in range(2):
        focus_by_tab(page, "textarea#say")
        if n_said:
            page.keyboard.type("<script>window.hit=1</script> 我不知道。")
        press_on(page)
        page.wait_for_selector("#arriving")
        check_page(page, axe_source, "an answer is awaited")
        page.wait_for_selector("#saying")
        assert page.locator("#talk .turn").count() == 2 * (n_said + 1)
    check_page(page, axe_source, "a conversation")
    before = site.n_judgments()
    focus_by_tab(page, "#talk .row a.button")
    with page.expect_navigation():
        press_on(page)
    check_page(page, axe_source, "judging a conversation")
    judge_by_keyboard(page, "single")
    assert site.n_judgments() == before + 1
    assert seen == []
    page.context.close()


def _kind_of(page: Any) -> str:
    if page.locator("form.judgment").count():
        return "task"
    for part in ("training", "feedback"):
        if part in page.url:
            return part
    return "warning"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_owners_pages(browser: Any, site: Site, axe_source: str, language: str) -> None:
    page, seen = opened(browser, DESKTOP, language)
    page.goto(f"{site.url}/owner/sign-in")
    check_page(page, axe_source, "sign in")
    page.goto(site.owner_link())
    check_page(page, axe_source, "link")
    page.click("button.primary")
    check_page(page, axe_source, "studies")
    page.click("table a >> nth=0")
    site.invitation("single", "zh")
    page.reload()
    check_page(page, axe_source, "study")
    assert "<script>" in page.inner_text("body")  # a name is shown as it was written
    page.click("form[action$='/freeze'] button")
    check_page(page, axe_source, "study with a snapshot or the reason for none")
    page.set_viewport_size({"width": 390, "height": 844})
    check_page(page, axe_source, "study on a phone")
    assert seen == []
    page.context.close()


def test_an_empty_form_comes_back_with_its_problems_in_focus(browser: Any, site: Site) -> None:
    page, _ = opened(browser, PHONE, "zh")
    page.goto(site.invitation("single", "zh"))
    page.click("button.primary")
    page.click("button.primary")
    page.goto(f"{site.url}/judge?start=1")
    if page.locator("form.judgment").count() == 0:
        page.click("a.button.primary")
    page.locator("form.judgment button.primary").click()
    assert page.locator(".problems li").count() >= 6
    assert page.evaluate("document.activeElement.className") == "problems"
    page.context.close()


def test_pages_work_without_scripts(browser: Any, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False, **DESKTOP)
    page = context.new_page()
    page.goto(site.invitation("single", "en"))
    page.click("button.primary")
    page.click("button.primary")
    page.goto(f"{site.url}/judge?start=1")
    if page.locator("form.judgment").count() == 0:
        page.click("a.button.primary")
    for group in page.locator("fieldset.points:not(.short)").all():
        group.locator("input >> nth=2").check()
    page.locator("fieldset.gate > .options input >> nth=0").check()
    page.locator("form.judgment button.primary").click()
    assert "feedback" in page.url
    context.close()
