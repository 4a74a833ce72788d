"""Functions of a Keysight 33500 and their times: FUNCtion, FREQuency, PHASe and APPLy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from sim_backends.firmware.keysight33500_limits import FUNCTIONS, LEAST_HZ, Amount, conflict, shown, within
from sim_backends.firmware.keysight33500_settings import CHANNELS, command, kept, number
from sim_backends.firmware.keysight33500_waves import PRBS_BITS
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Keyword, forms

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

SPOKEN = {"RAMP": "ramp", "TRI": "ramp", "PULS": "pulse", "SQU": "square", "ARB": "user", "NOIS": "noise", "PRBS": "PRBS", "SIN": "sine"}
MODULATIONS = ("am", "fm", "pm", "pwm", "fsk", "bpsk", "sum", "sweep")
Given = tuple[float | str, str]
LEFT_OUT: Given = ("", "")


def choose(own: Keysight33500Firmware, n: int, function: str) -> None:
    """FUNCtion: what the new function cannot do is changed and reported (-221)."""
    values, problem = own.values, None
    half = 0.0 if function == "DC" else values[f"vpp{n}"] / 2
    offset, peak = values[f"offset{n}"], own.levels.peak(n)
    if half and abs(offset) > peak - half:
        offset = (peak - half) * (1 if offset > 0 else -1)
        problem = conflict("offset changed on exit from dc function")
    own.levels.allowed(n, offset - half, offset + half)
    most = own.model.most(function)
    if function not in ("DC", "NOIS", "ARB") and values[f"frequency{n}"] > most:
        values[f"frequency{n}"] = most
        problem = conflict(f"frequency reduced for {SPOKEN[function]} function")
    values.update({f"function{n}": function, f"offset{n}": offset})
    if not_bursting(own, n):
        problem = conflict(not_bursting(own, n))
        values[f"burst{n}"] = False
    if function in ("DC", "NOIS"):
        for key in MODULATIONS:
            if values[f"{key}{n}"]:
                values[f"{key}{n}"] = False
                problem = conflict(f"not able to modulate {function.lower()}, modulation turned off")
    own.outputs.restart(n)
    if problem is not None:
        raise problem


def not_bursting(own: Keysight33500Firmware, n: int) -> str:
    """Why a channel that is to burst cannot; "" if it can, or is not to."""
    values = own.values
    function = values[f"function{n}"]
    if not values[f"burst{n}"]:
        return ""
    if function == "DC":
        return "not able to burst dc, burst turned off"
    if function == "ARB" and own.memory[n].selected in own.memory[n].sequences:
        return "not able to burst this function"
    return "triggered burst not available for noise" if function == "NOIS" and values[f"burst_mode{n}"] == "TRIG" else ""


def shape_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """FUNCtion and everything below it but arbitrary waveforms."""
    words = Keyword(*FUNCTIONS)
    for n in CHANNELS:
        own.default(f"function{n}", "SIN")
    yield from command(":FUNCtion[:SHAPe]", partial(choose, own), lambda n: own.values[f"function{n}"], (words,))
    yield from number(own, ":FUNCtion:SQUare:DCYCle", "duty", 0.01, 99.99, 50.0, "PCT")
    yield from number(own, ":FUNCtion:RAMP:SYMMetry", "symmetry", 0.0, 100.0, 100.0, "PCT")
    yield from number(own, ":FUNCtion:NOISe:BANDwidth", "bandwidth", 1e-3, own.model.most_hz[0], 1e5, "HZ")
    yield from number(own, ":FUNCtion:PRBS:BRATe", "bit_rate", 1e-3, 50e6, 1000.0)
    yield from number(own, ":FUNCtion:PRBS:TRANsition[:BOTH]", "prbs_edge", 8.4e-9, 1e-6, 8.4e-9, "S")
    yield from kept(own, ":FUNCtion:PRBS:DATA", "prbs", Keyword(*(f"PN{bits}" for bits in PRBS_BITS)), "PN7")
    yield from kept(own, ":FUNCtion:PULSe:HOLD", "hold", Keyword("WIDTh", "DCYCle"), "WIDT")
    yield from number(own, ":FUNCtion:PULSe:WIDTh", "width", 16e-9, lambda n: 1 / own.values[f"frequency{n}"] - 8e-9, 1e-4, "S")
    for way, keys in (("[:BOTH]", ("lead", "trail")), (":LEADing", ("lead",)), (":TRAiling", ("trail",))):
        yield from number(
            own, f":FUNCtion:PULSe:TRANsition{way}", keys[0], 8.4e-9, 1e-6, 10e-9, "S", accept=partial(_edges, own, keys)
        )  # fmt: skip
    yield from command(
        ":FUNCtion:PULSe:DCYCle", partial(_pulse_duty, own), lambda n, word="": shown(_duty(own, n)), (Amount(("PCT",)),)
    )  # fmt: skip
    for name in ("SQUare", "PULSe", "RAMP", "SINusoid", "TRIangle"):
        yield from command(f":FUNCtion:{name}:PERiod", partial(_period, own), partial(_told_period, own), (Amount(("S",)),))


def _edges(own: Keysight33500Firmware, keys: tuple[str, ...], n: int, seconds: float) -> float:
    own.values.update({f"{key}{n}": seconds for key in keys})
    return seconds


def _duty(own: Keysight33500Firmware, n: int) -> float:
    return float(100 * own.values[f"width{n}"] * own.values[f"frequency{n}"])


def _pulse_duty(own: Keysight33500Firmware, n: int, given: Given) -> None:
    percent = {"MIN": 0.0, "MAX": 100.0, "DEF": 10.0}[given[0]] if isinstance(given[0], str) else given[0]
    period = 1 / own.values[f"frequency{n}"]
    width = min(max(percent / 100 * period, 16e-9), period - 8e-9)
    own.values[f"width{n}"] = width
    if abs(width - percent / 100 * period) > 1e-9 * period and not isinstance(given[0], str):
        raise conflict("pulse width limited by the period")


def _told_period(own: Keysight33500Firmware, n: int) -> str:
    return shown(1 / own.values[f"frequency{n}"])


def _period(own: Keysight33500Firmware, n: int, given: Given) -> None:
    swap = {"MIN": "MAX", "MAX": "MIN"}
    if not isinstance(given[0], str) and given[0] <= 0:
        raise ScpiError(-222)
    frequency: Any = swap.get(given[0], given[0]) if isinstance(given[0], str) else 1 / given[0]
    set_frequency(own, n, (frequency, ""))


def set_frequency(own: Keysight33500Firmware, n: int, given: Given) -> None:
    """FREQuency, from another command."""
    value, problem = within(given[0], LEAST_HZ, own.model.most(own.values[f"function{n}"]), 1000.0)
    own.values[f"frequency{n}"] = new_frequency(own, n, value)
    if problem is not None:
        raise problem


def set_rate(own: Keysight33500Firmware, n: int, given: Given) -> None:
    """FUNCtion:ARBitrary:SRATe, from another command."""
    most = own.model.bare_rate if own.values[f"filter{n}"] == "OFF" else own.model.rate
    own.values[f"rate{n}"], problem = within(given[0], 1e-6, most, 40e3)
    if problem is not None:
        raise problem


def new_frequency(own: Keysight33500Firmware, n: int, hertz: float) -> float:
    """A pulse keeps its width or its duty cycle; one that does not fit any more is shortened (-221)."""
    values = own.values
    if values[f"hold{n}"] == "DCYC":
        values[f"width{n}"] *= values[f"frequency{n}"] / hertz
    elif values[f"width{n}"] > 1 / hertz - 8e-9:
        values.update({f"width{n}": max(16e-9, 0.5 / hertz), f"frequency{n}": hertz})
        if values[f"function{n}"] == "PULS":
            raise conflict("pulse width decreased due to period")
    return hertz


def time_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """FREQuency and PHASe."""
    most_hz, most = own.model.most_hz[0], lambda n: own.model.most(own.values[f"function{n}"])
    for pattern in (":FREQuency[:CW]", ":FREQuency:FIXed"):
        yield from number(own, pattern, "frequency", LEAST_HZ, most, 1000.0, "HZ", accept=partial(new_frequency, own))
    for name, start in (("STARt", 100.0), ("STOP", 1000.0), ("CENTer", 550.0), ("SPAN", 900.0)):
        key, low = f"sweep_{name.lower()}", LEAST_HZ if name != "SPAN" else -most_hz
        yield from number(own, f":FREQuency:{name}", key, low, most_hz, start, "HZ", accept=_swept(own, name))
    yield from kept(own, ":FREQuency:MODE", "frequency_mode", Keyword("CW", "LIST", "SWEep", "FIXed"), "CW")
    yield from number(own, ":PHASe[:ADJust]", "phase", -360.0, 360.0, 0.0, "DEG")
    yield from command(":PHASe:SYNChronize", lambda n: None)
    yield from command(":PHASe:REFerence", lambda n: own.values.update({f"phase{n}": 0.0}))
    yield from command(":FUNCtion:ARBitrary:SYNChronize", lambda n: own.outputs.restart())
    yield own.setting(":UNIT:ANGLe", "angle", Keyword("DEGree"), "DEG")


def _swept(own: Keysight33500Firmware, name: str) -> Callable[[int, float], float]:
    def accept(n: int, value: float) -> float:
        values = {k: own.values[f"sweep_{k}{n}"] for k in ("start", "stop", "center", "span")} | {name.lower(): value}
        if name in ("STARt", "STOP"):
            values.update(center=(values["start"] + values["stop"]) / 2, span=values["stop"] - values["start"])
        else:
            values.update(start=values["center"] - values["span"] / 2, stop=values["center"] + values["span"] / 2)
        own.values.update({f"sweep_{k}{n}": v for k, v in values.items()})
        return value

    return accept


def apply_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """APPLy: function, frequency (or sample rate), amplitude and offset at once, modes off, output on."""
    takes = (Amount(("HZ",)), Amount(("V", "VPP", "VRMS", "DBM")), Amount(("V",)))
    for name in FUNCTIONS:
        yield from command(f":APPLy:{name}", partial(_apply, own, function=forms(name)[0]), takes=takes, least=0)

    def told(n: int) -> str:
        values = own.values
        rate = values[f"rate{n}"] if values[f"function{n}"] == "ARB" else values[f"frequency{n}"]
        return f'"{values[f"function{n}"]} {shown(rate)},{shown(values[f"vpp{n}"])},{shown(values[f"offset{n}"])}"'

    yield from command(":APPLy", query=told)


def _apply(
    own: Keysight33500Firmware, n: int, rate: Given = LEFT_OUT, vpp: Given = LEFT_OUT, offset: Given = LEFT_OUT, function: str = ""
) -> None:  # fmt: skip
    values = own.values
    values.update({f"{key}{n}": False for key in (*MODULATIONS, "burst")} | {f"trigger{n}": "IMM", f"autorange{n}": "ON"})
    problems: list[ScpiError] = []
    steps: list[Callable[[], None]] = [lambda: choose(own, n, function)]
    if rate is not LEFT_OUT and function not in ("DC", "NOIS"):
        steps.append(lambda: (set_rate if function == "ARB" else set_frequency)(own, n, rate))
    if vpp is not LEFT_OUT and function != "DC":
        steps += [lambda: own.levels.offset(n, (0.0, "")), lambda: own.levels.amplitude(n, vpp)]
    if offset is not LEFT_OUT:
        steps.append(lambda: own.levels.offset(n, offset))
    for step in steps:
        try:
            step()
        except ScpiError as problem:
            problems.append(problem)
    values[f"output{n}"] = True
    if problems:
        raise problems[0]
