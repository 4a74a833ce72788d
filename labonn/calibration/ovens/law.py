"""Optical depth of a rubidium cell against temperature: the vapour law, with the offset of its coldest spot and a scale to be fitted.

Vapour pressure: Alcock, Itkin, Horrigan, Can. Metall. Q. 23, 309 (1984), log10 p = A - B/T, over the liquid and over the solid. Laws differ
by factors of 1.2 to 1.4, which the scale takes up. Optical depth is density (p/T) over the Doppler width (sqrt T).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from labonn.channels import Floats

PARAMETERS = ("log_scale", "offset")
ZERO_C_K, MELTING_K = 273.15, 312.46
LIQUID_K, SOLID_K = 4040.0, 4215.0  # B
REFERENCE_C, REFERENCE_DEPTH = 60.0, 12.0  # 75 mm, natural Rb, 87Rb F=2 D2 line: scale 1
LN10 = float(np.log(10))


def log_depth(celsius: ArrayLike) -> tuple[Floats, Floats]:
    """(ln of the optical depth at scale 1, its derivative by K) at the temperature of the coldest spot."""
    kelvin, reference = np.asarray(celsius, np.float64) + ZERO_C_K, REFERENCE_C + ZERO_C_K
    solid = kelvin < MELTING_K
    here = np.where(solid, SOLID_K * (1 / kelvin - 1 / MELTING_K) + LIQUID_K / MELTING_K, LIQUID_K / kelvin)
    value = np.log(REFERENCE_DEPTH) + LN10 * (LIQUID_K / reference - here) - 1.5 * np.log(kelvin / reference)
    slope = LN10 * np.where(solid, SOLID_K, LIQUID_K) / np.square(kelvin) - 1.5 / kelvin
    return np.asarray(value), np.asarray(slope)


def law(parameters: Floats, celsius: Floats) -> tuple[Floats, Floats]:
    """ln of optical depths (C, n) at sensor temperatures (C, n), and derivatives by (log_scale, offset in K); a curve for `fit`."""
    value, slope = log_depth(celsius + parameters[:, 1, None])
    return value + parameters[:, :1], np.stack([np.ones_like(slope), slope], axis=-1)
