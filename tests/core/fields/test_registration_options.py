"""Options that augmenters with registered pairs share."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from medscale.config import named_plugins, validate
from medscale.errors import ConfigError
from medscale.fields.options import RegistrationOptions


class MineOptions(RegistrationOptions):
    """Options of an augmenter that adds its own."""

    mine: int = Field(default=1, ge=1, description="of this augmenter alone")


def test_an_augmenter_adds_its_own_options() -> None:
    options = validate(MineOptions, {"mine": "2", "window": "0.3", "gate": {"least_gain": 0}}, "my")
    assert (options.mine, options.window, options.gate.least_gain) == (2, 0.3, 0)
    assert named_plugins(MineOptions) == {"registrar": "registrar"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extent_min": 1, "extent_max": 0}, r"extent_max is 0, expected at least extent_min, 1$"),
        ({"extent_min": 3}, r"extent_max is 2, expected at least extent_min, 3$"),
        ({"extent_max": "inf"}, r"option my\.extent_max got 'inf'"),
        ({"targets_per_source": 0}, r"option my\.targets_per_source got 0"),
        ({"window": 1.1}, r"option my\.window got 1\.1"),
        ({"alignment": "rigid"}, r"option my\.alignment got 'rigid'"),
        ({"prob": -0.1}, r"option my\.prob got -0\.1"),
        ({"grid": 7}, r"option my\.grid got 7"),
        ({"gate": {"least_gian": 1}}, r"my\.gate\.least_gian: did you mean least_gain"),
        ({"mien": 1}, r"my\.mien: did you mean mine"),
    ],
)
def test_impossible_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(MineOptions, options, "my")


def test_a_range_of_one_extent_is_a_range() -> None:
    assert MineOptions(extent_min=0.5, extent_max=0.5).extent_max == 0.5


def test_every_option_is_described() -> None:
    for name, option in RegistrationOptions.model_fields.items():
        assert option.description, name
