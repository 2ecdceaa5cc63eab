"""CPU time of `medscale list`, beside that of a Python that does nothing.

    python benchmarks/listing.py [--repeats 25]

Each repeat is a whole process; what counts is its user plus system time, as the kernel charges
it to the finished child, so other work on the machine disturbs little. The commands take turns,
so that a slow spell hits all of them. One unmeasured round comes first: it warms the disk cache
and lets Python write its byte code, as it has on any machine after the first use.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys

_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"

LIMIT = 8.0
"""What `medscale list` may cost, in bare Pythons."""


def main() -> int:
    """Measure, print the table and return 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(description="CPU time of `medscale list`")
    parser.add_argument("--repeats", type=int, default=25)
    repeats = parser.parse_args().repeats
    python = sys.executable
    read = "from medscale.registry import default_registry as registry; registry().records"
    commands = {
        "python -c pass": [python, "-c", "pass"],
        "import importlib.metadata": [python, "-c", "import importlib.metadata"],
        "reading the registry": [python, "-c", read],
        "python -m medscale_cli list": [python, "-m", "medscale_cli", "list"],
        "medscale list": [_script(), "list"],
        "medscale list --json": [_script(), "list", "--json"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for repeat in range(repeats + 1):
        for name, command in commands.items():
            spent = cpu_milliseconds(command)
            if repeat:
                times[name].append(spent)
    bare = statistics.median(times["python -c pass"])
    print(f"{_plugins()} plugins installed, {repeats} repeats, CPU ms (user + system)")
    print(f"{'command':30}{'least':>8}{'median':>8}{'ratio':>8}")
    for name, series in times.items():
        median = statistics.median(series)
        print(f"{name:30}{min(series):8.1f}{median:8.1f}{median / bare:8.2f}")
    ratio = statistics.median(times["medscale list"]) / bare
    print(f"medscale list costs {ratio:.2f} bare Pythons; the limit is {LIMIT:g}")
    return int(ratio > LIMIT)


def cpu_milliseconds(command: list[str]) -> float:
    """Run a command and return the CPU time of its process."""
    # A developer's shell may forbid byte code, which users' shells do not.
    environment = {key: value for key, value in os.environ.items() if key != _NO_BYTE_CODE}
    quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    child = os.posix_spawn(command[0], command, environment, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return 1000 * (usage.ru_utime + usage.ru_stime)


def _script() -> str:
    script = shutil.which("medscale", path=os.path.dirname(sys.executable))
    if script is None:
        raise SystemExit("medscale is not installed beside this Python")
    return script


def _plugins() -> int:
    from medscale.discovery import find

    return len(find())


if __name__ == "__main__":
    sys.exit(main())
