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


def _register() -> None:
    """Add every command; the modules import what is heavy inside their functions."""
    from medscale_cli import describe, doctor, plan, preview, register, results, run, status, worker
    from medscale_cli.compare import compare
    from medscale_cli.data import data_app
    from medscale_cli.fit import fit
    from medscale_cli.forecast import forecast
    from medscale_cli.listing_command import list_plugins
    from medscale_cli.new import new
    from medscale_cli.report import report
    from medscale_cli.study_request import study_command

    app.command("list")(list_plugins)
    app.command("describe")(describe.describe)
    app.command("doctor")(doctor.doctor)
    app.add_typer(data_app, name="data")
    app.command("plan")(study_command(plan.plan, plan.HELP))
    app.command("run")(study_command(run.run, run.HELP))
    app.command("status")(status.status)
    app.command("results")(results.results)
    app.command("compare")(compare)
    app.command("report")(report)
    app.command("fit")(fit)
    app.command("forecast")(forecast)
    app.command("preview")(preview.preview)
    app.command("register")(register.register)
    app.command("new")(new)
    app.command("worker")(worker.worker)


_register()
