"""What a person sees of a run that takes its time, where there is no terminal: plain lines."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from medscale_cli import progress
from medscale_cli.progress import ProgressView, TrialsView


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_stages_come_in_turn_each_with_its_own_time_left(clock: Clock) -> None:
    text = io.StringIO()
    with ProgressView("training", Console(file=text, width=200)) as view:
        trials = TrialsView(view)
        trials.begin(total=100.0, done=0.0, trials=4, finished=0)
        trials.prepare("registration", 0.0)
        clock.seconds = 20.0
        trials.prepare("registration", 0.25)
        clock.seconds = 80.0
        trials.prepare("generator", 0.0)
        clock.seconds = 100.0
        trials.prepare("generator", 0.5)
        trials.update(0.0, 0, 0, ["gen n=1 #1"])
        trials.update(10.0, 0, 0, ["gen n=1 #1"])
        clock.seconds = 124.0
        trials.update(50.0, 2, 0, ["gen n=1 #1"])
    lines = text.getvalue().splitlines()
    assert "registration:  25%  1 min 00 s left" in lines
    assert "generator:  50%  20 s left" in lines
    # 40 % of the trials took 24 s; what was prepared before them is not their speed.
    assert "training:  50%  2/4 trials  gen n=1 #1  30 s left" in lines


def test_what_was_done_and_starting_workers_are_not_speed(clock: Clock) -> None:
    text = io.StringIO()
    with ProgressView("training", Console(file=text, width=200)) as view:
        trials = TrialsView(view)
        trials.begin(total=100.0, done=40.0, trials=5, finished=2)
        for seconds, done in ((1, 40), (9, 40), (20, 42), (26, 45)):
            clock.seconds = float(seconds)
            trials.update(float(done), 2, 0, ["none n=4 #1"])
    # 3 in the 6 s since progress was first seen and 55 to go; not 5 in 26 s.
    assert "training:  45%  2/5 trials  none n=4 #1  1 min 50 s left" in text.getvalue()


def test_a_step_that_said_something_says_its_end(clock: Clock) -> None:
    text = io.StringIO()
    with ProgressView("preparing the data", Console(file=text, width=200)) as view:
        clock.seconds = 3.0
        view.show(1, 24, "1/24 cases")
        clock.seconds = 12.0
        view.show(24, 24, "24/24 cases")
    assert text.getvalue().splitlines() == [
        "preparing the data:   4%  1/24 cases",
        "preparing the data: done in 12 s",
    ]


def test_a_short_step_says_nothing(clock: Clock) -> None:
    text = io.StringIO()
    with ProgressView("preparing the data", Console(file=text, width=200)) as view:
        clock.seconds = 1.0
        view.show(24, 24, "24/24 cases")
    assert text.getvalue() == ""


def test_a_step_that_breaks_off_is_not_done(clock: Clock) -> None:
    text = io.StringIO()
    view = ProgressView("preparing the data", Console(file=text, width=200))

    def load() -> None:
        with view:
            clock.seconds = 3.0
            view.show(1, 24, "1/24 cases")
            raise ValueError("no mask")

    with pytest.raises(ValueError, match="no mask"):
        load()
    assert text.getvalue().splitlines() == ["preparing the data:   4%  1/24 cases"]


def test_on_a_terminal_one_bar_shows_what_is_going_on() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120, color_system=None)
    with ProgressView("training", console) as view:
        trials = TrialsView(view)
        trials.begin(total=10.0, done=0.0, trials=1, finished=0)
        trials.prepare("registration", 0.5)
        assert "registration" in text.getvalue()
        text.truncate(0)
        trials.update(1.0, 0, 0, [])
    assert "training" in text.getvalue()
    assert "registration" not in text.getvalue()


@pytest.mark.parametrize(
    ("error", "kept", "said"),
    [
        (KeyboardInterrupt, "the pairs", "interrupted: the pairs are kept; the same command"),
        (KeyboardInterrupt, "", ""),
        (ValueError, "the pairs", ""),
    ],
)
def test_who_interrupts_is_told_what_is_kept(
    error: type[BaseException], kept: str, said: str
) -> None:
    text = io.StringIO()
    with (
        pytest.raises(error),
        ProgressView("registering", Console(file=text, width=200), kept=kept),
    ):
        raise error
    assert text.getvalue().startswith(said)
    assert bool(text.getvalue()) == bool(said)
