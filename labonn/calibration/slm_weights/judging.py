"""What is wrong with macropixels, in words: dead, saturated, or lit by another beam than was thought."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labonn.calibration.judging import CURVED, DEAD
from labonn.calibration.places import FOLLOWS
from labonn.calibration.slm_weights.model import Frames
from labonn.calibration.slm_weights.sweep import PanelSweep
from labonn.channels import Floats
from labonn.errors import CalibrationError

Mask = NDArray[np.bool_]
LINE = 0.5  # of a row or column dead: then its beam or tap is


def judged(sweep: PanelSweep, frames: Frames, light: Floats, saturated: Mask) -> tuple[list[str], Mask]:
    """((R C,) words, "" where nothing is wrong; (R, C) which are good).

    Raises:
        CalibrationError: nothing follows what the panel shows.
    """
    follows, swing = _explained(frames, light)
    full = np.broadcast_to(saturated[:, None] if sweep.forward else saturated, sweep.shape)
    alive = ~full & (follows >= CURVED)
    if not alive.any():
        if full.all():
            raise CalibrationError(f"{sweep.port}: all taps at {sweep.detector} are at the end of their range; less light, or more range")
        told = f"the light at {sweep.detector} does not follow what any macropixel shows, also where it is brightest"
        raise CalibrationError(f"{sweep.port}: {told}; the wrong monitor, a blocked beam, or the light off?")
    usual = float(np.quantile(swing[alive], 0.75))
    alive &= swing >= DEAD * usual
    words = np.full(sweep.shape, "", dtype=object)
    words[full] = "saturated: readings of its tap are at the end of the detector's range"
    dead = ~alive & ~full
    words[dead] = "dead: its light does not follow what it shows"
    for axis in (0, 1):
        lines = dead.mean(axis=axis) > LINE
        for line in np.flatnonzero(lines):
            place = (slice(None), int(line)) if axis == 0 else (int(line), slice(None))
            words[place] = _line(sweep, frames, light, axis, int(line), swing[place] > DEAD * usual)
    off = alive & (follows < FOLLOWS)
    words[off] = "off the curve: its light does not follow one curve of what it shows"
    return [str(told) for told in words.reshape(-1)], alive & ~off


def _explained(frames: Frames, light: Floats) -> tuple[Floats, Floats]:
    """((R, C) part of the scatter that a smooth curve of the own level explains, (R, C) size of that in volts)."""
    phases = frames.levels[frames.index[1:]]
    basis = np.stack([-np.cos(phases / 2), np.sin(phases / 2), np.sin(phases)], axis=-1)
    basis = basis - basis.mean(axis=0)
    light = light - light.mean(axis=0)  # a panel that does not change passes light too
    normal = np.einsum("nrci,nrcj->rcij", basis, basis)
    right = np.einsum("nrci,nrc->rci", basis, light)
    normal += 1e-9 * len(light) * np.eye(3)
    found = np.linalg.solve(normal, right[..., None])[..., 0]
    total = np.maximum(np.einsum("nrc,nrc->rc", light, light), 1e-300)
    part = np.einsum("rci,rci->rc", found, right) / total
    freedom = len(light) / max(len(light) - 4.0, 1.0)
    return 1 - (1 - part) * freedom, np.hypot(found[..., 0], found[..., 1])


def _line(sweep: PanelSweep, frames: Frames, light: Floats, axis: int, line: int, lit: Mask) -> str:
    """Why a whole column (axis 0) or row does not follow."""
    is_beam = (axis == 0) == sweep.forward
    name = f"{sweep.beams}/{sweep.channels.start + line}" if is_beam else sweep.where(line)
    what = "beam" if is_beam else "tap"
    field = -np.cos(frames.levels / 2)[frames.index[1:]]
    own, shown = (light[:, :, line], field) if axis == 0 else (light[:, line, :], field.transpose(0, 2, 1))
    size = np.sqrt(np.square(own).sum() * np.square(shown).sum(axis=(0, 1)))
    alike = np.einsum("nk,nkl->l", own, shown) / np.maximum(size, 1e-300)
    best = int(np.argmax(np.abs(alike)))
    if best != line and abs(alike[best]) > FOLLOWS - 0.1:
        where = f"{sweep.beams}/{sweep.channels.start + best}" if is_beam else sweep.where(best)
        return f"swapped: {what} {name} is where {where} should be"
    return f"dead: {what} {name} " + (
        "sees light that does not follow the panel" if lit.any() else "has no light; blocked, or a broken cable?"
    )
