"""Options: one pydantic model per plugin, reached by `--set name.option=value` and TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medscale.errors import ConfigError, did_you_mean

OptionTree = dict[str, dict[str, Any]]
"""Options by owner ("train", "red", …), then by name."""


class Options(BaseModel):
    """Base of every options model: unknown keys and NaN are refused, values never change.

    Give each field a description with its unit; `medscale describe` prints it.
    """

    # Options are part of content keys, and NaN and infinity are no JSON.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def plugin_option(kind: str, *, default: str, description: str) -> Any:
    """Return the field of an option that names another plugin, such as a registrar.

    Core constructs that plugin, with its own options from `--set`, and hands it over as
    `context.uses[option]`.

    Args:
        kind: Of the plugin that it names.
        default: Its name.
        description: For `medscale describe`.
    """
    return Field(default=default, description=description, json_schema_extra={"plugin": kind})


def named_plugins(model: type[Options]) -> dict[str, str]:
    """Return the options of a model that name another plugin, with the kind that each names."""
    named: dict[str, str] = {}
    for option, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and isinstance(kind := extra.get("plugin"), str):
            named[option] = kind
    return named


OptionsT = TypeVar("OptionsT", bound=Options)


def parse_settings(settings: Iterable[str]) -> OptionTree:
    """Parse `owner.option=value` settings.

    Values stay strings for the model to coerce, so `no`, `1e-3` and commas mean what the model
    says they mean; a value that starts with `[`, `{` or `"` is read as JSON.

    Raises:
        ConfigError: If a setting has another form.
    """
    tree: OptionTree = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        owner, *keys = path.strip().split(".")
        if not (equals and owner and keys and all(keys)):
            raise ConfigError(
                f"--set got {setting!r}, expected NAME.OPTION=VALUE such as train.batch_size=4"
            )
        value: Any = text.strip()
        if value[:1] in ("[", "{", '"'):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as error:
                raise ConfigError(
                    f"--set {path} got {value!r}, which is not JSON: {error}"
                ) from None
        place = tree.setdefault(owner, {})
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {path}: {key} already has a value of its own")
        place[keys[-1]] = value
    return tree


def read_toml(path: Path) -> dict[str, Any]:
    """Read a study or options file.

    Raises:
        ConfigError: If it is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def merge(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Merge option trees; later ones win, nested tables are merged key by key."""
    merged: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
                merged[key] = merge(merged[key], value)
            else:
                merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged


def validate(model: type[OptionsT], values: Mapping[str, Any], owner: str) -> OptionsT:
    """Build an options model.

    Args:
        model: The model of the owner.
        values: Options as given.
        owner: What the options belong to, for messages ("train", "red", …).

    Raises:
        ConfigError: One sentence with the first fault: option, got, expected, nearest names.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(_first_fault(error, model, owner)) from None


def _first_fault(error: ValidationError, model: type[BaseModel], owner: str) -> str:
    fault = error.errors(include_url=False)[0]
    option = ".".join([owner, *(str(part) for part in fault["loc"])]).rstrip(".")
    if fault["type"] == "extra_forbidden":
        *places, unknown = map(str, fault["loc"])
        known = _model_at(model, places).model_fields
        return (
            f"unknown option {option}: {did_you_mean(unknown, known)} "
            f"(`medscale describe {owner}` explains each)"
        )
    got = "" if fault["type"] == "missing" else f" got {fault['input']!r}:"
    message = fault["msg"].removeprefix("Value error, ")
    return f"option {option}{got} {message[:1].lower()}{message[1:]}"


def _model_at(model: type[BaseModel], places: Iterable[str]) -> type[BaseModel]:
    """Return the model of an option that is itself a table of options."""
    for place in places:
        inner = model.model_fields[place].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model
