"""Options reach their model from `--set` and TOML, and a fault is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from medscale.config import Options, merge, parse_settings, read_toml, validate
from medscale.errors import ConfigError, did_you_mean

_NAME = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)


class OvenOptions(Options):
    """An oven."""

    degrees: float = Field(default=180.0, gt=0, description="temperature, °C")
    minutes: int = Field(default=30, description="time, min")
    fan: bool = Field(default=False, description="moves the air")
    racks: tuple[int, ...] = Field(default=(), description="heights")


def test_settings_become_a_tree_of_texts() -> None:
    assert parse_settings(["oven.degrees=1e2", " oven.fan = no ", "red.a.b=x=y", "red.c="]) == {
        "oven": {"degrees": "1e2", "fan": "no"},
        "red": {"a": {"b": "x=y"}, "c": ""},
    }


def test_the_last_setting_wins() -> None:
    assert parse_settings(["oven.minutes=1", "oven.minutes=2"]) == {"oven": {"minutes": "2"}}


@pytest.mark.parametrize(
    ("text", "value"), [("[1, 2]", [1, 2]), ('{"a": 1}', {"a": 1}), ('"[1"', "[1"), ("1,2", "1,2")]
)
def test_brackets_and_quotes_are_json(text: str, value: Any) -> None:
    assert parse_settings([f"oven.racks={text}"]) == {"oven": {"racks": value}}


@given(_NAME, _NAME, st.text(max_size=10).map(str.strip))
def test_any_other_text_arrives_as_it_is(owner: str, option: str, text: str) -> None:
    assume(text[:1] not in ("[", "{", '"'))
    assert parse_settings([f"{owner}.{option}={text}"]) == {owner: {option: text}}


@pytest.mark.parametrize(
    "setting",
    ["", "oven", "oven.fan", "fan=1", "=1", ".fan=1", "oven.=1", "oven..fan=1", ".=", "oven=1"],
)
def test_another_form_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"expected NAME\.OPTION=VALUE"):
        parse_settings([setting])


def test_broken_json_is_refused() -> None:
    with pytest.raises(ConfigError, match="not JSON"):
        parse_settings(["oven.racks=[1, 2"])


def test_an_option_is_no_table_as_well() -> None:
    with pytest.raises(ConfigError, match="a already has a value"):
        parse_settings(["oven.a=1", "oven.a.b=2"])


def test_texts_are_coerced_by_the_model() -> None:
    values = {"degrees": "2e2", "minutes": "5", "fan": "yes", "racks": [1, "2"]}
    oven = validate(OvenOptions, values, "oven")
    assert oven == OvenOptions(degrees=200.0, minutes=5, fan=True, racks=(1, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"minuets": 3}, r"unknown option oven\.minuets: did you mean minutes\?"),
        ({"colour": 3}, r"unknown option oven\.colour: known: degrees, fan, minutes, racks"),
        ({"degrees": "-3"}, r"option oven\.degrees got '-3': input should be greater than 0"),
        ({"minutes": "soon"}, r"option oven\.minutes got 'soon': input should be a valid integer"),
        ({"racks": ["1", "x"]}, r"option oven\.racks\.1 got 'x'"),
        ({"degrees": "nan"}, r"option oven\.degrees got 'nan'"),
        ({"degrees": "inf"}, r"option oven\.degrees got 'inf': input should be a finite number"),
    ],
)
def test_the_first_fault_is_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        validate(OvenOptions, values, "oven")
    assert "\n" not in str(caught.value)


def test_options_never_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        OvenOptions().minutes = 3


def test_later_trees_win_key_by_key() -> None:
    assert merge(
        {"train": {"amount": 1, "loss": "bce"}, "seed": 1},
        {"train": {"amount": 2}, "seed": 2},
        {"split": {"test": 0.1}},
    ) == {"train": {"amount": 2, "loss": "bce"}, "seed": 2, "split": {"test": 0.1}}


def test_merging_leaves_its_trees_alone() -> None:
    preset = {"train": {"amount": 1}}
    merged = merge(preset, {"train": {"loss": "bce"}})
    merged["train"]["amount"] = 3
    assert preset == {"train": {"amount": 1}}


def test_toml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('dataset = "acdc"\n[train]\namount = 5\n', encoding="utf-8")
    assert read_toml(path) == {"dataset": "acdc", "train": {"amount": 5}}


@pytest.mark.parametrize("content", [b"dataset = ", b"\xff\xfe", None])
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "study.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"study\.toml"):
        read_toml(path)


def test_near_names_are_suggested() -> None:
    assert did_you_mean("swin", ["res_unet", "swin_unet"]) == "did you mean swin_unet?"
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("zzz", []) == "none is available"
