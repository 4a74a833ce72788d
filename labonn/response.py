"""How the SLMs of a bench really answer: mean field against commanded field, measured with the bench's own light before a training."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from labonn.absorbers import transmission
from labonn.channels import Floats
from labonn.errors import UnknownStateError
from labonn.network import Network
from labonn.shots import Bank, Readings, ShotTable

LEVELS = 33
FILL = 0.5  # of the detector's range


def commanded_fields(levels: int = LEVELS) -> Floats:
    """(levels,) fields -1 to 1, equally spaced in phase, where an SLM's codes are."""
    return np.asarray(-np.cos(np.linspace(0, np.pi, levels)))


def measure_responses(network: Network) -> Generator[ShotTable, Readings, dict[str, Floats]]:
    """The mean field of every SLM for each of `commanded_fields()`, scaled so that its ends are -1 and 1.

    Amplifiers are left where the last SLM needed them.

    Raises:
        UnknownStateError: hardly any light arrives, so that a response cannot be told from noise.
    """
    responses: dict[str, Floats] = {}
    for layer, port in enumerate(network.layers.weights()):
        responses[port] = yield from _response(network, layer)
    return responses


def _response(network: Network, layer: int, shots: int = 32) -> Generator[ShotTable, Readings, Floats]:
    """One SLM's response, all SLMs in front of it at their highest field; levels go up and down again, against slow drift."""
    ports, fields = network.layers.weights(), commanded_fields()
    port = "forward_in" if layer < len(network.layers.hidden) else "output"
    gains = _path_gains(network, layer)
    currents = network.specs["gain"].clip(network.optics.amplifier.current(gains)[None, :])
    yield ShotTable({"gain": currents}, dwell_s=network.dwell_s, read=())
    level = _input_level(network, layer, gains, port)
    banks: dict[str, Bank] = {name: np.ones((1, len(network.specs[name])), np.float32) for name in ports[:layer]}
    banks[ports[layer]] = np.repeat(fields.astype(np.float32)[:, None], len(network.specs[ports[layer]]), axis=1)
    banks["input"] = network.optics.modulator.volts(np.full((1, network.layers.sizes[0]), level, network.dtype))
    up_down = np.concatenate([np.arange(LEVELS), np.arange(LEVELS)[::-1]])
    orders = {ports[layer]: np.repeat(up_down, shots), "input": np.zeros(2 * LEVELS * shots, np.int64)}
    readings = yield ShotTable(banks, orders, network.dwell_s, (port,))
    light = network.tapped(readings, port)[layer] if port == "forward_in" else network.outputs(readings)
    shown = light.mean(axis=1, dtype=np.float64).reshape(2 * LEVELS, shots)
    mean, noise = shown.mean(axis=1), float(shown.std(axis=1).mean() / np.sqrt(shots))
    response = 0.5 * (mean[:LEVELS] + mean[LEVELS:][::-1])
    span = abs(response[-1] - response[0])
    if not span > 100 * noise or not span > 0:
        raise UnknownStateError(
            f"{ports[layer]}: over the SLM's whole range the light at {port} changes by {span:.3g} saturation fields, "
            f"with a noise of {noise:.3g}; a beam blocked, a laser off, or the wrong monitor?"
        )
    return smooth_response(response)


def smooth_response(light: Floats, harmonics: int = 5) -> Floats:
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

    def misfit(parameters: Floats) -> Floats:
        phase = commanded + basis @ parameters[2:]
        return np.asarray(parameters[0] - parameters[1] * np.cos(phase / 2) - light)

    fit = least_squares(misfit, np.array([middle, half, *np.zeros(harmonics)]), loss="soft_l1", f_scale=0.02 * abs(half))
    phase = commanded + basis @ fit.x[2:]
    rms = float(np.sqrt(np.mean(fit.fun**2)) / abs(half))
    if half <= 0 or not np.all(np.diff(phase) > 0) or rms > 0.05:
        raise UnknownStateError(
            f"the SLM's response is not a rising curve: rms misfit {rms:.3g} of half its span, which is {half:.3g} saturation fields"
        )
    return np.asarray(-np.cos(phase / 2))


def _path_gains(network: Network, layer: int) -> Floats:
    """(L,) gains at which, as believed, full input light fills half of the detectors' range behind every SLM up to `layer`; others lowest.

    Small layers need that: behind a cell that is not bleached there is next to no light.
    """
    optics, sizes, spec = network.optics, network.layers.sizes, network.specs["gain"]
    low, high = optics.amplifier.amplitude(np.stack([np.maximum(spec.lower, 0), spec.upper]))
    gains, light = np.array(low, np.float64), np.ones(1)
    for index in range(layer + 1):
        inner = index < len(network.layers.hidden)
        port, volts = ("forward_in", optics.detectors.forward) if inner else ("output", optics.detectors.output)
        wanted = FILL * float(network.specs[port].upper.min()) / volts
        gains[index] = np.clip(wanted / (light[0] * sizes[index]), low[index], high[index])
        light = light * (gains[index] * sizes[index])
        light = light * transmission(optics.cell, light, network.depth)
    return gains


def _input_level(network: Network, layer: int, gains: Floats, port: str) -> float:
    """The input field at which, as believed, the light behind `layer` fills half of the detectors' range."""
    optics, sizes = network.optics, network.layers.sizes
    scale = optics.detectors.forward if port == "forward_in" else optics.detectors.output
    levels = np.geomspace(1e-3, 1, 300)
    light = levels
    for index in range(layer + 1):
        light = light * (gains[index] * sizes[index])
        arrived = light
        light = light * transmission(optics.cell, light, network.depth)
    fitting = np.flatnonzero(arrived * scale <= FILL * float(network.specs[port].upper.min()))
    return float(levels[fitting[-1] if fitting.size else 0])
