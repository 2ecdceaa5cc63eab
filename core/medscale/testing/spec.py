"""The contract of every plugin's packaging, spec and options, as tests."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medscale import discovery, protocols
from medscale.config import Options, validate
from medscale.identity import content_key
from medscale.registry import OK, Registry
from medscale.spec import PLUGIN_API
from medscale.testing.base import ConformanceTests, members

HEAVY = (
    *("torch", "numpy", "numba", "pydantic", "monai"),
    *("zarr", "scipy", "pandas", "matplotlib", "typer"),
)
"""What no spec may import: `medscale list` would wait for it."""

ALWAYS_THERE = frozenset(
    {"filelock", "jinja2", "matplotlib", "medscale", "numba", "numpy", "pandas", "platformdirs"}
    | {"pooch", "pyarrow", "pydantic", "rich", "scipy", "stevedore", "tomli_w", "torch", "typer"}
    | {"zarr"}
)
"""Top-level modules that come with medscale, so that no plugin has to list them in `requires`."""


class SpecTests(ConformanceTests):
    """Subclass with `spec`; the distribution has to be installed (`pip install -e .`)."""

    @pytest.fixture
    def found(self) -> discovery.Found:
        """The entry point of the plugin."""
        kind, name = self.spec.kind, self.spec.name
        rows = [row for row in discovery.find() if (row.kind, row.name) == (kind, name)]
        assert rows, (
            f"no entry point {name!r} in the group medscale.{kind}s: declare it in pyproject.toml "
            "and install the distribution again, editable ones too"
        )
        return rows[0]

    @pytest.fixture
    def module(self) -> str:
        """The top-level module of the plugin."""
        return self.spec.target.partition(".")[0].partition(":")[0]

    @pytest.fixture
    def package(self, module: str) -> Path:
        """The folder of that module."""
        found = importlib.util.find_spec(module)
        assert found is not None, f"{module} is not installed"
        assert found.origin is not None, f"{module} has no __init__.py"
        return Path(found.origin).parent

    @pytest.fixture
    def model(self) -> type[Options]:
        """The options model."""
        model: type[Options] = discovery.find_object(self.spec.config)
        return model

    def test_entry_point_gives_the_spec(self, found: discovery.Found) -> None:
        """The installed entry point loads to this very spec.

        How to fix: write `name = "module.spec:SPEC"` under
        `[project.entry-points."medscale.<kind>s"]` and install again: entry points are read from
        what was installed, not from pyproject.toml.
        """
        assert discovery.load(found.kind, found.name) == self.spec

    def test_medscale_lists_it_as_ok(self, found: discovery.Found) -> None:
        """`medscale list` shows the plugin with the status ok.

        How to fix: the message says what is wrong: a name that two distributions declare, a
        module in `requires` that is not installed, another plugin API.
        """
        record = Registry().record(found.kind, found.name)
        assert record.status == OK, f"{record.status}: {record.message}"

    def test_names_follow_the_rule(self, found: discovery.Found, module: str) -> None:
        """The distribution is `medscale-<kind>-<name>`, its module `medscale_<kind>_<name>`.

        One rule for all: whoever sees a plugin's name knows what to install and what to read,
        and no two plugins share a module.

        How to fix: rename the distribution (underscores become dashes) and the package folder,
        and begin target, config and entry point with that module.
        """
        expected = f"medscale_{self.spec.kind}_{self.spec.name}"
        assert found.distribution == expected.replace("_", "-")
        assert module == expected
        assert self.spec.config.startswith((f"{expected}.", f"{expected}:"))
        assert found.value.startswith(f"{expected}.")

    def test_importing_the_spec_is_light(self, found: discovery.Found) -> None:
        """Importing the spec, in a fresh process, imports nothing heavy.

        `medscale list` imports every installed spec and has a third of a second for all.

        How to fix: import only `medscale.spec` in the spec's module, keep the package's
        `__init__.py` empty, and name target and config as strings.
        """
        module = found.value.partition(":")[0]
        code = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert not done.stdout.split(), f"importing {module} imports {done.stdout.strip()}"

    def test_package_init_is_empty(self, package: Path) -> None:
        """The package's `__init__.py` holds nothing but, perhaps, a docstring.

        It runs before the spec does, in every `medscale list`.

        How to fix: move the code to a module of its own.
        """
        body = ast.parse((package / "__init__.py").read_text(encoding="utf-8")).body
        code = [node for node in body if not _is_docstring(node)]
        assert not code, f"code at line {code[0].lineno} of {package.name}/__init__.py"

    def test_api_is_a_literal(self, found: discovery.Found) -> None:
        """The spec writes `api` as the number of the API that it was written for.

        With `api=PLUGIN_API` a plugin would claim to fit every future medscale.

        How to fix: write `api=1`.
        """
        assert self.spec.api == PLUGIN_API
        origin = importlib.util.find_spec(found.value.partition(":")[0])
        assert origin is not None
        assert origin.origin is not None
        tree = ast.parse(Path(origin.origin).read_text(encoding="utf-8"))
        given = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword) and node.arg == "api"
        ]
        assert given, "the spec's module gives no api="
        assert all(isinstance(value, ast.Constant) for value in given), "api is no literal number"

    def test_summary_is_one_line(self) -> None:
        """The summary is one line of at most 100 characters.

        How to fix: say what it is, not how it works; `url` and `citation` hold the rest.
        """
        summary = self.spec.summary
        assert summary.strip(), "no summary"
        assert summary.isprintable(), "the summary has line breaks"
        assert len(summary) <= 100, f"the summary has {len(summary)} characters"

    def test_package_is_typed(self, package: Path) -> None:
        """The package ships `py.typed`.

        Without the marker, type checkers treat everything in it as Any.

        How to fix: add an empty file `py.typed` beside `__init__.py`.
        """
        assert (package / "py.typed").is_file()

    def test_requires_names_what_may_be_missing(self, package: Path) -> None:
        """`requires` holds the modules from elsewhere that the package cannot be imported without.

        They let `medscale list` say "needs monai" instead of failing in the middle of a study.

        How to fix: list each module that comes with neither Python nor medscale, as imported
        ("PIL", not "pillow"), without dots.
        """
        dotted = [name for name in self.spec.requires if "." in name]
        assert not dotted, f"not top-level: {dotted}"
        known = {*sys.stdlib_module_names, *ALWAYS_THERE, *self.spec.requires, package.name}
        imported = {name for path in package.rglob("*.py") for name in _imports(path)}
        assert imported <= known, f"not in requires: {sorted(imported - known)}"

    def test_config_is_a_strict_options_model(self, model: type[Options]) -> None:
        """The options are a `medscale.config.Options`: frozen, unknown keys refused.

        A misspelt option that is silently ignored costs a week of training.

        How to fix: derive from Options and leave `extra` and `frozen` of its model_config alone.
        """
        assert issubclass(model, Options), f"{self.spec.config} is no medscale.config.Options"
        assert model.model_config.get("frozen") is True, "frozen was switched off"
        assert model.model_config.get("extra") == "forbid", "unknown options are not refused"

    def test_config_has_defaults(self, model: type[Options]) -> None:
        """Every option has a default.

        Everything but the data set and the augmentation works without being told.

        How to fix: give the remaining options a default, None included.
        """
        needed = [name for name, field in model.model_fields.items() if field.is_required()]
        assert not needed, f"options without a default: {needed}"

    def test_every_option_is_described(self, model: type[Options]) -> None:
        """Every option has a description, which `medscale describe` prints.

        How to fix: `Field(default=…, description="what it does, with its unit")`.
        """
        silent = [name for name, field in model.model_fields.items() if not field.description]
        assert not silent, f"options without a description: {silent}"

    def test_options_survive_json(self, model: type[Options]) -> None:
        """Options written as JSON and read back are equal.

        They travel to workers as JSON, and a trial's key is a hash of them.

        How to fix: use plain types; no NaN, no infinity, no objects without a JSON form.
        """
        options = model()
        assert model.model_validate_json(options.model_dump_json()) == options
        assert content_key(options.model_dump(mode="json"))

    def test_options_are_read_from_strings(self, model: type[Options]) -> None:
        """Numbers, switches and words given as strings mean the same.

        `--set name.option=value` hands strings to the model.

        How to fix: leave pydantic's coercion on (no strict=True) or add a validator
        with mode="before".
        """
        options = model()
        for name in model.model_fields:
            value = getattr(options, name)
            if type(value) in (bool, int, float, str):
                given = validate(model, {name: str(value)}, self.spec.name)
                assert getattr(given, name) == value, f"{name}={value} is read as another value"

    def test_class_takes_config_and_context(self) -> None:
        """The class can be called with its options and the context, and nothing else.

        How to fix: `def __init__(self, config: MyOptions, context: PluginContext) -> None`.
        """
        target = discovery.find_object(self.spec.target)
        assert inspect.isclass(target), f"{self.spec.target} is no class"
        signature = inspect.signature(target)
        assert not _variadic(signature), "the constructor takes *args or **kwargs"
        try:
            signature.bind(object(), object())
        except TypeError as error:
            pytest.fail(f"{self.spec.target} cannot be called as Class(config, context): {error}")

    def test_methods_have_the_protocols_parameters(self) -> None:
        """Each method takes exactly what its protocol says, by the same names.

        Core calls by name; a `**kwargs` would swallow what a later protocol adds.

        How to fix: copy the signature from `medscale.protocols`; parameters after `*` there may
        not be positional only.
        """
        target = discovery.find_object(self.spec.target)
        for protocol in _relevant(self.spec.kind):
            for name in members(protocol):
                declared = vars(protocol)[name]
                written = getattr(target, name, None)
                if not inspect.isfunction(declared) or not callable(written):
                    continue
                theirs, ours = inspect.signature(written), inspect.signature(declared)
                assert not _variadic(theirs), f"{name} takes *args or **kwargs"
                assert list(theirs.parameters) == list(ours.parameters), (
                    f"{name}{theirs} has other parameters than {protocol.__name__}.{name}{ours}"
                )
                for parameter in theirs.parameters.values():
                    allowed = (
                        ours.parameters[parameter.name].kind,
                        parameter.POSITIONAL_OR_KEYWORD,
                    )
                    assert parameter.kind in allowed, f"{name}: {parameter} is {parameter.kind}"


def _relevant(kind: str) -> list[type]:
    """Return the protocol of a kind and every optional capability."""
    names = [kind.capitalize(), *(name for name in dir(protocols) if name.startswith("Supports"))]
    return [getattr(protocols, name) for name in names]


def _variadic(signature: inspect.Signature) -> bool:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(parameter.kind in kinds for parameter in signature.parameters.values())


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imports(path: Path) -> set[str]:
    """Return the top-level modules that a file needs to be imported.

    What it imports inside functions or a `try` may be optional, and is the author's affair.
    """
    names: set[str] = set()
    waiting: list[Any] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Try):
            waiting += ast.iter_child_nodes(node)
    return names
