"""The executor keeps medscale's contracts, with a stand-in for SLURM and with a real one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest

from medscale.testing import ExecutorTests, SpecTests
from medscale_executor_slurm.spec import SPEC


def has_slurm() -> bool:
    """Return whether a SLURM answers on this machine."""
    if not all(shutil.which(command) for command in ("sbatch", "squeue", "scancel", "sinfo")):
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=60, check=False).returncode == 0


class TestSpec(SpecTests):
    spec = SPEC


class TestWithStandIn(ExecutorTests):
    spec = SPEC
    options: ClassVar[dict[str, Any]] = {"poll": 0.2}

    @pytest.fixture(autouse=True)
    def _slurm(self, slurm: Path) -> None:
        """Put the stand-in first on PATH."""


@pytest.mark.skipif(not has_slurm(), reason="no SLURM answers on this machine")
class TestWithSlurm(ExecutorTests):
    spec = SPEC
    options: ClassVar[dict[str, Any]] = {"poll": 1.0}
