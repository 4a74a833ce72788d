"""The command list of SRS LDC500 controllers, from section 4.5 of the manual; numbers of tokens in the order of their words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim_backends.firmware.ldc500_diode import LOW_V, MOST_V
from sim_backends.firmware.ldc500_parse import LOW_HIGH, NO_YES, OFF_ON, REAL, WHOLE, Entry, Kind, Real, Token
from sim_backends.firmware.ldc500_status import ILLEGAL_VALUE, NOT_COMPATIBLE, OPC, ExecutionError, register_entries
from sim_backends.firmware.ldc500_thermal import CT, celsius, kohm
from sim_backends.firmware.ldc500_thermal import MOST_V as MOST_TEC_V

if TYPE_CHECKING:
    from sim_backends.firmware.ldc500 import Ldc500Firmware

TERMS = Token("NONE", "CR", "LF", "CRLF", "LFCR")
SENSORS = Token("NTC10UA", "NTC100UA", "NTC1MA", "NTCAUTO", "RTD", "LM335", "AD590")
TUNED = Token("OFF", "ON", "UNSTABLE", "SUCCESS", "FAILED", "CHECK POLARITY")
YES_ON = Token("NO", "YES", also={"OFF": 0, "ON": 1})
NTC_TYPES, RTD_TYPE = range(4), 4


def entries(own: Ldc500Firmware) -> dict[str, Entry]:
    """Every command by its four letters."""
    groups = (_interface, _laser, _monitor, _tec, _loop, _resistance)
    found = register_entries(own.status)
    for group in groups:
        found |= group(own)
    return found


def _kept(owner: object, key: str, kind: Kind, low: float = 0, high: float = 1) -> Entry:
    """A setting within a range."""

    def write(value: Any) -> None:
        if not low <= value <= high:
            raise ExecutionError(ILLEGAL_VALUE)
        setattr(owner, key, value)

    return Entry(write, lambda: getattr(owner, key), (kind,))


def _read(ask: Callable[[], Any], kind: Kind = REAL) -> Entry:
    return Entry(ask=ask, takes=(kind,))


def _interface(own: Ldc500Firmware) -> dict[str, Entry]:
    def complete() -> None:
        own.status.standard.happened(OPC)

    return {
        "*IDN": _read(lambda: own.identity, _Text()),
        "*RST": Entry(own.reset),
        "*OPC": Entry(complete, lambda: 1, ()),
        "*TST": _read(lambda: 0, WHOLE),
        "TOKN": _kept(own, "words", OFF_ON),
        "TERM": _kept(own, "term", TERMS, 0, 4),
        "ULOC": _kept(own, "unlocked", OFF_ON),
    }


class _Text:
    """The identification."""

    def read(self, text: str) -> str:
        """As it is."""
        return text

    def shown(self, value: str, words: bool) -> str:
        """As it is."""
        return value


def _laser(own: Ldc500Firmware) -> dict[str, Entry]:
    laser = own.laser
    return {
        "LDON": Entry(laser.switch, lambda: laser.on, (OFF_ON,)),
        "ILOC": _read(lambda: int(not laser.interlock_closed), Token("CLOSED", "OPEN")),
        "RNGE": Entry(laser.set_range, lambda: laser.high, (LOW_HIGH,)),
        "SMOD": Entry(laser.choose, lambda: laser.mode, (Token("CC", "CP"),)),
        "SIBW": _kept(laser, "bandwidth", LOW_HIGH),
        "MODU": _kept(laser, "modulated", OFF_ON),
        "SVLM": _kept(laser, "limit_v", REAL, LOW_V, MOST_V),
        "SILM": Entry(laser.limit, lambda: laser.limit_ma, (REAL,)),
        "SILD": Entry(laser.set_current, lambda: laser.setpoint_ma, (REAL,)),
        "SCAN": Entry(laser.scan, lambda: OFF_ON.shown(laser.scanning, bool(own.words)), (REAL, WHOLE, REAL)),
        "SYND": _kept(laser, "sync_ms", WHOLE, 5, 100_000),
        "RILD": _read(laser.current_ma),
        "RVLD": _read(laser.volts),
        **{name: _trip(laser.trips, name) for name in laser.trips},
    }


def _trip(trips: dict[str, int], name: str) -> Entry:
    return Entry(lambda on: trips.update({name: on}), lambda: trips[name], (NO_YES,))


def _monitor(own: Ldc500Firmware) -> dict[str, Entry]:
    """The photodiode; milliwatts are microamperes by the responsivity."""
    laser = own.laser

    def by_power(set_ua: Callable[[float], None]) -> Callable[[float], None]:
        return lambda milliwatts: set_ua(milliwatts * laser.ua_per_mw)

    def calibrate(milliwatts: float) -> None:
        if milliwatts <= 0 or not laser.monitor_ua():
            raise ExecutionError(NOT_COMPATIBLE)
        laser.ua_per_mw = laser.monitor_ua() / milliwatts

    return {
        "PDMW": _kept(laser, "by_power", YES_ON),
        "BIAS": _kept(laser, "bias_v", REAL, 0, 5),
        "RESP": _kept(laser, "ua_per_mw", REAL, 1e-3, 1e4),
        "CALP": Entry(calibrate, takes=(REAL,)),
        "SIPD": Entry(laser.set_monitor, lambda: laser.setpoint_ua, (REAL,)),
        "PILM": Entry(laser.limit_monitor, lambda: laser.limit_ua, (REAL,)),
        "SWPD": Entry(by_power(laser.set_monitor), lambda: laser.setpoint_ua / laser.ua_per_mw, (REAL,)),
        "PWLM": Entry(by_power(laser.limit_monitor), lambda: laser.limit_ua / laser.ua_per_mw, (REAL,)),
        "RIPD": _read(laser.monitor_ua),
        "RWPD": _read(lambda: laser.monitor_ua() / laser.ua_per_mw),
    }


def _tec(own: Ldc500Firmware) -> dict[str, Entry]:
    tec = own.tec

    def degrees(then: Callable[[float], None]) -> Callable[[float], None]:
        """Refused (5) while the sensor has no model, and kOhm are controlled."""

        def checked(value: float) -> None:
            if tec.by_resistance:
                raise ExecutionError(NOT_COMPATIBLE)
            then(value)

        return checked

    def choose(mode: int) -> None:
        if own.mode_locked and tec.on:
            raise ExecutionError(NOT_COMPATIBLE)
        tec.choose(mode)

    return {
        "TEON": Entry(tec.switch, lambda: tec.on, (OFF_ON,)),
        "TMOD": Entry(choose, lambda: tec.mode, (Token("CC", "CT"),)),
        "TMLK": _kept(own, "mode_locked", NO_YES),
        "TCUR": Entry(tec.drive, lambda: tec.current_set_a, (REAL,)),
        "TILM": Entry(tec.limit, lambda: tec.limit_a, (REAL,)),
        "TVLM": Entry(lambda v: setattr(tec, "limit_v", _volts(v)), lambda: tec.limit_v, (REAL,)),
        "TEMP": Entry(degrees(tec.aim), lambda: tec.target_c, (REAL,)),
        "TMIN": Entry(degrees(lambda c: tec.bound(c, tec.high_c)), lambda: tec.low_c, (REAL,)),
        "TMAX": Entry(degrees(lambda c: tec.bound(tec.low_c, c)), lambda: tec.high_c, (REAL,)),
        "TTRD": _read(lambda: tec.temperature_c if tec.connected else float("nan")),
        "TRAW": _read(lambda: kohm(tec.temperature_c) if tec.connected else float("nan")),
        "TIRD": _read(lambda: tec.current_a),
        "TVRD": _read(lambda: tec.current_a * tec.plate.ohms),
        "TSNR": Entry(_sensor(own), lambda: own.sensor, (SENSORS,)),
    }


def _volts(volts: float) -> float:
    if not 0 < abs(volts) <= MOST_TEC_V:
        raise ExecutionError(ILLEGAL_VALUE)
    return abs(volts)


def _sensor(own: Ldc500Firmware) -> Callable[[int], None]:
    def write(number: int) -> None:
        if own.tec.on:
            raise ExecutionError(NOT_COMPATIBLE)
        own.sensor, own.tec.model = number, 0

    return write


def _loop(own: Ldc500Firmware) -> dict[str, Entry]:
    """Gains, autotuning and the sensor's models."""
    tec = own.tec

    def gain(name: str) -> Entry:
        def write(value: float) -> None:
            if abs(value) > 1000:
                raise ExecutionError(ILLEGAL_VALUE)
            tec.gains[name] = value

        return Entry(write, lambda: tec.gains[name], (Real(6),))

    def model(allowed: range, numbers: tuple[int, ...]) -> Callable[[int], None]:
        """Of the sensor in use alone, and not while the temperature is controlled."""

        def write(number: int) -> None:
            if own.sensor not in allowed or (tec.on and tec.mode == CT):
                raise ExecutionError(NOT_COMPATIBLE)
            tec.model = numbers[number]

        return write

    def step(amperes: float) -> None:
        if not 0 < amperes <= 0.25 * tec.limit_a:
            raise ExecutionError(ILLEGAL_VALUE)
        tec.tune_step_a = amperes

    return {
        **{f"T{name}GN": gain(name) for name in "PID"},
        "TUNE": Entry(tec.start_tuning, lambda: TUNED.shown(tec.tune, bool(own.words)), (OFF_ON,)),
        "TATS": Entry(step, lambda: tec.tune_step_a, (REAL,)),
        "TMDN": Entry(model(NTC_TYPES, (0, 1, 2)), lambda: tec.model, (Token("BETA", "SHH", "NONE"),)),
        "TMDR": Entry(model(range(RTD_TYPE, RTD_TYPE + 1), (0, 2)), lambda: int(tec.by_resistance), (Token("ALPHA", "NONE"),)),
        **{f"TSH{name}": _coefficient(own, name) for name in "ABC"},
    }


def _coefficient(own: Ldc500Firmware, name: str) -> Entry:
    return Entry(lambda value: own.steinhart.update({name: value}), lambda: own.steinhart[name], (Real(9),))


def _resistance(own: Ldc500Firmware) -> dict[str, Entry]:
    """The setpoint and its limits in kOhm, while the sensor has no model; of an NTC the lowest kOhm are the highest degC."""
    tec = own.tec

    def ohms(then: Callable[[float], None]) -> Callable[[float], None]:
        def checked(ohms_k: float) -> None:
            if not tec.by_resistance:
                raise ExecutionError(NOT_COMPATIBLE)
            if not 1e-3 <= ohms_k <= 1e4:
                raise ExecutionError(ILLEGAL_VALUE)
            then(celsius(ohms_k))

        return checked

    return {
        "TRTH": Entry(ohms(tec.aim), lambda: kohm(tec.target_c), (REAL,)),
        "TRMN": Entry(ohms(lambda c: tec.bound(tec.low_c, c)), lambda: kohm(tec.high_c), (REAL,)),
        "TRMX": Entry(ohms(lambda c: tec.bound(c, tec.high_c)), lambda: kohm(tec.low_c), (REAL,)),
    }
