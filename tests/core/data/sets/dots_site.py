"""A set of dots: its plugin, its archive, and a web site that offers it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medscale.data.manifests import Manifest

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


def unpacked(folder: Path, cases: int = 3) -> Path:
    for name, content in dots(cases).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
