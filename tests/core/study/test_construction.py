"""An option that names a plugin makes that plugin, options included, part of what uses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from medscale import discovery
from medscale.config import Options, named_plugins, parse_settings, plugin_option, validate
from medscale.discovery import Found
from medscale.errors import ConfigError, PluginError
from medscale.protocols import Batch, PluginContext, PoolView
from medscale.registry import Registry
from medscale.spec import PluginSpec
from medscale.study.config import StudyConfig
from medscale.study.construction import construct, reconstruct
from medscale.study.plan import PluginIdentity
from medscale.study.resolve import Study, resolve


class RulerOptions(Options):
    """Of a registrar that uses nothing."""

    weight: float = Field(default=1.0, description="no unit")
    scales: tuple[int, ...] = Field(default=(4, 2), description="pixels")


class RelayOptions(Options):
    """Of a registrar that uses another one."""

    inner: str = plugin_option("registrar", default="ruler", description="who does the work")


class Grid(Options):
    """A table of options."""

    spacing: float = Field(default=2.0, description="pixels")
    order: int = Field(default=1, description="of the interpolation")


class SurveyOptions(Options):
    """Of an augmenter that uses a registrar."""

    registrar: str = plugin_option("registrar", default="ruler", description="registrar plugin")
    prob: float = Field(default=1.0, description="probability")
    grid: Grid = Field(default=Grid(), description="control points")


class Plain:
    """Keeps what it was constructed with."""

    def __init__(self, config: Options, context: PluginContext) -> None:
        self.config = config
        self.context = context


class Gauge(Plain):
    """A registrar that is never asked to register."""

    def register(self, *, moving: object, fixed: object) -> object: ...

    def displacement(self, *, codes: object, shape: object) -> object: ...


class Survey(Plain):
    """An augmenter that changes nothing."""

    def fit(self, view: PoolView) -> None: ...

    def augment(self, batch: Batch, generator: object) -> Batch:
        return batch


def spec(kind: str, name: str, target: str, config: str, behavior: int = 1) -> PluginSpec:
    return PluginSpec(
        kind=kind,
        name=name,
        summary="a toy",
        api=1,
        target=f"{__name__}:{target}",
        config=f"{__name__}:{config}",
        behavior=behavior,
    )


RULER = spec("registrar", "ruler", "Gauge", "RulerOptions", behavior=3)
RELAY = spec("registrar", "relay", "Gauge", "RelayOptions")
SURVEY = spec("augmenter", "survey", "Survey", "SurveyOptions")


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Everything that is installed, and the toys, as a distribution would declare them."""
    toys = [
        Found(toy.kind, toy.name, f"{__name__}:{toy.name.upper()}", "somebody-s-toys", "0.3")
        for toy in (RULER, RELAY, SURVEY)
    ]
    return Registry([*discovery.find(), *toys])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def study(registry: Registry, cache: Path, arms: str, *settings: str) -> Study:
    """Resolve a small study on phantoms."""
    plugins = parse_settings(("phantom.subjects=16", "phantom.size=64", "res_unet.width=2"))
    config = validate(
        StudyConfig,
        {
            "dataset": "phantom",
            "tasks": "lv",
            "arms": arms,
            "backbones": "res_unet",
            "recipe": "segmentation",
            "sizes": "1,2",
            "replicates": "1",
            "prepare": {"shape": "32"},
            "plugins": plugins | parse_settings(settings),
        },
        "study",
    )
    return resolve(
        config,
        registry,
        data=None,
        cache=cache,
        progress=lambda done, total: None,
        log=lambda message: None,
    )


def keys(planned: Study) -> dict[str, set[str]]:
    """Return the keys of the trials of each arm."""
    by_arm: dict[str, set[str]] = {}
    for trial in planned.trials:
        by_arm.setdefault(trial.arm, set()).add(trial.spec.key)
    return by_arm


def used(planned: Study, arm: str) -> Mapping[str, PluginIdentity]:
    """Return what the augmenter of an arm uses."""
    (augmenter,) = next(trial.spec.arm for trial in planned.trials if trial.arm == arm)
    return augmenter.uses


def test_options_that_name_a_plugin_are_found() -> None:
    assert named_plugins(SurveyOptions) == {"registrar": "registrar"}
    assert named_plugins(RulerOptions) == {}


def test_the_identity_holds_the_plugin_that_is_used(registry: Registry, cache: Path) -> None:
    uses = used(study(registry, cache, "survey", "ruler.weight=0.5"), "survey")
    assert uses == {
        "registrar": PluginIdentity(
            name="ruler", behavior=3, options={"weight": 0.5, "scales": [4, 2]}
        )
    }


def test_a_plugin_that_is_used_may_use_another(registry: Registry, cache: Path) -> None:
    settings = ("survey.registrar=relay", "ruler.weight=0.5")
    uses = used(study(registry, cache, "survey", *settings), "survey")
    assert uses["registrar"].name == "relay"
    assert uses["registrar"].uses["inner"].options["weight"] == 0.5


@pytest.mark.parametrize(
    "setting", ["ruler.weight=0.5", "ruler.scales=[8]", "survey.registrar=relay"]
)
def test_an_option_of_it_changes_the_trials_of_that_arm_only(
    registry: Registry, cache: Path, setting: str
) -> None:
    before = keys(study(registry, cache, "none,red,survey"))
    after = keys(study(registry, cache, "none,red,survey", setting))
    assert before["none"] == after["none"]
    assert before["red"] == after["red"]
    assert not before["survey"] & after["survey"]
    # The same said in words gives the same trials.
    assert before == keys(study(registry, cache, "none,red,survey", "ruler.weight=1.0"))


def test_its_behavior_changes_the_key(registry: Registry, cache: Path) -> None:
    trial = study(registry, cache, "survey").trials[0].spec
    (augmenter,) = trial.arm
    newer = augmenter.uses["registrar"].model_copy(update={"behavior": 4})
    changed = augmenter.model_copy(update={"uses": {"registrar": newer}})
    assert trial.model_copy(update={"arm": (changed,)}).key != trial.key


def test_its_version_is_recorded(registry: Registry, cache: Path) -> None:
    assert study(registry, cache, "survey").versions["registrar ruler"] == "0.3"


def test_an_unknown_plugin_is_one_sentence(registry: Registry, cache: Path) -> None:
    message = r"no registrar is called 'rulr': did you mean ruler\?"
    with pytest.raises(PluginError, match=message) as raised:
        study(registry, cache, "survey", "survey.registrar=rulr")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ruler.wieght=1", r"unknown option ruler\.wieght: did you mean weight\?"),
        ("ruler.weight=heavy", r"option ruler\.weight got 'heavy'"),
        # Options of a table have their own neighbours, not those of the table.
        ("survey.grid.spcing=1", r"unknown option survey\.grid\.spcing: did you mean spacing\?"),
    ],
)
def test_its_options_are_checked_under_its_name(
    registry: Registry, cache: Path, setting: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        study(registry, cache, "survey", setting)


@pytest.mark.parametrize(
    ("arms", "settings"),
    [
        ("none,red", ("ruler.weight=0.5",)),
        ("survey", ("survey.registrar=lddmm", "ruler.weight=0.5")),
    ],
)
def test_options_of_a_plugin_that_nobody_uses_are_refused(
    registry: Registry, cache: Path, arms: str, settings: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"--set ruler\.… belongs to nothing in this study"):
        study(registry, cache, arms, *settings)


def test_labelled_arms_share_the_registrar_and_merge_tables(
    registry: Registry, cache: Path
) -> None:
    settings = ("survey.grid.spacing=3", "wide.grid.order=2", "ruler.weight=0.5")
    planned = study(registry, cache, "survey,wide=survey", *settings)
    assert used(planned, "survey") == used(planned, "wide")
    (wide,) = next(trial.spec.arm for trial in planned.trials if trial.arm == "wide")
    assert wide.options["grid"] == {"spacing": 3.0, "order": 2}


def test_a_trial_gets_the_plugin_that_was_planned(registry: Registry, cache: Path) -> None:
    settings = ("survey.registrar=relay", "ruler.weight=0.5", "survey.prob=0.25")
    planned = study(registry, cache, "survey", *settings).trials[0].spec
    # As a worker has it: from a document.
    read = type(planned).model_validate(json.loads(planned.model_dump_json()))
    context = PluginContext(device="meta", cache=cache / "elsewhere")
    survey = reconstruct(registry, "augmenter", read.arm[0], context)
    assert isinstance(survey, Survey)
    assert survey.config == SurveyOptions(registrar="relay", prob=0.25)
    relay = survey.context.uses["registrar"]
    assert relay.plugin.config == RelayOptions()
    ruler = relay.plugin.context.uses["inner"]
    assert ruler.plugin.config == RulerOptions(weight=0.5)
    # Caches are named by these: they are the same on both sides.
    assert relay.identity == planned.arm[0].uses["registrar"].model_dump(mode="json")
    assert ruler.identity == relay.identity["uses"]["inner"]
    for plugin in (survey, relay.plugin, ruler.plugin):
        assert plugin.context.device == "meta"
        assert plugin.context.cache == cache / "elsewhere"
    assert ruler.plugin.context.uses == {}


def test_without_a_loader_used_plugins_have_defaults_and_the_same_context(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medscale.registry.default_registry", lambda: registry)
    context = PluginContext(device="meta", cache=tmp_path)
    plugin = registry.load("augmenter", "survey")
    options: dict[str, Any] = {"registrar": "relay"}
    survey, identity = construct(plugin, options, "survey", context)
    assert identity.uses["registrar"].uses["inner"].options == {"weight": 1.0, "scales": [4, 2]}
    relay = survey.context.uses["registrar"].plugin
    for used_plugin in (relay, relay.context.uses["inner"].plugin):
        assert (used_plugin.context.device, used_plugin.context.cache) == ("meta", tmp_path)
