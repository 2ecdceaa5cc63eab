"""How well and how fast medscale's registrars register, beside dipy, SimpleITK and ANTs.

    pip install -c constraints.txt -e .[bench]
    MEDSCALE_TEST_DATA=DIR python -m benchmarks.registration --csv registration.csv

Run it from the repository's root. Prints one Markdown table per set of pairs
(`registration_pairs`) of every installed registrar and every peer (`registration_peers`): CPU
seconds per pair on one thread, the same as a multiple of `lddmm`'s, and what
`registration_measures` judges by. Registrars get batches of 32 pairs; peers take one pair at a
time. Every method registers one pair before its clock starts; the clock covers the inverse map
where the method gives one. Registering back, for the swap column, is done for the first 8 pairs.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.registration_measures import Quality, measure
from benchmarks.registration_pairs import MAKERS, Pairs
from benchmarks.registration_peers import PEERS, use_one_thread
from torch import Tensor

from medscale.config import OptionTree, parse_settings
from medscale.errors import ConfigError, DataError, MedscaleError, PluginError, did_you_mean
from medscale.protocols import PluginContext
from medscale.registry import OK, default_registry
from medscale.study.construction import construct

BATCH = 32
SWAPPED = 8
REFERENCE = "lddmm"

Answer = tuple[Tensor, Tensor | None]
"""Displacements (N, 2, H, W) in pixels and those of the inverse maps, or None."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method on one set: what it cost and how good it was, or why it did not run.

    Attributes:
        data: The set.
        pairs: How many.
        method: Registrar or peer.
        settings: What it ran with.
        cpu: Process seconds per pair.
        wall: Seconds per pair by the clock.
        quality: The measures, where it ran.
        absent: Why it did not.
    """

    data: str
    pairs: int
    method: str
    settings: str
    cpu: float = math.nan
    wall: float = math.nan
    quality: Quality | None = None
    absent: str = ""


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sets", default=",".join(MAKERS), help="comma-separated")
    parser.add_argument("--methods", default=",".join(PEERS), help="peers, comma-separated, or ''")
    parser.add_argument("--registrars", help="comma-separated, or ''; by default all that load")
    parser.add_argument("--set", action="append", default=[], metavar="REGISTRAR.OPTION=VALUE")
    parser.add_argument("--pairs", type=int, default=32, help="of each set")
    parser.add_argument("--csv", type=Path, help="file for the unrounded numbers")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error(f"--pairs got {arguments.pairs}, expected 1 or more")
    use_one_thread()
    torch.set_num_threads(1)
    try:
        sets, peers = chosen(arguments.sets, MAKERS), chosen(arguments.methods, PEERS)
        registrars = chosen_registrars(arguments.registrars)
        options = parse_settings(arguments.set)
        rows: list[Row] = []
        for name in sets:
            try:
                pairs = MAKERS[name](arguments.pairs, data_folder())
            except DataError as error:
                print(f"### {name}\n\nleft out: {error}\n")
                continue
            for row in run(pairs, registrars, options, peers):
                rows.append(row)
                if arguments.csv:  # anew after each row, so that a long run can be watched
                    write_csv(arguments.csv, rows)
            print_table([row for row in rows if row.data == name])
    except MedscaleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def data_folder() -> Path | None:
    """Return the folder of the real sets, or None."""
    folder = os.environ.get("MEDSCALE_TEST_DATA")
    return Path(folder) if folder else None


def chosen(names: str, known: Iterable[str]) -> list[str]:
    """Split a comma-separated list.

    Raises:
        ConfigError: If one of the names is unknown.
    """
    asked = [name for name in names.split(",") if name]
    for name in asked:
        if name not in known:
            raise ConfigError(f"no {name!r} here: {did_you_mean(name, known)}")
    return asked


def chosen_registrars(names: str | None) -> list[str]:
    """Return the registrars asked for; without any word, those that load."""
    records = default_registry().of_kind("registrar")
    if names is None:
        return [record.name for record in records if record.status == OK]
    return chosen(names, [record.name for record in records])


def run(
    pairs: Pairs, registrars: list[str], options: OptionTree, peers: list[str]
) -> Iterator[Row]:
    """Yield a row for each method."""
    for name in registrars:
        settings = ", ".join(f"{key}={value}" for key, value in options.get(name, {}).items())
        row = Row(data=pairs.name, pairs=len(pairs), method=name, settings=settings or "defaults")
        try:
            plugin = default_registry().load("registrar", name)
        except PluginError as error:
            yield dataclasses.replace(row, absent=str(error))
            continue
        registrar, _ = construct(plugin, options.get(name, {}), name, PluginContext())
        yield timed(row, pairs, in_batches(registrar))
    for name in peers:
        peer = PEERS[name]
        row = Row(data=pairs.name, pairs=len(pairs), method=name, settings=peer.settings)
        if not peer.is_installed:
            yield dataclasses.replace(row, absent=f"no module {peer.package}: install .[bench]")
            continue
        yield timed(row, pairs, one_by_one(peer.register))


def in_batches(registrar: Any) -> Callable[[Tensor, Tensor], Answer]:
    """Return a registrar as a function of all pairs."""
    invert = getattr(registrar, "inverse_displacement", None)

    def register(moving: Tensor, fixed: Tensor) -> Answer:
        shape = tuple(moving.shape[2:])
        forward, backward = [], []
        for sources, targets in zip(
            torch.split(moving, BATCH), torch.split(fixed, BATCH), strict=True
        ):
            codes = registrar.register(moving=sources, fixed=targets)
            forward.append(registrar.displacement(codes=codes, shape=shape))
            if invert is not None:
                backward.append(invert(codes=codes, shape=shape))
        return torch.cat(forward).detach(), torch.cat(backward).detach() if backward else None

    return register


def one_by_one(
    register_pair: Callable[[Any, Any], tuple[Any, Any]],
) -> Callable[[Tensor, Tensor], Answer]:
    """Return a peer as a function of all pairs."""

    def register(moving: Tensor, fixed: Tensor) -> Answer:
        answers = [
            register_pair(source, target)
            for source, target in zip(moving[:, 0].numpy(), fixed[:, 0].numpy(), strict=True)
        ]
        forward, backward = zip(*answers, strict=True)
        return stacked(forward), None if backward[0] is None else stacked(backward)

    return register


def stacked(fields: Iterable[Any]) -> Tensor:
    """Return (N, 2, H, W) float32."""
    return torch.from_numpy(np.stack([np.asarray(field, np.float32) for field in fields]))


def timed(row: Row, pairs: Pairs, register: Callable[[Tensor, Tensor], Answer]) -> Row:
    """Register all pairs with the clock on, and some back without, and judge the result."""
    moving, fixed = pairs.moving, pairs.fixed
    register(moving[:1], fixed[:1])  # imports and first allocations are nobody's cost per pair
    wall, cpu = time.perf_counter(), time.process_time()
    forward, inverse = register(moving, fixed)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    back, _ = register(fixed[:SWAPPED], moving[:SWAPPED])
    return dataclasses.replace(
        row,
        cpu=cpu / len(pairs),
        wall=wall / len(pairs),
        quality=measure(pairs, forward, inverse, back),
    )


def print_table(rows: list[Row]) -> None:
    """Print one set's rows as a Markdown table, with the settings below it."""
    reference = next((row.cpu for row in rows if row.method == REFERENCE), math.nan)
    columns = (
        "method", "CPU s/pair", f"× {REFERENCE}", "wall s/pair", "Dice", "folds (pixels)",
        "pairs with folds", "least det", "mean \\|u\\| px", "own inverse px", "swap px",
        "EPE px", "EPE in labels px",
    )  # fmt: skip
    print(f"### {rows[0].data}, {rows[0].pairs} pairs\n")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        if row.quality is None:
            print(f"| {row.method} | {row.absent} |{' |' * (len(columns) - 2)}")
            continue
        quality = row.quality
        cells = (
            number(row.cpu, 4),
            number(row.cpu / reference, 2),
            number(row.wall, 4),
            number(quality.dice, 4),
            f"{quality.fold_share:.4%} ({quality.folds})",
            str(quality.folded_pairs),
            *(number(value, 3) for value in (quality.least_determinant, quality.length)),
            *(number(value, 4) for value in (quality.own_inverse, quality.swap)),
            *(number(value, 3) for value in (quality.error, quality.label_error)),
        )
        print(f"| {row.method} | {' | '.join(cells)} |")
    print()
    for row in rows:
        print(f"- {row.method}: {row.settings}")
    print(flush=True)


def number(value: float, digits: int) -> str:
    """Return a number for people, a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def write_csv(file: Path, rows: list[Row]) -> None:
    """Write every row, unrounded."""
    measures = [field.name for field in dataclasses.fields(Quality)]
    plain = [field.name for field in dataclasses.fields(Row) if field.name != "quality"]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*plain, *measures])
        for row in rows:
            quality = [getattr(row.quality, name, math.nan) for name in measures]
            writer.writerow([*(getattr(row, name) for name in plain), *quality])


if __name__ == "__main__":
    sys.exit(main())
