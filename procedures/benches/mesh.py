"""The text of a bench file for one mesh of interferometers between modulators and photodiodes, of any size."""

from __future__ import annotations

HEADER = """\
# A triangular mesh of {couplers} Mach-Zehnder interferometers between {ports} beams and {ports} photodiodes; heaters set theta and phi.
# Links are this lab's instruments: change them to yours. A dry run puts simulated instruments in their place.
"""


def mesh_bench(ports: int = 8, seed: int = 7, simulation: str = "", watts: bool = False) -> str:
    """The text of a bench file.

    Args:
        ports: of the mesh. seed: of hidden truths. simulation: more lines, tables simulation.heaters and simulation.mesh.
        watts: heaters behind power controllers.
    """
    unit, upper, extra = ("W", "64 mW", "w_per_v = 6.5e-3\n") if watts else ("V", "8 V", "")
    parts = [HEADER.format(couplers=ports * (ports - 1) // 2, ports=ports)]
    parts.append(_dac("heaters", 0, ports * (ports - 1), f'{extra}lower = "0 {unit}"\nupper = "{upper}"', "theta and phi of every coupler"))
    beams = 'lower = "-3.6 V"\nupper = "3.6 V"'
    parts.append(_dac("input", 1, ports, beams, "modulators of the beams, in phase"))
    parts.append(_dac("quadrature", 2, ports, beams, "modulators of the beams, in quadrature"))
    parts.append(
        f'\n[ports.outputs]  # photodiodes\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:5573"\nchannels = {ports}\nbits = 16\n'
        'full_scale_v = 1.0\nrole = "trigger"\n'
    )
    parts.append(f'\n[nominal.mesh]\nports = {ports}\nlayout = "triangular"\nvolts = 0.8  # of one fully open beam in one output\n')
    parts.append(f'\n[nominal.heater]\np_pi_w = 25e-3\nresistance_ohm = 1000.0\ndrive = "{unit}"\n')
    parts.append(f'\n[simulation]  # read only in a dry run\nbench = "mesh_bench"\nseed = {seed}\n{simulation}')
    return "".join(parts)


def _dac(name: str, number: int, channels: int, limits: str, comment: str) -> str:
    return (
        f'\n[ports.{name}]  # {comment}\ndriver = "stream_dac"\nlink = "zmq://127.0.0.1:{5570 + number}"\n'
        f"channels = {channels}\nbits = 16\n{limits}\n"
    )
