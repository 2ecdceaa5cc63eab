"""The studies of docs/results: run one, or go on with it, and write its page.

    python -m benchmarks.studies hippocampus --data DIR [--jobs 2]

The study is docs/results/NAME.toml; its run folder is runs/NAME, which is not committed. The page
is NAME.md beside the study, with NAME.png, NAME.svg and the trials' scores in NAME.csv. Stopped at
any time, the same command goes on; `--page` writes the page of what is done so far.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medscale import atomic
from medscale.laws.comparison import Comparison, compare
from medscale.report.figures import learning_curves, save
from medscale.report.tables import case_table, finished, summary_table, trial_table
from medscale.study.runstore import RunStore

PAGES = Path(__file__).parent.parent / "docs" / "results"
BASELINE = "none"
_COLUMNS = ["task", "backbone", "arm", "size", "replicate", "dice", "bce", "predicted", "true"]


def page(name: str, store: RunStore) -> str:
    """Return the page of a run as Markdown."""
    trials, cases = trial_table(store), case_table(store)
    dice = compare(trials, cases, baseline=BASELINE, metric="dice")
    bce = compare(trials, cases, baseline=BASELINE, metric="bce")
    parts = [
        f"# {name}",
        _comment(name),
        "\n".join(f"- {sentence}" for sentence in dice.sentences),
        f"![Learning curves]({name}.png)",
        "## Test scores\n\nMean and standard deviation over trials, each the mean over test cases.",
        _scores(trials),
        "## Against `none`\n\nRatio of mean test errors (1 − Dice, and BCE), paired by training "
        "subset and test case, with 95 % intervals over both. In bold where the p-value, corrected "
        "by Holm over all rows of its table, is below 0.05.",
        "Dice error:\n\n" + _ratios(dice),
        "BCE:\n\n" + _ratios(bce),
        "## What one image is worth\n\nImages without the arm that give the same Dice as one with "
        "it.",
        _worth(dice),
        "## How it was made\n\n" + _protocol(store),
        f"To repeat it, or to go on with it: `python -m benchmarks.studies {name} --data DIR`.",
    ]
    if dice.warnings:
        parts.insert(-2, "\n".join(f"- {warning}" for warning in dice.warnings))
    return "\n\n".join(parts) + "\n"


def _comment(name: str) -> str:
    """Return the comment that a study file begins with."""
    lines = (PAGES / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))


def _scores(trials: pd.DataFrame) -> str:
    summary = summary_table(trials)
    arms = list(dict.fromkeys(summary["arm"]))
    rows = []
    for size, of_size in summary.groupby("size"):
        by_arm = of_size.set_index("arm")
        cells = [
            f"{by_arm.loc[arm, 'dice_mean']:.3f} ± {by_arm.loc[arm, 'dice_sd']:.3f}"
            f" / {by_arm.loc[arm, 'bce_mean']:.4f}"
            if arm in by_arm.index
            else ""
            for arm in arms
        ]
        rows.append([size, *cells])
    table = _table(["n", *(f"{arm}: Dice / BCE" for arm in arms)], rows)
    empty = int(summary["empty"].sum())
    return f"{table}\n\nTrials that predict background in every test case: {empty}."


def _ratios(comparison: Comparison) -> str:
    def cell(row: pd.Series) -> str:
        text = f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        return f"**{text}**" if row["verdict"] in ("lower", "higher") else text

    each = _by_arm(comparison.ratios, cell)
    every = {row["arm"]: cell(row) for _, row in comparison.overall.iterrows()}
    return _table(
        ["n", *each.columns],
        [
            *([size, *row] for size, row in zip(each.index, each.to_numpy(), strict=True)),
            ["all", *(every[arm] for arm in each.columns)],
        ],
    )


def _worth(comparison: Comparison) -> str:
    signs = {">=": "at least ", "<=": "at most ", "": ""}

    def cell(row: pd.Series) -> str:
        low = f"{row['low']:.1f}" if row["low"] else "0"
        ends = f"{low} to {'∞' if math.isinf(row['high']) else format(row['high'], '.1f')}"
        return f"{signs[row['bound']]}{row['multiplier']:.1f} ({ends})"

    each = _by_arm(comparison.efficiency, cell)
    rows = [[size, *row] for size, row in zip(each.index, each.to_numpy(), strict=True)]
    return _table(["n", *each.columns], rows)


def _by_arm(rows: pd.DataFrame, cell: Any) -> pd.DataFrame:
    """Return text by size (down) and arm (across)."""
    text = rows.assign(text=[cell(row) for _, row in rows.iterrows()])
    arms = list(dict.fromkeys(rows["arm"]))
    return text.pivot_table(index="size", columns="arm", values="text", aggfunc="first")[arms]


def _protocol(store: RunStore) -> str:
    records = finished(store)
    spec, environment = records[0][0].spec, records[0][1].environment
    stages = ("setup", "augmenter", "recipe")
    hours = sum(record.timing[stage] for _, record in records for stage in stages) / 3600
    behaviours = sorted(
        {
            f"{used.name} {used.behavior}"
            for trial, _ in records
            for used in (trial.spec.dataset, trial.spec.backbone, *trial.spec.arm)
        }
    )
    notes = store.study()["requests"][-1]["notes"]
    facts = [
        f"{len(records)} of {len(store.plan())} trials of the study in [{spec.task}]"
        f"({store.folder.name}.toml): {spec.training.amount} {spec.training.budget} of "
        f"{spec.training.batch_size} images, learning rate {spec.training.learning_rate:g}, "
        f"checkpoint by {spec.training.selection}.",
        *notes,
        *_learned(records),
        f"{hours:.1f} hours of one core together; Python {environment['python']}, PyTorch "
        f"{environment['torch']}, {environment['device']}; behaviour of the plugins: "
        f"{', '.join(behaviours)}.",
    ]
    return "\n".join(f"- {fact}" for fact in facts)


def _learned(records: Iterable[Any]) -> list[str]:
    """Return what the augmenters of the largest training set of each arm say of themselves."""
    said: dict[str, str] = {}
    for trial, record in sorted(records, key=lambda each: each[0].spec.size):
        for plugin, facts in record.learned.items():
            said[f"`{trial.arm}`, n = {trial.spec.size}"] = f"{plugin}: {_facts(facts)}"
            for older in [key for key in said if key.startswith(f"`{trial.arm}`")][:-1]:
                del said[older]
    return [f"{where}: {what}" for where, what in said.items()]


def _facts(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_fact(value)}" for name, value in facts.items())


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_facts(value)})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write(name: str, store: RunStore) -> Path:
    """Write page, figure and table of a run; return the page."""
    trials = trial_table(store)
    save(learning_curves(trials), PAGES / name)
    atomic.write_text(
        PAGES / f"{name}.csv", trials[_COLUMNS].round(6).to_csv(index=False, lineterminator="\n")
    )
    path = PAGES / f"{name}.md"
    atomic.write_text(path, page(name, store))
    return path


def main() -> None:
    """Run a study and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=sorted(path.stem for path in PAGES.glob("*.toml")))
    parser.add_argument("--data", type=Path, help="folder of the data set")
    parser.add_argument("--jobs", type=int, help="trials at a time")
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    folder = Path("runs") / given.name
    code = 0
    if not given.page:
        command = [sys.executable, "-m", "medscale_cli", "run", "--out", str(folder)]
        command += ["--config", str(PAGES / f"{given.name}.toml")]
        command += ["--data", str(given.data)] if given.data else []
        command += ["--jobs", str(given.jobs)] if given.jobs else []
        code = subprocess.run(command, check=False).returncode
    print(write(given.name, RunStore(folder)))
    sys.exit(code)


if __name__ == "__main__":
    main()
