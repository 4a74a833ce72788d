"""From calibrations to what a training believes of a vapour-cell bench, and to the tables of its SLMs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from labonn.belief import Belief, Inputs, Macropixels
from labonn.bench import Bench
from labonn.calibration.calibration import Calibration
from labonn.calibration.ovens.curve import OvenCurve
from labonn.channels import ChannelSpec, Floats
from labonn.layers import Layers
from labonn.optics import Optics

GAINS = ("forward_in", "forward_out", "backward_in", "backward_out", "output")
Found = Mapping[tuple[str, str], Calibration]
Told = Callable[[str], None]


def believed(found: Found, specs: Mapping[str, ChannelSpec], layers: Layers, optics: Optics, depth: float, told: Told) -> Belief:
    """What calibrations say of a bench; what none says is left nominal, and told.

    Args:
        depth: optical depth that the cells are to have. told: takes one line for every kind that is missing.
    """
    belief = Belief()
    if used := found.get(("input", "modulators")):
        belief.inputs = _inputs(used, specs["input"], optics)
        _take(belief, used)
    for port in layers.weights():
        if used := found.get((port, "slm_weights")):
            belief.macropixels[port] = _macropixels(used, layers, port)
            _take(belief, used)
    _detectors(belief, found, specs, optics)
    _cells(belief, found, optics, depth)
    for name in _missing(belief, layers):
        told(name)
    return belief


def _take(belief: Belief, calibration: Calibration) -> None:
    belief.ids[f"{calibration.port} {calibration.kind}"] = calibration.id


def _missing(belief: Belief, layers: Layers) -> list[str]:
    """One line a kind that nothing was found of."""
    panels = [port for port in layers.weights() if port not in belief.macropixels]
    lines = [] if belief.inputs else ["modulators: no calibration; all inputs are believed to be nominal"]
    lines += [f"slm_weights: no calibration of {', '.join(panels)}; their mean response is measured now"] if panels else []
    lines += [] if belief.volts_per_field else ["detectors: no calibration; all gains are believed to be nominal"]
    cells = belief.celsius is not None or not layers.hidden
    lines += [] if cells else ["absorbers, ovens: no calibration; the nominal curve of optical depth is believed"]
    return lines


def _inputs(calibration: Calibration, spec: ChannelSpec, optics: Optics) -> Inputs:
    """Channels that were left out are nominal."""
    v_pi, bias = (np.array(calibration.values(name), np.float64) for name in ("v_pi", "bias"))
    known = np.isfinite(v_pi) & np.isfinite(bias)
    share = np.ones(len(v_pi))
    if "swing" in calibration.coefficients:
        swing = np.where(known, calibration.values("swing"), np.nan)
        share = np.where(known, swing / np.nanmedian(swing), 1.0)
    v_pi = np.where(known, np.where(share < 0, -v_pi, v_pi), optics.modulator.v_pi_v)  # a swing below 0 is light of the other sign
    bias = np.where(known, bias, optics.modulator.bias_v)
    return Inputs.within(v_pi, bias, np.abs(share), np.asarray(spec.lower), np.asarray(spec.upper))


def _macropixels(calibration: Calibration, layers: Layers, port: str) -> Macropixels:
    layer = layers.weights().index(port)
    scale = np.array(calibration.values("scale"), np.float64).reshape(layers.sizes[layer + 1], layers.sizes[layer])
    down, along = (float(leak) for leak in calibration.values("leaks"))
    fields, response = (np.array(calibration.values(name), np.float64) for name in ("commanded", "response"))
    return Macropixels(fields, response, np.where(np.isfinite(scale), scale, 1.0), (down, along))


def _related(gain: Floats, count: int) -> Floats:
    """(D,) gains over their median, the part of the columns that were measured first; 1 where nothing is known."""
    factor = np.ones(count)
    known = np.flatnonzero(np.isfinite(gain))
    factor[known] = gain[known] / np.median(gain[known]) if known.size else 1.0
    return factor


def _detectors(belief: Belief, found: Found, specs: Mapping[str, ChannelSpec], optics: Optics) -> None:
    """Taps before and behind the cells, by what a saturation field gives in them; all others by a calibration of detectors, in relation."""
    for (port, kind), one in found.items():
        if kind == "detectors" and "gain" in one.coefficients and port in GAINS:
            belief.volts_per_field[port] = _related(np.array(one.values("gain"), np.float64), len(specs[port]))
            _take(belief, one)
    used = found.get(("ovens", "absorbers"))
    if used is None:
        return
    for port, name in (("forward_in", "volts_in"), ("forward_out", "volts_out")):
        volts = np.array(used.values(name), np.float64)
        belief.volts_per_field[port] = np.where(np.isfinite(volts), volts, optics.detectors.forward) / optics.detectors.forward
    _take(belief, used)


def _cells(belief: Belief, found: Found, optics: Optics, depth: float) -> None:
    """Temperatures that hold the wanted optical depth: by the ovens' own curve, or by the nominal one through what was measured once."""
    if ovens := found.get(("ovens", "ovens")):
        belief.celsius = OvenCurve.of(ovens).temperature(depth)[0]
        _take(belief, ovens)
        return
    used = found.get(("ovens", "absorbers"))
    if used is None:
        return
    measured, at = (np.array(used.values(name), np.float64) for name in ("optical_depth", "temperature"))
    factor = np.where(np.isfinite(measured), measured / optics.oven.depth_at(at), 1.0)
    belief.celsius = np.array([optics.oven.temperature(depth / one) for one in factor])
    _take(belief, used)


def seen_optics(found: Found, optics: Optics, named: str | None, told: Told) -> Optics:
    """The optics, with the cell model that light obeyed when the cells were calibrated, unless one was `named` by the user."""
    used = found.get(("ovens", "absorbers"))
    cell = str(used.conditions.get("cell", optics.cell)) if used is not None else optics.cell
    if cell == optics.cell:
        return optics
    if named is not None:
        told(f"cells were calibrated as {cell}; {named} is believed, as --cell says")
        return optics
    told(f"cells are believed to be {cell}, as they were calibrated, not {optics.cell}")
    return replace(optics, cell=cell)


def show_as_believed(bench: Bench, belief: Belief) -> None:
    """Give every SLM's driver the response that was measured; from then on it shows the fields that it is told."""
    for port, one in belief.macropixels.items():
        bench.ports[port].correct(one.commanded, one.response)


def show_as_built(bench: Bench, belief: Belief) -> None:
    """The other way round: as a calibration finds the SLMs."""
    for port, one in belief.macropixels.items():
        bench.ports[port].correct(one.response, one.commanded)
