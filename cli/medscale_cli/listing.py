"""`medscale list`."""


def fast_path(arguments: list[str]) -> int | None:
    """Answer without Typer."""
    return None
