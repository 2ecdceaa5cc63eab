"""Every plugin as a row with a status, and loading one by name.

A broken plugin is a value here, never a crash; asking for it by name raises its own first error.
`medscale list` pays for every import of this module, so what only failures need is imported there.
"""

from __future__ import annotations

import functools
import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from medscale import discovery
from medscale.spec import KINDS, PLUGIN_API, PluginSpec

if TYPE_CHECKING:
    from medscale.config import Options
    from medscale.protocols import PluginContext

OK = "ok"
MISSING = "missing-dependency"
INCOMPATIBLE = "incompatible"
CONFLICT = "conflict"
BROKEN = "broken"


class PluginRecord(NamedTuple):
    """One row of `medscale list`.

    Attributes:
        kind: The kind of plugin.
        name: What a user types.
        distribution: Who declares it.
        version: The distribution's version.
        value: Where its spec is, as `"module:NAME"`.
        status: `OK`, `MISSING`, `INCOMPATIBLE`, `CONFLICT` or `BROKEN`.
        summary: One line, where the spec could be read.
        message: What is wrong and what to do; "" where nothing is.
        spec: The spec, where it could be read.
        error: What its import raised first.
    """

    kind: str
    name: str
    distribution: str
    version: str
    value: str
    status: str
    summary: str = ""
    message: str = ""
    spec: PluginSpec | None = None
    error: BaseException | None = None


class Plugin(NamedTuple):
    """A plugin whose class and options model are imported."""

    spec: PluginSpec
    version: str
    target: type[Any]
    config: type[Options]
    distribution: str = ""

    @property
    def title(self) -> str:
        """Its kind, name, distribution and version, for messages."""
        source = f" ({self.distribution} {self.version})" if self.distribution else ""
        return f"{self.spec.kind} {self.spec.name!r}{source}"

    def doing(self, what: str) -> AbstractContextManager[None]:
        """Return a context in which whatever the plugin raises names it (`blaming`)."""
        return blaming(self.title, what)

    def construct(self, config: Options, context: PluginContext) -> Any:
        """Return an instance.

        Raises:
            PluginError: If the class raises anything that is not meant for users.
        """
        with self.doing("__init__(config, context)"):
            return self.target(config, context)


class Registry:
    """Plugins and their status, scanned once.

    Args:
        found: The declared plugins; by default all that are installed in this environment.
    """

    def __init__(self, found: Iterable[discovery.Found] | None = None) -> None:
        self._found = found

    @functools.cached_property
    def records(self) -> tuple[PluginRecord, ...]:
        """Every declared plugin with its status; loads specs only."""
        found = discovery.find() if self._found is None else list(self._found)
        rivals = Counter((entry.kind, entry.name) for entry in found)
        return tuple(
            _conflict(entry, found) if rivals[entry.kind, entry.name] > 1 else _examine(entry)
            for entry in found
        )

    def of_kind(self, kind: str) -> tuple[PluginRecord, ...]:
        """Return the rows of one kind."""
        return tuple(record for record in self.records if record.kind == kind)

    def named(self, name: str) -> tuple[PluginRecord, ...]:
        """Return the rows of that name in any kind."""
        return tuple(record for record in self.records if record.name == name)

    def record(self, kind: str, name: str) -> PluginRecord:
        """Return one row.

        Raises:
            PluginError: If no plugin of that kind has that name; says which are near.
        """
        from medscale.errors import PluginError, did_you_mean

        rows = self.of_kind(kind)
        for row in rows:
            if row.name == name:
                return row
        raise PluginError(
            f"no {kind} is called {name!r}: {did_you_mean(name, {row.name for row in rows})} "
            f"(`medscale list {kind}` shows all)"
        )

    def load(self, kind: str, name: str) -> Plugin:
        """Import a plugin's class and options model.

        Raises:
            PluginError: If it is unknown or cannot be used; chained to the first cause.
        """
        from medscale.config import Options
        from medscale.errors import PluginError

        record = self.record(kind, name)
        if record.status != OK or record.spec is None:
            raise PluginError(
                f"{kind} {name!r} of {record.distribution} cannot be used "
                f"({record.status}: {record.message})"
            ) from record.error
        try:
            spec = discovery.load(kind, name, record.value)
            target = discovery.find_object(spec.target)
            config = discovery.find_object(spec.config)
            if not callable(target):
                raise TypeError(f"{spec.target} is a {type(target).__name__}, expected a class")
            if not (isinstance(config, type) and issubclass(config, Options)):
                raise TypeError(f"{spec.config} is no subclass of medscale.config.Options")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise PluginError(
                f"{kind} {name!r} of {record.distribution} cannot be imported "
                f"({describe_failure(error)})"
            ) from error
        return Plugin(spec, record.version, target, config, record.distribution)


@functools.cache
def default_registry() -> Registry:
    """Return the registry of this process."""
    return Registry()


@contextmanager
def blaming(owner: str, what: str) -> Iterator[None]:
    """Turn what a plugin raises into one sentence that names it.

    What is meant for users passes unchanged, and so do an interruption, memory that runs out and
    a disk that cannot be written.

    Args:
        owner: The plugin, for people.
        what: What it is asked to do, such as "load(case 'c0')".

    Raises:
        PluginError: Instead of any other error; chained to it.
    """
    from medscale.errors import MedscaleError, PluginError, explain_os_error

    try:
        yield
    except (MedscaleError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        if isinstance(error, OSError) and explain_os_error(error):
            raise
        raise PluginError(
            f"{owner} failed in {what} with {describe_failure(error)}; tell its author"
        ) from error


def describe_failure(error: BaseException) -> str:
    """Return the type, message and place (file:line) of an error in one line."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    text = _one_line_of(error)
    if not frames:
        return text
    return f"{text} at {frames[-1].filename}:{frames[-1].lineno}"


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters, fit for a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _one_line_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a plugin's own exception may be broken, too
        text = ""
    return one_line(f"{type(error).__name__}: {text}").rstrip(":")


def _row(entry: discovery.Found, status: str, *, message: str = "", **more: Any) -> PluginRecord:
    return PluginRecord(
        kind=entry.kind,
        name=entry.name,
        # These are for people only, and a distribution may say anything of itself.
        distribution=one_line(entry.distribution),
        version=one_line(entry.version),
        value=entry.value,
        status=status,
        message=one_line(message),
        **more,
    )


def _conflict(entry: discovery.Found, found: list[discovery.Found]) -> PluginRecord:
    rivals = [
        other.distribution
        for other in found
        if (other.kind, other.name) == (entry.kind, entry.name) and other != entry
    ]
    return _row(
        entry,
        CONFLICT,
        message=f"{entry.kind} {entry.name!r} is also declared by {', '.join(rivals)}: "
        "uninstall all but one",
    )


def _examine(entry: discovery.Found) -> PluginRecord:
    try:
        # A manager of stevedore for each row would cost more than all the specs together.
        return _judge(entry, discovery.find_object(entry.value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
        return _row(entry, BROKEN, message=describe_failure(error), error=error)


def _judge(entry: discovery.Found, spec: Any) -> PluginRecord:
    if not isinstance(spec, PluginSpec):
        return _row(
            entry,
            BROKEN,
            message=f"{entry.value} is a {type(spec).__name__}, expected a medscale PluginSpec",
        )
    if (spec.kind, spec.name) != (entry.kind, entry.name):
        return _row(
            entry,
            BROKEN,
            message=f"its spec calls itself {spec.kind} {spec.name!r}, its entry point "
            f"{entry.kind} {entry.name!r}: make them equal",
        )
    if spec.api != PLUGIN_API:
        older = "the plugin" if spec.api < PLUGIN_API else "medscale"
        return _row(
            entry,
            INCOMPATIBLE,
            summary=spec.summary,
            spec=spec,
            message=f"written for plugin API {spec.api}, this medscale has {PLUGIN_API}: "
            f"upgrade {older}",
        )
    missing = [name for name in spec.requires if not _is_installed(name)]
    if missing:
        return _row(
            entry,
            MISSING,
            summary=spec.summary,
            spec=spec,
            message=f"needs {', '.join(missing)}: pip install {entry.distribution} again, or "
            f"install {'it' if len(missing) == 1 else 'them'}",
        )
    return _row(entry, OK, summary=spec.summary, spec=spec)


@functools.cache
def _is_installed(module: str) -> bool:
    """Tell whether a top-level module is there, without importing it."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except ValueError:
        # A stand-in in sys.modules without a spec: imported is as good as installed.
        return True


__all__ = [
    "BROKEN",
    "CONFLICT",
    "INCOMPATIBLE",
    "KINDS",
    "MISSING",
    "OK",
    "Plugin",
    "PluginRecord",
    "Registry",
    "blaming",
    "default_registry",
    "describe_failure",
    "one_line",
]
