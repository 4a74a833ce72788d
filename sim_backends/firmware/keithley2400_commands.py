"""The command list of the Keithley 2400: patterns, ranges and defaults of the manual's tables 18-1 to 18-11."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sim_backends.firmware.keithley2400_sense import sense_commands
from sim_backends.firmware.keithley2400_source import LIMITS, other, range_of, too_much_power
from sim_backends.firmware.keithley2400_trigger import ELEMENTS, MOST_POINTS
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Boolean, Extremes, Keyword, Number, Text

if TYPE_CHECKING:
    from sim_backends.firmware.keithley2400 import Keithley2400Firmware

ON_OFF = Boolean()
DELAY = Number(0, 999.9999, 0, "S")
LONGEST_LIST = 100
READING_BYTES = 24
COUNT = Number(1, MOST_POINTS, 1, whole=True)
LINE = Number(1, 4, 1, whole=True)
PLACE = Number(0, 4, 0, whole=True)
ARM_EVENTS = ("IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest")
STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "MEAN": statistics.fmean, "SDEV": lambda x: statistics.stdev(x) if len(x) > 1 else 0.0, "MAX": max, "MIN": min,
    "PKPK": lambda x: max(x) - min(x),
}  # fmt: skip


def all_commands(own: Keithley2400Firmware) -> list[Command]:
    """Every command of the instrument."""
    groups = (_common, _source, _sweep, sense_commands, _output, _system, _display, _trace, _trigger, _readings, _math)
    levels = (*_levels(own, "VOLT", "VOLTage", "V"), *_levels(own, "CURR", "CURRent", "A"))
    return [*(command for group in groups for command in group(own)), *levels]


def _common(own: Keithley2400Firmware) -> Iterable[Command]:
    yield Command("*OPT", query=lambda: "0")
    yield Command("*SAV", own.save, takes=(PLACE,))
    yield Command("*RCL", own.recall, takes=(PLACE,))


def _source(own: Keithley2400Firmware) -> Iterable[Command]:
    yield own.setting("[:SOURce{1}]:FUNCtion[:MODE]", "function", Keyword("VOLTage", "CURRent"), "VOLT")
    yield own.setting("[:SOURce{1}]:FUNCtion:SHAPe", "shape", Keyword("DC"), "DC")
    yield own.setting("[:SOURce{1}]:DELay", "source_delay", DELAY, 0.0, lambda s: _with(own, "delay_auto", False, s))
    yield own.setting("[:SOURce{1}]:DELay:AUTO", "delay_auto", ON_OFF, True)
    yield own.setting("[:SOURce{1}]:CLEar:AUTO", "auto_off", ON_OFF, False)
    yield own.setting("[:SOURce{1}]:CLEar:AUTO:MODE", "auto_off_mode", Keyword("ALWays", "TCOunt"), "ALW")
    yield Command("[:SOURce{1}]:CLEar[:IMMediate]", lambda: own.values.update(output=False))
    yield own.setting("[:SOURce{1}]:SOControl", "soc", ON_OFF, False)
    yield own.setting(":SOURce{2:2}:TTL[:LEVel]", "ttl", Number(0, 15, 15, whole=True), 15)


def _levels(own: Keithley2400Firmware, key: str, name: str, unit: str) -> list[Command]:
    """Ranges, levels, sweeps and lists of one source function."""
    most, base = LIMITS[key], f"[:SOURce{{1}}]:{name}"
    start = 1.05e-4 if key == "CURR" else 21.0
    level = Number(-most, most, 0, unit)
    full = Number(-most, most, start, unit)

    def hold(value: float) -> float:
        if not own.values[f"source_{key}_auto"] and abs(value) > own.values[f"source_{key}_range"] * (1 + 1e-9):
            raise ScpiError(-222)
        _allow_power(own, key, value)
        own.values[f"triggered_{key}"] = None
        return value

    def choose(value: float) -> float:
        chosen = range_of(key, value)
        if own.values["function"] == key and abs(own.values[f"level_{key}"]) > chosen * (1 + 1e-9):
            raise ScpiError(-221)
        _allow_power(own, key, chosen)
        own.values[f"source_{key}_auto"] = False
        return chosen

    def automatic(on: bool) -> bool:
        if not on:
            own.values[f"source_{key}_range"] = own.full_scale("source", key)
        return on

    own.default(f"triggered_{key}", None)
    commands = [
        own.setting(f"{base}[:LEVel][:IMMediate][:AMPLitude]", f"level_{key}", level, 0.0, hold),
        Command(
            f"{base}[:LEVel]:TRIGgered[:AMPLitude]", lambda value: own.values.update({f"triggered_{key}": value}),
            lambda: level.shown(own.values[f"level_{key}"] if (set_ := own.values[f"triggered_{key}"]) is None else set_), (level,),
        ),
        own.setting(f"{base}:MODE", f"mode_{key}", Keyword("FIXed", "SWEep", "LIST"), "FIX"),
        own.setting(f"{base}:RANGe:AUTO", f"source_{key}_auto", ON_OFF, True, automatic),
        own.setting(f"{base}:STARt", f"start_{key}", level, 0.0),
        own.setting(f"{base}:STOP", f"stop_{key}", level, 0.0),
        *_list(own, key, name, level),
    ]  # fmt: skip
    setting = own.setting(f"{base}:RANGe", f"source_{key}_range", full, start, choose)
    shown: Callable[..., str] = lambda *extreme: full.shown(extreme[0] if extreme else own.full_scale("source", key))  # noqa: E731
    commands.append(Command(setting.pattern, setting.write, shown, (full,), (Extremes(full),)))
    return commands + _steps(own, base, key, unit)


def _steps(own: Keithley2400Firmware, base: str, key: str, unit: str) -> list[Command]:
    """STEP, SPAN and CENTer, which are other words for STARt, STOP and the number of points."""
    most = LIMITS[key]
    wide = Number(-2 * most, 2 * most, 0, unit)
    level = Number(-most, most, 0, unit)

    def ends() -> tuple[float, float]:
        return own.values[f"start_{key}"], own.values[f"stop_{key}"]

    def step(value: float) -> None:
        steps = (ends()[1] - ends()[0]) / value if value else 0.0
        if not 0.5 < steps < MOST_POINTS - 0.5:
            raise ScpiError(-221)
        own.values["sweep_points"] = round(steps) + 1

    def between(center: float, span: float) -> None:
        first, last = center - span / 2, center + span / 2
        if max(abs(first), abs(last)) > most:
            raise ScpiError(-221)
        own.values.update({f"start_{key}": first, f"stop_{key}": last})

    def interval() -> float:
        return float((ends()[1] - ends()[0]) / max(1, own.values["sweep_points"] - 1))

    return [
        Command(f"{base}:STEP", step, lambda: wide.shown(interval()), (wide,)),
        Command(f"{base}:SPAN", lambda v: between(sum(ends()) / 2, v), lambda: wide.shown(ends()[1] - ends()[0]), (wide,)),
        Command(f"{base}:CENTer", lambda v: between(v, ends()[1] - ends()[0]), lambda: level.shown(sum(ends()) / 2), (level,)),
    ]


def _list(own: Keithley2400Firmware, key: str, name: str, level: Number) -> list[Command]:
    base, held = f"[:SOURce{{1}}]:LIST:{name}", f"list_{key}"
    own.default(held, (0.0,))

    def write(*points: float) -> None:
        if len(points) > LONGEST_LIST:
            raise ScpiError(-223)
        own.values.update({held: points, f"list_start_{key}": 1})

    def append(*points: float) -> None:
        if len(points) + len(own.values[held]) > LONGEST_LIST:
            raise ScpiError(-223)
        own.values[held] = (*own.values[held], *points)

    def start(place: int) -> int:
        if place > len(own.values[held]):
            raise ScpiError(-222)
        return place

    return [
        Command(base, write, lambda: ",".join(map(level.shown, own.values[held])), (level,), repeats=True),
        Command(f"{base}:APPend", append, takes=(level,), repeats=True),
        Command(f"{base}:POINts", query=lambda: str(len(own.values[held]))),
        own.setting(f"{base}:STARt", f"list_start_{key}", Number(1, LONGEST_LIST, 1, whole=True), 1, start),
    ]


def _sweep(own: Keithley2400Firmware) -> Iterable[Command]:
    base = "[:SOURce{1}]:SWEep"
    yield own.setting(f"{base}:SPACing", "sweep_spacing", Keyword("LINear", "LOGarithmic"), "LIN")
    yield own.setting(f"{base}:POINts", "sweep_points", Number(2, MOST_POINTS, MOST_POINTS, whole=True), MOST_POINTS)
    yield own.setting(f"{base}:DIRection", "sweep_direction", Keyword("UP", "DOWN"), "UP")
    yield own.setting(f"{base}:RANGing", "sweep_ranging", Keyword("BEST", "AUTO", "FIXed"), "BEST")
    yield own.setting(f"{base}:CABort", "sweep_abort", Keyword("NEVer", "EARLy", "LATE"), "NEV")
    yield own.setting("[:SOURce{1}]:VOLTage:PROTection[:LEVel]", "ovp", Number(-210, 210, 210, "V"), 210.0)
    yield Command("[:SOURce{1}]:VOLTage:PROTection:TRIPped", query=lambda: "0")


def _output(own: Keithley2400Firmware) -> Iterable[Command]:
    yield own.setting(":OUTPut{1}[:STATe]", "output", ON_OFF, False, own.switch)
    yield own.setting(":OUTPut{1}:SMODe", "off_state", Keyword("HIMPedance", "NORMal", "ZERO", "GUARd"), "NORM")
    yield own.setting(":OUTPut{1}:ENABle[:STATe]", "enable_line", ON_OFF, False)
    yield Command(":OUTPut{1}:ENABle:TRIPped", query=lambda: str(int(own.interlock_closed)))
    yield own.setting(":ROUTe{1}:TERMinals", "terminals", Keyword("FRONt", "REAR"), "FRON", lambda side: _moved(own, side))


def _system(own: Keithley2400Firmware) -> Iterable[Command]:
    beep = (Number(65, 2e6, 1000, "HZ"), Number(0, 7.9, 1, "S"))
    yield Command(":SYSTem:BEEPer[:IMMediate]", lambda hertz, seconds: None, takes=beep)
    yield own.setting(":SYSTem:BEEPer:STATe", "beeper", ON_OFF, True)
    yield own.setting(":SYSTem:AZERo[:STATe]", "auto_zero", Keyword("ON", "OFF", "ONCE", numbers=((0, "OFF"), (1, "ON"))), "ON")
    yield own.setting(":SYSTem:AZERo:CACHing[:STATe]", "zero_cache", ON_OFF, True)
    yield own.setting(":SYSTem:RSENse[:STATe]", "remote_sense", ON_OFF, False)
    yield own.setting(":SYSTem:GUARd", "guard", Keyword("OHMS", "CABLe"), "CABL")
    yield own.setting(":SYSTem:LFRequency", "line_hz", Number(50, 60, 60, "HZ", whole=True), 60, lambda hz: _one_of(hz, (50, 60)))
    yield own.setting(":SYSTem:LFRequency:AUTO", "line_auto", ON_OFF, True)
    yield own.setting(":SYSTem:POSetup", "power_on", Keyword("RST", "PRESet"), "PRES")
    yield own.setting(":SYSTem:TIME:RESet:AUTO", "time_auto", ON_OFF, False)
    yield Command(":SYSTem:TIME:RESet", lambda: setattr(own, "time_s", 0.0))
    yield Command(":SYSTem:TIME", query=lambda: f"{own.time_s:.3f}")
    yield Command(":SYSTem:PRESet", own.reset)
    yield Command(":SYSTem:CLEar", own.status.errors.clear)
    yield Command(":SYSTem:KEY", lambda code: None, lambda: "0", (Number(1, 31, 1, whole=True),))
    for mode in ("LOCal", "REMote", "RWLock"):
        yield Command(f":SYSTem:{mode}", lambda: None)
    yield Command(":SYSTem:MEP[:STATe]", query=lambda: "1")


def _display(own: Keithley2400Firmware) -> Iterable[Command]:
    yield own.setting(":DISPlay:ENABle", "display", ON_OFF, True)
    yield own.setting(":DISPlay:DIGits", "digits", Number(4, 7, 6, whole=True), 6)
    yield Command(":DISPlay:CNDisplay", lambda: None)
    for number, longest in ((1, 20), (2, 32)):
        window = f"[:WINDow{{{number}}}]" if number == 1 else f":WINDow{{{number}:{number}}}"
        yield own.setting(f":DISPlay{window}:TEXT[:DATA]", f"text{number}", Text(longest), "")
        yield own.setting(f":DISPlay{window}:TEXT:STATe", f"text{number}_shown", ON_OFF, False)


def _trace(own: Keithley2400Firmware) -> Iterable[Command]:
    for name in (":TRACe", ":DATA"):
        yield Command(f"{name}:DATA", query=lambda: own.acquisition.answer(own.acquisition.buffer))
        yield Command(f"{name}:CLEar", own.acquisition.clear_buffer)
        yield Command(f"{name}:FREE", query=lambda: _free(len(own.acquisition.buffer)))
        yield own.setting(f"{name}:POINts", "trace_points", Number(1, MOST_POINTS, 100, whole=True), 100)
        yield Command(f"{name}:POINts:ACTual", query=lambda: str(len(own.acquisition.buffer)))
        yield own.setting(f"{name}:FEED", "feed", Keyword("SENSe", "SENSe1", "CALCulate", "CALCulate1", "CALCulate2"), "SENS")
        yield own.setting(f"{name}:FEED:CONTrol", "feed_control", Keyword("NEXT", "NEVer"), "NEV", lambda c: _refill(own, c))
        yield own.setting(f"{name}:TSTamp:FORMat", "stamps", Keyword("ABSolute", "DELTa"), "ABS")


def _trigger(own: Keithley2400Firmware) -> Iterable[Command]:
    arm, trigger = ":ARM[:SEQuence{1}][:LAYer{1}]", ":TRIGger[:SEQuence{1}]"
    endless = Number(1, MOST_POINTS, 1, whole=True, infinite=True)
    yield own.setting(f"{arm}:COUNt", "arm_count", endless, 1, lambda n: _product(n, own.values["trigger_count"]))
    yield own.setting(f"{arm}:SOURce", "arm_source", Keyword(*ARM_EVENTS), "IMM")
    yield own.setting(f"{arm}:TIMer", "arm_timer", Number(0.001, 99999.99, 0.1, "S"), 0.1)
    yield _events(own, f"{arm}[:TCONfigure]:OUTPut", "arm_output", Keyword("TENTer", "TEXit", "NONE"))
    yield own.setting(f"{trigger}:COUNt", "trigger_count", COUNT, 1, lambda n: _product(n, own.values["arm_count"]))
    yield own.setting(f"{trigger}:DELay", "trigger_delay", DELAY, 0.0)
    yield own.setting(f"{trigger}:SOURce", "trigger_source", Keyword("IMMediate", "TLINk"), "IMM")
    for way in ("INPut", "OUTPut"):
        events = Keyword("SOURce", "DELay", "SENSe", "NONE")
        yield _events(own, f"{trigger}[:TCONfigure]:{way}", f"trigger_{way}", events)
    for layer, key in ((arm, "arm"), (trigger, "trigger")):
        yield own.setting(f"{layer}[:TCONfigure]:DIRection", f"{key}_direction", Keyword("SOURce", "ACCeptor"), "ACC")
        yield own.setting(f"{layer}[:TCONfigure][:ASYNchronous]:ILINe", f"{key}_in", LINE, 1)
        yield own.setting(f"{layer}[:TCONfigure][:ASYNchronous]:OLINe", f"{key}_out", LINE, 2)
    yield Command(":TRIGger:CLEar", lambda: None)
    yield Command(":INITiate[:IMMediate]", own.acquisition.initiate)
    yield Command(":ABORt", own.acquisition.abort)


def _events(own: Keithley2400Firmware, pattern: str, key: str, events: Keyword) -> Command:
    """A list of events."""
    own.default(key, ("NONE",))

    def write(*names: str) -> None:
        own.values[key] = names

    return Command(pattern, write, lambda: ",".join(own.values[key]), (events,), repeats=True)


def _readings(own: Keithley2400Firmware) -> Iterable[Command]:
    acquisition = own.acquisition

    def read() -> bytes | None:
        acquisition.initiate(asked=True)
        return acquisition.late().removesuffix(b"\n") or None

    def one_shot(function: str | None) -> None:
        acquisition.abort()
        own.values.update(arm_count=1, trigger_count=1, arm_source="IMM", trigger_source="IMM", trigger_delay=0.0)
        if function is not None:
            own.values["sense"] = (function,)

    def measure(function: str | None) -> bytes | None:
        one_shot(function)
        if own.strict_output:
            own.values["output"] = own.switch(True)
        return read()

    yield Command(":READ", query=read)
    for pattern in (":FETCh", "[:SENSe{1}]:DATA[:LATest]"):
        yield Command(pattern, query=lambda: acquisition.answer(acquisition.last))
    yield Command(":CONFigure", query=lambda: ",".join(f'"{name}:DC"' for name in own.values["sense"]))
    yield Command(":MEASure", query=lambda: measure(None))
    for key, name in (("VOLT", ":VOLTage[:DC]"), ("CURR", ":CURRent[:DC]"), ("RES", ":RESistance")):
        yield Command(f":MEASure{name}", query=lambda key=key: measure(key))
        yield Command(f":CONFigure{name}", lambda key=key: one_shot(key))
    data = Keyword("ASCii", "REAL", "SREal")
    own.default("data_format", "ASC")
    yield Command(
        ":FORMat[:DATA]", lambda kind, bits=32: own.values.update(data_format="ASC" if kind == "ASC" else "SRE"),
        lambda: "ASC" if own.values["data_format"] == "ASC" else "REAL,32", (data, Number(0, 32, 32, whole=True)), least=1,
    )  # fmt: skip
    yield own.setting(":FORMat:BORDer", "border", Keyword("NORMal", "SWAPped"), "NORM")
    yield own.setting(":FORMat:SREGister", "status_format", Keyword("ASCii"), "ASC")
    own.default("elements", ELEMENTS)
    element = Keyword("VOLTage", "CURRent", "RESistance", "TIME", "STATus")
    for pattern in (":FORMat:ELEMents", ":FORMat:ELEMents:SENSe{1}"):
        yield Command(
            pattern, lambda *names: own.values.update(elements=tuple(e for e in ELEMENTS if e in names)),
            lambda: ",".join(own.values["elements"]), (element,), repeats=True,
        )  # fmt: skip


def _math(own: Keithley2400Firmware) -> Iterable[Command]:
    yield own.setting(":CALCulate{1}:STATe", "math", ON_OFF, False, lambda on: _one_of(on, (False,)))
    yield own.setting(":CALCulate{2:2}:NULL:STATe", "null", ON_OFF, False)
    yield own.setting(":CALCulate{2:2}:NULL:OFFSet", "null_offset", Number(-9.999999e20, 9.999999e20, 0), 0.0)
    kinds = Keyword("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK")
    yield own.setting(":CALCulate{3:3}:FORMat", "statistic", kinds, "MEAN")

    def data() -> str:
        if not own.acquisition.buffer:
            raise ScpiError(-230)
        names = [e for e in ("VOLT", "CURR", "RES") if e in own.values["elements"]]
        found = STATISTICS[own.values["statistic"]]
        return ",".join(f"{found([reading[name] for reading in own.acquisition.buffer]):+.6E}" for name in names)

    yield Command(":CALCulate{3:3}:DATA", query=data)


def _with(own: Keithley2400Firmware, key: str, value: Any, result: Any) -> Any:
    """`result`, with another setting changed along."""
    own.values[key] = value
    return result


def _allow_power(own: Keithley2400Firmware, key: str, value: float) -> None:
    limit = own.values[f"compliance_{other(key)}"]
    if own.values["function"] == key and too_much_power(*((value, limit) if key == "VOLT" else (limit, value))):
        raise ScpiError(826)


def _product(count: float, others: float) -> float:
    if math.isfinite(count) and math.isfinite(others) and count * others > MOST_POINTS:
        raise ScpiError(-221)
    return count


def _one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ScpiError(-224)
    return value


def _moved(own: Keithley2400Firmware, side: str) -> str:
    """Another pair of terminals switches the output off."""
    if side != own.values["terminals"]:
        own.values["output"] = False
    return side


def _free(used: int) -> str:
    return f"{READING_BYTES * (MOST_POINTS - used)}, {READING_BYTES * used}"


def _refill(own: Keithley2400Firmware, control: str) -> str:
    if control == "NEXT" and len(own.acquisition.buffer) >= own.values["trace_points"]:
        own.acquisition.clear_buffer()
    return control
