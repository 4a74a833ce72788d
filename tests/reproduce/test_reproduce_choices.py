"""Choices: data sets where they are, settings as text, and what departs from a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labonn.errors import ProcedureError
from labonn.reproduce import Choices
from labonn.sweeps import places


def data_set(folder: Path, content: bytes = b"0") -> Path:
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    return folder


def test_sets_are_found_in_a_folder_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    for name in ("mnist", "kmnist10k"):
        data_set(tmp_path / name)
    (tmp_path / "emnist").mkdir()  # begun, and empty
    found = Choices(data=str(tmp_path))
    assert [(one.name, one.folder) for name in ("mnist", "kmnist") if (one := found.images(name))] == [
        ("mnist", str(tmp_path / "mnist")), ("kmnist10k", str(tmp_path / "kmnist10k")),
    ]  # fmt: skip
    assert found.images("emnist") is None


def test_a_set_is_the_same_wherever_it_is_and_whatever_else_lies_beside_it(tmp_path: Path) -> None:
    here, there, other = (data_set(tmp_path / place / "mnist", content) for place, content in (("a", b"0"), ("b", b"0"), ("c", b"1")))
    (there / "README").write_text("mine")
    sums = [Choices(data=str(one.parent)).images("mnist") for one in (here, there, other)]
    assert sums[0] is not None
    assert [one.sha256 == sums[0].sha256 for one in sums if one] == [True, True, False]


def test_a_set_is_read_once_however_many_experiments_ask_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(places, "sha256", lambda folder: read.append(folder) or "0")
    data_set(tmp_path / "mnist")
    assert {Choices(data=str(tmp_path)).images("mnist") for _ in range(3)} == {Choices(data=str(tmp_path)).images("mnist")}
    assert len(read) == 1


def test_the_folder_of_mnist_itself_will_do(tmp_path: Path) -> None:
    found = Choices(data=str(data_set(tmp_path / "mnist")))
    assert found.images("mnist") == Choices(data=str(tmp_path)).images("mnist")
    assert found.images("kmnist") is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("holiday", "is a data set itself; wanted is the folder that has it"),
        ("kmnist", "is another data set, and MNIST is wanted"),
    ],
)
def test_another_set_is_not_taken_for_mnist(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ProcedureError, match=told):
        Choices(data=str(data_set(tmp_path / name))).images("mnist")


def test_without_mnist_the_next_command_is_named(tmp_path: Path) -> None:
    for place, told in ((tmp_path, "no folder mnist with IDX files there"), (tmp_path / "none", "no such folder")):
        with pytest.raises(ProcedureError, match=f"{told}; `labonn data fetch mnist` .*--data mini .*--quick"):
            Choices(data=str(place)).images("mnist")
    assert Choices(data=str(tmp_path), pretended=True).images("mnist") is not None


def test_a_quick_look_has_the_shipped_images_even_without_a_folder() -> None:
    assert getattr(Choices(quick=True, data="nowhere").images("mnist"), "name", "") == "mini"


@pytest.mark.parametrize(
    ("text", "full", "value"),
    [
        ("7", 50, 7), ("-7", 50, -7), ("0.5", 1.0, 0.5), ("2", 1.0, 2.0), ("no", True, False), ("On", False, True), ("sgd", "adam", "sgd"),
        ("1,10, 30", [0.5], [1.0, 10.0, 30.0]), ("3", (1, 2), (3,)), ("a,b", ["c"], ["a", "b"]), ("yes,no", [True], [True, False]),
    ],
)  # fmt: skip
def test_a_given_setting_is_of_the_type_of_the_experiment_s(text: str, full: Any, value: Any) -> None:
    found = Choices(given={"it": text}).value("it", full)
    assert found == value
    assert type(found) is type(full)


@pytest.mark.parametrize(
    ("text", "full", "told"),
    [
        ("many", 50, "a whole number is wanted, such as 50"),
        ("2.5", 50, "a whole number"),
        ("nan", 1.0, "a number is wanted, such as 1"),
        ("maybe", True, "yes or no is wanted, such as yes"),
        ("1,x", [1, 10], "a list with commas is wanted, such as 1,10"),
        ("", [1], "a list with commas"),
    ],
)
def test_a_setting_of_another_type_is_refused(text: str, full: Any, told: str) -> None:
    with pytest.raises(ProcedureError, match=f"--set it={text}: {told}"):
        Choices(given={"it": text}).value("it", full)


def test_what_departs_from_a_paper_says_so() -> None:
    assert Choices().departs == Choices(seeds=1).departs == ""
    assert "--quick: a smaller version" in Choices(quick=True).departs
    assert "not comparable" in Choices(data="mini").departs
    assert "epochs=10" in Choices(given={"epochs": "10"}).departs
