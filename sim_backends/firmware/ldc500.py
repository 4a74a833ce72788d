"""SRS LDC500, LDC501, LDC502 laser diode current source and TEC controller, from the Operation and Service Manual (9-01640), chapter 4.

What of the manual's command list is there, and what is refused (LCME? 2) or missing:

| section | implemented | refused or missing |
| --- | --- | --- |
| interface | *IDN *RST *CLS *OPC *TST TOKN TERM ULOC; 64 bytes in (overflow: DDE), 256 out (overflow: QYE) | display, alarm, GPIB |
| status | *STB *SRE *ESR *ESE LEXE LCME LDCR LDPT LDNT LDEV LDEN TECR TEPT TENT TEEV TEEN, by bits too | SRQ |
| laser | LDON ILOC RNGE SMOD SIBW MODU SVLM SILM SILD SCAN SYND RILD RVLD | pulse and quasi-CW commands |
| photodiode | PDMW BIAS RESP CALP SIPD PILM SWPD PWLM RIPD RWPD | |
| trips | AILM APLP APLC ATOF; interlock, over-voltage, open, TMAX, TMIN, sensor fault | trips of the TEC half |
| TEC | TEON TMOD TMLK TCUR TILM TVLM TEMP TMIN TMAX TTRD TRAW TIRD TVRD TSNR TRTH TRMN TRMX | beta and RTD constants |
| loop | TPGN TIGN TDGN TUNE TATS TMDN TMDR TSHA TSHB TSHC (kept: the reading is right anyway) | |

Sources beside the manual's pages 4-10 to 4-62: PyMeasure's driver (ILOC, RNGE, PILM, TSNR, ... and their words) and open programs for
real units (TMOD 1 is CT, SMOD 0 is CC, ILOC 0 is closed, the underscores of *IDN?). Assumed: every query of a joined line is
answered by a line of its own, as other SRS units do; numbers of LEXE? are those of SRS's DC205 (1 illegal value, 2 wrong token, 3 invalid
bit, 5 not compatible); bit 0 of LDCR and TECR is LD ON and TEC ON; defaults; before ULOC 1 nothing is answered over the LAN.
Time is the instrument's own, `time_s`: it passes by commands, and may be moved on by whoever simulates the bench.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.ldc500_commands import entries
from sim_backends.firmware.ldc500_diode import CP, NEAR_V, RANGES_MA, Laser
from sim_backends.firmware.ldc500_parse import CommandError, parsed
from sim_backends.firmware.ldc500_status import (
    COMMAND_ERROR,
    DEVICE_ERROR,
    EXECUTION_ERROR,
    NOT_COMPATIBLE,
    QUERY_ERROR,
    TEC_OPEN,
    ExecutionError,
    Status,
)
from sim_backends.firmware.ldc500_thermal import CC, RUNNING, STABLE_K, Tec
from sim_backends.firmware.troubles import Troubles

Floats = NDArray[np.float64]

BITS_A_BYTE = 10  # 8N1
COMMAND_S = 2e-3
INPUT_BYTES, OUTPUT_BYTES = 64, 256
ENDS = (b"", b"\r", b"\n", b"\r\n", b"\n\r")
CRLF = 3
STABLE_MA = 1e-3
RUNAWAY_C, MISREAD = 200.0, 1.01


class Ldc500Firmware:
    """One controller with a laser diode and a cooler.

    Args:
        model: "LDC500", "LDC501" or "LDC502". serial: its number. baud: of its serial line. lan: it is reached over its LAN port.
        room_c: where it stands.

    Attributes:
        laser, tec: its halves, with the world at their terminals. time_s: its own time.
        words: TOKN. term: TERM. unlocked: ULOC. status: registers and last errors. faults: kinds that it can have.
    """

    faults = ("refuse", "ignore", "misread", "runaway", "interlock", "power_cycle")

    def __init__(self, model: str = "LDC501", serial: int = 98023, baud: int = 9600, lan: bool = False, room_c: float = 25.0) -> None:
        if model not in RANGES_MA:
            raise ValueError(f"model = {model!r}: {', '.join(RANGES_MA)}")
        self.identity = f"Stanford_Research_Systems,{model},s/n{serial:06d},ver2.46"
        self.status, self.tec = Status(), Tec(room_c)
        self.laser = Laser(model, self.tec)
        self.laser.tripped = self._tripped
        self.term, self.unlocked, self.time_s = CRLF, int(not lan), 0.0
        self._byte_s = BITS_A_BYTE / baud
        self._input = b""
        self._commands = 0
        self._troubles = Troubles()
        self._forget()
        self._entries = entries(self)

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> Ldc500Firmware:
        """The controller of a port, or of two that are its halves; its serial number follows from the seed."""
        if channels not in (0, 1):
            raise ValueError(f"channels = {channels}: an LDC500 has one laser and one cooler; give the port a list of links")
        return cls(str(options.get("model") or "LDC501"), 1 + seed % 999_999, lan=bool(options.get("lan")))

    @property
    def currents_a(self) -> Floats:
        """(1,) through the laser diode now."""
        self._pass()
        return np.array([1e-3 * self.laser.current_ma()])

    @property
    def powers_w(self) -> Floats:
        """(1,) of light from its own diode now."""
        self._pass()
        return np.array([1e-3 * self.laser.milliwatts()])

    @property
    def temperatures_c(self) -> Floats:
        """(1,) of the plate now."""
        self._pass()
        return np.array([self.tec.temperature_c])

    @property
    def targets_c(self) -> Floats:
        """(1,) what the plate is controlled to."""
        return np.array([self.tec.target_c])

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that so many bytes on the serial line, and the commands since the last call, take."""
        seconds = (sent + received) * self._byte_s + self._commands * COMMAND_S
        self._commands = 0
        self.time_s += seconds
        return seconds

    def reset(self) -> None:
        """*RST: outputs off, defaults; TERM, ULOC and the registers stay."""
        self.laser.reset()
        self.tec.reset()
        self._forget()

    def inject(self, kind: str, value: float | None) -> None:
        """Have a fault of `faults`."""
        if kind == "interlock":
            self.laser.interlock_closed = False
        elif kind == "power_cycle":
            self.reset()
        else:
            self._troubles.begin(kind, value)

    def feed(self, data: bytes) -> bytes:
        """Replies to all lines that `data` completes."""
        replies: list[bytes] = []
        *lines, rest = data.replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            replies.append(self._answer(self._received(line)))
            self._input = b""
        self._input = self._received(rest)
        return b"".join(replies)

    def _received(self, part: bytes) -> bytes:
        """What is in the input buffer; one byte too many empties it."""
        whole = self._input + part
        if len(whole) <= INPUT_BYTES:
            return whole
        self.status.standard.happened(DEVICE_ERROR)
        return whole[len(whole) - len(whole) % (INPUT_BYTES + 1) :]

    def _answer(self, line: bytes) -> bytes:
        reply = b""
        for text in line.decode("latin-1").upper().split(";"):
            command = "".join(text.split())
            if not command or not (self.unlocked or command.startswith("ULOC")):
                continue
            self._commands += 1
            reply += self._run(command)
            if len(reply) > OUTPUT_BYTES:
                self.status.standard.happened(QUERY_ERROR)
                reply = b""
        return reply

    def _run(self, command: str) -> bytes:
        self._pass()
        try:
            entry, asks, given = parsed(command, self._entries)
            if asks and entry.ask is not None:
                value = self._misread(entry.ask(*given))
                kind = entry.takes[0] if entry.takes and not isinstance(value, str) else None
                return (str(value) if kind is None else kind.shown(value, bool(self.words))).encode() + ENDS[self.term]
            if entry.write is not None and not self._excused():
                entry.write(*given)
        except CommandError as refused:
            self.status.command = refused.number
            self.status.standard.happened(COMMAND_ERROR)
        except ExecutionError as refused:
            self.status.execution = refused.number
            self.status.standard.happened(EXECUTION_ERROR)
        self._pass()
        return b""

    def _excused(self) -> bool:
        """Whether a setting is not done, by a fault."""
        if self._troubles.take("refuse"):
            raise ExecutionError(NOT_COMPATIBLE)
        return self._troubles.take("ignore")

    def _misread(self, value: Any) -> Any:
        factor = self._troubles.value("misread", MISREAD)
        return value * factor if isinstance(value, float) and self._troubles.take("misread") else value

    def _forget(self) -> None:
        self.words, self.sensor, self.mode_locked = 0, 3, 0
        self.steinhart = {"A": 1.1e-3, "B": 2.3e-4, "C": 8e-8}

    def _tripped(self, bit: int | None) -> None:
        if bit is not None:
            self.status.ld.happened(bit)

    def _pass(self) -> None:
        """Time passes for both halves; the condition registers follow."""
        was_on = self.tec.on
        self.tec.pass_until(self.time_s)
        if "runaway" in self._troubles:
            self.tec.temperature_c = self._troubles.value("runaway", RUNAWAY_C)
        if was_on and not self.tec.on and not self.tec.connected:
            self.status.tec.happened(TEC_OPEN)
        self.laser.pass_until(self.time_s)
        laser, tec, volts = self.laser, self.tec, self.laser.volts()
        stable = bool(laser.on) and math.isclose(laser.current_ma(), laser.goal_ma, abs_tol=STABLE_MA)
        flags = (
            laser.on, laser.mode == CP, laser.bandwidth, laser.scanning, stable, laser.limited(),
            bool(laser.on) and laser.monitor_ua() > laser.limit_ua, bool(laser.on) and volts > laser.limit_v - NEAR_V,
            not laser.interlock_closed, laser.high,
        )  # fmt: skip
        self.status.ld.put({bit: bool(on) for bit, on in enumerate(flags)})
        near = abs(tec.temperature_c - tec.target_c) <= STABLE_K
        conditions = (
            tec.on, tec.mode == CC, bool(tec.on) and near, tec.tune == RUNNING, tec.current_a >= tec.limit_a, tec.current_a <= -tec.limit_a,
            abs(tec.current_a) * tec.plate.ohms >= tec.limit_v, not tec.connected, tec.temperature_c > tec.high_c,
            tec.temperature_c < tec.low_c,
        )  # fmt: skip
        self.status.tec.put({bit: bool(on) for bit, on in enumerate(conditions)})
