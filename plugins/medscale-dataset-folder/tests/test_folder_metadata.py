from __future__ import annotations

import csv
import io
import tempfile
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from folder_toys import GREY, dataset, png
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
        return read_metadata(path, IMAGES, lambda line: None)


@given(
    st.permutations(list(IMAGES)),
    st.tuples(names, names, names),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(",;\t"),
)
def test_what_is_written_is_read(
    order: list[str],
    subjects: tuple[str, ...],
    position: float,
    suffix: bool,
    encoding: str,
    separator: str,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
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


class TestMetadata:
    def test_columns_reach_the_cases(self, masks: Path) -> None:
        (masks / "metadata.csv").write_text(
            "\ufeffSubject, image ,URL,group,position\n"
            'p1,c.png,"a, b",site 1,0.25\np2,a,,,\n\np1,b.png,x,site 1,1\n',
            encoding="utf-8",
        )
        log: list[str] = []
        cases = dataset(masks, log).cases()
        assert [(c.id, c.subject, c.group, c.position) for c in cases] == [
            ("a", "p2", "", None),
            ("b", "p1", "site 1", 1.0),
            ("c", "p1", "site 1", 0.25),
        ]
        assert log == ["metadata.csv: the following column is not used: URL"]

    @pytest.mark.parametrize("table", [None, "image\na\nb\nc\n"])
    def test_unknown_subjects_are_said_aloud(self, masks: Path, table: str | None) -> None:
        if table is not None:
            (masks / "metadata.csv").write_text(table)
        log: list[str] = []
        made = dataset(masks, log)
        assert [case.subject for case in made.cases()] == ["a", "b", "c"]
        made.cases()
        assert len(log) == 1
        assert "one person has several, give them one subject in metadata.csv" in log[0]

    @pytest.mark.parametrize(
        "name", ["subject_id", "Subject ID", "patient", "patient_id", "Patient-ID", "PATIENT"]
    )
    def test_other_names_of_the_person_are_understood(self, masks: Path, name: str) -> None:
        (masks / "metadata.csv").write_text(f"image,{name}\na,p1\nb,p1\nc,p2\n")
        log: list[str] = []
        assert [case.subject for case in dataset(masks, log).cases()] == ["p1", "p1", "p2"]
        assert log == []

    def test_a_column_that_is_not_used_is_said_aloud(self, masks: Path) -> None:
        (masks / "metadata.csv").write_text("image,Person,,age\na,p1,,7\nb,p1,,7\nc,p2,,8\n")
        log: list[str] = []
        assert [case.subject for case in dataset(masks, log).cases()] == ["a", "b", "c"]
        assert log[0] == "metadata.csv: the following columns are not used: Person, age"
        assert "no subjects are known" in log[1]

    @pytest.mark.parametrize("separator", [";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_tables_of_other_countries_are_read(
        self, masks: Path, separator: str, encoding: str
    ) -> None:
        rows = ["image|subject|position", "a.png|Jörg, A.|0,25", "b.png|Jörg, A.|1", "c.png|Ida|"]
        text = "\r\n".join(row.replace("|", separator) for row in rows)
        (masks / "metadata.csv").write_bytes(text.encode(encoding))
        assert [(case.subject, case.position) for case in dataset(masks).cases()] == [
            ("Jörg, A.", 0.25),
            ("Jörg, A.", 1.0),
            ("Ida", None),
        ]

    def test_accents_agree_between_systems(self, tmp_path: Path) -> None:
        name = "Ödem"
        png(tmp_path / "images" / f"{unicodedata.normalize('NFD', name)}.png", GREY)
        png(tmp_path / "labels" / f"{unicodedata.normalize('NFC', name)}.png", GREY % 2)
        (tmp_path / "metadata.csv").write_text(f"image,subject\n{name}.png,p\n", encoding="utf-8")
        assert [case.id for case in dataset(tmp_path).cases()] == [
            unicodedata.normalize("NFC", name)
        ]

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("", "has the columns nothing"),
            ("name,subject\na,1\n", "has the columns name, subject"),
            ("image|subject\na|1\n", "separated by commas, semicolons or tabs"),
            ("image,subject,Subject\na,1,1\n", "a column twice, subject and subject, expected"),
            ("image,subject,Patient ID\na,1,1\n", "twice, subject and patient_id, .* one subject"),
            ("image,patient_id,patient\na,1,1\n", "twice, patient_id and patient, .* one subject"),
            ("image;subject\na;1;2\n", "line 2: 3 cells, expected 2 .* contain ';'"),
            ('image,position\na,"0,5"\n', "position is '0,5'"),
            ("image,subject\na,1\nb,2\n", r"has no row for c\.png \(1 of 3"),
            ("image,subject\na,1\nz.png,2\n", r"line 3: there is no image 'z\.png'"),
            ("image,subject\na,1\na.png,2\n", r"line 3: image 'a\.png' has a row already"),
            ("image,subject\n../images/a.png,1\n", "line 2: image is '../images/a.png', expected"),
            ("image,subject\n..\\a.png,1\n", "expected the plain name"),
            ("image,subject\n..,1\n", "expected the plain name"),
            ("image,subject\n,1\n", "expected the plain name"),
            ("image,subject\na, \n", "line 2: subject is empty"),
            ("image,subject\na\n", "line 2: 1 cells, expected 2"),
            ("image,subject\na,1,2\n", "line 2: 3 cells, expected 2"),
            ('image,subject\na,"1\nb,2\nc,3\n', "no valid CSV"),
            ("image,position\na,1.01\n", "position is '1.01', expected a number from 0 to 1"),
            ("image,position\na,nan\n", "position is 'nan'"),
            ("image,position\na,base\n", "position is 'base'"),
            (b"image,subject\na,\xff\n", "is not UTF-8"),
        ],
    )
    def test_a_faulty_table_is_one_sentence(
        self, masks: Path, table: str | bytes, message: str
    ) -> None:
        content = table if isinstance(table, bytes) else table.encode()
        (masks / "metadata.csv").write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            dataset(masks).cases()
        assert "metadata.csv" in str(caught.value)
        assert "\n" not in str(caught.value)
