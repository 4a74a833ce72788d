"""How the SLMs of a bench really answer: mean field against commanded field, measured with the bench's own light before a training."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from labonn.absorbers import transmission
from labonn.channels import ChannelSpec, Floats
from labonn.errors import UnknownStateError
from labonn.network import Network
from labonn.shots import Bank, Readings, ShotTable

LEVELS = 33
HARMONICS = 5  # of a response's deviation from what is commanded
FILL = 0.5  # of the detector's range
COARSE = 0.01  # of the light's span: detectors whose steps are larger are given a range that fits
SURE = 3.0  # of the noise of a level, beyond which a deviation is one
WEAK = 10.0  # saturation fields in front of an amplifier: 50 uW, far below what saturates one


def commanded_fields(levels: int = LEVELS) -> Floats:
    """(levels,) fields -1 to 1, equally spaced in phase, where an SLM's codes are."""
    return np.asarray(-np.cos(np.linspace(0, np.pi, levels)))


FitRanges = Callable[[dict[str, Floats]], None]


def measure_responses(
    network: Network, depth: float, fit_ranges: FitRanges | None = None
) -> Generator[ShotTable, Readings, dict[str, Floats]]:
    """The mean field of every SLM for each of `commanded_fields()`, scaled so that its ends are -1 and 1.

    Amplifiers are left where the last SLM needed them.

    Args:
        network: of the bench. depth: optical depth that its cells have now.
        fit_ranges: called with the peaks (D,) volts of a detector port whose steps are too coarse for the light.

    Raises:
        UnknownStateError: hardly any light arrives, so that a response cannot be told from noise.
    """
    responses: dict[str, Floats] = {}
    for layer, port in enumerate(network.layers.weights()):
        responses[port] = yield from _response(network, layer, depth, fit_ranges)
    return responses


def _response(
    network: Network, layer: int, depth: float, fit_ranges: FitRanges | None, shots: int = 32
) -> Generator[ShotTable, Readings, Floats]:
    """One SLM's response, those in front showing 1 in some rows and -1 in the others; levels go up and down again, against drift.

    What counts is the difference between inputs of either sign: weak inputs, set by modulators whose bias is not known yet, may together
    be light of any sign. A deviation that is no larger than one step of the detectors, or than the noise, is none.
    """
    ports, fields = network.layers.weights(), commanded_fields()
    port = "forward_in" if layer < len(network.layers.hidden) else "output"
    inputs = network.layers.sizes[0]
    gains, raised = _path(network, layer, depth)
    currents = network.specs["gain"].clip(network.optics.amplifier.current(gains)[None, :])
    yield ShotTable({"gain": currents}, dwell_s=network.dwell_s, read=())
    banks: dict[str, Bank] = {}
    for name, count, rows, columns in zip(ports, raised, network.layers.sizes[1:], network.layers.sizes, strict=False):
        banks[name] = np.repeat(np.where(np.arange(rows) < count, 1, -1).astype(np.float32), columns)[None, :]
    banks[ports[layer]] = np.repeat(fields.astype(np.float32)[:, None], len(network.specs[ports[layer]]), axis=1)
    both = network.optics.modulator.volts(np.repeat(_part(network) * np.array([[1], [-1]], network.dtype), inputs, axis=1))
    banks["input"] = network.specs["input"].clip(both)  # modulators that make no light of the other sign stay dark
    up_down = np.concatenate([np.arange(LEVELS), np.arange(LEVELS)[::-1]])
    orders = {ports[layer]: np.repeat(up_down, shots), "input": np.tile(np.arange(shots) % 2, 2 * LEVELS)}
    table = ShotTable(banks, orders, network.dwell_s, (port,))
    readings = yield table
    light = _seen(network, readings, port, layer)
    if fit_ranges is not None and _step(network, port, light) > COARSE * float(np.ptp(light)):
        fit_ranges({port: np.abs(readings[port]).max(axis=0)})
        readings = yield table
        light = _seen(network, readings, port, layer)
    signed = light.mean(axis=1, dtype=np.float64).reshape(2 * LEVELS, shots // 2, 2)
    shown = 0.5 * (signed[..., 0] - signed[..., 1])
    mean, noise = shown.mean(axis=1), float(shown.std(axis=1).mean() / np.sqrt(shots // 2))
    response = 0.5 * (mean[:LEVELS] + mean[LEVELS:][::-1])
    span = abs(response[-1] - response[0])
    if not span > 100 * noise or not span > 0:
        raise UnknownStateError(
            f"{ports[layer]}: over the SLM's whole range the light at {port} changes by {span:.3g} saturation fields, "
            f"with a noise of {noise:.3g}; a beam blocked, a laser off, or the wrong monitor?"
        )
    try:
        found = smooth_response(response)
        return found if np.abs(found - fields).max() > max(_step(network, port, light), SURE * noise) / (0.5 * span) else fields
    except UnknownStateError as problem:
        raise UnknownStateError(f"{ports[layer]}: {problem}") from None


def _seen(network: Network, readings: Readings, port: str, layer: int) -> Floats:
    return network.tapped(readings, port)[layer] if port == "forward_in" else network.outputs(readings)


def _step(network: Network, port: str, light: Floats) -> float:
    """Of the detectors, in fields: in the range at opening, or as readings that are nearly the same show it in a narrower one."""
    volts = network.optics.detectors.output if port == "output" else network.optics.detectors.forward
    return min(float(network.specs[port].step.max()) / volts, float(np.diff(np.unique(light)).min(initial=np.inf)))


def response_of(commanded: Floats, harmonics: Floats) -> Floats:
    """Fields of a panel that is to show the phases `commanded` (any shape, 0 to 2 pi) and deviates by `harmonics` (k,) in rad."""
    phase = np.array(commanded, np.float64)
    for k, strength in enumerate(harmonics, start=1):
        if strength:
            phase += strength * np.sin(0.5 * k * np.asarray(commanded))
    return np.asarray(-np.cos(0.5 * phase))


def correct_slms(devices: Mapping[str, Any], specs: Mapping[str, ChannelSpec], responses: Mapping[str, Floats]) -> dict[str, float]:
    """Give every SLM's driver the measured response where it is off by more than half a gray step; largest corrections."""
    fields, corrected = commanded_fields(), {}
    for port, measured in responses.items():
        corrected[port] = round(float(np.abs(measured - fields).max()), 5)
        if corrected[port] > 0.5 * float(specs[port].step.max()):
            devices[port].correct(fields, measured)
    return corrected


def smooth_response(light: Floats, harmonics: int = HARMONICS) -> Floats:
    """The fields that `light` (n,), measured at the commanded phases 0 to 2 pi, stands for: -1 to 1, and smooth.

    Fitted is light = a - b cos(phase / 2), phase = commanded + sum of c_k sin(k commanded / 2), which holds the ends: flicker and drift
    of single levels do not bend the curve.

    Raises:
        UnknownStateError: the light does not rise with the commanded phase, or does not follow such a curve.
    """
    from scipy.optimize import least_squares

    commanded = np.linspace(0, 2 * np.pi, len(light))
    basis = np.sin(np.outer(commanded / 2, np.arange(1, harmonics + 1)))
    middle, half = 0.5 * (light[0] + light[-1]), 0.5 * (light[-1] - light[0])
    if not half > 0:
        raise UnknownStateError(
            f"the SLM's response is not a rising curve: from its first level to its last the light changes by {2 * half:.3g} saturation "
            "fields; are its codes, an SLM in front of it or the detectors turned round?"
        )

    def misfit(parameters: Floats) -> Floats:
        phase = commanded + basis @ parameters[2:]
        return np.asarray(parameters[0] - parameters[1] * np.cos(phase / 2) - light)

    fit = least_squares(misfit, np.array([middle, half, *np.zeros(harmonics)]), loss="soft_l1", f_scale=0.02 * abs(half))
    phase = commanded + basis @ fit.x[2:]
    rms = float(np.sqrt(np.mean(fit.fun**2)) / abs(half))
    if not np.all(np.diff(phase) > 0) or rms > 0.05:
        raise UnknownStateError(
            f"the SLM's response is not a rising curve: rms misfit {rms:.3g} of half its span, which is {half:.3g} saturation fields; does "
            "light saturate a detector or fluctuate? `labonn run calibrate_slm_weights` measures each pixel and says what it finds"
        )
    return np.asarray(-np.cos(phase / 2))


def _path(network: Network, layer: int, depth: float) -> tuple[Floats, list[int]]:
    """(gains (L,), rows at 1 of every SLM in front) for the SLM of `layer`, as believed; inputs as weak as fits the first.

    Light is to be weak in front of every amplifier, and behind the SLM to fill no more than half of the detectors' range. Rows at 1 and
    at -1 interfere behind the next SLM: where the lowest gain is too much, what is left of all of them is as small as it has to be.
    Columns would leave less light of each neuron, of which unequal inputs take a larger part the more neurons there are.
    """
    optics, sizes, spec = network.optics, network.layers.sizes, network.specs["gain"]
    low, high = optics.amplifier.amplitude(np.stack([np.maximum(spec.lower, 0), spec.upper]))
    inner = layer < len(network.layers.hidden)
    port, volts = ("forward_in", optics.detectors.forward) if inner else ("output", optics.detectors.output)
    gains, raised = np.array(low, np.float64), []
    light = np.full(1, optics.white * _part(network) * sizes[0])  # in front of the amplifier
    for index, rows in enumerate(sizes[1 : layer + 1]):
        gains[index] = np.clip(min(1.0, WEAK / (rows * float(light[0]))), low[index], high[index])
        light = light * gains[index]
        light = light * transmission(optics.cell, light, depth)
        part = min(1.0, WEAK / (rows * float(light[0])))
        raised.append(max(round(rows * (1 + part) / 2), rows // 2 + 1))
        light = light * (2 * raised[-1] - rows)
    wanted = FILL * float(network.specs[port].upper.min()) / volts
    gains[layer] = np.clip(min(1.0, wanted / float(light[0])), low[layer], high[layer])
    return gains, raised


def _part(network: Network) -> float:
    """Of full modulation, at which the inputs together are weak light; no less than what the coarsest modulator can make."""
    step_v, v_pi_v = float(network.specs["input"].step.max()), network.optics.modulator.v_pi_v
    return min(1.0, max(WEAK / (network.layers.sizes[0] * network.optics.white), float(np.sin(0.5 * np.pi * min(step_v / v_pi_v, 1)))))
