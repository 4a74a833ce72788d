"""Numbers of the Keysight 33500/33600: what its models can do, and the words of its error queue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sim_backends.firmware.scpi_errors import ErrorQueue, ScpiError
from sim_backends.firmware.scpi_values import NOT_ALLOWED, forms, kind_of, number_of, word_of

OUTPUT_OHM = 50.0
OPEN_V = 10.0  # peak at open terminals
LEAST_OPEN_VPP = 2e-3
FULL_CODE = 32767
FUNCTIONS = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARB", "DC")
LEAST_HZ = 1e-6


@dataclass(frozen=True)
class Model:
    """One of the family.

    Attributes:
        maker, firmware: as *IDN? tells them. most_hz: of sine, square and pulse, and ramp. rate, bare_rate: samples a second at most, with
            a filter and without. least_points, memory: samples of a waveform at least, and of a channel's memory.
    """

    maker: str
    firmware: str
    most_hz: tuple[float, float, float]
    rate: float
    bare_rate: float
    least_points: int
    memory: int

    def most(self, function: str) -> float:
        """Highest frequency of a function."""
        return self.most_hz[{"SIN": 0, "RAMP": 2, "TRI": 2}.get(function, 1)]


MODELS = {
    "33512B": Model("Agilent Technologies", "3.03-1.19-2.00-52-00", (20e6, 20e6, 200e3), 160e6, 62.5e6, 8, 1 << 20),
    "33522B": Model("Agilent Technologies", "5.00-1.19-2.00-58-00", (30e6, 30e6, 200e3), 250e6, 62.5e6, 8, 1 << 20),
    "33622A": Model("Keysight Technologies", "A.02.01-2.25-03-64-02", (120e6, 100e6, 800e3), 1e9, 250e6, 32, 1 << 22),
}
WORDS = {
    781: "Not enough memory to store new arb waveform", 785: "Specified arb waveform does not exist",
    786: "Specified arb waveform already exists", 800: "Block length must be even", 810: "State has not been stored",
    -256: "File name not found", -257: "File name error",
}  # fmt: skip


class Told(int):
    """An error number with words of its own."""

    words: str

    def __new__(cls, number: int, words: str) -> Told:
        told = super().__new__(cls, number)
        told.words = words
        return told


class Errors(ErrorQueue):
    """The queue of twenty, whose entries have signs: +0,"No error"."""

    def entry(self, number: int) -> str:
        """The answer to SYSTem:ERRor? for it."""
        words = number.words if isinstance(number, Told) else self._words.get(number, "Unknown error")
        return f'{number:+d},"{words}"'


def conflict(words: str) -> ScpiError:
    """-221 and what conflicts."""
    return ScpiError(Told(-221, f"Settings conflict; {words}"))


def clipped(upper: bool) -> ScpiError:
    """-222 for a value that was set to the nearest one that is allowed."""
    return ScpiError(Told(-222, f"Data out of range; value clipped to {'upper' if upper else 'lower'} limit"))


def divided(load_ohm: float) -> float:
    """Volts at a load for a volt at open terminals."""
    return 1.0 if math.isinf(load_ohm) else load_ohm / (load_ohm + OUTPUT_OHM)


def per_rms(function: str) -> float:
    """Peak to peak of 1 V rms."""
    return {"SIN": 2 * math.sqrt(2), "SQU": 2.0, "PULS": 2.0, "PRBS": 2.0, "RAMP": 2 * math.sqrt(3), "TRI": 2 * math.sqrt(3)}.get(
        function, 2 * math.sqrt(2)
    )


def from_vpp(vpp: float, unit: str, function: str, load_ohm: float) -> float:
    """An amplitude in the unit that it is told in."""
    if unit == "VPP":
        return vpp
    rms = vpp / per_rms(function)
    return rms if unit == "VRMS" else 10 * math.log10(rms * rms / load_ohm / 1e-3)


def to_vpp(value: float, unit: str, function: str, load_ohm: float) -> float:
    """The amplitude that `value` in `unit` is."""
    if unit == "VPP":
        return value
    rms = value if unit == "VRMS" else math.sqrt(1e-3 * load_ohm * 10 ** (min(value, 100.0) / 10))
    return rms * per_rms(function)


def shown(value: Any) -> str:
    """A number as the instrument tells it."""
    if isinstance(value, float):
        return f"{9.9e37 if math.isinf(value) else value:+.13E}"
    return f"{value:+d}"


@dataclass(frozen=True)
class Amount:
    """A number whose range depends on other settings: (value, its unit), or ("MIN", ""), ("MAX", ""), ("DEF", ""), ("INF", "").

    Attributes:
        units: what may be written behind it, the first if nothing is. infinite: INFinity is allowed.
    """

    units: tuple[str, ...] = ("",)
    infinite: bool = False

    def read(self, text: bytes) -> tuple[float | str, str]:
        """The number or word, not yet compared with anything."""
        kind = kind_of(text)
        if kind == "word":
            word = word_of(text)
            for name in ("MINimum", "MAXimum", "DEFault", *(("INFinity",) if self.infinite else ())):
                if word in forms(name):
                    return forms(name)[0], ""
            raise ScpiError(-141)
        if kind != "number":
            raise ScpiError(NOT_ALLOWED[kind])
        upper = text.upper()
        unit = next((u for u in sorted(self.units, key=len, reverse=True) if u and upper.endswith(u.encode())), self.units[0])
        return number_of(text, unit), unit if upper.endswith(unit.encode()) else ""

    def shown(self, value: Any) -> str:
        """As the instrument tells a number."""
        return shown(float(value))


@dataclass(frozen=True)
class Ends:
    """The optional word of a number's query: MINimum, MAXimum or DEFault."""

    infinite: bool = False

    def read(self, text: bytes) -> str:
        """MIN, MAX or DEF."""
        word, _ = Amount().read(text)
        if not isinstance(word, str):
            raise ScpiError(-128)
        return word

    def shown(self, value: Any) -> str:
        """The word."""
        return str(value)


def within(given: float | str, low: float, high: float, default: float) -> tuple[float, ScpiError | None]:
    """(the value that `given` stands for, put inside its range; the error to report if it was not)."""
    if isinstance(given, str):
        return {"MIN": low, "MAX": high, "DEF": default, "INF": math.inf}[given], None
    if given > high + 1e-12 * abs(high):
        return high, clipped(upper=True)
    if given < low - 1e-12 * abs(low):
        return low, clipped(upper=False)
    return min(max(given, low), high), None
