"""What is known of a set that is here, and where it is found."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tests.core.data.sets.dots_site import Server, dots, facts, offer, packed, unpacked

from medscale.data import acquisition, sets, verification
from medscale.data.manifests import Manifest
from medscale.errors import ConfigError, DataError


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
    assert re.match(
        r"dataset 'dots' \(\S+ \S+\) failed in load\(case 'case1'\) with \w+: .*; tell its author",
        result.faults[1].message,
    )
    # What a case has wrong is nobody's fault but its own.
    assert re.match(r"case case3 .*NaN", result.faults[2].message)


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
    assert re.match(r"dataset 'dots' \(\S+ \S+\) has no cases", empty.faults[0].message)
    with pytest.raises(ConfigError, match=r"unknown option dots\.sufix"):
        verification.verify_folder("dots", folder, options={"sufix": "png"})


@pytest.mark.parametrize("method", ["cases", "load"])
def test_a_plugin_that_ends_python_is_a_fault_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def leave(*arguments: object) -> None:
        raise SystemExit("no licence")

    folder = unpacked(tmp_path / "mine") / "Dots"
    verification.verify_folder("dots", folder)  # imports it
    monkeypatch.setattr(f"fake_dots.Dots.{method}", leave)
    first = verification.verify_folder("dots", folder).faults[0].message
    assert re.match(rf"dataset 'dots' .* failed in {method}\(.*\) with SystemExit: no lic", first)
    with pytest.raises(DataError, match=r"this is not dots .*dataset 'dots' .* with SystemExit"):
        verification.check_readable(Manifest.model_validate(facts("https://x", b"")), folder)


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


def test_a_home_that_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSCALE_DATA", "~nosuchuser/x")
    with pytest.raises(ConfigError, match=r"'~nosuchuser/x'.*set MEDSCALE_DATA to a folder"):
        sets.data_home()
