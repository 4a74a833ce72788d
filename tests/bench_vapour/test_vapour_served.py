"""The same readings whether instruments are in this process or behind real sockets and pseudo terminals, and from seed to seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.cli import main
from labonn.shots import ShotTable
from sim_backends.firmware.slm_window import WindowTable

Array = NDArray[Any]
COMMAND = ["run", "train_vapour_cell", "--dry-run", "--json", "--limit", "256", "--epochs", "1"]


def tables(count: int, ovens: bool = True) -> Iterator[ShotTable]:
    """Everything on the bench moves in every table."""
    rng, order = np.random.default_rng(5), np.arange(30)
    volts = {"input": 20, "error": 4, "target": 4, "feedback": 1, "inject": 6}
    for number in range(count):
        banks: dict[str, Any] = {port: rng.uniform(-3, 3, (30, channels)).astype(np.float32) for port, channels in volts.items()}
        slms = {"weights1": 160, "weights2": 48, "weights3": 24}
        banks |= {port: rng.uniform(-1, 1, (1, channels)).astype(np.float32) for port, channels in slms.items()}
        banks["gain"] = rng.uniform(0.005, 0.02, (1, 3))
        if ovens and number < 2:
            banks["ovens"] = rng.uniform(40, 80, (1, 2))
        yield ShotTable(banks, dict.fromkeys(volts, order), 1e-4)


def played(bench: Bench, count: int = 5, ovens: bool = True) -> list[dict[str, Array]]:
    """Readings of all tables, and the clock."""
    found = [bench.play(table) for table in tables(count, ovens)]
    return [*found, {"clock": np.array([bench.clock.now()]), "shots": np.array([bench.shots])}]


def same(one: list[dict[str, Array]], two: list[dict[str, Array]]) -> bool:
    return all(np.array_equal(a[port], b[port]) for a, b in zip(one, two, strict=True) for port in a)


def test_readings_over_sockets_and_terminals_are_those_in_process_bit_for_bit(bench_of: Callable[..., Bench]) -> None:
    in_process, served = bench_of(), bench_of(served=True)
    assert same(played(in_process), played(served))
    assert in_process.exchanges == served.exchanges


def test_the_same_seed_gives_the_same_readings_and_another_seed_others(bench_of: Callable[..., Bench]) -> None:
    first, again, other = (played(bench_of(seed=seed), 2) for seed in (11, 11, 12))
    assert same(first, again)
    assert not any(np.array_equal(a[port], b[port]) for a, b in zip(first[:2], other[:2], strict=True) for port in a)


def test_the_seed_of_the_file_counts_when_none_is_given(bench_of: Callable[..., Bench]) -> None:
    def seeded(text: str) -> str:
        return text.replace("seed = 7", "seed = 11")

    assert same(played(bench_of(edit=seeded, seed=None), 1), played(bench_of(seed=11), 1))


def test_readings_do_not_depend_on_how_fast_the_computer_is(bench_of: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    quick = played(bench_of(), 4, ovens=False)
    monkeypatch.setattr(WindowTable, "show", slowed(WindowTable.show, 0.01))
    assert same(quick, played(bench_of(), 4, ovens=False))


def slowed(function: Callable[..., Any], pause_s: float) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        time.sleep(pause_s)
        return function(*given)

    return call


def arrays_of(out: Path) -> dict[str, bytes]:
    (folder,) = out.iterdir()
    with np.load(folder / "weights.npz") as found:
        return {name: found[name].tobytes() for name in found.files}


def test_a_whole_training_over_sockets_learns_the_same_weights_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, "--out", str(tmp_path / "in_process")]) == 0
    assert main([*COMMAND, "--out", str(tmp_path / "served"), "--served"]) == 0
    one, two = arrays_of(tmp_path / "in_process"), arrays_of(tmp_path / "served")
    assert set(one) == {"best1", "best2", "best3", "last1", "last2", "last3", "best_epoch"}
    assert one == two
