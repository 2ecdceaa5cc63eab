"""The data set keeps medscale's contracts."""

from medscale.testing import DatasetTests, SpecTests
from plugin_module.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestDataset(DatasetTests):
    """A set that reads files also overrides the fixture `data`: it writes a small imitation of
    the official layout to `tmp_path` and returns that folder."""

    spec = SPEC
