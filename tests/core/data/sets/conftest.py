"""A server on this machine, and a home of its own."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.core.data.sets.dots_site import PLUGIN, Server

from medscale.data import downloads
from medscale.registry import default_registry


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(dict(self.headers.items()))
            body = state.files.get(self.path)
            status = state.statuses.pop(0) if state.statuses else 200 if body is not None else 404
            if status != 200 or body is None:
                self.send_error(status)
                return
            start = 0
            wanted = self.headers.get("Range", "")
            if wanted and self.headers.get("If-Range") == state.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if state.length:
                self.send_header("Content-Length", str(len(body) - start))
            self.send_header("ETag", state.etag)
            self.end_headers()
            end = len(body) if state.cut_at is None else state.cut_at
            for place in range(start, end, 1 << 16):
                self.wfile.write(body[place : min(end, place + (1 << 16))])

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        http.shutdown()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    plugin = tmp_path / "plugin"
    info = plugin / "fake_dots-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-dots\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[medscale.datasets]\ndots = fake_dots:SPEC\n")
    (plugin / "fake_dots.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(plugin))
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    default_registry.cache_clear()
    yield tmp_path / "home"
    default_registry.cache_clear()
    sys.modules.pop("fake_dots", None)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)
