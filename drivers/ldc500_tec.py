"""TEC controller of a Stanford Research LDC500, LDC501, LDC502, as one oven or cooler (drivers/ldc500.py).

`TEMP <degC>` is the target, `TTRD?` the temperature, `TMIN` and `TMAX` bound the target (beyond them the laser switches off), `TILM` and
`TVLM` limit the output, `TEON` switches it. Constant temperature (`TMOD CT`) only; gains are whatever is set or tuned at the instrument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from drivers.insist import insistent
from drivers.ldc500 import Ldc500Half, number, token
from labonn.channels import ChannelSpec, Floats
from labonn.links import Link

OFF_ON = ("OFF", "ON")
CONSTANT_TEMPERATURE = 1  # of CC, CT
ECHO_C, ECHO = 0.002, 0.006
MOST_A, MOST_V = 4.5, 8.5


@dataclass(frozen=True)
class Ldc500TecOptions:
    """Bench-file keys of the TEC half.

    Attributes:
        limit_a, limit_v: of the cooler, written to TILM and TVLM; None: as they are set.
        tolerance_c: how near its target it counts as there (`reached`).
        settle_s: from a new target until it is there.
        lan: whether the link goes to its LAN port, which must be unlocked.
    """

    limit_a: float | None = None
    limit_v: float | None = None
    tolerance_c: float = 0.05
    settle_s: float = 120.0
    lan: bool = False

    def __post_init__(self) -> None:
        for name, most in (("limit_a", MOST_A), ("limit_v", MOST_V)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise ValueError(f"{name} = {value:g}: above 0, up to {most:g}")
        for name in ("tolerance_c", "settle_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name):g}: not negative, and finite")


class Ldc500Tec(Ldc500Half):
    """One temperature, in degC, between TMIN and TMAX."""

    Options: ClassVar[type] = Ldc500TecOptions
    kind: ClassVar[str] = "Heaters"

    def __init__(self, link: Link, options: Ldc500TecOptions, port: str) -> None:
        super().__init__(link, port, options.lan)
        self._options = options
        low, high = self._line.numbers("TMIN?", "TMAX?")
        lower, upper, step, settle_s = map(np.asarray, (low, high, 0.001, options.settle_s))
        self.spec = ChannelSpec(("tec",), "degC", lower, upper, step, settle_s)

    def prepare(self, spec: ChannelSpec) -> None:
        """Write the cooler's limits, read them back; the output stays as it is.

        TMIN and TMAX stay: what is on the cooler starts at room temperature, which may be outside the port's limits.
        """
        self._line.forget_errors()
        for name, value in (("TILM", self._options.limit_a), ("TVLM", self._options.limit_v)):
            if value is not None:
                held = abs(number(self._port, self._line.checked((f"{name} {value:.3f}",), f"{name}?")[0]))
                if abs(held - value) > ECHO:
                    self._wrong(f"{name} was set to {value:g} and reads back {held:g}")
        self._on = False
        self.spec = spec

    def arm(self) -> None:
        """Set the target, and the first time the mode and the output on.

        Raises:
            RefusedError: with the instrument's words. UnknownStateError: it reads back otherwise, or switched itself off since.
        """
        target_c = self._loaded()
        first = () if self._on else (f"TMOD {CONSTANT_TEMPERATURE}",)
        last = () if self._on else ("TEON 1",)
        held, mode, on = self._line.checked((*first, f"TEMP {target_c:.3f}", *last), "TEMP?", "TMOD?", "TEON?")
        self._check(target_c, held, mode, on)

    def confirm(self) -> None:
        """Raise UnknownStateError unless the output still is on at the target that `arm` set."""
        if self._on:
            held, mode, on = self._line.ask("TEMP?", "TMOD?", "TEON?")
            self._check(self._loaded(), held, mode, on)

    def _check(self, target_c: float, held: str, mode: str, on: str) -> None:
        if not token(self._port, on, OFF_ON):
            self._wrong(f"at {target_c:g} degC the controller has switched itself off; find the cause, then make it safe")
        self._on = True
        held_c, chosen = number(self._port, held), token(self._port, mode, ("CC", "CT"))
        if abs(held_c - target_c) > ECHO_C or chosen != CONSTANT_TEMPERATURE:
            self._wrong(f"set to {target_c:g} degC it reads back {held_c:g} degC, mode {mode}")

    def temperature(self) -> Floats:
        """(1,) degC.

        Raises:
            UnknownStateError: the sensor gives no number.
        """
        (reply,) = self._line.ask("TTRD?")
        if reply.lower().lstrip("+-") in ("nan", "inf"):
            self._wrong(f"the temperature reads {reply}; is its sensor connected?")
        return np.array([number(self._port, reply)])

    def reached(self) -> bool:
        """Whether the temperature is within `tolerance_c` of the loaded target."""
        target_c = self._loaded()
        return bool(np.all(np.abs(self.temperature() - target_c) <= self._options.tolerance_c))

    @insistent
    def safe(self) -> None:
        """Output off, verified; tried again after a link error."""
        on, *_ = self._line.ask("TEON 0", "TEON?", "LEXE?", "LCME?")
        if token(self._port, on, OFF_ON):
            self._wrong(f"switched off it reads back {on}")
        self._on = False
