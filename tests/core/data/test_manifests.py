from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from pydantic import ValidationError

from medscale.data.manifests import (
    DIGEST_LENGTHS,
    Manifest,
    SourceFile,
    all_manifests,
    load_manifest,
    manifest_folder,
)
from medscale.errors import ConfigError
from medscale.registry import default_registry

FACTS: dict[str, Any] = {
    "name": "demo",
    "title": "Demo",
    "homepage": "https://example.org/demo",
    "licence": "CC0",
    "citation": "Nobody 2020",
    "registration": False,
    "modality": "CT",
    "labels": {"1": "organ"},
    "counts": {"images": 2},
    "layout": "*.png",
    "files": [{"name": "demo.zip", "url": "https://example.org/demo.zip", "archive": "zip"}],
}


def write(folder: Path, facts: dict[str, Any], name: str = "demo") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(facts), encoding="utf-8")
    return path


def test_every_manifest_of_the_repository_is_valid() -> None:
    manifests = all_manifests()
    assert {
        "acdc", "papila", "riga", "riga_plus", "abdomenct_1k", "covid_19_20", "brats_tcga_lgg",
        "xray_landmarks", "torchxrayvision_pspnet", "montgomery", "jsrt",
        "msd_hippocampus", "msd_heart", "msd_spleen", "msd_liver",
    } <= set(manifests)  # fmt: skip
    plugins = {record.name for record in default_registry().of_kind("dataset")}
    for name, manifest in manifests.items():
        assert manifest.name == name
        assert manifest.plugin in {"", *plugins}
        assert manifest.homepage.startswith("https://")
        assert manifest.counts
        assert manifest.labels
        for file in manifest.files:
            assert file.url == "" or file.url.startswith("https://")
            assert len(file.digest) == DIGEST_LENGTHS.get(file.algorithm, 0)
        if not manifest.scriptable:
            assert "https://" in manifest.how


def test_digests_are_not_shared_by_two_files() -> None:
    digests = [file.digest for manifest in all_manifests().values() for file in manifest.files]
    known = [digest for digest in digests if digest]
    assert len(known) == len(set(known))


def test_the_folder_is_the_repository_here() -> None:
    assert manifest_folder() == Path(__file__).parents[3] / "data_manifests"


def test_unknown_names_get_their_neighbours() -> None:
    with pytest.raises(ConfigError, match="did you mean msd_spleen"):
        load_manifest("msd_splen")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "colour: Extra inputs"),
        ({"name": "Demo"}, "expected \\[a-z\\]"),
        ({"title": " "}, "title is empty"),
        ({"homepage": "http://example.org"}, "https://"),
        ({"root": "../up"}, "relative folder"),
        ({"root": "/abs"}, "relative folder"),
        ({"recognised_by": "../*"}, "relative pattern"),
        ({"files": []}, "how is empty"),
        ({"files": [{"name": "a/b"}]}, "plain file name"),
        ({"files": [{"name": "a", "url": "http://example.org/a"}]}, "https://"),
        ({"files": [{"name": "a", "url": "file:///etc/passwd"}]}, "https://"),
        ({"files": [{"name": "a", "algorithm": "md5", "digest": "12"}]}, "expected 32"),
        ({"files": [{"name": "a", "digest": "0" * 64}]}, "no algorithm"),
        ({"files": [{"name": "a", "into": "x/../.."}]}, "relative folder"),
        ({"files": [{"name": "a"}, {"name": "A"}], "how": "ask"}, "must differ"),
    ],
)
def test_each_fault_is_one_sentence_with_the_file(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = write(tmp_path, {**FACTS, **change})
    with pytest.raises(ConfigError, match=words) as caught:
        load_manifest("demo", tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_has_to_be_named_after_its_set(tmp_path: Path) -> None:
    write(tmp_path, FACTS, "other")
    with pytest.raises(ConfigError, match=r"name the file demo\.toml"):
        load_manifest("other", tmp_path)


def test_broken_toml_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text("name = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot read"):
        all_manifests(tmp_path)


def test_manifests_never_change() -> None:
    manifest = Manifest.model_validate(FACTS)
    with pytest.raises(ValidationError):
        manifest.name = "other"


def test_scripts_may_only_fetch_what_is_whole_and_open() -> None:
    manifest = Manifest.model_validate(FACTS)
    assert manifest.scriptable
    closed = Manifest.model_validate({**FACTS, "registration": True, "how": "register"})
    assert not closed.scriptable
    assert manifest.download_size is None
    sized = SourceFile(name="a", size=5)
    assert Manifest.model_validate({**FACTS, "how": "x", "files": [sized]}).download_size == 5
