"""`medscale describe`: what a plugin or a group of core options is, and what can be set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from medscale.errors import MedscaleError, PluginError, did_you_mean

if TYPE_CHECKING:
    from medscale.config import Options
    from medscale.registry import PluginRecord, Registry

REQUIRED = "(required)"


class Option(NamedTuple):
    """One line of the options table.

    Attributes:
        name: As `--set` spells it after the owner's name; nested options carry a dot.
        type: For people, with bounds and choices.
        default: As it would be typed, or `REQUIRED`.
        description: With its unit.
    """

    name: str
    type: str
    default: str
    description: str


class Description(NamedTuple):
    """Everything that `medscale describe` prints.

    Attributes:
        name: What was asked for.
        kind: The kind of plugin, or "options" for a group of core options.
        facts: Label and text, in the order to show.
        options: The options table.
        example: A `--set` line that works.
        schema: The options' JSON schema.
    """

    name: str
    kind: str
    facts: dict[str, str]
    options: tuple[Option, ...]
    example: str
    schema: dict[str, Any]


def describe(
    name: Annotated[str, typer.Argument(help="a plugin, or train, augmentation, split, prepare")],
    kind: Annotated[str, typer.Option(help="which one, where two kinds share the name")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show what a plugin is, what to cite, and every option with its default."""
    from medscale.registry import default_registry

    description = describe_name(name, kind, default_registry())
    if as_json:
        import json

        typer.echo(json.dumps(_as_json(description), indent=2))
    else:
        _print(description)


def describe_name(name: str, kind: str, registry: Registry) -> Description:
    """Describe a plugin or a group of core options.

    Args:
        name: What the user typed.
        kind: A kind of plugin, or "" where the name alone says it.
        registry: The plugins to look into.

    Raises:
        PluginError: If nothing or more than one thing has that name, or it cannot be imported.
    """
    if kind:
        return _describe_plugin(registry.record(kind.removesuffix("s"), name), registry)
    from medscale.study.groups import OPTION_GROUPS

    rows = {record.kind: record for record in registry.named(name)}
    if name in OPTION_GROUPS:
        return _describe_group(name, OPTION_GROUPS[name])
    if not rows:
        known = {record.name for record in registry.records} | set(OPTION_GROUPS)
        raise PluginError(
            f"nothing is called {name!r}: {did_you_mean(name, known)} (`medscale list` shows all)"
        )
    if len(rows) > 1:
        kinds = sorted(rows)
        raise PluginError(
            f"{name!r} is the name of {len(kinds)} plugins ({', '.join(kinds)}): "
            f"say which, as in `medscale describe {name} --kind {kinds[0]}`"
        )
    return _describe_plugin(next(iter(rows.values())), registry)


def list_options(model: type[Options]) -> tuple[Option, ...]:
    """Return the options table of a model, in the order of its fields."""
    schema = model.model_json_schema()
    return tuple(_options_of(schema, schema.get("$defs", {}), ""))


def _describe_group(name: str, model: type[Options]) -> Description:
    facts = {"summary": (model.__doc__ or "").strip().partition("\n")[0], "part of": "medscale"}
    return _description(name, "options", facts, model)


def _describe_plugin(record: PluginRecord, registry: Registry) -> Description:
    import importlib.util

    from medscale import discovery
    from medscale.config import Options
    from medscale.registry import describe_failure

    if record.spec is None:
        registry.load(record.kind, record.name)  # raises its own first error
        raise PluginError(f"{record.kind} {record.name!r} cannot be used: {record.message}")
    spec = record.spec
    facts = {
        "summary": spec.summary,
        "status": record.status + (f": {record.message}" if record.message else ""),
        "cite": spec.citation,
        "url": spec.url,
        "distribution": f"{record.distribution} {record.version}",
    }
    try:
        model = discovery.find_object(spec.config)
        if not (isinstance(model, type) and issubclass(model, Options)):
            raise TypeError(f"{spec.config} is no subclass of medscale.config.Options")
        found = importlib.util.find_spec(spec.target.partition(":")[0])
        facts["file"] = (found.origin or "") if found else ""
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the options of {spec.kind} {spec.name!r} cannot be imported "
            f"({describe_failure(error)}); `medscale doctor {spec.name}` shows where"
        ) from error
    facts["needs"] = ", ".join(spec.requires)
    facts["behavior"] = f"{spec.behavior} (raised whenever the same options give other outputs)"
    if spec.kind == "dataset":
        facts["tasks"] = _tasks(record, registry)
    return _description(spec.name, spec.kind, facts, model)


def _description(
    name: str, kind: str, facts: Mapping[str, str], model: type[Options]
) -> Description:
    from medscale.registry import one_line

    options = list_options(model)
    return Description(
        name=name,
        kind=kind,
        facts={label: one_line(text) for label, text in facts.items() if text},
        options=options,
        example=_example(name, options),
        schema=model.model_json_schema(),
    )


def _tasks(record: PluginRecord, registry: Registry) -> str:
    """Return the task names of a data set that can tell them without its data."""
    from medscale.protocols import PluginContext

    try:
        plugin = registry.load(record.kind, record.name)
        tasks: Mapping[str, Any] = plugin.construct(plugin.config(), PluginContext()).tasks
        return "; ".join(
            f"{task} ({value.description})" if value.description else task
            for task, value in tasks.items()
        )
    except (MedscaleError, ValueError):
        # Its tasks depend on a folder or an option that only the user knows.
        return "depend on the data: see `medscale run --dataset " + f"{record.name} --data DIR`"


def _options_of(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str
) -> Iterator[Option]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        nested = _resolve(field, definitions)
        if "properties" in nested:
            yield from _options_of(nested, definitions, f"{prefix}{name}.")
            continue
        yield Option(
            name=prefix + name,
            type=_type(field, definitions),
            default=REQUIRED if name in required else _text(field.get("default")),
            description=field.get("description", ""),
        )


def _resolve(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref")
    if reference is None and len(field.get("allOf", ())) == 1:
        reference = field["allOf"][0].get("$ref")
    if reference is None:
        return field
    resolved: Mapping[str, Any] = definitions[reference.rpartition("/")[2]]
    return resolved


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    field = _resolve(field, definitions)
    if "enum" in field:
        return " | ".join(_text(value) for value in field["enum"])
    if "const" in field:
        return _text(field["const"])
    if "anyOf" in field:
        kinds = [_type(choice, definitions) for choice in field["anyOf"]]
        return " | ".join(dict.fromkeys(kinds))
    kind = str(field.get("type", "any"))
    if kind == "array":
        return _array(field, definitions)
    return "none" if kind == "null" else f"{kind}{_bounds(field)}"


def _array(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "prefixItems" in field:
        return "[" + ", ".join(_type(item, definitions) for item in field["prefixItems"]) + "]"
    return f"list of {_type(field.get('items', {}), definitions)}"


def _bounds(field: Mapping[str, Any]) -> str:
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    bounds = [f"{sign} {field[key]}" for key, sign in signs.items() if key in field]
    return f" {', '.join(bounds)}" if bounds else ""


def _text(value: Any) -> str:
    import json

    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value)


def _example(name: str, options: tuple[Option, ...]) -> str:
    for option in options:
        if option.default not in (REQUIRED, "none", ""):
            quote = "'" if set(option.default) & set(' ["{*') else ""
            return f"--set {quote}{name}.{option.name}={option.default}{quote}"
    return f"--set {name}.{options[0].name}=VALUE" if options else ""


def _as_json(description: Description) -> dict[str, Any]:
    return {
        **description._asdict(),
        "options": [option._asdict() for option in description.options],
    }


def _print(description: Description) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Files and citations are for copying: neither coloured by guesswork nor cut.
    console = Console(highlight=False, soft_wrap=False)
    console.print(Text(f"{description.kind} {description.name}", style="bold"))
    width = max(map(len, description.facts), default=0)
    for label, text in description.facts.items():
        console.print(Text(f"{label.ljust(width)}  {text}"), soft_wrap=True)
    console.print()
    if not description.options:
        console.print("It has no options.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("option", "type", "default"):
        table.add_column(column, overflow="fold")
    table.add_column("meaning", ratio=1, overflow="fold")
    for option in description.options:
        table.add_row(*(Text(cell) for cell in option))
    console.print(table)
    console.print(Text(f"example: {description.example}"), soft_wrap=True)
