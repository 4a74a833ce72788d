"""Keithley 2400 source meter with a resistor at its terminals, from the 2400 Series User's Manual (2400S-900-01), sections 6 to 18.

What of the manual's command list is there, and what is refused (-113 unless said otherwise) or missing:

| subsystem | implemented | refused or missing |
| --- | --- | --- |
| common | *CLS *ESE *ESR *IDN *OPC *OPT *RST *SRE *STB *TRG *TST *WAI *SAV *RCL | *PUD *LRN |
| CALCulate | CALC3 of the buffer; CALC2:NULL is kept, not applied | CALC1:STAT ON -224; CALC1 expressions, CALC2 limits |
| DISPlay | ENAB, CND, DIG, WIND1 and 2 TEXT | ATTR, DATA? |
| FORMat | ELEM, DATA ASC and REAL,32, BORD | SREG HEX, OCT, BIN -224; ELEM:CALC, SOUR2 |
| OUTPut, ROUTe | all: four off states, enable line (+802), terminals | |
| SENSe | FUNC, CONC, RANG (+824), AUTO, NPLC, PROT (+826), TRIP, AVER; RES:MODE and OCOM kept | AVER:ADV, MED |
| SOURce | FUNC, MODE, RANG (-221), levels (-222), STAR to CENT, DEL, SWE, LIST of 100, CLE; VOLT:PROT, SOC, TTL kept | MEM, PULS, SFAC |
| STATus, SYSTem | MEAS QUES OPER QUE; ERR BEEP AZER RSEN LFR GUAR TIME PRES VERS KEY POS | STAT:QUE:ENAB, SYST:RCM, CCH |
| TRACe | DATA FREE POIN ACT CLE FEED FEED:CONT; TST:FORM kept | FEED CALC stores the readings |
| ARM, TRIGger | both layers, counts (-221), IMM BUS TIM, others by `pulse`; INIT (-213) ABOR CLE | hold-off of commands |
| one-shot | READ FETC (-230) MEAS CONF | |

Departures: with the output off READ?, INIT and MEAS? measure what is at the terminals then; with `strict_output` they do what the
manual says (READ? and INIT are +803, MEAS? switches the output on). Time passes only by commands and readings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim_backends.firmware.keithley2400_commands import all_commands
from sim_backends.firmware.keithley2400_source import Terminals, driven, other, quantised, range_of, switched_off
from sim_backends.firmware.keithley2400_trigger import Acquisition
from sim_backends.firmware.scpi import ScpiInstrument
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command

Floats = NDArray[np.float64]

WORDS = {
    -222: "Parameter data out of range", 800: "Illegal with storage active", 802: "OUTPUT blocked by output enable",
    803: "Not permitted with OUTPUT off", 824: "Cannot exceed compliance range", 826: "Attempt to exceed power limit",
    830: "Invalid with INF ARM:COUNT",
}  # fmt: skip
REGISTERS = {0: "MEASurement", 3: "QUEStionable", 7: "OPERation"}
ERRORS_KEPT = 10
SECTION_OHM = 20.0  # about that of a forward-biased gain section
LONGEST_MESSAGE = 1 << 16
BYTES_PER_S = 1e5  # of the bus, GPIB as programs see it
COMMAND_S = 1e-3  # the manual promises no more than about a thousand commands a second


class Keithley2400Firmware(ScpiInstrument):
    """One source meter.

    Args:
        load_ohm: at its terminals; infinity is open. noise: of a reading, in full scales of its range. seed: of that noise.
        serial: its number. strict_output: see above.

    Attributes:
        loads_ohm: (1,) may be written while it runs. interlock_closed: the output-enable line. time_s: the instrument's own time.
    """

    def __init__(
        self, load_ohm: ArrayLike = 1000.0, noise: float = 1e-5, seed: int = 0, serial: int = 1, strict_output: bool = False
    ) -> None:  # fmt: skip
        self.loads_ohm: Floats = np.broadcast_to(np.asarray(load_ohm, np.float64), (1,)).copy()
        if not (self.loads_ohm >= 0).all() or not 0 <= noise < 1:
            raise ValueError(f"load_ohm = {self.loads_ohm[0]:g}, noise = {noise:g}: not negative, and 0 to 1")
        self.noise, self.strict_output = noise, strict_output
        self.random = np.random.default_rng(seed)
        self.interlock_closed = True
        self.time_s, self._busy_s = 0.0, 0.0
        self._saved: dict[int, dict[str, Any]] = {}
        self._told: tuple[float, float] | None = None
        self.acquisition = Acquisition(self)
        identity = f"KEITHLEY INSTRUMENTS INC.,MODEL 2400,{serial:07d},C33   Mar 31 2015 09:32:39/A02  /K/J"
        super().__init__(identity, REGISTERS, ERRORS_KEPT, WORDS, "1996.0", LONGEST_MESSAGE)

    faults = (*ScpiInstrument.faults, "interlock")

    def inject(self, fault: str, value: float | None) -> None:
        """As every SCPI instrument; and the output-enable line may open."""
        if fault == "interlock":
            self.interlock_closed = False
        else:
            super().inject(fault, value)

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> Keithley2400Firmware:
        """The instrument that a port's options need: one channel; its serial number follows from the seed."""
        if channels not in (0, 1):
            raise ValueError(f"channels = {channels}: a 2400 has one; give the port a list of links")
        return cls(options.get("load_ohm", SECTION_OHM), float(options.get("noise", 1e-5)), seed, 1 + seed % 4_000_000)

    def commands(self) -> list[Command]:
        """All that keithley2400_commands.py lists."""
        return all_commands(self)

    @property
    def currents_a(self) -> Floats:
        """(1,) what really flows."""
        return np.array([self.terminals().amperes])

    @property
    def voltages_v(self) -> Floats:
        """(1,) what really is across the load."""
        return np.array([self.terminals().volts])

    def changes(self) -> tuple[list[int], list[float], list[float]]:
        """(channels, volts, amperes): the one channel if what is at it changed since the last call."""
        now = self.terminals()
        if self._told == (now.volts, now.amperes):
            return [], [], []
        self._told = now.volts, now.amperes
        return [0], [now.volts], [now.amperes]

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that so many bytes, and the measurements since the last call, take."""
        busy, self._busy_s = self._busy_s, 0.0
        wire = COMMAND_S + (sent + received) / BYTES_PER_S
        self.time_s += wire
        return wire + busy

    def feed(self, data: bytes) -> bytes:
        """Responses to all messages that `data` completes, and to a READ? whose triggers have come since."""
        return self.acquisition.late() + super().feed(data)

    def pulse(self) -> None:
        """A pulse on the trigger link (TLIN), or whatever the layer that waits is waiting for."""
        self.acquisition.event()

    def busy(self, seconds: float) -> None:
        """The instrument's own time passes."""
        self.time_s += seconds
        self._busy_s += seconds

    def reset(self) -> None:
        """*RST: output off, idle, all settings as after power-on; buffer and errors stay."""
        self.acquisition.abort()
        super().reset()

    def trigger(self) -> None:
        """*TRG."""
        self.acquisition.bus_trigger()

    def save(self, number: int) -> None:
        """*SAV: the settings, without the output being on."""
        self._saved[number] = {**self.values, "output": False}

    def recall(self, number: int) -> None:
        """*RCL."""
        self.acquisition.abort()
        self.values = dict(self._saved.get(number, self._defaults))

    def clear(self) -> None:
        """Device clear: idle again."""
        self.acquisition.abort()
        super().clear()

    def switch(self, on: bool) -> bool:
        """Whether the output may be switched so."""
        if on and self.values["enable_line"] and not self.interlock_closed:
            self.status.registers["MEASurement"].happened(11)
            raise ScpiError(802)
        return on

    def full_scale(self, kind: str, function: str) -> float:
        """105 % of the range in use of the source or the sense side, as its automatic chooses it."""
        if not self.values[f"{kind}_{function}_auto"]:
            return float(self.values[f"{kind}_{function}_range"])
        if kind == "source":
            return range_of(function, self.values[f"level_{function}"])
        now = self.terminals()
        return range_of(function, now.volts if function == "VOLT" else now.amperes)

    def terminals(self) -> Terminals:
        """What is at the load now; an open enable line switches the output off."""
        if self.values["output"] and self.values["enable_line"] and not self.interlock_closed:
            self.values["output"] = False
        if not self.values["output"]:
            return switched_off(self.values["off_state"])
        source = self.values["function"]
        limited = other(source)
        limit = abs(self.values[f"compliance_{limited}"])
        if not self.values[f"sense_{limited}_auto"]:
            limit = min(limit, self.values[f"sense_{limited}_range"])  # range compliance
        level = quantised(source, self.values[f"level_{source}"], self.full_scale("source", source))
        return driven(source, level, limit, float(self.loads_ohm[0]))
