"""Demons keep medscale's contracts."""

from typing import ClassVar

from medscale.testing import RegistrarTests, SpecTests
from medscale_registrar_demons.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestRegistrar(RegistrarTests):
    spec = SPEC
    options: ClassVar = {"levels": 2, "iterations": 20}
    shapes = ((32, 24), (12, 12, 12))
