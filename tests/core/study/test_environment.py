"""Where a run is, and on what."""

from __future__ import annotations

import pytest

from medscale.errors import ConfigError
from medscale.study.environment import (
    available_cpus,
    check_device,
    find_device,
)


@pytest.mark.parametrize("allotted", ["", "0", "many", "100000"])
def test_all_processors_of_this_process(allotted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    every = available_cpus()
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", allotted)
    assert available_cpus() == every >= 1


def test_no_more_processors_than_a_job_was_allotted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert available_cpus() == 1


def test_devices() -> None:
    assert find_device("cpu") == "cpu"
    assert find_device("auto") in ("cpu", "cuda")
    for name in ("gpu", "meta", "cuda:99", ""):
        with pytest.raises(ConfigError, match=f"--device got {name!r}.*give cpu, cuda"):
            find_device(name)


def test_another_machine_may_have_a_device_that_this_one_lacks() -> None:
    for name in ("cpu", "auto", "cuda", "cuda:99"):
        check_device(name)
    for name in ("gpu", "meta"):
        with pytest.raises(ConfigError, match=f"--device got {name!r}"):
            check_device(name)
