"""The page in a real browser: it loads in silence, hovering and toggling work, scripts or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.report.synthetic_run import synthetic_run
from tests.e2e.browser import CHROMIUM, Browser

from medscale.report.findings import find
from medscale.report.page import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of the page of a run with names that try to be scripts."""
    hostile = "</title><script>document.title='broken'</script>"
    folder = tmp_path_factory.mktemp("report")
    synthetic_run(folder / "run", tasks=("lv", hostile), sizes=(1, 2, 4), replicates=3)
    found = find([folder / "run"], baseline=None)
    return write_report(found, {}, folder / "page", target=0.9)[0].as_uri()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as started:
        yield started


def centre(browser: Browser, selector: str) -> tuple[float, float]:
    """Scroll to an element and return where its middle is in the window."""
    x, y = browser.evaluate(
        f"""(() => {{
            const element = document.querySelector({selector!r});
            element.scrollIntoView({{block: "center"}});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
    )
    return x, y


def open_at(browser: Browser, page: str, width: int) -> None:
    """Load the page in a window of so many pixels."""
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=False,
    )
    browser.open(page)


def test_it_loads_in_silence_and_answers_the_pointer(page: str, browser: Browser) -> None:
    browser.open(page)
    assert browser.evaluate("document.title") == "medscale: run"
    assert browser.evaluate("document.scripts.length") == 1
    assert browser.evaluate("document.querySelectorAll('svg.panel').length") == 8

    tip = "document.getElementById('tip')"
    assert browser.evaluate(f"{tip}.hidden")
    browser.point(*centre(browser, "#curve-dice .column[data-n='2']"))
    assert not browser.evaluate(f"{tip}.hidden")
    text = browser.evaluate(f"{tip}.textContent")
    assert "none, n = 2: error 0.6" in text
    assert "red, n = 2: error 0.4" in text
    inside = f"(box => box.left >= 0 && box.right <= innerWidth)({tip}.getBoundingClientRect())"
    assert browser.evaluate(inside)
    browser.point(1, 1)
    assert browser.evaluate(f"{tip}.hidden")

    # An arm that is switched off is neither drawn nor told of.
    browser.point(*centre(browser, "#curve-dice label.arm-1"), click=True)
    style = "getComputedStyle(document.querySelector('#{} svg .arm-1')).display"
    assert browser.evaluate(style.format("curve-dice .panels")) == "none"
    assert browser.evaluate(style.format("laws .panels")) != "none"
    browser.point(*centre(browser, "#curve-dice .column[data-n='2']"))
    assert "red" not in browser.evaluate(f"{tip}.textContent")
    assert browser.complaints == []


def test_it_reads_without_scripts(page: str, browser: Browser) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.evaluate("document.getElementById('tip')") is None
    assert browser.evaluate("document.querySelectorAll('svg .mark > title').length") > 20
    assert "worth" in browser.evaluate("document.querySelector('header li').innerText")
    browser.point(*centre(browser, "#curve-dice label.arm-1"), click=True)
    style = "getComputedStyle(document.querySelector('#curve-dice .panels svg .arm-1')).display"
    assert browser.evaluate(style) == "none"


def test_paper_has_what_the_screen_folds(page: str, browser: Browser) -> None:
    browser.open(page)
    cells = "[...document.querySelectorAll('details td')]"
    assert browser.evaluate(f"{cells}.length") > 20
    assert not browser.evaluate(f"{cells}.some((cell) => cell.checkVisibility())")
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate(f"{cells}.every((cell) => cell.checkVisibility())")
    browser.call("Emulation.setEmulatedMedia", media="screen")
    assert not browser.evaluate(f"{cells}.some((cell) => cell.checkVisibility())")


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_it_fits_the_window(page: str, browser: Browser, width: int) -> None:
    open_at(browser, page, width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "stacked"), [(360, True), (600, True), (1200, False)])
def test_no_answer_is_hidden_in_a_narrow_window(
    page: str, browser: Browser, width: int, stacked: bool
) -> None:
    open_at(browser, page, width)
    cells = "[...document.querySelectorAll('#answers td')]"
    assert browser.evaluate(f"{cells}.length") == 10
    assert browser.evaluate(
        f"{cells}.every((cell) => cell.getBoundingClientRect().right <= innerWidth)"
    )
    # What stands in the head of the table stands beside each answer where they are stacked.
    heads = browser.evaluate(
        "[...document.querySelectorAll('#answers th')].map((head) => head.textContent)"
    )
    labels = browser.evaluate(f"{cells}.map((cell) => getComputedStyle(cell, '::before').content)")
    assert labels == ([f'"{head}"' for head in heads] * 2 if stacked else ["none"] * 10)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(page: str, browser: Browser, scheme: str) -> None:
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    browser.open(page)
    paper, ink = (
        browser.evaluate(f"getComputedStyle(document.body).{name}.match(/[0-9]+/g).map(Number)")
        for name in ("backgroundColor", "color")
    )
    assert (sum(paper) > sum(ink)) == (scheme == "light")
    assert _contrast(paper, ink) > 7
    quiet = browser.evaluate(
        "getComputedStyle(document.querySelector('.lead')).color.match(/[0-9]+/g).map(Number)"
    )
    assert _contrast(paper, quiet) > 4.5


def _contrast(one: list[float], other: list[float]) -> float:
    """Return the contrast ratio of two sRGB colours (WCAG 2.2)."""

    def luminance(colour: list[float]) -> float:
        linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
