"""How far something is: bars with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

_LINE_SECONDS = 15.0


def duration(seconds: float) -> str:
    """Return seconds as people say them: `42 s`, `3 min 10 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class ProgressView:
    """A bar, or lines at most every 15 seconds and one at the end; use as a context manager.

    Args:
        what: What is being done ("training").
        console: Where to show it.
        kept: What is not lost should somebody interrupt it, and so is said then.
    """

    def __init__(self, what: str, console: Console, *, kept: str = "") -> None:
        self.what = self._whole = what
        self._kept = kept
        self._console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._made = self._begun = self._printed = time.monotonic()
        self._start: float | None = None
        self._last = ""

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.percentage:3.0f} %  {task.fields[text]}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._last and kind is None:
            # Whoever has seen a line, perhaps of 4 %, hears that there is nothing more to come.
            spent = duration(time.monotonic() - self._made)
            self._console.print(f"{self._whole}: done in {spent}", highlight=False, soft_wrap=True)
        if self._kept and kind is KeyboardInterrupt:
            self._console.print(
                f"interrupted: {self._kept} are kept; the same command goes on from there"
            )

    def turn_to(self, what: str) -> None:
        """Show something else from now on."""
        if what == self.what:
            return
        self.what, self._start = what, None
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
        self._task = None

    def start_at(self, done: float) -> None:
        """Say where this run starts, so that what was done before does not count as speed.

        Without it, the first `show` is the start.
        """
        self._begun, self._start = time.monotonic(), done

    def show(self, done: float, total: float, text: str) -> None:
        """Show progress.

        Args:
            done: Of total.
            total: In any unit.
            text: What else to say.
        """
        if self._start is None:
            self.start_at(done)
        assert self._start is not None
        share = done / total if total else 1.0
        elapsed = time.monotonic() - self._begun
        worked = done - self._start
        left = ""
        if worked > 0 and elapsed > 1:
            left = f"{duration((total - done) * elapsed / worked)} left"
        text = "  ".join(part for part in (text, left) if part)
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(self.what, total=1.0, text=text)
                self._bar.refresh()  # a new stage shows at once
            self._bar.update(self._task, completed=share, text=text)
            return
        # A log file gets a line now and then, the first one soon.
        if time.monotonic() - self._printed >= (_LINE_SECONDS if self._last else 2.0):
            line = f"{self.what}: {share:4.0%}  {text}"
            if line != self._last:
                self._console.print(line, highlight=False, soft_wrap=True)
            self._printed, self._last = time.monotonic(), line


class TrialsView:
    """Shows a run's trials; the `Watcher` of `medscale.study.runner`."""

    def __init__(self, view: ProgressView) -> None:
        self._view = view
        self._what = view.what
        self._total = 1.0
        self._before = 0.0
        self._trials = 0
        self._moving = False

    def begin(self, total: float, done: float, trials: int, finished: int) -> None:
        """A run starts."""
        self._total, self._before, self._trials = total, done, trials

    def update(self, done: float, finished: int, failed: int, current: Sequence[str]) -> None:
        """Progress."""
        self._view.turn_to(self._what)
        if not self._moving:
            # Up to the first step workers start and import, once: no measure of what is to come.
            self._view.start_at(done)
            self._moving = done > self._before
        parts = [f"{finished}/{self._trials} trials"]
        if failed:
            parts.append(f"{failed} failed")
        if current:
            parts.append(", ".join(current[:4]) + (" …" if len(current) > 4 else ""))
        self._view.show(done, self._total, "  ".join(parts))

    def prepare(self, what: str, share: float) -> None:
        """Progress of what trials wait for."""
        self._view.turn_to(what)
        self._view.show(share, 1.0, "")


def message_console() -> Console:
    """Return the console for everything that is no result: standard error."""
    # Lines are left whole: a log file has no width, and a terminal breaks them itself.
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)
