"""Options of training and of the baseline augmentation."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from medscale.config import Options

TENTH_OF_PI = math.pi / 10


class TrainingOptions(Options):
    """How a network is trained; the defaults are for one's own data on one's own machine."""

    budget: Literal["steps", "epochs", "samples"] = Field(
        default="steps",
        description="what `amount` counts: optimiser steps, passes over the training subset, or "
        "images seen (published: epochs, by which small subsets get few steps)",
    )
    amount: int = Field(default=500, ge=1, description="length of the training (published: 50)")
    batch_size: int = Field(default=8, ge=1, description="images per step")
    learning_rate: float = Field(
        default=3e-3,
        gt=0,
        description="peak of Adam's learning rate (published: 1e-4); 3e-3 was chosen on phantoms",
    )
    warmup: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="share of the training over which the learning rate rises linearly, before "
        "it falls along a cosine (published: 5 of 50 epochs)",
    )
    loss: Literal["bce", "bce_dice"] = Field(
        default="bce_dice",
        description="binary cross-entropy, alone (published) or plus soft Dice, which keeps small "
        "structures from being ignored",
    )
    selection: Literal["bce", "dice"] = Field(
        default="dice",
        description="validation score that chooses the checkpoint: least BCE (published), which "
        "can prefer an all-background network, or highest Dice",
    )
    validations: int = Field(
        default=10,
        ge=1,
        description="validations per training, evenly spaced; a budget of epochs validates after "
        "each epoch instead",
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="validations without improvement after which training stops; 0 never stops "
        "early (published: 10)",
    )
    initialisation: Literal["xavier", "network"] = Field(
        default="network",
        description="initial weights of convolutions and linear layers: Xavier uniform "
        "(published), or as the network's code draws them, with which short trainings of narrow "
        "networks got further on phantoms",
    )
    start_at_prior: bool = Field(
        default=True,
        description="let the untrained network guess the training subset's share of foreground "
        "everywhere, instead of one half (published: not mentioned, false)",
    )


class AugmentationOptions(Options):
    """The baseline augmentation that every arm gets, in one resampling step.

    Chu et al. 2025, section 2, name the ranges; the probabilities are unpublished and ours.
    """

    flip: float = Field(default=0.5, ge=0, le=1, description="probability of a flip, per axis")
    affine: float = Field(
        default=0.5, ge=0, le=1, description="probability of rotation, scaling and shear, together"
    )
    rotation: float = Field(
        default=TENTH_OF_PI, ge=0, le=math.pi, description="largest rotation, radians (pi/10)"
    )
    scale: float = Field(
        default=0.1, ge=0, lt=1, description="largest change of size, as a share (0.9 to 1.1)"
    )
    shear: float = Field(
        default=TENTH_OF_PI, ge=0, lt=math.pi / 2, description="largest shear, radians (pi/10)"
    )
    intensity: float = Field(
        default=0.5, ge=0, le=1, description="probability of the intensity change"
    )
    histogram: Literal["offset", "curve"] = Field(
        default="offset",
        description="reading of the published 'histogram shifting (±0.2)', which is ambiguous: "
        "add one number to the image, or bend its intensities along a random rising curve whose "
        "ten knots are moved",
    )
    amplitude: float = Field(
        default=0.2, ge=0, le=1, description="largest intensity shift, on the scale [0, 1]"
    )
