"""Every imperfection of a simulated chip bench, part by part: the [simulation.PART] tables of a bench file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from labonn.benchfile import BenchFile, dataclass_from, unknown_keys
from labonn.chips import ChipOptics
from labonn.errors import BenchFileError
from labonn.idealising import ideal_but, spared, unknown_spared
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
    def of(cls, file: BenchFile, optics: ChipOptics, ideal: bool) -> ChipSettings:
        """The file's settings; with `ideal` all imperfections off but those that the file's `ideal_except` names (all are checked).

        What a part is nominally (its curve, its lag) follows the file's [nominal] tables where [simulation] does not say otherwise.

        Raises:
            BenchFileError: unknown keys or wrong values.
        """
        problems = unknown_keys(file.simulation, ["bench", "seed", "power_drift_per_h", "ideal_except", *PARTS], "simulation.")
        tables = {key: file.simulation.get(key, {}) for key in PARTS}
        problems += [f"simulation.{key} = {table!r}: a table is wanted" for key, table in tables.items() if not isinstance(table, dict)]
        drift = file.simulation.get("power_drift_per_h", 0.0)
        if isinstance(drift, bool) or not isinstance(drift, (int, float)) or not abs(drift) < 1e6:
            problems.append(f"simulation.power_drift_per_h = {drift!r}: a number is wanted")
        problems += unknown_spared(file, {"power_drift_per_h": ()} | {k: table for k, table in tables.items() if isinstance(table, dict)})
        own, default = designed(optics), nominal(optics)
        for part, keys in own.items():
            given = [key for key in keys if isinstance(tables[part], dict) and key in tables[part]]
            problems += [f"simulation.{part}.{key}: follows from the design, it cannot be set" for key in given]
        if problems:
            raise BenchFileError("\n".join(f"{file.name}: {p}" for p in problems))
        parts: dict[str, Any] = {}
        for key, kind in PARTS.items():
            parts[key] = dataclass_from(kind, default.get(key, {}) | tables[key] | own.get(key, {}), f"{file.name}: simulation.{key}")
        if not ideal:
            return cls(**parts, power_drift_per_h=float(drift))
        perfect: dict[str, Any] = {"laser": LaserSettings.ideal(), "board": BoardSettings.ideal(), "splitters": SplitterSettings(0.0)}
        perfect["modulators"] = dataclasses.replace(ModulatorSettings.ideal(), **default["modulators"])
        perfect["detectors"] = dataclasses.replace(DetectorSettings.ideal(), **default["detectors"])
        perfect["sections"] = GainSectionSettings.ideal(**default["sections"] | own["sections"])
        heater = default["heaters"] | {"tau_s": 0.0, "resistance_slope_per_w": optics.heater.resistance_slope_per_w}
        perfect["heaters"] = HeaterSettings.ideal(**heater | own["heaters"])
        names = spared(file)
        drift_left = float(drift) if "power_drift_per_h" in names else 0.0
        left = {key: ideal_but(part, parts[key], key, tables[key], names) for key, part in perfect.items()}
        return cls(**left, power_drift_per_h=drift_left)


PARTS: dict[str, Any] = {
    "modulators": ModulatorSettings, "detectors": DetectorSettings, "laser": LaserSettings, "board": BoardSettings,
    "sections": GainSectionSettings, "heaters": HeaterSettings, "splitters": SplitterSettings,
}  # fmt: skip


def nominal(optics: ChipOptics) -> dict[str, dict[str, Any]]:
    """Settings that are no imperfections, part by part, as the design and the believed curves have them."""
    section, heater, guides = optics.section, optics.heater, 2 if optics.design.one_sided else 1
    return {
        "modulators": {"v_pi_v": optics.modulator.v_pi_v, "bias_v": optics.modulator.bias_v},
        "detectors": {"saturation_w": REFERENCE_W, "tap": 1.0},
        "sections": {
            "strength": guides * section.strength, "zero_gain_a": section.zero_gain_a, "shape_a": section.shape_a,
            "amplifier_strength": optics.amplifier_section.strength,
        },
        "heaters": {"p_pi_w": heater.p_pi_w, "resistance_ohm": heater.resistance_ohm, "tau_s": heater.tau_s},
    }  # fmt: skip


def designed(optics: ChipOptics) -> dict[str, dict[str, Any]]:
    """Settings that the design fixes."""
    sections = {"z": optics.design.z, "one_sided": optics.design.one_sided, "reference_w": REFERENCE_W}
    return {"sections": sections, "heaters": {"drive": optics.heater.drive}}
