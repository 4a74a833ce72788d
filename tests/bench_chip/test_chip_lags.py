"""Settings that follow one another before heaters have settled: against integrating the lag shot by shot, and what methods make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labonn.gradients import Slots, central, lagged, walsh
from labonn.shots import Readings
from sim_backends.benches.chip_light import Beams
from sim_backends.physics.drives import Dense

Array = NDArray[Any]
TAU_S = 1.2e-5
LAG = {"heaters": {"tau_s": TAU_S, "crosstalk": 0.02}}


def integrated(rig: Any, bank: Array, cold: bool) -> dict[str, Array]:
    """(S, B, D) volts from every shot's own light, heaters moving on from shot to shot (dx/dt = (target - x)/tau)."""
    light, slots = rig.simulated.light, rig.objective.slots
    targets = light.actuators.dense(rig.optics.drive(bank), 0.0).values
    state = light.actuators.dense(np.zeros((1, bank.shape[1])), 0.0).values[0] if cold else targets[0]
    shots, kept = [], np.exp(-slots.dwell_s / TAU_S)
    for target in np.repeat(targets, slots.length, axis=0):
        state = target + kept * (state - target)
        shots.append(state)
    volts = rig.optics.modulator.volts(rig.images[np.r_[np.zeros(slots.settle, int), : slots.shots]])
    table = rig.optics.board_table()[0]
    beams = Beams(volts, None, table, slots.dwell_s, True, slots.length)
    every = light.play(Dense(np.array(shots)), beams, np.zeros(len(shots)), False)
    at = np.arange(len(shots))
    return {port: seen[at, at % slots.length].reshape(len(bank), slots.length, -1) for port, seen in every.items()}


def played(rig: Any, bank: Array) -> dict[str, Array]:
    """(S, B, D) volts of the bench, lead-in left out."""
    found: list[Readings] = []

    def listening() -> Any:
        found.append((yield rig.objective._table(bank, ("hidden", "output"))))

    rig.run(listening())
    length = rig.objective.slots.length
    return {port: volts.reshape(-1, length, volts.shape[1])[-len(bank) :] for port, volts in found[0].items()}


def walk(rig: Any, step: float, count: int = 24) -> Array:
    signs = np.random.default_rng(5).choice([-1.0, 1.0], (count, len(rig.theta)))
    return np.asarray(0.6 * rig.theta + step * signs)


@pytest.mark.parametrize("slot_taus", [0.7, 2.0, 12.0])
def test_readings_on_the_way_are_those_of_a_shot_by_shot_integration_to_second_order(
    rig_of: Callable[..., Any], perfect: Callable[..., Any], slot_taus: float
) -> None:
    rig = rig_of("mzi_chip", slots=Slots(slot_taus * TAU_S / 8, 2, 6, TAU_S), **perfect(**LAG))
    errors, sizes = [], []
    for step in (0.01, 0.005):
        bank = walk(rig, step)
        wanted, found = integrated(rig, bank, cold=False), played(rig, bank)
        settled = played(rig_of("mzi_chip", slots=rig.objective.slots, **perfect(heaters={"crosstalk": 0.02})), bank)
        errors.append(max(float(np.std((found[port] - wanted[port])[2:])) for port in wanted))
        sizes.append(max(float(np.std((settled[port] - wanted[port])[2:])) for port in wanted))
    assert errors[0] < 0.05 * sizes[0]
    assert 3.5 < errors[0] / errors[1] < 4.5


def test_a_lead_in_spares_the_first_setting_the_cold_start(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    slots = Slots(TAU_S / 4, 0, 6, TAU_S)
    rig = rig_of("mzi_chip", slots=slots, **perfect(heaters={"tau_s": TAU_S}))
    shots = rig.bench.shots
    outputs = rig.run(rig.objective.outputs(0.6 * np.repeat(rig.theta[None], 3, axis=0)))
    assert rig.bench.shots - shots == (3 + 8) * 6  # 12 tau are 8 slots
    rig.theta *= 0.6
    np.testing.assert_allclose(outputs, np.repeat(rig.believed().outputs[None], 3, axis=0), atol=2e-5)
    object.__setattr__(rig.optics.heater, "tau_s", 0.0)  # without the belief in a lag
    rig.objective.slots = Slots(TAU_S / 4, 0, 6)
    cold = rig.run(rig.objective.outputs(np.repeat(rig.theta[None], 3, axis=0)))
    assert np.abs(cold[0] - rig.believed().outputs).max() > 0.1


def test_settle_shots_make_central_differences_unbiased(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    errors = {}
    for settle in (0, 3, 16):
        rig = rig_of("mzi_chip", slots=Slots(TAU_S / 2, settle, 6, TAU_S), share=0.5, **perfect(heaters={"tau_s": TAU_S}))
        errors[settle] = rig.error(rig.run(central(rig.objective, rig.theta, 0.01)).gradient)
    assert errors[0] > 0.1
    assert errors[3] < 0.5 * errors[0]
    assert errors[16] < 3e-4


def test_in_slots_of_two_tau_naive_codes_are_18_percent_low_and_lagged_ones_right(
    rig_of: Callable[..., Any], perfect: Callable[..., Any]
) -> None:
    """Images are recorded at the end, when 14 % of a step are still to come; half of the steps go from a code to its opposite."""
    rig = rig_of("mzi_chip", slots=Slots(TAU_S / 50, 94, 6, TAU_S), share=0.5, **perfect(heaters={"tau_s": TAU_S}))
    naive, right, untold = (
        rig.run(plan(rig.objective, rig.theta, 4e-3, rows=256, rng=np.random.default_rng(6), **how)).gradient
        for plan, how in ((walsh, {}), (lagged, {}), (lagged, {"tau_s": 0.0}))
    )
    exact = rig.analytic()
    low = [1 - estimate @ exact / (exact @ exact) for estimate in (naive, untold, right)]
    print(low, rig.error(right), rig.error(naive))
    assert low[0] == pytest.approx(0.18, abs=0.02)
    assert low[1] == pytest.approx(0.18, abs=0.02)
    assert abs(low[2]) < 1e-3
    assert rig.error(right) < 2e-3


def test_the_hosts_second_table_lags_by_its_heaters_alone(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    """What is sent in again follows at once: with every parameter of layer 2 at rest, outputs have no lag at all."""
    slots = Slots(TAU_S / 4, 0, 6, TAU_S)
    rig = rig_of("mzi_chip", activation="host", slots=slots, **perfect(heaters={"tau_s": TAU_S}))
    bank = walk(rig, 0.1, 6)
    bank[:, rig.optics.model.slices["2a"].start :] = 0.6 * rig.theta[rig.optics.model.slices["2a"].start :]
    hidden = np.random.default_rng(3).normal(0, 0.5, (6 * 6, 4))
    outputs = []

    def second() -> Any:
        outputs.append((yield rig.objective._second_table(bank, hidden)))

    rig.run(second())
    volts = outputs[0]["output"].reshape(-1, 6, 3)[-6:]
    second_layer = rig.optics.model.weights(bank[0])[1]
    activated = rig.optics.model.activate(hidden).reshape(6, 6, 4)
    np.testing.assert_allclose(volts / 1.8, activated @ second_layer.T, atol=2e-5)


def test_held_heaters_lag_from_the_moment_of_each_set(rig_of: Callable[..., Any], perfect: Callable[..., Any]) -> None:
    """Against the exponential of every set in turn, at the moments at which the source was written to and the trigger fired."""
    tau_s, channel = 4e-3, 0
    rig = rig_of("mzi_chip_software", **perfect(heaters={"tau_s": tau_s}))
    bank = 0.6 * np.repeat(rig.theta[None], 5, axis=0)
    bank[[0, 2, 3], channel] += [0.02, 0.03, -0.01]
    rig.run(rig.objective.outputs(0.6 * rig.theta[None]))
    rig.bench.clock.wait(1.0)
    source, note = rig.emulators("heaters")[0], rig.simulated._note
    feed, written, fired = source.feed, [], []

    def fed(data: bytes) -> bytes:
        written.append(rig.bench.clock.now())
        return bytes(feed(data))

    def noted(*given: Any) -> None:
        fired.append((rig.bench.clock.now(), written[-1]))
        note(*given)

    source.feed, rig.simulated._note = fed, noted
    outputs = rig.run(rig.objective.outputs(bank))
    state, since = 0.6 * rig.theta, 0.0
    for target, seen, (now, set_s), (_, next_s) in zip(bank, outputs, fired, [*fired[1:], (0.0, np.inf)], strict=True):
        assert set_s > since
        on_the_way = target + (state - target) * np.exp(-(now + 1e-6 - set_s) / tau_s)
        believed = rig.optics.model.forward(on_the_way, rig.images).outputs[0]
        settled = rig.optics.model.forward(target, rig.images).outputs[0]
        assert np.abs(seen[0] - believed).max() < 0.1 * np.abs(settled - believed).max() + 3e-4  # codes of the source
        state, since = target + (state - target) * np.exp(-(next_s - set_s) / tau_s), set_s
