"""Qontrol multi-channel source (Q8iv and relatives), from its programming manual: ASCII and binary commands, errors, full scales.

ASCII `CMD[channel][?|=value[,value…]]\\n`, any case; binary `header command address(3) [words(2)] word(2)…`, big-endian.
Every reply is ASCII: values, `OK`, or `E<code>:<channel>`. One chain of equal modules; channels count through.

| commands | implemented | refused or missing |
| --- | --- | --- |
| outputs | V I, read and set; VALL IALL; vectors VVEC IVEC within one module (E12 beyond) | fractions of a code (rounded) |
| limits | VMAX IMAX, read and set; above them E01, E02; compliance by the other quantity | power limit E03 |
| identity | ID NUP NUPALL NCHAN FIRMWARE LIFETIME VFULL IFULL (setting them E13) | |
| chain | SAFE; NUP=0 counts anew; E90 unasked after a power cut | calibration E04, interlock E20, bus errors E16 to E19 |
| binary | the same commands, by channel, module, all or broadcast; a wrong parity E15 | ACT, DEXT of reads |
| errors | E10 unknown, E11 parameter, E12 channel, E13 forbidden, E14 a line over 1,024 bytes | E00, E05, E30, E31 |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sim_backends.firmware.qontrol_chain import BAD_PARAMETER, REGISTERS, Chain, Floats, Refused
from sim_backends.firmware.troubles import Troubles

FULL_SCALES = {"Q8iv": (12.0, 24.0), "Q8a": (12.0, 100.0), "Q8b": (12.0, 83.333333)}  # V, mA
LONGEST_LINE = 1024
MISREAD = 1.01
BITS_A_BYTE = 10  # 8N1
UNKNOWN_COMMAND, BAD_CHANNEL, FORBIDDEN, BUFFER, SERIAL, POWERED_UP = 10, 12, 13, 14, 15, 90
LINE = re.compile(r"([A-Z]+)(\d{0,5})(?:(\?)|=(.*))?", re.DOTALL)
INFORMATION = ("VFULL", "IFULL", "NCHAN", "FIRMWARE", "ID", "LIFETIME", "NUP", "NUPALL")
COMMAND_CODES = {0x00: "V", 0x01: "I", 0x02: "VMAX", 0x03: "IMAX", 0x20: "VFULL", 0x21: "IFULL", 0x22: "NCHAN", 0x23: "FIRMWARE"} | {
    0x24: "ID", 0x25: "LIFETIME", 0x32: "NUP", 0x42: "SAFE"
}  # fmt: skip
BINARY, BROADCAST, ALL_CHANNELS, BY_ID, READ, EXTENDED = 0x80, 0x40, 0x20, 0x10, 0x08, 0x02


class QontrolFirmware:
    """A chain of modules with a resistor on every channel.

    Args:
        modules: how many are chained. module: their type. loads_ohm: on every channel, one or (C,); infinity is an open output.
        noise: standard deviation of a reading in full scales. seed: of that noise. serial: number of the first module.
        baud: speed of the serial line.

    Attributes:
        channels: C. faults: kinds that it can have.
    """

    faults = ("refuse", "ignore", "misread", "stuck", "power_cycle")

    def __init__(
        self, modules: int = 1, module: str = "Q8iv", loads_ohm: ArrayLike = 200.0, noise: float = 0.0, seed: int = 0, serial: int = 1,
        baud: int = 115200,
    ) -> None:  # fmt: skip
        if module not in FULL_SCALES:
            raise ValueError(f"module = {module!r}: known are {', '.join(FULL_SCALES)}")
        if modules < 1:
            raise ValueError(f"modules = {modules}: at least 1")
        self.module, self.modules, self.serial = module, modules, serial
        self.per_module = _channels_of(module)
        self.channels = modules * self.per_module
        self._chain = Chain(self.channels, loads_ohm, *FULL_SCALES[module], noise, seed)
        self._troubles = Troubles()
        self._byte_s = BITS_A_BYTE / baud
        self._buffer, self._overflowed, self._unasked = b"", False, b""

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> QontrolFirmware:
        """The chain that a port's options need: modules enough for `first` + `channels`; serial numbers follow from the seed."""
        module = str(options.get("module", "Q8iv"))
        modules = max(1, -(-(int(options.get("first", 0)) + channels) // _channels_of(module)))
        return cls(modules, module, options.get("loads_ohm", 200.0), float(options.get("noise", 0.0)), seed, 1 + seed % 0xF000)

    @property
    def currents_a(self) -> Floats:
        """(C,) what really flows."""
        return self._chain.flowing()[1]

    @property
    def voltages_v(self) -> Floats:
        """(C,) what really is across the loads."""
        return self._chain.flowing()[0]

    @property
    def loads_ohm(self) -> Floats:
        """(C,) resistors; may be written while it runs, by whoever has just asked for them."""
        self._chain.touch()
        return self._chain.loads_ohm

    def changes(self) -> tuple[list[int], list[float], list[float]]:
        """(channels, volts, amperes): what really is on every channel that was set since the last call; at first all of them."""
        return self._chain.changes()

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that so many bytes need on the serial line."""
        return (sent + received) * self._byte_s

    def power_cycle(self) -> None:
        """Lose all registers and say so (E90) without being asked, ahead of the next reply."""
        self._chain.reset()
        self._unasked = f"{Refused(POWERED_UP).line}\n".encode()

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        if kind == "power_cycle":
            self.power_cycle()
        else:
            self._troubles.begin(kind, value, self.channels if kind == "stuck" else 0)
            self._chain.stuck = self._troubles.index("stuck", self.channels) if "stuck" in self._troubles else -1

    def feed(self, data: bytes) -> bytes:
        """Replies to all commands that `data` completes."""
        self._buffer += data
        replies, self._unasked = [self._unasked], b""
        while self._buffer:
            binary = self._buffer[0] & BINARY and not self._overflowed
            lines = self._take_binary() if binary else self._take_line()
            if lines is None:
                break
            replies += [f"{line}\n".encode() for line in lines]
        return b"".join(replies)

    def _take_line(self) -> list[str] | None:
        """The answer to the first line of the buffer; a line that is too long is refused once and thrown away to its end."""
        line, found, rest = self._buffer.partition(b"\n")
        if not found and len(line) <= LONGEST_LINE:
            return None
        self._buffer = rest
        tell, dropped = not self._overflowed, self._overflowed or len(line) > LONGEST_LINE
        self._overflowed = dropped and not found
        if dropped:
            return [Refused(BUFFER).line] if tell else []
        text = line.decode("latin-1").strip(" \r\t").upper()
        return _answer(lambda: self._ascii(text)) if text else []

    def _take_binary(self) -> list[str] | None:
        frame, extended = self._buffer, bool(self._buffer[0] & EXTENDED)
        if len(frame) < 7:
            return None
        words = int.from_bytes(frame[5:7], "big") if extended else 1
        start = 7 if extended else 5
        if len(frame) < start + 2 * words:
            return None
        self._buffer = frame[start + 2 * words :]
        values = np.frombuffer(frame[start : start + 2 * words], ">u2").tolist()
        return _answer(lambda: self._binary(frame[0], frame[1], frame[2:5], values))

    def _ascii(self, text: str) -> list[str]:
        match = LINE.fullmatch(text)
        if match is None:
            raise Refused(UNKNOWN_COMMAND)
        name, digits, asks, value = match.groups()
        if name in INFORMATION:
            return self._inform(name, bool(asks), value)
        if name in ("VALL", "IALL") and asks:
            return self._readings(name[0], list(range(self.channels)))
        if name == "SAFE" and not asks and value is None:
            return self._safe()
        vector, register = name in ("VVEC", "IVEC"), name in REGISTERS
        if not (register and asks) and not ((vector or register) and value is not None):
            raise Refused(UNKNOWN_COMMAND, int(digits or 0))
        channel = self._checked(int(digits) if digits else -1)
        if asks:
            return self._readings(name, [channel])
        codes = self._chain.codes_of(name[0] if vector else name, value.split(",") if vector else [value], channel)
        return self._vector(name[0], channel, codes) if vector else self._set(name, [channel], codes)

    def _binary(self, header: int, command: int, address: bytes, words: list[int]) -> list[str]:
        if header.bit_count() % 2:
            raise Refused(SERIAL)
        name, channel = COMMAND_CODES.get(command), self._address(header, address)
        if name is None:
            raise Refused(UNKNOWN_COMMAND)
        if name == "SAFE":
            return self._safe()
        if name in INFORMATION:
            return self._inform(name, bool(header & READ), None if header & READ else "0")
        everything = bool(header & (ALL_CHANNELS | BROADCAST))
        channels = list(range(self.channels)) if everything else [self._checked(channel)]
        if header & READ:
            return self._readings(name, channels)
        if header & EXTENDED and not everything:
            return self._vector(name, channel, words)
        if len(words) != 1:
            raise Refused(BAD_PARAMETER)
        return self._set(name, channels, words * len(channels))

    def _address(self, header: int, address: bytes) -> int:
        if not header & BY_ID:
            return int.from_bytes(address, "big")
        module = int.from_bytes(address[:2], "big") - self.serial
        if not 0 <= module < self.modules or address[2] >= self.per_module:
            raise Refused(BAD_CHANNEL, address[2])
        return module * self.per_module + address[2]

    def _checked(self, channel: int) -> int:
        if not 0 <= channel < self.channels:
            raise Refused(BAD_CHANNEL, max(channel, 0))
        return channel

    def _vector(self, name: str, first: int, codes: list[int]) -> list[str]:
        last = first + len(codes) - 1
        if not codes or last // self.per_module != first // self.per_module:
            raise Refused(BAD_CHANNEL, last)
        return self._set(name, range(first, last + 1), codes)

    def _set(self, name: str, channels: Sequence[int], codes: list[int]) -> list[str]:
        if not self._excused():
            self._chain.set(name, channels, codes)
        return ["OK"]

    def _safe(self) -> list[str]:
        if not self._excused():
            self._chain.zero()
        return ["OK"]

    def _excused(self) -> bool:
        """Whether a setting is not done, by a fault."""
        if self._troubles.take("refuse"):
            raise Refused(FORBIDDEN)
        return self._troubles.take("ignore")

    def _readings(self, name: str, channels: list[int]) -> list[str]:
        factor = self._troubles.value("misread", MISREAD)
        return self._chain.readings(name, channels, factor if self._troubles.take("misread") else 1.0)

    def _inform(self, name: str, asks: bool, value: str | None) -> list[str]:
        if name == "NUP" and value is not None:
            return ["OK"]  # the chain counts itself anew
        if not asks:
            raise Refused(UNKNOWN_COMMAND if value is None else FORBIDDEN)
        volts, milliamperes = FULL_SCALES[self.module]
        chain = [f"{self.module}-{self.serial + index:04X}" for index in range(self.modules)]
        return {
            "VFULL": [f"{volts:+.3f} V"],
            "IFULL": [f"{milliamperes:+.3f} mA"],
            "NCHAN": [str(self.channels)],
            "FIRMWARE": ["v3.1.0"],
            "ID": [chain[0]],
            "LIFETIME": ["1000"],
            "NUP": [f"{chain[0]}:0"],
            "NUPALL": [f"{module}:{index}" for index, module in enumerate(chain)],
        }[name]


def _channels_of(module: str) -> int:
    """Channels of a module: the number in its type."""
    digits = re.search(r"\d+", module)
    return int(digits[0]) if digits else 8


def _answer(run: Callable[[], list[str]]) -> list[str]:
    try:
        return run()
    except Refused as refused:
        return [refused.line]
