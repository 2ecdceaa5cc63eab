"""Public data sets as facts: where they are, under which licence, and what is in them."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from medscale.config import Options
from medscale.errors import ConfigError, did_you_mean
from medscale.spec import NAME

DIGEST_LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
"""Hexadecimal digits of each hash that a publisher may give."""

_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


class SourceFile(Options):
    """One file that the publisher offers."""

    name: str = Field(description="file name, as downloaded")
    url: str = Field(default="", description="where a script may download it; empty if nowhere")
    size: int | None = Field(default=None, gt=0, description="about how large it is, in bytes")
    algorithm: Literal["", "md5", "sha1", "sha256", "sha512"] = Field(
        default="", description="of the hash; empty where none is published"
    )
    digest: str = Field(default="", description="the hash, in hexadecimal digits")
    archive: Literal["", "tar", "tar.gz", "tar.bz2", "tar.xz", "zip", "gz", "7z"] = Field(
        default="", description="how it is packed; empty for a file that is used as it is"
    )
    into: str = Field(default="", description="folder of the set that it is unpacked into")

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", value):
            raise ValueError(f"expected a plain file name, got {value!r}")
        return value

    @field_validator("into")
    @classmethod
    def _check_into(cls, value: str) -> str:
        return _relative(value)

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return value and _address(value)

    @model_validator(mode="after")
    def _check_digest(self) -> SourceFile:
        length = DIGEST_LENGTHS.get(self.algorithm, 0)
        if not re.fullmatch(rf"[0-9a-f]{{{length}}}", self.digest):
            raise ValueError(
                f"digest of {self.name} is {self.digest!r}, expected {length} lower-case "
                f"hexadecimal digits for {self.algorithm or 'no algorithm'}"
            )
        return self

    @property
    def known_hash(self) -> str | None:
        """The hash as pooch writes it, or None where none is published."""
        return f"{self.algorithm}:{self.digest}" if self.digest else None


class Manifest(Options):
    """One public data set."""

    name: str = Field(description="what a user types")
    title: str = Field(description="its full name")
    homepage: str = Field(description="where its publishers describe it")
    licence: str = Field(description="what may be done with it")
    citation: str = Field(description="what to cite when it is used")
    registration: bool = Field(description="whether its publishers want to know who downloads it")
    how: str = Field(
        default="", description="where to register and what to download, where a script may not"
    )
    modality: str = Field(description="kind of images")
    labels: dict[str, str] = Field(description="label value, mask or file: what it marks")
    counts: dict[str, int] = Field(description="numbers of patients, images, …, as published")
    layout: str = Field(description="folders and files of the unpacked set")
    root: str = Field(default="", description="folder of the unpacked set that the plugin reads")
    recognised_by: str = Field(
        default="", description="pattern of a path below `root` that this set has and others lack"
    )
    plugin: str = Field(default="", description="the medscale data set plugin that reads it")
    unpacked_size: int | None = Field(
        default=None, gt=0, description="about how large the unpacked set is, in bytes"
    )
    notes: tuple[str, ...] = Field(default=(), description="what to beware of")
    files: tuple[SourceFile, ...] = Field(default=(), description="what is to be downloaded")

    @field_validator("name", "plugin")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if value and not NAME.fullmatch(value):
            raise ValueError(f"expected [a-z][a-z0-9_]*, got {value!r}")
        return value

    @field_validator("homepage")
    @classmethod
    def _check_homepage(cls, value: str) -> str:
        return _address(value)

    @field_validator("root")
    @classmethod
    def _check_root(cls, value: str) -> str:
        return _relative(value)

    @field_validator("recognised_by")
    @classmethod
    def _check_pattern(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/"):
            raise ValueError(f"expected a relative pattern such as '*/scan_*.nii', got {value!r}")
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> Manifest:
        for field in ("title", "licence", "citation", "modality", "name"):
            if not getattr(self, field).strip():
                raise ValueError(f"{field} is empty")
        if not self.scriptable and not self.how:
            raise ValueError("how is empty, but no script may download the set")
        names = [file.name.lower() for file in self.files]
        places = [file.into.lower() for file in self.files if file.archive]
        if len(set(names)) < len(names) or len(set(places)) < len(places):
            raise ValueError("files: names, and the folders of archives, must differ")
        return self

    @property
    def scriptable(self) -> bool:
        """Whether `medscale data fetch` can get all of it."""
        return not self.registration and bool(self.files) and all(file.url for file in self.files)

    @property
    def download_size(self) -> int | None:
        """About how much there is to download, in bytes; None where a size is not known."""
        sizes = [file.size for file in self.files if file.size is not None]
        return sum(sizes) if sizes and len(sizes) == len(self.files) else None


def manifest_folder() -> Path:
    """Return where the manifests are: inside the installed package, or in the repository."""
    installed = Path(__file__).parents[1] / "data_manifests"
    if installed.is_dir():
        return installed
    return Path(__file__).parents[3] / "data_manifests"


def all_manifests(folder: Path | None = None) -> dict[str, Manifest]:
    """Return every manifest by name, sorted.

    Args:
        folder: Where to look, instead of `manifest_folder()`.

    Raises:
        ConfigError: If one of them is not valid.
    """
    paths = sorted((folder or manifest_folder()).glob("*.toml"))
    return {path.stem: _read(path) for path in paths}


def load_manifest(name: str, folder: Path | None = None) -> Manifest:
    """Return one manifest.

    Raises:
        ConfigError: If there is none of that name, or it is not valid; says which are near.
    """
    place = folder or manifest_folder()
    known = [path.stem for path in place.glob("*.toml")]
    if name not in known:
        raise ConfigError(
            f"no public data set is called {name!r}: {did_you_mean(name, known)} "
            "(`medscale data list` shows all)"
        )
    return _read(place / f"{name}.toml")


@functools.cache
def _read(path: Path) -> Manifest:
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path} is no valid manifest: {place or 'it'}: {message}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    if manifest.name != path.stem:
        raise ConfigError(
            f"{path} calls its set {manifest.name!r}: name the file {manifest.name}.toml"
        )
    return manifest


def _address(value: str) -> str:
    parts = urlsplit(value)
    if not parts.hostname or not (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS)
    ):
        raise ValueError(f"expected an address that starts with https://, got {value!r}")
    return value


def _relative(value: str) -> str:
    if value and not re.fullmatch(r"[\w+-][\w.+-]*(/[\w+-][\w.+-]*)*", value):
        raise ValueError(f"expected a relative folder such as 'images/part1', got {value!r}")
    return value
