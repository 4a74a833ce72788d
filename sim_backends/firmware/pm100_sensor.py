"""Sensor heads of a Thorlabs PM100: what each answers to SYST:SENS:IDN?, its response by wavelength, its ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POWER, RESPONSE, WAVELENGTH, TAU, TEMPERATURE = 1, 16, 32, 64, 256  # flags
CURRENT_RANGES_A = (5e-8, 5e-7, 5e-6, 5e-5, 5e-4, 5e-3)
VOLTAGE_RANGES_V = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Sensor:
    """One head.

    Attributes:
        name, kind ("PHOT" or "THER"), type, subtype, flags: as identified.
        nm, response: of its calibration table, A/W or V/W.
        default_nm: the wavelength after *RST.
    """

    name: str
    kind: str
    type: int
    subtype: int
    flags: int
    nm: tuple[float, ...]
    response: tuple[float, ...]
    default_nm: float

    @property
    def ranges(self) -> tuple[float, ...]:
        """Full scales of the amplifier behind it, in A or V."""
        return CURRENT_RANGES_A if self.kind == "PHOT" else VOLTAGE_RANGES_V

    def at(self, nm: float) -> float:
        """A/W or V/W at a wavelength."""
        return float(np.interp(nm, self.nm, self.response))


SENSORS = {
    sensor.name: sensor
    for sensor in (
        Sensor(
            "S130C", "PHOT", 1, 18, POWER | WAVELENGTH | TEMPERATURE,
            (400, 500, 600, 700, 800, 900, 960, 1000, 1064, 1100), (0.11, 0.24, 0.36, 0.45, 0.53, 0.59, 0.61, 0.58, 0.26, 0.12), 635.0,
        ),
        Sensor(
            "S155C", "PHOT", 1, 18, POWER | WAVELENGTH | TEMPERATURE,
            (800, 900, 1000, 1100, 1200, 1300, 1400, 1500, 1550, 1600, 1650, 1700),
            (0.15, 0.45, 0.65, 0.73, 0.81, 0.88, 0.93, 0.98, 1.0, 1.0, 0.95, 0.65), 1550.0,
        ),
        Sensor("S302C", "THER", 2, 2, POWER | RESPONSE | WAVELENGTH | TAU | TEMPERATURE, (190, 25000), (0.22, 0.22), 1064.0),
    )
}  # fmt: skip


def sensor_for(nm: float | None) -> str:
    """The head that a lab would screw on for this wavelength; the silicon one if nothing is known."""
    for sensor in SENSORS.values():
        if nm is None or sensor.nm[0] <= nm <= sensor.nm[-1]:
            return sensor.name
    raise ValueError(f"wavelength_nm = {nm:g}: no sensor head measures it; 190 to 25000 nm")
