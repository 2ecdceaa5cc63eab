"""The page holds what was found, needs nothing else, and shows any name as text."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.core.report.synthetic_run import synthetic_run

from medscale.report.findings import find
from medscale.report.page import render, write_report
from medscale.report.page_charts import charts
from medscale.report.pictures import Gallery, Picture
from medscale.report.protocol import protocol

HOSTILE = (
    "<script>alert(1)</script>",
    '"onload="alert(1)',
    "' onmouseover='alert(1)",
    "]]><svg onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title></svg></script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;",
)


class Page(HTMLParser):
    """A parsed page: its elements with attributes, and the text of each."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, *tags: str) -> str:
        return " ".join(text for tag, text in self.texts if not tags or tag in tags)


def report(
    folders: Sequence[Path],
    galleries: dict[str, Gallery] | None = None,
    *,
    target: float = 0.9,
) -> str:
    runs = find(folders, baseline=None)
    protocols = {run.name: protocol(run) for run in runs}
    return render(runs, charts(runs, target), protocols, galleries or {}, target=target)


def sections(page: Page) -> list[str]:
    return [str(a["id"]) for a in page.of("section") if "id" in a]


def test_the_page_has_every_figure(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", tasks=("lv", "rv"), backbones=("tiny", "wide"))
    page = Page(report([store.folder]))
    assert sections(page) == [
        "answers",
        "curve-dice",
        "laws",
        "efficiency",
        "curve-bce",
    ]
    panels = [a for a in page.of("svg") if a.get("class") == "panel"]
    assert len(panels) == 4 * 4
    assert len({a["aria-label"] for a in panels}) == len(panels)


def test_files_lie_beside_the_page(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", sizes=(1, 2, 4), replicates=2)
    out = tmp_path / "out"
    picture = Picture(name="samples-red", title="red", png=b"\x89PNG")
    galleries = {"run": Gallery(samples=(picture,))}
    files = write_report(find([store.folder], baseline=None), galleries, out, target=0.9)
    assert files[0] == out / "report.html"
    assert {path.relative_to(out).as_posix() for path in files[1:]} == {
        "run-study.toml",
        "figures/run-samples-red.png",
        *(
            f"figures/{chart}.{suffix}"
            for chart in ("curve-dice", "laws", "efficiency", "curve-bce")
            for suffix in ("png", "svg", "csv")
        ),
    }
    assert all(path.stat().st_size for path in files)
    assert len(pd.read_csv(out / "figures" / "curve-dice.csv")) == 6


def test_marks_stand_where_the_table_says(tmp_path: Path) -> None:
    """Marks of a law that falls by a constant factor lie on a straight line."""
    store = synthetic_run(tmp_path / "run", arms=("none",), replicates=1)
    html = report([store.folder])
    section = html.split('id="curve-dice"')[1].split("</section>")[0]
    marks = re.findall(r'class="mark" [^>]*translate\(([\d.]+),([\d.]+)\)" data-n="(\d+)"', section)
    assert [int(n) for _, _, n in marks] == [1, 2, 4, 8, 16]
    steps = [float(b[0]) - float(a[0]) for a, b in pairwise(marks)]
    assert steps == pytest.approx([steps[0]] * 4, abs=0.2)
    heights = [float(y) for _, y, _ in marks]
    # Down the page is down the axis.
    assert heights == sorted(heights)


def test_the_first_sentence_is_the_answer(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run")
    page = Page(report([store.folder]))
    answer = page.text("h1")
    assert re.match(
        r"With red, \d+ annotated images are worth [\d.]+ \([\d.–]+\) without it", answer
    )
    # 0.56 · n^-0.4 = 0.1 at n = 74.
    said = f"{answer} {page.text('p')}"
    assert "Dice 0.90 needs" in said or "how many images Dice 0.90 needs" in said
    assert page.texts.index(("h1", answer)) == min(
        index for index, (tag, text) in enumerate(page.texts) if tag in ("h1", "p") and text.strip()
    )


def test_several_runs_begin_with_an_answer_for_each(tmp_path: Path) -> None:
    one = synthetic_run(tmp_path / "hearts", tasks=("lv", "rv"))
    two = synthetic_run(tmp_path / "lungs", dataset="thorax")
    html = report([one.folder, two.folder])
    first = Page(html.split("<header>")[1].split("</header>")[0])
    names = [text for tag, text in first.texts if tag == "strong"]
    assert names == ["toys · lv · tiny", "toys · rv · tiny", "thorax · blob · tiny"]
    assert len(re.findall(r"With red, \d+ annotated images are worth", first.text("li"))) == 3
    assert first.text("h1").startswith("How many images does Dice 0.90 need")
    # Nothing is left out, so nothing is said of it.
    assert not first.of("a")


def test_of_many_answers_the_page_says_where_the_rest_is(tmp_path: Path) -> None:
    tasks = [f"task{number}" for number in range(25)]
    store = synthetic_run(tmp_path / "run", tasks=tasks, sizes=(1, 4), replicates=1)
    html = report([store.folder])
    first = Page(html.split("<header>")[1].split("</header>")[0])
    assert len(first.of("li")) == 6
    assert "These are 6 of 25: the others are in the table of" in first.text("p")
    assert [link["href"] for link in first.of("a")] == ["#answers"]
    table = html.split('id="answers"')[1].split("</table>")[0]
    assert all(f">toys · {task} · tiny</td>" in table for task in tasks)


def test_the_target_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    html = report([synthetic_run(tmp_path / "run").folder], target=0.895)
    page = Page(html)
    assert "Dice 0.895" in page.text("h1", "p")
    assert "Dice 0.895" in page.text("text")


def test_one_image_is_singular(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", arms=("none",), sizes=(1,))
    assert re.search(r"with 1 image(?!s)", Page(report([store.folder])).text("td"))


def test_sizes_are_said_exactly(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", sizes=(2, 32, 256), replicates=3)
    laws = report([store.folder]).split('id="laws"')[1].split("</section>")[0]
    assert ">256</text>" in laws
    assert "n = 256: error" in laws


def test_a_parameter_that_is_not_identified_has_no_difference(tmp_path: Path) -> None:
    # Two trainings give no interval.
    store = synthetic_run(tmp_path / "run", replicates=2)
    moved = report([store.folder]).split("What of the law an augmentation moves")[1]
    assert moved.split("</details>")[0].count("<td>not identified</td>") == 3


def test_what_trials_do_not_bound_is_not_drawn(tmp_path: Path) -> None:
    (run,) = find(
        [synthetic_run(tmp_path / "run", arms=("none", "red", "reg")).folder], baseline=None
    )
    assert run.comparison is not None
    table = run.comparison.efficiency.copy()
    open_red, open_reg = table["arm"] == "red", (table["arm"] == "reg") & (table["size"] == 1)
    table.loc[open_red | open_reg, ["low", "high"]] = (0.0, math.inf)
    run = replace(run, comparison=replace(run.comparison, efficiency=table))
    (chart,) = [chart for chart in charts([run], 0.9) if chart.name == "efficiency"]
    (panel,) = chart.panels
    assert [curve.arm for curve in panel.curves] == ["reg"]
    assert [mark.n for mark in panel.curves[0].marks] == [2, 4, 8, 16]
    assert panel.notes == ("red: these trials do not bound it at any size.",)
    assert len(chart.table) == len(table)
    assert "red: these trials do not bound it" in render(
        [run], (chart,), {run.name: protocol(run)}, {}, target=0.9
    )


def test_every_part_with_intervals_says_their_level(tmp_path: Path) -> None:
    html = report([synthetic_run(tmp_path / "run").folder])
    parts = [part for part in html.split("<section")[1:] if ">low</th>" in part]
    assert len(parts) == 5
    for part in ("<header" + html.split("<header")[1].split("</header>")[0], *parts):
        text = re.sub(r"<td>.*?</td>|<title>.*?</title>", "", part.split("</section>")[0])
        assert re.search(r"95\s%\s+intervals", text), part[:80]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_text(tmp_path: Path, name: str) -> None:
    store = synthetic_run(
        tmp_path / "run",
        dataset=name,
        tasks=(name,),
        arms=("none", name),
        backbones=(name,),
        sizes=(1, 2, 4),
        replicates=2,
        failed=1,
        message=name,
    )
    picture = Picture(name="samples", title=name, png=b"\x89PNG")
    html = report([store.folder], {"run": Gallery(samples=(picture,), missing=(name,))})
    page = Page(html)
    assert len(page.of("script")) == html.count("<script") == 1
    assert len(page.of("style")) == 1
    assert [attributes["src"] for attributes in page.of("img")] == [picture.source]
    for tag, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")], tag
    for tag in ("h1", "h3", "h4", "label", "td", "title", "dt", "dd", "li", "p"):
        assert name in page.text(tag), tag


def test_the_page_needs_no_network_and_runs_its_own_script_only(tmp_path: Path) -> None:
    html = report([synthetic_run(tmp_path / "run").folder])
    page = Page(html)
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", html)
    assert not page.of("link")
    assert not page.of("iframe")
    policy = next(a["content"] for a in page.of("meta") if "http-equiv" in a)
    assert policy is not None
    script = html.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_fifty_curves_are_less_than_five_megabytes(tmp_path: Path) -> None:
    tasks = [f"task{number}" for number in range(25)]
    store = synthetic_run(tmp_path / "run", tasks=tasks, sizes=(1, 4, 16), replicates=2)
    html = report([store.folder])
    laws = html.split('id="laws"')[1].split("</section>")[0]
    assert len(re.findall(r'class="arm ', laws)) == 50
    assert len(html.encode()) < 5e6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"replicates": 1}, "Each point rests on 1 training"),
        ({"replicates": 2, "failed": 5}, "5 of 20 planned trainings have no result, 5 of them"),
        ({"sizes": (4,)}, "Dice 0.90"),
        ({"arms": ("none",)}, "There is one arm, none"),
        ({"arms": ("red", "reg")}, "worth"),
    ],
)
def test_small_runs_have_a_page_that_says_what_is_missing(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    store = synthetic_run(tmp_path / "run", **changes)
    page = Page(report([store.folder]))
    assert expected in page.text()
    assert "curve-dice" in sections(page)


def test_a_setting_without_a_law_has_its_empty_panel(tmp_path: Path) -> None:
    synthetic_run(tmp_path / "one", sizes=(4,))
    synthetic_run(tmp_path / "many")
    found = find([tmp_path / "one", tmp_path / "many"], baseline=None)
    page = write_report(found, {}, tmp_path / "page", target=0.9)[0].read_text(encoding="utf-8")
    laws = page[page.index('id="laws"') :].split("</section>")[0]
    assert laws.count('<svg class="panel') == 2


def test_failures_are_listed_with_their_words(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", failed=2, message="the network is not finite")
    page = Page(report([store.folder]))
    assert page.text("li").count("ValueError: the network is not finite (in recipe)") == 2


def test_several_runs_share_the_page(tmp_path: Path) -> None:
    one = synthetic_run(tmp_path / "a" / "hearts", tasks=("lv",))
    two = synthetic_run(tmp_path / "b" / "hearts", tasks=("lv",), replicates=2)
    three = synthetic_run(tmp_path / "lungs", dataset="thorax")
    page = Page(report([one.folder, two.folder, three.folder]))
    titles = page.text("h4")
    assert "a-hearts · toys · lv · tiny" in titles
    assert "b-hearts · toys · lv · tiny" in titles
    assert "thorax · blob · tiny" in titles
    assert "lungs · thorax" not in titles
    # What holds for one of them says for which.
    assert "b-hearts: Each point rests on 2 trainings" in page.text("p")


def test_the_same_runs_give_the_same_page(tmp_path: Path) -> None:
    store = synthetic_run(tmp_path / "run", sizes=(1, 2, 4), replicates=2)
    assert report([store.folder]) == report([store.folder])
