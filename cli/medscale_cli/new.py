"""`medscale new`: begin a plugin from the template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new(
    kind: Annotated[
        str,
        typer.Argument(help="dataset, backbone, augmenter, registrar, recipe or executor."),
    ],
    name: Annotated[
        str, typer.Argument(help="What users will type: lower-case letters, digits, underscores.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder in which the plugin's folder is made.")
    ] = Path(),
) -> None:
    """Make a working example plugin of that kind, with its tests."""
    import shlex

    folder = create(kind, name, out)
    place = shlex.quote(str(folder))
    typer.echo(f"{folder} is a working plugin; make it yours. Next:")
    typer.echo(f"  pip install -e {place}")
    typer.echo(f"  pytest {place}")
    typer.echo(f"  medscale list {kind}")


def create(kind: str, name: str, out: Path) -> Path:
    """Write a new plugin's folder, whole or not at all.

    Args:
        kind: One of `medscale.spec.KINDS`.
        name: Of the plugin.
        out: The folder to make it in; made where missing.

    Returns:
        The folder `medscale-<kind>-<name>`.

    Raises:
        ConfigError: If the kind is unknown, the name is malformed or taken.
        StoreError: If the folder exists.
    """
    import os
    import shutil
    import uuid

    from medscale.errors import StoreError

    _check(kind, name)
    folder = out / f"medscale-{kind}-{name}".replace("_", "-")
    if folder.exists():
        raise StoreError(f"{folder} exists already: choose another name or another --out")
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".{folder.name}.tmp-{uuid.uuid4().hex}"
    try:
        for part in ("common", kind):
            _fill(_template() / part, temporary, _words(kind, name))
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _check(kind: str, name: str) -> None:
    import re

    from medscale import discovery
    from medscale.errors import ConfigError, did_you_mean
    from medscale.spec import KINDS

    if kind not in KINDS:
        raise ConfigError(f"no kind of plugin is called {kind!r}: {did_you_mean(kind, KINDS)}")
    # Stricter than what medscale loads: a distribution's name cannot end in a dash, nor hold two
    # in a row.
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ConfigError(
            f"plugin name got {name!r}, expected lower-case letters and digits, with single "
            "underscores between them, such as wave or my_hospital"
        )
    for found in discovery.find():
        if (found.kind, found.name) == (kind, name):
            raise ConfigError(
                f"{kind} {name!r} is declared by {found.distribution} already: with two of one "
                "name neither could be used, so choose another"
            )


def _template() -> Path:
    """Return the template's folder: in the wheel beside this module, else in the repository."""
    here = Path(__file__)
    shipped = here.parent / "_template"
    return shipped if shipped.is_dir() else here.parents[2] / "plugins" / "_template"


def _words(kind: str, name: str) -> dict[str, str]:
    """Return what stands in the template for what; `plugin_kinds` follows from `plugin_kind`."""
    import medscale

    module = f"medscale_{kind}_{name}"
    title = "".join(part.capitalize() for part in name.split("_"))
    major, minor = (int(part) for part in medscale.__version__.split(".")[:2])
    return {
        "plugin-distribution": module.replace("_", "-"),
        "plugin_module": module,
        "plugin_kind": kind,
        "plugin_name": name,
        "PluginClass": f"{title}{kind.capitalize()}",
        "PluginOptions": f"{title}Options",
        "core-version": f"{major}.{minor},<{major}.{minor + 1}",
    }


def _fill(source: Path, target: Path, words: dict[str, str]) -> None:
    """Copy a folder of text files, replacing the words in contents and paths in one pass."""
    import re

    pattern = re.compile("|".join(map(re.escape, words)))

    def replace(text: str) -> str:
        return pattern.sub(lambda match: words[match.group()], text)

    for path in sorted(source.rglob("*")):
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        place = target / replace(path.relative_to(source).as_posix())
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(replace(path.read_text(encoding="utf-8")), encoding="utf-8")
