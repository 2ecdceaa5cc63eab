"""Named sets of defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # For one's own data on one's own machine: what the option models say.
    "default": {},
    # Chu et al. 2025, section 2. What the paper leaves open (the probabilities of the baseline
    # augmentation, the shares of the split) stays at the options' defaults.
    "paper": {
        "replicates": "20,16:10",
        "prepare": {"shape": 512, "intensity": "minmax"},
        "split": {"max_validation": None},
        "train": {
            "budget": "epochs",
            "amount": 50,
            "batch_size": 8,
            "learning_rate": 1e-4,
            "warmup": 0.1,
            "loss": "bce",
            "selection": "bce",
            "patience": 10,
            "initialisation": "xavier",
            "start_at_prior": False,
        },
    },
}
