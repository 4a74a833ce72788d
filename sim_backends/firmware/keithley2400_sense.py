"""The SENSe subsystem of the Keithley 2400: functions, measurement ranges, compliance, integration, filter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sim_backends.firmware.keithley2400_source import LIMITS, other, range_of, too_much_power
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Boolean, Extremes, Keyword, Number, Text

if TYPE_CHECKING:
    from sim_backends.firmware.keithley2400 import Keithley2400Firmware

ALL = ("VOLT", "CURR", "RES")
NAMES = {"VOLT": "VOLT", "VOLTAGE": "VOLT", "CURR": "CURR", "CURRENT": "CURR", "RES": "RES", "RESISTANCE": "RES"}
LEAST_COMPLIANCE = 1e-3  # of the sense range: 0.1 %


def sense_commands(own: Keithley2400Firmware) -> Iterable[Command]:
    """Everything below SENSe."""
    yield from _functions(own)
    yield from _quantity(own, "VOLT", "VOLTage[:DC]", "V", 21.0)
    yield from _quantity(own, "CURR", "CURRent[:DC]", "A", 1.05e-4)
    ohms = Number(0, 210e6, 2.1e5, "OHM")
    yield own.setting("[:SENSe{1}]:RESistance:RANGe[:UPPer]", "sense_RES_range", ohms, 2.1e5)
    yield own.setting("[:SENSe{1}]:RESistance:RANGe:AUTO", "sense_RES_auto", Boolean(), True)
    yield own.setting("[:SENSe{1}]:RESistance:MODE", "res_mode", Keyword("MANual", "AUTO"), "AUTO")
    yield own.setting("[:SENSe{1}]:RESistance:OCOMpensated", "ocomp", Boolean(), False)
    for name in ("VOLTage[:DC]", "CURRent[:DC]", "RESistance"):  # one setting for all functions
        yield own.setting(f"[:SENSe{{1}}]:{name}:NPLCycles", "nplc", Number(0.01, 10, 1), 1.0)
    yield own.setting("[:SENSe{1}]:AVERage[:STATe]", "filter", Boolean(), False)
    yield own.setting("[:SENSe{1}]:AVERage:TCONtrol", "filter_control", Keyword("REPeat", "MOVing"), "REP")
    yield own.setting("[:SENSe{1}]:AVERage:COUNt", "filter_count", Number(1, 100, 10, whole=True), 10)


def _functions(own: Keithley2400Firmware) -> Iterable[Command]:
    base = "[:SENSe{1}]:FUNCtion"
    own.default("sense", ("CURR",))

    def on(*names: str) -> None:
        found = [_function(name) for name in names]
        kept = own.values["sense"] if own.values["concurrent"] else ()
        own.values["sense"] = tuple(f for f in ALL if f in kept or f in found) if own.values["concurrent"] else (found[-1],)

    def off(*names: str) -> None:
        gone = [_function(name) for name in names]
        own.values["sense"] = tuple(f for f in own.values["sense"] if f not in gone)

    def concurrent(wanted: bool) -> bool:
        if not wanted:
            own.values["sense"] = ("VOLT",) if len(own.values["sense"]) > 1 else own.values["sense"]
        return wanted

    def everything() -> None:
        own.values["sense"] = ALL if own.values["concurrent"] else own.values["sense"]

    def shown(functions: Iterable[str]) -> str:
        return ",".join(f'"{name}"' if name == "RES" else f'"{name}:DC"' for name in functions)

    def missing() -> list[str]:
        return [f for f in ALL if f not in own.values["sense"]]

    yield own.setting(f"{base}:CONCurrent", "concurrent", Boolean(), True, concurrent)
    yield Command(f"{base}[:ON]", on, lambda: shown(own.values["sense"]), (Text(),), repeats=True)
    yield Command(f"{base}[:ON]:ALL", everything)
    yield Command(f"{base}[:ON]:COUNt", query=lambda: str(len(own.values["sense"])))
    yield Command(f"{base}:OFF", off, lambda: shown(missing()), (Text(),), repeats=True)
    yield Command(f"{base}:OFF:ALL", lambda: own.values.update(sense=()))
    yield Command(f"{base}:OFF:COUNt", query=lambda: str(len(missing())))
    yield Command(f"{base}:STATe", query=lambda name="": str(int(_function(name) in own.values["sense"])), asks=(Text(),))


def _function(text: str) -> str:
    """The key of a function's name such as 'curr:dc'."""
    name = NAMES.get(text.strip().upper().removesuffix(":DC"))
    if name is None:
        raise ScpiError(-224)
    return name


def _quantity(own: Keithley2400Firmware, key: str, name: str, unit: str, start: float) -> Iterable[Command]:
    """Range and compliance of volts or amperes."""
    most, base = LIMITS[key], f"[:SENSe{{1}}]:{name}"
    level = Number(-most, most, start, unit)

    def choose(value: float) -> float:
        chosen = range_of(key, value)
        sourced = own.values["function"] == key
        if not sourced and chosen > range_of(key, own.values[f"compliance_{key}"]) * (1 + 1e-9):
            raise ScpiError(824)
        own.values[f"sense_{key}_auto"] = False
        return chosen

    def protect(value: float) -> float:
        source = other(key)
        level_or_range = own.values[f"level_{source}"] if own.values[f"source_{source}_auto"] else own.values[f"source_{source}_range"]
        if own.values["function"] == source and too_much_power(*((value, level_or_range) if key == "VOLT" else (level_or_range, value))):
            raise ScpiError(826)
        if abs(value) < LEAST_COMPLIANCE * (0.2 if key == "VOLT" else 1e-6):
            raise ScpiError(-222)
        return abs(value)

    def automatic(on: bool) -> bool:
        if not on:
            own.values[f"sense_{key}_range"] = own.full_scale("sense", key)
        return on

    def tripped() -> str:
        return str(int(own.values["function"] == other(key) and own.terminals().limited))

    setting = own.setting(f"{base}:RANGe[:UPPer]", f"sense_{key}_range", level, start, choose)
    shown = lambda *extreme: level.shown(extreme[0] if extreme else own.full_scale("sense", key))  # noqa: E731
    yield Command(setting.pattern, setting.write, shown, (level,), (Extremes(level),))
    yield own.setting(f"{base}:RANGe:AUTO", f"sense_{key}_auto", Boolean(), True, automatic)
    yield own.setting(f"{base}:RANGe:AUTO:LLIMit", f"sense_{key}_lowest", level, 0.21 if key == "VOLT" else 1e-6)
    yield Command(f"{base}:RANGe:AUTO:ULIMit", query=lambda: level.shown(range_of(key, own.values[f"compliance_{key}"])))
    yield own.setting(f"{base}:PROTection[:LEVel]", f"compliance_{key}", level, start, protect)
    yield own.setting(f"{base}:PROTection:RSYNchronize", f"sync_{key}", Boolean(), False)
    yield Command(f"{base}:PROTection:TRIPped", query=tripped)
