"""Entry point of `medscale`: a fast path for `list`, and errors as one sentence."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["list"]:
        from medscale_cli import listing

        # Typer costs more than the whole listing; what the fast path does not know it leaves.
        code = listing.fast_path(arguments[1:])
        if code is not None:
            sys.exit(code)
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status.

    0 done, 1 usage or user error, 2 some trials failed, 130 interrupted, 143 and 129 a run that was
    ended by SIGTERM and SIGHUP. `--debug` anywhere (or MEDSCALE_DEBUG=1) shows tracebacks.
    """
    debug = "--debug" in arguments or os.environ.get("MEDSCALE_DEBUG") == "1"
    arguments = [argument for argument in arguments if argument != "--debug"]
    import typer

    from medscale.errors import MedscaleError, explain_os_error
    from medscale_cli.app import app

    try:
        with stopping_in_order(arguments) as received:
            code = app(args=arguments, prog_name="medscale", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "medscale"
        message = " ".join(error.format_message().split()).rstrip(".")
        return fail(f"{message} (`{command} --help` explains)", 1)
    except MedscaleError as error:
        if debug:
            raise
        return fail(str(error), error.exit_code)
    except OSError as error:
        explained = explain_os_error(error)
        if debug or explained is None:
            raise
        return fail(str(explained), explained.exit_code)
    return 128 + received[0] if received and code == INTERRUPTED else int(code or 0)


@contextmanager
def stopping_in_order(arguments: list[str]) -> Iterator[list[int]]:
    """Let `run` meet SIGTERM (a scheduler's time limit) and SIGHUP as it meets Ctrl-C.

    Yields:
        The signal that came, if any.
    """
    received: list[int] = []
    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    # What nohup ignores stays ignored.
    caught = [n for n in numbers if n and signal.getsignal(n) == signal.SIG_DFL]

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each in caught:
            signal.signal(each, signal.SIG_IGN)  # a second one would cut the clearing up short
        raise KeyboardInterrupt

    if arguments[:1] != ["run"]:
        caught = []
    for number in caught:
        signal.signal(number, stop)
    try:
        yield received
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def fail(message: str, code: int) -> int:
    """Print an error for a person and return the exit status."""
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    main()
