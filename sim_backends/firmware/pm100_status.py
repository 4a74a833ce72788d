"""Status registers with transition filters, as a PM100's manual has them: PTRansition and NTRansition choose the edges that are events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim_backends.firmware.scpi_status import Register
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Number

if TYPE_CHECKING:
    from sim_backends.firmware.pm100 import Pm100Firmware

ALL = 0x7FFF
MASK = Number(0, 65535, 0, whole=True)


@dataclass
class Filtered(Register):
    """A register whose events are the rising edges of `rising` bits and the falling ones of `falling` bits."""

    rising: int = ALL
    falling: int = 0

    def put(self, bit: int, on: bool = True) -> None:
        """Set or clear a condition; latch its edge if it is let through."""
        mask, was = 1 << bit, bool(self.condition >> bit & 1)
        if on != was:
            self.event |= mask & (self.rising if on else self.falling)
        self.condition = self.condition | mask if on else self.condition & ~mask

    def preset(self) -> None:
        """Every rising edge, no falling one, nothing enabled."""
        self.rising, self.falling, self.enable = ALL, 0, 0


def status_commands(own: Pm100Firmware) -> Iterable[Command]:
    """Transition filters of all registers, and the second spelling of AUXiliary."""
    for name, register in own.status.registers.items():
        assert isinstance(register, Filtered)
        for spelling in {name, "AUXiliary"} if name == "AUXillary" else {name}:
            yield from _of(spelling, register)


def _of(name: str, register: Filtered) -> Iterable[Command]:
    def rising(value: int) -> None:
        register.rising = value

    def falling(value: int) -> None:
        register.falling = value

    def enable(value: int) -> None:
        register.enable = value

    base = f":STATus:{name}"
    yield Command(f"{base}:PTRansition", rising, lambda: str(register.rising), (MASK,))
    yield Command(f"{base}:NTRansition", falling, lambda: str(register.falling), (MASK,))
    yield Command(f"{base}:PRESet", register.preset)
    if name == "AUXiliary":
        yield Command(f"{base}[:EVENt]", query=lambda: str(register.take()))
        yield Command(f"{base}:CONDition", query=lambda: str(register.condition))
        yield Command(f"{base}:ENABle", enable, lambda: str(register.enable), (MASK,))
