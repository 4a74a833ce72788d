"""Thorlabs PM100D power meter with a sensor head in a beam, from the PM100D manual, section 6.4 (SCPI of PM100A and PM100USB, too).

What of the manual's command list is there, and what is refused (-113 unless said otherwise) or missing:

| subsystem | implemented | refused or missing |
| --- | --- | --- |
| common | *CLS *ESE *ESR *IDN *OPC *RST *SRE *STB *TRG *TST *WAI | |
| one-shot | INIT ABOR CONF? READ? FETC? (-230 before a reading) MEAS, CONF: POW CURR VOLT FREQ PDEN TEMP RES | ENER, EDEN -241 |
| SENSe:CORR | COLL:ZERO (-221 in the light), WAV, POW:PDI and THER:RESP, BEAM, LOSS:INP:MAGN | ENER:PYRO:RESP -241 |
| SENSe | POW RANG REF UNIT, CURR and VOLT RANG REF, AVER:COUN, FREQ:RANG?, PEAK:THR kept | ENER:RANG, REF -241 |
| INPut | PDI:FILT:LPAS (noise; its lag of 10 ms is missing), ADAP:TYPE and THER:ACC kept | a thermopile's lag |
| STATus | MEAS AUX OPER QUES with PTR and NTR; QUES bit 3 over-range, OPER bit 0 zeroing | other condition bits |
| SYSTem | BEEP SENS:IDN ERR VERS DATE TIME LFR COMM:SER:BAUD, kept | |
| DISPlay, CALibration | BRIG CONT kept, CAL:STR? | |

The words of SYST:SENS:IDN? have no quotes, as real meters answer. Sensors: S130C (Si), S155C (InGaAs), S302C (thermopile), or none.
Time passes only by commands and readings: 1/3000 s an averaged sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_backends.firmware.pm100_commands import all_commands
from sim_backends.firmware.pm100_measure import HARDWARE_MISSING, NOISE, NOT_A_NUMBER, OVER_RANGE, Meter
from sim_backends.firmware.pm100_sensor import SENSORS, Sensor, sensor_for
from sim_backends.firmware.pm100_status import Filtered
from sim_backends.firmware.scpi import ScpiInstrument
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command

Floats = NDArray[np.float64]

REGISTERS = {0: "MEASurement", 1: "AUXillary", 3: "QUEStionable", 7: "OPERation"}
ERRORS_KEPT = 20
LONGEST_MESSAGE = 1 << 12
MESSAGE_S, BYTES_PER_S = 2e-4, 1e6  # of a message over USB


class Pm100Firmware(ScpiInstrument):
    """One meter with one head.

    Args:
        sensor: name of the head, "" for none. seed: of its noise. serial: its number. offset_a: what it measures in the dark, A or V.
        noise: of one sample, in full scales of the range. model: as identified.

    Attributes:
        inputs: watts on the head (T, 1) at (T,) seconds after a reading began; dark by default. It has no trigger output.
        light_nm: of that light; None: whatever is set. time_s: the meter's own time. sensor_c: of the head. frequency_hz: of chopped light.
    """

    unit = "W"  # of its inputs
    faults = (*ScpiInstrument.faults, "saturated", "nan")

    def __init__(
        self, sensor: str = "S130C", seed: int = 0, serial: int = 1, offset_a: float = 2e-10, noise: float = NOISE, model: str = "PM100D"
    ) -> None:
        if sensor and sensor not in SENSORS:
            raise ValueError(f"sensor = {sensor!r}: {', '.join(SENSORS)}, or none")
        self.sensor: Sensor | None = SENSORS[sensor] if sensor else None
        self.inputs: Callable[[Floats], Floats] = lambda times_s: np.zeros((len(times_s), 1))
        self.light_nm: float | None = None
        self.offset_a, self.noise, self.serial = offset_a, noise, serial
        self.random = np.random.default_rng(seed)
        self.time_s, self._busy_s = 0.0, 0.0
        self.sensor_c, self.frequency_hz = 23.0, 0.0
        self.meter = Meter(self)
        super().__init__(f"Thorlabs,{model},P{serial:07d},2.4.0", REGISTERS, ERRORS_KEPT, {HARDWARE_MISSING: "Hardware missing"},
                         "1999.0", LONGEST_MESSAGE)  # fmt: skip

    @classmethod
    def for_port(cls, options: Mapping[str, Any], channels: int, seed: int) -> Pm100Firmware:
        """A meter with the head for the port's wavelength; its serial number follows from the seed."""
        if channels not in (0, 1):
            raise ValueError(f"channels = {channels}: a PM100 has one; give the port a list of links")
        return cls(sensor_for(options.get("wavelength_nm")), seed, 1 + seed % 9_999_999)

    def common(self) -> list[Command]:
        """The common commands; the registers below STATus get their transition filters."""
        self.status.registers.update({name: Filtered() for name in self.status.registers})
        return super().common()

    def commands(self) -> list[Command]:
        """All that pm100_commands.py lists."""
        return all_commands(self)

    def head(self) -> Sensor:
        """The sensor (-241: none)."""
        if self.sensor is None:
            raise ScpiError(HARDWARE_MISSING)
        return self.sensor

    def current(self, duration_s: float, points: int) -> float:
        """Mean A or V of the head over so long, its dark signal included."""
        times_s: Floats = np.asarray((np.arange(points) + 0.5) * (duration_s / points), np.float64)
        watts = np.asarray(self.inputs(times_s), np.float64)
        if watts.shape != (points, 1):
            raise ValueError(f"inputs gave {watts.shape}, not {(points, 1)}")
        nm = self.values["nm"] if self.light_nm is None else self.light_nm
        return float(watts.mean()) * self.head().at(nm) + self.offset_a

    def wire_s(self, sent: int, received: int) -> float:
        """Seconds that so many bytes, and the readings since the last call, take."""
        busy, self._busy_s = self._busy_s, 0.0
        wire = MESSAGE_S + (sent + received) / BYTES_PER_S
        self.time_s += wire
        return wire + busy

    def trouble(self) -> float | None:
        """What it gives in place of any reading, if it is at fault."""
        return NOT_A_NUMBER if "nan" in self._troubles else OVER_RANGE if "saturated" in self._troubles else None

    def busy(self, seconds: float) -> None:
        """The meter's own time passes."""
        self.time_s += seconds
        self._busy_s += seconds

    def reset(self) -> None:
        """*RST: all settings as after power-on; the zero and errors stay."""
        super().reset()
        self.meter.forget()
        self.meter.end_zero()
