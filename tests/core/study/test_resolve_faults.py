"""What a plugin does wrong is told, with its name, before the first trial."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medscale import discovery
from medscale.config import Options, plugin_option, validate
from medscale.data.cases import Case, Sample, Task
from medscale.discovery import Found
from medscale.errors import ConfigError, PluginError
from medscale.protocols import PluginContext
from medscale.registry import Plugin, Registry
from medscale.spec import KINDS, PluginSpec
from medscale.study.config import StudyConfig
from medscale.study.construction import _QUICK, try_network
from medscale.study.resolve import resolve


class FaultOptions(Options):
    """What goes wrong."""

    fault: str = ""


class NeedyOptions(Options):
    """Of a data set that has to be told something."""

    site: str


class Acme:
    """A data set of ten squares with one fault."""

    def __init__(self, config: Any, context: PluginContext) -> None:
        self.fault = config.fault
        if self.fault == "init":
            raise RuntimeError("no licence")

    @property
    def tasks(self) -> Mapping[str, Task]:
        if self.fault == "tasks":
            raise ZeroDivisionError("by zero")
        wrong: Any = {"square": (1,)}
        return wrong if self.fault == "task" else {"square": Task(labels=(1,))}

    def cases(self) -> Sequence[Case]:
        if self.fault == "cases":
            raise KeyError("rows")
        names = ["c0"] * 10 if self.fault == "twins" else [f"c{number}" for number in range(10)]
        return [Case(id=name, subject=f"p{number}") for number, name in enumerate(names)]

    def load(self, case: Case) -> Sample:
        if self.fault == "load":
            raise TypeError("bad\npixels")
        label = np.zeros((32, 32), np.uint8)
        label[8:24, 8:24] = 1
        image = np.random.default_rng(int(case.id[1:])).random((1, 32, 32)) + label
        return Sample(image=image, label=label, spacing=(1.0, 1.0))


class Net(nn.Module):
    """Maps an image to logits, or to what it should not."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.layer = nn.Conv2d(1, 2 if fault == "channels" else 1, 1)
        if fault == "frozen":
            self.requires_grad_(False)

    def forward(self, images: Tensor) -> Any:
        logits = self.layer(images)
        if self.fault == "forward":
            raise IndexError("level 5")
        if self.fault == "numpy":
            logits = logits + torch.from_numpy(np.ones(1, np.float32) * logits.numpy().size)
        changed: dict[str, Any] = {
            "half": logits[..., ::2],
            "tuple": (logits,),
            "flat": logits[:, 0],
            "integers": logits.to(torch.int64),
        }
        return changed.get(self.fault, logits)


class Nets:
    """A backbone with one fault."""

    def __init__(self, config: Any, context: PluginContext) -> None:
        self.fault = config.fault
        if self.fault == "init":
            raise RuntimeError("no licence")

    def build(self, **asked: Any) -> Any:
        if self.fault == "build":
            raise ValueError("width")
        return None if self.fault == "none" else Net(self.fault)


class Narrow(Nets):
    """A backbone of an older contract."""

    def build(self, *, in_channels: int, out_channels: int) -> Any:  # type: ignore[override]
        return Net("")


class Blunt:
    """An augmenter that takes no context."""

    def __init__(self, config: Any) -> None: ...


class Hollow:
    """Has nothing that any kind of plugin needs, but what an option of it may name."""

    def __init__(self, config: Any, context: PluginContext) -> None: ...


class Survey(Hollow):
    """An augmenter that uses a registrar."""

    def fit(self, view: object) -> None: ...

    def augment(self, batch: object, generator: object) -> object:
        return batch


class SurveyOptions(Options):
    """Names that registrar."""

    registrar: str = plugin_option("registrar", default="hollow", description="registrar plugin")


def spec(kind: str, name: str, target: str, config: str = "FaultOptions") -> PluginSpec:
    return PluginSpec(
        kind=kind,
        name=name,
        summary="a toy",
        api=1,
        target=f"{__name__}:{target}",
        config=f"{__name__}:{config}",
    )


ACME = spec("dataset", "acme", "Acme")
NEEDY = spec("dataset", "needy", "Acme", "NeedyOptions")
NETS = spec("backbone", "nets", "Nets")
NARROW = spec("backbone", "narrow", "Narrow")
BLUNT = spec("augmenter", "blunt", "Blunt")
SURVEY = spec("augmenter", "survey", "Survey", "SurveyOptions")
HOLLOW = SimpleNamespace(**{kind: spec(kind, "hollow", "Hollow") for kind in KINDS})


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Everything that is installed, and the toys, as a distribution would declare them."""
    toys = [
        Found(toy.kind, toy.name, f"{__name__}:{toy.name.upper()}", f"medscale-{toy.name}", "1.2.0")
        for toy in (ACME, NEEDY, NETS, NARROW, BLUNT, SURVEY)
    ]
    hollow = [
        Found(kind, "hollow", f"{__name__}:HOLLOW.{kind}", "medscale-hollow", "1.2.0")
        for kind in KINDS
    ]
    return Registry([*discovery.find(), *toys, *hollow])


def fault_of(registry: Registry, cache: Path, plugins: dict[str, Any], **changes: str) -> str:
    """Return the error of a study."""
    asked = {"dataset": "acme", "arms": "none", "backbones": "nets", "recipe": "segmentation"}
    config = validate(
        StudyConfig,
        {
            **asked,
            **changes,
            "sizes": "1",
            "replicates": "1",
            "prepare": {"shape": "32"},
            "plugins": plugins,
        },
        "study",
    )
    with pytest.raises(PluginError) as caught:
        resolve(
            config,
            registry,
            data=None,
            cache=cache,
            progress=lambda done, total: None,
            log=lambda message: None,
        )
    message = str(caught.value)
    assert "\n" not in message
    assert "tell its author" in message
    return message


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("init", "__init__(config, context) with RuntimeError: no licence"),
        ("tasks", "tasks with ZeroDivisionError: by zero"),
        ("task", "tasks with TypeError: task 'square' is a tuple, expected a Task"),
        ("cases", "cases() with KeyError: 'rows'"),
        ("load", "load(case 'c0') with TypeError: bad pixels"),
    ],
)
def test_a_data_set_that_fails_is_named(
    registry: Registry, tmp_path: Path, fault: str, message: str
) -> None:
    told = fault_of(registry, tmp_path, {"acme": {"fault": fault}})
    start = f"dataset 'acme' (medscale-acme 1.2.0) failed in {message} at "
    assert told.startswith(start)
    assert re.fullmatch(r"\S+\.py:\d+; tell its author", told.removeprefix(start))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("init", "failed in __init__(config, context) with RuntimeError: no licence"),
        ("build", "failed in build(…, spatial_shape=(32, 32)) with ValueError: width"),
        ("none", "failed in build(…, spatial_shape=(32, 32)) with TypeError: it returned None"),
        ("forward", "failed in a forward pass of (2, 1, 32, 32) zeros with IndexError: level 5"),
        ("channels", "maps (2, 1, 32, 32) images to (2, 2, 32, 32) logits of torch.float32, exp"),
        ("half", "to (2, 1, 32, 16) logits of torch.float32, expected (2, 1, 32, 32)"),
        ("flat", "to (2, 32, 32) logits"),
        ("integers", "logits of torch.int64, expected (2, 1, 32, 32) and real numbers"),
        ("tuple", "its network returns a tuple, expected one tensor of logits"),
        ("frozen", "its network has no weights that can be trained"),
    ],
)
def test_a_backbone_that_fails_is_named(
    registry: Registry, tmp_path: Path, fault: str, message: str
) -> None:
    told = fault_of(registry, tmp_path, {"nets": {"fault": fault}})
    assert told.startswith("backbone 'nets' (medscale-nets 1.2.0) ")
    assert message in told


def test_a_wrong_signature_is_named(registry: Registry, tmp_path: Path) -> None:
    told = fault_of(registry, tmp_path, {}, arms="blunt")
    assert told.startswith("augmenter 'blunt' (medscale-blunt 1.2.0) failed in __init__(config, ")
    told = fault_of(registry, tmp_path, {}, backbones="narrow")
    assert told.startswith(
        "backbone 'narrow' (medscale-narrow 1.2.0) cannot be used: build() cannot be called with "
        "in_channels, out_channels, spatial_shape: got an unexpected keyword argument"
    )


@pytest.mark.parametrize(
    ("changes", "kind", "member"),
    [
        ({"dataset": "hollow"}, "dataset", "tasks"),
        ({"backbones": "hollow"}, "backbone", "build"),
        ({"arms": "none,hollow"}, "augmenter", "fit"),
        ({"recipe": "hollow"}, "recipe", "run"),
        # That the option of an augmenter names.
        ({"arms": "survey"}, "registrar", "register"),
    ],
)
def test_what_a_plugin_lacks_of_its_protocol_is_told_before_any_image_is_prepared(
    registry: Registry, tmp_path: Path, changes: dict[str, str], kind: str, member: str
) -> None:
    told = fault_of(registry, tmp_path, {}, **changes)
    assert told.startswith(
        f"{kind} 'hollow' (medscale-hollow 1.2.0) cannot be used: it lacks {member}, which every "
        f"{kind} needs ("
    )
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "plugins", "message"),
    [
        ({"dataset": "acme"}, {"acme": {"fault": "twins"}}, "two cases of dataset 'acme' .*'c0'"),
        (
            {"dataset": "needy"},
            {},
            r"dataset 'needy' \(medscale-needy 1.2.0\) needs its option site: give it with "
            "--set needy.site=VALUE",
        ),
    ],
)
def test_what_a_user_can_mend_names_the_data_set(
    registry: Registry,
    tmp_path: Path,
    changes: dict[str, str],
    plugins: dict[str, Any],
    message: str,
) -> None:
    from medscale.errors import MedscaleError

    config = validate(
        StudyConfig,
        {
            "arms": "none",
            "backbones": "nets",
            "recipe": "segmentation",
            "sizes": "1",
            "plugins": plugins,
            **changes,
        },
        "study",
    )
    with pytest.raises(MedscaleError, match=message) as caught:
        resolve(
            config,
            registry,
            data=None,
            cache=tmp_path,
            progress=lambda done, total: None,
            log=lambda message: None,
        )
    assert not isinstance(caught.value, PluginError)


@pytest.mark.parametrize("shape", [(32, 32), (512, 512)])
@pytest.mark.parametrize("fault", ["", "numpy"])
def test_a_good_network_is_counted_whatever_its_size(shape: tuple[int, ...], fault: str) -> None:
    assert 32 * 32 < _QUICK < 512 * 512
    options = FaultOptions(fault=fault)
    state = torch.get_rng_state()
    nets = Nets(options, PluginContext())
    assert try_network(Plugin(NETS, "1", Nets, FaultOptions), nets, 1, shape) == 2
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("fault", ["channels", "forward", "build"])
def test_a_large_shape_hides_no_fault(fault: str) -> None:
    nets = Nets(FaultOptions(fault=fault), PluginContext())
    with pytest.raises(PluginError, match="backbone 'nets'"):
        try_network(Plugin(NETS, "1", Nets, FaultOptions), nets, 1, (512, 512))


def test_a_shape_that_is_refused_is_the_user_s_to_change() -> None:
    class Picky(Nets):
        def build(self, **asked: Any) -> Any:
            raise ConfigError("a multiple of 32")

    picky = Picky(FaultOptions(), PluginContext())
    with pytest.raises(ConfigError, match="a multiple of 32"):
        try_network(Plugin(NETS, "1", Picky, FaultOptions), picky, 1, (512, 512))
