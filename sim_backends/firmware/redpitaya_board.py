"""The rest of a Red Pitaya's board by SCPI: digital pins and LEDs, slow analog pins, time and date, the daisy chain."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim_backends.firmware.redpitaya_values import DIRECTION, INPUT_PIN, PIN, RANGE, SWITCH, Choice, Real, Whole, within
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command

if TYPE_CHECKING:
    from sim_backends.firmware.redpitaya import RedPitayaFirmware

LEDS = [f"LED{n}" for n in range(8)]
PINS = [*LEDS, *(f"DIO{n}_P" for n in range(8)), *(f"DIO{n}_N" for n in range(8))]
SLOW = [f"{kind}{n}" for kind in ("AOUT", "AIN") for n in range(4)]
MOST_OUT_V, MOST_IN_V = 1.8, 3.3
BEGAN = datetime.datetime(2024, 1, 1, 12, 0, 0)


class Pins:
    """Levels and directions of the digital pins, volts of the slow outputs.

    Attributes:
        levels: of all pins; an input's is written from outside. slow_v: of the slow pins; so are AIN's. outputs: pins that drive.
    """

    def __init__(self, own: RedPitayaFirmware) -> None:
        self._own = own
        self.slow_v = dict.fromkeys(SLOW, 0.0)
        self.reset_digital()

    def reset_digital(self) -> None:
        """DIG:RST: all off, LEDs out, the others in."""
        self.levels, self.outputs = dict.fromkeys(PINS, 0), set(LEDS)

    def reset_slow(self) -> None:
        """ANALOG:RST."""
        self.slow_v.update(dict.fromkeys(SLOW[:4], 0.0))

    def put(self, pin: str, level: int) -> None:
        """DIG:PIN: a rising edge of a pin goes out to whatever is wired to it."""
        if pin not in self.outputs:
            raise ScpiError(INPUT_PIN)
        if level not in (0, 1):
            raise ScpiError(RANGE)
        rising = level > self.levels[pin]
        self.levels[pin] = level
        if rising and pin not in LEDS:
            self._own.on_fire()

    def direct(self, direction: str, pin: str) -> None:
        """DIG:PIN:DIR."""
        if pin in LEDS:
            if direction == "IN":
                raise ScpiError(DIRECTION)
            return
        (self.outputs.add if direction == "OUT" else self.outputs.discard)(pin)

    def put_slow(self, pin: str, volts: float) -> None:
        """ANALOG:PIN."""
        if pin.startswith("AIN"):
            raise ScpiError(PIN)
        self.slow_v[pin] = within(volts, 0, MOST_OUT_V)

    def slow(self, pin: str) -> float:
        """ANALOG:PIN?."""
        return min(max(self.slow_v[pin], 0.0), MOST_IN_V)


def board_commands(own: RedPitayaFirmware) -> Iterator[Command]:
    """DIG, ANALOG, LED, DAISY, RP and what SYST has beside errors."""
    pins, pin, slow, direction = own.pins, Choice(PINS), Choice(SLOW), Choice(("IN", "OUT"))

    def shown(*given: str) -> str:
        return str(pins.levels[_only(given)])

    def directed(*given: str) -> str:
        return "OUT" if _only(given) in pins.outputs else "IN"

    yield Command(":DIG:RST", pins.reset_digital)
    yield Command(":DIG:PIN", pins.put, shown, (pin, Whole()), (pin,))
    yield Command(":DIG:PIN:DIR", pins.direct, directed, (direction, pin), (pin,))
    yield Command(":ANALOG:RST", pins.reset_slow)
    yield Command(":ANALOG:PIN", pins.put_slow, lambda *given: f"{pins.slow(_only(given)):g}", (slow, Real("V")), (slow,))
    yield Command(":RP:INit", lambda: None)
    yield Command(":RP:REset", own.reset_board)
    yield Command(":RP:RELease", lambda: None)
    yield Command(":RP:DIg[:loop]", lambda: own.values.update(loop=True))
    if not own.new:
        return
    yield own.setting(":RP:LOGmode", "log", Choice(("OFF", "CONSOLE", "SYSLOG")), "OFF")
    for name in ("MMC", "HB", "ETH"):
        yield own.setting(f":LED:{name}", f"led_{name}", SWITCH, True)
    for name in ("SYNC:TRig", "SYNC:CLK", "TRig:Out:ENable"):
        yield own.setting(f":DAISY:{name}", f"daisy_{name}", SWITCH, False)
    yield own.setting(":DAISY:TRig:Out:SOUR", "daisy_source", Choice(("ADC", "DAC")), "ADC")
    yield Command(":SYSTem:BRD:ID", query=lambda: "1" if own.acquisition.channels == 2 else "13")
    yield Command(":SYSTem:BRD:Name", query=lambda: own.board_name)
    yield from _clock(own)


def _clock(own: RedPitayaFirmware) -> Iterator[Command]:
    def now() -> datetime.datetime:
        return own.epoch + datetime.timedelta(seconds=own.time_s)

    def moved(**parts: int) -> None:
        try:
            own.epoch += now().replace(**parts) - now()  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            raise ScpiError(-200) from None

    three = (Whole(), Whole(), Whole())
    yield Command(":SYSTem:TIME", lambda h, m, s: moved(hour=h, minute=m, second=s), lambda: f"{now():%H:%M:%S}", three)
    yield Command(":SYSTem:DATE", lambda y, m, d: moved(year=y, month=m, day=d), lambda: f"{now():%Y-%m-%d}", three)


def _only(given: tuple[str, ...]) -> str:
    if not given:
        raise ScpiError(-109)
    return given[0]
