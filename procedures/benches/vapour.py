"""The text of a bench file for a vapour-cell network of any size."""

from __future__ import annotations

from collections.abc import Sequence

HEADER = """\
# A saturable-absorber network in free space (Guo et al. 2021): {layers} neurons.
# Light goes input -> weights1 -> cell 1 -> weights2 -> ... -> output, and back through the same modulators and cells.
# Links are this lab's instruments: change them to yours. A dry run puts simulated instruments in their place.

[bench]
description = "vapour cells as neurons, SLMs as weights"
"""


def vapour_cell(sizes: Sequence[int], cell: str = "eq4", seed: int = 7, bits: int | None = None, white: float = 1.0) -> str:
    """The text of a bench file for a vapour-cell network.

    Args:
        sizes: N0, N1, ... N_L neurons. cell: the model that the cells are believed (and simulated) to follow. seed: of hidden truths.
        bits: of all SLMs, modulators and detectors, which then span their ranges (default: 8 for SLMs, 16 for the others).
        white: field of an input beam at full modulation; above 1 the detectors of the forward light have their widest range.
    """
    hidden, outer, weights = list(sizes[1:-1]), sizes[-1], list(zip(sizes[1:], sizes, strict=False))
    parts = [HEADER.format(layers="-".join(map(str, sizes)))]
    port = 5570
    comments = {
        "input": "amplitude modulators of the input beams", "target": "target beams, for an output error made by interference",
        "feedback": "shutter of the interference error on its way back", "error": "modulators of the error beams (digital error)",
        "inject": "error beams of the inner cells, for exact derivatives",
    }  # fmt: skip
    modulators = {"input": sizes[0], "target": outer, "feedback": 1, "error": outer, "inject": sum(hidden[1:])}
    for name, channels in modulators.items():
        if channels:
            link, limits = f"zmq://127.0.0.1:{port}", 'lower = "-3.6 V"\nupper = "3.6 V"\n'
            resolution = "bits = 16\n" if bits is None else f"bits = {bits}\nfull_scale_v = 3.6\n"
            lines = f'driver = "stream_dac"\nlink = "{link}"\nchannels = {channels}\n{resolution}{limits}'
            parts.append(f"\n[ports.{name}]  # {comments[name]}\n{lines}")
            port += 1
    for i, (rows, columns) in enumerate(weights, start=1):
        parts.append(
            f'\n[ports.weights{i}]  # signed weights as macropixels\ndriver = "slm_monitor"\nlink = "monitor://{i}"\n'
            f"shape = [{rows}, {columns}]\nbits = {bits or 8}\n"
        )
    parts.append(
        f'\n[ports.gain]  # interlayer amplifiers\ndriver = "qontrol"\nlink = "serial:///dev/ttyUSB0?baud=115200"\n'
        f'channels = {len(weights)}\nupper = "24 mA"\n'
    )
    if hidden:
        parts.append(
            f'\n[ports.ovens]  # cell ovens set the optical depth\ndriver = "meerstetter"\nlink = "serial:///dev/ttyUSB1?baud=57600"\n'
            f'instances = {len(hidden)}\nupper = "110 degC"\n'
        )
    taps = {"forward_in": "before", "forward_out": "behind"} if hidden else {}
    for name, where in taps.items():
        parts.append(_detector(name, sum(hidden), port, f"forward light {where} the cells", 5.0 if white <= 1 else 10.0, bits))
        port += 1
    for name, where in ({"backward_in": "before", "backward_out": "behind"} if hidden else {}).items():
        parts.append(_detector(name, sum(hidden), port, f"backward light {where} the cells", 5.0 if cell == "gain" else 1.0, bits))
        port += 1
    parts.append(_detector("output", outer, port, "network output", 10.0, bits) + 'role = "trigger"\n')
    bright = f"white = {white}  # field of an image's white\n" if white != 1 else ""
    parts.append(f'\n[nominal]  # believed until a calibration measures it\ncell = "{cell}"\n{bright}')
    parts.append(f'\n[simulation]  # read only in a dry run\nbench = "vapour_cell"\nseed = {seed}\n')
    return "".join(parts)


def _detector(name: str, channels: int, port: int, comment: str, full_scale_v: float, bits: int | None) -> str:
    return (
        f'\n[ports.{name}]  # homodyne detectors: {comment}\ndriver = "stream_adc"\nlink = "zmq://127.0.0.1:{port}"\n'
        f"channels = {channels}\nbits = {bits or 16}\nfull_scale_v = {full_scale_v}\n"
    )
