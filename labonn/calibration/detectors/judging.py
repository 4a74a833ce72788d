"""What is wrong with a detector, in words: dead, blocked, saturated, swapped, drifting, not told apart, or light that is no product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labonn.calibration.detectors.model import Product, one_product
from labonn.calibration.detectors.sweep import Cells, Settings
from labonn.calibration.judging import LEAST_USED, Tolerances, Words
from labonn.channels import Floats
from labonn.units import format_quantity

FAINT, SEEN = 0.02, 5.0  # of the usual light; standard errors
STUCK = 0.05  # of the usual noise in the dark
OWN, OTHER = 0.97, 0.995  # of the squares that one product explains, by a channel's own levels and by another's
CURVED = 5.0  # times the noise: scatter about the product, from where on the light is none


def blamed(settings: Settings, cells: Cells, dark: tuple[Floats, Floats], names: Sequence[str], unit: str, own: bool) -> list[str]:
    """(C,) what readings alone tell, before any fit; "" where nothing is wrong, or where a fit will tell.

    Args:
        dark: (T, C) readings in the dark before and behind the sweep. own: whether each detector has a modulator of its own.
    """
    words = np.full(len(names), "", dtype=object)
    part, swing = cells.used.mean(axis=1), np.ptp(cells.mean, axis=1)
    for c in np.flatnonzero(part < LEAST_USED):
        missing, total = int((~cells.used[c]).sum()), cells.used.shape[1]
        words[c] = f"saturated: {missing} of {total} readings are at the end of the detector's range"
    _silent(words, cells, dark, swing, unit)
    if own:
        _swapped(words, settings, cells, names)
    return [str(told) for told in words]


def judged(
    told: Sequence[str], cells: Cells, dark: tuple[Floats, Floats], product: Product, within: Tolerances, unit: str
) -> list[str]:  # fmt: skip
    """(C,) words: those that were `told` before, and what the fit tells."""
    words, swing = np.array([*told], dtype=object), np.ptp(cells.mean, axis=1)
    allowed = np.where(words == "", within.drift * np.abs(product.full), np.inf)
    moved, error = dark[1].mean(axis=0) - dark[0].mean(axis=0), np.hypot(*(np.std(d, axis=0) / np.sqrt(len(d)) for d in dark))
    for c in np.flatnonzero((np.abs(moved) > allowed) & (np.abs(moved) > SEEN * error)):
        words[c] = f"drifted: its dark level moved by {format_quantity(float(moved[c]), unit, 3)} during the sweep"
    for c in np.flatnonzero((words == "") & (product.fitted.sigma > CURVED) & (_left(cells, product) > within.residual * swing)):
        words[c] = "off the curve: its readings are no product of source and modulator, not of a detector that bends either"
    for c in np.flatnonzero((words == "") & (product.fitted.degenerate | ~product.fitted.converged)):
        words[c] = "undetermined: its points do not tell light and linearity apart; more source levels?"
    known = np.isfinite(product.covariance[:, 1, 1])
    unsure = np.where(known, np.sqrt(np.where(known, product.covariance[:, 1, 1], 0.0)) * np.abs(product.full), np.inf)
    for c in np.flatnonzero((words == "") & ~(unsure <= within.error)):
        part = 100 * unsure[c]
        words[c] = f"too noisy: how far it bends at full light is known to {part:.2g} % of the reading only; more repeats, or more light"
    return [str(one) for one in words]


def _left(cells: Cells, product: Product) -> Floats:
    """(C,) rms of the residuals, in the unit of readings."""
    residuals = product.fitted.residuals[:, -cells.used.shape[1] :]
    return np.asarray(np.sqrt(np.mean(np.square(np.where(np.isfinite(residuals), residuals, 0.0)), axis=1)))


def _silent(words: Words, cells: Cells, dark: tuple[Floats, Floats], swing: Floats, unit: str) -> None:
    """No light: the noise tells whether a detector is there at all."""
    noise = np.std(np.concatenate(dark), axis=0)
    quiet, usual = STUCK * float(np.median(noise)), float(np.quantile(swing, 0.75))
    scatter = np.sqrt(cells.variance.mean(axis=1) / max(cells.mean.shape[1], 1))
    for c in np.flatnonzero((words == "") & ((swing < FAINT * usual) | (swing < 8 * np.maximum(scatter, noise / 4)))):
        level = format_quantity(float(cells.mean[c].mean()), unit, 3)
        if noise[c] <= quiet:
            words[c] = f"dead: it reads {level} whatever the light is, and has no noise"
        else:
            words[c] = "blocked: it has the noise of a detector, and no light comes to it; is the light on?"


def _swapped(words: Words, settings: Settings, cells: Cells, names: Sequence[str]) -> None:
    """Readings that repeat from block to block by another channel's levels, not by their own."""
    shape = len(names), settings.blocks, settings.levels
    level = settings.index.reshape(shape)
    above = (cells.mean - cells.mean.min(axis=1, keepdims=True)).reshape(shape)
    own = one_product(np.take_along_axis(above, np.argsort(level, axis=-1), axis=-1))
    for c in np.flatnonzero((words == "") & (own < OWN)):
        other = one_product(np.take_along_axis(above[c][None], np.argsort(level, axis=-1), axis=-1))
        best = int(np.argmax(other))
        if best != c and other[best] >= OTHER:
            words[c] = f"swapped: it follows the modulator of {names[best]}"
