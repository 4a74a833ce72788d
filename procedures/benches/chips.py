"""The text of a bench file for a photonic chip: gain sections or heaters, hardware-timed or software-timed, of any size."""

from __future__ import annotations

from collections.abc import Sequence

from labonn.believed import ChipModel
from labonn.couplers import Coupler

BENCHES = ("pt_chip", "pt_chip_software", "mzi_chip", "mzi_chip_software")
TITLES = {
    "pt": "couplers of a gain and a loss guide (Deng & Khajavikhan 2021), set by currents",
    "rotation": "Mach-Zehnder interferometers with one differential phase, set by heaters",
    "mzi": "Mach-Zehnder interferometers with an inner and an outer phase, set by heaters",
}
HEADER = """\
# A photonic chip with {layers} neurons: {title}.
# Light goes input -> mesh 1a -> amplifiers -> mesh 1b -> hidden -> mesh 2a -> amplifiers -> mesh 2b -> output.
# Links are this lab's instruments: change them to yours. A dry run puts simulated instruments in their place.

[bench]
description = "{description}"
"""
CHAIN = 240  # channels of a Qontrol chain, 30 modules of 8
SLOPES = {"pt": 3.0, "rotation": 12.0, "mzi": 12.0}


def chip_bench(
    name: str, sizes: Sequence[int] = (49, 20, 10), coupler: str | None = None, activation: str = "board", readout: str = "homodyne",
    monitors: bool = False, layout: str = "triangular", seed: int = 7, simulation: str = "", watts: bool = False,
) -> str:  # fmt: skip
    """The text of a bench file.

    Args:
        name: "pt_chip" or "mzi_chip" (hardware-timed: parameters in the bank memory of a streaming DAC), with "_software" for chains of
            eight-channel sources that are set over serial lines.
        sizes: inputs, hidden neurons, outputs. coupler: "pt", "rotation" or "mzi" (default: that of the name).
        activation, readout, layout: as [nominal.chip] has them (labonn.chips).
        monitors: with monitors at all phase shifters and light from behind, for in-situ backpropagation.
        seed: of hidden truths. simulation: more lines for the [simulation] table.
        watts: heaters behind power controllers, on a hardware-timed bench.
    """
    kind = coupler or ("pt" if name.startswith("pt") else "rotation")
    model = ChipModel((sizes[0], sizes[1], sizes[2]), Coupler(kind), layout)
    software = name.endswith("_software")
    layers = "-".join(map(str, sizes))
    timing = "each set over serial lines and read back" if software else "played from bank memory"
    parts = [HEADER.format(layers=layers, title=TITLES[kind], description=f"{model.count} parameters, {timing}")]
    ports = _Ports()
    parts.append(ports.dac("input", sizes[0], "amplitude modulators of the input beams", '-3.6 V"\nupper = "3.6 V'))
    parts.append(_parameters(kind, model.count, software, ports, watts))
    if activation == "board":
        parts.append(ports.dac("activation", 4096, "lookup table of the activation board, one volt a point", '-3.6 V"\nupper = "3.6 V', 8))
    if activation == "host":
        parts.append(ports.dac("reinject", sizes[1], "modulators that send the hidden neurons in again", '-3.6 V"\nupper = "3.6 V'))
    if monitors:
        parts.append(ports.dac("quadrature", sizes[0] + sizes[1], "input modulators of the other quadrature", '-3.6 V"\nupper = "3.6 V'))
        parts.append(ports.dac("error", sizes[1] + sizes[2], "error beams sent in from behind, both layers", '-3.6 V"\nupper = "3.6 V'))
        parts.append(ports.adc("monitors", 2 * model.couplers, "powers in both arms of every phase section"))
        parts.append(ports.adc("backward", sizes[0] + sizes[1], "what comes out of the inputs, both layers"))
    if activation != "absorber":
        parts.append(ports.adc("hidden", sizes[1], "hidden neurons, before their activation"))
    parts.append(ports.adc("output", sizes[2], "network output", 4194304) + 'role = "trigger"\n')
    chip = f'coupler = "{kind}"\nsizes = [{", ".join(map(str, sizes))}]\nlayout = "{layout}"\nactivation = "{activation}"\n'
    chip += f'readout = "{readout}"\nslope = {SLOPES[kind]}\n'
    parts.append(f"\n[nominal.chip]  # the design, and what is believed until a calibration measures it\n{chip}")
    if watts:
        parts.append('\n[nominal.heater]\ndrive = "W"\n')
    light = "pt_chip" if kind == "pt" else "mzi_chip"
    parts.append(f'\n[simulation]  # read only in a dry run\nbench = "{light}"\nseed = {seed}\n{simulation}')
    return "".join(parts)


def _parameters(kind: str, count: int, software: bool, ports: _Ports, watts: bool) -> str:
    name, unit, upper = ("gain", "A", "12 mA") if kind == "pt" else ("heaters", "V", "7.2 V")
    if watts:
        unit, upper = "W", "51 mW"
    what = "currents of all gain sections" if kind == "pt" else "powers of all heaters" if watts else "voltages of all heaters"
    if not software:
        extra = "a_per_v = 2.4e-3  # transconductance of the current sources behind the converter\n" if kind == "pt" else ""
        extra += "w_per_v = 5.2e-3  # of the power controllers behind the converter\n" if watts else ""
        return ports.dac(name, count, what, f'0 {unit}"\nupper = "{upper}', 16384, extra)
    chains = next(n for n in range(-(-count // CHAIN), count + 1) if count % n == 0)
    links = ", ".join(f'"serial:///dev/ttyUSB{i}?baud=115200"' for i in range(chains))
    mode, most = ("current", "compliance_v = 10.0\n") if kind == "pt" else ("voltage", "")
    return (
        f'\n[ports.{name}]  # {what}: {chains} chains of {count // chains} channels\ndriver = "qontrol"\nlink = [{links}]\n'
        f'mode = "{mode}"\nchannels = {count // chains}\n{most}upper = "{upper}"\n'
    )


class _Ports:
    """Counts the TCP ports up."""

    def __init__(self) -> None:
        self._next = 5570

    def _link(self) -> str:
        self._next += 1
        return f'"zmq://127.0.0.1:{self._next - 1}"'

    def dac(self, name: str, channels: int, comment: str, limits: str, depth: int = 131072, extra: str = "") -> str:
        """A streaming DAC; `limits` are those of the port with the quotes between them."""
        lines = f'driver = "stream_dac"\nlink = {self._link()}\nchannels = {channels}\nbits = 16\ndepth = {depth}\n'
        return f'\n[ports.{name}]  # {comment}\n{lines}{extra}lower = "{limits}"\n'

    def adc(self, name: str, channels: int, comment: str, depth: int = 1048576) -> str:
        """A streaming ADC."""
        lines = f'driver = "stream_adc"\nlink = {self._link()}\nchannels = {channels}\nbits = 16\ndepth = {depth}\n'
        return f"\n[ports.{name}]  # {comment}\n{lines}"
