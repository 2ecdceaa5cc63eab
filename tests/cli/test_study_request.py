"""Flags, a study file and a preset become one study; the nearer to the user, the stronger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medscale.errors import ConfigError
from medscale.study.config import Arm, StudyConfig
from medscale_cli.study_request import StudyRequest, study_config


def _study(
    *settings: str, file: Path | None = None, preset: str = "default", **flags: Any
) -> StudyConfig:
    request = StudyRequest(
        study=flags,
        preset=preset,
        file=file,
        settings=settings,
        data=None,
        out=None,
        device="cpu",
        jobs=None,
        threads=1,
        executor="serial",
    )
    study = study_config(request)
    assert isinstance(study, StudyConfig)
    return study


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(
        """
        dataset = "acdc"
        task = ["lv", "myo"]
        aug = "none,strong=red"
        sizes = [1, 4]
        seed = 3
        [train]
        amount = 50
        batch_size = 2
        [prepare]
        shape = 64
        [plugins.strong]
        prob = 0.5
        magnitude_max = 4
        """
    )
    return path


def test_a_data_set_is_enough() -> None:
    study = _study(dataset="acdc")
    assert study.arms == (Arm("none", ("none",)),)
    assert study.backbones == ("res_unet",)
    assert study.recipe == "segmentation"
    assert study.sizes == (1, 2, 4, 8, 16)
    assert study == StudyConfig(
        dataset="acdc",
        arms=study.arms,
        backbones=("res_unet",),
        recipe="segmentation",
        sizes=study.sizes,
    )


def test_a_data_set_has_to_be_named() -> None:
    with pytest.raises(ConfigError, match="--dataset is missing"):
        _study(aug="none")


def test_flags_are_read_as_typed() -> None:
    study = _study(
        dataset="acdc",
        task="lv,myo",
        aug="none,red+reg",
        backbone="res_unet,swin_unet",
        sizes="1..256",
        replicates="20,16:10",
        splits=2,
        seed=7,
        shape="96x64",
        budget="epochs=50",
    )
    assert study.tasks == ("lv", "myo")
    assert [arm.label for arm in study.arms] == ["none", "red+reg"]
    assert study.sizes[-1] == 256
    assert study.replicates == ((1, 20), (16, 10))
    assert (study.splits, study.seed) == (2, 7)
    assert study.prepare.shape == (96, 64)
    assert (study.train.budget, study.train.amount) == ("epochs", 50)


def test_a_file_is_read(file: Path) -> None:
    study = _study(file=file)
    assert study.dataset == "acdc"
    assert study.tasks == ("lv", "myo")
    assert study.arms[1] == Arm("strong", ("red",))
    assert study.sizes == (1, 4)
    assert (study.train.amount, study.train.batch_size) == (50, 2)
    assert study.prepare.shape == (64,)
    assert study.plugins == {"strong": {"prob": 0.5, "magnitude_max": 4}}


def test_flags_win_over_the_file_and_settings_over_flags(file: Path) -> None:
    study = _study(
        "train.amount=9",
        "strong.prob=1",
        "red.spacing=5",
        file=file,
        dataset="papila",
        sizes="2",
        budget="steps=7",
        shape="32",
    )
    assert study.dataset == "papila"
    assert study.sizes == (2,)
    assert study.train.amount == 9
    # What nobody overrides stays: key by key, not table by table.
    assert study.train.batch_size == 2
    assert study.seed == 3
    assert study.prepare.shape == (32,)
    assert study.plugins == {
        "strong": {"prob": "1", "magnitude_max": 4},
        "red": {"spacing": "5"},
    }


def test_the_paper_s_protocol_is_a_preset() -> None:
    study = _study(dataset="acdc", preset="paper")
    assert study.replicates == ((1, 20), (16, 10))
    assert study.prepare.shape == (512,)
    assert study.prepare.intensity == "minmax"
    assert study.split.max_validation is None
    train = study.train
    assert (train.budget, train.amount, train.batch_size) == ("epochs", 50, 8)
    assert (train.learning_rate, train.warmup, train.patience) == (1e-4, 0.1, 10)
    assert (train.loss, train.selection, train.initialisation) == ("bce", "bce", "xavier")


def test_everything_wins_over_a_preset(file: Path) -> None:
    study = _study("train.loss=bce_dice", file=file, preset="paper", replicates="2")
    assert study.train.loss == "bce_dice"
    assert study.train.batch_size == 2
    assert study.train.learning_rate == 1e-4
    assert study.replicates == ((1, 2),)
    assert study.prepare.shape == (64,)


def test_a_file_may_name_its_preset(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('preset = "paper"\ndataset = "acdc"\n')
    assert _study(file=path).train.budget == "epochs"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"preset": "papers"}, r"no preset is called 'papers': did you mean paper\?"),
        ({"budget": "500"}, "--budget got '500', expected steps=500"),
        ({"budget": "weeks=2"}, r"train\.budget got 'weeks'"),
        ({"budget": "steps=many"}, r"train\.amount got 'many'"),
        ({"budget": "steps=0"}, r"train\.amount got '0'"),
        ({"shape": "4"}, r"prepare\.shape .* numbers from 8 to 4096"),
        ({"shape": "wide"}, r"prepare\.shape"),
        ({"sizes": "256..1"}, "--sizes got '256..1'"),
        ({"aug": "a=red,a=reg"}, "one label for two arms"),
    ],
)
def test_a_bad_flag_is_explained(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _study(**{"dataset": "acdc", **flags})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.amont=5", r"unknown option train\.amont: did you mean amount\?"),
        ("split.test=1.5", r"split\.test got '1\.5'"),
        ("augmentation.flip=often", r"augmentation\.flip got 'often'"),
        ("train=5", r"expected NAME\.OPTION=VALUE"),
        ("train.learning_rate=inf", r"train\.learning_rate got 'inf'"),
    ],
)
def test_a_bad_setting_is_explained(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _study(setting, dataset="acdc")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train = 5", "train got 5, expected a table of options"),
        ("prepare = 'big'\nshape = 64", "prepare got 'big', expected a table"),
        ("plugins = 5", "plugins"),
        ("preset = ['paper']", "no preset is called"),
        ("preset = 3", "no preset is called '3'"),
        ("sizes = [0, 1]", r"study\.sizes"),
        ("aug = [1]", r"study\.arms"),
        ("aug = [['red']]", r"study\.arms"),
        ("task = [[1]]", r"study\.tasks"),
        ("colour = 'red'", r"unknown option study\.colour"),
        ("[train]\nbatch = 3", r"unknown option train\.batch: did you mean batch_size\?"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f"dataset = 'acdc'\n{content}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        _study(file=path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.toml"):
        _study(file=tmp_path / "nowhere.toml")
