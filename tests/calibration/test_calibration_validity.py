"""What a bench refuses to believe, and in which words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labonn import benchfile, sources
from labonn.bench import Bench
from labonn.calibration import Calibration, Store, current, survey
from labonn.calibration.calibration import utc
from labonn.calibration.measuring import Measuring, measure
from labonn.calibration.models import INTENSITY
from labonn.calibration.rigging import direct_sweep
from labonn.calibration.saving import calibration_of, world_of
from labonn.calibration.validity import reasons
from labonn.errors import CalibrationError
from labonn.sources import DryRun

Open = Callable[..., Bench]


def calibrated(bench: Bench, days: float | None = 30.0) -> Calibration:
    sweep, spec = direct_sweep(bench, "modulators", None, [], 4, 1e-3), bench.specs["modulators"]
    outcome = bench.run(measure("modulators", sweep, INTENSITY, Measuring(), spec.names, np.array(spec.lower), np.array(spec.upper)))
    return calibration_of("modulators", outcome, bench, "modulators", ["outputs", "laser"], x_unit="V", days=days, dwell_s=1e-3)


@pytest.fixture
def measured(row_of: Open) -> tuple[Bench, Calibration]:
    bench = row_of()
    return bench, calibrated(bench)


def test_a_calibration_of_this_bench_is_believed_and_its_check_is_one_small_table(measured: Any, tmp_path: Path) -> None:
    bench, calibration = measured
    store = Store(tmp_path / "cal")
    assert current(store, bench) == {}
    store.save(calibration)
    shots, exchanges = bench.shots, bench.exchanges
    found = current(store, bench)
    assert found == {("modulators", "modulators"): calibration}
    assert bench.shots - shots == 8 * 16
    assert bench.exchanges - exchanges < 15
    np.testing.assert_allclose(found["modulators", "modulators"].values("v_pi"), 3.5, atol=0.5)
    current(store, bench, check=False)
    assert bench.shots - shots == 8 * 16


def test_each_thing_that_differs_is_named(measured: Any) -> None:
    bench, calibration = measured
    now = datetime.now(UTC)
    assert reasons(calibration, bench) == []
    cases: list[tuple[dict[str, Any], str]] = [
        ({"instruments": {**calibration.instruments, "modulators": "DAC 9"}}, r"modulators was DAC 9, and is emulated DAC SD-\d+"),
        ({"instruments": {**calibration.instruments, "outputs": "ADC 9"}}, r"outputs was ADC 9, and is emulated ADC SA-\d+"),
        ({"instruments": {**calibration.instruments, "ovens": "O 1"}}, r"bench\.toml has no port ovens|row\.toml has no port ovens"),
        ({"wiring": {**calibration.wiring, "laser": "qontrol x 2"}}, "laser was wired to qontrol x 2, and is to qontrol x 1"),
        ({"version": 2}, "it is of model mach-zehnder-intensity, version 2; this labonn has version 1"),
        ({"model": "cubic"}, "it is of model cubic, version 1; this labonn does not know that"),
        ({"world": ""}, "it was measured on instruments, and this is simulated bench modulator_row, seed 5"),
        ({"expires": utc(now - timedelta(seconds=1))}, r"it expired .*Z \(--expired ok takes it\)"),
    ]
    for change, told in cases:
        found = reasons(replace(calibration, **change), bench)
        assert len(found) == 1, change
        assert re.fullmatch(told, found[0]), found
    assert reasons(replace(calibration, expires=utc(now - timedelta(days=1))), bench, expired="ok") == []
    assert reasons(calibration, bench, now=now + timedelta(days=31)) != []
    assert reasons(replace(calibration, expires=None), bench, now=now + timedelta(days=9999)) == []


def test_a_refusal_has_id_date_what_differs_and_what_to_run(measured: Any, tmp_path: Path) -> None:
    bench, calibration = measured
    store = Store(tmp_path / "cal")
    old = replace(calibration, expires="2026-01-01T00:00:00Z", time="2025-12-01T00:00:00Z")
    store.save(old)
    with pytest.raises(CalibrationError) as refused:
        current(store, bench)
    told = rf"modulators calibration {old.id} of modulators \(2025-12-01T00:00:00Z\) is refused: it expired 2026-01-01T00:00:00Z "
    assert re.fullmatch(told + r"\(--expired ok takes it\); measure it again by `labonn run calibrate_modulators`", str(refused.value))
    assert current(store, bench, expired="ok") == {("modulators", "modulators"): old}
    found, problems = survey(store, bench)
    assert (found, [problem.port for problem in problems]) == ({}, ["modulators"])


def test_another_instrument_or_another_simulated_bench_has_its_own(row_of: Open, tmp_path: Path) -> None:
    store, five, six = Store(tmp_path / "cal"), row_of(seed=5), row_of(seed=6)
    own = {5: calibrated(five), 6: calibrated(six)}
    store.save(own[5])
    with pytest.raises(CalibrationError, match=r"modulators was emulated DAC SD-\d+, and is emulated DAC SD-\d+.*; it was measured on"):
        current(store, six)
    store.save(own[6])
    assert current(store, five)["modulators", "modulators"] == own[5]
    assert current(store, six)["modulators", "modulators"] == own[6]


@pytest.mark.parametrize("what", ["bias", "dead", "swapped"])
def test_a_bench_that_has_drifted_fails_the_check_and_the_detector_is_named(measured: Any, tmp_path: Path, what: str) -> None:
    bench, calibration = measured
    store = Store(tmp_path / "cal")
    store.save(calibration)
    row = bench._opened.simulated.row
    if what == "bias":
        row.bias_v = row.bias_v + 0.03 * row.v_pi_v * (np.arange(32) == 11)
    elif what == "dead":
        row.loss = row.loss * (np.arange(32) != 11)
    else:
        row._order[[11, 12]] = row._order[[12, 11]]
    with pytest.raises(CalibrationError, match=r"outputs/1[12] reads .* in frame \d of the drift check, .* was expected"):
        current(store, bench)


def test_more_or_less_light_is_no_drift_of_modulators_but_no_light_is(measured: Any, tmp_path: Path) -> None:
    bench, calibration = measured
    store = Store(tmp_path / "cal")
    store.save(calibration)
    light = bench._opened.simulated.row
    for factor in (0.7, 1.3):
        before, light.slope_w_per_a = light.slope_w_per_a, light.slope_w_per_a * factor
        current(store, bench)
        light.slope_w_per_a = before
    light.slope_w_per_a = 0.0 * light.slope_w_per_a
    with pytest.raises(CalibrationError, match=r"outputs: the light is .* times what it was"):
        current(store, bench)


def test_a_corrupt_calibration_is_not_believed(measured: Any, tmp_path: Path) -> None:
    bench, calibration = measured
    store = Store(tmp_path / "cal")
    path = tmp_path / "cal" / f"{store.save(calibration)}.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CalibrationError, match="corrupt"):
        current(store, bench)


def test_the_same_bench_passes_its_check_again_and_again(measured: Any) -> None:
    from labonn.calibration.validity import drifted

    bench, calibration = measured
    assert [bench.run(drifted(calibration)) for _ in range(40)] == [[]] * 40


def test_what_is_measured_belongs_to_the_lab_or_to_one_simulated_bench(row_of: Open, tmp_path: Path) -> None:
    bench, file = row_of(seed=9), benchfile.read(tmp_path / "row.toml")
    assert world_of(bench) == "simulated bench modulator_row, seed 9"
    worlds = [DryRun(), DryRun(ideal=True), DryRun(seed=9), None]
    assert [sources.world_of(file, dry_run) for dry_run in worlds] == [
        "simulated bench modulator_row, seed 5", "simulated bench modulator_row, seed 5, ideal", "simulated bench modulator_row, seed 9", ""
    ]  # fmt: skip
    assert sources.world_of(file, DryRun(), replay=tmp_path) is None
    at_a_guardian: list[Any] = [SimpleNamespace(about={"dry_run": dry_run}) for dry_run in (False, True)]
    assert [world_of(one) for one in at_a_guardian] == ["", None]
