"""LDDMM keeps medscale's contracts."""

from typing import ClassVar

from medscale.testing import RegistrarTests, SpecTests
from medscale_registrar_lddmm.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestPlane(RegistrarTests):
    spec = SPEC
    shapes = ((48, 40),)


class TestVolume(RegistrarTests):
    spec = SPEC
    options: ClassVar = {"frequencies": 5, "iterations": (12,)}
    shapes = ((16, 12, 14),)
