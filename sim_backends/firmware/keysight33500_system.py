"""SYSTem, DISPlay, ROSCillator, saved states and what else of a Keysight 33500 is kept without any effect on its outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sim_backends.firmware.keysight33500_limits import shown
from sim_backends.firmware.keysight33500_settings import command, kept, number
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Boolean, Keyword, Number, Text, forms

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

ON_OFF = Boolean()
PLACE = Number(0, 4, 0, whole=True)
SHOWN_AT_MOST = 40


def system_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """Common commands, SYSTem, MEMory, DISPlay, ROSCillator, and coupling that is only kept."""
    yield Command("*OPT", query=lambda: '"0"')
    yield Command("*SAV", own.save, takes=(PLACE,))
    yield Command("*RCL", own.recall, takes=(PLACE,))
    yield Command("*PSC", lambda on: None, lambda: "1", (ON_OFF,))
    yield Command("*LRN", query=lambda: ";".join(f"{key} {value}" for key, value in own.values.items()))
    yield Command(":SYSTem:BEEPer[:IMMediate]", lambda: None)
    yield own.setting(":SYSTem:BEEPer:STATe", "beeper", ON_OFF, True)
    yield Command(":SYSTem:PRESet", own.reset)
    yield Command(":SYSTem:SECurity:IMMediate", own.reset)
    for mode in ("LOCal", "REMote", "RWLock"):
        yield Command(f":SYSTem:{mode}", lambda: None)
    yield Command(":MEMory:NSTates", query=lambda: "+5")
    yield Command(":MEMory:STATe:VALid", query=lambda place=0: str(int(place in own.saved)), asks=(PLACE,))
    yield Command(":MEMory:STATe:DELete", lambda place: _forget(own, place), takes=(PLACE,))
    yield own.setting(":DISPlay[:STATe]", "display", ON_OFF, True)
    yield own.setting(":DISPlay:TEXT[:DATA]", "text", Text(SHOWN_AT_MOST), "")
    yield Command(":DISPlay:TEXT:CLEar", lambda: own.values.update(text=""))
    yield own.setting(":DISPlay:FOCus", "focus", Keyword("CH1", "CH2"), "CH1")
    yield own.setting(":DISPlay:VIEW", "view", Keyword("STANdard", "TEXT", "GRAPh", "DUAL"), "STAN")
    times = ("FREQuency", "PERiod")
    for name, words in (("ARBRate", ("SRATe", *times)), ("RATE", times), ("VOLTage", ("AMPLitude", "HIGHlow"))):
        yield own.setting(f":DISPlay:UNIT:{name}", f"shown_{name.lower()}", Keyword(*words), forms(words[0])[0])
    yield own.setting(":ROSCillator:SOURce", "reference", Keyword("INTernal", "EXTernal"), "INT")
    yield Command(":ROSCillator:SOURce:CURRent", query=lambda: str(own.values["reference"]))
    yield own.setting(":ROSCillator:SOURce:AUTO", "reference_auto", ON_OFF, True)
    yield from kept(own, ":TRACk", "track", Keyword("ON", "OFF", "INVerted", numbers=((0, "OFF"), (1, "ON"))), "OFF")
    yield from kept(own, ":COMBine:FEED", "feed", Keyword("NONE", "CH1", "CH2"), "NONE")
    yield from kept(own, ":FREQuency:COUPle[:STATe]", "frequency_coupled", ON_OFF, False)
    yield from kept(own, ":FREQuency:COUPle:MODE", "couple_mode", Keyword("OFFSet", "RATio"), "RAT")
    yield from number(own, ":FREQuency:COUPle:OFFSet", "couple_offset", -own.model.most_hz[0], own.model.most_hz[0], 0.0, "HZ")
    yield from number(own, ":FREQuency:COUPle:RATio", "couple_ratio", 0.001, 1000.0, 1.0)
    yield from command(":RATE:COUPle[:STATe]", lambda n, on: None, lambda n: "0", (ON_OFF,))
    yield Command(":SYSTem:DATE", query=lambda: shown(2015) + "," + shown(1) + "," + shown(1))


def _forget(own: Keysight33500Firmware, place: int) -> None:
    if own.saved.pop(place, None) is None:
        raise ScpiError(810)
