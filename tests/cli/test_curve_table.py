"""CSV files as `fit` and `forecast` read them: labels stay text, errors name a line."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from medscale.errors import DataError
from medscale_cli.curve_table import numbers, read_table


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_words_for_nothing_are_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "Arm , size\nNone,1\nNA, 2\nnull,4\n007,8\n")
    table = read_table(path, labels=("arm",))
    assert list(table["arm"]) == ["None", "NA", "null", "007"]
    assert list(table["size"]) == ["1", "2", "4", "8"]


def test_rows_are_known_by_their_line_in_the_file(tmp_path: Path) -> None:
    # A byte order mark, empty lines, and a cell of two lines.
    path = write(tmp_path, '\ufeff\nsize,note\n1,"two\nlines"\n\n2,x\n')
    table = read_table(path, labels=())
    assert list(table.columns) == ["size", "note"]
    assert list(table.index) == [4, 6]


@pytest.mark.parametrize(
    "text",
    [
        "size;arm;error\n1;a,b;0,5\n2;c;,25\n",
        "size;arm;error\n1;a,b;0.5\n2;c;0.25\n",
        "size\tarm\terror\n1\ta,b\t0,5\n2\tc\t2,5e-1\n",
        "\r\nsep=;\r\nsize;arm;error\r\n1;a,b;0,5\r\n2;c;0,25\r\n",
        'sep=,\nsize,arm,error\n1,"a,b",0.5\n2,c,0.25\n',
    ],
)
def test_spreadsheets_of_any_country_are_read(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    table = read_table(path, labels=("arm",))
    assert list(numbers(path, table["size"])) == [1, 2]
    assert list(numbers(path, table["error"])) == [0.5, 0.25]
    assert list(table["arm"]) == ["a,b", "c"]


def test_a_number_that_may_be_thousands_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "size\terror\n512\t0,5\n1,024\t0,25\n")
    table = read_table(path, labels=())
    assert list(numbers(path, table["error"])) == [0.5, 0.25]
    with pytest.raises(DataError, match="line 3: size is '1,024', expected a number"):
        numbers(path, table["size"])


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("size;a, b\n1;0,5\n",))
    writer.start()
    table = read_table(pipe, labels=())
    writer.join()
    assert table.to_numpy().tolist() == [["1", "0.5"]]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("size,error\nü,1\n".encode("latin-1"), "is not UTF-8 text; save it as CSV UTF-8"),
        ("size,error\n1,1\n".encode("utf-16"), "is not UTF-8 text; save it as CSV UTF-8"),
        (gzip.compress(b"size,error\n1,1\n", mtime=0), "is compressed; unpack it"),
    ],
)
def test_other_encodings_say_what_to_do(tmp_path: Path, content: bytes, advice: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=advice):
        read_table(path, labels=())


@pytest.mark.parametrize("blank", ["", "  ", '""'])
def test_a_blank_label_is_refused_by_column_and_line(tmp_path: Path, blank: str) -> None:
    path = write(tmp_path, f"size,arm\n1,red\n\n2,{blank}\n4,\n")
    with pytest.raises(DataError, match=r"table.csv, line 4: arm is blank, expected a label"):
        read_table(path, labels=("arm", "task"))
    assert list(read_table(path, labels=("task",))["arm"]) == ["red", "", ""]


@pytest.mark.parametrize("text", ["", "size,error\n", "size,error\n\n,\n"])
def test_a_file_without_rows_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="has no rows"):
        read_table(write(tmp_path, text), labels=())


def test_rows_may_be_short_or_end_in_commas_but_not_be_too_long(tmp_path: Path) -> None:
    path = write(tmp_path, "size,error,\n1,0.5,\n2,0.4\n4\n")
    table = read_table(path, labels=())
    assert table.to_numpy().tolist() == [["1", "0.5"], ["2", "0.4"], ["4", ""]]
    path = write(tmp_path, "size,error\n1,0.5\n2,0,4\n")
    with pytest.raises(DataError, match="line 3 has 3 values for 2 columns"):
        read_table(path, labels=())


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 2 columns 'arm'"):
        read_table(write(tmp_path, "arm,Arm\na,b\n"), labels=("arm",))


def test_a_cell_may_say_that_there_is_no_number(tmp_path: Path) -> None:
    path = write(tmp_path, "dice,hd95\n0.5,\n1e-1,NaN\n.2,n/a\n1,3\n")
    table = read_table(path, labels=())
    np.testing.assert_array_equal(numbers(path, table["dice"]), [0.5, 0.1, 0.2, 1])
    np.testing.assert_array_equal(numbers(path, table["hd95"]), [np.nan, np.nan, np.nan, 3])


@pytest.mark.parametrize("cell", ["much", '"0,5"', "True"])
def test_words_among_numbers_are_refused_by_column_and_line(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path, f"dice\n0.5\n{cell}\n")
    table = read_table(path, labels=())
    with pytest.raises(DataError, match=r"line 3: dice is .*, expected a number"):
        numbers(path, table["dice"])
