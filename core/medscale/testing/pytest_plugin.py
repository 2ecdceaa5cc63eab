"""What pytest loads by itself in every environment with medscale; imports pytest alone."""

from __future__ import annotations

import pytest

# Without this, a failed assertion of the kit would show no values: pytest rewrites assertions
# of test files only. It has to happen before the modules are imported for the first time.
pytest.register_assert_rewrite(
    "medscale.testing.augmenter",
    "medscale.testing.backbone",
    "medscale.testing.base",
    "medscale.testing.dataset",
    "medscale.testing.executor",
    "medscale.testing.images",
    "medscale.testing.recipe",
    "medscale.testing.registrar",
    "medscale.testing.spec",
    "medscale.testing.state",
)
