"""What goes wrong on a chip's bench is named, and the bench ends safe; bench files that make no sense are refused in one clear line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labonn.chip_setup import find_dead, measure_peaks
from labonn.chips import ChipOptics
from labonn.errors import BenchFileError, LabonnError, ProcedureError, ReadingError, UnknownStateError
from labonn.gradients import OnChip, Slots, adjoint, central

Edit = Callable[[str], str]


def spoil(rig: Any, port: str, action: Callable[[Any], None]) -> None:
    """What the ADC of a port records goes through `action` first."""
    adc = rig.emulators(port)[0]
    record = adc.record

    def spoilt(volts: Any) -> None:
        volts = np.array(volts)
        action(volts)
        record(volts)

    adc.record = spoilt


def test_an_open_gain_section_on_a_chain_is_named_and_all_currents_end_at_zero(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("pt_chip_software")
    chains = rig.emulators("gain")
    rig.run(rig.objective.outputs(rig.theta[None]))
    assert all(chain.currents_a.max() > 1e-3 for chain in chains)
    chains[0].loads_ohm[5] = np.inf
    with pytest.raises(UnknownStateError, match=r"gain/ch5: the output was set to .* mA and reads back .* the load open"):
        rig.run(central(rig.objective, rig.theta, 0.02))
    rig.bench.close()
    assert not any(chain.currents_a.any() for chain in chains)


@pytest.mark.parametrize("where", ["1a", "amp1", "2b"])
def test_a_dead_gain_section_in_memory_timing_is_found(rig_of: Callable[..., Any], where: str) -> None:
    rig = rig_of("pt_chip", images=20)
    dead = rig.optics.model.slices[where].start + 1
    rig.simulated.light.actuators._sections.strength[dead] = 0.0
    found = rig.run(find_dead(rig.objective, rig.theta, rig.pictures.train, 0.4, count=20))
    assert np.flatnonzero(found).tolist() == [dead]


def test_nothing_is_found_dead_on_a_chip_that_lives(rig_of: Callable[..., Any]) -> None:
    for name, step in (("pt_chip", 0.4), ("mzi_chip", 0.3)):
        rig = rig_of(name, images=20)
        assert not rig.run(find_dead(rig.objective, rig.theta, rig.pictures.train, step, count=20)).any()


@pytest.mark.parametrize("port", ["output", "hidden"])
def test_a_dead_detector_is_named(rig_of: Callable[..., Any], port: str) -> None:
    rig = rig_of("pt_chip", images=40)
    spoil(rig, port, lambda volts: volts[:, 1].fill(0.003))
    with pytest.raises(ReadingError, match=rf"^{port}/ch1: reads the same for 40 images"):
        rig.run(measure_peaks(rig.objective, rig.theta, rig.pictures.train))


@pytest.mark.parametrize("port", ["output", "hidden"])
def test_a_reading_that_is_no_number_is_named(rig_of: Callable[..., Any], port: str) -> None:
    rig = rig_of("pt_chip", activation="host", ideal=True)

    def spoilt(volts: Any) -> None:
        volts[6 * 7 + 4, 2] = np.nan

    spoil(rig, port, spoilt)
    with pytest.raises(ReadingError, match=rf"^{port}/ch2: reads nan in shot 46 of the table \(setting 7\)"):
        rig.run(central(rig.objective, rig.theta, 0.02))
    assert not any(dac.armed for dac in rig.emulators("gain"))


def test_a_monitor_that_reads_no_number_is_named(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", monitors=True, ideal=True)
    spoil(rig, "monitors", lambda volts: volts[-1, 3:5].fill(np.inf))
    with pytest.raises(ReadingError, match=r"^monitors/ch3: reads inf in shot \d+ of the table .*; 2 readings do"):
        rig.run(adjoint(rig.objective, rig.theta))


def test_after_a_failed_gradient_the_bench_works_again(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", ideal=True)
    adc = rig.emulators("output")[0]
    record = adc.record
    spoil(rig, "output", lambda volts: volts.fill(np.nan))
    with pytest.raises(ReadingError):
        rig.run(central(rig.objective, rig.theta, 2e-4))
    adc.record = record
    assert rig.error(rig.run(central(rig.objective, rig.theta, 2e-4)).gradient) < 1e-6


def test_a_perturbation_that_would_leave_a_limit_is_noted_and_none_leaves_it(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip_software")
    rig.theta[3], rig.theta[8] = rig.objective.upper[3], rig.objective.upper[8] - 0.01
    chain, highest = rig.emulators("heaters")[0], 0.0
    settle = rig.simulated._note

    def watched(*given: Any) -> None:
        nonlocal highest
        highest = max(highest, float(chain.voltages_v.max()))
        settle(*given)

    rig.simulated._note = watched
    estimate = rig.run(central(rig.objective, rig.theta, 0.1))
    count = len(rig.theta)
    assert estimate.notes == (f"1 of {count} perturbations one-sided at a limit", f"1 of {count} perturbations shortened at a limit")
    limit = rig.optics.drive(rig.objective.upper).max()
    assert limit - 0.01 < highest < limit + 12 / 65535


def without(line: str, other: str = "") -> Edit:
    def edit(text: str) -> str:
        assert line in text
        return text.replace(line, other, 1)

    return edit


BAD: list[tuple[str, dict[str, Any], Edit, str]] = [
    ("pt_chip", {}, without("channels = 9\n", "channels = 8\n"), r"ports.input: has 8 channels, but a pt chip of 9-4-3 neurons needs 9"),
    ("pt_chip", {}, without("channels = 4\n", "channels = 5\n"), r"ports.hidden: has 5 channels, but a pt chip of 9-4-3 neurons needs 4"),
    ("mzi_chip", {}, without("channels = 4096\n", "channels = 100\n"), r"ports.activation: has 100 channels, .* needs 4096"),
    ("mzi_chip", {"monitors": True}, without("channels = 102\n", "channels = 101\n"), r"ports.monitors: has 101 channels, .* needs 102"),
    ("mzi_chip", {"monitors": True}, without("channels = 13\n", "channels = 12\n"), r"ports.quadrature: has 12 channels, .* needs 13"),
    ("pt_chip", {"monitors": True}, str, r"ports.quadrature: not simulated for pt couplers with activation by board"),
    ("pt_chip", {}, without("[ports.hidden]", "[ports.taps]"), r"ports.taps: a simulated pt chip has no such port"),
    ("pt_chip", {}, without("[ports.gain]", "[ports.heaters]"), r"ports.heaters: a simulated pt chip has no such port"),
    ("pt_chip", {}, without('coupler = "pt"', 'coupler = "rotation"'), r"simulation.bench = 'pt_chip': nominal.chip.coupler = 'rotation'"),
    ("pt_chip", {}, without('coupler = "pt"', 'coupler = "TP"'), r"nominal.chip: coupler = 'TP': allowed are pt, rotation, mzi"),
    ("pt_chip", {}, without("sizes = [9, 4, 3]", "sizes = [9, 4, 5]"), r"nominal.chip: sizes = \[9, 4, 5\]: at least 2 each"),
    ("pt_chip", {}, without("sizes = [9, 4, 3]", "sizes = [9, 4]"), r"nominal.chip.sizes.*: Field required"),
    ("pt_chip", {}, without("sizes = [9, 4, 3]", "sizes = [9, 5, 3]"), r"needs "),
    ("pt_chip", {}, without("slope = 3.0", "slop = 3.0"), r"nominal.chip.slop = 3.0: unknown key; did you mean 'slope'\?"),
    ("mzi_chip", {"coupler": "mzi", "activation": "absorber"}, str, r"nominal.chip: activation = \"absorber\": behind full MZIs"),
    ("pt_chip", {"simulation": "lazer.lock_s = 1.0\n"}, str, r"simulation.lazer = .*: unknown key; did you mean 'laser'\?"),
    ("pt_chip", {"simulation": "laser.lock = 1.0\n"}, str, r"simulation.laser.lock = 1.0: unknown key; did you mean 'lock_s'\?"),
    ("pt_chip", {"simulation": "laser = 3\n"}, str, r"simulation.laser = 3: a table is wanted"),
    ("pt_chip", {"simulation": 'power_drift_per_h = "fast"\n'}, str, r"simulation.power_drift_per_h = 'fast': a number is wanted"),
    ("pt_chip", {"simulation": "sections.z = 2.0\n"}, str, r"simulation.sections.z: follows from the design, it cannot be set"),
    ("mzi_chip", {"simulation": "heaters.crosstalk = 0.7\n"}, str, r"HeaterSettings.crosstalk is 0.7; allowed is 0 to 0.2"),
    ("mzi_chip", {"simulation": "splitters.error_rad = true\n"}, str, r"simulation.splitters.error_rad = "),
    ("pt_chip", {}, without("seed = 7", "seed = -7"), r"simulation.seed = -7: a whole number from 0 is wanted"),
]  # fmt: skip


@pytest.mark.parametrize("ideal", [False, True])
@pytest.mark.parametrize(("name", "options", "edit", "told"), BAD, ids=[told[:40] for *_, told in BAD])
def test_a_bench_file_that_makes_no_sense_is_refused_in_one_line(
    bench_of: Callable[..., Any], name: str, options: dict[str, Any], edit: Edit, told: str, ideal: bool
) -> None:
    with pytest.raises(BenchFileError, match=told) as caught:
        bench_of(name, edit=edit, ideal=ideal, **options)
    assert str(caught.value).startswith("bench0.toml: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_port_is_named_with_what_it_needs(bench_of: Callable[..., Any]) -> None:
    def edit(text: str) -> str:
        start = text.index("[ports.activation]")
        return text[:start] + text[text.index("[ports.hidden]") :]

    with pytest.raises(BenchFileError, match=r"ports.activation: missing; a pt chip of 9-4-3 neurons needs it, with 4096 channels"):
        bench_of("pt_chip", edit=edit)


def test_a_parameter_port_in_another_unit_than_the_curves_is_refused(bench_of: Callable[..., Any]) -> None:
    bench = bench_of("mzi_chip", edit=without("[simulation]", '[nominal.heater]\ndrive = "W"\n\n[simulation]'))
    with pytest.raises(ProcedureError, match="heaters is set in V, but the nominal curves of this chip's parameters are in W"):
        OnChip.of(ChipOptics.of(bench.file), bench.specs, Slots(1e-6, 0, 6))


def test_limits_that_leave_nothing_are_refused_by_the_parameters_name(bench_of: Callable[..., Any]) -> None:
    bench = bench_of("mzi_chip")
    optics = ChipOptics.of(bench.file)
    low = np.full(optics.model.count, -1.0)
    low[40] = 4.0
    with pytest.raises(ProcedureError, match=r"parameter 1b/c0/i0 has no range: the limits of heaters leave 4 to "):
        OnChip.of(optics, bench.specs, Slots(1e-6, 0, 6), (low, low + 9))


def test_images_and_error_light_at_once_are_refused(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("mzi_chip", monitors=True)

    def both() -> Any:
        yield from rig.objective.beams(rig.theta, {"error": np.zeros((6, 7))}, True, ("monitors",))

    with pytest.raises(LabonnError, match="images and light from behind at once; send them one after the other"):
        rig.run(both())


def test_a_table_that_is_not_settings_of_one_mini_batch_is_refused(rig_of: Callable[..., Any]) -> None:
    rig = rig_of("pt_chip")
    table = rig.objective._table(np.repeat(rig.theta[None], 2, axis=0), ("output",))
    shifted = dict(table.orders) | {"input": np.array([0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 0])}
    with pytest.raises(LabonnError, match="input does not repeat itself every 6 shots, as gain does"):
        rig.bench.play(replace(table, orders=shifted))
