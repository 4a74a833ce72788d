"""What more or less light explains of a drift check's readings behind absorbers, as the light before them tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labonn.calibration.calibration import DriftCheck, LightBefore
from labonn.channels import Floats

OTHER_LIGHT = 1.15  # most by which light may be more, or less, for its steep effect behind an absorber to be known


@dataclass(frozen=True)
class Followed:
    """What light explains.

    Attributes:
        words: of frames with too much light or too little to tell. explained: (K, D) change of the readings. unsure: (K, D) of that.
    """

    words: list[str]
    explained: Floats
    unsure: Floats


def followed(check: DriftCheck, before: LightBefore, light: Floats) -> Followed:
    """Of mean readings `light` (K, D).

    Each detector has a phase and an offset of its own, which drift; what most channels of a group say is the light.
    """
    told, more = np.isfinite(check.sigma) & np.isfinite(check.tolerance), np.zeros(check.expected.shape)
    now, then, words = light - before.dark, before.expected - before.dark, []
    for group in np.unique(before.group):
        own = before.group == group
        for k in np.flatnonzero(told[:, own].any(axis=1)):
            some = own & told[k]
            times = float(np.median(now[k, some] / then[k, some]))
            more[k, own] = times - 1
            if not 1 / OTHER_LIGHT < times < OTHER_LIGHT:
                words.append(f"{before.detector}: the light is {times:.2g} times what it was in frame {k} of the drift check")
    explained = np.where(told, before.steep * more, 0.0)
    return Followed(words, explained, np.where(told, 0.5 * np.square(explained) / np.maximum(np.abs(check.expected), 1e-300), 0.0))
