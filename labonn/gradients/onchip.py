"""A chip on a bench, as gradient methods see it: parameters in, losses of a mini-batch out; all by shot tables."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from labonn.banks import Bank, Ints
from labonn.channels import ChannelSpec, Floats
from labonn.chips import ChipOptics
from labonn.errors import ProcedureError, ReadingError
from labonn.gradients.objective import Slots
from labonn.gradients.settings import driven, parts_of
from labonn.shots import Readings, ShotTable

Outputs = Generator[ShotTable, Readings, Floats]
LEAD_TAUS = 12.0  # lead-in of a table: what is left of the way from cold is e^-12


@dataclass
class OnChip:
    """The mini-batch's loss as a function of the chip's parameters (labonn.gradients.Objective).

    Attributes:
        optics: the believed chip. specs: the bench's limits. slots: shots of one setting.
        lower, upper: (P,) range of the parameters: the tightest of instruments, bench file and what the training allows.
        rows: (B,) images of the input memory. labels: (B,) their classes.
        dark: port -> (D,) volts without light. dtype: of banks; float64 where the converters carry it.
        images_shown: (n, N0) fields of all images in the input memory.
        settings, shots, tables: played so far, the baselines of the gradient methods included.
    """

    optics: ChipOptics
    specs: Mapping[str, ChannelSpec]
    slots: Slots
    lower: Floats
    upper: Floats
    unsaved: ClassVar[tuple[str, ...]] = ("_orders",)  # made again when they are wanted
    rows: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    labels: Ints = field(default_factory=lambda: np.zeros(1, np.int64))
    dark: dict[str, Floats] = field(default_factory=dict)
    dtype: type = np.float32
    images_shown: Floats = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    settings: int = 0
    shots: int = 0
    tables: int = 0
    _orders: dict[tuple[int, int, int], tuple[Ints, Ints]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, optics: ChipOptics, specs: Mapping[str, ChannelSpec], slots: Slots, limits: tuple[Floats, Floats] | None = None) -> OnChip:
        """With the parameter range that instruments and bench file leave, tightened by `limits` (lower (P,), upper (P,)).

        Raises:
            ProcedureError: nothing is left of the range of a parameter, or the port's unit is not that of the believed curves.
        """
        spec = specs[optics.port]
        if spec.unit != optics.unit:
            told = f"but the nominal curves of this chip's parameters are in {optics.unit}"
            raise ProcedureError(f"{optics.port} is set in {spec.unit}, {told}")
        lower, upper = optics.reach(spec.lower, spec.upper)
        if limits is not None:
            lower, upper = np.maximum(lower, limits[0]), np.minimum(upper, limits[1])
        if not np.all(lower <= upper):
            i = int(np.argmin(lower <= upper))
            told = f"the limits of {optics.port} leave {lower[i]:g} to {upper[i]:g}"
            raise ProcedureError(f"parameter {optics.model.names[i]} has no range: {told}")
        return cls(optics, specs, slots, lower, upper)

    @property
    def signals(self) -> tuple[str, ...]:
        """Detector ports that the bench has."""
        return tuple(port for port in ("hidden", "output", "monitors", "backward") if port in self.specs)

    @property
    def smallest_step(self) -> Floats:
        """(P,) change of a parameter in the middle of its range by one code of its converter; 0 where it takes floats."""
        step = self.specs[self.optics.port].step
        driven = self.optics.drive(0.5 * (self.lower + self.upper))
        return np.abs(self.optics.curves.theta(driven + step) - self.optics.curves.theta(driven))

    def show(self, rows: Ints, labels: Ints) -> None:
        """The mini-batch of the next evaluations."""
        self.rows, self.labels = rows, labels
        self.slots = replace(self.slots, shots=len(rows))

    def evaluate(self, settings: Bank) -> Outputs:
        """(S, B) loss of every image at every setting; `settings` is a bank of parameters."""
        outputs = yield from self.outputs(settings)
        return self.optics.loss(outputs, self.labels)

    def outputs(self, settings: Bank) -> Outputs:
        """(S, B, N) output fields (powers, where the chip's outputs are read by intensity) at every setting."""
        parts = []
        for part in self._parts(settings):
            if self.optics.design.activation == "host":
                hidden = yield self._table(part, ("hidden",))
                raised = self._fields(hidden, "hidden", part.shape[0]).reshape(-1, self.optics.model.sizes[1])
                readings = yield self._second_table(part, raised)
            else:
                readings = yield self._table(part, ("output",))
            parts.append(self._fields(readings, "output", part.shape[0]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def traced(self, theta: Floats) -> Generator[ShotTable, Readings, tuple[Floats, Floats]]:
        """(hidden fields (B, N1), outputs (B, N2)) as measured at one setting."""
        bank = np.asarray(theta, np.float64)[None, :]
        if self.optics.design.activation == "host":
            first = yield self._table(bank, ("hidden",))
            hidden = self._fields(first, "hidden", 1)
            readings = yield self._second_table(bank, hidden[0])
        else:
            readings = yield self._table(bank, ("hidden", "output"))
            hidden = self._fields(readings, "hidden", 1)
        return hidden[0], self._fields(readings, "output", 1)[0]

    def beams(self, theta: Floats, beams: Mapping[str, Floats], images: bool, read: tuple[str, ...]) -> Generator[ShotTable, Readings, Any]:
        """port -> (B, D) float64 fields (powers at monitors), one shot an image, at one setting.

        Args:
            beams: port -> (B, n) fields that are sent in beside. images: whether the images' light is on.
        """
        count = len(self.rows)
        each = np.concatenate([np.zeros(self._lead(self.slots.dwell_s), np.int64), np.arange(count)])
        still = np.zeros(len(each), np.int64)
        banks: dict[str, Bank] = {self.optics.port: driven(self.optics, np.asarray(theta, np.float64)[None, :], self.dtype)}
        banks |= {port: self.optics.modulator.volts(fields.astype(self.dtype)) for port, fields in beams.items()}
        orders = {self.optics.port: still} | dict.fromkeys(beams, each)
        if images:
            orders |= {"input": self.rows[each], "activation": still}
        self._count(1, len(each))
        readings = yield ShotTable(banks, orders, self.slots.dwell_s, read)
        found = {}
        for port in read:
            self._check_numbers(port, readings[port])
            volts = readings[port][-count:].astype(np.float64) - self.dark.get(port, np.zeros(1))
            found[port] = volts / self.optics.volts_per_field(port)
        return found

    def images(self, theta: Floats, rows: Ints, chunk: int = 16384) -> Outputs:
        """(len(rows), N) outputs for many images at one setting."""
        before, parts = (self.rows, self.labels), []
        for start in range(0, len(rows), chunk):
            self.show(rows[start : start + chunk], np.zeros(0, np.int64))
            parts.append((yield from self.outputs(np.asarray(theta, np.float64)[None, :]))[0])
        self.show(*before)
        return np.concatenate(parts)

    def _parts(self, settings: Bank) -> Iterator[Bank]:
        """As many settings as memories and records hold at once; a sequenced port that goes dark in between starts cold again."""
        slots, host = self.slots, self.optics.design.activation == "host"
        record = min(self.specs[port].depth for port in (("hidden", "output") if host else ("output",)))
        most = max(1, record // slots.length - self._lead(slots.length_s))
        if self.specs[self.optics.port].depth > 1:
            most = min(most, self.specs[self.optics.port].depth)
        if host:
            most = max(1, min(most, self.specs["reinject"].depth // slots.shots))
        return parts_of(settings, most)

    def _count(self, settings: int, shots: int) -> None:
        self.settings, self.shots, self.tables = self.settings + settings, self.shots + shots, self.tables + 1

    @property
    def played(self) -> Ints:
        """(3,) settings, shots and tables so far."""
        return np.array([self.settings, self.shots, self.tables])

    def _lead(self, length_s: float) -> int:
        """Times `length_s` to be played before the first setting, because a sequenced port starts from zero."""
        tau_s = max(self.slots.tau_s, self.optics.lag_s)
        if self.specs[self.optics.port].depth == 1 or not tau_s:
            return 0
        return int(np.ceil(LEAD_TAUS * tau_s / length_s))

    def _table(self, settings: Bank, read: tuple[str, ...]) -> ShotTable:
        shown, still = self._shown(settings.shape[0])
        slot = np.concatenate([np.repeat(self.rows[:1], self.slots.settle), self.rows])
        orders = {self.optics.port: shown, "input": np.tile(slot.astype("<u4"), len(shown) // self.slots.length)}
        banks: dict[str, Bank] = {self.optics.port: driven(self.optics, settings, self.dtype)}
        if self.optics.design.activation == "board":
            orders["activation"] = still
        self._count(settings.shape[0], len(shown))
        return ShotTable(banks, orders, self.slots.dwell_s, read)

    def _second_table(self, settings: Bank, hidden: Floats) -> ShotTable:
        """What the host makes of the hidden fields goes back in: one row a shot, the first of a slot again while it settles."""
        count, batch = settings.shape[0], self.slots.shots
        volts: Floats = self.optics.reinjected(hidden).astype(self.dtype)
        inside = np.concatenate([np.zeros(self.slots.settle, np.int64), np.arange(batch)])
        slots = np.concatenate([np.zeros(self._lead(self.slots.length_s), np.int64), np.arange(count)])
        order = (batch * slots[:, None] + inside[None, :]).ravel()
        shown, _ = self._shown(count)
        self._count(0, len(shown))
        banks = {self.optics.port: driven(self.optics, settings, self.dtype), "reinject": volts}
        return ShotTable(banks, {self.optics.port: shown, "reinject": order}, self.slots.dwell_s, ("output",))

    def _shown(self, count: int) -> tuple[Ints, Ints]:
        """Orders of the parameter port and of a port that stands still; made once, tables share them."""
        lead = self._lead(self.slots.length_s)
        key = (count, self.slots.length, lead)
        if key not in self._orders:
            if len(self._orders) > 16:
                self._orders.clear()
            slots = np.concatenate([np.zeros(lead, "<u4"), np.arange(count, dtype="<u4")])
            shown = np.repeat(slots, self.slots.length)
            self._orders[key] = shown, np.zeros_like(shown)
        return self._orders[key]

    def _fields(self, readings: Readings, port: str, count: int) -> Floats:
        """(count, B, D) fields of the recorded shots; those of lead-in and settling are left out."""
        volts = readings[port]
        self._check_numbers(port, volts)
        slots = volts.reshape(-1, self.slots.length, volts.shape[1])[-count:, self.slots.settle :]
        fields = slots - self.dark[port].astype(slots.dtype) if port in self.dark else slots
        return fields * fields.dtype.type(1 / self.optics.volts_per_field(port))

    def _check_numbers(self, port: str, volts: Floats) -> None:
        """Raise ReadingError for a reading that is not a number."""
        if not np.isfinite(volts.sum()):
            bad = np.argwhere(~np.isfinite(volts))
            if not len(bad):
                return  # the sum of large numbers
            shot, channel = (int(index) for index in bad[0])
            slot = shot // self.slots.length - self._lead(self.slots.length_s)
            where = f"{port}/{self.specs[port].names[channel]}"
            told = f"reads {volts[shot, channel]} in shot {shot} of the table (setting {slot}); {len(bad)} readings do"
            raise ReadingError(f"{where}: {told}")
