from __future__ import annotations

import csv
import io
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from medscale.errors import DataError
from medscale_dataset_folder.metadata import Row, read_metadata

IMAGES = {stem: Path("images") / f"{stem}.png" for stem in ("a", "b.2", "ü")}

# What a person may call a person; a table's editor strips the ends.
names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)


def read(content: bytes) -> dict[str, Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.csv"
        path.write_bytes(content)
        return read_metadata(path, IMAGES)


@given(
    st.permutations(list(IMAGES)),
    st.tuples(names, names, names),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_what_is_written_is_read(
    order: list[str], subjects: tuple[str, ...], position: float, suffix: bool, encoding: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["note", "image", "position", "subject"])
    for stem, subject in zip(order, subjects, strict=True):
        name = IMAGES[stem].name if suffix else stem
        writer.writerow(['any, "thing"\nat all', name, repr(position), subject])
    rows = read(text.getvalue().encode(encoding))
    assert list(rows) == list(IMAGES)
    expected = {s: Row(subject=p, position=position) for s, p in zip(order, subjects, strict=True)}
    assert rows == expected


@given(st.one_of(st.binary(max_size=200), st.text('image,subject\n"ab.2ü;\r\0 \t/', max_size=80)))
def test_any_other_content_is_read_or_refused(content: bytes | str) -> None:
    raw = content if isinstance(content, bytes) else b"image,subject\n" + content.encode()
    with suppress(DataError):  # and nothing else
        assert set(read(raw)) == set(IMAGES)
