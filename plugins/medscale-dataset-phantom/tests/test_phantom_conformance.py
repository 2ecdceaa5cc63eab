"""Every variant of the phantom keeps medscale's contracts."""

from typing import ClassVar

from medscale.testing import DatasetTests, SpecTests
from medscale_dataset_phantom.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestCardiac(DatasetTests):
    spec = SPEC
    options: ClassVar = {"subjects": 5, "size": 64}


class TestThorax(DatasetTests):
    spec = SPEC
    options: ClassVar = {"subjects": 5, "size": 64, "variant": "thorax"}


class TestFundus(DatasetTests):
    spec = SPEC
    options: ClassVar = {"subjects": 5, "size": 64, "variant": "fundus", "images_per_subject": 2}
