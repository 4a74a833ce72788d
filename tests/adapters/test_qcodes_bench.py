"""A bench as a QCoDeS instrument: sets and limits, readings, snapshots, a station, measurements into a real database, endings."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes import Station
from qcodes.dataset import LinSweep, Measurement, dond, initialise_or_create_database_at, load_by_id, load_or_create_experiment
from qcodes.instrument import Instrument
from qcodes.utils import NumpyJSONEncoder
from watcher import Watcher

from labonn.adapters.qcodes_bench import BenchInstrument
from labonn.bench import Bench
from labonn.errors import BenchFileError, LimitError, LinkTimeoutError, RefusedError, TableError
from labonn.shots import ShotTable

BENCHES = Path(__file__).parents[2] / "procedures/benches"
DARK_W = 1e-6
Opened = Callable[..., BenchInstrument]


@pytest.fixture
def opened() -> Iterator[Opened]:
    with contextlib.ExitStack() as stack:

        def make(name: str = "desk", ideal: bool = True, **options: Any) -> BenchInstrument:
            found = BenchInstrument(name, BENCHES / f"{name}.toml", dry_run=True, ideal=ideal, **options)
            stack.callback(found.close)
            return found

        yield make
    assert Instrument._all_instruments == {} or not list(Instrument._all_instruments)


@pytest.fixture
def database(tmp_path: Path) -> None:
    initialise_or_create_database_at(str(tmp_path / "lab.db"))
    load_or_create_experiment("bench", "chip")


def light(desk: BenchInstrument) -> float:
    """Watts that the laser gives now, as a table that sets nothing finds it."""
    return float(desk.bench.play(ShotTable({}, dwell_s=1e-2, read=("power",)))["power"][0, 0])


def test_channels_ports_and_several_ports_are_set_and_read_back_each_in_one_table(opened: Opened) -> None:
    desk = opened()
    desk.bench.observer = watcher = Watcher()
    desk.laser.ld(0.05)
    desk.modulators.values(np.array([1.0, 2.0]))
    desk.modulators.set_channels({"ch2": -1.0})
    desk.put({"laser": 0.06, "modulators": {"ch1": 3.0}})
    assert len(watcher.tables) == 4
    assert (desk.laser.ld(), desk.laser.values().tolist(), desk.modulators.ch1()) == (0.06, [0.06], 3.0)
    np.testing.assert_array_equal(desk.modulators.values(), [3.0, -1.0])
    assert len(watcher.tables) == 4  # getting them played nothing
    assert light(desk) > 1e-3


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda desk: desk.laser.ld(0.5), r"laser/ld: 500 mA in row 0 is outside 0 to 100 mA \(desk.toml\)"),
        (lambda desk: desk.modulators.values(np.array([0.0, 6.0])), r"modulators/ch2: 6 V in row 0 is outside -5 to 5 V"),
        (lambda desk: desk.put({"modulators": 1.0, "laser": float("inf")}), "laser/ld: inf A in row 0 is outside"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_in_words_and_nothing_is_sent(refused: Any, message: str, opened: Opened) -> None:
    desk = opened()
    exchanges = desk.bench.exchanges
    with pytest.raises(LimitError, match=message):
        refused(desk)
    assert desk.bench.exchanges == exchanges
    assert desk.points.rows == {}


def test_validators_tell_the_limits_units_and_labels(opened: Opened) -> None:
    desk = opened()
    limits = desk.modulators.ch1.vals
    assert (limits.min_value, limits.max_value, desk.modulators.ch1.unit, desk.modulators.ch1.label) == (-5.0, 5.0, "V", "modulators ch1")
    assert (desk.laser.ld.vals.max_value, desk.laser.ld.unit) == (0.1, "A")
    assert (desk.outputs.mean.unit, desk.power.S130C.unit, desk.cooler.temperature.unit) == ("V", "W", "degC")


@pytest.mark.parametrize("name", ["desk", "gain_row", "heater_bank", "modulator_row"])
def test_readings_are_those_of_the_bench_itself(name: str, opened: Opened) -> None:
    instrument = opened(name, shots=3)
    unit = {port: instrument.bench.specs[port].unit for port in instrument.points.actuators}
    rows = {port: 0.6 * instrument.bench.specs[port].upper for port in unit if unit[port] != "degC"}
    instrument.put(rows)
    means = dict(zip(instrument.readings.names, instrument.readings(), strict=True))
    with Bench.open(BENCHES / f"{name}.toml", dry_run=True, ideal=True) as alone:
        orders = {port: np.zeros(3, np.int64) for port in rows}
        wanted = alone.play(ShotTable({port: row[None] for port, row in rows.items()}, orders, dwell_s=1e-2))
    for port, found in wanted.items():
        module = instrument.submodules[port]
        np.testing.assert_allclose(means[port], found.mean(axis=0), rtol=2e-3, atol=1e-6)
        np.testing.assert_allclose(module.record(), found, rtol=2e-3, atol=1e-6)
        np.testing.assert_allclose(module.channel(0)(), found[:, 0].mean(), rtol=2e-3, atol=1e-6)


def test_the_standard_error_and_saturation_belong_to_the_last_play(opened: Opened) -> None:
    row = opened("modulator_row", ideal=False)
    with pytest.raises(TableError, match="outputs: nothing was measured yet; get its mean or record first"):
        row.outputs.standard_error()
    row.laser.ch0(0.015)
    row.outputs.mean()
    assert np.isnan(row.outputs.standard_error()).all()  # of one shot
    row.shots(400)
    record = row.outputs.record()
    assert record.shape == (400, 32)
    np.testing.assert_allclose(row.outputs.standard_error(), record.std(axis=0, ddof=1) / 20)
    assert row.outputs.saturated() == 0


def test_dwell_and_shots_decide_what_is_played_and_the_axes_follow(opened: Opened) -> None:
    row = opened("modulator_row")
    row.shots(7)
    row.dwell(2e-4)
    row.bench.observer = watcher = Watcher()
    assert row.outputs.record().shape == (7, 32)
    assert (watcher.tables[0].shots, watcher.tables[0].dwell_s) == (7, 2e-4)
    np.testing.assert_allclose(row.outputs.shot_time(), np.arange(7) * 2e-4)
    with pytest.raises(ValueError, match="0 is invalid"):
        row.shots(0)


def test_a_sweep_ends_in_a_database_as_it_was_measured(opened: Opened, database: None) -> None:
    desk = opened()
    desk.shots(5)
    Station(desk)
    dataset, *_ = dond(LinSweep(desk.laser.ld, 0, 0.1, 6), desk.readings, desk.outputs.record, show_progress=False)
    found = load_by_id(dataset.run_id).to_xarray_dataset()
    np.testing.assert_allclose(found["desk_laser_ld"], np.linspace(0, 0.1, 6))
    assert found["desk_outputs_record"].shape == (6, 5, 2)
    watts = found["desk_power"].values[:, 0]
    with Bench.open(BENCHES / "desk.toml", dry_run=True, ideal=True) as alone:
        table = ShotTable({"laser": np.linspace(0, 0.1, 6)[:, None]}, {"laser": np.arange(6)}, dwell_s=1e-2, read=("power",))
        np.testing.assert_allclose(watts, alone.play(table)["power"][:, 0], rtol=1e-3, atol=1e-8)
    stored = json.loads(load_by_id(dataset.run_id).snapshot_raw)["station"]["instruments"]["desk"]["bench"]
    assert stored["ports"]["power"]["identity"].startswith("Thorlabs,PM100D")
    assert found["desk_laser_ld"].attrs["unit"] == "A"


def test_a_measurement_by_hand_of_whole_rows(opened: Opened, database: None) -> None:
    bank = opened("heater_bank")
    bank.laser.ch0(0.015)
    meas = Measurement(name="rows")
    meas.register_parameter(bank.heaters.values)
    meas.register_parameter(bank.outputs.mean)
    drawn = np.random.default_rng(2).uniform(0, 5, (3, 64))
    seen = []
    with meas.run() as saver:
        for row in drawn:
            bank.heaters.values(row)
            seen.append(bank.outputs.mean())
            saver.add_result((bank.heaters.values, row), (bank.outputs.mean, seen[-1]))
    data = load_by_id(saver.run_id).get_parameter_data()
    np.testing.assert_allclose(data["heater_bank_outputs_mean"]["heater_bank_outputs_mean"].reshape(3, 64), seen)
    np.testing.assert_allclose(data["heater_bank_heaters_values"]["heater_bank_heaters_values"].reshape(3, 64), drawn)
    assert np.ptp(np.array(seen), axis=0).min() > 1e-3


def test_a_snapshot_is_json_true_and_asks_no_instrument(opened: Opened) -> None:
    desk = opened()
    desk.put({"laser": 0.05, "modulators": [1.0, 2.0]})
    exchanges = desk.bench.exchanges
    snapshot = json.loads(json.dumps(desk.snapshot(), cls=NumpyJSONEncoder))
    assert desk.bench.exchanges == exchanges
    values = {port: module["parameters"] for port, module in snapshot["submodules"].items()}
    assert values["laser"]["ld"]["value"] == 0.05
    assert values["modulators"]["values"]["value"] == [1.0, 2.0]
    ports = snapshot["bench"]["ports"]
    assert {port: about["identity"] for port, about in ports.items()} == {
        port: device.identity for port, device in desk.bench.ports.items()
    }
    assert (ports["laser"]["upper"], ports["laser"]["upper_rule"], ports["power"]["driver"]) == (0.1, "desk.toml", "pm100")
    assert (ports["laser"]["between"], ports["modulators"]["between"]) == ("holds", "keeps")
    desk.safe()
    assert desk.snapshot()["submodules"]["laser"]["parameters"]["ld"]["value"] == 0.0
    assert snapshot["bench"]["file"] == "desk.toml"


def test_a_port_of_100000_channels_has_few_parameters_and_is_quick(opened: Opened) -> None:
    cell = opened("vapour_cell")
    wide = cell.weights1
    width = len(cell.bench.specs["weights1"])
    assert width > 100_000
    assert len(wide.parameters) < 5
    start = time.perf_counter()
    json.dumps(cell.snapshot(), cls=NumpyJSONEncoder)
    assert time.perf_counter() - start < 2
    with pytest.raises(TableError, match="weights1: nobody knows where 100351 of its 100352 channels are: set all of them at once, first"):
        wide.channel(17)(0.1)
    wide.values(np.full(width, 0.01))
    one = wide.channel("r3c17")
    one(0.02)
    assert wide.channel("r3c17") is one
    assert wide.values()[[0, one._index]].tolist() == [0.01, 0.02]
    assert cell.input.channel(783) is cell.input.parameters["ch783"]


@pytest.mark.parametrize(("fault", "error"), [("power:timeout@0", LinkTimeoutError), ("modulators:refuse@0", RefusedError)])
def test_an_instrument_that_fails_in_a_sweep_leaves_the_bench_safe_and_the_data_so_far(
    fault: str, error: type[Exception], opened: Opened, database: None
) -> None:  # fmt: skip
    desk = opened()
    meas = Measurement(name="fault")
    meas.register_parameter(desk.laser.ld)
    meas.register_parameter(desk.power.mean, setpoints=(desk.laser.ld,))

    def sweep(saver: Any) -> None:
        for number, current in enumerate(np.linspace(0.03, 0.05, 6)):
            desk.laser.ld(current)
            if number == 3:
                desk.bench.refault([fault])
                desk.modulators.ch1(0.5)
            saver.add_result((desk.laser.ld, current), (desk.power.mean, desk.power.mean()))

    with pytest.raises(error, match=fault.partition(":")[0]), meas.run() as saver:
        sweep(saver)
    desk.bench.refault([])
    assert load_by_id(saver.run_id).number_of_results == 3
    assert desk.points.rows == {}
    assert light(desk) < DARK_W
    desk.laser.ld(0.05)  # and it goes on
    assert light(desk) > 1e-3


def test_safe_and_close_end_dark_and_an_instrument_closes_only_what_it_opened() -> None:
    with Bench.open(BENCHES / "desk.toml", dry_run=True, ideal=True) as bench:
        desk = BenchInstrument("desk", bench)
        desk.laser.ld(0.05)
        desk.safe()
        assert light(desk) < DARK_W
        desk.laser.ld(0.05)
        assert light(desk) > 1e-3
        desk.close()
        assert not bench.closed
        assert float(bench.play(ShotTable({}, dwell_s=1e-2, read=("power",)))["power"][0, 0]) < DARK_W
    own = BenchInstrument("desk", BENCHES / "desk.toml", dry_run=True)
    opened_by_it = own.bench  # QCoDeS takes all attributes from what is closed
    own.close()
    assert opened_by_it.closed


def test_after_its_bench_was_closed_an_instrument_still_closes() -> None:
    with Bench.open(BENCHES / "desk.toml", dry_run=True) as bench:
        desk = BenchInstrument("desk", bench)
    desk.close()
    with pytest.raises(KeyError):
        Instrument.find_instrument("desk")


def test_a_bench_file_that_is_wrong_leaves_no_instrument_behind(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match="no such bench file"):
        BenchInstrument("desk", tmp_path / "none.toml", dry_run=True)
    BenchInstrument("desk", BENCHES / "desk.toml", dry_run=True).close()  # the name is free


def test_a_station_loads_it_from_a_yaml_file(tmp_path: Path) -> None:
    config = tmp_path / "station.yaml"
    config.write_text(
        f"""
instruments:
  desk:
    type: labonn.adapters.qcodes_bench.BenchInstrument
    init:
      bench: {BENCHES / "desk.toml"}
      dry_run: true
    parameters:
      shots:
        initial_value: 4
""",
        encoding="utf-8",
    )
    station = Station(config_file=str(config))
    desk = station.load_instrument("desk")
    bench = desk.bench
    try:
        assert desk.outputs.record().shape == (4, 2)
        assert desk.get_idn()["model"] == "desk.toml"
    finally:
        station.close_and_remove_instrument("desk")
    assert bench.closed


def test_tables_and_plans_are_played_and_what_they_set_is_known_after(opened: Opened) -> None:
    row = opened("modulator_row")
    volts = np.repeat(np.arange(4.0)[:, None], 32, axis=1)
    readings = row.play(ShotTable({"laser": np.full((1, 1), 0.015), "modulators": volts}, {"modulators": np.arange(4)}))
    assert readings["outputs"].shape == (4, 32)
    assert (row.modulators.ch5(), row.laser.ch0()) == (3.0, 0.015)

    def plan() -> Any:
        found = yield ShotTable({"modulators": volts[1:2]})
        return found["outputs"].shape

    assert row.run(plan()) == (1, 32)
    assert row.modulators.ch5() == 1.0


def test_an_oven_is_unknown_until_it_is_set_and_its_temperature_is_measured(opened: Opened) -> None:
    desk = opened()
    assert np.isnan(desk.cooler.tec())
    desk.cooler.tec(27.0)
    np.testing.assert_allclose(desk.cooler.temperature(), [27.0], atol=0.1)
