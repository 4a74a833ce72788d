"""The status model of SRS LDC500 controllers (manual, section 4.6): condition, transition, event and enable registers, standard events."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim_backends.firmware.ldc500_parse import WHOLE, Entry

OPC, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR = 0, 2, 3, 4, 5
LD_ON, LD_CP, LD_BANDWIDTH, LD_SCANNING, LD_STABLE, LD_ILIM, LD_PLIM, LD_VLIM, LD_INTERLOCK, LD_RANGE = range(10)
VTRIP, OPEN, TEC_OFF, OVER_TMAX, UNDER_TMIN, SENSOR_FAULT = range(10, 16)  # events of the laser side without conditions
TEC_ON, TEC_CC, T_STABLE, TUNING, IMAX, IMIN, TEC_VLIM, T_FAULT, ABOVE_TMAX, BELOW_TMIN, TEC_OPEN, RUNAWAY = range(12)
ILLEGAL_VALUE, WRONG_TOKEN, INVALID_BIT, NOT_COMPATIBLE = 1, 2, 3, 5
WORD = 0xFFFF


class ExecutionError(Exception):
    """A command that is understood and not done: its number is LEXE?'s."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass
class Conditions:
    """Conditions of one half of the instrument, the edges that are events, and which events are summed up; cleared at power-on."""

    condition: int = 0
    rising: int = 0
    falling: int = 0
    event: int = 0
    enable: int = 0

    def put(self, flags: dict[int, bool]) -> None:
        """What the conditions are now."""
        for bit, on in flags.items():
            mask = 1 << bit
            if on != bool(self.condition & mask):
                self.event |= mask & (self.rising if on else self.falling)
                self.condition ^= mask

    def happened(self, bit: int) -> None:
        """An event without a condition."""
        self.event |= 1 << bit


@dataclass
class Status:
    """All registers, and the last errors.

    Attributes:
        execution, command: what LEXE? and LCME? answer, and forget.
    """

    ld: Conditions = field(default_factory=Conditions)
    tec: Conditions = field(default_factory=Conditions)
    standard: Conditions = field(default_factory=Conditions)
    service: int = 0
    execution: int = 0
    command: int = 0

    def clear(self) -> None:
        """*CLS: the event registers."""
        for register in (self.ld, self.tec, self.standard):
            register.event = 0

    def byte(self) -> int:
        """*STB?: TESB, LDSB, IDLE, ESB, MSS."""
        sums = (self.tec.event & self.tec.enable, self.ld.event & self.ld.enable)
        byte = (1 if sums[0] else 0) | (2 if sums[1] else 0) | 8 | (32 if self.standard.event & self.standard.enable else 0)
        return byte | (64 if byte & self.service & ~64 else 0)

    def take(self, name: str) -> int:
        """The last error of a kind, forgotten."""
        number: int = getattr(self, name)
        setattr(self, name, 0)
        return number


def register_entries(status: Status) -> dict[str, Entry]:
    """The commands of all registers."""
    entries = {
        "*CLS": Entry(status.clear),
        "*STB": Entry(ask=lambda bit=None: _bit(status.byte(), bit), bits=True, takes=(WHOLE,)),
        "*SRE": _word(status, "service"),
        "*ESR": _event(status.standard),
        "*ESE": _word(status.standard, "enable"),
        "LEXE": Entry(ask=lambda: status.take("execution"), takes=(WHOLE,)),
        "LCME": Entry(ask=lambda: status.take("command"), takes=(WHOLE,)),
    }
    for register, condition, rising, falling, event, enable in (
        (status.ld, "LDCR", "LDPT", "LDNT", "LDEV", "LDEN"),
        (status.tec, "TECR", "TEPT", "TENT", "TEEV", "TEEN"),
    ):
        entries[condition] = Entry(ask=lambda bit=None, r=register: _bit(r.condition, bit), bits=True, takes=(WHOLE,))
        entries[rising], entries[falling], entries[enable] = (_word(register, key) for key in ("rising", "falling", "enable"))
        entries[event] = _event(register)
    return entries


def _bit(word: int, bit: int | None) -> int:
    if bit is None:
        return word
    if not 0 <= bit <= 15:
        raise ExecutionError(INVALID_BIT)
    return word >> bit & 1


def _word(owner: object, key: str) -> Entry:
    """A register that is set and read, whole or by one bit."""

    def write(*given: int) -> None:
        *bit, value = given
        word: int = getattr(owner, key)
        if not bit:
            if not 0 <= value <= WORD:
                raise ExecutionError(ILLEGAL_VALUE)
            setattr(owner, key, value)
            return
        if not 0 <= bit[0] <= 15:
            raise ExecutionError(INVALID_BIT)
        if value not in (0, 1):
            raise ExecutionError(ILLEGAL_VALUE)
        setattr(owner, key, word & ~(1 << bit[0]) | value << bit[0])

    return Entry(write, lambda bit=None: _bit(getattr(owner, key), bit), (WHOLE,), bits=True)


def _event(register: Conditions) -> Entry:
    """An event register: reading clears it, or the one bit that is read."""

    def ask(bit: int | None = None) -> int:
        found = _bit(register.event, bit)
        register.event &= 0 if bit is None else ~(1 << bit)
        return found

    return Entry(ask=ask, takes=(WHOLE,), bits=True)
