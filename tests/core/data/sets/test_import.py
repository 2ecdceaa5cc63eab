"""Importing sets that are on the disk already, as folders or archives."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.data.sets.dots_site import Server, dots, facts, offer, packed, unpacked

from medscale.data import acquisition, sets, verification
from medscale.data.manifests import Manifest
from medscale.errors import DataError, StoreError


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
