"""Red Pitaya STEMlab 125-14 and its SCPI server (TCP port 5000), from the command list of its documentation and the server's source.

Messages end with `\\r\\n`, replies too. The server answers several queries of one message in one line, joined by `;`. A query that
is refused is not answered at all: SYST:ERR? says why. `os="1.04"` is the server of before 2.00, in what is named after the semicolon.

| subsystem | implemented | refused or missing (-113) |
| --- | --- | --- |
| common | *CLS *ESE *ESR *IDN *OPC *RST (changes nothing) *SRE *STB *TST *WAI | *TRG |
| SYSTem | ERR, ERR:COUN, VERS, BRD, TIME, DATE; no BRD, TIME, DATE, and every error also writes `ERR!` without an end | Help |
| ACQ | START STOP RST DEC DEC:F SRAT AVG TRIG STAT FILL DLY DLY:NS HYST LEV GAIN WPOS TPOS; no FILL, DEC:F | AXI, COUP |
| ACQ:DATA | UNITS FORMAT, all, STA:N, STA:END, OLD:N, LAT:N, TRIG; no FORMAT?, blocks without an end, RAW lengths doubled | SPLIT |
| OUTPUT, SOUR, GEN | STATE FREQ FUNC VOLT OFFS PHAS DCYC TRAC BURS INIT TRIG:SOUR TRIG:INT PHAS:ALIGN; IMM for INT | LOAD, Sweep |
| DIG, ANALOG, LED | pins, directions, slow inputs and outputs | |
| DAISY, RP:LOG | kept, without effect | UART, SPI, I2C, CAN, LCR |

Decimations are powers of two up to 65536 (-109 else, as the server says it), with DEC:F also any number from 16. An enabled output waits
at its initial value for a trigger, as from 2.00 on. What the library refuses is told as 9500 and its own number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.redpitaya_acquire import Acquisition
from sim_backends.firmware.redpitaya_acquire_commands import acquire_commands
from sim_backends.firmware.redpitaya_board import BEGAN, Pins, board_commands
from sim_backends.firmware.redpitaya_generate import OUTPUTS, Generator
from sim_backends.firmware.redpitaya_generate_commands import generator_commands
from sim_backends.firmware.redpitaya_values import WORDS
from sim_backends.firmware.scpi import ScpiInstrument
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.troubles import Troubles

Floats = NDArray[np.float64]
Light = Callable[[Floats], Floats]
END = b"\r\n"
LONGEST = 538688  # bytes of a message
MOST_PENDING = 1 << 22
WAVEFORM = re.compile(rb":?SOUR(\d{0,3}):TRAC:DATA:DATA\s+([-+.\dE,\s]+)", re.IGNORECASE)
WIRE_S, BYTES_PER_S = 2.5e-4, 1e7  # of an exchange over gigabit Ethernet with this processor
IDENTITIES = {"1.04": ("REDPITAYA,INSTR2020,0,01-02", "1999.0"), "2.05": ("REDPITAYA,INSTR2023,0,05-03", "2.05-37 (emulated)")}


class RedPitayaFirmware(ScpiInstrument):
    """One board: two inputs and two outputs, or four inputs.

    Args:
        channels: inputs, 2 or 4. seed: of noise and of the board's calibration. noise: of a sample, in ranges (standard deviation).
        os: of the server, "2.05" or "1.04". calibration_error: standard deviation of the inputs' gains; their offsets are of 10 codes.

    Attributes:
        inputs: (T,) seconds after the last trigger (negative before it) -> (T, channels) volts at the inputs; called when it records.
        on_fire: called before something is recorded or played that a command of its own starts, and by a rising edge of an output pin.
        faults: kinds that it can have. time_s: the instrument's own time.
        calibration: (gain, offset in codes) of each input, which VOLTS corrects and RAW does not.
    """

    def __init__(
        self, channels: int = 2, seed: int = 0, noise: float = 3e-4, os: str = "2.05", calibration_error: float = 0.005
    ) -> None:  # fmt: skip
        if channels not in (2, 4) or os not in IDENTITIES or not 0 <= noise < 1:
            raise ValueError(f"channels = {channels}, os = {os!r}, noise = {noise:g}: 2 or 4; {', '.join(IDENTITIES)}; 0 to 1")
        self.troubles = Troubles()
        self.new, self.noise, self.random = os != "1.04", noise, np.random.default_rng(seed)
        drawn = self.random.standard_normal((channels, 2)) if calibration_error else np.zeros((channels, 2))
        self.calibration = [(1 + calibration_error * float(gain), round(10 * float(offset))) for gain, offset in drawn]
        self.board_name = "STEMlab 125-14 v1.0" if channels == 2 else "STEMlab 125-14 4-Input v1.0"
        self.inputs: Light = lambda times_s: np.zeros((len(times_s), channels))
        self.on_fire: Callable[[], None] = lambda: None
        self.time_s, self._event_s, self.epoch = 0.0, 0.0, BEGAN
        self._pending = bytearray()
        self.generator, self.pins = Generator(self, OUTPUTS if channels == 2 else 0), Pins(self)
        self.values = {"trigger": "DISABLED", "decimation": 1}
        self.acquisition = Acquisition(self, channels)
        identity, version = IDENTITIES[os]
        super().__init__(identity, {3: "QUEStionable"}, 16, WORDS, version, LONGEST)

    faults = (*ScpiInstrument.faults, "stuck", "saturated", "no_trigger")

    def inject(self, fault: str, value: float | None) -> None:
        """As every SCPI instrument; and an output may be stuck at 0 V, an input at the end of its range, and a trigger may not come."""
        if fault in ("stuck", "saturated", "no_trigger"):
            self.troubles.begin(fault, value, {"stuck": OUTPUTS, "saturated": self.acquisition.channels}.get(fault, 0))
        else:
            super().inject(fault, value)

    def power_cycle(self) -> None:
        """The board starts again, which *RST does not do."""
        super().power_cycle()
        self.reset_board()

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> RedPitayaFirmware:
        """The board that the options of its ports need; calibration and noise follow from the seed."""
        return cls(int(options.get("channels", 2)), seed)

    def common(self) -> list[Command]:
        """Without *TRG, SYST:ERR:ALL and what else the server does not have."""
        missing = (":SYSTem:ERRor:ALL", ":SYSTem:ERRor:CODE[:NEXT]", ":STATus:QUEue[:NEXT]", ":STATus:QUEue:CLEar")
        return [*(c for c in super().common() if c.pattern != "*TRG"), *map(Command, missing)]

    def commands(self) -> Iterable[Command]:
        """Everything that has a file of its own."""
        for key, value in (("trigger", "DISABLED"), ("loop", False)):
            self.default(key, value)
        return [*acquire_commands(self), *generator_commands(self), *board_commands(self)]

    @property
    def volts_v(self) -> Floats:
        """(outputs,) what the fast outputs give now."""
        return np.asarray(self._played(np.array([self.time_s]))[0])

    def sampled(self, times_s: Floats) -> Floats:
        """(T, outputs) volts of the fast outputs at these times after the last trigger."""
        return self._played(self._event_s + np.asarray(times_s, np.float64))

    def light(self, times_s: NDArray[Any]) -> Floats:
        """(T, channels) volts at the inputs at these times of the instrument."""
        volts = self._played(times_s) if self.values["loop"] else self.inputs(times_s - self._event_s)
        return np.asarray(volts, np.float64).reshape(len(times_s), self.acquisition.channels)

    def external_trigger(self) -> None:
        """A rising edge at the trigger input (DIO0_P)."""
        self._event_s = self.time_s
        started = self.generator.external(self.time_s, "EXT_PE")
        self.acquisition.event("EXT_PE", *(["AWG_PE", "AWG_NE"] if started else []))

    def fire(self, begin: Callable[[], Any], *sources: str) -> None:
        """Something that a command starts now: what it begins, what else hears of it, then the inputs if they wait for it."""
        self._event_s = self.time_s
        begin()
        self.on_fire()
        self.acquisition.event(*sources)

    def fire_outputs(self, channels: list[int]) -> None:
        """SOUR:TRIG:INT of these outputs; those that are off stay idle."""
        if any(self.values[f"output{n}"] for n in channels):
            self.fire(lambda: self.generator.start(channels, self.time_s), "AWG_PE", "AWG_NE")

    def reset(self) -> None:
        """*RST: the server takes no notice."""

    def reset_acquisition(self) -> None:
        """ACQ:RST."""
        self.acquisition.stop()
        self._default("decimation", "average", "trigger", "delay", "hysteresis", "trigger_level", "units", "format", "gain")

    def reset_generator(self) -> None:
        """GEN:RST."""
        self.generator.clear()
        names = ("output", "func", "freq", "volt", "offset", "phase", "duty", "mode", "cycles", "repeats", "period", "last", "init")
        self._default(*names, "gen_source")

    def reset_board(self) -> None:
        """RP:RESET."""
        self.pins.reset_digital()
        self.pins.reset_slow()
        self.reset_generator()
        self.reset_acquisition()

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that an exchange of so many bytes takes."""
        wire = WIRE_S + (sent + received) / BYTES_PER_S
        self.time_s += wire
        return wire

    def feed(self, data: bytes) -> bytes:
        """Responses to all messages that `data` completes."""
        self._pending += data
        if len(self._pending) > MOST_PENDING:
            self._pending.clear()
            self.status.error(-363)
        *messages, rest = bytes(self._pending).split(END)
        self._pending = bytearray(rest)
        return b"".join(self._answer(part) for message in messages for part in message.split(b"\n"))

    def _answer(self, message: bytes) -> bytes:
        """The reply to one message; before 2.00 errors shout, and blocks have no end."""
        errors = len(self.status.errors)
        response = self.execute(message) if len(message) < LONGEST else self._refuse(-363)
        shouted = b"" if self.new else b"ERR!" * (len(self.status.errors) - errors)
        return shouted + response + (END if response and (self.new or not response.startswith(b"#")) else b"")

    def _unit(self, unit: bytes, path: tuple[str, ...]) -> tuple[tuple[str, ...], bytes | None]:
        """Waveforms are read at once; they may have 16,384 numbers."""
        found = WAVEFORM.fullmatch(unit) if len(unit) > 256 and (not path or unit[:1] == b":") else None
        if found is None:
            return super()._unit(unit, path)
        try:
            data = np.array(found[2].split(b","), np.float64)
        except ValueError:
            raise ScpiError(-121) from None
        self.generator.load(int(found[1] or 1), data)
        return (f"SOUR{found[1].decode()}", "TRAC", "DATA"), None

    def _default(self, *names: str) -> None:
        wanted = re.compile(rf"({'|'.join(names)})\d?")
        self.values.update({key: value for key, value in self._defaults.items() if wanted.fullmatch(key)})

    def _played(self, times_s: NDArray[Any]) -> Floats:
        played = [self.generator.volts(n, times_s) for n in range(1, self.generator.outputs + 1)]
        if "stuck" in self.troubles and played:
            played[self.troubles.index("stuck", len(played))][:] = 0.0
        return np.stack(played, axis=1) if played else np.zeros((len(times_s), 0))
