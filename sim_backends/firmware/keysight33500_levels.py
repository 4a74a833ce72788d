"""Amplitude, offset and output of a Keysight 33500: VOLTage and OUTPut, what they allow at a load, and what they change of each other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from sim_backends.firmware.keysight33500_limits import (
    LEAST_OPEN_VPP,
    OPEN_V,
    Amount,
    Ends,
    conflict,
    divided,
    from_vpp,
    shown,
    to_vpp,
    within,
)
from sim_backends.firmware.keysight33500_settings import CHANNELS, command, kept, number
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Boolean, Keyword

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

ON_OFF = Boolean()
DEFAULT_VPP = 0.1
POLARITY = Keyword("NORMal", "INVerted")
UNITS = ("VPP", "VRMS", "DBM")
Given = tuple[float | str, str]


class Levels:
    """Peak-to-peak volts and offset of both channels, into the load that is set; `vpp1`, `offset1`, `load1` and so on are the settings."""

    def __init__(self, own: Keysight33500Firmware) -> None:
        self._own = own

    def peak(self, n: int) -> float:
        """Highest voltage at the load that is set."""
        return OPEN_V * divided(self._own.values[f"load{n}"])

    def least(self, n: int) -> float:
        """Lowest peak-to-peak amplitude."""
        return LEAST_OPEN_VPP * divided(self._own.values[f"load{n}"])

    def most(self, n: int) -> float:
        """Highest peak-to-peak amplitude, whatever the offset."""
        return 2 * self.peak(n) * self._own.memory[n].used_scale(self._own, n)

    def ends(self, n: int) -> tuple[float, float]:
        """(low level, high level)."""
        values = self._own.values
        half = 0.0 if values[f"function{n}"] == "DC" else values[f"vpp{n}"] / 2
        return values[f"offset{n}"] - half, values[f"offset{n}"] + half

    def within_scale(self, n: int) -> None:
        """Reduce an amplitude that a newly selected waveform cannot have (-221)."""
        most = self.most(n)
        if self._own.values[f"vpp{n}"] > most * (1 + 1e-9):
            self.put(n, most, self._own.values[f"offset{n}"])
            raise conflict("amplitude changed due to function")

    def put(self, n: int, vpp: float, offset: float) -> None:
        """Keep amplitude and offset unless they break the limits that are set (-221); of both channels if they are coupled."""
        own = self._own
        half = 0.0 if own.values[f"function{n}"] == "DC" else vpp / 2
        channels = CHANNELS if own.values["volt_coupled"] else (n,)
        for other in channels:
            self.allowed(other, offset - half, offset + half)
        for other in channels:
            own.values.update({f"vpp{other}": vpp, f"offset{other}": offset})

    def allowed(self, n: int, low: float, high: float) -> None:
        """Refuse (-221) levels beyond the voltage limits that are switched on."""
        values, slack = self._own.values, 1e-9 * self.peak(n)
        if values[f"limited{n}"] and (low < values[f"limit_low{n}"] - slack or high > values[f"limit_high{n}"] + slack):
            raise conflict("output levels exceed the voltage limits")

    def amplitude(self, n: int, given: Given) -> None:
        """VOLTage: the offset gives way."""
        values = self._own.values
        unit = given[1] if given[1] in UNITS else values[f"unit{n}"]
        if unit == "DBM" and math.isinf(values[f"load{n}"]):
            raise conflict("amplitude units changed to Vpp due to high-Z load")
        value = given[0]
        wanted = value if isinstance(value, str) else to_vpp(value, unit, values[f"function{n}"], values[f"load{n}"])
        vpp, problem = within(wanted, self.least(n), self.most(n), DEFAULT_VPP)
        most = self.peak(n) - vpp / 2
        offset = min(max(values[f"offset{n}"], -most), most)
        if problem is None and abs(values[f"offset{n}"]) > most + 1e-9:
            problem = conflict("offset changed due to amplitude")
        self.put(n, vpp, offset)
        if problem is not None:
            raise problem

    def offset(self, n: int, given: Given) -> None:
        """VOLTage:OFFSet: no farther than the amplitude allows."""
        vpp = self._own.values[f"vpp{n}"]
        most = self.peak(n) - (0.0 if self._own.values[f"function{n}"] == "DC" else vpp / 2)
        offset, problem = within(given[0], -most, most, 0.0)
        self.put(n, vpp, offset)
        if problem is not None:
            raise problem

    def level(self, high: bool, n: int, given: Given) -> None:
        """VOLTage:HIGH or LOW: the other level gives way."""
        ends = self.ends(n) if self._own.values[f"function{n}"] != "DC" else (self._own.values[f"offset{n}"],) * 2
        peak, least = self.peak(n), self.least(n)
        low_end, high_end = (-peak + least, peak) if high else (-peak, peak - least)
        value, problem = within(given[0], low_end, high_end, DEFAULT_VPP / 2 if high else -DEFAULT_VPP / 2)
        low, top = (ends[0], value) if high else (value, ends[1])
        if top - low < least * (1 - 1e-9):
            low, top = (value - least, value) if high else (value, value + least)
            problem = problem or conflict("low level changed due to high level" if high else "high level changed due to low level")
        self.put(n, top - low, (top + low) / 2)
        if problem is not None:
            raise problem

    def load(self, n: int, ohm: float) -> float:
        """OUTPut:LOAD: the output itself stays, so all voltages are told anew, without an error."""
        values = self._own.values
        ratio = divided(ohm) / divided(values[f"load{n}"])
        for key in ("vpp", "offset", "limit_low", "limit_high"):
            values[f"{key}{n}"] *= ratio
        if math.isinf(ohm) and values[f"unit{n}"] == "DBM":
            values.update({f"unit{n}": "VPP", f"load{n}": ohm})
            raise conflict("amplitude units changed to Vpp due to high-Z load")
        return ohm

    def limit(self, high: bool, n: int, value: float) -> float:
        """VOLTage:LIMit:HIGH or LOW: never inside what is put out (-221)."""
        low, top = self.ends(n)
        if self._own.values[f"limited{n}"] and (value < top - 1e-9 if high else value > low + 1e-9):
            raise conflict("voltage limit is inside the output levels")
        return value

    def limiting(self, n: int, on: bool) -> bool:
        """VOLTage:LIMit:STATe: not while the output is beyond them (-221)."""
        values, (low, high) = self._own.values, self.ends(n)
        if on and (low < values[f"limit_low{n}"] - 1e-9 or high > values[f"limit_high{n}"] + 1e-9):
            raise conflict("output levels exceed the voltage limits")
        return on

    def unit(self, n: int, unit: str) -> str:
        """VOLTage:UNIT."""
        if unit == "DBM" and math.isinf(self._own.values[f"load{n}"]):
            raise conflict("amplitude units changed to Vpp due to high-Z load")
        return unit


def level_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """VOLTage and OUTPut."""
    levels, volts = own.levels, Amount(("V",))
    for n in CHANNELS:
        for key, value in (("vpp", DEFAULT_VPP), ("offset", 0.0)):
            own.default(f"{key}{n}", value)
    told = _amplitude(own)
    takes, asks = (Amount(("V", "VPP", "VRMS", "DBM")),), (Ends(),)
    yield from command(":VOLTage[:LEVel][:IMMediate][:AMPLitude]", levels.amplitude, told, takes, asks)
    yield from command(":VOLTage:OFFSet", levels.offset, _of(own, "offset"), (volts,), asks)
    for name, high in (("HIGH", True), ("LOW", False)):
        yield from command(f":VOLTage:{name}", partial(levels.level, high), _of(own, name.lower()), (volts,), asks)
        sign, key = (1, "limit_high") if high else (-1, "limit_low")
        yield from number(
            own, f":VOLTage:LIMit:{name}", key, lambda n: -levels.peak(n), levels.peak, sign * 5.0, "V",
            accept=partial(levels.limit, high),
        )  # fmt: skip
    yield from kept(own, ":VOLTage:LIMit:STATe", "limited", ON_OFF, False, levels.limiting)
    yield from kept(own, ":VOLTage:UNIT", "unit", Keyword("VPP", "VRMS", "DBM"), "VPP", levels.unit)
    yield from kept(own, ":VOLTage:RANGe:AUTO", "autorange", Keyword("OFF", "ON", "ONCE", numbers=((0, "OFF"), (1, "ON"))), "ON", _once)
    own.default("volt_coupled", False)
    yield from command(
        ":VOLTage:COUPle[:STATe]", lambda n, on: own.values.update(volt_coupled=on), lambda n: ON_OFF.shown(own.values["volt_coupled"]),
        (ON_OFF,),
    )  # fmt: skip
    yield from _output(own)


def _once(n: int, way: str) -> str:
    return "OFF" if way == "ONCE" else way


def _output(own: Keysight33500Firmware) -> Iterable[Command]:
    levels = own.levels
    yield from kept(own, "[:STATe]", "output", ON_OFF, False, node="OUTPut")
    yield from number(own, ":LOAD", "load", 1.0, 10e3, 50.0, "OHM", infinite=True, accept=levels.load, node="OUTPut")
    yield from kept(own, ":POLarity", "inverted", POLARITY, "NORM", node="OUTPut")
    yield from kept(own, ":MODE", "output_mode", Keyword("NORMal", "GATed"), "NORM", node="OUTPut")
    yield from kept(own, ":SYNC:MODE", "sync_mode", Keyword("NORMal", "CARRier", "MARKer"), "NORM", node="OUTPut")
    yield from kept(own, ":SYNC:POLarity", "sync_polarity", POLARITY, "NORM", node="OUTPut")
    source = Keyword("CH1", "CH2")
    yield own.setting(":OUTPut:SYNC[:STATe]", "sync", ON_OFF, True)
    yield own.setting(":OUTPut:SYNC:SOURce", "sync_source", source, "CH1")
    yield own.setting(":OUTPut:TRIGger[:STATe]", "trigger_out", ON_OFF, False)
    yield own.setting(":OUTPut:TRIGger:SLOPe", "trigger_out_slope", Keyword("POSitive", "NEGative"), "POS")
    yield own.setting(":OUTPut:TRIGger:SOURce", "trigger_out_source", source, "CH1")


def _amplitude(own: Keysight33500Firmware) -> Any:
    def query(n: int, word: str | None = None) -> str:
        values, levels = own.values, own.levels
        vpp = within(word, levels.least(n), levels.most(n), DEFAULT_VPP)[0] if word else values[f"vpp{n}"]
        return shown(from_vpp(vpp, values[f"unit{n}"], values[f"function{n}"], values[f"load{n}"]))

    return query


def _of(own: Keysight33500Firmware, what: str) -> Any:
    def query(n: int, word: str | None = None) -> str:
        levels = own.levels
        low, high = levels.ends(n)
        if word is None:
            return shown({"offset": (low + high) / 2, "high": high, "low": low}[what])
        peak = levels.peak(n)
        if what == "offset":
            most = peak - (high - low) / 2
            return shown(within(word, -most, most, 0.0)[0])
        least = levels.least(n)
        ends = (-peak + least, peak, DEFAULT_VPP / 2) if what == "high" else (-peak, peak - least, -DEFAULT_VPP / 2)
        return shown(within(word, *ends)[0])

    return query
