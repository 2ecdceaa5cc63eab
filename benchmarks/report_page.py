"""What a page of fifty curves costs: time to write, size, and time to load in a browser.

    python -m benchmarks.report_page

The runs are made up (5 tasks, 2 networks, 5 arms, 6 sizes, 3 replicates). Loading is measured in
headless Chromium, from the start of the navigation to the end of the load event, five times.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from tests.core.report.synthetic_run import synthetic_run
from tests.e2e.browser import CHROMIUM, Browser

from medscale.report.findings import find
from medscale.report.page import write_report


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic_run(
            folder / "run",
            tasks=[f"task{number}" for number in range(5)],
            backbones=("res_unet", "swin_unet"),
            arms=("none", "red", "reg", "gen", "red+reg"),
            sizes=(1, 2, 4, 8, 16, 32),
            replicates=3,
        )
        started = time.process_time()
        runs = find([folder / "run"], baseline=None)
        fitted = time.process_time()
        page = write_report(runs, {}, folder / "page", target=0.9)[0]
        written = time.process_time()
        print(f"laws and comparison  {fitted - started:.1f} s CPU")
        print(f"page and figures     {written - fitted:.1f} s CPU")
        print(f"size of the page     {page.stat().st_size / 1e6:.2f} MB")
        if CHROMIUM is None:
            print("load                 not measured: there is no Chromium on this machine")
            return
        with Browser(folder / "profile") as browser:
            loads = [_load(browser, page.as_uri()) for _ in range(5)]
        print(f"load                 {median(loads):.2f} s (median of {len(loads)})")


def _load(browser: Browser, url: str) -> float:
    """Return the seconds that a page takes to load."""
    browser.open(url)
    milliseconds: float = browser.evaluate("performance.getEntriesByType('navigation')[0].duration")
    return milliseconds / 1000


if __name__ == "__main__":
    main()
