"""Fetching sets from a server, through whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.data.sets.dots_site import Server, dots, facts, offer, packed

from medscale.data import acquisition, downloads, sets, verification
from medscale.data.manifests import Manifest
from medscale.data.progress import Step
from medscale.errors import DataError, StoreError


def test_a_set_is_fetched_unpacked_and_marked(server: Server, home: Path) -> None:
    manifest = offer(server)
    assert sets.set_status("dots").state == "missing"
    steps: list[Step] = []
    record = acquisition.fetch(manifest, progress=steps.append)
    assert record.how == "fetched"
    assert record.notes == ()
    assert sets.set_status("dots").record == record
    folder = home / "sets/dots"
    assert sorted(path.name for path in folder.iterdir()) == ["data", sets.MARKER]
    assert json.loads((folder / sets.MARKER).read_text())["sources"][0]["published"] is True
    assert sets.content_folder(manifest) == folder / "data/Dots"
    assert len(list(sets.content_folder(manifest).iterdir())) == 3
    tasks = {step.task.split()[0] for step in steps}
    assert tasks == {"downloading", "checking", "unpacking"}
    assert all(step.total and step.done <= step.total for step in steps)
    assert acquisition.fetch(manifest) == record
    assert len(server.requests) == 1


def test_a_download_without_a_published_hash_is_noted(server: Server) -> None:
    record = acquisition.fetch(offer(server, hashed=False))
    digest = hashlib.sha256(server.files["/dots.tar"]).hexdigest()
    assert digest in record.notes[0]
    assert "no hash is published" in record.notes[0]


def test_a_wrong_hash_keeps_nothing(server: Server, home: Path) -> None:
    manifest = offer(server)
    good = server.files["/dots.tar"]
    server.files["/dots.tar"] = packed(dots(2))
    with pytest.raises(DataError, match=r"dots\.tar has sha256 [0-9a-f]{64}, expected"):
        acquisition.fetch(manifest)
    assert list((home / "downloads/dots").iterdir()) == []
    assert sets.set_status("dots").state == "missing"
    server.files["/dots.tar"] = good
    assert acquisition.fetch(manifest).how == "fetched"


def test_a_truncated_body_is_tried_again_and_then_given_up(server: Server, home: Path) -> None:
    manifest = offer(server, hashed=False)
    server.cut_at = 5000
    with pytest.raises(DataError, match=r"cannot download dots\.tar") as caught:
        acquisition.fetch(manifest)
    assert "again later" in str(caught.value)
    assert len(server.requests) == downloads.ATTEMPTS
    assert not (home / "downloads/dots/dots.tar").exists()
    assert sets.set_status("dots").state == "partial"
    server.cut_at = None
    assert acquisition.fetch(manifest).how == "fetched"
    assert server.requests[-1]["Range"] == "bytes=5000-"
    assert sorted(path.name for path in (home / "downloads/dots").iterdir()) == ["dots.tar"]


def test_a_file_that_changed_meanwhile_is_begun_again(server: Server) -> None:
    manifest = offer(server, hashed=False)
    server.cut_at = 5000
    with pytest.raises(DataError):
        acquisition.fetch(manifest)
    server.cut_at, server.etag = None, '"two"'
    server.files["/dots.tar"] = packed(dots(5))
    acquisition.fetch(manifest)
    assert len(list(sets.content_folder(manifest).iterdir())) == 5


def test_a_body_of_unknown_length_needs_a_hash(server: Server) -> None:
    server.length = False
    with pytest.raises(DataError, match="does not say how long it is"):
        acquisition.fetch(offer(server, hashed=False))
    assert acquisition.fetch(offer(server)).how == "fetched"


def test_not_found_is_said_once_with_what_to_do(server: Server) -> None:
    manifest = offer(server)
    server.files.clear()
    with pytest.raises(DataError, match=r"answered 404 Not Found.*medscale data import dots PATH"):
        acquisition.fetch(manifest)
    assert len(server.requests) == 1


def test_a_server_in_trouble_is_asked_again(server: Server) -> None:
    manifest = offer(server)
    server.statuses = [503, 429]
    assert acquisition.fetch(manifest).how == "fetched"
    assert len(server.requests) == 3


def test_a_server_that_is_gone_is_one_sentence(server: Server) -> None:
    body = packed(dots(1))
    manifest = Manifest.model_validate(facts("http://127.0.0.1:9", body))
    with pytest.raises(DataError, match=r"connection to 127\.0\.0\.1 failed") as caught:
        acquisition.fetch(manifest)
    assert "\n" not in str(caught.value)


def test_a_server_killed_midway_is_taken_up_by_the_second_fetch(home: Path, tmp_path: Path) -> None:
    body = packed(dots(3, 400))
    (tmp_path / "site").mkdir()
    (tmp_path / "site/dots.tar").write_bytes(body)
    script = (
        "import http.server, sys, time\n"
        "body = open(sys.argv[1], 'rb').read()\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', str(len(body)))\n"
        "        self.end_headers()\n"
        "        for at in range(0, len(body), 65536):\n"
        "            self.wfile.write(body[at:at + 65536]); time.sleep(float(sys.argv[2]))\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n"
        "print(server.server_address[1], flush=True)\n"
        "server.serve_forever()\n"
    )

    def start(pace: float) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", script, str(tmp_path / "site/dots.tar"), str(pace)]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert child.stdout is not None
        return child, f"http://127.0.0.1:{child.stdout.readline().strip()}"

    child, url = start(0.05)

    def kill(step: Step) -> None:
        child.kill()

    with pytest.raises(DataError, match="cannot download"):
        acquisition.fetch(Manifest.model_validate(facts(url, body)), progress=kill)
    child.wait()
    assert sets.set_status("dots").state == "partial"
    assert not (home / "downloads/dots/dots.tar").exists()
    child, url = start(0)
    try:
        acquisition.fetch(Manifest.model_validate(facts(url, body)))
    finally:
        child.kill()
        child.wait()
    assert sets.set_status("dots").state == "present"


KILLED = """
import json, os, signal, sys, time
from medscale.data.acquisition import fetch
from medscale.data.manifests import Manifest
def progress(step):
    if step.task.startswith(sys.argv[2]):
        print(step.task, flush=True)
        time.sleep(60)
fetch(Manifest.model_validate(json.loads(sys.argv[1])), progress=progress)
"""


@pytest.mark.parametrize("stage", ["downloading", "checking", "unpacking"])
def test_a_killed_fetch_leaves_a_partial_set_and_the_next_one_works(
    server: Server, home: Path, stage: str
) -> None:
    manifest = offer(server, size=400)
    document = json.dumps(manifest.model_dump(mode="json"))
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, document, stage], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().startswith(stage)
    with pytest.raises(StoreError, match="another process"):
        acquisition.fetch(manifest)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert sets.set_status("dots").state == "partial"
    acquisition.fetch(manifest)
    assert sets.set_status("dots").state == "present"
    assert [path.name for path in (home / "sets").iterdir() if path.is_dir()] == ["dots"]
    assert [path.name for path in (home / "downloads/dots").iterdir()] == ["dots.tar"]
    assert verification.verify_set(manifest).faults == ()


def test_an_archive_that_will_not_unpack_is_not_kept_without_a_hash(
    server: Server, home: Path
) -> None:
    manifest = offer(server, hashed=False)
    server.files["/dots.tar"] = b"<html>sorry</html>"
    with pytest.raises(DataError, match="web page"):
        acquisition.fetch(manifest)
    assert list((home / "downloads/dots").iterdir()) == []
    assert [path for path in (home / "sets").iterdir() if path.is_dir()] == []


def test_no_room_on_the_disk_is_said_before_anything_is_fetched(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest.model_validate({**facts(server.url, b""), "unpacked_size": 10**18})
    with pytest.raises(StoreError, match=r"needs 1e\+06 TB more in .*MEDSCALE_DATA"):
        acquisition.fetch(manifest)
    assert server.requests == []


def test_a_set_behind_a_registration_says_where_and_what_next() -> None:
    manifest = Manifest.model_validate(
        facts("", b"", registration=True, how="Register at https://example.org.", files=[])
    )
    words = r"needs a registration: Register at https://example\.org\..*data import dots PATH"
    with pytest.raises(DataError, match=words):
        acquisition.fetch(manifest)


def test_7z_is_asked_for_before_the_download(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medscale.data.archives.importlib.util.find_spec", lambda name: None)
    file = {"name": "a.7z", "url": f"{server.url}/a.7z", "archive": "7z"}
    with pytest.raises(DataError, match="pip install py7zr"):
        acquisition.fetch(Manifest.model_validate(facts("", b"", files=[file])))
    assert server.requests == []
