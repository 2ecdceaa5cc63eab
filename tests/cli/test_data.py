"""`medscale data`, as a user meets it; the only host that is ever asked is 127.0.0.1."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import tomli_w
import typer
from typer.testing import CliRunner, Result

from medscale.data import manifests
from medscale.errors import ConfigError, DataError, MedscaleError
from medscale.registry import default_registry
from medscale_cli.data import data_app

PLUGIN = """
import numpy as np
from medscale.config import Options
from medscale.data.cases import Case, Sample, Task
from medscale.spec import PluginSpec

class Config(Options):
    suffix: str = "txt"

class Texts:
    tasks = {"dot": Task(labels=(1,))}

    def __init__(self, config, context):
        self.config, self.folder = config, context.data

    def cases(self):
        files = sorted(self.folder.glob(f"*.{self.config.suffix}"))
        return [Case(id=file.stem, subject=file.stem, files=(file,)) for file in files]

    def load(self, case):
        image = np.array([[[0.0, float(case.files[0].read_text())]]])
        return Sample(image=image, label=(image[0] > 1).astype(np.uint8), spacing=(1.0, 1.0))

SPEC = PluginSpec(kind="dataset", name="texts", summary="", api=1,
                  target="fake_texts:Texts", config="fake_texts:Config")
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """A publisher's page with one archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"case{number}.txt")
            info.size = 1
            tar.addfile(info, io.BytesIO(str(number + 2).encode()))
    (tmp_path / "site").mkdir()
    (tmp_path / "site/texts.tar.gz").write_bytes(stream.getvalue())
    handler = partial(Quiet, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", stream.getvalue()
        server.shutdown()


@pytest.fixture(autouse=True)
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: tuple[str, bytes]
) -> Iterator[Path]:
    plugin = tmp_path / "plugin"
    info = plugin / "fake_texts-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-texts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[medscale.datasets]\ntexts = fake_texts:SPEC\n")
    (plugin / "fake_texts.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(plugin))
    url, body = site
    facts = {
        "name": "texts",
        "title": "Three texts",
        "homepage": "https://example.org/texts",
        "licence": "CC0",
        "citation": "Nobody 2020, Journal of Texts",
        "registration": False,
        "modality": "text",
        "labels": {"1": "dot"},
        "counts": {"texts": 3},
        "layout": "*.txt",
        "plugin": "texts",
        "notes": ["Texts are not images."],
        "files": [
            {
                "name": "texts.tar.gz",
                "url": f"{url}/texts.tar.gz",
                "size": len(body),
                "algorithm": "sha256",
                "digest": hashlib.sha256(body).hexdigest(),
                "archive": "tar.gz",
            }
        ],
    }
    secret = {
        **facts,
        "name": "secret",
        "plugin": "",
        "registration": True,
        "how": "Register at https://example.org.",
        "files": [],
    }
    folder = tmp_path / "manifests"
    folder.mkdir()
    for one in (facts, secret):
        (folder / f"{one['name']}.toml").write_text(tomli_w.dumps(one), encoding="utf-8")
    monkeypatch.setattr(manifests, "manifest_folder", lambda: folder)
    monkeypatch.setenv("MEDSCALE_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    default_registry.cache_clear()
    yield tmp_path / "home"
    default_registry.cache_clear()
    sys.modules.pop("fake_texts", None)


def run(*arguments: str, code: int = 0) -> Result:
    app = typer.Typer()
    app.add_typer(data_app, name="data")
    result = CliRunner().invoke(app, ["data", *arguments])
    if isinstance(result.exception, MedscaleError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_list_shows_every_set_and_its_state() -> None:
    lines = run("list").stdout.splitlines()
    assert lines[0].split() == ["name", "title", "modality", "licence", "registration", "status"]
    assert [line.split()[0] for line in lines[1:3]] == ["secret", "texts"]
    assert lines[1].split()[-2:] == ["needed", "missing"]
    run("fetch", "texts", "--yes")
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows["texts"]["status"] == "present"
    assert rows["texts"]["record"]["how"] == "fetched"
    assert rows["secret"]["status"] == "missing"


def test_fetch_says_licence_and_citation_and_what_comes_next(home: Path) -> None:
    result = run("fetch", "texts", "--yes")
    for words in (
        "licence: CC0",
        "cite: Nobody 2020",
        "download: about",
        "note: Texts are not images.",
        f"texts is here: {home / 'sets/texts'} (fetched)",
        "medscale data verify texts",
        "--dataset texts --data texts",
        "you may delete them",
    ):
        assert words in result.stdout
    assert "downloading texts.tar.gz:" in result.stderr
    assert "\x1b" not in result.output
    assert "here already" in run("fetch", "texts").stdout


def test_fetch_without_a_terminal_needs_yes(home: Path) -> None:
    with pytest.raises(MedscaleError, match="agree to the licence of texts with --yes"):
        run("fetch", "texts")
    assert not home.exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_fetch_asks_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, answer: str, code: int, home: Path
) -> None:
    monkeypatch.setattr("medscale_cli.data._is_terminal", lambda: True)
    app = typer.Typer()
    app.add_typer(data_app, name="data")
    result = CliRunner().invoke(app, ["data", "fetch", "texts"], input=answer)
    assert result.exit_code == code
    assert (home / "sets/texts").exists() == (code == 0)
    assert ("nothing was downloaded" in result.stdout) == (code == 1)


def test_fetch_of_a_set_behind_a_registration_says_where() -> None:
    with pytest.raises(DataError, match=r"Register at https://example\.org.*data import secret"):
        run("fetch", "secret")


def test_unknown_sets_get_their_neighbours() -> None:
    for command in ("fetch", "status", "verify"):
        with pytest.raises(ConfigError, match="did you mean texts"):
            run(command, "text")


def test_status_before_and_after(home: Path) -> None:
    assert "no set is in" in run("status").stdout
    before = run("status", "texts").stdout
    assert "status:    missing" in before
    assert "get it with `medscale data fetch texts`" in before
    assert "beware:    Texts are not images." in before
    run("fetch", "texts", "--yes")
    after = run("status", "texts").stdout
    assert "status:    present" in after
    assert "sha256" in after
    assert "(as published)" in after
    assert run("status").stdout.split() == ["texts", "present", str(home / "sets/texts")]
    assert json.loads(run("status", "texts", "--json").stdout)["status"] == "present"


def test_import_and_verify(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "one.txt").write_text("5")
    assert "(linked)" in run("import", "texts", str(folder), "--link").stdout
    assert "texts: no fault in 1 case " in run("verify", "texts").stdout
    (folder / "two.txt").write_text("not a number")
    (folder / "three.txt").write_text("nan")
    result = run("verify", "texts", code=1)
    faults = [line for line in result.stdout.splitlines() if line.startswith("fault: ")]
    assert len(faults) == 2
    assert "three.txt" in faults[0]
    assert "two.txt: dataset 'texts' (" in faults[1]
    assert "failed in load(case 'two') with ValueError: could not convert" in faults[1]
    assert "2 faults in 3 cases" in result.stdout
    document = json.loads(run("verify", "texts", "--json", code=1).stdout)
    assert document["ok"] is False
    assert {fault["case"] for fault in document["faults"]} == {"two", "three"}


def test_import_of_a_set_without_a_plugin_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    result = run("import", "secret", str(tmp_path / "mine"))
    assert "no plugin reads this set yet" in result.stdout
    assert "note: no plugin reads secret yet" in run("verify", "secret").stdout


def test_verify_reads_a_folder_in_place(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/one.dat").write_text("5")
    place = ("--dataset", "texts", "--data", str(tmp_path / "mine"))
    assert "no cases" in run("verify", *place, code=1).stdout
    result = run("verify", *place, "--set", "texts.suffix=dat", "--json")
    assert json.loads(result.stdout)["cases"] == 1
    for arguments, words in (
        (("--dataset", "texts"), "--data DIR"),
        ((), "either the name"),
        (("texts", "--dataset", "texts"), "either the name"),
        ((*place, "--set", "other.x=1"), "only options of --dataset"),
        (("--dataset", "texts", "--data", "nowhere"), "no folder"),
    ):
        with pytest.raises(MedscaleError, match=words):
            run("verify", *arguments)


def test_a_terminal_gets_bars(tmp_path: Path, home: Path) -> None:
    pty = pytest.importorskip("pty")
    script = (
        "import sys, time, typer; from pathlib import Path\n"
        "from medscale.data.progress import Step\n"
        "from medscale_cli.data import _progress\n"
        "with _progress() as show:\n"
        "    for done in range(0, 101, 10):\n"
        "        show(Step(task='downloading x', done=done * 10**6, total=10**8))\n"
        "        time.sleep(0.03)\n"
    )
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    child = subprocess.Popen([sys.executable, "-c", script], stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    assert child.wait() == 0
    os.close(master)
    assert b"downloading x" in shown
    assert b"of 100 MB" in shown
    assert b"\x1b[" in shown
