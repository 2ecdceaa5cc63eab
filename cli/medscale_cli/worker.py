"""`medscale worker`: what executors start; people rarely do."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from medscale.errors import StorageError


def worker(
    document: Annotated[Path, typer.Option(help="The work document (JSON).")],
    id: Annotated[str, typer.Option(help="A name unique among the document's workers.")],
    tied: Annotated[bool, typer.Option("--tied", help="Stop when standard input closes.")] = False,
) -> None:
    """Run trials of a work document; executors (local processes, SLURM, …) start this."""
    if tied:
        threading.Thread(target=_stop_with_parent, daemon=True).start()
    from medscale.study.worker import CANNOT_WRITE, work

    try:
        work(document, id)
    except StorageError as error:
        error.exit_code = CANNOT_WRITE
        raise


def _stop_with_parent() -> None:
    # End of file: the coordinator has let go of the pipe, by stopping us or by dying. Results are
    # written atomically, so ending at any moment is safe. The descriptor is read, not the buffered
    # stream: a thread that holds the stream's lock makes a regular end of Python abort.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)
