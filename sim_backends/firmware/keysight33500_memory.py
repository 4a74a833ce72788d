"""Waveform memory of one channel of a Keysight 33500: arbitrary waveforms and sequences of them, as codes of its converter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sim_backends.firmware.keysight33500_arbs import BUILT_IN, FIRST, Codes
from sim_backends.firmware.keysight33500_limits import FULL_CODE
from sim_backends.firmware.scpi_errors import ScpiError

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

MOST_SEQUENCES, MOST_STEPS, MOST_SEGMENTS, MOST_REPEATS = 32, 512, 1024, 1_000_000
CONTROLS = {word.upper(): word for word in ("once", "onceWaitTrig", "repeat", "repeatInf", "repeatTilTrig")}
MARKERS = {word.upper(): word for word in ("maintain", "lowAtStart", "highAtStart", "highAtStartGoLow")}


@dataclass(frozen=True)
class Step:
    """One line of a sequence; `control` and `marker` are the instrument's words."""

    arb: str
    repeats: int
    control: str
    marker: str
    marker_at: int


@dataclass(frozen=True)
class Sequence:
    """Waveforms by name, one after another."""

    name: str
    steps: tuple[Step, ...]


@dataclass
class Memory:
    """What one channel holds.

    Attributes:
        least, most: samples of one waveform, and of all. arbs, sequences: by name in capitals. selected: the one that ARB plays.
    """

    least: int
    most: int
    arbs: dict[str, Codes] = field(default_factory=dict)
    sequences: dict[str, Sequence] = field(default_factory=dict)
    selected: str = FIRST

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """DATA:VOLatile:CLEar: only the waveform of power-on is left."""
        self.arbs, self.sequences, self.selected = {FIRST: BUILT_IN[FIRST]}, {}, FIRST

    @property
    def free(self) -> int:
        """Samples that are left."""
        return self.most - sum(codes.size for name, codes in self.arbs.items() if name != FIRST)

    @property
    def names(self) -> list[str]:
        """Of all waveforms and sequences."""
        return [*self.arbs, *self.sequences]

    def add(self, name: str, codes: Codes) -> None:
        """Keep a waveform under a new name.

        Raises:
            ScpiError: 786 the name is there, 781 no room, -222 too short.
        """
        if name in self.arbs or name in self.sequences:
            raise ScpiError(786)
        if codes.size < self.least:
            raise ScpiError(-222)
        if codes.size > self.free:
            raise ScpiError(781)
        self.arbs[name] = codes

    def add_sequence(self, block: bytes) -> None:
        """DATA:SEQuence: `"name","arb",repeats,control,marker,point,…`."""
        sequence = sequence_of(block)
        name = sequence.name
        if name in self.arbs or name in self.sequences:
            raise ScpiError(786)
        for step in sequence.steps:
            if step.arb not in self.arbs:
                raise ScpiError(785)
            if not 4 <= step.marker_at <= max(4, self.arbs[step.arb].size - 3):
                raise ScpiError(-222)
        if len(self.sequences) >= MOST_SEQUENCES or self._steps() + len(sequence.steps) > MOST_SEGMENTS:
            raise ScpiError(781)
        self.sequences[name] = sequence

    def codes_of(self, name: str) -> Codes:
        """All samples of a waveform, or of a sequence's waveforms."""
        if name in self.sequences:
            return np.concatenate([self.arbs[arb] for arb in dict.fromkeys(step.arb for step in self.sequences[name].steps)])
        if name not in self.arbs:
            raise ScpiError(785)
        return self.arbs[name]

    def used_scale(self, own: Keysight33500Firmware, n: int) -> float:
        """How much of the converter's range the selected waveform uses, where the instrument counts amplitude so; else 1."""
        if not own.spans or own.values[f"function{n}"] != "ARB":
            return 1.0
        codes = self.codes_of(self.selected)
        return float(int(codes.max()) - int(codes.min())) / (2 * FULL_CODE) or 1.0

    def _steps(self) -> int:
        return sum(len(sequence.steps) for sequence in self.sequences.values())


def sequence_of(block: bytes) -> Sequence:
    """The sequence that a block describes.

    Raises:
        ScpiError: -230 it cannot be read, -223 more steps than there may be, -222 a number out of range.
    """
    parts = [part.strip().strip('"').strip() for part in block.decode("latin-1").split(",")]
    if not parts[-1]:
        parts.pop()
    name, fields = parts[0] if parts else "", parts[1:]
    if not name or not fields or len(fields) % 5:
        raise ScpiError(-230)
    if len(fields) > 5 * MOST_STEPS:
        raise ScpiError(-223)
    steps = []
    for arb, repeats, control, marker, point in zip(*(fields[i::5] for i in range(5)), strict=True):
        if control.upper() not in CONTROLS or marker.upper() not in MARKERS or not (repeats.isdecimal() and point.isdecimal()):
            raise ScpiError(-230)
        if len(repeats) > 7 or int(repeats) > MOST_REPEATS or len(point) > 9:
            raise ScpiError(-222)
        steps.append(Step(arb.upper(), max(1, int(repeats)), CONTROLS[control.upper()], MARKERS[marker.upper()], int(point)))
    return Sequence(name.upper(), tuple(steps))
