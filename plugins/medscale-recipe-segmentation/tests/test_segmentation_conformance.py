"""The segmentation recipe keeps medscale's contracts."""

from medscale.testing import RecipeTests, SpecTests
from medscale_recipe_segmentation.spec import SPEC


class TestSpec(SpecTests):
    spec = SPEC


class TestRecipe(RecipeTests):
    spec = SPEC
    shapes = ((16, 16), (8, 8, 8))
