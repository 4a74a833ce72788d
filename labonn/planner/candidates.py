"""All ways to measure a gradient that are worth a prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from labonn.errors import ProcedureError
from labonn.gradients.codes import SPARE
from labonn.gradients.objective import Slots
from labonn.planner import predictions as predict
from labonn.planner.character import Character
from labonn.planner.predictions import Candidate

WAITS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)  # time constants
LAGGED_WAITS = (1.5, 2.0, 2.5, 3.0)
REPEATS = (1, 2, 4, 8, 16)
DOUBLINGS = 6


def candidates(character: Character) -> Iterator[Candidate]:
    """All of them, each with its best step."""
    for slots in waits(character.slots, WAITS):
        for repeats in REPEATS:
            yield predict.central(character, slots, repeats)
        yield predict.forward(character, slots)
        for size in _halves(character.total):
            yield predict.subset(character, slots, size)
        for pairs in _halves(2 * character.free):
            yield predict.spsa(character, slots, pairs)
        for doubling in range(DOUBLINGS):
            yield predict.walsh(character, slots, least_rows(character.free) << doubling)
    if character.slots.tau_s:
        for slots in waits(character.slots, LAGGED_WAITS):
            for doubling in range(DOUBLINGS):
                try:
                    yield predict.lagged(character, slots, least_rows(character.free) << doubling)
                except ProcedureError:
                    break  # slots too short for the lag
    for believed in character.believed:
        yield predict.trusted(believed)


def waits(slots: Slots, taus: tuple[float, ...]) -> list[Slots]:
    """Slots that wait for so many time constants, the first image's shot among them; as they are where nothing lags."""
    if not slots.tau_s:
        return [slots]
    settles = {max(math.ceil(n * slots.tau_s / slots.dwell_s) - 1, 0) for n in taus}
    return [replace(slots, settle=settle) for settle in sorted(settles)]


def least_rows(free: int) -> int:
    """Rows of Walsh codes that are enough."""
    rows = 2
    while rows - 1 - int(math.log2(rows)) < free + SPARE:
        rows *= 2
    return rows


def _halves(most: int) -> list[int]:
    """`most` / 2, / 4, ... down to 1 or so."""
    return [size for n in range(1, 20) if (size := round(most / 2**n)) >= 1]


def fitted(character: Character, budget_s: float) -> Iterator[Candidate]:
    """Subsets and random directions that just fit a budget."""
    sized = ((predict.subset, character.total), (predict.spsa, 2 * character.free))
    for slots in waits(character.slots, WAITS):
        for make, most in sized:
            low, high = 0, most  # the largest size that fits is in this range
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if make(character, slots, middle).seconds <= budget_s else (low, middle - 1)
            if low:
                yield make(character, slots, low)
