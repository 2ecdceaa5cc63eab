"""From flags, a study file and a preset to a study's configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULTS = {
    "aug": "none",
    "backbone": "res_unet",
    "recipe": "segmentation",
    "sizes": "1..16",
}
"""What a study uses where neither a flag nor a file says anything."""

_FIELD_OF = {"task": "tasks", "aug": "arms", "backbone": "backbones"}
"""Study fields by the name that people give them on the command line and in a file."""


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """The flags of `run` and `plan`, as typed; None where nothing was said."""

    study: dict[str, Any]
    preset: str
    file: Path | None
    settings: tuple[str, ...]
    data: Path | None
    out: Path | None
    device: str
    jobs: int | None
    threads: int
    executor: str


def study_command(action: Callable[[StudyRequest], None], text: str) -> Callable[..., None]:
    """Return a Typer command with the flags of a study.

    Args:
        action: Takes the request.
        text: Its help.
    """

    def command(
        dataset: Annotated[
            str | None, typer.Option(help="Data set plugin (`medscale list dataset`).")
        ] = None,
        data: Annotated[
            Path | None,
            typer.Option(
                help="Read the data set from this folder, in its official layout.",
                show_default="what `medscale data` fetched or imported",
            ),
        ] = None,
        task: Annotated[
            str | None,
            typer.Option(
                help="Binary tasks, such as lv or lv,rv,myo.", show_default="the only or main one"
            ),
        ] = None,
        aug: Annotated[
            str | None,
            typer.Option(
                help="Augmentation arms, such as none,red. red+reg applies both as one "
                "deformation; strong=red gives an arm a label and options of its own.",
                show_default="none",
            ),
        ] = None,
        backbone: Annotated[
            str | None, typer.Option(help="Networks, such as res_unet.", show_default="res_unet")
        ] = None,
        sizes: Annotated[
            str | None,
            typer.Option(
                help="Training-set sizes: 1..256 doubles; also 10..160:x2, 1..10:+3, 1,5,20.",
                show_default="1..16",
            ),
        ] = None,
        replicates: Annotated[
            str | None,
            typer.Option(
                help="Repetitions per size, each with another subset; 20,16:10 means 20 and, from "
                "n = 16 on, 10.",
                show_default="5",
            ),
        ] = None,
        preset: Annotated[
            str, typer.Option(help="default, or paper: the published protocol.")
        ] = "default",
        shape: Annotated[
            str | None,
            typer.Option(
                help="Pixels per axis, such as 96 or 32,48,32.", show_default="128; 48 in 3-D"
            ),
        ] = None,
        budget: Annotated[
            str | None,
            typer.Option(
                help="Length of a training: steps=500, epochs=50 or samples=4000.",
                show_default="steps=500",
            ),
        ] = None,
        seed: Annotated[
            int | None, typer.Option(help="Root of all randomness.", show_default="0")
        ] = None,
        splits: Annotated[
            int | None,
            typer.Option(help="Test/validation/pool divisions.", show_default="1"),
        ] = None,
        recipe: Annotated[
            str | None, typer.Option(help="Recipe plugin.", show_default="segmentation")
        ] = None,
        set_: Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                help="One option, such as train.batch_size=4 or red.prob=1; repeatable "
                "(`medscale describe NAME` lists them).",
            ),
        ] = None,
        config: Annotated[
            Path | None, typer.Option(help="A study file (TOML); flags win over it.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="Run folder.", show_default="runs/DATASET-TASK")
        ] = None,
        device: Annotated[
            str, typer.Option(help="cpu, cuda, cuda:N, or auto: a GPU where there is one.")
        ] = "auto",
        jobs: Annotated[
            int | None,
            typer.Option(
                min=1, help="Trials at a time.", show_default="one per CPU core, one per GPU"
            ),
        ] = None,
        threads: Annotated[int, typer.Option(min=1, help="CPU threads of each trial.")] = 1,
        executor: Annotated[str, typer.Option(help="Executor plugin.")] = "process",
    ) -> None:
        study = {
            "dataset": dataset,
            "task": task,
            "aug": aug,
            "backbone": backbone,
            "recipe": recipe,
            "sizes": sizes,
            "replicates": replicates,
            "splits": splits,
            "seed": seed,
            "shape": shape,
            "budget": budget,
        }
        action(
            StudyRequest(
                study={name: value for name, value in study.items() if value is not None},
                preset=preset,
                file=config,
                settings=tuple(set_ or ()),
                data=data,
                out=out,
                device=device,
                jobs=jobs,
                threads=threads,
                executor=executor,
            )
        )

    command.__doc__ = text
    return command


def study_config(request: StudyRequest) -> Any:
    """Return the `StudyConfig` of a request: preset, then file, then flags, then `--set`.

    Raises:
        ConfigError: One sentence about the first fault.
    """
    from medscale.config import merge, parse_settings, read_toml, validate
    from medscale.errors import ConfigError, did_you_mean
    from medscale.study.config import StudyConfig
    from medscale.study.groups import OPTION_GROUPS
    from medscale.study.presets import PRESETS

    file = read_toml(request.file) if request.file else {}
    preset = str(file.pop("preset", "default"))
    if request.preset != "default":
        preset = request.preset
    if preset not in PRESETS:
        raise ConfigError(f"no preset is called {preset!r}: {did_you_mean(preset, PRESETS)}")
    settings: dict[str, Any] = {"plugins": {}}
    for owner, options in parse_settings(request.settings).items():
        place = settings if owner in OPTION_GROUPS else settings["plugins"]
        place[owner] = options
    tree = merge(
        _fields(DEFAULTS), PRESETS[preset], _fields(file), _fields(request.study), settings
    )
    if "dataset" not in tree:
        raise ConfigError("--dataset is missing; `medscale list dataset` shows what there is")
    for name in OPTION_GROUPS:
        tree[name] = validate(OPTION_GROUPS[name], tree.get(name, {}), name)
    return validate(StudyConfig, tree, "study")


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """Return flags or a file's keys as fields of a study."""
    from medscale.errors import ConfigError
    from medscale.study.groups import OPTION_GROUPS

    fields = {_FIELD_OF.get(name, name): value for name, value in given.items()}
    for name in (*OPTION_GROUPS, "plugins"):
        if not isinstance(fields.get(name, {}), dict):
            raise ConfigError(f"{name} got {fields[name]!r}, expected a table of options")
    if "shape" in fields:
        fields["prepare"] = {**fields.get("prepare", {}), "shape": fields.pop("shape")}
    if "budget" in fields:
        text = fields.pop("budget")
        kind, equals, amount = str(text).partition("=")
        if not equals:
            raise ConfigError(
                f"--budget got {text!r}, expected steps=500, epochs=50 or samples=4000"
            )
        fields["train"] = {**fields.get("train", {}), "budget": kind, "amount": amount}
    return fields
