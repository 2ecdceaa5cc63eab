"""Constructing plugins with validated options, and the plugins that those options name.

An option that names another plugin is declared with `plugin_option`. Core constructs that plugin
too, hands it over in the context, and makes it part of the identity, so that whatever changes its
results changes the key of every trial that used it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from medscale.config import named_plugins, validate
from medscale.errors import ConfigError, PluginError
from medscale.protocols import PluginContext, UsedPlugin
from medscale.registry import Plugin, Registry
from medscale.seeding import seeded_torch
from medscale.study.plan import PluginIdentity

if TYPE_CHECKING:
    from torch import nn

LoadUsed = Callable[[str, str, str], tuple[Any, PluginIdentity]]
"""Takes an option, the kind of plugin it names, and the name; returns instance and identity."""

_QUICK = 2**17
"""Voxels that a network sees in about a second on one core; 96³ take res_unet 7 s."""


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
    _refuse_missing_options(plugin, options, owner)
    with plugin.doing("checking its options"):
        config = validate(plugin.config, options, owner)
        values = config.model_dump(mode="json")
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
        options=values,
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


def try_network(plugin: Plugin, backbone: Any, channels: int, shape: tuple[int, ...]) -> int:
    """Build a network and let it see two blank images, so that its faults precede any training.

    Args:
        plugin: The backbone's, for messages.
        backbone: Constructed.
        channels: Of the images.
        shape: Of the images.

    Returns:
        The number of its parameters.

    Raises:
        ConfigError: If the network cannot take that shape.
        PluginError: If it fails, or is no network that can be trained on one mask.
    """
    import torch

    def build() -> nn.Module:
        with plugin.doing(f"build(…, spatial_shape={shape})"):
            network = backbone.build(in_channels=channels, out_channels=1, spatial_shape=shape)
            if not isinstance(network, torch.nn.Module):
                raise TypeError(f"it returned {_noun(network)}, expected a torch.nn.Module")
            return network

    def forward(device: str) -> tuple[nn.Module, Any]:
        network = build().eval().to(device)
        images = torch.zeros(2, channels, *shape, device=device)
        with torch.no_grad(), plugin.doing(f"a forward pass of {tuple(images.shape)} zeros"):
            return network, network(images)

    with seeded_torch(0):
        result = None
        if prod(shape) > _QUICK:
            # Shapes without arithmetic; what not every network supports is done in full.
            with suppress(Exception):
                result = forward("meta")
        network, logits = result or forward("cpu")
    if not isinstance(logits, torch.Tensor):
        fault = f"its network returns {_noun(logits)}, expected one tensor of logits"
    elif logits.shape != (2, 1, *shape) or not logits.is_floating_point():
        fault = (
            f"its network maps {(2, channels, *shape)} images to {tuple(logits.shape)} logits of "
            f"{logits.dtype}, expected {(2, 1, *shape)} and real numbers"
        )
    elif not any(parameter.requires_grad for parameter in network.parameters()):
        fault = "its network has no weights that can be trained"
    else:
        return sum(parameter.numel() for parameter in network.parameters())
    raise PluginError(f"{plugin.title} cannot be used: {fault}; tell its author")


def _noun(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _refuse_missing_options(plugin: Plugin, options: Mapping[str, Any], owner: str) -> None:
    for name, field in plugin.config.model_fields.items():
        if field.is_required() and not field.validation_alias and name not in options:
            raise ConfigError(
                f"{plugin.title} needs its option {name}: give it with "
                f"--set {owner}.{name}=VALUE (`medscale describe {plugin.spec.name}` explains it)"
            )


def _loading_defaults(context: PluginContext) -> LoadUsed:
    def load(option: str, kind: str, name: str) -> tuple[Any, PluginIdentity]:
        from medscale.registry import default_registry

        return construct(default_registry().load(kind, name), {}, name, context)

    return load
