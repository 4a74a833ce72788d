"""Training through the drivers, by the command line: it learns, keeps its best epoch, and ends safe wherever it is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.bench import Bench
from labonn.cli import main
from labonn.errors import LinkError, LinkTimeoutError, TableError
from labonn.training import set_up

SHORT = ["--hidden", "12", "--optical-depth", "4", "--epochs", "2", "--batch", "16", "--json"]


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, Path]]:
    """Runs `labonn run train_vapour_cell --dry-run`; (exit code, result, the run's folder)."""

    def run(*options: str) -> tuple[int, Any, Path]:
        capsys.readouterr()
        code = main(["run", "train_vapour_cell", "--dry-run", "--out", str(tmp_path / "runs"), *options])
        folder = max((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return code, json.loads((folder / "result.json").read_text()), folder

    return run


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every bench that gets opened, still there to be looked at when it has been closed."""
    benches: list[Any] = []
    original = Bench.open

    def remember(*given: Any, **how: Any) -> Bench:
        bench = original(*given, **how)
        benches.append(bench)
        return bench

    monkeypatch.setattr(Bench, "open", remember)
    return benches


def assert_everything_is_off(bench: Any) -> None:
    """By the emulators' own account, not the drivers'."""
    instruments = bench._opened.simulated.instruments
    for port in ("input", "target", "feedback", "error"):
        assert not any(dac.armed for dac in instruments.of(port)), port
    (source,), (controller,) = instruments.of("gain"), instruments.of("ovens")
    assert not source.currents_a.any()
    assert not controller.enabled.any()
    for port in (name for name in bench.ports if name.startswith("weights")):
        assert not instruments.of(port)[0].frame.any(), port


@pytest.mark.parametrize("error", ["digital", "optical"])
def test_a_small_network_learns_through_the_drivers_with_all_imperfections(
    train: Callable[..., Any], stripes: Callable[..., Path], error: str
) -> None:
    options = ["--data", str(stripes(train=640)), *SHORT, "--epochs", "8", "--lr", "0.01", "--error", error]
    code, result, folder = train(*options)
    assert code == 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert result["result"]["test_accuracy"] > 0.9


def test_the_best_epoch_is_the_one_that_is_kept_and_tested(train: Callable[..., Any], stripes: Callable[..., Path]) -> None:
    code, result, folder = train("--data", str(stripes()), *SHORT, "--epochs", "5", "--lr", "0.03")
    assert code == 0
    accuracies = [json.loads(line)["validation_accuracy"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert result["result"]["best_epoch"] == 1 + int(np.argmax(accuracies))
    assert result["result"]["validation_accuracy"] == max(accuracies)
    with np.load(folder / "weights.npz") as weights, np.load(folder / "test.npz") as test:
        assert weights["best_epoch"] == result["result"]["best_epoch"]
        assert np.array_equal(weights["best1"], weights["last1"]) == (weights["best_epoch"] == 5)
        assert weights["best1"].shape == (12, 100)
        assert weights["best2"].shape == (2, 12)
        hits = np.mean(test["outputs"].argmax(axis=1) == test["labels"])
        assert test["neuron_shares"].shape == (1, len(test["neuron_edges"]) - 1)
        assert 99 < test["neuron_shares"].sum() <= 100  # per cent of the inputs, but for a few outside
    assert result["result"]["test_accuracy"] == pytest.approx(hits)


def test_the_gradient_check_is_told_layer_by_layer(
    train: Callable[..., Any], stripes: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, _ = train("--data", str(stripes()), *SHORT, "--ideal", "--check-gradient", "20")
    assert code == 0
    told = json.loads(capsys.readouterr().out)["result"]
    assert told == result["result"]
    assert len(told["cosine_to_exact"]) == len(told["cosine_to_differences"]) == len(told["exact_deviation"]) == 2
    assert min(told["cosine_to_exact"]) > 0.5
    assert min(told["cosine_to_differences"]) > 0.5
    assert max(told["exact_deviation"]) < 1e-3


@pytest.mark.parametrize("at", [1, 5, 20, 37, 60])
def test_ctrl_c_at_any_table_keeps_what_was_learned_and_leaves_everything_off(
    train: Callable[..., Any], stripes: Callable[..., Path], opened: list[Any], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    played, play = [0], Bench.play

    def interrupted(bench: Bench, table: Any) -> Any:
        played[0] += 1
        if played[0] == at:
            raise KeyboardInterrupt
        return play(bench, table)

    monkeypatch.setattr(Bench, "play", interrupted)
    code, result, folder = train("--data", str(stripes()), *SHORT, "--lr", "0.01")
    assert (code, result["status"]) == (130, "interrupted")
    assert_everything_is_off(opened[0])
    with np.load(folder / "weights.npz") as weights:
        assert ("last1" in weights) == (at > 5)
        if at == 60:
            first = np.random.default_rng([0, 0]).normal(0, 0.1, (12, 100))
            assert 0.01 < np.abs(weights["last1"] - first).max() < 1


@pytest.mark.parametrize("port", ["input", "error", "output", "backward_out", "gain"])
@pytest.mark.parametrize("problem", [KeyboardInterrupt(), LinkTimeoutError("no reply")], ids=["ctrl-c", "timeout"])
def test_whatever_breaks_off_in_an_exchange_everything_ends_off(rig_of: Callable[..., Any], port: str, problem: BaseException) -> None:
    rig = rig_of()
    (emulator,) = rig.emulators(port)
    name = "feed" if hasattr(emulator, "feed") else "handle_parts"
    calls, answer = [0], getattr(emulator, name)

    def broken(data: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2 or (calls[0] in (3, 4) and isinstance(problem, LinkError)):  # some questions are asked again
            raise problem
        return answer(data)

    setattr(emulator, name, broken)

    def steps() -> None:
        for _ in range(5):
            rig.bench.play(rig.network.forward({"gain": rig.network.currents()}, np.arange(4), ("output",)))
            rig.step("optical", "digital", np.arange(8))

    with pytest.raises(type(problem)), rig.bench:
        steps()
    assert calls[0] >= 2
    assert_everything_is_off(rig.bench)


def test_after_a_lost_reply_nothing_is_believed_to_be_in_memory_until_it_is_sent_again(rig_of: Callable[..., Any]) -> None:
    rig = rig_of(edit=lambda text: text + "[simulation.slm]\nflicker_rad = 0\n")
    rows = np.arange(8)
    wanted = rig.step("optical", "digital", rows)
    (dac,) = rig.emulators("input")
    answer = dac.handle_parts

    def lost(parts: Any) -> Any:
        raise LinkTimeoutError("no reply")

    dac.handle_parts = lost
    with pytest.raises(LinkTimeoutError):
        rig.step("optical", "digital", rows)
    dac.handle_parts = answer
    with pytest.raises(TableError, match="input: an order without a bank, but the port has no bank in memory"):
        rig.bench.play(rig.network.forward({}, rows, ("output",)))
    rig.bench.run(set_up(rig.network, rig.digits, rig.weights))
    again = rig.step("optical", "digital", rows)
    assert np.abs(again.outputs - wanted.outputs).max() < 0.1 * np.abs(wanted.outputs).max()


@pytest.mark.slow
def test_the_defaults_reach_93_percent_on_the_shipped_digits(train: Callable[..., Any]) -> None:
    code, result, _ = train("--json")
    assert code == 0
    assert result["result"]["test_accuracy"] >= 0.93
