"""Keysight 33500B/33600A waveform generator of two channels, from the Trueform Series Operating and Service Guide (33500-90901).

What of the manual's command list is there, and what is refused (-113 unless said otherwise) or missing:

| subsystem | implemented | kept without effect | refused or missing |
| --- | --- | --- | --- |
| common | *CLS *ESE *ESR *IDN *LRN *OPC *OPT *PSC *RCL *RST *SAV *SRE *STB *TRG *TST *WAI | | *LRN answers its own words |
| APPLy | all functions, and the query | | |
| DATA, FORMat | ARB and ARB:DAC (lists, blocks), SEQ, VOL:CAT FREE CLE, ATTR, BORD | | ARB2 |
| FUNCtion | SIN SQU TRI RAMP PULS PRBS NOIS ARB DC with their times, ARB:SRAT FILT FREQ PER PTP | ARB:ADV, NOIS:BAND | PRBS edges |
| FREQuency, PHASe | CW, PHAS | sweep ends, LIST, COUP; SYNC, REF | PHAS:ARB, UNL; UNIT:ANGL RAD -224 |
| VOLTage | amplitude, units, OFFS HIGH LOW LIM COUP | RANG | |
| OUTPut | state, LOAD, POL | SYNC, TRIG, MODE | |
| BURSt, TRIGger | TRIG mode, NCYC PHAS INT:PER, all sources, TRIG:IMM, INIT ABOR | GAT, LEV SLOP COUN | |
| SWEep, AM to SUM | states that exclude each other (-221) | everything else | |
| MMEMory | LOAD:DATA STOR:DATA DEL CAT | | states, folders, up- and download |
| STATus, SYSTem, DISPlay | ERR BEEP VERS LOC REM; TEXT | DISP:FOC VIEW UNIT | LAN, calibration, LXI, HCOPy |

Numbers out of range are set to the nearest limit and reported (-222), what another setting changes is reported (-221), as the manual
says. Departures: filters, trigger delay, sweep, modulation and gates do nothing to the output; *OPC? and *WAI never wait. A sequence
that bursts is -221, as the instrument does, though its data sheet promises it; a sequence waits by onceWaitTrig for the trigger that
TRIGger:SOURce names. The manual has no number for levels beyond VOLTage:LIMit (-221 here), nor, as far as could be read, for a name
that exists (786 here). It says both that a code of 32767 is half the amplitude and that the amplitude is limited by the part of the
range that the data span: the first is done, and with `spans` the second, by which the amplitude is that of the data themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.keysight33500_data import arb_commands, data_commands
from sim_backends.firmware.keysight33500_files import file_commands
from sim_backends.firmware.keysight33500_functions import apply_commands, shape_commands, time_commands
from sim_backends.firmware.keysight33500_levels import Levels, level_commands
from sim_backends.firmware.keysight33500_limits import MODELS, WORDS, Errors
from sim_backends.firmware.keysight33500_memory import Memory
from sim_backends.firmware.keysight33500_modes import burst_commands, modulation_commands, trigger_commands
from sim_backends.firmware.keysight33500_outputs import Outputs
from sim_backends.firmware.keysight33500_settings import CHANNELS
from sim_backends.firmware.keysight33500_system import system_commands
from sim_backends.firmware.scpi import ScpiInstrument
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.troubles import Troubles

Floats = NDArray[np.float64]

REGISTERS = {3: "QUEStionable", 7: "OPERation"}
ERRORS_KEPT = 20
LONGEST_MESSAGE = 1 << 24
BYTES_PER_S = 2e6  # into its memory over LAN: a million samples take about a second
COMMAND_S = 2e-3
GROUPS = (
    system_commands, level_commands, shape_commands, time_commands, arb_commands, apply_commands, burst_commands, trigger_commands,
    modulation_commands, data_commands, file_commands,
)  # fmt: skip


class Keysight33500Firmware(ScpiInstrument):
    """One generator and what is at its outputs.

    Args:
        model: "33522B", "33512B" or "33622A". loads_ohm: at both outputs; None: always what OUTPut:LOAD says. seed: of noise.
        serial: its number. spans: see above.

    Attributes:
        memory: channel -> what it holds. files, saved: what outlasts a power cut. outputs: what they do. time_s: the instrument's own time.
        faults: kinds that it can have.
    """

    faults = (*ScpiInstrument.faults, "stuck", "no_trigger")

    def __init__(
        self, model: str = "33522B", loads_ohm: float | None = None, seed: int = 0, serial: int = 1, spans: bool = False
    ) -> None:  # fmt: skip
        if model not in MODELS or not (loads_ohm is None or loads_ohm > 0):
            raise ValueError(f"model = {model!r}, loads_ohm = {loads_ohm}: {', '.join(MODELS)}; positive")
        self.model, self.spans = MODELS[model], spans
        self.troubles = Troubles()
        self.memory = self._empty()
        self.files: dict[str, Any] = {}
        self.saved: dict[int, dict[str, Any]] = {}
        self.time_s = 0.0
        self.levels, self.outputs = Levels(self), Outputs(self, loads_ohm, seed)
        identity = f"{self.model.maker},{model},MY{serial:08d},{self.model.firmware}"
        super().__init__(identity, REGISTERS, ERRORS_KEPT, longest=LONGEST_MESSAGE)
        self.status.errors = Errors(ERRORS_KEPT, WORDS)

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> Keysight33500Firmware:
        """The generator that a port's options need; its serial number follows from the seed."""
        if channels not in (0, 1, 2):
            raise ValueError(f"channels = {channels}: a generator has two; give the port a list of links")
        return cls(str(options.get("model") or "33522B"), options.get("load_ohm"), seed, 1 + seed % 99_999_999)

    def commands(self) -> Iterable[Command]:
        """All that the modules beside this one list."""
        return [one for group in GROUPS for one in group(self)]

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that so many bytes take."""
        wire = COMMAND_S + (sent + received) / BYTES_PER_S
        self.time_s += wire
        return wire

    def reset(self) -> None:
        """*RST: outputs off, all settings as after power-on; waveforms stay in memory."""
        super().reset()
        self.outputs.initiated = dict.fromkeys(CHANNELS, False)
        self.outputs.restart()

    def _empty(self) -> dict[int, Memory]:
        return {n: Memory(self.model.least_points, self.model.memory) for n in CHANNELS}

    def power_cycle(self) -> None:
        """As after the mains came back: its volatile memory is empty too."""
        self.memory = self._empty()
        super().power_cycle()

    def inject(self, fault: str, value: float | None) -> None:
        """As every SCPI instrument; and an output may be stuck at 0 V, and an edge at the trigger input not be noticed."""
        if fault in ("stuck", "no_trigger"):
            self.troubles.begin(fault, value, len(CHANNELS) if fault == "stuck" else 0)
        else:
            super().inject(fault, value)

    def save(self, place: int) -> None:
        """*SAV."""
        self.saved[place] = {**self.values, "selected": {n: self.memory[n].selected for n in CHANNELS}}

    def recall(self, place: int) -> None:
        """*RCL."""
        if place not in self.saved:
            raise ScpiError(810)
        stored = dict(self.saved[place])
        for n, name in stored.pop("selected").items():
            self.memory[n].selected = name if name in self.memory[n].names else self.memory[n].names[0]
        self.values = stored
        self.outputs.restart()

    def trigger(self) -> None:
        """*TRG: to every channel whose trigger source is BUS."""
        waiting = [n for n in CHANNELS if self.values[f"trigger{n}"] == "BUS"]
        if not [n for n in waiting if self.outputs.edge(n)]:
            raise ScpiError(-211)

    def external_trigger(self) -> None:
        """An edge at the trigger input: to every channel whose trigger source is EXT and that waits for it."""
        if self.troubles.take("no_trigger"):
            return
        for n in CHANNELS:
            if self.values[f"trigger{n}"] == "EXT":
                self.outputs.edge(n)

    @property
    def volts_v(self) -> Floats:
        """(2,) at the loads: what running functions do now, and the level at which bursts and sequences wait."""
        times = [np.array([-1.0 if self.outputs.rests(n) else self.time_s]) for n in CHANNELS]
        return self._real(np.concatenate([self.outputs.volts(n, time) for n, time in zip(CHANNELS, times, strict=True)]))

    def sampled(self, times_s: Floats) -> Floats:
        """(T, 2) volts at the loads, so many seconds after the last trigger."""
        times = np.asarray(times_s, np.float64)
        return self._real(np.stack([self.outputs.volts(n, times) for n in CHANNELS], axis=1))

    def _real(self, volts: Floats) -> Floats:
        if "stuck" in self.troubles:
            volts[..., self.troubles.index("stuck", len(CHANNELS))] = 0.0
        return volts
