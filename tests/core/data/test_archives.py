"""Hostile and damaged archives: nothing outside the folder, nothing half there."""

from __future__ import annotations

import gzip
import importlib.util
import io
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medscale.data.archives import Limits, extract, leftovers
from medscale.data.members import RefusedMemberError, link_target, safe_parts
from medscale.data.progress import Step
from medscale.errors import DataError, StoreError

Add = Callable[[tarfile.TarFile], None]


def make_tar(path: Path, *adds: Add, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for add in adds:
            add(tar)
    return path


def file(name: str, content: bytes = b"x") -> Add:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))

    return add


def special(name: str, kind: bytes, target: str = "") -> Add:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        tar.addfile(info)

    return add


def make_zip(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def assert_refused(archive: Path, words: str, limits: Limits | None = None) -> None:
    before = tree(archive.parent)
    with pytest.raises(DataError, match=words) as caught:
        extract(archive, archive.parent / "out", limits=limits)
    assert archive.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(archive.parent) == before
    assert not (archive.parent / "out").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_of_every_packing_are_unpacked(tmp_path: Path, mode: str) -> None:
    archive = make_tar(
        tmp_path / "set.bin",
        special("a", tarfile.DIRTYPE),
        special("a", tarfile.DIRTYPE),
        file("./a/b.txt", b"hello"),
        file("a/empty", b""),
        special("a/soft", tarfile.SYMTYPE, "b.txt"),
        special("softer", tarfile.SYMTYPE, "./a/soft"),
        special("hard", tarfile.LNKTYPE, "a/b.txt"),
        mode=mode,
    )
    steps: list[Step] = []
    extract(archive, tmp_path / "out", progress=steps.append)
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"hello"
    assert (tmp_path / "out/a/soft").read_bytes() == b"hello"
    assert (tmp_path / "out/softer").read_bytes() == b"hello"
    assert (tmp_path / "out/hard").read_bytes() == b"hello"
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert (tmp_path / "out/a/empty").read_bytes() == b""
    assert steps[-1].done == steps[-1].total
    assert leftovers(tmp_path / "out") == []


def test_zip_with_windows_separators_is_unpacked(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "set.zip", [("a/", b""), ("a/b", b"1"), ("c\\d", b"2")])
    extract(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"a/b", "c/d"}


def test_single_gz_is_unpacked_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(b"voxels" * 1000))
    extract(tmp_path / "scan.nii.gz", tmp_path / "out")
    assert (tmp_path / "out/scan.nii").read_bytes() == b"voxels" * 1000


def test_an_existing_target_is_left_alone(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", file("b"))
    (tmp_path / "out").mkdir()
    with pytest.raises(StoreError, match="exists already"):
        extract(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


HOSTILE_NAMES = {
    "/etc/passwd": "absolute",
    "//server/share": "absolute",
    "\\windows": "absolute",
    "C:\\x": "drive letter",
    "c:x": "drive letter",
    "../x": "climbs",
    "a/../../x": "climbs",
    "a\\..\\..\\x": "climbs",
    "a/\x1b[2Jx": "control characters",
    "a/. ./x": "dots and spaces",
}


@pytest.mark.parametrize(("name", "words"), HOSTILE_NAMES.items())
def test_hostile_names_are_refused(tmp_path: Path, name: str, words: str) -> None:
    assert_refused(make_tar(tmp_path / "bad.tar", file("good"), file(name)), words)
    assert_refused(make_zip(tmp_path / "bad.zip", [("good", b""), (name, b"")]), words)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a", "a"], "repeats a"),
        (["a", "A"], "repeats a"),
        (["a", "./a"], "repeats a"),
        (["caf\u00e9", "cafe\u0301"], "repeats"),
        (["a", "a."], "repeats a"),
        (["a", "a/b"], "lies below a, which is a file"),
        (["a/b", "a"], "repeats a"),
        (["a/b", "A/c"], "only in letter case"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_would_be_one_file_are_refused(
    tmp_path: Path, names: list[str], words: str
) -> None:
    assert_refused(make_tar(tmp_path / "bad.tar", *(file(name) for name in names)), words)
    assert_refused(make_zip(tmp_path / "bad.zip", [(name, b"") for name in names]), words)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("l", "/etc"),
        ("l", ".."),
        ("a/l", "../../x"),
        ("a/l", "b/../../../x"),
        ("l", "C:\\x"),
        ("a/l", "..\\..\\x"),
    ],
)
def test_links_that_lead_outside_are_refused(tmp_path: Path, name: str, target: str) -> None:
    link = special(name, tarfile.SYMTYPE, target)
    assert_refused(make_tar(tmp_path / "bad.tar", link), "leads outside")
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr(info, target)
    assert_refused(tmp_path / "bad.zip", "leads outside")


@pytest.mark.parametrize("target", ["", ".", "l", "m", "a", "nowhere"])
def test_links_to_anything_but_files_are_refused(tmp_path: Path, target: str) -> None:
    loop = special("l", tarfile.SYMTYPE, target), special("m", tarfile.SYMTYPE, "l")
    archive = make_tar(tmp_path / "bad.tar", file("a/x"), *loop)
    assert_refused(archive, "no file of the archive")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    through = (special("l", tarfile.SYMTYPE, "a"), file("a/x"), file("l/y"))
    assert_refused(make_tar(tmp_path / "bad.tar", *through), "lies below l, which is a link")


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "other", "a"])
def test_hard_links_repeat_only_files_of_the_archive(tmp_path: Path, target: str) -> None:
    link = special("b/l", tarfile.LNKTYPE, target)
    archive = make_tar(tmp_path / "bad.tar", link, file("a/x"))
    assert_refused(archive, "leads outside|no file of the archive")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_special_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    assert_refused(make_tar(tmp_path / "bad.tar", special("dev", kind)), "special file")


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "bad.zip", [("secret", b"abc")])
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    archive.write_bytes(data)
    assert_refused(archive, "'secret' is encrypted")


def test_bombs_are_refused(tmp_path: Path) -> None:
    zeros = bytes(8_000_000)
    packed = make_tar(tmp_path / "bomb.tar.xz", file("zeros", zeros), mode="w:xz")
    ratio = Limits(ratio_from=1_000_000)
    assert_refused(packed, "times the size of the archive", ratio)
    assert_refused(packed, "over 1 MB", Limits(total=1_000_000))
    zipped = make_zip(tmp_path / "bomb.zip", [("zeros", zeros)])
    assert_refused(zipped, "over 1 MB", Limits(total=1_000_000))
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(zeros))
    assert_refused(tmp_path / "bomb.gz", "over 1 MB", Limits(total=1_000_000))
    many = make_tar(tmp_path / "many.tar", *(file(str(number)) for number in range(12)))
    assert_refused(many, "one more than 10 members", Limits(members=10))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_cut_anywhere_is_damaged(tmp_path: Path, mode: str) -> None:
    content = os.urandom(3000)
    adds = [file(f"f{number}", content) for number in range(4)]
    whole = make_tar(tmp_path / "whole.tar", *adds, mode=mode).read_bytes()
    # What follows the last member is padding up to 10 kB.
    payload = 4 * (512 + 3072) if mode == "w" else len(whole) - 1
    cuts = {512, 3584, 3585, payload // 2, 4 * 3584 - 512, payload} & set(range(payload + 1))
    for cut in sorted(cuts):
        archive = tmp_path / "cut.tar"
        archive.write_bytes(whole[:cut])
        assert_refused(archive, "damaged or cut short")


def test_a_damaged_header_does_not_end_the_list_in_silence(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "bad.tar", file("a"), file("b"))
    data = bytearray(archive.read_bytes())
    data[1024 + 150] ^= 0xFF  # the checksum of the second member's header
    archive.write_bytes(data)
    assert_refused(archive, "damaged or cut short")


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "bad.zip", [("a", os.urandom(5000))])
    data = archive.read_bytes()
    archive.write_bytes(data[:3000])
    assert_refused(archive, "damaged")
    flipped = bytearray(data)
    flipped[2000] ^= 0xFF
    archive.write_bytes(flipped)
    assert_refused(archive, "damaged")


def test_a_web_page_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"<!DOCTYPE html><html>log in</html>")
    assert_refused(tmp_path / "set.zip", "is no archive.*web page")
    (tmp_path / "set.tar").write_bytes(b"nonsense")
    assert_refused(tmp_path / "set.tar", "is no archive")


def test_7z_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Mask.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(30))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert_refused(tmp_path / "Mask.7z", "pip install py7zr")


def test_7z_is_unpacked_and_checked(tmp_path: Path) -> None:
    py7zr = pytest.importorskip("py7zr")
    (tmp_path / "content").write_bytes(b"mask")
    with py7zr.SevenZipFile(tmp_path / "Mask.7z", "w") as packed:
        packed.write(tmp_path / "content", "Mask/Case_00001.nii.gz")
    extract(tmp_path / "Mask.7z", tmp_path / "good")
    assert tree(tmp_path / "good") == {"Mask/Case_00001.nii.gz"}
    with py7zr.SevenZipFile(tmp_path / "bad.7z", "w") as packed:
        packed.write(tmp_path / "content", "a")
        packed.write(tmp_path / "content", "A")
    assert_refused(tmp_path / "bad.7z", "repeats a")
    (tmp_path / "Mask.7z").write_bytes((tmp_path / "Mask.7z").read_bytes()[:-10])
    assert_refused(tmp_path / "Mask.7z", "damaged")


NAMES = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(["a", "A", "..", ".", "", "b.txt", "C:", "\\", "é", "é", " ", "l", "~"]),
        min_size=1,
        max_size=5,
    ).map("/".join),
)
MEMBERS = st.lists(
    st.tuples(NAMES, st.sampled_from(["file", "dir", "link", "hard"]), NAMES), max_size=6
)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(members=MEMBERS)
def test_whatever_the_members_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, str, str]]
) -> None:
    base = tmp_path_factory.mktemp("hostile")
    inside = base / "deep/inside"
    inside.mkdir(parents=True)
    kinds = {"dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}
    tar_path, zip_path = base / "bad.tar", base / "bad.zip"
    with tarfile.open(tar_path, "w", errors="surrogatepass") as tar:
        for name, kind, target in members:
            add = file(name) if kind == "file" else special(name, kinds[kind], target)
            add(tar)
    with zipfile.ZipFile(zip_path, "w") as packed:
        for name, kind, target in members:
            info = zipfile.ZipInfo(name.encode("utf-8", "replace").decode())
            info.create_system = 3
            if kind in ("link", "hard"):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(info, target.encode("utf-8", "replace"))
    before = tree(base)
    for number, archive in enumerate((tar_path, zip_path)):
        target_folder = inside / f"out{number}"
        try:
            extract(archive, target_folder)
        except DataError:
            assert not target_folder.exists()
        for path in target_folder.rglob("*"):
            assert not path.is_symlink()
    outside = {path for path in tree(base) if not path.startswith("deep/inside/out")}
    assert outside == before


@given(name=st.text(max_size=20))
def test_safe_parts_never_climb(name: str) -> None:
    try:
        parts = safe_parts(name)
    except RefusedMemberError:
        return
    assert not any(part in ("", ".", "..") or "/" in part or "\\" in part for part in parts)


def test_links_count_from_their_own_folder() -> None:
    assert link_target(("a", "b", "l"), "../../c/./d") == ("c", "d")
    assert link_target(("l",), "a//b") == ("a", "b")
    with pytest.raises(RefusedMemberError, match="leads outside"):
        link_target(("a", "l"), "../../c")


def test_a_killed_extraction_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "big.tar", *(file(f"f{n}", bytes(50_000)) for n in range(200)))
    script = (
        "import sys, time; from pathlib import Path\n"
        "from medscale.data.archives import extract\n"
        "extract(Path(sys.argv[1]), Path(sys.argv[2]), progress=lambda step: time.sleep(0.02))\n"
    )
    target = tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", script, str(archive), str(target)])
    for _ in range(1000):
        if any(path.is_file() for rest in leftovers(target) for path in rest.rglob("*")):
            break
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert not target.exists()
    assert len(leftovers(target)) == 1
    extract(archive, target)
    assert len(list(target.iterdir())) == 200
