"""The status system of IEEE 488.2 and SCPI-99: error queue, standard event register, further registers, status byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sim_backends.firmware.scpi_errors import OPERATION_COMPLETE, POWER_ON, ErrorQueue, event_bit
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Number

ERRORS_WAIT, MESSAGE_AVAILABLE, EVENT_SUMMARY, SERVICE = 4, 16, 32, 64
BYTE, WORD = Number(0, 255, 0, whole=True), Number(0, 65535, 0, whole=True)


@dataclass
class Register:
    """Conditions, events latched when a condition comes up, and which events are summed up in the status byte."""

    condition: int = 0
    event: int = 0
    enable: int = 0

    def put(self, bit: int, on: bool = True) -> None:
        """Set or clear a condition; one that comes up is latched as an event."""
        mask = 1 << bit
        if on:
            self.event |= mask & ~self.condition
            self.condition |= mask
        else:
            self.condition &= ~mask

    def happened(self, bit: int) -> None:
        """Latch an event without a lasting condition."""
        self.event |= 1 << bit

    def take(self) -> int:
        """The events, cleared by reading."""
        event, self.event = self.event, 0
        return event


class Status:
    """Everything that *CLS clears.

    Args:
        registers: summary bit of the status byte -> name below STATus ("QUEStionable"). errors: queue size. words: of own errors.

    Attributes:
        message_available: whether a response waits (bit 4 of the status byte).
    """

    def __init__(self, registers: Mapping[int, str], errors: int, words: Mapping[int, str] | None = None) -> None:
        self.errors = ErrorQueue(errors, words)
        self._summaries = dict(registers)
        self.registers = {name: Register() for name in registers.values()}
        self.event, self._event_enable, self._service_enable = POWER_ON, 0, 0
        self.message_available = False

    def error(self, number: int) -> None:
        """Queue an error and latch its event bit."""
        self.errors.push(number)
        self.event |= event_bit(number)

    def clear(self) -> None:
        """*CLS: errors and events; enables stay."""
        self.errors.clear()
        self.event = 0
        for register in self.registers.values():
            register.event = 0

    def preset(self) -> None:
        """STATus:PRESet: enables of the further registers off."""
        for register in self.registers.values():
            register.enable = 0

    def byte(self) -> int:
        """The status byte as *STB? reads it, bit 6 the master summary."""
        byte = sum(1 << bit for bit, name in self._summaries.items() if self.registers[name].event & self.registers[name].enable)
        byte |= ERRORS_WAIT if len(self.errors) else 0
        byte |= MESSAGE_AVAILABLE if self.message_available else 0
        byte |= EVENT_SUMMARY if self.event & self._event_enable else 0
        return byte | (SERVICE if byte & self._service_enable & ~SERVICE else 0)

    def commands(self) -> list[Command]:
        """The common commands and the SYSTem and STATus subsystems that belong to it."""
        listed = [
            Command("*CLS", self.clear),
            Command("*ESE", self._set_event_enable, lambda: str(self._event_enable), (BYTE,)),
            Command("*ESR", query=lambda: str(self._take_event())),
            Command("*SRE", self._set_service_enable, lambda: str(self._service_enable), (BYTE,)),
            Command("*STB", query=lambda: str(self.byte())),
            Command("*OPC", self._complete, lambda: "1"),
            Command(":STATus:PRESet", self.preset),
            Command(":SYSTem:ERRor:ALL", query=self._all),
            Command(":SYSTem:ERRor:COUNt", query=lambda: str(len(self.errors))),
            Command(":SYSTem:ERRor:CODE[:NEXT]", query=lambda: str(self.errors.pop())),
            *(Command(p, query=lambda: self.errors.entry(self.errors.pop())) for p in (":SYSTem:ERRor[:NEXT]", ":STATus:QUEue[:NEXT]")),
            Command(":STATus:QUEue:CLEar", self.errors.clear),
        ]
        for name, register in self.registers.items():
            listed += _commands_of(name, register)
        return listed

    def _set_event_enable(self, value: int) -> None:
        self._event_enable = value

    def _set_service_enable(self, value: int) -> None:
        self._service_enable = value & ~SERVICE

    def _take_event(self) -> int:
        event, self.event = self.event, 0
        return event

    def _complete(self) -> None:
        self.event |= OPERATION_COMPLETE

    def _all(self) -> str:
        entries = [self.errors.entry(self.errors.pop())]
        while len(self.errors):
            entries.append(self.errors.entry(self.errors.pop()))
        return ",".join(entries)


def _commands_of(name: str, register: Register) -> list[Command]:
    def enable(value: int) -> None:
        register.enable = value

    shown: Callable[[], str] = lambda: str(register.enable)  # noqa: E731
    return [
        Command(f":STATus:{name}[:EVENt]", query=lambda: str(register.take())),
        Command(f":STATus:{name}:CONDition", query=lambda: str(register.condition)),
        Command(f":STATus:{name}:ENABle", enable, shown, (WORD,)),
    ]
