"""DATA, FORMat and FUNCtion:ARBitrary of a Keysight 33500: waveforms and sequences into its memories, what is in them, and playing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sim_backends.firmware.keysight33500_arbs import BUILT_IN, Codes, Name, Point, to_codes
from sim_backends.firmware.keysight33500_functions import not_bursting, set_rate
from sim_backends.firmware.keysight33500_limits import FULL_CODE, Amount, conflict, shown
from sim_backends.firmware.keysight33500_settings import command, kept, number
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Block, Keyword

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

DEFAULT_RATE = 40e3
Given = tuple[float | str, str]


def data_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """DATA and FORMat:BORDer."""

    def load(n: int, name: str, *points: Any, dac: bool) -> None:
        if "\\" in name or "." in name:
            raise ScpiError(-257)
        own.memory[n].add(name, to_codes(list(points), dac, own.values["border"] == "SWAP"))

    def clear(n: int) -> None:
        own.memory[n].clear()
        own.outputs.restart(n)

    takes = (Name(), Point())
    yield own.setting(":FORMat:BORDer", "border", Keyword("NORMal", "SWAPped"), "NORM")
    for pattern, dac in ((":DATA:ARBitrary{1}[:FLOat]", False), (":DATA:ARBitrary{1}:DAC", True)):
        yield from command(pattern, lambda n, name, *points, dac=dac: load(n, name, *points, dac=dac), takes=takes, repeats=True)
    yield from command(":DATA:SEQuence", lambda n, block: _sequence(own, n, block), takes=(Block(),))
    yield from command(":DATA:VOLatile:CATalog", query=lambda n: ",".join(f'"{name}"' for name in own.memory[n].names))
    yield from command(":DATA:VOLatile:FREE", query=lambda n: f"{own.memory[n].free:+d}")
    yield from command(":DATA:VOLatile:CLEar", clear)
    statistics: dict[str, Callable[[Codes], str]] = {
        "AVERage": lambda c: shown(float(c.mean(dtype=np.float64)) / FULL_CODE), "CFACtor": lambda c: shown(_crest(c)),
        "PEAK": lambda c: shown(float(np.abs(c.astype(np.int32)).max()) / FULL_CODE), "POINts": lambda c: f"{c.size:+d}",
        "PTPeak": lambda c: shown((int(c.max()) - int(c.min())) / FULL_CODE),
    }  # fmt: skip
    for name, value in statistics.items():
        yield from command(
            f":DATA:ATTRibute:{name}",
            query=lambda n, arb=None, value=value: value(_codes(own, n, arb or own.memory[n].selected)), asks=(Name(),),
        )  # fmt: skip


def _sequence(own: Keysight33500Firmware, n: int, block: bytes) -> None:
    own.memory[n].add_sequence(block)


def _crest(codes: Codes) -> float:
    values = codes.astype(np.float64)
    rms = float(np.sqrt(np.mean(values * values)))
    return float(np.abs(values).max()) / rms if rms else 1.0


def _codes(own: Keysight33500Firmware, n: int, name: str) -> Codes:
    if name in own.memory[n].names:
        return own.memory[n].codes_of(name)
    stored = own.files.get(name, BUILT_IN.get(name))
    if not isinstance(stored, np.ndarray):
        raise ScpiError(785)
    return stored


def arb_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """FUNCtion:ARBitrary."""

    def select(n: int, name: str) -> None:
        memory = own.memory[n]
        if name not in memory.names:
            raise ScpiError(785)
        memory.selected = name
        own.outputs.restart(n)
        if own.values[f"function{n}"] == "ARB":
            if reason := not_bursting(own, n):
                own.values[f"burst{n}"] = False
                raise conflict(reason)
            own.levels.within_scale(n)

    def top(n: int) -> float:
        return own.model.bare_rate if own.values[f"filter{n}"] == "OFF" else own.model.rate

    def filtered(n: int, word: str) -> str:
        if word == "OFF" and own.values[f"rate{n}"] > own.model.bare_rate:
            own.values.update({f"rate{n}": own.model.bare_rate, f"filter{n}": word})
            raise conflict("sample rate reduced due to filter")
        return word

    yield from command(":FUNCtion:ARBitrary", select, lambda n: f'"{own.memory[n].selected}"', (Name(),))
    yield from number(own, ":FUNCtion:ARBitrary:SRATe", "rate", 1e-6, top, DEFAULT_RATE)
    yield from kept(own, ":FUNCtion:ARBitrary:FILTer", "filter", Keyword("NORMal", "STEP", "OFF"), "STEP", filtered)
    yield from kept(own, ":FUNCtion:ARBitrary:ADVance", "advance", Keyword("TRIGger", "SRATe"), "SRAT")
    yield from command(":FUNCtion:ARBitrary:POINts", query=lambda n: f"{own.memory[n].codes_of(own.memory[n].selected).size:+d}")
    yield from command(
        ":FUNCtion:ARBitrary:PTPeak", own.levels.amplitude, lambda n: shown(own.values[f"vpp{n}"]), (Amount(("V", "VPP", "VRMS", "DBM")),)
    )

    def points(n: int) -> float:
        return float(own.memory[n].codes_of(own.memory[n].selected).size)

    def cycle(n: int, given: Given, period: bool) -> None:
        if isinstance(given[0], str) or given[0] <= 0:
            raise ScpiError(-222)
        set_rate(own, n, (points(n) / given[0] if period else points(n) * given[0], ""))

    for name, unit, period in (("FREQuency", "HZ", False), ("PERiod", "S", True)):
        yield from command(
            f":FUNCtion:ARBitrary:{name}", partial(cycle, period=period),
            lambda n, period=period: shown(points(n) / own.values[f"rate{n}"] if period else own.values[f"rate{n}"] / points(n)),
            (Amount((unit,)),),
        )  # fmt: skip
