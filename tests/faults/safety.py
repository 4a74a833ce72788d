"""What is safe, instrument by instrument, told from the emulators' own state: what is really at their outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

A_LITTLE = {"A": 1e-6, "V": 2e-3}


def _stream_dac(dac: Any) -> str:
    return f"armed for {dac.bursts_left} bursts" if dac.armed else ""


def _flowing(source: Any) -> str:
    amperes = float(np.abs(source.currents_a).max())
    return f"{amperes:g} A flow" if amperes > A_LITTLE["A"] else ""


def _meerstetter(oven: Any) -> str:
    return f"loops {np.flatnonzero(oven.enabled).tolist()} are on" if oven.enabled.any() else ""


def _ldc500(controller: Any) -> str:
    on = [name for name, half in (("laser", controller.laser), ("TEC", controller.tec)) if half.on]
    return f"{' and '.join(on)} on" if on else ""


def _redpitaya(board: Any) -> str:
    on = [n for n in range(1, board.generator.outputs + 1) if board.values[f"output{n}"]]
    return f"outputs {on} are on" if on else ""


def _volts(device: Any) -> str:
    volts = float(np.abs(device.volts_v).max())
    return f"{volts:g} V at an output" if volts > A_LITTLE["V"] else ""


def _switched(generator: Any) -> str:
    return _volts(generator)


def _dark(panel: Any) -> str:
    return "" if panel.frame is None or not panel.frame.any() else "the panel is not dark"


JUDGES: dict[str, Any] = {
    "StreamDacFirmware": _stream_dac, "QontrolFirmware": _flowing, "Keithley2400Firmware": _flowing, "MeerstetterFirmware": _meerstetter,
    "Ldc500Firmware": _ldc500, "RedPitayaFirmware": _redpitaya, "NiDaqTable": _volts, "Keysight33500Firmware": _switched,
    "WindowTable": _dark, "SlmServerFirmware": _dark, "SlmDisplayTable": _dark, "SlmPyServerFirmware": _dark,
    "StreamAdcFirmware": None, "Pm100Firmware": None,
}  # fmt: skip


def unsafe(simulated: Any, ports: list[str]) -> dict[str, str]:
    """What is not safe: "port" or "port[i]" -> in words. An emulator that nobody can judge is an error."""
    found = {}
    for port in ports:
        emulators = simulated.instruments.of(port)
        for index, emulator in enumerate(emulators):
            judge = JUDGES[type(emulator).__name__]
            told = judge(emulator) if judge else ""
            if told:
                found[port if len(emulators) == 1 else f"{port}[{index}]"] = told
    return found
