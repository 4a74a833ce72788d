"""Small benches of every kind for the fault campaign, by name; with and without noise and drift, with and without `reconnect`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labonn.benchfile import parse
from labonn.chips import ChipOptics
from procedures.benches.chips import chip_bench
from procedures.benches.vapour import vapour_cell
from sim_backends.benches.chip_settings import PARTS as CHIP_PARTS
from sim_backends.benches.chip_settings import ChipSettings, designed, nominal
from sim_backends.benches.vapour_light import PARTS as VAPOUR_PARTS

SIZES = (4, 3, 3)
DESK = (Path(__file__).parents[2] / "procedures/benches/desk.toml").read_text(encoding="utf-8")
SOURCES = """
[ports.lasers]
driver = "keithley2400"
link = ["visa://GPIB0::24::INSTR", "visa://GPIB0::25::INSTR"]
upper = "0.1 A"
[ports.cooler]
driver = "meerstetter"
link = "serial:///dev/ttyUSB0"
settle_s = 1.0
upper = "60 degC"
[ports.beams]
driver = "nidaqmx_out"
link = "nidaqmx://Dev1"
channels = 2
readback_v = 0.01
lower = "-5 V"
upper = "5 V"
[ports.seen]
driver = "nidaqmx_in"
link = "nidaqmx://Dev1"
channels = 2
role = "trigger"
[ports.power]
driver = "pm100"
link = "visa://USB0::0x1313::0x8078::P0012345::INSTR"
range_w = 0.01
[simulation]
bench = "desk"
seed = 3
before = ["power"]
"""
BOARD = """
[ports.laser]
driver = "ldc500_laser"
link = "visa://TCPIP0::10.0.0.21::8888::SOCKET"
upper = "0.1 A"
limit_a = 0.1
[ports.cooler]
driver = "ldc500_tec"
link = "visa://TCPIP0::10.0.0.21::8888::SOCKET"
settle_s = 60.0
[ports.beams]
driver = "redpitaya_out"
link = "tcp://10.0.0.22:5000"
[ports.seen]
driver = "redpitaya_in"
link = "tcp://10.0.0.22:5000"
trigger = "outputs"
role = "trigger"
[ports.power]
driver = "pm100"
link = "visa://USB0::0x1313::0x8078::P0012345::INSTR"
range_w = 0.01
[simulation]
bench = "desk"
seed = 3
before = ["power"]
"""
SLM = '[ports.weights{n}]\ndriver = "{driver}"\nlink = "{link}"\nshape = [{rows}, {columns}]\npanel = [12, 24]\n'
LINKS = {"slm_server": "zmq://127.0.0.1:5600", "slm_slmpy": "slmpy://1", "slm_slmpy_net": "slmpynet://10.0.0.9:9999"}


def quiet(parts: Mapping[str, Any], skip: Mapping[str, Any]) -> str:
    """Lines of [simulation] by which nothing is noisy, drifts or lags; converters stay as they are."""
    lines = []
    for name, part in parts.items():
        for key, value in dataclasses.asdict(part).items():
            if key not in skip.get(name, ()) and isinstance(value, (bool, int, float)):
                lines.append(f"{name}.{key} = {str(value).lower()}")
    return "\n".join(lines) + "\n"


def quiet_chip(name: str) -> str:
    """A chip's bench without noise."""
    text = chip_bench(name, SIZES)
    optics = ChipOptics.of(parse(text, name))
    ideal = ChipSettings.of(parse(text, name), optics, ideal=True)
    fixed = {part: {**nominal(optics).get(part, {}), **designed(optics).get(part, {})} for part in CHIP_PARTS}
    return text + quiet({part: getattr(ideal, part) for part in CHIP_PARTS}, fixed)


def quiet_vapour(slms: tuple[str, ...] = ()) -> str:
    """A vapour-cell bench without noise, its SLMs by other drivers if so wanted."""
    text = vapour_cell((6, 4, 3, 3))
    parts = {name: part.ideal() for name, part in VAPOUR_PARTS.items()}
    text += quiet(parts, {"slm": ("native_rows", "native_columns")})
    for n, (driver, rows, columns) in enumerate(zip(slms, (4, 3, 3), (6, 4, 3), strict=False), start=1):
        start = text.index(f"[ports.weights{n}]")
        end = text.index("\n\n", start)
        text = text[:start] + SLM.format(n=n, driver=driver, link=LINKS[driver], rows=rows, columns=columns) + text[end:]
    return text


def returning(text: str) -> str:
    """The bench file with `reconnect` at every port that has a connection."""
    parts = text.split("\n[ports.")
    connected = [part.replace("\nlink =", "\nreconnect = 3\nlink =", 1) if _connected(part) else part for part in parts[1:]]
    return "\n[ports.".join([parts[0], *connected])


def _connected(part: str) -> bool:
    return not any(word in part for word in ("slm_monitor", "slm_slmpy\"", "nidaqmx"))


TEXTS = {
    "vapour_cell": quiet_vapour(),
    "slms": quiet_vapour(("slm_server", "slm_slmpy", "slm_slmpy_net")),
    "pt_chip": quiet_chip("pt_chip"),
    "pt_chip_software": quiet_chip("pt_chip_software"),
    "mzi_chip": quiet_chip("mzi_chip"),
    "mzi_chip_software": quiet_chip("mzi_chip_software"),
    "desk": DESK,
    "sources": SOURCES,
    "board": BOARD,
}
COME_BACK = ("vapour_cell", "slms", "pt_chip_software", "mzi_chip", "desk", "board")
RETURNING = {f"{name}+reconnect": returning(TEXTS[name]) for name in COME_BACK}
ALL = TEXTS | RETURNING


def siblings(bench: str, port: str) -> set[str]:
    """This port and those that are sides of the same instrument."""
    ports = parse(ALL[bench], bench).ports
    return {name for name, other in ports.items() if set(other.links) & set(ports[port].links)}
