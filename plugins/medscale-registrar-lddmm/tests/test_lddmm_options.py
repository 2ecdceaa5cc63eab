"""Options of `lddmm`: what is refused, and how lists are given."""

from __future__ import annotations

from typing import Any

import pytest

from medscale.config import validate
from medscale.errors import ConfigError
from medscale.protocols import PluginContext
from medscale_registrar_lddmm.config import LDDMMOptions
from medscale_registrar_lddmm.registrar import LDDMM


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarity": "mi"}, r"lddmm\.similarity got 'mi'"),
        ({"weight": 0}, r"lddmm\.weight got 0"),
        ({"weight": "nan"}, r"lddmm\.weight got 'nan'"),
        ({"widths": ()}, r"lddmm\.widths got \(\)"),
        ({"widths": (0.1, -0.2, 0.3)}, r"lddmm\.widths got .*above 0"),
        ({"widths": (0.1, 0.2)}, r"lddmm\.width_weights got 3 weights for 2 lddmm\.widths"),
        ({"frequencies": 1}, r"lddmm\.frequencies got 1"),
        ({"resolution": 8}, r"lddmm\.resolution got 8"),
        ({"iterations": "40,many"}, r"lddmm\.iterations\.1 got 'many'"),
        ({"iterations": (0,)}, r"lddmm\.iterations got .*above 0"),
        ({"steps": 1}, r"lddmm\.steps got 1"),
        ({"step": 3}, r"unknown option lddmm\.step: did you mean steps"),
    ],
)
def test_impossible_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        LDDMM(validate(LDDMMOptions, options, "lddmm"), PluginContext())
    assert "\n" not in str(caught.value)


def test_lists_are_given_with_commas() -> None:
    given_as_text = validate(
        LDDMMOptions,
        {"iterations": "20, 10", "widths": "0.1", "width_weights": 1},
        "lddmm",
    )
    assert given_as_text.iterations == (20, 10)
    assert given_as_text.widths == (0.1,)
    assert given_as_text.width_weights == (1,)
