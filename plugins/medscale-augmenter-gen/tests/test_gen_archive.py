"""A generator is trained once: shared, resumed after a kill to the bit, and checked when read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from gen_toys import fields, gen, pool

from medscale.errors import StoreError
from medscale_augmenter_gen.trainer import Trainer

KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from gen_toys import gen, pool

def progress(what, share):
    if what == "generator" and share > {share}:
        os.kill(os.getpid(), signal.SIGKILL)

gen(Path({folder!r}), progress=progress).fit(pool())
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sum in one order, as the process that is killed does and as workers do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _generators(folder: Path) -> list[Path]:
    return sorted((folder / "generators").iterdir())


@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path, share: float) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    gen(whole).fit(pool())
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(broken), share=share)
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    (folder,) = _generators(broken)
    assert not (folder / "commit.json").exists()
    assert (folder / "checkpoint.safetensors").exists() == (share > 0.1)
    begun: list[float] = []
    gen(broken, progress=lambda what, at: begun.append(at) if what == "generator" else None).fit(
        pool()
    )
    assert begun[0] >= share - 0.1
    (expected,) = _generators(whole)
    for name in ("generator.safetensors", "training.json", "commit.json"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert not (folder / "checkpoint.safetensors").exists()


def test_the_generator_belongs_to_the_pool_not_to_the_subset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = gen(tmp_path)
    first.fit(pool([0, 1, 2]))
    monkeypatch.setattr(Trainer, "train", None)
    # Another size, another replicate, and the same pool in another order of its rows.
    second = gen(tmp_path)
    second.fit(pool([1, 6, 7, 4]))
    assert len(_generators(tmp_path)) == 1
    assert (fields(first, [1]) == fields(second, [1])).all()


def test_a_generator_without_external_images_belongs_to_the_subset(tmp_path: Path) -> None:
    for subset in ([0, 1, 2], [0, 1, 3], [2, 1, 0]):
        gen(tmp_path, targets="subset").fit(pool(subset))
    assert len(_generators(tmp_path)) == 2


def test_two_at_once_train_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, train = [], Trainer.train

    def counted(self: Trainer, facts: dict[str, object]) -> None:
        trained.append(1)
        train(self, facts)

    monkeypatch.setattr(Trainer, "train", counted)
    augmenters = [gen(tmp_path) for _ in range(2)]
    threads = [threading.Thread(target=each.fit, args=(pool(),)) for each in augmenters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 1
    assert (fields(augmenters[0], [0]) == fields(augmenters[1], [0])).all()


@pytest.mark.parametrize("name", ["generator.safetensors", "training.json", "commit.json"])
@pytest.mark.parametrize("how", ["flip", "cut", "delete"])
def test_damage_is_found_and_named(tmp_path: Path, name: str, how: str) -> None:
    gen(tmp_path).fit(pool())
    (folder,) = _generators(tmp_path)
    data = (folder / name).read_bytes()
    if how == "delete":
        os.unlink(folder / name)
    elif how == "cut":
        (folder / name).write_bytes(data[: len(data) // 2])
    else:
        middle = len(data) // 2
        (folder / name).write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    if (name, how) == ("commit.json", "delete"):
        # Never committed, as far as anybody can tell: trained anew.
        gen(tmp_path).fit(pool())
        assert (folder / name).read_bytes() == data
        return
    # With another hash in commit.json it is the file of that hash that does not fit.
    named = "generator.safetensors" if (name, how) == ("commit.json", "flip") else name
    with pytest.raises(StoreError, match=f"{named} is not as it was written: delete"):
        gen(tmp_path).fit(pool())


def test_a_checkpoint_that_is_none_is_started_over(tmp_path: Path) -> None:
    gen(tmp_path / "whole").fit(pool())
    (expected,) = _generators(tmp_path / "whole")
    folder = tmp_path / "other" / "generators" / expected.name
    folder.mkdir(parents=True)
    (folder / "checkpoint.safetensors").write_bytes(b"\0" * 100)
    gen(tmp_path / "other").fit(pool())
    name = "generator.safetensors"
    assert (folder / name).read_bytes() == (expected / name).read_bytes()
