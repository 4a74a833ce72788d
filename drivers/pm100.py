"""Thorlabs PM100 optical power meter (PM100D, PM100A, PM100USB, PM101, PM400) as one photodetector, from the PM100D manual, section 6.4.

SCPI: `:SENS:POW:RANG:UPP`, `:SENS:AVER:COUN`; `READ?` measures and answers; `:SYST:ERR?` gives `0,"No error"` or what was refused.
No trigger input: as the bench's trigger, `fire` takes one reading after another, under whatever is held. The first `arm` writes
the settings; the constructor reads only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from drivers.pm100_options import Pm100Options, sensor_of
from drivers.scpi_line import ScpiLine
from labonn.channels import ChannelSpec, Floats
from labonn.errors import DesyncError, IdentityError, LimitError, ReadingError, TableError, UnknownStateError
from labonn.links import Link
from labonn.units import format_quantity

MESSAGE_S = 1e-3  # of a reading, beside its averaging
WAVELENGTH_SETTABLE, PHOTODIODE = 32, 1  # flag and type in :SYST:SENS:IDN?
MOST = ":SENS:POW:RANG:UPP? MAX"
OVER_RANGE, NOT_A_NUMBER = 9.9e37, 9.91e37
ECHO = 1e-5
MOST_POLLS = 20_000
TAGS = 255  # numbers that the event status enable register, which is not used otherwise, can hold
MODELS = re.compile(r"thorlabs,\s*PM\d", re.IGNORECASE)


class Pm100:
    """One channel in watts, software-timed; can be the bench's trigger.

    Attributes:
        sensor: name and serial number of the sensor head. saturated: readings of the last record beyond the range, given as its full scale.
    """

    Options: ClassVar[type] = Pm100Options
    kind: ClassVar[str] = "Photodetectors"
    transport: ClassVar[str] = "visa"
    link_options: ClassVar[dict[str, Any]] = {"write_end": "\n", "read_end": "\n", "timeout_s": 5.0}
    idn: ClassVar[str] = r"Thorlabs,PM1"

    def __init__(self, link: Link, options: Pm100Options, port: str) -> None:
        self._line, self._options, self._port = ScpiLine(link, port, ":SYST:ERR?"), options, port
        self.identity = ",".join(self._line.ask("*IDN?").split(",")[:3])
        if not MODELS.match(self.identity):
            raise IdentityError(f"{port}: answers {self.identity!r} to '*IDN?'; a power meter answers 'THORLABS,PM100D,…'")
        self.sensor, self._type, flags = sensor_of(port, self._line.ask(":SYST:SENS:IDN?"))
        if flags & WAVELENGTH_SETTABLE:
            self._check_wavelength(*self._line.numbers(":SENS:CORR:WAV? MIN;:SENS:CORR:WAV? MAX", 2))
        lower, upper, step, settle_s = map(np.asarray, (0.0, self._line.numbers(MOST, 1)[0], 0.0, 0.0))
        self.spec = ChannelSpec((self.sensor.split(",")[0],), "W", lower, upper, step, settle_s)
        self._range_w, self._ready, self._averaged = float(upper), False, 0
        self._shots, self.saturated, self._tag = 0, 0, 0
        self._record: Floats | None = None

    @property
    def full_scale(self) -> Floats:
        """(1,) watts, the range taken."""
        return np.array([self._range_w])

    def set_range(self, full_scale_w: float | Floats) -> Floats:
        """Take the smallest range that holds `full_scale_w` watts, at this wavelength; (1,) the range taken.

        Raises:
            LimitError: beyond the largest range. UnknownStateError: the meter took a smaller range than was asked for.
        """
        wanted = float(np.broadcast_to(np.asarray(full_scale_w, np.float64), (1,))[0])
        self._set_up()
        return np.array([self._take_range(wanted)])

    def arm(self, shots: int, dwell_s: float) -> None:
        """Prepare so many readings, each averaged over what a shot has room for.

        Raises:
            TableError: a shot is shorter than a reading.
        """
        count = self._count(dwell_s)
        self._set_up()
        if count != self._averaged:
            held = self._line.checked(f"*CLS;:SENS:AVER:COUN {count}", ":SENS:AVER:COUN?", 1)[0]
            if held != count:
                self._wrong(f"{held:g} samples a reading were read back, {count} set")
            self._averaged = count
        self._shots, self._record = shots, None

    def fire(self, shots: int, dwell_s: float) -> None:
        """Take the readings that `arm` prepared, if any."""
        if self._shots:
            self._record = self._readings()

    def fetch(self) -> Floats:
        """(T, 1) watts: those taken by `fire`, or taken now if another instrument is the trigger."""
        if not self._shots:
            raise TableError(f"{self._port}: no record was armed")
        record, self._record = self._readings() if self._record is None else self._record, None
        return record

    def zero(self) -> float:
        """Measure the dark signal, which is subtracted from then on; watts or amperes, as the meter keeps it."""
        self._line.checked("*CLS;:SENS:CORR:COLL:ZERO:INIT", ":SENS:CORR:COLL:ZERO:STAT?", 1)
        for _ in range(MOST_POLLS):
            if not self._line.numbers(":SENS:CORR:COLL:ZERO:STAT?", 1)[0]:
                return self._line.checked("*WAI", ":SENS:CORR:COLL:ZERO:MAGN?", 1)[0]
        raise UnknownStateError(f"{self._port}: its zero adjustment does not end ({self.identity})")

    def close(self) -> None:
        """Let go of the instrument."""
        self._line.close()

    def _set_up(self) -> None:
        """Write the options, once."""
        if self._ready:
            return
        o = self._options
        commands = "*CLS;:ABOR;:CONF:POW;:SENS:POW:UNIT W;:SENS:POW:REF:STAT 0"
        if self._type == PHOTODIODE:
            commands += f";:INP:PDI:FILT:LPAS:STAT {o.bandwidth == 'low':d}"
        if o.wavelength_nm is not None:
            commands += f";:SENS:CORR:WAV {o.wavelength_nm:.6g}"
        held_nm, relative, most = self._line.checked(commands, f":SENS:CORR:WAV?;:SENS:POW:REF:STAT?;{MOST}", 3)
        unit = self._line.ask(":SENS:POW:UNIT?")
        if (o.wavelength_nm is not None and abs(held_nm - o.wavelength_nm) > ECHO * held_nm) or relative or unit != "W":
            self._wrong(f"{held_nm:g} nm, relative {relative:g}, unit {unit!r} were read back after {commands!r}")
        self.spec, self._range_w = replace(self.spec, upper=np.asarray(most)), most  # the ranges in watts follow the wavelength
        if o.range_w is not None:
            self._take_range(o.range_w)
        elif not self._line.checked("*CLS;:SENS:POW:RANG:AUTO 1", ":SENS:POW:RANG:AUTO?", 1)[0]:
            self._wrong("its automatic range did not switch on")
        if o.zero:
            self.zero()
        self._ready = True

    def _take_range(self, wanted: float) -> float:
        most = float(self.spec.upper[0])
        if not 0 < wanted <= most * (1 + ECHO):
            told = f"{self._port}: a range of {format_quantity(wanted, 'W')} is not above 0 and up to {format_quantity(most, 'W')}"
            raise LimitError(f"{told} (sensor {self.sensor})")
        taken, automatic = self._line.checked(f"*CLS;:SENS:POW:RANG:UPP {wanted:.6E}", ":SENS:POW:RANG:UPP?;:SENS:POW:RANG:AUTO?", 2)
        if taken < wanted * (1 - ECHO) or automatic:
            self._wrong(f"range {format_quantity(taken, 'W')}, automatic {automatic:g} were read back after {format_quantity(wanted, 'W')}")
        self._range_w = taken
        return taken

    def _count(self, dwell_s: float) -> int:
        o = self._options
        least = MESSAGE_S + max(1, o.average) * o.sample_s
        if dwell_s < least * (1 - ECHO):
            told, limit = format_quantity(dwell_s, "s"), format_quantity(least, "s", digits=3)
            raise TableError(f"{self._port}: a shot of {told} is shorter than a reading: {limit} (average = {o.average}, driver)")
        return o.average or min(max(1, int((dwell_s - MESSAGE_S) / o.sample_s)), o.most)

    def _readings(self) -> Floats:
        read = np.array([self._reading() for _ in range(self._shots)])
        if np.any(np.abs(read) >= NOT_A_NUMBER):
            number = int(np.argmax(np.abs(read)))
            raise ReadingError(f"{self._port}: reading {number} is not a number ({self.identity}, sensor {self.sensor})")
        over = np.abs(read) >= OVER_RANGE
        self.saturated = int(np.count_nonzero(over))
        return np.where(over, self._range_w, read)[:, None]

    def _reading(self) -> float:
        """One reading, told twice, with a number that we choose for it: nothing else would give away a wrong digit or an old reply.

        Raises:
            DesyncError: it was told differently the second time, or the number is another one.
        """
        self._tag = tag = self._tag % TAGS + 1
        first, second, echo = self._line.checked(f"*CLS;*ESE {tag}", "READ?;:FETC?;*ESE?", 3)
        if first != second or echo != tag:
            told = f"as reading {tag} it told {first:g} and {second:g}, as reading {echo:g}"
            raise DesyncError(f"{self._port}: {told}: a reply was garbled on its way, or is an old one")
        return first

    def _check_wavelength(self, low: float, high: float) -> None:
        wanted = self._options.wavelength_nm
        if wanted is not None and not low <= wanted <= high:
            raise LimitError(f"{self._port}: wavelength_nm = {wanted:g} is outside {low:g} to {high:g} nm (sensor {self.sensor})")

    def _wrong(self, what: str) -> None:
        raise UnknownStateError(f"{self._port}: {what} ({self.identity})")
