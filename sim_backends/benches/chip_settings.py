"""Every imperfection of a simulated chip bench, part by part: the [simulation.PART] tables of a bench file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.chips import ChipDesign
from labonn.errors import BenchFileError
from sim_backends.physics.board import BoardSettings
from sim_backends.physics.detectors import DetectorSettings
from sim_backends.physics.drift import LaserSettings
from sim_backends.physics.heaters import HeaterSettings
from sim_backends.physics.modulators import ModulatorSettings
from sim_backends.physics.sections import GainSectionSettings

REFERENCE_W = 1e-5  # power of a field of one, at inputs and detectors


@dataclass(frozen=True)
class SplitterSettings:
    """Splitters of full MZIs: standard deviation of their angle's error from pi/4."""

    error_rad: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.error_rad <= 0.5:
            raise ValueError(f"SplitterSettings.error_rad is {self.error_rad:g}; allowed is 0 to 0.5")


@dataclass(frozen=True)
class ChipSettings:
    """Imperfections of modulators, detectors, laser, activation board, gain sections or heaters, and splitters.

    Attributes:
        power_drift_per_h: steady relative drift of the laser's power, beside its random walk.
    """

    modulators: ModulatorSettings = field(default_factory=ModulatorSettings)
    detectors: DetectorSettings = field(default_factory=lambda: DetectorSettings(saturation_w=REFERENCE_W, tap=1.0))
    laser: LaserSettings = field(default_factory=LaserSettings)
    board: BoardSettings = field(default_factory=BoardSettings)
    sections: GainSectionSettings = field(default_factory=GainSectionSettings)
    heaters: HeaterSettings = field(default_factory=HeaterSettings)
    splitters: SplitterSettings = field(default_factory=SplitterSettings)
    power_drift_per_h: float = 0.0

    @classmethod
    def of(cls, file: BenchFile, design: ChipDesign, ideal: bool) -> ChipSettings:
        """The file's settings; with `ideal` all imperfections off, whatever the file says (its tables are still checked).

        Raises:
            BenchFileError: unknown keys or wrong values.
        """
        allowed = ["bench", "seed", "power_drift_per_h", *PARTS]
        problems = unknown_keys(file.simulation, allowed, "simulation.")
        tables = {key: file.simulation.get(key, {}) for key in PARTS}
        problems += [f"simulation.{key} = {table!r}: a table is wanted" for key, table in tables.items() if not isinstance(table, dict)]
        drift = file.simulation.get("power_drift_per_h", 0.0)
        if isinstance(drift, bool) or not isinstance(drift, (int, float)) or not abs(drift) < 1e6:
            problems.append(f"simulation.power_drift_per_h = {drift!r}: a number is wanted")
        if problems:
            raise BenchFileError("\n".join(f"{file.name}: {p}" for p in problems))
        parts = {key: dataclass_from(kind, FIXED.get(key, {}) | tables[key], f"{file.name}: simulation.{key}") for key, kind in PARTS.items()}
        parts["sections"] = dataclasses.replace(parts["sections"], z=design.z, one_sided=design.one_sided, reference_w=REFERENCE_W)
        if not ideal:
            return cls(**parts, power_drift_per_h=float(drift))
        nominal: dict[str, Any] = {"board": BoardSettings.ideal(), "splitters": SplitterSettings(0.0)}
        nominal["detectors"] = dataclasses.replace(DetectorSettings.ideal(), **FIXED["detectors"])
        nominal["sections"] = GainSectionSettings.ideal(z=design.z, one_sided=design.one_sided)
        nominal["heaters"] = HeaterSettings.ideal()
        return cls(modulators=ModulatorSettings.ideal(), laser=LaserSettings.ideal(), **nominal)


PARTS: dict[str, Any] = {
    "modulators": ModulatorSettings, "detectors": DetectorSettings, "laser": LaserSettings, "board": BoardSettings,
    "sections": GainSectionSettings, "heaters": HeaterSettings, "splitters": SplitterSettings,
}  # fmt: skip
FIXED: dict[str, dict[str, Any]] = {"detectors": {"saturation_w": REFERENCE_W, "tap": 1.0}}
