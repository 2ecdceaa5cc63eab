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
        clock.seconds = 130.0
        trials.update(50.0, 2, 0, ["gen n=1 #1"])
    lines = text.getvalue().splitlines()
    assert "registration:  25%  1 min 00 s left" in lines
    assert "generator:  50%  20 s left" in lines
    # Half of the trials took 30 s; what was prepared before them is not their speed.
    assert "training:  50%  2/4 trials  gen n=1 #1  30 s left" in lines


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
