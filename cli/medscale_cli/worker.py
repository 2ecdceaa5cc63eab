"""`medscale worker`: what executors start; people rarely do."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer


def worker(
    document: Annotated[Path, typer.Option(help="The work document (JSON).")],
    id: Annotated[str, typer.Option(help="A name unique among the document's workers.")],
    tied: Annotated[bool, typer.Option("--tied", help="Stop when standard input closes.")] = False,
) -> None:
    """Run trials of a work document; executors (local processes, SLURM, …) start this."""
    if tied:
        threading.Thread(target=_stop_with_parent, daemon=True).start()
    from medscale.study.worker import work

    work(document, id)


def _stop_with_parent() -> None:
    # End of file: the coordinator has let go of the pipe, by stopping us or by dying. Results are
    # written atomically, so ending at any moment is safe.
    sys.stdin.buffer.read()
    os._exit(1)
