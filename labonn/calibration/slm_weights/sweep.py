"""The sweep of a panel of macropixels: every macropixel in an order of its own, told apart by codes of the beams that cross it.

The first SLM is crossed forward, from the input beams to the taps in front of the first cell. The others are crossed backward, from the
error beams in front of the output or behind their cell to the taps at the cell before. No cell lies in between, so that neither an
optical depth nor a saturation is taken for the panel's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labonn.bench import Bench
from labonn.calibration.sweeps import FULL, orthogonal_codes
from labonn.channels import ChannelSpec, Floats
from labonn.errors import CalibrationError, ProcedureError
from labonn.layers import Layers, layers_of
from labonn.optics import Optics
from labonn.response import WEAK
from labonn.shots import Readings, ShotTable

PEAK = 5.6  # times the rms of many fields that add up, which hardly any shot exceeds
RMS = np.sqrt(0.5)  # of fields at phases that are spread evenly
LEAST_SHOTS = 256  # a frame
MOST_READ = 1 << 28  # readings of a table


@dataclass(frozen=True)
class PanelSweep:
    """How one SLM is crossed.

    Attributes:
        port, shape: of the SLM, (R, C). beams, channels: port of the beams, and which of its channels cross the panel.
        detector, columns: port of the taps, and which of its columns they are. unit, full_scale: of the detector; (n,).
        forward: whether beams are columns of the panel, and taps its rows. plus, minus: (b,) volts of the beams for either sign.
        held: port -> (n,) values. dwell_s: of a shot.
    """

    port: str
    shape: tuple[int, int]
    beams: str
    channels: slice
    detector: str
    columns: slice
    unit: str
    full_scale: Floats
    forward: bool
    plus: Floats
    minus: Floats
    held: Mapping[str, Floats]
    dwell_s: float

    @property
    def axis(self) -> int:
        """Of (N, R, C) light along which a tap sees: 2 for rows, 1 for columns."""
        return 2 if self.forward else 1

    def codes(self) -> Floats:
        """(beams, M) rows of +1 and -1, with a sign of each beam's own, lest they all meet in the first shot.

        Of all that are orthogonal those that change most often: a step of the panel's flicker looks least like them.
        """
        count = self.shape[1] if self.forward else self.shape[0]
        shots = orthogonal_codes(count).shape[1]
        codes = orthogonal_codes(shots - shots.bit_length())
        changes = np.count_nonzero(np.diff(codes, axis=1), axis=1)
        codes = codes[np.sort(np.argsort(changes)[len(codes) - count :])]
        signs = np.where(np.random.default_rng(count).random(count) < 0.5, -1.0, 1.0)
        return np.asarray(np.tile(codes * signs[:, None], -(-LEAST_SHOTS // codes.shape[1])))

    def table(self, fields: Floats) -> ShotTable:
        """Frames (N, R, C), each crossed by all codes.

        Raises:
            CalibrationError: more readings than a table may have.
        """
        codes, frames = self.codes(), len(fields)
        shots = frames * codes.shape[1]
        if shots * len(self.full_scale) > MOST_READ:
            raise CalibrationError(
                f"{self.port}: {frames} frames are {shots} shots of {len(self.full_scale)} taps; fewer --levels or --passes"
            )
        bank = np.tile(0.5 * (self.plus + self.minus), (codes.shape[1], 1)).astype(np.float32)
        bank[:, self.channels] = np.where(codes.T > 0, self.plus[self.channels], self.minus[self.channels])
        banks: dict[str, Any] = {self.port: fields.reshape(frames, -1).astype(np.float32), self.beams: bank}
        banks |= {port: row[None, :] for port, row in self.held.items()}
        orders = {self.port: np.repeat(np.arange(frames), codes.shape[1]), self.beams: np.tile(np.arange(codes.shape[1]), frames)}
        return ShotTable(banks, orders, self.dwell_s, (self.detector,))

    def seen(self, frames: int, readings: Readings) -> tuple[Floats, NDArray[np.bool_]]:
        """((N, R, C) volts of every macropixel's light, half of the swing from +1 to -1; (taps,) which saturated)."""
        volts = readings[self.detector][:, self.columns]
        saturated = np.abs(volts).max(axis=0) >= FULL * self.full_scale
        codes = self.codes()
        # codes (b, M) and readings (N, M, t)
        light = np.matmul(codes.astype(np.float64), volts.reshape(frames, codes.shape[1], -1).astype(np.float64)) / codes.shape[1]
        return (np.ascontiguousarray(light.transpose(0, 2, 1)) if self.forward else light), saturated

    def where(self, tap: int) -> str:
        """A tap by name."""
        return f"{self.detector}/{self.columns.start + tap}"


def panel_sweeps(bench: Bench, dwell_s: float) -> dict[str, PanelSweep]:
    """One for every SLM of a vapour-cell bench, by port.

    Raises:
        ProcedureError: not such a bench.
    """
    layers, optics = layers_of(bench.ports, bench.specs, bench.file.name), Optics.of(bench.file)
    return {port: _sweep(bench.specs, layers, optics, layer, dwell_s) for layer, port in enumerate(layers.weights())}


def _sweep(specs: Mapping[str, ChannelSpec], layers: Layers, optics: Optics, layer: int, dwell_s: float) -> PanelSweep:
    rows, columns = layers.sizes[layer + 1], layers.sizes[layer]
    last, forward = layer == layers.count - 1, layer == 0
    if forward:
        beams, channels, detector, per_beam = "input", slice(0, columns), "forward_in", optics.detectors.forward
        taps = layers.taps()[0] if layers.hidden else slice(0, rows)
        if not layers.hidden:
            detector, per_beam = "output", optics.detectors.output
    else:
        beams, channels = ("error", slice(0, rows)) if last else ("inject", layers.injected()[layer - 1])
        detector, taps, per_beam = "backward_in", layers.taps()[layer - 1], optics.detectors.backward * optics.probe
    spec, full = specs[beams], np.asarray(specs[detector].upper, np.float64)[taps]
    count = columns if forward else rows
    field = min(1.0, WEAK / (RMS * np.sqrt(count) * (1.0 if forward else optics.probe)))
    plus = np.full(len(spec), float(optics.modulator.volts(np.array([field]))[0]))
    minus = 2 * optics.modulator.bias_v - plus
    if np.any(plus > spec.upper) or np.any(minus < spec.lower):
        told = f"a field of {field:.2g} of either sign takes {minus[0]:.3g} to {plus[0]:.3g} V, which is beyond its limits"
        raise ProcedureError(f"{beams}: {told}; the panel cannot be measured with less light")
    wanted = float(full.min()) / (PEAK * per_beam * field * RMS * np.sqrt(count))
    gain = specs["gain"]
    current = float(np.ravel(optics.amplifier.current(np.asarray(min(1.0, wanted))))[0])
    held = {"gain": np.asarray(gain.clip(np.full((1, len(gain)), current))[0])}
    return PanelSweep(
        layers.weights()[layer],
        (rows, columns),
        beams,
        channels,
        detector,
        taps,
        specs[detector].unit,
        full,
        forward,
        plus,
        minus,
        held,
        dwell_s,
    )
