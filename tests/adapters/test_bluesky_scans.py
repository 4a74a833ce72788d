"""Step scans by a real RunEngine: documents are valid, data are what the bench reads by itself, plans end with the bench safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import protocols
from bluesky.simulators import check_limits

from labonn.bench import Bench
from labonn.errors import LimitError, TableError
from labonn.shots import ShotTable

Opened = Callable[..., Any]


def test_devices_have_the_protocols_that_plans_ask_for(devices: Opened) -> None:
    desk = devices()
    both = (protocols.Readable, protocols.Configurable, protocols.Stageable, protocols.HasHints, protocols.HasParent)
    moving = (*both, protocols.Movable, protocols.Locatable, protocols.Checkable, protocols.Stoppable, protocols.NamedMovable)
    for device in (desk["laser"], desk["modulators"], desk["modulators/ch1"], desk["cooler"]):
        assert all(isinstance(device, protocol) for protocol in moving)
    for device in (desk["power"], desk["outputs"], desk["outputs/IN1"], desk.detector("power", "outputs")):
        assert all(isinstance(device, protocol) for protocol in (*both, protocols.Triggerable))
    assert isinstance(desk["cooler"], protocols.Triggerable)  # it measures a temperature
    assert not isinstance(desk["laser"], protocols.Triggerable)
    flyer = desk.flyer("sweep")
    flying = (protocols.Flyable, protocols.Preparable, protocols.EventPageCollectable, protocols.Stageable, protocols.Configurable)
    assert all(isinstance(flyer, protocol) for protocol in flying)
    assert isinstance(desk["laser"].set(0.0), protocols.Status)
    assert list(desk) == ["laser", "cooler", "modulators", "power", "outputs"]


def test_a_scan_of_a_current_gives_the_curve_of_the_laser(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()
    engine(bp.scan([desk["power"]], desk["laser"], 0, 0.05, 6))
    currents, watts = np.array(documents.column("laser")), np.array(documents.column("power"))
    np.testing.assert_allclose(currents, np.linspace(0, 0.05, 6))
    with Bench.open("procedures/benches/desk.toml", dry_run=True, ideal=True) as alone:
        table = ShotTable({"laser": currents[:, None]}, {"laser": np.arange(6)}, dwell_s=1e-2, read=("power",))
        np.testing.assert_allclose(watts, alone.play(table)["power"][:, 0], rtol=1e-3, atol=1e-8)
    slopes = np.diff(watts) / np.diff(currents)
    assert slopes[0] < 0.05 * slopes[-1]  # below and above its threshold


@pytest.mark.parametrize("name", ["gain_row", "heater_bank", "modulator_row"])
def test_a_grid_of_two_ports_gives_what_the_bench_reads_by_itself(name: str, devices: Opened, engine: Any, documents: Any) -> None:
    bench = devices(name)
    port = {"gain_row": "gain", "heater_bank": "heaters", "modulator_row": "modulators"}[name]
    spec = bench.bench.specs[port]
    engine(bp.grid_scan([bench["outputs"]], bench["laser"], 0.01, 0.02, 2, bench[f"{port}/ch3"], 0, float(spec.upper[3]), 3))
    seen = np.array(documents.column("outputs"))
    rows = np.zeros((6, len(spec)))
    rows[:, 3] = documents.column(f"{port}_ch3")
    laser = np.array(documents.column("laser"))[:, None]
    assert len(np.unique(rows[:, 3])) == 3
    with Bench.open(f"procedures/benches/{name}.toml", dry_run=True, ideal=True) as alone:
        order = np.arange(6)
        found = alone.play(ShotTable({"laser": laser, port: rows}, {"laser": order, port: order}, dwell_s=1e-2))["outputs"]
    np.testing.assert_allclose(seen, found, rtol=2e-3, atol=1e-4)
    (descriptor,) = documents.of("descriptor")
    key = descriptor["data_keys"]["outputs"]
    assert key["shape"] == [len(spec)]
    assert key["units"] == "V"
    assert key["limits"]["display"] == {"low": -1.0, "high": 1.0}


def test_count_reads_what_mv_has_set_and_leaves_it_on(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()
    engine(bps.mv(desk["laser"], 0.05, desk["modulators"], [1.0, 2.0]))
    engine(bp.count([desk.detector("power", "outputs/IN1", shots=4)], 3))
    assert min(documents.column("power")) > 1e-3
    assert np.isfinite(documents.column("power_sem")).all()
    assert documents.column("outputs_IN1_saturated") == [0, 0, 0]
    assert desk["laser"].position == 0.05
    np.testing.assert_array_equal(desk["modulators"].position, [1.0, 2.0])


def test_one_device_reads_several_detectors_in_the_same_shots(devices: Opened, engine: Any, documents: Any) -> None:
    gain = devices("gain_row", ideal=False)
    played = gain.bench.shots
    engine(bp.count([gain.detector("monitors", "outputs", shots=5)]))
    assert gain.bench.shots == played + 5
    (event,) = documents.of("event")
    assert event["data"]["monitors"].shape == event["data"]["outputs"].shape == (8,)


def test_configured_shots_and_dwell_are_in_the_descriptor_and_give_the_standard_error(
    devices: Opened, engine: Any, documents: Any
) -> None:  # fmt: skip
    row = devices("modulator_row", ideal=False)

    def plan() -> Any:
        yield from bps.mv(row["laser"], 0.015)
        yield from bps.configure(row["outputs"], shots=400, dwell_s=1e-4)
        yield from bp.count([row["outputs"]], 2)

    engine(plan())
    about = documents.of("descriptor")[0]["configuration"]["outputs"]["data"]
    assert (about["outputs_shots"], about["outputs_dwell_s"]) == (400, 1e-4)
    assert about["outputs_driver"] == "stream_adc"
    assert about["outputs_identity"] == row.bench.ports["outputs"].identity
    error = np.array(documents.column("outputs_sem"))
    means = np.array(documents.column("outputs"))
    assert ((error > 2e-4 / 40) & (error < 2e-4 / 10)).all()  # noise_v = 2e-4 in the bench file, and what light adds
    assert (np.abs(means[0] - means[1]) < 8 * error.max()).all()


def test_a_value_beyond_a_limit_is_refused_in_words_before_anything_moves(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()
    exchanges = desk.bench.exchanges
    message = r"laser/ld: 500 mA in row 0 is outside 0 to 100 mA \(desk.toml\)"
    with pytest.raises(LimitError, match=message):
        check_limits(bp.scan([desk["power"]], desk["laser"], 0, 0.5, 2))
    with pytest.raises(LimitError, match=message):
        desk["laser"].check_value(0.5)
    assert desk.bench.exchanges == exchanges
    with pytest.raises(LimitError, match=message):
        engine(bp.scan([desk["power"]], desk["laser"], 0, 0.5, 2))
    (stop,) = documents.of("stop")
    assert stop["exit_status"] == "fail"
    assert "outside 0 to 100 mA" in stop["reason"]
    assert desk.points.rows == {}


def test_a_relative_scan_is_relative_and_the_bench_is_safe_at_its_end(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()
    engine(bps.mv(desk["laser"], 0.04))
    rests = desk.bench.rests
    engine(bp.rel_scan([desk["power"]], desk["laser"], -0.01, 0.01, 3))
    np.testing.assert_allclose(documents.column("laser"), [0.03, 0.04, 0.05])
    assert desk.bench.rests > rests
    assert desk.points.rows == {}


def test_scans_inside_a_plan_do_not_switch_off_what_the_plan_goes_on_with(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()

    def plan() -> Any:
        yield from bps.mv(desk["laser"], 0.05)
        yield from bp.scan([desk["power"]], desk["modulators/ch1"], 0, 1, 2)
        yield from bp.count([desk["power"]])

    engine(plan())
    assert min(documents.column("power")) > 1e-3
    assert desk.points.rows == {}  # but at its end


def test_without_attach_a_scan_is_safe_at_once_and_with_keep_it_stays_on(devices: Opened, engine: Any) -> None:
    desk = devices(attach=False)
    engine(bp.scan([desk["power"]], desk["laser"], 0, 0.05, 2))
    assert desk.points.rows == {}
    desk.close()
    desk.bench.close()
    kept = devices(keep=True)
    engine(bp.scan([kept["power"]], kept["laser"], 0, 0.05, 2))
    assert kept["laser"].position == 0.05


def test_a_cooler_is_read_with_the_temperature_that_it_has_reached(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()
    engine(bp.scan([desk["power"]], desk["cooler"], 24, 26, 2))
    np.testing.assert_allclose(documents.column("cooler_temperature"), [24, 26], atol=0.1)
    assert documents.column("cooler") == [24, 26]
    assert desk["cooler"].locate()["setpoint"] != desk["cooler"].locate()["setpoint"]  # NaN: off, nobody knows where it drifts


def test_metadata_says_which_bench_who_the_instruments_are_and_what_is_believed(devices: Opened, engine: Any, documents: Any) -> None:
    desk = devices()

    class Believed:
        id = "0123abcd"

    desk.attach(engine, {("modulators", "modulators"): Believed()})
    engine(bp.count([desk["power"]]))
    told = documents.of("start")[0]["labonn"]
    assert told["bench"] == "desk.toml"
    assert "[ports.laser]" in told["bench_file"]
    assert told["ports"]["power"]["identity"].startswith("Thorlabs,PM100D")
    assert told["calibrations"] == {"modulators": {"modulators": "0123abcd"}}
    assert told["world"] == "simulated bench desk, seed 3, ideal"
    assert {"labonn", "python", "numpy"} <= told["versions"].keys()


def test_a_channel_stages_its_port_and_has_its_own_limits(devices: Opened) -> None:
    desk = devices()
    channel = desk["modulators/ch2"]
    assert channel is desk["modulators/ch2"]
    assert channel.parent is desk["modulators"]
    assert channel.describe()["modulators_ch2"]["limits"]["control"] == {"low": -5.0, "high": 5.0}
    assert channel.describe()["modulators_ch2"]["units"] == "V"
    assert desk["modulators"].describe()["modulators"]["shape"] == [2]


@pytest.mark.parametrize(
    ("name", "message"),
    [("lasr", "lasr: desk.toml has no such port; ports are laser, cooler"), ("modulators/ch9", "modulators: has no channel 'ch9'")],
)
def test_a_device_that_is_not_there_is_named(devices: Opened, name: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        devices()[name]


def test_reading_before_a_trigger_is_refused(devices: Opened) -> None:
    with pytest.raises(TableError, match="power: nothing was measured; trigger it first"):
        devices()["power"].read()
