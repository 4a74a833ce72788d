"""The believed chip of a bench file: its design, and nominal curves between parameters and what instruments are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labonn.believed import ChipModel
from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.channels import Floats
from labonn.couplers import KINDS, Coupler
from labonn.curves import AmplifierSection, Heater, PortCurves, Section
from labonn.errors import BenchFileError
from labonn.losses import cross_entropy, cross_entropy_slope
from labonn.optics import CELLS, Modulator

COUPLERS = KINDS
LAYOUTS = ("triangular", "rectangular")
ACTIVATIONS = ("board", "host", "absorber")
READOUTS = ("homodyne", "intensity")


@dataclass(frozen=True)
class ChipDesign:
    """What the chip's mask and its surroundings are: the [nominal.chip] table.

    Attributes:
        coupler: "pt" (gain sections), "rotation" (MZI, one differential phase) or "mzi" (theta and phi). z: kappa z of PT couplers.
        sizes: inputs, hidden neurons, outputs. layout: of the meshes.
        activation: of the hidden neurons. "board": sigmoid, looked up shot by shot by a board of detectors, table and modulators;
            "host": sigmoid, computed by this program and sent in with a second table; "absorber": all-optical saturable absorbers.
        one_sided: only one guide of a PT coupler is pumped, the other passive.
        slope: of the sigmoid, f(z) = 1/(1 + exp(-slope z)). cell, optical_depth: of the absorbers (labonn.absorbers).
        readout: outputs are signed fields ("homodyne") or powers ("intensity"). logit_scale: softmax logits per output field (or power).
        attenuator_gain: fixed amplitude gain a0 before the attenuators of heater chips.
    """

    coupler: str = "pt"
    sizes: tuple[int, int, int] = (49, 20, 10)
    layout: str = "triangular"
    z: float = 1.0
    activation: str = "board"
    one_sided: bool = False
    slope: float = 3.0
    cell: str = "eq4"
    optical_depth: float = 3.0
    readout: str = "homodyne"
    logit_scale: float = 8.0
    attenuator_gain: float = 1.0

    def __post_init__(self) -> None:
        allowed = {"coupler": COUPLERS, "layout": LAYOUTS, "activation": ACTIVATIONS, "readout": READOUTS, "cell": CELLS}
        for name, known in allowed.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r}: allowed are {', '.join(known)}")
        if any(n < 2 for n in self.sizes) or list(self.sizes) != sorted(self.sizes, reverse=True):
            raise ValueError(f"sizes = {list(self.sizes)}: at least 2 each, none larger than the one before")
        for name in ("z", "slope", "optical_depth", "logit_scale", "attenuator_gain"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} = {getattr(self, name)}: must be positive")
        if self.coupler == "mzi" and self.activation == "absorber":
            raise ValueError('activation = "absorber": behind full MZIs its fields are complex, which the believed chip does not know')

    @property
    def described(self) -> str:
        """In words, for messages."""
        return f"a {self.coupler} chip of {'-'.join(map(str, self.sizes))} neurons"


@dataclass(frozen=True)
class ChipDetectors:
    """Volts per field of one, or per power of one for outputs that are read by intensity: the [nominal.detectors] table."""

    hidden: float = 1.8
    output: float = 1.8
    monitors: float = 1.8
    backward: float = 1.8

    def __post_init__(self) -> None:
        if not all(0 < value < np.inf for value in (self.hidden, self.output, self.monitors, self.backward)):
            raise ValueError("volts per field must be positive")


@dataclass(frozen=True)
class Board:
    """The activation board: it looks the volts of its detectors up in a table of `points` from -range_v to range_v."""

    points: int = 4096
    range_v: float = 6.0

    def __post_init__(self) -> None:
        if self.points < 16 or not self.range_v > 0:
            raise ValueError(f"points = {self.points}, range_v = {self.range_v:g}: at least 16, and positive")


@dataclass(frozen=True)
class ChipOptics:
    """All that is believed of a chip bench.

    Attributes:
        design: of the chip. model: what it computes. section, amplifier_section: current curves of PT chips. heater: curve of heater chips.
        modulator: of the inputs and of the re-injection. detectors, board: see there.
    """

    design: ChipDesign = field(default_factory=ChipDesign)
    section: Section = field(default_factory=Section)
    amplifier_section: AmplifierSection = field(default_factory=AmplifierSection)
    heater: Heater = field(default_factory=Heater)
    modulator: Modulator = field(default_factory=Modulator)
    detectors: ChipDetectors = field(default_factory=ChipDetectors)
    board: Board = field(default_factory=Board)

    def __post_init__(self) -> None:
        d = self.design
        model = ChipModel(
            d.sizes, Coupler(d.coupler, d.z, d.one_sided), d.layout, "absorber" if d.activation == "absorber" else "sigmoid", d.cell,
            d.optical_depth, d.attenuator_gain, d.slope, d.readout,
        )  # fmt: skip
        object.__setattr__(self, "model", model)
        pt = d.coupler == "pt"
        curves = PortCurves(self.section if pt else self.heater, self.amplifier_section if pt else self.heater, model.amplifiers)
        object.__setattr__(self, "curves", curves)

    model: ChipModel = field(init=False, repr=False)
    curves: PortCurves = field(init=False, repr=False)

    @classmethod
    def of(cls, file: BenchFile) -> ChipOptics:
        """The [nominal] table of a bench file; what it leaves out has the defaults.

        Raises:
            BenchFileError: unknown keys or wrong values.
        """
        where, table = f"{file.name}: nominal", dict(file.nominal)
        problems = unknown_keys(table, [*PARTS], "nominal.")
        problems += [f"nominal.{key} = {table[key]!r}: a table is wanted" for key in PARTS if not isinstance(table.get(key, {}), dict)]
        if problems:
            raise BenchFileError("\n".join(f"{file.name}: {p}" for p in problems))
        made = {field_: dataclass_from(part, table.get(key, {}), f"{where}.{key}") for key, (field_, part) in PARTS.items()}
        return cls(**made)

    @property
    def port(self) -> str:
        """Name of the port that the parameters are."""
        return "gain" if self.design.coupler == "pt" else "heaters"

    @property
    def unit(self) -> str:
        """Of the parameter port."""
        return "A" if self.design.coupler == "pt" else self.heater.drive

    @property
    def lag_s(self) -> float:
        """Time constant of the parameters; 0 where they follow at once."""
        return 0.0 if self.design.coupler == "pt" else self.heater.tau_s

    @property
    def amplifiers(self) -> Any:
        """(P,) bool, which parameters are amplifiers or attenuators."""
        return self.model.amplifiers

    def drive(self, theta: Floats, channels: Any = None) -> Floats:
        """Amperes or volts for parameters (…, P), or for parameters of the named `channels` (same shape); NaN where no drive gives them."""
        return self.curves.driven(np.asarray(theta, np.float64), channels)

    def reach(self, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """(P,) lowest and highest parameters inside the limits of the port; a hair inside, so that rounding never leaves them."""
        low, high = self.curves.theta(np.maximum(lower, 0)), self.curves.theta(upper)
        hair = 1e-6 * (high - low)
        return low + hair, high - hair

    def channels(self) -> dict[str, int]:
        """Channels of every port that a bench of this chip can have."""
        n0, n1, n2 = self.design.sizes
        beams = {"input": n0, "activation": self.board.points, "reinject": n1, "quadrature": n0 + n1, "error": n1 + n2}
        taps = {"hidden": n1, "output": n2, "monitors": 2 * self.model.couplers, "backward": n0 + n1}
        return {self.port: self.model.count} | beams | taps

    def volts_per_field(self, port: str) -> float:
        """Volts of a field of one at a detector port."""
        return float(getattr(self.detectors, port))

    def reinjected(self, hidden: Floats) -> Floats:
        """Volts of the re-injection modulators for hidden fields."""
        return self.modulator.volts(np.asarray(self.model.activate(hidden)))

    def board_table(self) -> Floats:
        """(1, points) output volts of the activation board for input volts from -range_v to range_v."""
        volts = np.linspace(-self.board.range_v, self.board.range_v, self.board.points)
        return self.reinjected(volts / self.detectors.hidden)[None, :]

    def loss(self, outputs: Floats, labels: Any) -> Floats:
        """(…, B) cross-entropy of outputs (…, B, N)."""
        return cross_entropy(outputs, labels, self.design.logit_scale)

    def slope(self, outputs: Floats, labels: Any) -> Floats:
        """(…, B, N) derivative of every image's loss by its outputs."""
        return cross_entropy_slope(np.asarray(outputs, np.float64), labels, self.design.logit_scale)

    def couplers_of(self, mesh: str) -> slice:
        """The couplers of a mesh ("1a", "1b", "2a", "2b") among all couplers, in the order of the light."""
        counts = [self.model.meshes[name].count for name in ("1a", "1b", "2a", "2b")]
        place = ("1a", "1b", "2a", "2b").index(mesh)
        return slice(sum(counts[:place]), sum(counts[: place + 1]))

    def response(self, theta: Floats, inputs: Floats, low: Floats, high: Floats, draws: int = 16) -> Floats:
        """(P,) rms change of the believed outputs of images (B, N0) when a parameter goes from `low` to `high`, to first order."""
        rng, shape = np.random.default_rng(0), (len(inputs), self.design.sizes[2])
        squares = np.zeros(len(theta))
        for _ in range(draws):  # signs make the squares of all outputs add up, whatever their number
            signs = rng.choice(np.array([-1.0, 1.0]), shape)
            squares += self.model.gradient(np.asarray(theta, np.float64), inputs, signs) ** 2
        return np.asarray(np.sqrt(squares / draws / signs.size) * (high - low))


PARTS: dict[str, tuple[str, Any]] = {
    "chip": ("design", ChipDesign), "section": ("section", Section), "amplifier_section": ("amplifier_section", AmplifierSection),
    "heater": ("heater", Heater), "modulator": ("modulator", Modulator), "detectors": ("detectors", ChipDetectors),
    "board": ("board", Board),
}  # fmt: skip
