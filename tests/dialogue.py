"""A Python process of its own that a test talks with, line by line."""

from __future__ import annotations

import subprocess
import sys


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start Python with these arguments."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    """Wait for the next line that it says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    """Let it go on: it waits for a line."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
