"""Which channel answers to which: cables that are swapped, in sweeps with a detector a channel and in coded ones."""

from __future__ import annotations

import numpy as np

from labonn.calibration.fitting import Mask
from labonn.calibration.starts import fringe_start
from labonn.channels import Floats
from labonn.shots import Ints

FOLLOWS = 0.9  # of the scatter explained, from where on readings follow levels
ALIVE = 0.2  # of the usual swing, which a place has that answers to another channel
ALIKE = 0.8  # correlation of what the detectors see of a channel with the weights of a place
BLOCK = 32


def followed(x: Floats, y: Floats, used: Mask, which: Ints) -> Ints:
    """(F,) the channel whose levels x (C, N) the readings y (C, N) of each channel of `which` follow, -1 for none.

    That is a fringe in the levels, of any period and phase, that is not much smaller than those of other channels.
    """
    usual = float(np.quantile(np.ptp(y, axis=1), 0.75))
    found = np.full(len(which), -1)
    for row, c in enumerate(which):
        best, swing = -np.inf, 0.0
        for start in range(0, len(x), BLOCK):
            levels = x[start : start + BLOCK]
            swings, explained = _fringes(levels, np.broadcast_to(y[c], levels.shape), np.broadcast_to(used[c], levels.shape))
            most = int(np.argmax(explained))
            if explained[most] > best:
                best, swing, found[row] = explained[most], swings[most], start + most
        if best < FOLLOWS or swing < ALIVE * usual:
            found[row] = -1
    return found


def _fringes(x: Floats, y: Floats, used: Mask) -> tuple[Floats, Floats]:
    """(swings, parts of the scatter that a fringe explains, without what it explains of noise)."""
    start = fringe_start(x, y, used)
    left = y - (start[:, :1] + start[:, 1:2] * np.cos(np.pi * x / start[:, 2:3] + start[:, 3:4]))
    count = np.maximum(used.sum(axis=1), 1)
    mean = np.where(used, y, 0).sum(axis=1) / count
    total = np.where(used, np.square(y - mean[:, None]), 0).sum(axis=1)
    explained = 1 - np.where(used, np.square(left), 0).sum(axis=1) / np.maximum(total, 1e-300)
    freedom = np.maximum(count - 4, 1) / np.maximum(count - 1, 1)
    return 2 * start[:, 1], np.asarray(1 - (1 - explained) / freedom)


def placed(decoded: list[Floats], signs: Floats) -> Ints:
    """(C,) the channel at whose place each channel comes out, -1 where that is its own or cannot be told.

    Args:
        decoded: of every level (C, taps), what the detectors see of each channel. signs: (taps, C) weights of the places.
    """
    power = np.sqrt(np.mean([np.square(part).mean(axis=1) for part in decoded], axis=0))
    seen = np.zeros((len(power), len(power)))
    for part in decoded:
        seen += np.square(part @ signs / len(signs))
    alike = np.sqrt(seen / len(decoded)) / np.maximum(power, 1e-300)[:, None]
    own, other = np.diagonal(alike), np.argmax(alike, axis=1)
    return np.where((own < ALIKE) & (alike.max(axis=1) >= ALIKE), other, -1)
