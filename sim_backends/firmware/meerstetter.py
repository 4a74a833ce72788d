"""Meerstetter TEC controller (TEC-Family), from the MeCom protocol: frames, parameters, limits, the error state.

Frame `#AASSSS<payload><CRC16>\\r`, answered by `!AASSSS…`; `?VR` reads, `?VL` tells the range, `VS` writes (acknowledged with the
CRC of the query), `?IF` identifies, `RS` resets. A wrong CRC or another's address is not answered; a refusal is `+NN`.

| part | implemented | refused or missing |
| --- | --- | --- |
| frames | any address or its own, sequence echoed, CRC; others are not answered; `+01`, `+04` | boot loader, ring buffer, bulk queries |
| reading | ?VR of 100 to 107, 1000 1001 1010 1200 2010 3000 4010 4011; ?VL their ranges | the other parameters: +05 |
| writing | VS of 2010 3000 4010 4011, at once; read-only ones +06, out of range +07, wrong loop +08 | saving to flash |
| states | ready, run, error (a loop outside its thresholds: outputs off, 105 to 107 tell which); RS ends it | auto-tuning, lookup tables |

Sources: MeComAPI by Meerstetter (MeCom.c, MeFrame.c: ids, ?VL layout, acknowledge), pyMeCom (error codes, parameter list).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.troubles import Troubles

Floats = NDArray[np.float64]

BITS_A_BYTE = 10  # 8N1
HEAD = re.compile(rb"#[0-9A-F]{6}")
LONGEST_FRAME = 256
NO_COMMAND, BUSY, FORMAT, NO_PARAMETER, READ_ONLY, OUT_OF_RANGE, NO_INSTANCE = 1, 2, 4, 5, 6, 7, 8
READY, RUN, ERROR = 1, 2, 3
DEVICE = {100: 1161, 101: 100, 103: 631}  # type, hardware and firmware version
SERIAL, STATUS, ERROR_NUMBER, ERROR_INSTANCE, ERROR_PARAMETER = 102, 104, 105, 106, 107
OBJECT, SINK, ACTIVE_TARGET, STABLE, ENABLE, TARGET, LOWER_ERROR, UPPER_ERROR = 1000, 1001, 1010, 1200, 2010, 3000, 4010, 4011
FLOATS = (OBJECT, SINK, ACTIVE_TARGET, TARGET, LOWER_ERROR, UPPER_ERROR)
WRITABLE = (ENABLE, TARGET, LOWER_ERROR, UPPER_ERROR)
SINK_C, ROOM_C = 25.0, 25.0
TARGET_RANGE_C = (-40.0, 150.0)
THRESHOLD_RANGE_C = (-273.15, 1000.0)
STABLE_WITHIN_C = 0.1
RUNAWAY_C, MISREAD = 200.0, 1.01
TRIPPED = 1  # number of the error "object temperature outside its thresholds"; the manual's list differs between firmware versions


class Refused(Exception):
    """A command that the controller answers with `+NN`."""


def crc16(data: bytes) -> int:
    """CRC-16-CCITT (polynomial 0x1021), initial value 0."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return crc


class MeerstetterFirmware:
    """One controller with several temperature loops.

    Args:
        instances: loops, numbered from 1 on the wire. address: of the controller; it answers 0 (any), too. serial: its number.
        plant: tells the (instances,) object temperatures; constant 25 degC by default. baud: of the serial line.

    Attributes:
        targets_c: (instances,). enabled: (instances,) bool. plant: may be replaced by a simulated bench. faults: kinds that it can have.
    """

    faults = ("refuse", "ignore", "misread", "stuck", "runaway", "power_cycle")

    def __init__(
        self, instances: int = 1, address: int = 2, serial: int = 1, plant: Callable[[], Floats] | None = None, baud: int = 57600
    ) -> None:
        if not (1 <= instances <= 255 and 1 <= address <= 254):
            raise ValueError(f"instances = {instances}, address = {address}: 1 to 255, and 1 to 254")
        self.instances, self.address, self.serial = instances, address, serial
        self.plant: Callable[[], Floats] = plant or (lambda: np.full(instances, ROOM_C))
        self._byte_s, self._troubles = BITS_A_BYTE / baud, Troubles()
        self.power_cycle()

    def power_cycle(self) -> None:
        """As after the mains came back."""
        self.targets_c: Floats = np.full(self.instances, ROOM_C)
        self.enabled: NDArray[np.bool_] = np.zeros(self.instances, bool)
        self._thresholds = {LOWER_ERROR: np.full(self.instances, -50.0), UPPER_ERROR: np.full(self.instances, 160.0)}
        self._error = (0, 0, 0)  # number, instance, parameter
        self._buffer = b""

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        if kind == "power_cycle":
            self.power_cycle()
        else:
            self._troubles.begin(kind, value, self.instances if kind == "stuck" else 0)

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> MeerstetterFirmware:
        """The controller that a port's options describe; its serial number follows from the seed."""
        return cls(int(options.get("instances", channels) or 1), int(options.get("address", 2)) or 2, 1 + seed % 0xFFFF)

    @property
    def temperatures_c(self) -> Floats:
        """(instances,) object temperatures."""
        now = np.asarray(self.plant(), np.float64)
        return np.full_like(now, self._troubles.value("runaway", RUNAWAY_C)) if "runaway" in self._troubles else now

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that so many bytes need on the serial line."""
        return (sent + received) * self._byte_s

    def feed(self, data: bytes) -> bytes:
        """Answers to all frames that `data` completes."""
        *frames, self._buffer = (self._buffer + data).split(b"\r")
        if len(self._buffer) > LONGEST_FRAME:
            self._buffer = self._buffer[-LONGEST_FRAME:]
        return b"".join(self._answer(frame[frame.rfind(b"#") :]) for frame in frames if b"#" in frame)

    def _answer(self, frame: bytes) -> bytes:
        body, check = frame[:-4], frame[-4:]
        if HEAD.match(body) is None or check != b"%04X" % crc16(body) or int(body[1:3], 16) not in (0, self.address):
            return b""
        head = b"!" + body[1:7]
        try:
            payload = self._run(body[7:].decode("ascii"))
        except Refused as refused:
            payload = f"+{refused.args[0]:02X}"
        except ValueError:
            payload = f"+{FORMAT:02X}"
        if payload is None:
            return head + check + b"\r"
        reply = head + payload.encode()
        return reply + b"%04X\r" % crc16(reply)

    def _run(self, payload: str) -> str | None:
        """The answer's payload, None for an acknowledge; ValueError for anything that is not hexadecimal."""
        self._supervise()
        if payload == "?IF":
            return "1161-TEC SW v6.31".ljust(20)
        if payload == "RS":
            self._error = (0, 0, 0)
            self.enabled[:] = False
            return None
        command, rest = (payload[:3], payload[3:]) if payload.startswith("?") else (payload[:2], payload[2:])
        if command not in ("?VR", "?VL", "VS"):
            raise Refused(NO_COMMAND)
        if len(rest) != (14 if command == "VS" else 6) or not rest.isalnum():
            raise Refused(FORMAT)
        parameter, instance = int(rest[:4], 16), int(rest[4:6], 16)
        self._check(parameter, instance)
        if command == "VS":
            self._write(parameter, instance - 1, bytes.fromhex(rest[6:]))
            return None
        if command == "?VL":
            low, high = self._range(parameter)
            return ("00" if parameter in FLOATS else "01") + self._encoded(parameter, low) + self._encoded(parameter, high)
        factor, read = self._troubles.value("misread", MISREAD), self._read(parameter, instance - 1)
        return self._encoded(parameter, read * factor if parameter in FLOATS and self._troubles.take("misread") else read)

    def _check(self, parameter: int, instance: int) -> None:
        of_device = parameter in DEVICE or SERIAL <= parameter <= ERROR_PARAMETER
        if not of_device and parameter not in (*FLOATS, ENABLE, STABLE):
            raise Refused(NO_PARAMETER)
        if not 1 <= instance <= (1 if of_device else self.instances):
            raise Refused(NO_INSTANCE)

    def _supervise(self) -> None:
        """An enabled loop outside its thresholds switches everything off until a reset."""
        now = self.temperatures_c
        outside = self.enabled & ~((now >= self._thresholds[LOWER_ERROR]) & (now <= self._thresholds[UPPER_ERROR]))
        if outside.any():
            instance = int(np.argmax(outside))
            self._error = (TRIPPED, instance + 1, UPPER_ERROR if now[instance] > self._thresholds[UPPER_ERROR][instance] else LOWER_ERROR)
            self.enabled[:] = False

    def _read(self, parameter: int, index: int) -> float:
        if parameter in DEVICE:
            return DEVICE[parameter]
        if parameter in (SERIAL, STATUS):
            status = ERROR if self._error[0] else RUN if self.enabled.any() else READY
            return self.serial if parameter == SERIAL else status
        if ERROR_NUMBER <= parameter <= ERROR_PARAMETER:
            return self._error[parameter - ERROR_NUMBER]
        if parameter == STABLE:
            near = abs(self.temperatures_c[index] - self.targets_c[index]) <= STABLE_WITHIN_C
            return (2 if near else 1) if self.enabled[index] else 0
        if parameter in self._thresholds:
            return float(self._thresholds[parameter][index])
        if parameter in (OBJECT, SINK):
            return float(self.temperatures_c[index]) if parameter == OBJECT else SINK_C
        return float(self.enabled[index]) if parameter == ENABLE else float(self.targets_c[index])

    def _range(self, parameter: int) -> tuple[float, float]:
        if parameter == TARGET:
            return TARGET_RANGE_C
        return (0, 3) if parameter == ENABLE else THRESHOLD_RANGE_C if parameter in FLOATS else (-(2**31), 2**31 - 1)

    def _write(self, parameter: int, index: int, raw: bytes) -> None:
        if parameter not in WRITABLE:
            raise Refused(READ_ONLY)
        value: float = struct.unpack(">f" if parameter in FLOATS else ">i", raw)[0]
        low, high = self._range(parameter)
        if not low <= value <= high:
            raise Refused(OUT_OF_RANGE)
        if self._troubles.take("refuse"):
            raise Refused(BUSY)
        if self._troubles.take("ignore") or ("stuck" in self._troubles and index == self._troubles.index("stuck", self.instances)):
            return
        if parameter == ENABLE:
            self.enabled[index] = value == 1 and not self._error[0]
        elif parameter == TARGET:
            self.targets_c[index] = value
        else:
            self._thresholds[parameter][index] = value

    def _encoded(self, parameter: int, value: float) -> str:
        packed = struct.pack(">f", value) if parameter in FLOATS else struct.pack(">i", int(value))
        return packed.hex().upper()
