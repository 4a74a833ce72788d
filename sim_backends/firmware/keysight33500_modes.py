"""Burst, trigger, sweep and modulation of a Keysight 33500; sweep and modulation are kept but do nothing to the output."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sim_backends.firmware.keysight33500_functions import MODULATIONS, not_bursting
from sim_backends.firmware.keysight33500_limits import FUNCTIONS, Amount, conflict, shown
from sim_backends.firmware.keysight33500_settings import CHANNELS, command, kept, number
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Boolean, Keyword

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

ON_OFF = Boolean()
SLOPE = Keyword("POSitive", "NEGative")
MOST_CYCLES = 100_000_000
SHORTEST_S, LONGEST_S = 1e-6, 8000.0


def burst_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """BURSt."""

    def switch(n: int, on: bool) -> bool:
        before = own.values[f"burst{n}"]
        own.values[f"burst{n}"] = on
        if reason := not_bursting(own, n):
            own.values[f"burst{n}"] = False
            raise conflict(reason)
        own.outputs.restart(n)
        if on and not before:
            _others_off(own, n, "burst")
        return on

    def mode(n: int, word: str) -> str:
        if own.values[f"burst{n}"] and own.values[f"function{n}"] == "NOIS" and word == "TRIG":
            raise conflict("triggered burst not available for noise")
        return word

    def fit(n: int, cycles: float) -> float:
        values = own.values
        needed = cycles / cycle_hz(own, n) + 1e-6
        if values[f"burst{n}"] and values[f"trigger{n}"] == "IMM" and values[f"burst_period{n}"] < needed <= LONGEST_S:
            values.update({f"burst_period{n}": needed, f"cycles{n}": cycles})
            raise conflict("burst period increased to fit entire burst")
        return cycles

    yield from kept(own, ":BURSt[:STATe]", "burst", ON_OFF, False, switch)
    yield from kept(own, ":BURSt:MODE", "burst_mode", Keyword("TRIGgered", "GATed"), "TRIG", mode)
    yield from number(own, ":BURSt:NCYCles", "cycles", 1, MOST_CYCLES, 1, whole=True, infinite=True, accept=fit)
    yield from number(own, ":BURSt:INTernal:PERiod", "burst_period", SHORTEST_S, LONGEST_S, 10e-3, "S")
    yield from number(own, ":BURSt:PHASe", "burst_phase", -360.0, 360.0, 0.0, "DEG")
    yield from kept(own, ":BURSt:GATE:POLarity", "gate", Keyword("NORMal", "INVerted"), "NORM")


def trigger_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """TRIGger, INITiate and ABORt."""

    def source(n: int, word: str) -> str:
        if word == "EXT" and own.values["trigger_out"] and own.values["trigger_out_source"] == f"CH{n}":
            own.values["trigger_out"] = False
            own.values[f"trigger{n}"] = word
            raise conflict("trigger output disabled by trigger external")
        return word

    def software(n: int) -> None:
        if not own.outputs.edge(n):
            raise ScpiError(-211)

    def initiate(n: int) -> None:
        if own.values[f"continuous{n}"] or own.outputs.initiated[n]:
            raise ScpiError(-213)
        own.outputs.initiated[n] = True

    def initiate_all() -> None:
        for n in CHANNELS:
            initiate(n)

    def continuous_all(on: bool) -> None:
        own.values.update({f"continuous{n}": again(n, on) for n in CHANNELS})

    def again(n: int, on: bool) -> bool:
        own.outputs.initiated[n] = False
        return on

    yield from kept(own, ":SOURce", "trigger", Keyword("IMMediate", "EXTernal", "TIMer", "BUS"), "IMM", source, node="TRIGger")
    yield from kept(own, ":SLOPe", "slope", SLOPE, "POS", node="TRIGger")
    yield from number(own, ":LEVel", "trigger_level", 0.9, 3.8, 1.65, "V", node="TRIGger")
    yield from number(own, ":DELay", "delay", 0.0, 1000.0, 0.0, "S", node="TRIGger")
    yield from number(own, ":COUNt", "count", 1, 1_000_000, 1, whole=True, node="TRIGger")
    yield from number(own, ":TIMer", "timer", SHORTEST_S, LONGEST_S, 1.0, "S", node="TRIGger")
    yield from command("[:IMMediate]", software, node="TRIGger")
    yield from kept(own, ":CONTinuous", "continuous", ON_OFF, True, again, node="INITiate")
    yield from command("[:IMMediate]", initiate, node="INITiate")
    yield Command(":INITiate:CONTinuous:ALL", continuous_all, takes=(ON_OFF,))
    yield Command(":INITiate[:IMMediate]:ALL", initiate_all)
    yield Command(":ABORt", own.outputs.restart)


def cycle_hz(own: Keysight33500Firmware, n: int) -> float:
    """How often a second the function repeats itself."""
    if own.values[f"function{n}"] == "ARB":
        return float(own.values[f"rate{n}"] / own.memory[n].codes_of(own.memory[n].selected).size)
    return float(own.values[f"frequency{n}"])


def _others_off(own: Keysight33500Firmware, n: int, mode: str) -> None:
    """Only one mode at a time: the others are switched off, and that is reported (-221)."""
    for other in ("burst", *MODULATIONS):
        if other not in (mode, "sum") and own.values[f"{other}{n}"]:
            own.values.update({f"{other}{n}": False, f"{mode}{n}": True})
            name = other if other in ("burst", "sweep") else "modulation"
            raise conflict(f"{name} turned off by selection of other mode or modulation")


def modulation_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """AM, FM, PM, PWM, FSK, BPSK, SUM and SWEep."""

    def state(mode: str, n: int, on: bool) -> bool:
        if on and own.values[f"function{n}"] in ("DC", "NOIS"):
            raise conflict(f"not able to modulate {own.values[f'function{n}'].lower()}, modulation turned off")
        if on:
            _others_off(own, n, mode)
        return on

    most_hz = own.model.most_hz[0]
    source, shape = Keyword("INTernal", "EXTernal", "CH1", "CH2"), Keyword(*FUNCTIONS[:-1])
    depths = {
        "AM": (":AM:DEPTh", 0.0, 120.0, 100.0), "FM": (":FM[:DEViation]", 1e-6, most_hz / 2, 100.0),
        "PM": (":PM:DEViation", 0.0, 360.0, 180.0), "PWM": (":PWM:DEViation", 0.0, 1e6, 1e-5), "SUM": (":SUM:AMPLitude", 0.0, 100.0, 0.1),
    }  # fmt: skip
    for name in ("AM", "FM", "PM", "PWM", "FSKey", "BPSK", "SUM"):
        mode = name.lower()[:3] if name == "FSKey" else name.lower()
        yield from kept(own, f":{name}:STATe", mode, ON_OFF, False, partial(state, mode))
        yield from kept(own, f":{name}:SOURce", f"{mode}_source", source, "INT")
        if name in depths:
            pattern, low, high, default = depths[name]
            yield from number(own, pattern, f"{mode}_depth", low, high, default)
            yield from number(own, f":{name}:INTernal:FREQuency", f"{mode}_hz", 1e-6, most_hz, 100.0 if name == "AM" else 10.0, "HZ")
            yield from kept(own, f":{name}:INTernal:FUNCtion", f"{mode}_shape", shape, "SIN")
        else:
            yield from number(own, f":{name}:INTernal:RATE", f"{mode}_rate", 1.25e-4, 1e6, 10.0, "HZ")
    yield from kept(own, ":AM:DSSC", "dssc", ON_OFF, False)
    yield from number(own, ":PWM:DEViation:DCYCle", "pwm_duty", 0.0, 100.0, 1.0, "PCT")
    yield from number(own, ":FSKey:FREQuency", "fsk_hz", 1e-6, most_hz, 100.0, "HZ")
    yield from number(own, ":BPSK:PHASe", "bpsk_phase", 0.0, 360.0, 180.0, "DEG")
    yield from kept(own, ":SWEep:STATe", "sweep", ON_OFF, False, partial(state, "sweep"))
    yield from kept(own, ":SWEep:SPACing", "sweep_spacing", Keyword("LINear", "LOGarithmic"), "LIN")
    for name, low, default in (("TIME", 1e-3, 1.0), ("HTIMe", 0.0, 0.0), ("RTIMe", 0.0, 0.0)):
        yield from number(own, f":SWEep:{name}", f"sweep_{name.lower()}", low, 250e3, default, "S")
    for name in ("CYCLe", "POINt"):
        yield from number(own, f":MARKer:{name}", f"marker_{name.lower()}", 1, 1_000_000, 2, whole=True)
    yield from number(own, ":MARKer:FREQuency", "marker_hz", 1e-6, most_hz, 500.0, "HZ")
    for n in CHANNELS:
        own.default(f"list{n}", (100.0, 1000.0, 550.0))
    yield from number(own, ":LIST:DWELl", "list_dwell", 1e-6, 1e6, 1.0, "S")
    yield from command(
        ":LIST:FREQuency", lambda n, *f: own.values.update({f"list{n}": _hertz(f)}),
        lambda n: ",".join(map(shown, own.values[f"list{n}"])), (Amount(("HZ",)),), repeats=True,
    )  # fmt: skip
    yield from command(":LIST:FREQuency:POINts", query=lambda n: f"{len(own.values[f'list{n}']):+d}")


def _hertz(given: tuple[tuple[float | str, str], ...]) -> tuple[float, ...]:
    if len(given) > 128:
        raise ScpiError(-223)
    return tuple(float(value) for value, _ in given if not isinstance(value, str))
