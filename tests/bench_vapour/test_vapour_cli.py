"""Bad input to a training: one clear line a problem on stderr, exit code 2, no folder left and nothing sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labonn.cli import main
from procedures.benches import vapour_cell
from sim_backends.benches.instruments import Instruments

SIZES = [100, 12, 2]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every link to an emulated instrument that was asked for."""
    links: list[Any] = []
    original = Instruments.link

    def link(instruments: Instruments, name: str) -> Any:
        links.append(name)
        return original(instruments, name)

    monkeypatch.setattr(Instruments, "link", link)
    return links


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str]]]:
    """(exit code, lines on stderr) of `labonn run train_vapour_cell --dry-run`."""

    def command(*options: str, edit: Callable[[str], str] | None = None) -> tuple[int, list[str]]:
        bench: list[str] = []
        if edit is not None:
            (tmp_path / "lab.toml").write_text(edit(vapour_cell(SIZES)))
            bench = ["--bench", str(tmp_path / "lab.toml")]
        code = main(["run", "train_vapour_cell", "--dry-run", "--out", str(tmp_path / "runs"), *bench, *options])
        lines = capsys.readouterr().err.splitlines()
        assert not any("Traceback" in line for line in lines)
        return code, lines

    return command


def runs_in(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "runs").iterdir()) if (tmp_path / "runs").exists() else []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("shape = [2, 12]", "shape = [2, 11]"), "lab.toml: ports.weights2: shape 2 x 11 takes 11 inputs, but weights1 has 12 outputs"),
        (("channels = 100", "channels = 99"), "lab.toml: ports.input: has 99 channels, but the layers 100-12-2 need 100"),
        (("channels = 100\nbits", "channles = 100\nbits"), "lab.toml: ports.input.channles = 100: unknown key; did you mean 'channels'?"),
        (('upper = "3.6 V"', 'upper = "3.6 A"'), "lab.toml: ports.input.upper"),
        (('upper = "24 mA"', 'upper = "30 mA"'), "lab.toml: ports.gain.upper = 0.03 A widens the driver's limit of 0.024 A"),
        (('cell = "eq4"', 'cell = "eq5"'), "lab.toml: nominal.cell = 'eq5': allowed are eq4, two_level, doppler, gain"),
        (('cell = "eq4"', 'cell = "eq4"\nprobe = -1'), "lab.toml: nominal.probe = -1: a number above 0 and up to 100 is wanted"),
        (('cell = "eq4"', "oven = 3"), "lab.toml: nominal.oven = 3: a table is wanted"),
        (("seed = 7", "seed = 7\n[simulation.slm]\nflicker = 1.0"), "slm.flicker = 1.0: unknown key; did you mean 'flicker_rad'?"),
        (('driver = "qontrol"', 'driver = "quontrol"'), "ports.gain.driver: no driver is called 'quontrol'; did you mean 'qontrol'?"),
        (('role = "trigger"', 'role = "triger"'), """lab.toml: ports.output.role: 'triger' is not "trigger\""""),
        (('bench = "vapour_cell"', 'bench = "vapor_cell"'), "no bench is called 'vapor_cell'; did you mean 'vapour_cell'?"),
    ],
)
def test_a_wrong_bench_file_is_one_line_with_file_key_value_and_what_is_allowed(
    run: Callable[..., Any], stripes: Callable[..., Path], sent: list[Any], tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    assert change[0] in vapour_cell(SIZES)
    code, lines = run("--data", str(stripes(8, 8)), edit=lambda text: text.replace(*change))
    assert code == 2
    assert any(told in line and line.startswith("labonn: error: ") for line in lines), lines
    if "widens" not in told and "upper" not in told:
        assert sent == []
    assert runs_in(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--hidden", "13"], "--hidden 13: this bench has hidden layers of 12"),
        (["--hidden", "6", "6"], "--hidden 6 6: this bench has hidden layers of 12"),
        (["--hidden"], "--hidden : this bench has hidden layers of 12"),
        (["--data", "mini"], "--data mini: images of 784 pixels; this bench has 100 input beams"),
        (["--optical-depth", "500"], "optical depth 500 is outside 0.28 to 206 (nominal.oven.depth)"),
    ],
)
def test_options_that_do_not_fit_the_bench_are_told_before_anything_is_played(
    run: Callable[..., Any], stripes: Callable[..., Path], options: list[str], told: str
) -> None:
    code, lines = run("--data", str(stripes(8, 8)), *options, edit=lambda text: text)
    assert code == 2
    assert f"labonn: error: {told}" in [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--hidden", "0"], "--hidden 0: at least one neuron a layer"),
        (["--optical-depth", "-1"], "--optical-depth -1.0: 0 or more is wanted"),
        (["--optical-depth", "nan"], "--optical-depth nan: 0 or more is wanted"),
        (["--epochs", "0"], "--epochs 0: at least 1"),
        (["--batch", "0"], "--batch 0: at least 1"),
        (["--limit", "0"], "--limit 0: more than 0 is wanted"),
        (["--dwell", "-1"], "--dwell -1.0: more than 0 is wanted"),
        (["--lr", "0"], "learning rate 0: a positive, finite number is wanted"),
        (["--lr", "inf"], "learning rate inf: a positive, finite number is wanted"),
        (["--data", "/no/such/folder"], "/no/such/folder: no such folder; data is"),
        (["--derivative", "exacter"], "exacter"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_options_that_make_no_sense_are_told_before_anything_is_opened(
    run: Callable[..., Any], sent: list[Any], tmp_path: Path, options: list[str], told: str
) -> None:
    code, lines = run(*options)
    assert code == 2
    assert any(told in line for line in lines), lines
    assert sent == []
    assert runs_in(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "magic", "missing", "labels"])
def test_data_that_cannot_be_read_is_told_with_the_file(
    run: Callable[..., Any], stripes: Callable[..., Path], sent: list[Any], tmp_path: Path, damage: str
) -> None:
    folder = stripes(8, 8)
    images, labels = folder / "train-images-idx3-ubyte", folder / "t10k-labels-idx1-ubyte"
    if damage == "cut":
        images.write_bytes(images.read_bytes()[:-10])
    elif damage == "magic":
        images.write_bytes(b"\x89PNG" + images.read_bytes()[4:])
    elif damage == "missing":
        labels.unlink()
    else:
        labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 7]) + bytes(7))
    code, lines = run("--data", str(folder))
    assert code == 2
    assert len(lines) == 2
    assert lines[0].startswith("labonn: error: ")
    assert lines[1].startswith("labonn: `labonn data fetch mnist`")
    assert ("t10k" if damage in ("missing", "labels") else images.name) in lines[0]
    assert sent == []
    assert runs_in(tmp_path) == []


def test_a_limit_of_the_bench_file_that_a_table_exceeds_is_told_with_channel_value_and_rule(
    run: Callable[..., Any], stripes: Callable[..., Path], tmp_path: Path
) -> None:
    code, lines = run("--data", str(stripes(8, 8)), edit=lambda text: text.replace('upper = "110 degC"', 'upper = "50 degC"'))
    assert code == 2
    (told,) = [line for line in lines if line.startswith("labonn: error: ")]
    assert told.startswith("labonn: error: ovens/loop1: ")
    assert "degC in row 0 is outside" in told
    assert told.endswith("50 degC (lab.toml)")
