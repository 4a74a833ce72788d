"""The command list of the Thorlabs PM100D: patterns, ranges and defaults of the tables in section 6.4 of its manual."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from sim_backends.firmware.pm100_measure import HARDWARE_MISSING
from sim_backends.firmware.pm100_status import status_commands
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Boolean, Extremes, Keyword, Number

if TYPE_CHECKING:
    from sim_backends.firmware.pm100 import Pm100Firmware

SENSE = "[:SENSe{1}]"
ON_OFF = Boolean()
MEASUREMENTS = {
    "POW": "[:POWer]", "CURR": ":CURRent[:DC]", "VOLT": ":VOLTage[:DC]", "ENER": ":ENERgy", "FREQ": ":FREQuency",
    "PDEN": ":PDENsity", "EDEN": ":EDENsity", "RES": ":RESistance", "TEMP": ":TEMPerature",
}  # fmt: skip
MOST_AVERAGED = 300_000
DATE = (Number(2000, 2099, 2020, whole=True), Number(1, 12, 1, whole=True), Number(1, 31, 1, whole=True))
TIME = (Number(0, 23, 0, whole=True), Number(0, 59, 0, whole=True), Number(0, 59, 0, whole=True))


@dataclass(frozen=True)
class Live:
    """A number whose range follows from other settings."""

    number: Callable[[], Number]

    def read(self, text: bytes) -> float:
        """The value, inside the range of now."""
        return self.number().read(text)

    def shown(self, value: float) -> str:
        """NR3."""
        return f"{value:.8E}"


@dataclass(frozen=True)
class LiveExtremes:
    """MIN, MAX or DEF of such a number."""

    number: Callable[[], Number]

    def read(self, text: bytes) -> float:
        """The value that the word stands for now."""
        return Extremes(self.number()).read(text)

    def shown(self, value: float) -> str:
        """NR3."""
        return f"{value:.8E}"


def all_commands(own: Pm100Firmware) -> list[Command]:
    """Every command of the instrument."""
    groups = (_measurements, _correction, _power, _electrical, _elsewhere, _input, _system, status_commands)
    return [command for group in groups for command in group(own)]


def _live(pattern: str, number: Callable[[], Number], get: Callable[[], float], put: Callable[[float], None]) -> Command:
    """The command and query of a number whose range depends on the rest."""
    live = Live(number)
    return Command(pattern, put, lambda *extreme: live.shown(extreme[0] if extreme else get()), (live,), (LiveExtremes(number),))


def _measurements(own: Pm100Firmware) -> Iterable[Command]:
    own.default("what", "POW")

    def configure(what: str) -> None:
        own.meter.check(what)
        own.values["what"] = what
        own.meter.forget()

    def initiate() -> None:
        own.meter.measure(own.values["what"])

    def read() -> str:
        initiate()
        return own.meter.last()

    def start(what: str) -> None:
        configure(what)
        initiate()

    def measure(what: str) -> str:
        start(what)
        return own.meter.last()

    yield Command(":INITiate[:IMMediate]", initiate)
    yield Command(":ABORt", lambda: None)
    yield Command(":READ", query=read)
    yield Command(":FETCh", query=lambda: own.meter.last())
    yield Command(":CONFigure", query=lambda: str(own.values["what"]))
    for what, node in MEASUREMENTS.items():
        yield Command(f":CONFigure[:SCALar]{node}", lambda what=what: configure(what))
        yield Command(f":MEASure[:SCALar]{node}", lambda what=what: start(what), lambda what=what: measure(what))


def _correction(own: Pm100Firmware) -> Iterable[Command]:
    base = f"{SENSE}:CORRection"

    def wavelengths() -> Number:
        head = own.head()
        return Number(head.nm[0], head.nm[-1], head.default_nm, "NM")

    def wavelength() -> float:
        own.head()
        return float(own.values["nm"])

    def tune(nm: float) -> None:
        own.values.update(nm=nm, response=None)  # the table's response at the new wavelength

    def response() -> Number:
        table = own.head().at(own.values["nm"])
        return Number(table * 0.1, table * 10, table, "A" if own.head().kind == "PHOT" else "V")

    own.default("nm", own.sensor.default_nm if own.sensor is not None else 635.0)
    own.default("response", None)
    yield _live(f"{base}:WAVelength", wavelengths, wavelength, tune)
    for node, kind in (("PDIode", "PHOT"), ("THERmopile", "THER")):
        pattern = f"{base}:POWer[:{node}][:RESPonse]" if kind == "PHOT" else f"{base}:POWer:{node}[:RESPonse]"
        present = _only(own, kind, lambda: own.meter.response)
        yield _live(pattern, _only(own, kind, response), present, lambda value: own.values.update(response=value))
    yield _absent(f"{base}:ENERgy[:PYRO][:RESPonse]")
    yield own.setting(f"{base}:BEAMdiameter", "beam_mm", Number(0.1, 200, 9.5, "MM"), 9.5)
    yield own.setting(f"{base}[:LOSS][:INPut][:MAGNitude]", "loss_db", Number(-60, 60, 0, "DB"), 0.0)
    yield Command(f"{base}:COLLect:ZERO[:INITiate]", own.meter.start_zero)
    yield Command(f"{base}:COLLect:ZERO:ABORt", own.meter.end_zero)
    yield Command(f"{base}:COLLect:ZERO:STATe", query=lambda: str(int(own.meter.zeroing())))
    yield Command(f"{base}:COLLect:ZERO:MAGNitude", query=lambda: f"{own.meter.zero:.8E}")


def _only(own: Pm100Firmware, kind: str, then: Callable[[], Any]) -> Callable[[], Any]:
    """`then` with this kind of head alone."""

    def checked() -> Any:
        if own.head().kind != kind:
            raise ScpiError(HARDWARE_MISSING)
        return then()

    return checked


def _absent(pattern: str) -> Command:
    """A command for a head that does not exist here."""

    def missing(*_: Any) -> NoReturn:
        raise ScpiError(HARDWARE_MISSING)

    anything = Number(-math.inf, math.inf, 0)
    return Command(pattern, missing, missing, (anything,), (Extremes(anything),))


def _power(own: Pm100Firmware) -> Iterable[Command]:
    base = f"{SENSE}:POWer[:DC]"

    def ranges() -> Number:
        watts, full = own.meter.watts, own.head().ranges
        return Number(full[0] * watts, full[-1] * watts * (1 + 1e-9), full[-1] * watts, "W")

    def put(watts: float) -> None:
        own.meter.choose(watts / own.meter.watts)

    def get() -> float:
        return own.head().ranges[own.meter.present] * own.meter.watts

    yield _live(f"{base}:RANGe[:UPPer]", ranges, get, put)
    for pattern in (f"{base}:RANGe:AUTO", f"{SENSE}:RANGe:AUTO"):
        yield own.setting(pattern, "auto", ON_OFF, True)
    yield from _reference(own, base, "POW", "W")
    yield own.setting(f"{base}:UNIT", "unit", Keyword("W", "DBM"), "W")


def _reference(own: Pm100Firmware, base: str, key: str, unit: str) -> Iterable[Command]:
    """The reference of relative readings and its switch, which the manual spells in two ways."""
    yield own.setting(f"{base}:REFerence[:VALue]", f"ref_{key}", Number(-1e3, 1e3, 0, unit), 0.0)
    for pattern in (f"{base}:REFerence:STATe", f"{base}:STATe"):
        yield own.setting(pattern, f"relative_{key}", ON_OFF, False)


def _electrical(own: Pm100Firmware) -> Iterable[Command]:
    """Amperes of a photodiode, volts of a thermopile: the same ranges as in watts."""
    for key, name, unit, kind in (("CURR", "CURRent", "A", "PHOT"), ("VOLT", "VOLTage", "V", "THER")):
        base = f"{SENSE}:{name}[:DC]"

        def ranges(unit: str = unit) -> Number:
            full = own.head().ranges
            return Number(full[0], full[-1] * (1 + 1e-9), full[-1], unit)

        number, present = _only(own, kind, ranges), _only(own, kind, lambda: own.head().ranges[own.meter.present])
        yield _live(f"{base}:RANGe[:UPPer]", number, present, lambda raw: own.meter.choose(raw))
        yield own.setting(f"{base}:RANGe:AUTO", "auto", ON_OFF, True)
        yield from _reference(own, base, key, unit)


def _elsewhere(own: Pm100Firmware) -> Iterable[Command]:
    yield own.setting(f"{SENSE}:AVERage[:COUNt]", "average", Number(1, MOST_AVERAGED, 1, whole=True), 1)
    yield Command(f"{SENSE}:FREQuency:RANGe[:UPPer]", query=lambda: "1.00000000E+05")
    yield Command(f"{SENSE}:FREQuency:RANGe:LOWer", query=lambda: "1.00000000E+00")
    yield own.setting(f"{SENSE}:PEAKdetector[:THReshold]", "peak", Number(0, 100, 50, "PCT"), 50.0)
    yield _absent(f"{SENSE}:ENERgy:RANGe[:UPPer]")
    yield _absent(f"{SENSE}:ENERgy:REFerence[:VALue]")
    yield _absent(f"{SENSE}:ENERgy:REFerence:STATe")
    yield _absent(f"{SENSE}:ENERgy:STATe")


def _input(own: Pm100Firmware) -> Iterable[Command]:
    yield own.setting(":INPut[:PDIode]:FILTer[:LPASs][:STATe]", "low_pass", ON_OFF, False)
    yield own.setting(":INPut:THERmopile:ACCelerator[:STATe]", "accelerator", ON_OFF, False)
    yield own.setting(":INPut:THERmopile:ACCelerator:AUTO", "accelerator_auto", ON_OFF, False)
    yield own.setting(":INPut:THERmopile:ACCelerator:TAU", "tau", Number(1, 30, 1, "S"), 1.0)
    yield own.setting(":INPut:ADAPter[:TYPE]", "adapter", Keyword("PHOTodiode", "THERmal", "PYRo"), "PHOT")


def _system(own: Pm100Firmware) -> Iterable[Command]:
    yield Command(":SYSTem:BEEPer[:IMMediate]", lambda: None)
    yield own.setting(":SYSTem:BEEPer:STATe", "beeper", ON_OFF, True)
    yield own.setting(":SYSTem:LFRequency", "line_hz", Number(50, 60, 50, "HZ", whole=True), 50, _mains)
    yield own.setting(":SYSTem:COMMunicate:SERial[:RECeive]:BAUD", "baud", Number(9600, 921600, 115200, whole=True), 115200)
    yield Command(":SYSTem:SENSor:IDN", query=lambda: _identified(own))
    for name, key, parts in (("DATE", "date", DATE), ("TIME", "clock", TIME)):
        own.default(key, tuple(round(part.default) for part in parts))
        yield Command(
            f":SYSTem:{name}", lambda *given, key=key: own.values.update({key: given}),
            lambda key=key: ",".join(map(str, own.values[key])), parts,
        )  # fmt: skip
    for name in ("BRIGhtness", "CONTrast"):
        yield own.setting(f":DISPlay:{name}", name, Number(0, 1, 0.5), 0.5)
    yield Command(":CALibration:STRing", query=lambda: '"Calibrated 02-Jan-2020"')


def _mains(hertz: int) -> int:
    if hertz not in (50, 60):
        raise ScpiError(-224)
    return hertz


def _identified(own: Pm100Firmware) -> str:
    sensor = own.sensor
    if sensor is None:
        return "no sensor,,,0,0,0"
    return f"{sensor.name},{own.serial:08d},02-Jan-2020,{sensor.type},{sensor.subtype},{sensor.flags}"
