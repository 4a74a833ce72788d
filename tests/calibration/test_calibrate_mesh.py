"""A mesh is found with detectors at its outputs only, as surely as is said, and what is broken is named; tests may look at the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm

from labonn.bench import Bench
from labonn.calibration import Store, current
from labonn.calibration.mesh.bank import MeshSweep
from labonn.calibration.mesh.design import MeshDesign, MeshSize
from labonn.calibration.mesh.fit import MeshProblem, MeshTruth
from labonn.calibration.mesh.heaters import HeaterCurves, groups_of
from labonn.calibration.mesh.light import matrices
from labonn.calibration.mesh.measuring import MeshMeasuring, MeshOutcome, MeshWithin, measure_mesh, nominal_truth
from labonn.calibration.mesh.programs import drives_for, fidelity, phases_for, random_unitary
from labonn.calibration.mesh.saving import mesh_calibration, mesh_truth
from labonn.cli import main
from labonn.curves import Heater
from labonn.errors import BenchFileError, CalibrationError, ProcedureError
from procedures.benches import shipped
from procedures.benches.mesh import mesh_bench

Array = NDArray[Any]
Open = Callable[..., Bench]
HOW = MeshMeasuring(settings=64, fresh=4, unitaries=2)


@pytest.fixture
def mesh_of(tmp_path: Path) -> Iterator[Open]:
    """Opens a bench of one mesh in a dry run, with more lines for its [simulation]."""
    opened: list[Bench] = []

    def open_mesh(ports: int = 4, lines: str = "", seed: int = 7, watts: bool = False) -> Bench:
        path = tmp_path / f"mesh{len(opened)}.toml"
        path.write_text(mesh_bench(ports, simulation=lines, watts=watts))
        opened.append(Bench.open(path, dry_run=True, seed=seed))
        return opened[-1]

    yield open_mesh
    for bench in opened:
        bench.close()


def light_of(bench: Bench) -> Any:
    return bench._opened.simulated.light


def measured(bench: Bench, how: MeshMeasuring = HOW, dwell_s: float = 2e-5) -> MeshOutcome:
    design = MeshDesign.of(bench.file)
    return bench.run(measure_mesh(design, MeshSweep.of(bench, design, dwell_s), how))


def wrapped(phases: Array) -> Array:
    return (phases + np.pi) % (2 * np.pi) - np.pi


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def pulls_of(bench: Bench, outcome: MeshOutcome) -> dict[str, Array]:
    """Of what is told with standard errors: measured minus true, in units of them."""
    light, found, parts = light_of(bench), outcome.fitted.truth, outcome.fitted.parts
    error = np.sqrt(np.diag(outcome.fitted.covariance))
    rate = np.pi / light.heaters.p_pi_w / light.heaters.resistance_ohm
    off = {
        "phase": wrapped(found.heaters.phase - light.heaters.offsets(bench.clock.now())), "rate": found.heaters.rate - rate,
        "bend": found.heaters.bend - 1 / light.heaters.resistance_ohm, "delta": (found.delta - light.delta).ravel(),
    }  # fmt: skip
    return {name: values / error[parts[name]] for name, values in off.items()}


def test_phases_crosstalk_splitters_and_unitaries_of_a_mesh_are_found(mesh_of: Open) -> None:
    bench = mesh_of(5)
    outcome = measured(bench)
    light, found = light_of(bench), outcome.fitted.truth
    true = light.heaters.mixing.toarray()
    assert np.abs(found.heaters.crosstalk - true).max() < 0.05 * true.max()
    np.testing.assert_allclose(np.pi / found.heaters.rate / 1000, light.heaters.p_pi_w * light.heaters.resistance_ohm / 1000, rtol=2e-3)
    assert rms(found.delta - light.delta) < 5e-4
    rng = np.random.default_rng(5)
    driven = np.sqrt(64 * rng.random((50, 20)))
    assert rms(wrapped(found.heaters.phases(driven) - light.phases(driven, bench.clock.now()))) < 2e-3
    design, sweep = outcome.design, MeshSweep.of(bench, outcome.design, 2e-5)
    before, after = [], []
    for _ in range(5):
        wanted = random_unitary(5, rng)
        phases = phases_for(wanted, design.mesh, "triangular", found)
        volts = drives_for(found.heaters, phases, sweep.lower, sweep.upper, sweep.names)
        codes = np.rint(volts / sweep.steps[0]) * sweep.steps[0]
        true_phases = light.phases(codes, bench.clock.now())
        assert rms(wrapped(true_phases - phases)) < 2e-3, "10 mrad is asked"
        after.append(fidelity(wanted, light.matrix(true_phases)))
        nominal = nominal_truth(design)
        volts = drives_for(nominal.heaters, phases, sweep.lower, sweep.upper, sweep.names)
        before.append(fidelity(wanted, light.matrix(light.phases(volts, bench.clock.now()))))
    assert min(after) > 0.999
    assert np.mean(before) < 0.7
    np.testing.assert_allclose(outcome.after.expected.mean(), np.mean(after), atol=1e-3)
    assert outcome.after.rms.max() < 0.05 < 0.3 < outcome.before.rms.min()


def test_row_by_row_is_two_or_three_tables_a_row(mesh_of: Open) -> None:
    bench, tables = mesh_of(6), []
    play = bench.play
    bench.play = lambda table: (tables.append(table), play(table))[1]  # type: ignore[method-assign,func-returns-value]
    outcome = measured(bench)
    assert 2 * 5 <= len(outcome.rows) <= 3 * 5
    assert len(tables) == len(outcome.rows) + 4
    assert sorted(np.concatenate([row.heaters for row in outcome.rows])) == list(range(30))


@pytest.mark.slow
@pytest.mark.parametrize("ports", [2, 3])
def test_errors_are_what_a_hundred_meshes_scatter_by(tmp_path: Path, ports: int) -> None:
    pulls: dict[str, list[Array]] = {}
    path, off = tmp_path / "mesh.toml", []
    path.write_text(mesh_bench(ports))
    for seed in range(100):
        with Bench.open(path, dry_run=True, seed=seed) as bench:
            outcome = measured(bench, MeshMeasuring(16, 2, 40, 2, 1))
            for name, values in pulls_of(bench, outcome).items():
                pulls.setdefault(name, []).append(values)
            off.append(wrapped(outcome.fitted.truth.heaters.phase - light_of(bench).heaters.phase_error_rad))
    assert rms(np.array(off)) < 1e-3
    for name, values in pulls.items():
        spread = np.std(np.concatenate(values))
        assert 0.8 < spread < 1.25, (name, spread)
        assert np.abs(np.concatenate(values)).max() < 8, name


def test_power_controllers_give_p_pi_itself(mesh_of: Open) -> None:
    bench = mesh_of(3, watts=True)
    outcome = measured(bench)
    light, heaters = light_of(bench), outcome.fitted.truth.heaters
    np.testing.assert_allclose(np.pi / heaters.rate, light.heaters.p_pi_w, rtol=2e-3)
    kept = mesh_calibration(bench, outcome, 2e-5, None, {})
    assert kept.parameters == ("phase", "rate")
    error = kept.errors("phase")
    assert error is not None
    assert np.abs(wrapped(kept.values("phase") - light.heaters.phase_error_rad) / error).max() < 6


def test_crosstalk_that_differs_from_pair_to_pair_is_found_one_by_one(mesh_of: Open) -> None:
    found = {}
    for crosstalk in ("full", "alike"):
        bench = mesh_of(4)
        light, rng = light_of(bench), np.random.default_rng(1)
        mixing = light.heaters.mixing.copy()
        mixing.data *= rng.uniform(0.5, 1.5, mixing.data.shape)
        light.heaters.mixing = mixing
        outcome = measured(bench, MeshMeasuring(settings=96, fresh=2, unitaries=1, crosstalk=crosstalk))
        driven = np.sqrt(64 * rng.random((50, 12)))
        off = wrapped(outcome.fitted.truth.heaters.phases(driven) - light.phases(driven, bench.clock.now()))
        found[crosstalk] = rms(off), float(np.abs(outcome.fitted.truth.heaters.crosstalk - mixing.toarray()).max() / mixing.data.max())
    assert found["full"][0] < 2e-3
    assert found["full"][1] < 0.05
    assert found["full"][0] < 0.3 * found["alike"][0], "which is what pairs that are taken for alike cost"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("dead = [4]", ["heaters: 1 of 12", "ch4: dead: its coupler does not follow it"]),
        ("dead = [3]", ["heaters: 1 of 12", "ch3: dead"]),
        ("swapped = [[2, 9]]", ["ch2: swapped: its coupler answers to ch9"]),
        (
            "swapped = [[0, 2]]",
            ["heaters: 2 of 12", "ch0: swapped: its coupler answers to ch2", "ch2: swapped: its coupler answers to ch0"],
        ),
        ("blocked = [2]", ["input: 1 of 4", "ch2: blocked: no output sees this beam"]),
        ("blind = [1]", ["outputs: 1 of 4", "ch1: dark: it sees no beam"]),
        ("gain = 4.0", ["outputs: ", "saturated: ", " readings"]),
        ("weak = [3]", ["heaters: 1 of 12", "ch6: weak: its coupler reaches 10.6 dB in the cross state", "at least 15 dB is wanted"]),
        ("gain = 1e-6", ["no light at all|blocked: no output|dead: |off the model"]),
    ],
    ids=["dead theta", "dead phi", "swapped rows", "swapped", "blocked", "blind", "saturated", "weak", "dark"],
)
def test_what_is_broken_is_named(mesh_of: Open, setting: str, told: list[str]) -> None:
    with pytest.raises(CalibrationError) as problem:
        measured(mesh_of(4, f"\n[simulation.mesh]\n{setting}\n"))
    for words in told:
        assert any(one in str(problem.value) for one in words.split("|")), problem.value
    assert len(str(problem.value)) < 900


def test_a_drift_during_the_sweep_is_named(mesh_of: Open) -> None:
    bench = mesh_of(4, "\n[simulation.heaters]\ndrift_rad_per_h = 30000.0\ndrift_tick_s = 1e-4\n")
    with pytest.raises(CalibrationError, match=r"12 of 12 .*ch\d+: drifted: its phase moved by \+\d+ mrad between the two halves"):
        measured(bench)


def test_a_coupler_that_reaches_less_is_kept_if_that_is_enough(mesh_of: Open) -> None:
    bench = mesh_of(4, "\n[simulation.mesh]\nweak = [3]\n")
    outcome = measured(bench, MeshMeasuring(settings=64, fresh=2, unitaries=1, within=MeshWithin(extinction_db=10)))
    assert outcome.extinction[3, 1] == pytest.approx(-10 * np.log10(np.sin(0.3) ** 2), abs=0.1)
    assert outcome.extinction[3, 0] > 40


def run(tmp_path: Path, *arguments: str, code: int = 0) -> None:
    given = ["run", "calibrate_mesh", "--dry-run", "--out", str(tmp_path / "runs"), "--json", *arguments]
    assert main(given) == code


def test_the_command_keeps_a_calibration_that_holds_on_this_bench_only(tmp_path: Path, mesh_of: Open, capsys: Any) -> None:
    path = tmp_path / "mesh.toml"
    path.write_text(mesh_bench(4))
    run(tmp_path, "--bench", str(path), "--settings", "48", "--fresh", "2", "--condition", "wavelength_nm=1550")
    told = json.loads(capsys.readouterr().out)
    store = Store(tmp_path / "calibrations")
    calibration = store.load(told["result"]["calibration"])
    assert calibration.conditions["wavelength_nm"] == 1550
    assert set(calibration.instruments) == {"heaters", "input", "quadrature", "outputs"}
    assert (Path(told["folder"]) / "calibration.png").stat().st_size > 50_000
    with Bench.open(path, dry_run=True) as bench:
        found = current(store, bench)
        assert found["heaters", "mesh"] == calibration
        again = mesh_truth(found["heaters", "mesh"], 6)
        np.testing.assert_array_equal(again.heaters.phase, calibration.values("phase"))
        light_of(bench).heaters.phase_error_rad = light_of(bench).heaters.phase_error_rad + 0.2 * (np.arange(12) == 4)
        with pytest.raises(CalibrationError, match=r"mesh calibration .* is refused: outputs/\d reads"):
            current(store, bench)
    with Bench.open(path, dry_run=True, seed=8) as other, pytest.raises(CalibrationError, match=r"heaters was .*SD-\d+.*and is .*SD-\d+"):
        current(store, other)


def test_heaters_of_less_than_a_turn_are_told(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(mesh_bench(4).replace('upper = "8 V"', 'upper = "6.2 V"'))
    told = r"heaters/ch\d+: its coupler takes .* V to be held, and its limit is 6\.2 V; a mesh is configured with heaters of a whole turn"
    with Bench.open(path, dry_run=True, seed=1) as bench, pytest.raises(CalibrationError, match=told):
        measured(bench)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--levels", "3"], "--levels 3: at least 12"),
        (["--tolerance", "2"], "--tolerance 2"),
        (["--ports", "1"], "--ports 1: at least 2"),
        (["--ports", "8", "--crosstalk", "full"], "has 3364 coefficients; one fit may have 1600"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_opened(
    tmp_path: Path, options: list[str], told: str, capsys: Any
) -> None:
    run(tmp_path, *options, code=2)
    assert told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_shipped_file_is_the_text_of_eight_ports() -> None:
    assert shipped("mesh_bench") == mesh_bench(8)


def test_benches_that_do_not_fit_are_told(tmp_path: Path, mesh_of: Open) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(mesh_bench(4).replace("channels = 12", "channels = 10"))
    with pytest.raises(BenchFileError, match=r"ports\.heaters: has 10 channels; a mesh bench of 4 ports has 12"):
        Bench.open(path, dry_run=True)
    with pytest.raises(BenchFileError, match=r"simulation\.mesh: dead = \(12,\): allowed are 0 to 11"):
        mesh_of(4, "\n[simulation.mesh]\ndead = [12]\n")
    bench = mesh_of(4)
    with pytest.raises(ProcedureError, match=r"ports\.heaters has 12 channels; a mesh of 5 ports needs 20"):
        MeshSweep.of(bench, MeshDesign(MeshSize(5)), 2e-5)


def test_a_coupler_is_the_product_of_its_parts() -> None:
    """Against exponentials of generators."""
    design, rng = MeshDesign(MeshSize(2)), np.random.default_rng(3)
    theta, phi, one, two, loss = rng.uniform(-2, 2, 5)
    flip, upper = np.array([[0, 1], [1, 0]]), np.diag([1, 0])
    expected = np.exp(-loss) * expm(1j * (np.pi / 4 + two) * flip) @ expm(1j * theta * upper)
    expected = expected @ expm(1j * (np.pi / 4 + one) * flip) @ expm(1j * phi * upper)
    made = matrices(design.mesh, np.array([[theta, phi]]), np.array([[one, two]]), np.array([loss]))[0]
    np.testing.assert_allclose(made, expected, atol=1e-14)


@pytest.mark.parametrize("crosstalk", ["alike", "full", "none"])
@pytest.mark.parametrize("drive", ["V", "W"])
def test_derivatives_of_readings_are_those_of_finite_differences(crosstalk: str, drive: str) -> None:
    design, rng = MeshDesign(MeshSize(3), Heater(drive=drive)), np.random.default_rng(2)
    problem = MeshProblem(design.mesh, groups_of(design.places, crosstalk), nominal_truth(design))
    width = np.where(np.isfinite(problem.width), problem.width, 3.0)
    vector = problem.vector(problem.nominal) + 0.2 * width * rng.standard_normal(len(width))
    np.testing.assert_allclose(problem.vector(problem.truth(vector)), vector, atol=1e-15)
    driven = rng.uniform(0, 8 if drive == "V" else 0.06, (3, 6))
    beams = rng.standard_normal((4, 3)) + 1j * rng.standard_normal((4, 3))
    value, slope = problem.jacobian(problem.truth(vector), driven, beams)
    np.testing.assert_allclose(problem.predicted(problem.truth(vector), driven, beams), value, atol=1e-12)
    for i, step in enumerate(1e-5 * width):
        ends = [problem.predicted(problem.truth(vector + sign * step * (np.arange(len(width)) == i)), driven, beams) for sign in (1, -1)]
        np.testing.assert_allclose(width[i] * slope[..., i], width[i] * (ends[0] - ends[1]) / (2 * step), atol=2e-6)


def heaters_of(count: int, crosstalk: Array) -> HeaterCurves:
    return HeaterCurves(np.linspace(0, 6, count), np.full(count, 0.12), np.full(count, 1e-3), crosstalk)


def test_drives_make_the_wanted_phases_through_crosstalk_within_the_limits() -> None:
    rng = np.random.default_rng(0)
    heaters = heaters_of(8, 0.03 * rng.random((8, 8)) * (1 - np.eye(8)))
    names, low, high = [f"ch{i}" for i in range(8)], np.zeros(8), np.full(8, 8.0)
    for _ in range(20):
        wanted = rng.uniform(-10, 10, 8)
        volts = drives_for(heaters, wanted, low, high, names)
        assert np.all((volts >= low) & (volts <= high))
        np.testing.assert_allclose(wrapped(heaters.phases(volts) - wanted), 0, atol=1e-9)
    with pytest.raises(CalibrationError, match=r"heaters/ch\d: a phase of .* rad takes .* rad of its own heat, and its limits leave"):
        drives_for(heaters, rng.uniform(0, 6, 8), low, np.full(8, 3.0), names)
    with pytest.raises(CalibrationError, match=r"heaters/ch7: a phase of 0\.000 rad takes -"):
        drives_for(heaters_of(8, np.zeros((8, 8))), np.zeros(8), low, high, names, period=0)


@pytest.mark.parametrize("splitters", [0.0, 0.03])
def test_phases_for_imperfect_splitters_are_better_than_those_for_perfect_ones(splitters: float) -> None:
    rng, design = np.random.default_rng(1), MeshDesign(MeshSize(5))
    nominal = nominal_truth(design)
    truth = MeshTruth(
        nominal.heaters, splitters * rng.standard_normal((10, 2)), np.zeros(10), nominal.in_phase, nominal.quadrature, nominal.volts
    )
    wanted = random_unitary(5, rng)
    made = [
        matrices(design.mesh, phases_for(wanted, design.mesh, "triangular", one)[None], truth.delta, truth.loss)[0]
        for one in (nominal, truth)
    ]
    plain, better = (fidelity(wanted, one) for one in made)
    assert better > 0.99999
    assert better >= plain
    if splitters:
        assert 1 - plain > 10 * (1 - better)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_eight_ports_are_found_to_a_tenth_of_what_is_asked(mesh_of: Open, seed: int) -> None:
    bench = mesh_of(8, seed=seed)
    outcome = measured(bench, MeshMeasuring())
    light, rng = light_of(bench), np.random.default_rng(seed)
    driven = np.sqrt(64 * rng.random((20, 56)))
    assert rms(wrapped(outcome.fitted.truth.heaters.phases(driven) - light.phases(driven, bench.clock.now()))) < 1e-3
    assert outcome.after.expected.min() > 0.999
    spread = np.std(np.concatenate([*pulls_of(bench, outcome).values()]))
    assert 0.8 < spread < 1.25
