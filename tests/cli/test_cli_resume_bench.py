"""Going on with a training on instruments, which are not brought back but looked at first: who answers, limits, and the light."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_digits import Cut

from labonn.cli import main
from labonn.emulating import Emulated, emulate_bench
from labonn.keeping import Keeper
from procedures.benches.chips import chip_bench

CHIP = ["train_chip", "--steps", "9", "--report", "3", "--batch", "16", "--gradient", "spsa"]
VAPOUR = ["train_vapour_cell", "--hidden", "8", "--optical-depth", "4", "--epochs", "3", "--batch", "16", "--limit", "128", "--lr", "0.01"]


class Lab:
    """A chip's instruments on sockets of this computer, and the bench file that names them."""

    def __init__(self, folder: Path) -> None:
        self.text = chip_bench("pt_chip", [9, 4, 3], "pt", "board", "homodyne", False)
        self.file, self._folder = folder / "lab.toml", folder
        self.emulated = self.serve(None)

    def serve(self, seed: int | None) -> Emulated:
        """Put new instruments in their place."""
        plan = self._folder / "plan.toml"
        plan.write_text(self.text)
        emulated = emulate_bench(plan, seed=seed)
        urls = iter(line for line in emulated.lines if line.startswith("link"))
        self.file.write_text(re.sub(r"(?m)^link = .*$", lambda _: next(urls), self.text))
        return emulated

    @property
    def light(self) -> Any:
        return self.emulated.simulated.light


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.emulated.simulated.close()


@pytest.fixture
def cut(lab: Lab, pictures: Path, tmp_path: Path, cut_at: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a run on these instruments that was cut short after step 5, two steps after its first validation."""
    cut_at(5)
    with pytest.raises(Cut):
        main(["run", *CHIP, "--bench", str(lab.file), "--data", str(pictures), "--checkpoint", "1", "--out", str(tmp_path / "runs")])
    cut_at(0)
    capsys.readouterr()
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def events(folder: Path) -> str:
    return (folder / "events.log").read_text()


def test_it_goes_on_where_instruments_and_light_are_the_same(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train_chip", "--resume", str(cut)]) == 0
    assert "goes on after step 5" in capsys.readouterr().err
    assert re.search(r"outputs of 60 images differ from the checkpoint's by \S+ rms \(\S+ allowed: 6 times the noise", events(cut))
    rows = [json.loads(line) for line in (cut / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [3, 6, 9]
    times = [row["bench_time_s"] for row in rows]
    assert times == sorted(times)
    result = json.loads((cut / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["result"]["steps"] == 9
    assert result["result"]["shots"] > rows[-1]["shots"]


def test_a_copy_of_the_bench_file_that_was_edited_is_refused(cut: Path, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.emulated.simulated.close()
    lab.emulated = lab.serve(seed=99)
    (cut / "bench.toml").write_text(lab.file.read_text())
    assert main(["run", "train_chip", "--resume", str(cut)]) == 2
    assert "bench.toml: has been changed since the checkpoint was taken" in capsys.readouterr().err


@pytest.mark.slow
def test_other_serial_numbers_are_refused_and_taken_by_force(cut: Path, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    for port in ("input", "output"):
        for emulator in lab.emulated.simulated.instruments.of(port):
            emulator.serial = "XY-0001"
    assert main(["run", "train_chip", "--resume", str(cut)]) == 2
    err = capsys.readouterr().err
    assert re.search(r"error: \S+: input: '.* XY-0001' answers in place of '.* SD-\d+'; --force goes on anyway\n", err)
    assert len(re.findall("answers in place of", err)) == 2
    assert not (cut / "checkpoints").joinpath("000000006.npz").exists()
    assert main(["run", "train_chip", "--resume", str(cut), "--force"]) == 0
    assert "goes on by --force, although input: " in events(cut)


@pytest.mark.slow
def test_light_that_has_changed_is_refused_and_what_was_there_stays(cut: Path, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = (cut / "metrics.jsonl").read_bytes()
    lab.light.full_light *= 0.7  # a mirror has moved
    assert main(["run", "train_chip", "--resume", str(cut)]) == 2
    assert re.search(r"outputs of 60 images differ from the checkpoint's by \S+ rms; \S+ allowed.*--force", capsys.readouterr().err)
    assert (cut / "metrics.jsonl").read_bytes() == metrics
    assert main(["run", "train_chip", "--resume", str(cut), "--force"]) == 0


def test_a_bench_file_that_was_changed_is_refused_and_its_limits_taken_by_force(
    cut: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.file.write_text(lab.file.read_text().replace("3.6 V", "3.59 V"))
    assert main(["run", "train_chip", "--resume", str(cut)]) == 2
    assert re.search(r"--bench \S+lab\.toml: has changed since the run began; --force takes it", capsys.readouterr().err)
    assert main(["run", "train_chip", "--resume", str(cut), "--force"]) == 0
    assert "although input: channels or limits are not those of the checkpoint" in events(cut)


def test_vapour_cells_are_set_again_as_the_checkpoint_says(
    pictures: Path, tmp_path: Path, cut_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    init = Keeper.__init__

    def apart(self: Keeper, run: Any, *given: Any) -> None:
        run.orders.whole = False  # as on instruments, which a checkpoint does not hold
        init(self, run, *given)

    monkeypatch.setattr(Keeper, "__init__", apart)
    cut_at(19)
    with pytest.raises(Cut):
        main(["run", *VAPOUR, "--dry-run", "--data", str(pictures), "--checkpoint", "1", "--out", str(tmp_path)])
    cut_at(0)
    assert main(["run", "train_vapour_cell", "--resume", "latest", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    assert "outputs of 60 images differ from the checkpoint's by" in events(folder)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [8, 16, 24]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


def test_a_checkpoint_of_a_dry_run_is_not_one_of_instruments(
    pictures: Path, tmp_path: Path, cut_at: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    cut_at(4)
    with pytest.raises(Cut):
        main(["run", *CHIP, "--sizes", "9", "4", "3", "--dry-run", "--data", str(pictures), "--checkpoint", "1", "--out", str(tmp_path)])
    (folder,) = tmp_path.iterdir()
    settings = json.loads((folder / "settings.json").read_text())
    settings["command"] = settings["command"].replace(" --dry-run", "")
    (folder / "settings.json").write_text(json.dumps(settings))
    capsys.readouterr()
    assert main(["run", "train_chip", "--resume", str(folder)]) == 2
    assert "--dry-run: this labonn takes False for what was True when the run began" in capsys.readouterr().err
