"""The procedure finds the phases that the simulated SLM hides, is as sure as it says, and names what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from labonn.bench import Bench
from labonn.calibration import Store
from labonn.calibration.slm_phase.grating import GratingSweep, fields_of_codes, grating_sweep
from labonn.calibration.slm_phase.lut import PhaseLut
from labonn.calibration.slm_phase.measuring import PhaseMeasuring, PhaseOutcome, measure_phase
from labonn.calibration.slm_phase.model import basis_of, phase_model
from labonn.calibration.validity import survey
from labonn.cli import main
from labonn.errors import BenchFileError, CalibrationError, LimitError, ProcedureError
from labonn.shots import ShotTable, dense
from procedures.benches import shipped
from sim_backends.physics.noise import Noise
from sim_backends.physics.slm_orders import FINE, OrdersLight, OrdersSettings, OrdersTruth, RegionPanel, orders

Array = NDArray[Any]
TARGET_RAD = 2 * np.pi / 100
TEXT = shipped("slm_orders")
LESS = (
    ("[1080, 1920]", "[540, 480]"),
    ("[4, 240]", "[2, 60]"),
    ("channels = 32", "channels = 8"),
    ("period_px", "regions = [2, 2]\nperiod_px"),
)
SMALL = reduce(lambda text, pair: text.replace(*pair), LESS, TEXT)
Open = Callable[..., Bench]


@pytest.fixture
def slm_of(tmp_path: Path) -> Iterator[Open]:
    """Opens the bench slm_orders in a dry run, with more lines for its last table, or another text."""
    opened: list[Bench] = []

    def open_slm(*lines: str, seed: int = 11, text: str = SMALL) -> Bench:
        path = tmp_path / "slm.toml"
        path.write_text(text + "\n".join(lines))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_slm
    for bench in opened:
        bench.close()


def sweep_of(bench: Bench, period: int = 6) -> GratingSweep:
    side = 4 if len(bench.specs["slm"]) == 960 else 2
    return grating_sweep(bench, "slm", None, (side, side), period, [], 4, 1e-3)


def measured(bench: Bench, period: int = 6, **how: Any) -> PhaseOutcome:
    return bench.run(measure_phase(sweep_of(bench, period), PhaseMeasuring(**how)))


def off_by(bench: Bench, found: PhaseOutcome) -> Array:
    """(R, N) errors of the phases of all regions that are not left out."""
    good = np.array([not told for told in found.outcome.words])
    return np.asarray((found.found.phase_rad - bench._opened.simulated.truth.phase_rad)[good])


@pytest.mark.parametrize(
    ("seed", "line"),
    [(1, ""), (2, "stroke_turns = 2.3"), (3, "crosstalk_px = 0.3"), (4, "stroke_turns = 4.6"), (5, "walk_per_sqrt_h = 0.3")],
)
def test_phases_of_all_codes_are_found_to_a_hundredth_of_a_turn_however_often_the_fringe_folds(slm_of: Open, seed: int, line: str) -> None:
    bench = slm_of(line, seed=seed)
    found = measured(bench)
    off = off_by(bench, found)
    assert off.shape == (4, 256)
    assert np.sqrt(np.mean(off**2)) < TARGET_RAD / 5
    assert np.abs(off).max() < TARGET_RAD
    assert np.abs(off / found.more["phase_error"].values)[:, 8:].max() < 6


def test_ten_bits_are_calibrated_as_eight_are(slm_of: Open) -> None:
    bench = slm_of(text=SMALL.replace("bits = 8\nsettle", "bits = 10\nsettle"))
    off = off_by(bench, measured(bench))
    assert off.shape == (4, 1024)
    assert np.sqrt(np.mean(off**2)) < TARGET_RAD / 5


@pytest.mark.slow
def test_the_standard_errors_are_those_of_a_hundred_seeds() -> None:
    """Two regions of each seed, side by side on one large panel."""
    found, truth = many_seeds(range(100))
    assert not any(found.outcome.words)
    pulls = ((found.found.phase_rad - truth) / found.more["phase_error"].values)[:, 16::16]
    assert 0.8 < pulls.std() < 1.25
    assert np.all((pulls.std(axis=0) > 0.75) & (pulls.std(axis=0) < 1.3)), "at every gray, which is only so many pulls"
    assert np.sqrt(np.mean(np.square(found.found.phase_rad - truth))) < TARGET_RAD / 5


def many_seeds(seeds: range) -> tuple[PhaseOutcome, Array]:
    small, big = OrdersSettings(regions=(1, 2)), OrdersSettings(regions=(len(seeds) // 10, 20), tau_rise_s=0.0, tau_fall_s=0.0)
    parts = [OrdersTruth(8, small, Noise(seed)) for seed in seeds]
    truth = OrdersTruth(8, big, Noise(0))
    truth.phase_rad, truth.light = np.concatenate([part.phase_rad for part in parts]), np.concatenate([part.light for part in parts])
    count, fields = 2 * len(seeds), -np.cos(np.linspace(0, np.pi, 256))
    panel, light = RegionPanel(big.regions[0], 20 * 6, 8, truth, big), OrdersLight(truth, big, Noise(1))
    shape = big.regions[0], 20 * 6
    source = {"laser": np.array([0.016])}
    dark = {"laser": np.array([0.0])}
    sweep = GratingSweep("slm", "outputs", "V", np.full(2 * count, 10.0), shape, big.regions, 6, fields, "a panel", source, dark)
    now_s = 0.0

    def readings(table: ShotTable) -> dict[str, Array]:
        nonlocal now_s
        volts, frames, rows = np.empty((table.shots, 2 * count)), dense(table.banks["slm"]), table.orders["slm"]
        lit = table.orders["laser"] if len(table.banks["laser"]) > 1 else np.ones(table.shots)
        edges = np.flatnonzero(np.diff(1000 * lit + rows, prepend=-1))
        for start, end in zip(edges, [*edges[1:], table.shots], strict=True):
            now_s += 0.09
            codes = np.abs(frames[rows[start]][:, None] - fields.astype(np.float32)).argmin(axis=1).astype(np.uint8)
            panel.show(codes.reshape(shape), now_s)
            watts = light.laser_w(float(dense(table.banks["laser"])[table.orders["laser"][start], 0]))
            volts[start:end] = light.volts(*panel.fields(now_s), watts, end - start, now_s, table.dwell_s)
        return {"outputs": volts}

    plan = measure_phase(sweep, PhaseMeasuring())
    table = next(plan)
    try:
        while True:
            table = plan.send(readings(table))
    except StopIteration as done:
        outcome: PhaseOutcome = done.value
        return outcome, truth.phase_rad


def test_sweep_verification_and_check_are_a_table_each(slm_of: Open) -> None:
    bench, tables = slm_of(), []
    play = bench.play
    bench.play = lambda table: (tables.append(table), play(table))[1]  # type: ignore[method-assign,func-returns-value]
    measured(bench)
    assert [table.shots for table in tables] == [16 + 128 * 4, 16 + 16 * 4, 8 * 32]


SHORT = SMALL.replace("shape = [2, 60]", "shape = [2, 240]").replace("period_px = 48", "period_px = 8")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("blocked = [3]", ["1 of 4", "r1c1: dead: no light in either order; a blocked beam"]),
        ("swapped = [[1, 2]]", ["2 of 4", "r0c1: swapped: its detectors answer to r1c0; r1c0: swapped: its detectors answer to r0c1"]),
        ("wrong_monitor = true", ["wrong monitor? There is light in 4 of 4 regions", "went to monitor SLM", "`labonn discover`"]),
        ("blocked = [0, 1, 2, 3]", ["no light in any of 4 regions", "is the light on?"]),
        ("gain = 2.0", ["4 of 4", " of 128 readings are at the end of the detectors' range"]),
        ("gain = 10.0", ["saturated: 128 of 128"]),
        ("flicker_rad = 0.3", ["flicker: its phase scatters by 0.", "0.1 rad is allowed", "refresh periods (--dwell"]),
        ("flicker_rad = 0.8", ["off the curve: its orders exchange light"]),
        ("drift_per_s = 0.003", ["drifted: its phases changed by +1.", "% between the two halves of the sweep", "4 of 4"]),
        ("stroke_turns = 0.9", ["range: its last code reaches 0.9", "turns, 1 are wanted"]),
        ("stroke_turns = 0.4", ["range: the first order hardly has a maximum"]),
        ("noise_v = 0.3", ["too noisy: its phases are known to 0.0"]),
        ("overlap = 0.2", ["4 of 4", "order overlap: its fringe moves by 0.", "light of the zeroth order on the first's detector"]),
        ("crosstalk_px = 2.0", ["order overlap: its two orders disagree by 0.", "a period of 6 columns is too short"]),
        ("slope_w_per_a = 1e-5", ["is the light on?"]),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(slm_of: Open, line: str, told: list[str]) -> None:
    with pytest.raises(CalibrationError) as problem:
        measured(slm_of(line))
    for words in told:
        assert words in str(problem.value), problem.value
    assert len(str(problem.value)) < 1100


def test_periods_that_are_too_short_for_the_blur_of_pixels_are_named_and_would_have_been_wrong(slm_of: Open) -> None:
    with pytest.raises(CalibrationError, match=r"order overlap: its two orders disagree by 0\.[56].*a period of 4 columns is too short"):
        measured(slm_of("crosstalk_px = 0.3", text=SHORT), period=4)


def test_too_few_grays_for_a_phase_of_many_turns_are_named(slm_of: Open) -> None:
    with pytest.raises(CalibrationError, match=r"folded: .* 2.5 is the most: more --levels\?"):
        measured(slm_of("stroke_turns = 9.5"), levels=24)


def test_light_that_fails_during_the_sweep_is_named(slm_of: Open) -> None:
    bench = slm_of()
    light = bench._opened.simulated.light
    light.laser_w = lambda current: 0.0055 * (current > 0) * (1 if bench.clock.now() < 9 else 0.6)
    with pytest.raises(CalibrationError, match=r"the light of all regions changed by \d+ % during the sweep"):
        measured(bench)


def test_fresh_grays_that_are_off_fail_the_verification(slm_of: Open) -> None:
    bench = slm_of()
    plan = measure_phase(sweep_of(bench), PhaseMeasuring())
    table = plan.send(bench.play(next(plan)))
    panel = bench._opened.simulated.panel
    panel._truth.phase_rad = panel._truth.phase_rad * np.where(np.arange(4) == 2, 1.05, 1)[:, None]
    told = r"1 of 4 .*: r1c0: out of tolerance: fresh grays are off by 0\.[12]\d? rad rms, .* is allowed"
    with pytest.raises(CalibrationError, match=told):
        plan.send(bench.play(table))


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    given = ["run", "calibrate_slm_phase", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]
    assert main(given) == code


@pytest.mark.slow
def test_the_command_keeps_a_calibration_a_figure_and_a_table_that_the_port_takes(tmp_path: Path, capsys: Any, slm_of: Open) -> None:
    run(tmp_path, "--condition", "wavelength_nm=632.8")
    told = json.loads(capsys.readouterr().out)
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    truth = slm_of(text=TEXT)._opened.simulated.truth.phase_rad
    lut = PhaseLut.of(calibration)
    assert np.sqrt(np.mean((lut.phase_rad - truth) ** 2)) < TARGET_RAD / 5
    assert calibration.conditions["wavelength_nm"] == 632.8
    assert set(calibration.instruments) == {"slm", "outputs", "laser"}
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    path = Path(told["folder"]) / "lut.csv"
    with_lut = slm_of(text=TEXT.replace("bits = 8\nsettle", f"lut = '{path}'\nbits = 8\nsettle"))
    code = 120
    asked = -np.cos(truth.mean(axis=0)[code] / 2)
    with_lut.play(ShotTable({"slm": np.full((1, 960), asked)}, dwell_s=1e-3))
    shown = with_lut._opened.simulated._slm.block(4, 240)
    assert np.abs(shown.astype(int) - code).max() <= 1, "the field of a phase is shown by the code that has that phase"
    with pytest.raises(ProcedureError, match="to calibrate it, leave both out"):
        fields_of_codes(with_lut, "slm")


@pytest.mark.slow
def test_regions_may_be_left_out_and_the_others_are_as_good_as_ever(tmp_path: Path, capsys: Any, slm_of: Open) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(SMALL + "blocked = [3]\nswapped = [[0, 1]]\n")
    run(tmp_path, "--bench", str(path), "--regions", "2x2", "--leave-out", "3")
    told = json.loads(capsys.readouterr().out)
    calibration = Store(tmp_path / "calibrations").load(told["result"]["calibration"])
    excluded = {name: words.partition(":")[0] for name, words in calibration.excluded.items()}
    assert excluded == {"r1c1": "dead", "r0c0": "swapped", "r0c1": "swapped"}
    out, truth = np.isin(np.arange(4), [0, 1, 3]), slm_of()._opened.simulated.truth.phase_rad
    lut = PhaseLut.of(calibration)
    assert np.array_equal(np.isnan(lut.phase_rad).all(axis=1), out)
    assert np.sqrt(np.mean((lut.phase_rad - truth)[~out] ** 2)) < TARGET_RAD / 5
    assert np.isnan(lut.gray(np.full((4, 2), 3.0))[0][out]).all()
    run(tmp_path, "--bench", str(path), "--regions", "2x2", "--leave-out", "2", code=2)
    assert "3 of 4 channels failed" in capsys.readouterr().err
    assert len(Store(tmp_path / "calibrations").ids()) == 1, "nothing is kept of one that failed"


@pytest.mark.slow
def test_the_check_passes_on_the_same_bench_and_fails_on_another_or_a_changed_one(tmp_path: Path, slm_of: Open) -> None:
    path = tmp_path / "slm.toml"
    path.write_text(SMALL)
    run(tmp_path, "--bench", str(path), "--regions", "2x2", "--seed", "11")
    store, bench = Store(tmp_path / "calibrations"), slm_of()
    found, refused = survey(store, bench)
    assert [kind for _, kind in found] == ["slm_phase"]
    assert refused == []
    panel = bench._opened.simulated.panel
    panel._truth.phase_rad = panel._truth.phase_rad * 1.15
    found, refused = survey(store, bench)
    assert found == {}
    assert "outputs/" in str(refused[0])
    assert "in frame" in str(refused[0])
    found, refused = survey(store, slm_of(seed=12))
    assert found == {}
    assert "this is simulated bench slm_orders, seed 12" in str(refused[0])


def test_a_wanted_phase_is_reached_by_the_gray_that_the_table_says_as_surely_as_it_says(slm_of: Open) -> None:
    bench = slm_of()
    found = measured(bench)
    lut = PhaseLut(found.outcome.names, found.found.phase_rad, found.more["phase_error"].values)
    wanted = np.tile(np.linspace(0.3, 2 * np.pi, 25), (4, 1))
    grays, errors = lut.gray(wanted)
    truth = bench._opened.simulated.truth.phase_rad
    given = np.array([np.interp(g, np.arange(256), t) for g, t in zip(grays, truth, strict=True)])
    assert np.sqrt(np.mean((given - wanted) ** 2)) < TARGET_RAD / 5
    right = np.array([np.interp(w, t, np.arange(256)) for w, t in zip(wanted, truth, strict=True)])
    assert 0.6 < np.std((grays - right) / errors) < 1.5
    back, unsure = lut.phase(grays)
    np.testing.assert_allclose(back, wanted, atol=1e-3)
    assert np.all(unsure > 0)
    with pytest.raises(LimitError, match=r"r0c0: a phase of 9 rad is outside 0 to 7\.\d+ rad, which its codes reach"):
        lut.gray(np.full((4, 1), 9.0))


def test_the_derivatives_of_the_curve_are_those_of_differences() -> None:
    rng = np.random.default_rng(3)
    model, x = phase_model(basis_of(256, 12)), rng.integers(0, 256, (3, 40)).astype(float)
    at = np.concatenate([[[1.0, 0.7]] * 3, np.cumsum(rng.uniform(0.2, 0.8, (3, 14)), axis=1)], axis=1)
    _, slopes = model.curve(at, x)
    for k in range(at.shape[1]):
        step = 1e-6 * (np.arange(at.shape[1]) == k)
        each = (model.curve(at + step, x)[0] - model.curve(at - step, x)[0]) / 2e-6
        np.testing.assert_allclose(slopes[..., k], each, atol=1e-8)


@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_the_simulated_orders_are_those_of_blurred_square_waves(sigma: float) -> None:
    """Against the integral over one period with erf edges, 64 samples a pixel."""
    settings = replace(OrdersSettings(), crosstalk_px=sigma, fill_factor=1.0, period_px=16)
    phi, fine = 2.1, 64
    place = (np.arange(16 * fine) + 0.5) / fine
    wave = 0.5 * (erf((place - 4) / (sigma * np.sqrt(2))) - erf((place - 12) / (sigma * np.sqrt(2))))
    field = np.exp(1j * phi * wave)
    wanted = field.mean(), (field * np.exp(-2j * np.pi * place / 16)).mean()
    own = np.repeat([0, 1, 1, 0], 4 * FINE)
    zeroth, first = orders(phi * np.tile(own, 3)[None, None, :].astype(float), settings)
    np.testing.assert_allclose([abs(zeroth[0]), abs(first[0])], np.abs(wanted), atol=0.001)


@pytest.mark.parametrize(
    ("option", "value"), [("--levels", "10"), ("--regions", "4"), ("--turns", "0"), ("--rad", "2"), ("--repeats", "1"), ("--passes", "3")]
)
def test_options_that_make_no_sense_are_refused_before_anything_is_opened(tmp_path: Path, option: str, value: str, capsys: Any) -> None:
    run(tmp_path, option, value, code=2)
    assert option in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_regions_and_periods_have_to_divide_the_panel(slm_of: Open) -> None:
    bench = slm_of(text=TEXT)
    with pytest.raises(ProcedureError, match=r"4 x 240 macropixels; 4 x 4 regions of whole periods of 7 columns"):
        sweep_of(bench, 7)
    with pytest.raises(ProcedureError, match="want 64"):
        grating_sweep(bench, "slm", None, (4, 8), 6, [], 4, 1e-3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT + "blocked = [40]", "blocked, swapped: there is no region 40; there are 16"),
        (TEXT + "regions = [3, 4]", "has 32 channels; 12 regions of two orders want 24"),
        (TEXT.replace("shape = [4, 240]", "shape = [5, 240]"), "cannot be divided into 4 x 4 regions"),
    ],
)
def test_benches_that_cannot_be_simulated_are_refused(slm_of: Open, text: str, told: str) -> None:
    with pytest.raises(BenchFileError, match=told):
        slm_of(text=text)
