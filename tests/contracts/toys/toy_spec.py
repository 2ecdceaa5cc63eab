"""A good distribution, and one bad one for each promise of packaging, spec and options."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from medscale import discovery
from medscale.testing import SpecTests

_ROOT = Path(tempfile.mkdtemp(prefix="medscale-toys-"))
atexit.register(shutil.rmtree, _ROOT, ignore_errors=True)
sys.path.insert(0, str(_ROOT))

_FILES: Mapping[str, str] = {
    "package/__init__.py": "",
    "package/py.typed": "",
    "package/spec.py": """
from medscale.spec import PluginSpec

SPEC = PluginSpec(
    kind="augmenter",
    name="NAME",
    summary="A toy",
    api=1,
    target="medscale_augmenter_NAME.augmenter:Toy",
    config="medscale_augmenter_NAME.config:ToyOptions",
    requires=(),
)
""",
    "package/config.py": """
from pydantic import Field, BaseModel
from medscale.config import Options

class ToyOptions(Options):
    share: float = Field(default=0.5, description="share of images that are changed")
    switch: bool = Field(default=True, description="whether it does anything")
    range: tuple[float, float] = Field(default=(0, 1), description="smallest and largest, voxels")
""",
    "package/augmenter.py": """
from __future__ import annotations
from typing import TYPE_CHECKING
import torch
if TYPE_CHECKING:
    import nibabel

class Toy:
    def __init__(self, config, context):
        try:
            import monai
        except ImportError:
            pass

    def fit(self, view):
        import monai

    def augment(self, batch, generator):
        return batch
""",
    "dist-info/METADATA": "Metadata-Version: 2.1\nName: medscale-augmenter-DASHED\nVersion: 1.0\n",
    "dist-info/entry_points.txt": (
        "[medscale.augmenters]\nNAME = medscale_augmenter_NAME.spec:SPEC\n"
    ),
}


def _toy(name: str, *breaks: str, **edits: tuple[str, str] | None) -> None:
    """Write a distribution and make its test class.

    Args:
        name: Of the plugin.
        breaks: Names of the standard tests that have to fail; none for a good one.
        edits: By the first word of a file's name: what to replace by what in it; None removes it.
    """
    files = dict(_FILES)
    for place, edit in edits.items():
        [key] = [file for file in files if Path(file).stem.strip("_") == place]
        text = files.pop(key)
        if edit is not None:
            assert edit[0] in text
            files[key] = text.replace(*edit) if edit[0] else edit[1]
    folders = {"package": f"medscale_augmenter_{name}", "dist-info": f"toy_{name}-1.0.dist-info"}
    for key, text in files.items():
        folder, file = key.split("/")
        path = _ROOT / folders[folder] / file
        path.parent.mkdir(exist_ok=True)
        filled = text.replace("NAME", name).replace("DASHED", name.replace("_", "-"))
        path.write_text(filled, encoding="utf-8")
    spec = discovery.find_object(f"medscale_augmenter_{name}.spec:SPEC")
    title = f"Test{name.title().replace('_', '')}"
    globals()[title] = type(title, (SpecTests,), {"spec": spec, "breaks": breaks})


_toy("good")
_toy("in_two_words")
_toy(
    "other_spec",
    "test_entry_point_gives_the_spec",
    spec=("SPEC =", "SPEC2 = 1\nSPEC ="),
    entry_points=(":SPEC", ":SPEC2"),
)
_toy("missing_module", "test_medscale_lists_it_as_ok", spec=("requires=()", 'requires=("nope",)'))
_toy(
    "other_distribution",
    "test_names_follow_the_rule",
    METADATA=("medscale-augmenter-DASHED", "my-augmenter"),
)
_toy(
    "other_module",
    "test_names_follow_the_rule",
    spec=("medscale_augmenter_NAME.config:ToyOptions", "toys.config:ToyOptions"),
)
_toy(
    "heavy",
    "test_importing_the_spec_is_light",
    spec=("from medscale.spec", "import numpy\nfrom medscale.spec"),
)
_toy(
    "heavy_init",
    "test_importing_the_spec_is_light",
    "test_package_init_is_empty",
    init=("", "import pydantic\n"),
)
_toy("init_with_code", "test_package_init_is_empty", init=("", '"""Toy."""\nimport json\n'))
_toy(
    "any_api",
    "test_api_is_a_literal",
    spec=("api=1", 'api=__import__("medscale.spec").spec.PLUGIN_API'),
)
_toy("old_api", "test_api_is_a_literal", "test_medscale_lists_it_as_ok", spec=("api=1", "api=0"))
_toy("no_summary", "test_summary_is_one_line", spec=("A toy", " "))
_toy("long_summary", "test_summary_is_one_line", spec=('"A toy"', '"A toy " * 20'))
_toy("two_lines", "test_summary_is_one_line", spec=("A toy", "A\\ntoy"))
_toy("untyped", "test_package_is_typed", py=None)
_toy(
    "silent_need",
    "test_requires_names_what_may_be_missing",
    augmenter=("import torch\n", "import torch\nimport monai.transforms\n"),
)
_toy(
    "dotted",
    "test_requires_names_what_may_be_missing",
    spec=("requires=()", 'requires=("monai.transforms",)'),
)
_toy("plain_model", "test_config_is_a_strict_options_model", config=("(Options)", "(BaseModel)"))
_toy(
    "lenient_model",
    "test_config_is_a_strict_options_model",
    config=("(Options):", '(Options, extra="ignore"):'),
)
_toy(
    "mutable_model",
    "test_config_is_a_strict_options_model",
    config=("(Options):", "(Options, frozen=False):"),
)
_toy("no_default", "test_config_has_defaults", config=("default=0.5, ", ""))
_toy(
    "undescribed",
    "test_every_option_is_described",
    config=(', description="whether it does anything"', ""),
)
_toy("infinite", "test_options_survive_json", config=("default=0.5", 'default=float("inf")'))
_toy(
    "strict", "test_options_are_read_from_strings", config=("(Options):", "(Options, strict=True):")
)
_toy("no_context", "test_class_takes_config_and_context", augmenter=("config, context", "config"))
_toy(
    "any_arguments",
    "test_class_takes_config_and_context",
    augmenter=("config, context", "*arguments"),
)
_toy(
    "other_parameter",
    "test_methods_have_the_protocols_parameters",
    augmenter=("batch, generator", "batch, rng"),
)
_toy(
    "keywords",
    "test_methods_have_the_protocols_parameters",
    augmenter=("batch, generator", "batch, generator, **more"),
)
_toy(
    "positional_only",
    "test_methods_have_the_protocols_parameters",
    augmenter=("batch, generator", "batch, generator, /"),
)
_toy("guards_itself", "test_standard_tests_are_not_overridden")
globals()["TestGuardsItself"].test_package_is_typed = None
