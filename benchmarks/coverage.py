"""How often the intervals of `medscale.laws` hold the truth, on curves whose truth is known.

    python -m benchmarks.coverage [--repeats 20] [--families power,m4] [--sizes 5,7,9] [--seed 0]

For every family as truth, curves of random parameters (a generator with a fixed seed) with 5, 7
and 9 doubling sizes and 5, 10 and 20 trials each, whose noise falls with n, are fitted. Prints,
for 90 % intervals: how often that of the mean holds the truth at 1, 2 and 4 times the largest size,
and that of a new run a new run; how wide they are; how often the interval of the required n holds
the true one, for targets that the truth reaches at 1.5 to 4 times the largest size, where a number
is given, and the same for those of the targets that lie within 1 % of the true floor, where no two
sizes differ; how often a target below that floor gets a number all the same; and CPU time per fit.

    python -m benchmarks.coverage --cases 20

scores all trials of a curve on one sample of so many test cases, hard and easy ones, and fits
twice: to errors by case, and to each trial's mean error. Two more columns say how often intervals
of the second, which are about these very cases, hold the truth, which is about all.

    python -m benchmarks.coverage --fits 1000 [--processes 2]

fits that many curves of 9 sizes × 20 trials in parallel and prints the largest memory of the
processes as it grows, and CPU time per fit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from medscale.laws import fit

Array = NDArray[np.float64]
Truth = Callable[[Array], Array]
MULTIPLES = np.array([1.0, 2.0, 4.0])
LEVEL = 0.9
AT_FLOOR = 1.01
"""Times the floor: a target below that is as good as the floor."""

HARDNESS, DRIFT, INTERACTION = 0.5, 0.05, 0.3
"""Standard deviation of ln error over test cases, of its change per ln n, and over the trials of a
case."""


def power(generator: np.random.Generator, largest: float) -> tuple[Truth, float]:
    """A n^−α."""
    exponent = generator.uniform(0.15, 0.5)
    return lambda n: 0.6 * n**-exponent, 0.0


def power_floor(generator: np.random.Generator, largest: float) -> tuple[Truth, float]:
    """A n^−α + floor."""
    exponent, floor = generator.uniform(0.3, 0.8), generator.uniform(0.02, 0.12)
    return lambda n: 0.5 * n**-exponent + floor, floor


def shifted_floor(generator: np.random.Generator, largest: float) -> tuple[Truth, float]:
    """A (n + s)^−α + floor."""
    exponent, floor = generator.uniform(0.4, 0.9), generator.uniform(0.02, 0.1)
    shift = largest * generator.uniform(0.01, 0.1)
    return lambda n: 0.6 * ((n + shift) / (1 + shift)) ** -exponent + floor, floor


def m4(generator: np.random.Generator, largest: float) -> tuple[Truth, float]:
    """(ε − ε∞) / (ε₀ − ε)^α = β n^−c, solved for ε."""
    alpha, rate = generator.uniform(0.5, 1.5), generator.uniform(0.4, 0.9)
    floor, top, factor = generator.uniform(0.02, 0.1), 0.7, generator.uniform(1.0, 4.0)

    def error(n: float) -> float:
        def gap(e: float) -> float:
            left = np.log(e - floor) - alpha * np.log(top - e)
            return float(left - np.log(factor) + rate * np.log(n))

        return float(brentq(gap, floor * (1 + 1e-9), top - 1e-12))

    return lambda n: np.array([error(size) for size in np.atleast_1d(n)]), floor


def exponential(generator: np.random.Generator, largest: float) -> tuple[Truth, float]:
    """A exp(−n / k) + floor."""
    floor, scale = generator.uniform(0.05, 0.15), largest * generator.uniform(0.2, 0.6)
    return lambda n: 0.5 * np.exp(-n / scale) + floor, floor


def bnsl(generator: np.random.Generator, largest: float) -> tuple[Truth, float]:
    """Two slopes around a smooth break within the sizes, + floor."""
    early, late = generator.uniform(0.1, 0.3), generator.uniform(0.3, 0.7)
    floor, place = generator.uniform(0.01, 0.05), largest * generator.uniform(0.05, 0.4)
    width = generator.uniform(0.2, 0.6)
    return (
        lambda n: (
            floor + 0.6 * n**-early * (1 + (n / place) ** (1 / width)) ** (-(late - early) * width)
        ),
        floor,
    )


TRUTHS = {f.__name__: f for f in (power, power_floor, shifted_floor, m4, exponential, bnsl)}


@dataclass
class Tally:
    """What was counted for one family and number of sizes."""

    mean: list[list[bool]] = field(default_factory=list)
    given: list[list[bool]] = field(default_factory=list)
    run: list[list[bool]] = field(default_factory=list)
    width: list[list[float]] = field(default_factory=list)
    error: list[list[float]] = field(default_factory=list)
    required: list[bool] = field(default_factory=list)
    asked: int = 0
    required_at_floor: list[bool] = field(default_factory=list)
    asked_at_floor: int = 0
    numbers_below_floor: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def row(self) -> Iterator[str]:
        """Yield the cells."""
        for values in (self.mean, self.run):
            yield from (f"{share:.0%}" for share in np.mean(values, axis=0))
        yield from (f"±{width:.0%}" for width in np.median(self.width, axis=0))
        yield from (f"{e:.3f}" for e in np.sqrt(np.mean(np.square(self.error), axis=0)))
        yield f"{sum(self.required)} of {len(self.required)}/{self.asked}"
        at_floor = self.required_at_floor
        yield f"{sum(at_floor)} of {len(at_floor)}/{self.asked_at_floor}"
        below = self.numbers_below_floor
        yield f"{np.mean(below):.0%}" if below else ""
        yield f"{np.mean(self.seconds):.2f}"
        if self.given:
            yield from (f"{share:.0%}" for share in np.mean(self.given, axis=0))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="curves of each kind")
    parser.add_argument("--families", default=",".join(TRUTHS))
    parser.add_argument("--sizes", default="5,7,9")
    parser.add_argument("--seed", type=int, default=0, help="of the curves")
    parser.add_argument("--cases", type=int, help="test cases that the trials of a curve share")
    parser.add_argument("--fits", type=int, help="only fit so many curves, in parallel")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.fits:
        in_parallel(arguments.fits, arguments.processes)
        return
    head = ["truth", "sizes", *_at("mean"), *_at("run"), *_at("width"), *_at("error")]
    head += ["required n held of given/asked", "those at the floor", "number below floor", "CPU s"]
    head += _at("these cases") if arguments.cases else []
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name in arguments.families.split(","):
        for count in map(int, arguments.sizes.split(",")):
            tally = Tally()
            for trials in (5, 10, 20):
                for repeat in range(arguments.repeats):
                    seed = [arguments.seed, list(TRUTHS).index(name), count, trials, repeat]
                    generator = np.random.default_rng(seed)
                    judge(tally, TRUTHS[name], count, trials, generator, arguments.cases)
            print(f"| {name} | {count} | {' | '.join(tally.row())} |", flush=True)
    print(f"\nlargest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _at(name: str) -> list[str]:
    return [f"{name} {multiple:g}×" for multiple in MULTIPLES]


def judge(
    tally: Tally,
    family: Callable[[np.random.Generator, float], tuple[Truth, float]],
    count: int,
    trials: int,
    generator: np.random.Generator,
    cases: int | None,
) -> None:
    """Draw a curve, fit it and count."""
    sizes = 2.0 ** np.arange(count)
    largest = sizes[-1]
    truth, floor = family(generator, largest)
    scatter = generator.uniform(0.1, 0.35)

    def drawn(n: Array) -> Array:
        spread = scatter * n**-0.25
        return truth(n) * np.exp(generator.normal(size=len(n)) * spread - spread**2 / 2)

    n, beyond = np.repeat(sizes, trials), largest * MULTIPLES
    errors = drawn(n)
    if cases:
        errors = by_case(errors, np.log(n / largest), cases, generator)
        low, high = fit(n, errors.mean(1)).interval(beyond, LEVEL)
        tally.given.append(list((low <= truth(beyond)) & (truth(beyond) <= high)))
    started = time.process_time()
    law = fit(n, errors)
    low, high = law.interval(beyond, LEVEL)
    tally.seconds.append(time.process_time() - started)
    tally.mean.append(list((low <= truth(beyond)) & (truth(beyond) <= high)))
    tally.width.append(list(np.log(high / low) / 2))
    tally.error.append(list(np.log(law.predict(beyond) / truth(beyond))))
    low, high = law.interval(beyond, LEVEL, kind="run")
    run = drawn(beyond)
    tally.run.append(list((low <= run) & (run <= high)))
    needed = largest * generator.uniform(1.5, 4)
    target = float(truth(np.array([needed]))[0])
    answer = law.required(target, LEVEL)
    at_floor = target < AT_FLOOR * floor
    tally.asked += 1
    tally.asked_at_floor += at_floor
    if answer.status in ("reached", "reachable"):
        tally.required.append(answer.low <= needed <= answer.high)
        if at_floor:
            tally.required_at_floor.append(tally.required[-1])
    if floor:
        tally.numbers_below_floor.append(
            law.required(0.9 * floor, LEVEL).status in ("reached", "reachable")
        )


def by_case(errors: Array, x: Array, cases: int, generator: np.random.Generator) -> Array:
    """Return errors (T, C) on test cases drawn for the curve, whose expectation is `errors`.

    Args:
        errors: Of each trial, over all cases there are (T,).
        x: ln(n / N) of each trial (T,).
        cases: How many are drawn.
        generator: Of the cases and of how trials do on them.
    """
    hardness, drift = generator.normal(size=(2, cases)) * [[HARDNESS], [DRIFT]]
    interaction = generator.normal(size=(len(x), cases)) * INTERACTION
    variance = HARDNESS**2 + (DRIFT * x[:, None]) ** 2 + INTERACTION**2
    deviation = hardness + drift * x[:, None] + interaction
    return np.asarray(errors[:, None] * np.exp(deviation - variance / 2))


def in_parallel(fits: int, processes: int) -> None:
    """Fit many curves in parallel and print the memory of the processes on the way."""
    seconds, memory = [], 0.0
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, (spent, used) in enumerate(pool.imap_unordered(fit_one, range(fits)), start=1):
            seconds.append(spent)
            memory = max(memory, used)
            if done % max(1, fits // 10) == 0:
                print(f"{done} fits: largest process {memory:.0f} MiB", flush=True)
    print(f"CPU s per fit with intervals: mean {np.mean(seconds):.2f}, most {max(seconds):.2f}")


def fit_one(seed: int) -> tuple[float, float]:
    """Fit one curve of 9 sizes × 20 trials and return CPU seconds and MiB at most so far."""
    generator = np.random.default_rng(seed)
    n = np.repeat(2.0 ** np.arange(9), 20)
    truth, _ = power_floor(generator, n[-1])
    started = time.process_time()
    fit(n, truth(n) * np.exp(generator.normal(size=len(n)) * 0.2)).interval(n[-1] * MULTIPLES)
    spent = time.process_time() - started
    return spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
