"""Fetching, importing and verifying sets, against a server on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medscale.data import acquisition, downloads, sets, verification
from medscale.data.manifests import Manifest
from medscale.data.progress import Step
from medscale.errors import ConfigError, DataError, StoreError
from medscale.registry import default_registry

PLUGIN = """
from pathlib import Path
import numpy as np
from medscale.config import Options
from medscale.data.cases import Case, Sample, Task
from medscale.spec import PluginSpec

class Config(Options):
    suffix: str = "npy"

class Dots:
    tasks = {"dot": Task(labels=(1,))}

    def __init__(self, config, context):
        self.config, self.folder = config, context.data

    def cases(self):
        files = sorted(self.folder.glob(f"*.{self.config.suffix}"))
        return [Case(id=file.stem, subject=file.stem, files=(file,)) for file in files]

    def load(self, case):
        image = np.load(case.files[0])
        return Sample(image=image[None], label=(image > 5).astype(np.uint8), spacing=(1.0, 1.0))

SPEC = PluginSpec(kind="dataset", name="dots", summary="", api=1,
                  target="fake_dots:Dots", config="fake_dots:Config")
"""


@dataclass
class Server:
    """What it offers, and how it behaves."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    cut_at: int | None = None  # the body ends here, though more was promised
    statuses: list[int] = field(default_factory=list)  # answers before the first good one
    etag: str = '"one"'
    length: bool = True


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


def dots(number: int, size: int = 8) -> dict[str, bytes]:
    files = {}
    for case in range(number):
        image = np.zeros((size, size))
        image[2:4, 2:4] = 10 + case
        stream = io.BytesIO()
        np.save(stream, image)
        files[f"Dots/case{case}.npy"] = stream.getvalue()
    return files


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def facts(url: str, body: bytes | None, **changes: Any) -> dict[str, Any]:
    file = {"name": "dots.tar", "url": f"{url}/dots.tar", "archive": "tar"}
    if body is not None:
        file |= {"algorithm": "sha256", "digest": hashlib.sha256(body).hexdigest()}
    return {
        "name": "dots",
        "title": "Dots",
        "homepage": "https://example.org",
        "licence": "CC0",
        "citation": "Nobody 2020",
        "registration": False,
        "modality": "dots",
        "labels": {"1": "dot"},
        "counts": {"images": 3},
        "layout": "Dots/*.npy",
        "root": "Dots",
        "plugin": "dots",
        "files": [file],
        **changes,
    }


def offer(server: Server, *, hashed: bool = True, cases: int = 3, size: int = 8) -> Manifest:
    body = packed(dots(cases, size))
    server.files["/dots.tar"] = body
    return Manifest.model_validate(facts(server.url, body if hashed else None))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)


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


def unpacked(folder: Path, cases: int = 3) -> Path:
    for name, content in dots(cases).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize("inner", ["", "Dots"])
@pytest.mark.parametrize("link", [False, True])
def test_an_unpacked_folder_is_imported(
    server: Server, tmp_path: Path, inner: str, link: bool
) -> None:
    manifest = offer(server)
    source = unpacked(tmp_path / "mine") / inner
    record = acquisition.import_set(manifest, source, link=link)
    assert record.how == ("linked" if link else "copied")
    assert (sets.set_folder("dots") / "data").is_symlink() == link
    assert sets.dataset_folder("dots") is None  # no manifest of the repository is called dots
    assert verification.verify_set(manifest).cases == 3
    with pytest.raises(StoreError, match="here already"):
        acquisition.import_set(manifest, source)
    assert len(list((tmp_path / "mine/Dots").iterdir())) == 3


def test_a_linked_folder_that_is_gone_makes_the_set_partial(server: Server, tmp_path: Path) -> None:
    manifest = offer(server)
    acquisition.import_set(manifest, unpacked(tmp_path / "mine"), link=True)
    (tmp_path / "mine").rename(tmp_path / "elsewhere")
    status = sets.set_status("dots")
    assert (status.state, status.detail) == ("partial", f"{tmp_path / 'mine'} is gone")
    with pytest.raises(DataError, match="partial"):
        verification.verify_set(manifest)


def test_an_archive_is_imported_and_a_strange_hash_noted(server: Server, tmp_path: Path) -> None:
    manifest = offer(server)
    (tmp_path / "dots.tar").write_bytes(packed(dots(2)))
    record = acquisition.import_set(manifest, tmp_path / "dots.tar")
    assert record.how == "unpacked"
    assert "not the published" in record.notes[0]
    assert verification.verify_set(manifest).cases == 2


def test_a_folder_of_all_archives_is_imported(server: Server, tmp_path: Path) -> None:
    manifest = offer(server)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/dots.tar").write_bytes(server.files["/dots.tar"])
    record = acquisition.import_set(manifest, tmp_path / "files")
    assert (record.how, record.notes) == ("unpacked", ())
    result = verification.verify_set(manifest)
    assert (result.archives, result.cases, result.faults) == (1, 3, ())


def test_a_strange_folder_is_refused_and_nothing_stays(
    server: Server, tmp_path: Path, home: Path
) -> None:
    manifest = offer(server)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/readme.txt").write_text("nothing here")
    with pytest.raises(DataError, match=r"not dots as the dots plugin reads it.*Dots/\*\.npy"):
        acquisition.import_set(manifest, tmp_path / "strange")
    assert sets.set_status("dots").state == "missing"
    assert [path for path in (home / "sets").iterdir() if path.is_dir()] == []


def test_another_set_of_the_same_plugin_is_refused(server: Server, tmp_path: Path) -> None:
    body = packed(dots(1))
    manifest = Manifest.model_validate(facts(server.url, body, recognised_by="patient*.npy"))
    with pytest.raises(DataError, match=r"not dots: there is no patient\*\.npy in .*mine"):
        acquisition.import_set(manifest, unpacked(tmp_path / "mine"))
    (tmp_path / "dots.tar").write_bytes(body)
    with pytest.raises(DataError, match=r"there is no patient\*\.npy in dots\.tar/Dots"):
        acquisition.import_set(manifest, tmp_path / "dots.tar")


def test_import_explains_what_it_does_not_take(server: Server, tmp_path: Path) -> None:
    manifest = offer(server)
    with pytest.raises(DataError, match="does not exist"):
        acquisition.import_set(manifest, tmp_path / "nowhere")
    (tmp_path / "dots.tar").write_bytes(server.files["/dots.tar"])
    with pytest.raises(DataError, match="leave out --link"):
        acquisition.import_set(manifest, tmp_path / "dots.tar", link=True)
    folder = unpacked(tmp_path / "mine")
    (folder / "loop").symlink_to(folder)
    with pytest.raises(DataError, match="import with --link"):
        acquisition.import_set(manifest, folder)


def test_what_medscale_did_not_put_there_is_left_alone(
    server: Server, home: Path, tmp_path: Path
) -> None:
    manifest = offer(server)
    unpacked(home / "sets/dots")
    assert sets.set_status("dots").state == "partial"
    words = r"not put there by medscale.*move or delete"
    with pytest.raises(StoreError, match=words):
        acquisition.fetch(manifest)
    with pytest.raises(StoreError, match=words):
        acquisition.import_set(manifest, unpacked(tmp_path / "mine"))
    assert len(list((home / "sets/dots/Dots").iterdir())) == 3


def test_a_torn_marker_makes_the_set_partial(server: Server) -> None:
    acquisition.fetch(offer(server))
    marker = sets.set_folder("dots") / sets.MARKER
    marker.write_text(marker.read_text()[:50])
    assert sets.set_status("dots").state == "partial"


def test_verify_lists_every_fault(server: Server, home: Path) -> None:
    manifest = offer(server, cases=5)
    acquisition.fetch(manifest)
    folder = sets.content_folder(manifest)
    (folder / "case1.npy").write_bytes(b"junk")
    np.save(folder / "case3.npy", np.full((8, 8), np.nan))
    archive = home / "downloads/dots/dots.tar"
    archive.write_bytes(archive.read_bytes() + b"x")
    result = verification.verify_set(manifest)
    assert (result.cases, result.archives) == (5, 1)
    assert [fault.case for fault in result.faults] == ["", "case1", "case3"]
    assert "has changed since" in result.faults[0].message
    assert result.faults[1].path == str(folder / "case1.npy")
    assert "NaN" in result.faults[2].message


def test_verify_notes_what_it_could_not_check(server: Server, home: Path) -> None:
    body = packed(dots(1))
    server.files["/dots.tar"] = body
    manifest = Manifest.model_validate(facts(server.url, body, plugin=""))
    acquisition.fetch(manifest)
    (home / "downloads/dots/dots.tar").unlink()
    result = verification.verify_set(manifest)
    assert (result.cases, result.archives, result.faults) == (0, 0, ())
    assert "no longer at" in result.notes[0]
    assert "no plugin reads dots yet" in result.notes[1]


def test_verify_of_a_folder_takes_options(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "mine") / "Dots"
    assert verification.verify_folder("dots", folder).cases == 3
    empty = verification.verify_folder("dots", folder, options={"suffix": "png"})
    assert "no cases" in empty.faults[0].message
    with pytest.raises(ConfigError, match=r"unknown option dots\.sufix"):
        verification.verify_folder("dots", folder, options={"sufix": "png"})


def test_dataset_folder_finds_the_set_its_plugin_reads(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = offer(server)
    second = first.model_copy(update={"name": "more_dots"})
    known = {"dots": first, "more_dots": second}
    monkeypatch.setattr(sets, "all_manifests", lambda: known)
    assert sets.dataset_folder("dots") is None
    assert sets.dataset_folder("phantom") is None
    with pytest.raises(DataError, match="medscale data fetch more_dots"):
        sets.dataset_folder("dots", Path("more_dots"))
    with pytest.raises(DataError, match="no folder"):
        sets.dataset_folder("dots", tmp_path / "nowhere")
    acquisition.fetch(second)
    assert sets.dataset_folder("dots") == sets.content_folder(second)
    assert sets.dataset_folder("dots", tmp_path) == tmp_path
    acquisition.import_set(first, unpacked(tmp_path / "mine"))
    assert sets.dataset_folder("dots") == sets.content_folder(first)
    third = first.model_copy(update={"name": "other"})
    monkeypatch.setattr(sets, "all_manifests", lambda: {"more_dots": second, "other": third})
    acquisition.import_set(third, tmp_path / "mine")
    with pytest.raises(ConfigError, match="--data more_dots"):
        sets.dataset_folder("dots")
    assert sets.dataset_folder("dots", Path("other")) == sets.content_folder(third)


def test_the_home_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert sets.cache_folder() == tmp_path / "home/cache"
    monkeypatch.setenv("MEDSCALE_DATA", "~/data")
    assert sets.data_home() == Path.home() / "data"
    monkeypatch.setenv("MEDSCALE_DATA", "")
    assert sets.data_home().name == "medscale"
