"""Every imperfection of the simulated vapour-cell bench, part by part: the [simulation.PART] tables of a bench file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.errors import BenchFileError
from labonn.idealising import ideal_but, spared, unknown_spared
from sim_backends.physics.cells import CellSettings
from sim_backends.physics.detectors import DetectorSettings
from sim_backends.physics.drift import LaserSettings
from sim_backends.physics.gain import GainSettings
from sim_backends.physics.modes import ModeSettings
from sim_backends.physics.modulators import ModulatorSettings
from sim_backends.physics.ovens import OvenSettings
from sim_backends.physics.slm import SlmSettings

PARTS: dict[str, Any] = {
    "slm": SlmSettings, "modulators": ModulatorSettings, "detectors": DetectorSettings,
    "laser": LaserSettings, "gain": GainSettings, "ovens": OvenSettings, "cells": CellSettings,
    "modes": ModeSettings,
}  # fmt: skip


@dataclass(frozen=True)
class LightSettings:
    """Every imperfection of the light, part by part; the [simulation.PART] tables of a bench file."""

    slm: SlmSettings = field(default_factory=SlmSettings)
    modulators: ModulatorSettings = field(default_factory=ModulatorSettings)
    detectors: DetectorSettings = field(default_factory=DetectorSettings)
    laser: LaserSettings = field(default_factory=LaserSettings)
    gain: GainSettings = field(default_factory=GainSettings)
    ovens: OvenSettings = field(default_factory=OvenSettings)
    cells: CellSettings = field(default_factory=CellSettings)
    modes: ModeSettings = field(default_factory=ModeSettings)

    @classmethod
    def of(cls, file: BenchFile, ideal: bool) -> LightSettings:
        """The file's settings; with `ideal` all imperfections off but those that the file's `ideal_except` names (all are checked).

        Raises:
            BenchFileError: unknown keys or wrong values.
        """
        problems = unknown_keys(file.simulation, ["bench", "seed", "cell", "ideal_except", *PARTS], "simulation.")
        tables = {key: file.simulation.get(key, {}) for key in PARTS}
        problems += [f"simulation.{key} = {table!r}: a table is wanted" for key, table in tables.items() if not isinstance(table, dict)]
        problems += unknown_spared(file, {"cell": ()} | {key: table for key, table in tables.items() if isinstance(table, dict)})
        fixed = [key for key in ("native_rows", "native_columns") if isinstance(tables["slm"], dict) and key in tables["slm"]]
        problems += [f"simulation.slm.{key}: the pixels of a panel are what its port's `panel` says" for key in fixed]
        if problems:
            raise BenchFileError("\n".join(f"{file.name}: {p}" for p in problems))
        parts = {k: dataclass_from(c, tables[k], f"{file.name}: simulation.{k}") for k, c in PARTS.items()}
        if not ideal:
            return cls(**parts)
        names = spared(file)
        return cls(**{key: ideal_but(part.ideal(), parts[key], key, tables[key], names) for key, part in PARTS.items()})
