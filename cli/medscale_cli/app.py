"""The commands of `medscale`; each lives in a module of its own and imports what it needs."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="medscale",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "How does my segmentation error fall as I annotate more, which augmentation saves the "
        "most annotation, and how many more cases do I need?\n\n"
        "Start with [bold]medscale run --dataset phantom --task lv --aug none,red --sizes "
        "1..16 --shape 64[/bold], then point --dataset folder --data DIR at your own images. "
        "[bold]--debug[/bold] shows tracebacks."
    ),
)
