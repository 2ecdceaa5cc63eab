"""Whether a plugin has what core calls: every member of its kind's protocol, with its arguments."""

from __future__ import annotations

import inspect
from typing import Any

from medscale import protocols
from medscale.errors import MedscaleError, PluginError
from medscale.registry import Plugin


def refuse_breach(plugin: Plugin, instance: Any) -> None:
    """Refuse a plugin that would fail in the middle of a study.

    Args:
        plugin: Loaded.
        instance: Constructed.

    Raises:
        PluginError: Names the plugin and the member, or says what a property of it raises.
    """
    fault = breach(plugin, instance)
    if fault:
        raise PluginError(f"{plugin.title} cannot be used: {fault}; tell its author")


def breach(plugin: Plugin, instance: Any) -> str:
    """Say what of its protocol a plugin lacks, or which method core could not call, or "".

    Args:
        plugin: Loaded.
        instance: Constructed.

    Raises:
        PluginError: If one of its properties raises anything that is not meant for users.
    """
    kind = plugin.spec.kind
    protocol = getattr(protocols, kind.capitalize())
    for name, asked in vars(protocol).items():
        if name.startswith("_"):
            continue
        with plugin.doing(name):
            try:
                member = getattr(instance, name)
            except AttributeError as error:
                return f"it lacks {name}, which every {kind} needs ({error})"
            except MedscaleError:
                continue  # a property that only the data can tell
        if not callable(asked):
            continue
        if not callable(member):
            return f"{name} is a {type(member).__name__}, expected a method"
        fault = _uncallable(name, member, asked)
        if fault:
            return fault
    return ""


def _uncallable(name: str, member: Any, asked: Any) -> str:
    """Say why a method cannot be called with the arguments that its protocol names."""
    _, *parameters = inspect.signature(asked).parameters.values()
    keywords = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    values = parameters[: len(parameters) - len(keywords)]
    try:
        inspect.signature(member).bind(*values, **keywords)
    except TypeError as error:
        wanted = ", ".join(parameter.name for parameter in parameters)
        return f"{name}() cannot be called with {wanted}: {error}"
    except ValueError:
        pass  # a compiled method, which tells no signature
    return ""
