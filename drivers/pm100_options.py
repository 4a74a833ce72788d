"""Bench-file keys of a Thorlabs PM100, and what its sensor head says of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labonn.errors import DesyncError, IdentityError

LONGEST_S = 3.0  # of averaging, well inside the link's timeout
MOST_AVERAGED = 300_000
POWER_SENSOR = 1  # of the flags in :SYST:SENS:IDN?


@dataclass(frozen=True)
class Pm100Options:
    """Bench-file keys of a power meter.

    Attributes:
        wavelength_nm: of the light; None: as it is set at the meter.
        range_w: full scale, the smallest range that holds it; None: automatic.
        average: samples of a reading; 0: as many as fit into a shot, 3 s at most.
        sample_s: how long one of them takes; 3 ms in a PM100A or PM100USB.
        bandwidth: of a photodiode's amplifier, "high" or "low" (15 Hz).
        zero: measure and subtract the dark signal before the first record; there must be no light then.
    """

    wavelength_nm: float | None = None
    range_w: float | None = None
    average: int = 0
    sample_s: float = 1 / 3000
    bandwidth: str = "high"
    zero: bool = False

    def __post_init__(self) -> None:
        for name in ("wavelength_nm", "range_w", "sample_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} = {value:g}: must be positive, and finite")
        if not 0 <= self.average <= self.most:
            raise ValueError(f"average = {self.average}: 0 to {self.most}, which takes {LONGEST_S:g} s")
        if self.bandwidth not in ("high", "low"):
            raise ValueError(f'bandwidth = {self.bandwidth!r}: "high" or "low"')

    @property
    def most(self) -> int:
        """Samples that a reading may average."""
        return max(1, min(MOST_AVERAGED, int(LONGEST_S / self.sample_s)))


def sensor_of(port: str, reply: str) -> tuple[str, int, int]:
    """(name and serial number, type, flags) from the answer to :SYST:SENS:IDN?; the calibration message may have commas of its own."""
    fields = [field.strip().strip('"') for field in reply.split(",")]
    if not fields[0] or fields[0].lower() == "no sensor":
        raise IdentityError(f"{port}: no sensor head is connected (it answers {reply!r} to ':SYST:SENS:IDN?')")
    if len(fields) < 6 or not all(field.isascii() and field.isdigit() for field in fields[-3:]):
        raise DesyncError(f"{port}: {reply!r} is not the identification of a sensor")
    name, kind, flags = ",".join(fields[:2]), int(fields[-3]), int(fields[-1])
    if not flags & POWER_SENSOR:
        raise IdentityError(f"{port}: sensor {name} does not measure power (flags {flags})")
    return name, kind, flags
