"""The SCPI commands below ACQ of a Red Pitaya, with the names of either version of its server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from sim_backends.firmware.redpitaya_acquire import RANGES_V
from sim_backends.firmware.redpitaya_values import ANY_CHANNEL, BUFFER, RANGE, SWITCH, Choice, Real, Whole, per_channel, within
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command

if TYPE_CHECKING:
    from sim_backends.firmware.redpitaya import RedPitayaFirmware

POWERS = {2**n for n in range(17)}
TRIGGERS = ("DISABLED", "NOW", *(f"{of}_{edge}" for of in ("CH1", "CH2", "EXT", "AWG", "CH3", "CH4") for edge in ("PE", "NE")))
REQUESTS = {"PRE_TRIG": (1, 0), "POST_TRIG": (0, 1), "PRE_POST_TRIG": (1, 1)}


def acquire_commands(own: RedPitayaFirmware) -> Iterator[Command]:
    """All below ACQ."""
    record = own.acquisition
    yield Command(":ACQ:START", record.start)
    yield Command(":ACQ:STOP", record.stop)
    yield Command(":ACQ:RST", own.reset_acquisition)
    yield own.setting(":ACQ:AVG", "average", SWITCH, True)
    yield Command(":ACQ:SRATe" if own.new else ":ACQ:SRAT", query=lambda: f"{1 / record.period_s:9.0f} Hz")
    yield Command(":ACQ:BUF:SIZE", query=lambda: str(BUFFER))
    yield Command(":ACQ:WPOS", query=lambda: str(record.pointer()))
    yield Command(":ACQ:TPOS", query=lambda: str(record.trigger_pointer))
    yield per_channel(own, record.channels, ":ACQ:SOUR#:GAIN", "gain", Choice(("LV", "HV")), "LV")
    yield from _decimation(own)
    yield from _trigger(own)
    yield from _samples(own)


def _decimation(own: RedPitayaFirmware) -> Iterator[Command]:
    def power(value: int) -> int:
        if value not in POWERS:
            raise ScpiError(-109)  # so the server says
        return value

    def factor(value: int) -> None:
        own.values["decimation"] = value if value in (1, 2, 4, 8) else int(within(value, 16, 65536))

    yield own.setting(":ACQ:DEC", "decimation", Whole(), 1, power)
    if own.new:
        yield Command(":ACQ:DEC:Factor", factor, lambda: str(own.values["decimation"]), (Whole(),))


def _trigger(own: RedPitayaFirmware) -> Iterator[Command]:
    record = own.acquisition

    def delay(value: int) -> int:
        return max(-BUFFER // 2, min(value, 2**31 - 1))

    def delay_ns(value: int) -> None:
        own.values["delay"] = delay(round(value * 1e-9 / record.period_s))

    def level(value: float) -> float:
        most = max(RANGES_V[own.values[f"gain{n}"]] for n in range(1, record.channels + 1))
        return within(value, -most, most)

    yield Command(":ACQ:TRig", record.choose, None, (Choice(TRIGGERS),))
    yield Command(":ACQ:TRig:STAT", query=lambda: "TD" if record.triggered else "WAIT")
    yield own.setting(":ACQ:TRig:DLY", "delay", Whole(), 0, delay)
    yield Command(":ACQ:TRig:DLY:NS", delay_ns, lambda: str(round(own.values["delay"] * record.period_s * 1e9)), (Whole(),))
    yield own.setting(":ACQ:TRig:HYST", "hysteresis", Real("V"), 0.005, lambda value: within(value, 0, 20.0))
    yield own.setting(":ACQ:TRig:LEV", "trigger_level", Real("V"), 0.0, level)
    if own.new:
        yield Command(":ACQ:TRig:FILL", query=lambda: str(int(record.filled)))
        yield own.setting(":ACQ:TRig:EXT:DEBouncer[:US]", "debouncer", Real(), 500.0, lambda value: within(value, 0, 8388.6))


def _samples(own: RedPitayaFirmware) -> Iterator[Command]:
    record = own.acquisition
    start, latest = ("STArt", "LATest") if own.new else ("STA", "LAT")

    def around(n: int, samples: int, request: tuple[int, int]) -> bytes:
        before, after = request
        within(samples, 0, BUFFER)
        return record.read(n, record.trigger_pointer - before * samples, (before + after) * samples + 1)

    yield own.setting(":ACQ:DATA:Units", "units", Choice(("VOLTS", "RAW")), "VOLTS")
    formats = own.setting(":ACQ:DATA:FORMAT", "format", Choice(("ASCII", "BIN")), "ASCII")
    yield formats if own.new else Command(formats.pattern, formats.write, None, formats.takes)
    yield _data(f":ACQ:SOUR#:DATA:{start}:End", lambda n, a, b: record.read(n, a, (b - a) % BUFFER + 1), (Whole(), Whole()))
    yield _data(f":ACQ:SOUR#:DATA:{start}:N", record.read, (Whole(), Whole()))
    yield _data(":ACQ:SOUR#:DATA:Old:N", lambda n, size: record.read(n, record.pointer() + 1, size), (Whole(),))
    yield _data(f":ACQ:SOUR#:DATA:{latest}:N", lambda n, size: record.read(n, record.pointer() + 1 - min(size, BUFFER), size), (Whole(),))
    yield _data(":ACQ:SOUR#:DATA", lambda n: record.read(n, record.pointer() + 1, BUFFER), ())
    if own.new:
        yield _data(":ACQ:SOUR#:DATA:TRig", around, (Whole(), Choice(REQUESTS)))


def _data(pattern: str, action: Callable[..., bytes], parameters: tuple[Any, ...]) -> Command:
    """A query for samples, with all of its parameters (-109)."""

    def query(n: int, *given: Any) -> bytes:
        if len(given) < len(parameters):
            raise ScpiError(-109)
        if any(isinstance(value, int) and not 0 <= value < 2**32 for value in given):
            raise ScpiError(RANGE)
        return action(n, *given)

    return Command(pattern.replace("#", ANY_CHANNEL), query=query, asks=parameters)
