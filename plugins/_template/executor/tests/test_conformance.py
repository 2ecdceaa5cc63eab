"""The executor keeps medscale's contracts."""

from medscale.testing import ExecutorTests, SpecTests
from plugin_module.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestExecutor(ExecutorTests):
    spec = SPEC
