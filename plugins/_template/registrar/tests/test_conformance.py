"""The registrar keeps medscale's contracts."""

from medscale.testing import RegistrarTests, SpecTests
from plugin_module.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestRegistrar(RegistrarTests):
    spec = SPEC
    shapes = ((32, 24), (12, 12, 12))
