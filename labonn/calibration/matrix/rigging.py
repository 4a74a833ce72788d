"""Matrices that a bench can show by light of its own: the first SLM of a vapour-cell bench, the layers of a chip."""

from __future__ import annotations

import numpy as np

from labonn.bench import Bench
from labonn.calibration.matrix.sweep import MatrixSweep
from labonn.calibration.rigging import PEAK, amplifiers
from labonn.channels import Floats
from labonn.chips import ChipOptics
from labonn.errors import ProcedureError
from labonn.layers import layers_of
from labonn.optics import Optics

SHARES = {"pt": 0.5, "rotation": 0.9, "mzi": 0.9}  # of the range, from which parameters are drawn; as for a training


def matrix_sweep(bench: Bench, layer: int, level: float | None, dwell_s: float, seed: int) -> MatrixSweep:
    """Random weights, as the seed has them, on a layer of the bench.

    Args:
        level: field of a beam, 0 to 1; None: as much as the detectors can read, as believed.

    Raises:
        ProcedureError: no such bench, or a layer whose light is not linear from its beams to its detectors.
    """
    if "weights1" in bench.ports:
        return _vapour(bench, layer, level, dwell_s, seed)
    if "chip" in bench.file.nominal:
        return _chip(bench, layer, level, dwell_s, seed)
    raise ProcedureError(f"{bench.file.name}: neither weights1 (a vapour-cell bench) nor [nominal.chip]: there is no matrix to measure")


def _vapour(bench: Bench, layer: int, level: float | None, dwell_s: float, seed: int) -> MatrixSweep:
    """Beams of the input through the first SLM to the taps before the first cell."""
    layers, optics = layers_of(bench.ports, bench.specs, bench.file.name), Optics.of(bench.file)
    if layer != 1:
        raise ProcedureError(f"--layer {layer}: on a vapour-cell bench, only beams of layer 1 come from modulators without a cell between")
    inner, (rows, beams) = bool(layers.hidden), (layers.sizes[1], layers.sizes[0])
    detector = "forward_in" if inner else "output"
    per_field = optics.detectors.forward if inner else optics.detectors.output
    full = np.asarray(bench.specs[detector].upper)[:rows]
    fields = np.random.default_rng([seed, rows, beams]).uniform(-1, 1, (1, rows * beams)).astype(np.float32)
    shown = np.asarray(bench.ports["weights1"].shown(fields), np.float64).reshape(rows, beams)
    gain = amplifiers(bench.specs, optics, 1.0)  # transparent: with gain or loss it would saturate, and not be linear
    believed = float(np.asarray(optics.amplifier.amplitude(gain))[0]) * shown
    level = level or _level(believed, per_field, full)
    names, held = _names(bench, detector, rows), {"weights1": fields[0], "gain": gain}
    unit, sources = bench.specs[detector].unit, _names(bench, "input", beams)
    return MatrixSweep(
        "weights1", "input", detector, unit, full, believed, per_field, optics.modulator, names, sources, held, level, dwell_s, seed
    )  # fmt: skip


def _chip(bench: Bench, layer: int, level: float | None, dwell_s: float, seed: int) -> MatrixSweep:
    """Beams of a chip's layer to its homodyne detectors: the first from the inputs, the second from what the host sends in again."""
    optics = ChipOptics.of(bench.file)
    source, detector = {1: ("input", "hidden"), 2: ("reinject", "output")}.get(layer, ("", ""))
    if source not in bench.ports or detector not in bench.ports or (layer == 2 and optics.design.readout != "homodyne"):
        told = f"layer 1 wants ports input and hidden, layer 2 reinject and a homodyned output; there are {', '.join(bench.ports)}"
        raise ProcedureError(f"--layer {layer}: {bench.file.name}: {told}")
    limits, model = optics.reach(bench.specs[optics.port].lower, bench.specs[optics.port].upper), optics.model
    theta = model.random(np.random.default_rng([seed, layer]), limits, SHARES[model.coupler.kind])
    if model.coupler.kind != "pt":
        theta = np.where(model.amplifiers, np.clip(0.0, *limits), theta)
    drive: Floats = np.asarray(optics.drive(theta))
    believed = np.asarray(model.weights(theta)[layer - 1].real, np.float64)
    full = np.asarray(bench.specs[detector].upper)[: len(believed)]
    level = level or _level(believed, optics.volts_per_field(detector), full)
    names = _names(bench, detector, len(believed)), _names(bench, source, believed.shape[1])
    return MatrixSweep(
        optics.port, source, detector, bench.specs[detector].unit, full, believed, optics.volts_per_field(detector), optics.modulator,
        *names, {optics.port: drive}, level, dwell_s, seed,
    )  # fmt: skip


def _level(believed: Floats, volts_per_field: float, full: Floats) -> float:
    """The field of beams with which hardly any frame of all of them is beyond the detectors' range, as believed."""
    return min(1.0, float(np.min(full / (PEAK * volts_per_field * np.sqrt(np.square(believed).sum(axis=1))))))


def _names(bench: Bench, port: str, count: int) -> tuple[str, ...]:
    return tuple(str(name) for name in bench.specs[port].names[:count])
