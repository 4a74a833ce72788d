"""What monitors inside a chip would see: light at every coupler and in the arms of every phase section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim_backends.physics.chip_stages import MeshStage
from sim_backends.physics.chip_stretch import Stretch
from sim_backends.physics.couplers import Array


@dataclass(frozen=True)
class StageLight:
    """Light inside a linear stage.

    Attributes:
        couplers: (B, E, 2) fields of every coupler: at its inputs for light that runs forward, at its outputs for light that runs
            backward (for amplifiers the first of the two is the guide, the second zero).
        arms: (sections, B, E, 2) complex fields in the two arms behind the phases of every phase section, or None for a stage without.
            With forward fields f and backward fields b there, d(sum of weight * output)/d(phase of an arm) = i f b.
    """

    couplers: Array
    arms: Array | None


@dataclass(frozen=True)
class Trace:
    """Light everywhere at one setting: `stages` in the order of the chip (None for a detection), `outputs` (B, n)."""

    stages: tuple[StageLight | None, ...]
    outputs: Array


def lights(stretch: Stretch, values: Array, seen: Array, *, forward: bool) -> list[StageLight]:
    """Of every stage of a stretch at values (P_t,), from the fields (E, 2, B) `seen` at its elements."""
    own, found = stretch.own(values), []
    for stage, span in zip(stretch.stages, stretch.spans, strict=True):
        arms = None
        if isinstance(stage, MeshStage):
            sections = stage.law.sections(np.arange(stage.count), own[span] if stage.width > 1 else own[span, 0])
            if sections:
                arms = np.stack([((ahead if forward else back) @ seen[span]).transpose(2, 0, 1) for ahead, back in sections])
        found.append(StageLight(seen[span].transpose(2, 0, 1), arms))
    return found
