"""A network as a bench shows it: weights as SLM fields times a path gain, images as rows of the input memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labonn.belief import Belief
from labonn.channels import ChannelSpec, Floats
from labonn.errors import ProcedureError
from labonn.layers import Layers
from labonn.optics import Optics
from labonn.shots import Bank, Ints, Readings, ShotTable

HEADROOM = 1.25  # path gain over the largest weight when it is set anew
MOST = 1 - 1e-3  # of the macropixels reach the field that their weight needs, if scales and leaks were measured


@dataclass
class Network:
    """What plans need to know to play a network on a bench.

    Attributes:
        layers, optics: sizes and believed curves. specs: the bench's limits.
        depth: optical depth of all cells (of gain cells their gain factor); 0: they are empty. dwell_s: seconds a shot.
        gains: (L,) path gains: W = gain x SLM field. dtype: float32, or float64 where the converters carry it.
        shown: what the SLM really displays for fields (C,), one function a layer; None: taken as commanded.
        dark: port -> (D,) volts of its detectors without light, subtracted from every reading.
        feedback_level: field of the feedback modulator, 0 to 1: how much of the amplified interference error goes back.
        feedback_zero_v: at which that modulator lets nothing pass, more than is believed of it.
        targets: (classes, N_L) outputs that are wanted; None: 1 for the class, 0 elsewhere.
        belief: what was measured of single channels; None: nothing.
    """

    layers: Layers
    optics: Optics
    specs: Mapping[str, ChannelSpec]
    depth: float = 10.0
    dwell_s: float = 1e-5
    dtype: type = np.float32
    gains: Floats = field(default_factory=lambda: np.ones(0))
    shown: Sequence[Callable[[Floats], Floats]] | None = None
    dark: dict[str, Floats] = field(default_factory=dict)
    feedback_level: float = 0.05
    feedback_zero_v: float = 0.0
    targets: Floats | None = None
    belief: Belief | None = None
    _feedback: Floats | None = field(default=None, repr=False)

    def fields(self, weights: Sequence[Floats]) -> dict[str, Bank]:
        """Weight banks; weights beyond the path gain are projected to it (on purpose: the optimizer's feasible set; `projected` counts)."""
        banks: dict[str, Bank] = {}
        for port, weight, gain in zip(self.layers.weights(), weights, self.gains, strict=True):
            bank = np.multiply(weight, weight.dtype.type(1 / gain)).reshape(1, -1)
            if self.belief is not None and port in self.belief.macropixels:
                bank = self.belief.macropixels[port].wanted(bank)
            banks[port] = np.clip(bank, -1, 1, out=bank)
        return banks

    def projected(self, weights: Sequence[Floats]) -> int:
        """How many weights are beyond their path gain, so that `fields` shows less than was wanted."""
        return sum(int(np.count_nonzero(np.abs(weight) > gain)) for weight, gain in zip(weights, self.gains, strict=True))

    def displayed(self, weights: Sequence[Floats]) -> list[Floats]:
        """The weights that `fields` puts on the bench: in the SLMs' gray steps."""
        banks = self.fields(weights)
        shown = self.shown or [lambda fields: fields] * self.layers.count
        return [
            (gain * self._arriving(port, np.asarray(show(banks[port]), np.float64))).reshape(weight.shape)  # type: ignore[arg-type]
            for port, weight, gain, show in zip(self.layers.weights(), weights, self.gains, shown, strict=True)
        ]

    def _arriving(self, port: str, shown: Floats) -> Floats:
        known = {} if self.belief is None else self.belief.macropixels
        return known[port].arriving(shown) if port in known else shown

    def _largest(self, port: str, weight: Floats) -> float:
        """The path gain at which a weight matrix just fits the SLM's fields."""
        if self.belief is None or port not in self.belief.macropixels:
            return float(np.abs(weight).max())
        return float(np.quantile(np.abs(self.belief.macropixels[port].wanted(weight.reshape(1, -1))), MOST))

    def fit_gains(self, weights: Sequence[Floats]) -> bool:
        """Choose path gains anew where weights have outgrown theirs or use less than half of it; whether any changed.

        Raises:
            ProcedureError: a weight is beyond what the amplifier reaches at its highest allowed current.
        """
        spec = self.specs["gain"]
        low, high = self.optics.amplifier.amplitude(np.stack([np.maximum(spec.lower, 0), spec.upper])) * self._unit()
        if len(self.gains) != self.layers.count:
            self.gains = np.zeros(self.layers.count)
        changed = False
        for i, weight in enumerate(weights):
            largest = self._largest(self.layers.weights()[i], weight)
            if not 0.5 / HEADROOM * self.gains[i] <= largest <= 0.97 * self.gains[i]:
                if not largest <= high[i]:
                    most = f"the {high[i]:.3g} of gain/{spec.names[i]} at its upper limit"
                    raise ProcedureError(f"weights{i + 1}: a weight of {largest:.3g} needs more than {most}")
                self.gains[i] = np.clip(HEADROOM * largest, low[i], high[i])
                changed = True
        return changed

    def fit_feedback(self, largest: float) -> None:
        """Let an output error as large as `largest` go back as strong as an error beam at full modulation."""
        self.feedback_level = min(1.0, self.optics.probe / (self.optics.feedback * max(largest, 1e-6)))
        self._feedback = None

    def feedback_bank(self) -> Floats:
        """(2, 1) volts of the feedback modulator, for errors of either sign; the same array until the level is fitted anew."""
        if self._feedback is None or self._feedback.dtype != self.dtype:
            self._feedback = self.feedback_volts(np.array([1.0, -1.0]))
        return self._feedback

    def feedback_volts(self, levels: Floats) -> Floats:
        """(n, 1) volts of the feedback modulator for fields of so many feedback levels; beyond its limits the bench refuses them."""
        fields: Floats = (self.feedback_level * np.asarray(levels)).astype(self.dtype)[:, None]
        volts: Floats = self.optics.modulator.volts(fields)
        return volts + volts.dtype.type(self.feedback_zero_v)

    def move_feedback(self, volts: float) -> None:
        """The feedback modulator is dark so many volts above where it was believed to be."""
        self.feedback_zero_v += volts
        self._feedback = None

    def _unit(self) -> Floats:
        """(L,) path gains at an amplitude of 1: the first has the field of an image's white in it."""
        unit = np.ones(self.layers.count)
        if self.belief is not None and self.belief.inputs is not None:
            unit[0] = self.belief.inputs.common
        return unit

    def currents(self) -> Bank:
        """(1, L) amperes for the path gains, in whole steps of the source; the gains become those of the steps."""
        spec = self.specs["gain"]
        step = np.where(spec.step > 0, spec.step, 1e-12)
        current = spec.clip(np.rint(self.optics.amplifier.current(self.gains / self._unit()) / step) * step)
        self.gains = self.optics.amplifier.amplitude(current) * self._unit()
        return current[None, :]

    def temperatures(self) -> Bank:
        """(1, H) oven set points for the optical depth."""
        if self.belief is not None and self.belief.celsius is not None:
            return self.belief.celsius[None, :]
        return np.full((1, len(self.layers.hidden)), self.optics.oven.temperature(self.depth))

    def inputs(self, images: NDArray[np.uint8]) -> Floats:
        """(N, N0) fields of the input beams, believed to be those of the images; `white` for an image's white."""
        fields = np.multiply(images, self.dtype(self.optics.white / 255), dtype=self.dtype)
        if self.belief is not None and self.belief.inputs is not None:
            fields *= self.belief.inputs.reach.astype(self.dtype)
        return np.asarray(fields)

    def forward(self, banks: Mapping[str, Bank], rows: Ints, read: tuple[str, ...]) -> ShotTable:
        """Images `rows` of the input memory through the network; `banks` where weights changed."""
        return ShotTable(banks, {"input": rows}, self.dwell_s, read)

    def outputs(self, readings: Readings) -> Floats:
        """(T, N_L) output fields."""
        return self._fields(readings["output"], self.optics.detectors.output, "output")

    def tapped(self, readings: Readings, port: str) -> list[Floats]:
        """(T, N_l) fields of a tap port, for each cell."""
        backward = port.startswith("backward")
        scale = self.optics.detectors.backward * self.optics.probe if backward else self.optics.detectors.forward
        fields = self._fields(readings[port], scale, port)
        return [fields[:, part] for part in self.layers.taps()]

    def _fields(self, volts: Floats, volts_per_field: float, port: str) -> Floats:
        dark = self.dark.get(port)
        if self.belief is not None and port in self.belief.volts_per_field:
            factor = 1 / (volts_per_field * self.belief.volts_per_field[port])
            return np.asarray((volts if dark is None else volts - dark.astype(volts.dtype)) * factor.astype(volts.dtype))
        fields = volts * volts.dtype.type(1 / volts_per_field) if dark is None else volts - dark.astype(volts.dtype, copy=False)
        if dark is not None:
            fields *= volts.dtype.type(1 / volts_per_field)
        return fields

    def error_volts(self, errors: Floats) -> tuple[Bank, float]:
        """(modulator volts that send `errors` (B, C) backward at full light, the error that full light stands for)."""
        largest = float(np.abs(errors).max()) or 1.0
        return self.optics.modulator.volts(errors * errors.dtype.type(1 / largest)), largest


def image_volts(network: Network, images: NDArray[np.uint8]) -> Floats:
    """(N, N0) modulator volts of uint8 images, 255 = full modulation; by a table of 256 entries."""
    if network.belief is not None and network.belief.inputs is not None:
        return network.belief.inputs.volts(images, network.dtype)
    table = network.optics.modulator.volts(np.linspace(0, 1, 256).astype(network.dtype))
    return np.take(table, images)
