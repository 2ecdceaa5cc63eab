"""GenDA deforms as it has learned to: whom, how far, how variedly, and never folded by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gen_toys import COUNT, OPEN, SHAPE, Quadrants, batch, fields, gen, pool
from scipy import stats
from torch import Tensor

from medscale.config import validate
from medscale.errors import ConfigError, DataError
from medscale.fields.jacobian import jacobian_determinant
from medscale.testing.images import blobs
from medscale_augmenter_gen.config import GenOptions
from medscale_augmenter_gen.networks import Generator
from medscale_augmenter_gen.trainer import Trainer

BOTH = pytest.mark.parametrize("parameterization", ["momentum", "displacement"])


@BOTH
def test_noise_decides_what_is_generated(tmp_path: Path, parameterization: str) -> None:
    augmenter = gen(tmp_path, parameterization=parameterization)
    augmenter.fit(pool())
    field = fields(augmenter, [0] * 6)
    assert torch.pdist(field.flatten(1)).min() > 0.01
    assert torch.equal(field, fields(augmenter, [0] * 6))
    assert not torch.equal(field, fields(augmenter, [0] * 6, seed=1))


@BOTH
def test_what_is_generated_is_as_long_and_varied_as_what_was_registered(
    tmp_path: Path, parameterization: str
) -> None:
    augmenter = gen(tmp_path, parameterization=parameterization, training={"iterations": 400})
    augmenter.fit(pool())
    facts = augmenter.describe()
    assert facts["pairs"] == facts["used"] == COUNT * (COUNT - 1)
    assert 0.5 < facts["spread"] < 1.5
    assert 0.5 < facts["length"] < 1.5
    assert facts["variance kept"] == pytest.approx(1, abs=1e-4)


@BOTH
def test_the_extent_scales_the_deformation(tmp_path: Path, parameterization: str) -> None:
    view, made = pool(), []
    for extent in (1.0, 0.25):
        augmenter = gen(
            tmp_path, parameterization=parameterization, extent_min=extent, extent_max=extent
        )
        augmenter.fit(view)
        made.append(fields(augmenter, [0, 1, 2]))
    # The toy registrar is linear, so a quarter of the code is a quarter of the displacement.
    torch.testing.assert_close(made[0] / 4, made[1], atol=1e-5, rtol=1e-4)


def test_extents_are_uniform(tmp_path: Path) -> None:
    whole, some = (gen(tmp_path, extent_min=least, extent_max=1.0) for least in (1.0, 0.0))
    for augmenter in (whole, some):
        augmenter.fit(pool())
    lengths = [fields(each, [0] * 1000).flatten(1).norm(dim=1) for each in (some, whole)]
    assert stats.kstest(lengths[0] / lengths[1], "uniform").pvalue > 0.01


def test_each_sample_is_deformed_with_that_probability(tmp_path: Path) -> None:
    often, always = (gen(tmp_path, prob=prob) for prob in (0.3, 1.0))
    for augmenter in (often, always):
        augmenter.fit(pool())
    field, every = (fields(each, [0] * 1000) for each in (often, always))
    moved = field.flatten(1).any(1)
    assert float(moved.float().mean()) == pytest.approx(0.3, abs=0.05)
    # What is left alone by chance shifts nobody's stream.
    torch.testing.assert_close(field[moved], every[moved])


def test_a_batch_gives_what_its_samples_give(tmp_path: Path) -> None:
    augmenter = gen(tmp_path)
    augmenter.fit(pool())
    features = torch.stack([augmenter._features[100 + number] for number in (0, 1, 2)])
    assert augmenter._trained is not None
    components = len(augmenter._trained.vectors)
    noise = torch.randn(3, components, generator=torch.Generator().manual_seed(0))
    extents = torch.ones(3)
    together = augmenter._trained.deformations(features, noise, extents)
    alone = [
        augmenter._trained.deformations(features[[row]], noise[[row]], extents[[row]])
        for row in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(
    ("shape", "grid"), [((128, 128), (32, 32)), ((96, 80), (36, 30)), ((20, 16), (20, 16))]
)
def test_displacements_are_in_pixels_of_the_image(
    tmp_path: Path, shape: tuple[int, int], grid: tuple[int, int]
) -> None:
    lengths = []
    for parameterization in ("momentum", "displacement"):
        augmenter = gen(tmp_path, parameterization=parameterization, extent_min=1, extent_max=1)
        images = blobs(shape, COUNT)[0]
        augmenter.fit(pool(images=images))
        many = batch([0, 1] * 200).replace(images=images[[0, 1] * 200], masks=images[[0, 1] * 200])
        made = augmenter.displacements(many, torch.Generator().manual_seed(0))
        assert made.shape == (400, 2, *grid)
        lengths.append(float(made.square().mean().sqrt()) / max(shape))
    # Both have learned from the same registrations.
    assert 0.002 < lengths[0] < 0.5
    assert lengths[1] == pytest.approx(lengths[0], rel=0.2)


def test_folds_are_unlearned_where_fields_are_generated(tmp_path: Path) -> None:
    class Folding(Quadrants):
        def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
            return 8 * super().displacement(codes=codes, shape=shape)

    shares = []
    for weight in (0.0, 1000.0):
        augmenter = gen(
            tmp_path,
            parameterization="displacement",
            extent_min=1,
            training={"folding": weight, "iterations": 600},
        )
        object.__setattr__(augmenter.registration.registrar, "plugin", Folding())
        augmenter.fit(pool())
        features = torch.stack([augmenter._features[100 + number] for number in (0, 1, 2)])
        assert augmenter._trained is not None
        components = len(augmenter._trained.vectors)
        noise = torch.randn(300, components, generator=torch.Generator().manual_seed(0))
        made = augmenter._trained.deformations(features.repeat(100, 1), noise, torch.ones(300))
        shares.append(float((jacobian_determinant(made) <= 0).float().mean()))
        # Those that fold all the same go less far.
        assert (jacobian_determinant(fields(augmenter, [0, 1, 2] * 100)) > 0).all()
    assert shares[1] < shares[0] / 2


@pytest.mark.parametrize("images", [1, 2])
def test_where_no_two_images_differ_nothing_is_deformed(tmp_path: Path, images: int) -> None:
    said: list[str] = []
    augmenter = gen(tmp_path, log=said.append)
    augmenter.fit(pool([0], images=blobs(SHAPE, 1)[0].expand(images, -1, *SHAPE)))
    assert not fields(augmenter, [0, 0]).any()
    assert augmenter.describe()["pairs"] == 0
    assert len(said) == 1
    assert "gen leaves 1 of 1 training images undeformed" in said[0]


def test_where_the_gate_lets_nothing_through_nothing_is_deformed(tmp_path: Path) -> None:
    augmenter = gen(tmp_path, gate=OPEN | {"least_similarity": 1})
    augmenter.fit(pool())
    assert not fields(augmenter, [0, 1]).any()
    assert augmenter.describe()["turned away"] == {"least_similarity": COUNT * (COUNT - 1)}


def test_two_images_are_enough(tmp_path: Path) -> None:
    augmenter = gen(tmp_path, targets="subset")
    augmenter.fit(pool([2, 5]))
    assert augmenter.describe()["pairs"] == 2
    assert fields(augmenter, [2, 5]).flatten(1).any(1).all()


def test_a_generator_that_collapsed_is_refused_and_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    forward = Generator.forward

    def deaf(self: Generator, features: Tensor, noise: Tensor) -> Tensor:
        return forward(self, features, torch.ones_like(noise))

    monkeypatch.setattr(Generator, "forward", deaf)
    hopeless: dict[str, Any] = {"attempts": 2}
    with pytest.raises(DataError, match=r"collapsed with each of 2 seeds \(spread 0\.00"):
        gen(tmp_path, log=said.append, training=hopeless).fit(pool())
    assert len(said) == 1
    assert "trying seed 2 of 2" in said[0]
    monkeypatch.setattr(Trainer, "train", None)
    with pytest.raises(DataError, match="collapsed"):
        gen(tmp_path, training=hopeless).fit(pool())


def test_a_collapsed_generator_is_retried_with_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([0.0, 0.9])
    monkeypatch.setattr("medscale_augmenter_gen.trainer._ROUNDS", 1)
    monkeypatch.setattr(Trainer, "_judge", lambda *_: {"spread": next(verdicts), "length": 1.0})
    augmenter = gen(tmp_path)
    augmenter.fit(pool())
    assert augmenter.describe()["spread"] == 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extent_min": 1, "extent_max": 0}, r"extent_max is 0, expected at least extent_min, 1"),
        ({"parameterization": "velocity"}, r"gen\.parameterization got 'velocity'"),
        ({"targets": "external"}, r"gen\.targets got 'external'"),
        ({"training": {"iteration": 1}}, r"gen\.training\.iteration: did you mean iterations"),
        ({"training": {"attempts": 0}}, r"gen\.training\.attempts got 0"),
    ],
)
def test_impossible_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(GenOptions, options, "gen")
