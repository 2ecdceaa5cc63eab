"""How well `medscale.laws` foretells real learning curves, beside plain least squares.

    MEDSCALE_TEST_DATA=DIR python -m benchmarks.learning_curves [--points all,5,7,9] [--inner]

Curves: `learning_curves/{vision,language}.csv` of the benchmark of Alabdulmohsin, Neyshabur and
Zhai (NeurIPS 2022). Rows with Training = 1 are fitted, those with Training = 0 foretold; the error
of a curve is sqrt(mean((ln ŷ − ln y)²)), averaged over the curves of a domain. With 5, 7 and 9
points the training rows are thinned to as many sizes, even in ln n. Peers are the same families
fitted with equal weights and a prior that is all but flat. Coverage is the share of held-out rows
within the 90 % interval of a run.

`--inner` never looks at rows with Training = 0: it cuts the training rows at a half and a third
of their largest size and foretells the next doubling. The constants of `medscale.laws` were
chosen with it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medscale.laws import fit
from medscale.laws.families import FAMILIES, Family
from medscale.laws.fitting import fit_batch, prior

Array = NDArray[np.float64]
OURS = "medscale"
_FLAT = 4.0
"""What the spreads of the prior are multiplied by for the peers."""

_INNER_CUTS = (2.0, 3.0)
_HORIZON = 2.2


@dataclass(frozen=True)
class Task:
    """A curve, cut in two."""

    domain: str
    curve: str
    sizes: Array
    errors: Array
    later_sizes: Array
    later_errors: Array


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", default="all,5,7,9")
    parser.add_argument("--inner", action="store_true", help="judge within the training rows")
    arguments = parser.parse_args()
    folder = Path(os.environ["MEDSCALE_TEST_DATA"]) / "learning_curves"
    curves = list(tasks(folder))
    if arguments.inner:
        curves = [cut for task in curves for cut in inner(task)]
    for points in arguments.points.split(","):
        chosen = curves if points == "all" else [thinned(task, int(points)) for task in curves]
        print(f"\n{points} training points, {len(chosen)} curves\n")
        print(table(chosen))


def tasks(folder: Path) -> Iterator[Task]:
    """Yield the curves of the benchmark."""
    for name in ("vision", "language"):
        rows = pd.read_csv(folder / f"{name}.csv").sort_values("Seen Examples")
        for (domain, task, model), curve in rows.groupby(["Domain", "Task", "Model"]):
            parts = [curve[curve["Training"] == flag] for flag in (1, 0)]
            columns = [
                part[column].to_numpy(float)
                for part in parts
                for column in ("Seen Examples", "Loss")
            ]
            yield Task(str(domain), f"{task} {model}", *columns)


def inner(task: Task) -> Iterator[Task]:
    """Yield what a curve's training rows say about themselves."""
    for cut in _INNER_CUTS:
        first = task.sizes <= task.sizes[-1] / cut * 1.0001
        if first.sum() < 5:
            continue
        later = ~first & (task.sizes <= task.sizes[first][-1] * _HORIZON)
        if later.any():
            yield Task(
                task.domain,
                task.curve,
                task.sizes[first],
                task.errors[first],
                task.sizes[later],
                task.errors[later],
            )


def thinned(task: Task, points: int) -> Task:
    """Return a curve with as many training rows, the nearest to sizes even in ln n."""
    wanted = np.geomspace(task.sizes[0], task.sizes[-1], points)
    distance = np.abs(np.log(task.sizes[:, None] / wanted))
    kept = np.unique(distance.argmin(axis=0))
    return Task(
        task.domain,
        task.curve,
        task.sizes[kept],
        task.errors[kept],
        task.later_sizes,
        task.later_errors,
    )


def table(curves: list[Task]) -> str:
    """Return errors by method and domain as a Markdown table, with the coverage of ours."""
    rows = []
    for task in curves:
        truth = np.log(task.later_errors)
        rows += [
            (task.domain, task.curve, family.title, rms(plain(family, task) - truth))
            for family in FAMILIES
        ]
        started = time.process_time()
        law = fit(task.sizes, task.errors)
        foretold = np.log(law.predict(task.later_sizes))
        low, high = law.interval(task.later_sizes, kind="run")
        seconds = time.process_time() - started
        inside = float(np.mean((low <= task.later_errors) & (task.later_errors <= high)))
        rows.append((task.domain, task.curve, OURS, rms(foretold - truth)))
        rows.append((task.domain, task.curve, "medscale: within 90 % interval", inside))
        rows.append((task.domain, task.curve, "medscale: CPU s", seconds))
    frame = pd.DataFrame(rows, columns=["domain", "curve", "method", "value"])
    by_curve = frame.groupby(["method", "domain", "curve"], sort=False)["value"].mean()
    means = by_curve.groupby(["method", "domain"], sort=False).mean().unstack()
    lines = [f"| | {' | '.join(means.columns)} |", "|---" * (len(means.columns) + 1) + "|"]
    lines += [
        f"| {method} | {' | '.join(f'{value:.4f}' for value in values)} |"
        for method, values in means.iterrows()
    ]
    return "\n".join(lines)


def plain(family: Family, task: Task) -> Array:
    """Return ln error as one family foretells it by unweighted least squares."""
    x, y = np.log(task.sizes / task.sizes[-1])[None], np.log(task.errors)[None]
    slope = max(-float(np.polyfit(x[0], y[0], 1)[0]), 0.01)
    mean, spread = prior(family, np.array([slope]))
    weights = np.full(x.shape, 0.01**-2)
    fitted = fit_batch(family, x, y - y[:, -1:], weights, mean, spread * _FLAT)
    value, _ = family.log_error(np.log(task.later_sizes / task.sizes[-1])[None], fitted.theta)
    foretold: Array = value[0] + y[0, -1]
    return foretold


def rms(values: Array) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(values**2)))


if __name__ == "__main__":
    main()
