"""Importing one plugin in a child process, where a crash, an exit or a hang hurts nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any, NamedTuple

from medscale.spec import PluginSpec

TIMEOUT = 120.0
"""Seconds for one plugin. Importing torch from a cold network disk can take most of a minute."""

AT_ONCE = 4
"""Children at a time, at most: each may hold a whole torch in memory."""


class Verdict(NamedTuple):
    """What came of importing a plugin.

    Attributes:
        message: What is wrong, in one line; "" where nothing is.
        traceback: Where it went wrong, for the plugin's author.
        note: What could not be tried, and why, in one line.
    """

    message: str = ""
    traceback: str = ""
    note: str = ""


def probe(spec: PluginSpec, *, construct: bool = False, timeout: float | None = None) -> Verdict:
    """Import a plugin's class and options model in a child process.

    Args:
        spec: The plugin.
        construct: Whether to construct it too, with its default options.
        timeout: Seconds until the child is stopped; `TIMEOUT` by default.

    Returns:
        The verdict; nothing that the plugin does is raised here.
    """
    limit = TIMEOUT if timeout is None else timeout
    order = {"spec": asdict(spec), "construct": construct, "limit": limit}
    # -P: a torch.py in the working folder is not what `medscale run` would import.
    command = [sys.executable, "-P", "-X", "faulthandler", "-m", __name__, json.dumps(order)]
    # Files, not pipes: a grandchild that outlives the child would keep a pipe open for ever.
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=answer, stderr=noise)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return Verdict(f"importing it takes longer than {limit:g} s", _text(noise))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        try:
            return Verdict(*json.loads(_text(answer)))
        except (ValueError, TypeError):
            return Verdict(f"importing it ends Python ({_cause(code)})", _text(noise))


def probe_all(specs: Sequence[PluginSpec], *, construct: bool = False) -> list[Verdict]:
    """Probe several plugins, a few at a time, and return their verdicts in order."""
    from concurrent.futures import ThreadPoolExecutor

    workers = min(AT_ONCE, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda spec: probe(spec, construct=construct), specs))


def _cause(code: int) -> str:
    import signal

    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def _answer(order: dict[str, Any]) -> Verdict:
    """Import what is asked for, in the child."""
    import traceback

    from medscale import discovery
    from medscale.config import Options
    from medscale.registry import describe_failure

    try:
        # JSON has lists only.
        spec = PluginSpec(**order["spec"] | {"requires": tuple(order["spec"]["requires"])})
        model = discovery.find_object(spec.config)
        if not (isinstance(model, type) and issubclass(model, Options)):
            return Verdict(f"{spec.config} is no subclass of medscale.config.Options")
        target = discovery.find_object(spec.target)
        if not callable(target):
            return Verdict(f"{spec.target} is a {type(target).__name__}, expected a class")
        return _constructed(spec, target, model) if order["construct"] else Verdict()
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit included
        # The first frame is this one.
        place = error.__traceback__.tb_next if error.__traceback__ else None
        text = "".join(traceback.format_exception(type(error), error, place)).strip()
        return Verdict(describe_failure(error), text)


def _constructed(spec: PluginSpec, target: Any, model: Any) -> Verdict:
    """Construct a plugin with its defaults, and the plugins that these name, as a study does."""
    from pathlib import Path

    from medscale.errors import MedscaleError, PluginError
    from medscale.protocols import PluginContext
    from medscale.registry import Plugin
    from medscale.study.construction import construct
    from medscale.study.contract import breach

    plugin = Plugin(spec, "", target, model)
    with tempfile.TemporaryDirectory() as folder:
        try:
            instance, _ = construct(plugin, {}, spec.name, PluginContext(cache=Path(folder)))
            return Verdict(breach(plugin, instance))
        except PluginError as error:
            # Its author wants the place and the traceback of what it raised.
            if error.__cause__:
                raise error.__cause__ from None
            # Without options it serves nobody: a plugin that its defaults name cannot be used.
            return Verdict(str(error))
        except MedscaleError as error:
            # Meant for users: a folder or an option is wanted that no default can know.
            return Verdict(note=f"not constructed: {error}")


def _child() -> None:
    import faulthandler

    order = json.loads(sys.argv[1])
    # What a plugin prints goes to standard error; the answer has standard output to itself.
    channel = os.dup(1)
    os.dup2(2, 1)
    # A hang is told with its stack, just before the parent loses patience.
    faulthandler.dump_traceback_later(0.9 * order["limit"])
    os.write(channel, json.dumps(_answer(order)).encode())
    # Not sys.exit: threads and exit handlers of a plugin could still hang.
    os._exit(0)


if __name__ == "__main__":
    _child()
