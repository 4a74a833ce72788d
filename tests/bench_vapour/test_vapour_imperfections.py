"""Every imperfection of the simulated light is a setting that changes the readings, and nothing else is accepted there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.errors import BenchFileError
from labonn.shots import ShotTable
from sim_backends.benches.vapour_light import PARTS

Array = NDArray[Any]
IMPERFECTIONS = [
    (part, field.name)
    for part, settings in PARTS.items()
    for field in dataclasses.fields(settings)
    if getattr(settings(), field.name) != getattr(settings.ideal(), field.name)
]
# what shows only together with something else: light leaks in quadrature unless a modulator chirps, an oven without lag cannot overshoot
COMPANIONS = {
    ("modulators", "extinction_db"): {"chirp_rad": 0.1},
    ("modulators", "chirp_rad"): {"extinction_db": 25.0},
    ("ovens", "overshoot"): {"tau_s": 120.0},
}


def toml(value: Any) -> str:
    if isinstance(value, tuple):
        return str(list(value))
    return str(value).lower() if isinstance(value, bool) else repr(float(value))


def settings_text(changed: dict[str, dict[str, Any]]) -> str:
    """[simulation.*] tables with every imperfection off but those `changed`."""
    lines = []
    for part, settings in PARTS.items():
        table = {field.name: getattr(settings.ideal(), field.name) for field in dataclasses.fields(settings)} | changed.get(part, {})
        table = {key: value for key, value in table.items() if not key.startswith("native_")}
        lines += [f"[simulation.{part}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def readings(bench_of: Callable[..., Bench], changed: dict[str, dict[str, Any]], seed: int = 3) -> list[dict[str, Array]]:
    """Two tables with other frames, two minutes after the ovens were set; by converters of 64 bits, which round nothing away."""

    def edit(text: str) -> str:
        text = text.replace("bits = 16", "bits = 64").replace("shape =", "settle_s = 0.02\nshape =")
        text = text.replace("instances = 2", "instances = 2\nsettle_s = 130.0")
        return text + settings_text(changed)

    bench, rng, order = bench_of(edit=edit, seed=seed), np.random.default_rng(1), np.arange(25)
    banks: dict[str, Any] = {"ovens": np.full((1, 2), 45.0), "gain": np.full((1, 3), 0.009)}
    memories = {"input": 20, "error": 4, "target": 4, "feedback": 1, "inject": 6}
    banks |= {port: rng.uniform(-3, 3, (25, channels)) for port, channels in memories.items()}
    found = []
    for _ in range(2):
        banks |= {port: rng.uniform(-1, 1, (1, n)) for port, n in (("weights1", 160), ("weights2", 48), ("weights3", 24))}
        found.append(bench.play(ShotTable(banks, dict.fromkeys(memories, order), 1e-4)))
    return found


def difference(one: list[dict[str, Array]], two: list[dict[str, Array]]) -> float:
    """Largest change of any reading, over the largest reading of its port."""
    changes = [np.abs(a[port] - b[port]).max() / np.abs(b[port]).max() for a, b in zip(one, two, strict=True) for port in b]
    return float(max(changes))


@pytest.mark.parametrize(("part", "name"), IMPERFECTIONS)
def test_an_imperfection_alone_changes_the_readings_of_an_otherwise_ideal_bench(
    bench_of: Callable[..., Bench], part: str, name: str
) -> None:
    companions = COMPANIONS.get((part, name), {})
    without = readings(bench_of, {part: companions})
    on = readings(bench_of, {part: {**companions, name: getattr(PARTS[part](), name)}})
    change = difference(on, without)
    if name == "insertion_db":
        assert change < 1e-12, "the laser makes up for it"
    else:
        assert 1e-7 < change < 10


def test_there_is_nothing_in_a_bench_file_that_makes_an_ideal_bench_imperfect(bench_of: Callable[..., Bench]) -> None:
    assert difference(readings(bench_of, {}, seed=3), readings(bench_of, {}, seed=4)) == 0


@pytest.mark.parametrize("part", dict.fromkeys(part for part, _ in IMPERFECTIONS))
def test_the_hidden_truths_follow_from_the_seed(bench_of: Callable[..., Bench], part: str) -> None:
    defaults = dataclasses.asdict(PARTS[part]())
    defaults = {key: value for key, value in defaults.items() if not key.startswith("native_")}
    first, again, other = (readings(bench_of, {part: defaults}, seed) for seed in (3, 3, 4))
    assert difference(first, again) == 0
    assert difference(first, other) > 1e-7


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("[simulation.slm]\nflicker = 0.1\n", r"simulation\.slm\.flicker = 0\.1: unknown key; did you mean 'flicker_rad'"),
        ("[simulation.slm]\nfill_factor = 1.5\n", r"fill_factor is 1\.5; allowed is 0 to 1"),
        ("[simulation.slm]\ncrosstalk_px = 'much'\n", r"simulation\.slm\.crosstalk_px = 'much'"),
        ("[simulation.modulators]\nv_pi_v = 0\n", r"v_pi_v is 0; allowed is 0\.1 to 100"),
        ("[simulation.detectors]\nnoisy = 'perhaps'\n", r"simulation\.detectors\.noisy = 'perhaps'"),
        ("[simulation.laser]\nrin_db_per_hz = 5.0\n", r"rin_db_per_hz is 5; allowed is -inf to -60"),
        ("[simulation.gain]\ng0_spread = nan\n", r"g0_spread is nan; allowed is 0 to 0\.3"),
        ("[simulation.ovens]\ntau_s = -1\n", r"tau_s is -1; allowed is 0 to 100000"),
        ("[simulation.lasers]\nlock_s = 1.0\n", r"simulation\.lasers = .*unknown key; did you mean 'laser'"),
        ("slm = 3\n", r"simulation\.slm = 3: a table is wanted"),
        ("cell = 'two-level'\n", r"simulation\.cell = 'two-level': allowed are eq4, two_level, doppler, gain"),
    ],
)
@pytest.mark.parametrize("ideal", [False, True])
def test_a_wrong_setting_is_refused_with_its_name_and_what_is_allowed(
    bench_of: Callable[..., Bench], lines: str, named: str, ideal: bool
) -> None:
    with pytest.raises(BenchFileError, match=named) as refused:
        bench_of(edit=lambda text: text + lines, ideal=ideal)
    assert "bench0.toml" in str(refused.value)


@pytest.mark.parametrize("seed", ["-1", "'seven'", "1.5", "true"])
def test_a_seed_that_is_no_whole_number_is_refused(bench_of: Callable[..., Bench], seed: str) -> None:
    with pytest.raises(BenchFileError, match=r"simulation\.seed = .*: a whole number from 0 is wanted"):
        bench_of(edit=lambda text: text.replace("seed = 7", f"seed = {seed}"))


def test_the_pixels_of_a_panel_are_given_once_by_its_port(bench_of: Callable[..., Bench]) -> None:
    with pytest.raises(BenchFileError, match=r"bench0\.toml: simulation\.slm\.native_rows: the pixels of a panel are what its port's"):
        bench_of(edit=lambda text: text + "[simulation.slm]\nnative_rows = 100\n")
