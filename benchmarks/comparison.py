"""How often the intervals of a comparison of arms hold the truth.

    python benchmarks/comparison.py

Draws studies in which the baseline's mean error is 0.6 · n^−0.5 + 0.05 and the arm's is what the
baseline's is at 1.6 · n images. Every trial has a training subset that is good or bad for both arms
alike, luck of its own, and test subjects that are hard or easy, more so for one arm than for the
other; all trials share the test subjects. Prints, by number of trials per size, the share of
nominal 95 % intervals that hold the truth:

ratio           of mean errors, at each size; "bootstrap" is the same by resampling trials only
overall         the geometric mean of the ratios over sizes
multiplier      at the sizes whose worth lies within those that were run; "closed" is the share of
                its intervals without open end
common          the multiplier of all sizes together; "common closed" as above
parameters      difference in factor, exponent and floor between the arms
ms              CPU time of a study, without the parameters

A second table is of studies whose four arms differ from the baseline in nothing, so that whatever
`compare` claims of them is false. It prints the share of studies with a false claim, which the
correction for the number of tests is to keep at 5 % in each column but the last:

sizes           an error lower or higher at a size
overall         an error lower or higher over all sizes
parameters      a factor, exponent or floor that moves
any             any of them
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import pandas as pd

from medscale.laws.comparison import compare
from medscale.laws.crossed import LogMeans
from medscale.laws.efficiency import common_multiplier, multipliers
from medscale.laws.movement import movements
from medscale.laws.pairing import TRIAL, PairedErrors

LEVEL = 0.95
WORTH = 1.6
FACTOR, EXPONENT, FLOOR = 0.6, 0.5, 0.05
SIZES = np.array([1, 2, 4, 8, 16, 32])
LUCK = {"calm": (0.2, 0.1), "rough": (0.4, 0.3)}
"""Standard deviations, in logs, of what a training subset does to both arms, and to each."""
DRAWS = 500
COLUMNS = (
    *("ratio", "bootstrap", "overall", "multiplier", "closed", "common", "common closed"),
    "parameters",
)
SPARSE = 5
"""Of so many studies one has its parameters fitted, which takes longer than the rest, and so does a
study whose arms do not differ."""
PLACE = ["dataset", "task", "backbone", "arm"]
IDLE_ARMS = 4
CLAIMS = ("sizes", "overall", "parameters", "any")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=400, help="drawn for each row")
    parser.add_argument("--subjects", type=int, default=25)
    parser.add_argument("--trials", type=int, nargs="+", default=[3, 5, 10, 20])
    arguments = parser.parse_args()
    print(f"| luck | trials | {' | '.join(COLUMNS)} | ms |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for luck in LUCK:
        for trials in arguments.trials:
            print(row(luck, trials, arguments.subjects, arguments.studies), flush=True)
    print(f"\n| luck | trials | {' | '.join(CLAIMS)} |")
    print("|---" * (len(CLAIMS) + 2) + "|")
    for luck in LUCK:
        for trials in arguments.trials:
            studies = arguments.studies // SPARSE
            print(false_claims(luck, trials, arguments.subjects, studies), flush=True)


def row(luck: str, trials: int, subjects: int, studies: int) -> str:
    """Return the row of one kind of study."""
    generator = np.random.default_rng([trials, *luck.encode()])
    truth = np.log(error(WORTH * SIZES) / error(SIZES))
    contrast = np.hstack([-np.eye(len(SIZES)), np.eye(len(SIZES))])
    held: dict[str, list[np.ndarray]] = {name: [] for name in COLUMNS}
    spent = 0.0
    for number in range(studies):
        paired = study(generator, *LUCK[luck], trials, subjects)
        started = time.process_time()
        curves = LogMeans.of(paired)
        found = curves.contrasts(np.vstack([contrast, contrast.mean(0)]))
        rows = multipliers(curves, SIZES, None, LEVEL)
        common = common_multiplier(curves, SIZES, LEVEL)
        spent += time.process_time() - started
        inside = np.abs(found.values - np.append(truth, truth.mean())) <= found.margin(LEVEL)
        held["ratio"].append(inside[:-1])
        held["overall"].append(inside[-1:])
        low, high = bootstrap(paired, generator)
        held["bootstrap"].append((low <= truth) & (truth <= high))
        ends = np.array([(one.low, one.high) for one in rows if WORTH * one.size <= SIZES[-1]])
        held["multiplier"].append((ends[:, 0] <= WORTH) & (ends[:, 1] >= WORTH))
        held["closed"].append((ends[:, 0] > 0) & (ends[:, 1] < math.inf))
        held["common"].append(np.array(common.low <= math.log(WORTH) <= common.high))
        held["common closed"].append(np.isfinite([common.high - common.low]))
        if number % SPARSE == 0:
            differences = np.array([FACTOR * (WORTH**-EXPONENT - 1), 0, 0])
            moved = movements(curves, SIZES, LEVEL)
            ends = np.array([(one.low, one.high) for one in moved])
            held["parameters"].append((ends[:, 0] <= differences) & (differences <= ends[:, 1]))
    cells = [f"{np.mean(np.hstack(held[name])):.1%}" for name in COLUMNS]
    return f"| {luck} | {trials} | {' | '.join(cells)} | {1000 * spent / studies:.1f} |"


def false_claims(luck: str, trials: int, subjects: int, studies: int) -> str:
    """Return the row of one kind of study whose arms do not differ."""
    generator = np.random.default_rng([trials, *luck.encode(), IDLE_ARMS])
    claimed = []
    for _ in range(studies):
        drawn = errors(generator, *LUCK[luck], trials, subjects, (1.0,) * (1 + IDLE_ARMS))
        cases = table(drawn)
        means = cases.groupby([*PLACE, *TRIAL])["dice"].mean().reset_index()
        found = compare(means, cases, baseline="0", level=LEVEL)
        moved = found.parameters[found.parameters["identified"]]
        claims = [
            bool(rows["verdict"].isin(["lower", "higher"]).any())
            for rows in (found.ratios, found.overall, moved)
        ]
        claimed.append([*claims, any(claims)])
    cells = [f"{share:.1%}" for share in np.mean(claimed, axis=0)]
    return f"| {luck} | {trials} | {' | '.join(cells)} |"


def table(drawn: np.ndarray) -> pd.DataFrame:
    """Return the errors of arms, sizes, trials and subjects, in that order, as test cases."""
    arm, size, trial, subject = (part.ravel() for part in np.indices(drawn.shape))
    return pd.DataFrame(
        {
            **dict.fromkeys(PLACE[:-1], ""),
            "arm": arm.astype(str),
            "size": SIZES[size],
            "split": 0,
            "replicate": trial,
            "subject": subject.astype(str),
            "case": "",
            "dice": 1 - drawn.ravel(),
        }
    )


def error(sizes: np.ndarray) -> np.ndarray:
    """Return the baseline's true mean error."""
    return FACTOR * sizes**-EXPONENT + FLOOR


def study(
    generator: np.random.Generator, shared: float, own: float, trials: int, subjects: int
) -> PairedErrors:
    """Draw the errors of one study of two arms."""
    drawn = errors(generator, shared, own, trials, subjects, (1.0, WORTH))
    shares = np.full(drawn.shape[1:], 1 / subjects)
    return PairedErrors(SIZES, drawn / subjects, shares)


def errors(
    generator: np.random.Generator,
    shared: float,
    own: float,
    trials: int,
    subjects: int,
    worth: tuple[float, ...],
) -> np.ndarray:
    """Draw errors (A, K, R, S) of arms with which n images are worth so many times n."""

    def effect(deviation: float, *shape: int) -> np.ndarray:
        # Of mean one, so that the true mean errors stay what they are.
        return np.exp(deviation * generator.standard_normal(shape) - deviation**2 / 2)

    arms, count = len(worth), len(SIZES)
    means = np.stack([error(factor * SIZES) for factor in worth])[:, :, None, None]
    return np.asarray(
        means
        * effect(shared, 1, count, trials, 1)
        * effect(own, arms, count, trials, 1)
        * effect(0.6, 1, 1, 1, subjects)
        * effect(0.15, arms, 1, 1, subjects)
        * effect(0.3, arms, count, trials, subjects)
    )


def bootstrap(paired: PairedErrors, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return the interval of log ratios by resampling trials only."""
    own = paired.errors.sum(3)
    drawn = generator.integers(own.shape[2], size=(DRAWS, own.shape[2]))
    means = np.log(own[:, :, drawn].mean(3))
    low, high = np.quantile(means[1] - means[0], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=1)
    return low, high


if __name__ == "__main__":
    main()
