"""Constructing plugins with validated options, and the plugins that those options name.

An option that names another plugin is declared with `plugin_option`. Core constructs that plugin
too, hands it over in the context, and makes it part of the identity, so that whatever changes its
results changes the key of every trial that used it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from medscale.config import named_plugins, validate
from medscale.protocols import PluginContext, UsedPlugin
from medscale.registry import Plugin, Registry
from medscale.study.plan import PluginIdentity

LoadUsed = Callable[[str, str, str], tuple[Any, PluginIdentity]]
"""Takes an option, the kind of plugin it names, and the name; returns instance and identity."""


def construct(
    plugin: Plugin,
    options: Mapping[str, Any],
    owner: str,
    context: PluginContext,
    load_used: LoadUsed | None = None,
) -> tuple[Any, PluginIdentity]:
    """Validate a plugin's options and return its instance and identity.

    Args:
        plugin: Loaded.
        options: As given; checked by the plugin's model.
        owner: Whose options these are, for messages.
        context: What core hands over.
        load_used: Constructs the plugins that options name; by default with their own defaults,
            from the plugins that are installed, in the same context.

    Raises:
        ConfigError: If an option is unknown or refused.
        PluginError: If an option names a plugin that cannot be used.
    """
    config = validate(plugin.config, options, owner)
    load = load_used or _loading_defaults(context)
    used: dict[str, UsedPlugin] = {}
    identities: dict[str, PluginIdentity] = {}
    for option, kind in named_plugins(plugin.config).items():
        instance, identity = load(option, kind, getattr(config, option))
        identities[option] = identity
        used[option] = UsedPlugin(plugin=instance, identity=identity.model_dump(mode="json"))
    identity = PluginIdentity(
        name=plugin.spec.name,
        behavior=plugin.spec.behavior,
        options=config.model_dump(mode="json"),
        uses=identities,
    )
    return plugin.construct(config, replace(context, uses=used)), identity


def reconstruct(
    registry: Registry, kind: str, identity: PluginIdentity, context: PluginContext
) -> Any:
    """Return the plugin of an identity, with the plugins that it uses."""

    def load_used(option: str, kind: str, name: str) -> tuple[Any, PluginIdentity]:
        used = identity.uses[option]
        return reconstruct(registry, kind, used, context), used

    plugin = registry.load(kind, identity.name)
    return construct(plugin, identity.options, identity.name, context, load_used)[0]


def _loading_defaults(context: PluginContext) -> LoadUsed:
    def load(option: str, kind: str, name: str) -> tuple[Any, PluginIdentity]:
        from medscale.registry import default_registry

        return construct(default_registry().load(kind, name), {}, name, context)

    return load
