"""Fast inputs of a Red Pitaya STEMlab 125-14 (or its 4-Input board) as photodetectors, from its SCPI command list (OS 2.00-23 and later).

`ACQ:START` writes a circular memory of 16,384 samples until `ACQ:TRIG:DLY` + 8192 samples after the trigger. `ACQ:TPOS?` is where the
trigger found the pointer, `ACQ:WPOS?` where it ended; `ACQ:SOUR1:DATA:OLD:N? n` gives samples from the oldest on, big-endian in a block.
`OLD` and `OUTPUT` are spelt alike by all servers; `STA:N?` and `SOUR:VOLT?` are not, or answer wrongly in one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from drivers.redpitaya import BUFFER, CLOCK_S, LINK_OPTIONS, RedPitayaLine
from drivers.redpitaya_record import MARGIN, RECORD, Windows, windows
from labonn.channels import ChannelSpec, Floats
from labonn.errors import DesyncError, IdentityError, LimitError, ReadingError, TableError, UnknownStateError
from labonn.links import Link

RANGES_V = {"LV": 1.0, "HV": 20.0}
STARTS = {"now": "ACQ:TRIG NOW", "outputs": "SOUR:TRIG:INT"}
WAITS = {"outputs": "ACQ:TRIG AWG_PE", "external": "ACQ:TRIG EXT_PE"}
POSITIONS = ("ACQ:TRIG:STAT?", "ACQ:TRIG:FILL?", "ACQ:TPOS?", "ACQ:WPOS?")
LOOK_S = 1e-4  # no server answers faster


@dataclass(frozen=True)
class RedPitayaInOptions:
    """Bench-file keys of the inputs.

    Attributes:
        channels: inputs of the board, 2 or 4.
        trigger: "now" (a command starts the record), "outputs" (a command starts both outputs, and they the record, to the clock cycle;
            for a board that both drives and reads) or "external" (a rising edge at DIO0_P does).
        pulse: an output pin ("DIO1_P") that `fire` raises for a moment, for other instruments or this one's trigger input; "" is none.
        settle: fraction of a shot that is not read at its beginning. delay_s: from the trigger to the first shot as the inputs see it.
        wait_s: how long a record may wait for its trigger.
        units: "RAW" (codes; gain and offset of the board are calibration's affair) or "VOLTS" (calibrated by the board; some servers of
            2025 cut those of blocks to whole volts, which is told).
    """

    channels: int = 2
    trigger: str = "now"
    pulse: str = ""
    settle: float = 0.25
    delay_s: float = 0.0
    wait_s: float = 1.0
    units: str = "RAW"

    def __post_init__(self) -> None:
        if self.channels not in (2, 4) or self.units not in ("RAW", "VOLTS") or self.trigger not in ("now", "outputs", "external"):
            given = f"channels = {self.channels}, units = {self.units!r}, trigger = {self.trigger!r}"
            raise ValueError(f'{given}: 2 or 4; "RAW" or "VOLTS"; "now", "outputs" or "external"')
        pins = [f"DIO{n}_{side}" for n in range(8) for side in "PN"]
        if self.pulse not in ("", *pins) or (self.trigger, self.channels) == ("outputs", 4):
            given = f"pulse = {self.pulse!r}, trigger = {self.trigger!r}"
            raise ValueError(f'{given}: "" or "DIO0_N" to "DIO7_P"; a 4-Input board has no outputs')
        if not (0 <= self.settle <= 0.9 and 0 <= self.delay_s < 1 and 0 <= self.wait_s < math.inf):
            given = f"settle = {self.settle:g}, delay_s = {self.delay_s:g}, wait_s = {self.wait_s:g}"
            raise ValueError(f"{given}: 0 to 0.9, 0 to 1, not negative")


class RedPitayaIn:
    """Two inputs (or four), one row of volts a shot; can be the bench's trigger.

    Attributes:
        saturated: samples at an end of the range in the last record.
    """

    Options: ClassVar[type] = RedPitayaInOptions
    kind: ClassVar[str] = "Photodetectors"
    transport: ClassVar[str] = "tcp"
    shares: ClassVar[str] = "redpitaya"
    link_options: ClassVar[dict[str, Any]] = LINK_OPTIONS
    idn: ClassVar[str] = r"REDPITAYA,"

    def __init__(self, link: Link, options: RedPitayaInOptions, port: str) -> None:
        self._line, self._options, self._port = RedPitayaLine(link, port), options, port
        self.identity, board = self._line.identity, self._line.board
        if (has := 4 if "4-INPUT" in board.upper() else 2) != options.channels:
            raise IdentityError(f"{port}: the bench file says channels = {options.channels}; this board ({board}) has {has} inputs")
        self._numbers = range(1, options.channels + 1)
        ranges = self._ranges(self._line.checked((), [f"ACQ:SOUR{n}:GAIN?" for n in self._numbers]))
        names, depth = tuple(f"IN{n}" for n in self._numbers), int((1 - options.settle) * RECORD / 4)
        self.spec = ChannelSpec(names, "V", -ranges, ranges, ranges / (BUFFER // 2), np.asarray(0.0), depth=depth)
        self._windows: Windows | None = None
        self.saturated = 0

    @property
    def full_scale(self) -> Floats:
        """(D,) volts, the ranges taken."""
        return self.spec.upper

    def set_range(self, full_scale_v: float | Floats) -> Floats:
        """Take, channel by channel, 1 V or 20 V, the smaller one that holds `full_scale_v`; its jumpers must be set alike. (D,) volts.

        Raises:
            LimitError: beyond 20 V. UnknownStateError: another range reads back.
        """
        wanted = np.broadcast_to(np.asarray(full_scale_v, np.float64), (len(self.spec),))
        if not (np.all(wanted > 0) and np.all(wanted <= RANGES_V["HV"])):
            wrong = int(np.argmin((wanted > 0) & (wanted <= RANGES_V["HV"])))
            where = f"{self._port}/{self.spec.names[wrong]}"
            raise LimitError(f"{where}: a range of {wanted[wrong]:g} V is not above 0 and up to 20 V (driver)")
        gains = ["LV" if volts <= RANGES_V["LV"] else "HV" for volts in wanted]
        sets = [f"ACQ:SOUR{n}:GAIN {gain}" for n, gain in zip(self._numbers, gains, strict=True)]
        told = self._line.checked(sets, [f"ACQ:SOUR{n}:GAIN?" for n in self._numbers])
        ranges = self._ranges(told)
        if told != gains:
            raise UnknownStateError(f"{self._port}: set to ranges {gains} it reads back {told} ({self.identity})")
        self.spec = replace(self.spec, lower=-ranges, upper=ranges, step=ranges / (BUFFER // 2))
        return ranges

    def arm(self, shots: int, dwell_s: float) -> None:
        """Start the record; it waits for its trigger."""
        self._windows, o = None, self._options
        try:
            plan = windows(shots, dwell_s, o.settle, o.delay_s)
        except ValueError as problem:
            raise LimitError(f"{self._port}: {problem} (driver)") from None
        delay = BUFFER // 2 - MARGIN
        setup = [f"ACQ:DEC {plan.decimation}", "ACQ:AVG ON", "ACQ:DATA:FORMAT BIN", f"ACQ:DATA:UNITS {o.units}", f"ACQ:TRIG:DLY {delay}"]
        pin = [f"DIG:PIN:DIR OUT,{o.pulse}", f"DIG:PIN {o.pulse},0"] if o.pulse else []
        wait = [WAITS[o.trigger]] if o.trigger in WAITS else []
        queries = ("ACQ:DEC?", "ACQ:AVG?", "ACQ:DATA:UNITS?", "ACQ:TRIG:DLY?")
        told = self._line.checked(["ACQ:STOP", *setup, *pin, "ACQ:START", *wait], queries)
        if told != (wanted := [str(plan.decimation), "ON", o.units, str(delay)]):
            raise UnknownStateError(f"{self._port}: set to {wanted} (DEC, AVG, UNITS, DLY) it reads back {told} ({self.identity})")
        self._windows = plan

    def fire(self, shots: int, dwell_s: float) -> None:
        """Trigger the record, and what is wired to the pulse; with trigger = "external" only that."""
        start = [STARTS[self._options.trigger]] if self._options.trigger in STARTS else []
        pulse = [f"DIG:PIN {self._options.pulse},{level}" for level in (1, 0)] if self._options.pulse else []
        if not start and not pulse:
            raise TableError(f'{self._port}: trigger = "external" waits for another instrument; to fire, name a pin by pulse = "DIO1_P"')
        self._line.checked([*start, *pulse])

    def fetch(self) -> Floats:
        """(T, D) volts, the mean of each shot behind its settling."""
        if self._windows is None:
            raise TableError(f"{self._port}: nothing is armed")
        plan = self._windows
        skip = self._filled(plan)
        samples = skip + int(plan.end[-1])
        means, saturated, whole = np.empty((len(plan.first), len(self.spec))), 0, True
        for i, n in enumerate(self._numbers):
            codes = self._codes(f"ACQ:SOUR{n}:DATA:OLD:N? {samples}", samples, float(self.spec.upper[i]))[skip:]
            sums = np.concatenate([[0.0], np.cumsum(codes)])
            means[:, i] = (sums[plan.end] - sums[plan.first]) / (plan.end - plan.first)
            saturated += int(np.count_nonzero((codes >= BUFFER // 2 - 1) | (codes <= -BUFFER // 2)))
            whole = whole and self._options.units == "VOLTS" and not np.any(np.mod(codes * self.spec.step[i], 1.0))
        if whole:
            told = "all samples are whole volts or 0, as a server gives them that cuts them"
            raise ReadingError(f'{self._port}: {told}; set units = "RAW" ({self.identity})')
        self.saturated = saturated
        return means * self.spec.step

    def safe(self) -> None:
        """Forget what was armed."""
        self._windows = None
        self._line.checked(["ACQ:STOP", "ACQ:TRIG DISABLED"])

    def close(self) -> None:
        """Let go of the board."""
        self._line.close()

    def _filled(self, plan: Windows) -> int:
        """Wait for the end of the record; how many of its samples came before the trigger.

        Raises:
            UnknownStateError: no trigger came, or its position does not fit the end.
        """
        record_s = BUFFER * plan.decimation * CLOCK_S
        for _ in range(math.ceil((record_s + self._options.wait_s) / LOOK_S) + 10):
            state, full, *told = self._line.checked((), POSITIONS)
            if state not in ("TD", "WAIT") or full not in ("0", "1"):
                raise DesyncError(f"{self._port}: {state!r} and {full!r} are no states of a trigger and a record")
            if (state, full) == ("TD", "1"):
                at, end = (int(self._line.number(text, 0, BUFFER - 1)) for text in told)
                skip = (at - end - 1 + MARGIN) % BUFFER - MARGIN
                if not 0 <= skip <= 2 * MARGIN:
                    raise UnknownStateError(f"{self._port}: a trigger at {at} and an end at {end} do not fit the record ({self.identity})")
                return skip
        raise UnknownStateError(f"{self._port}: no trigger came, or the record did not end ({self.identity})")

    def _codes(self, query: str, count: int, range_v: float) -> Floats:
        data, form = self._line.block(query), ">i2" if self._options.units == "RAW" else ">f4"
        if len(data) != count * np.dtype(form).itemsize:
            raise DesyncError(f"{self._port}: {len(data)} bytes answer {query!r}; {count} samples of {form} were asked for")
        values = np.frombuffer(data, form).astype(np.float64)
        if not np.all(np.isfinite(values)):
            raise ReadingError(f"{self._port}: samples that are not numbers answer {query!r}")
        return values if form == ">i2" else values * (BUFFER // 2 / range_v)

    def _ranges(self, gains: list[str]) -> Floats:
        if not all(gain in RANGES_V for gain in gains):
            raise DesyncError(f"{self._port}: {gains} are not ranges, {' or '.join(RANGES_V)}")
        return np.array([RANGES_V[gain] for gain in gains])
