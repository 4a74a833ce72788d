"""Before a chip is trained: images into the input memory, dark levels, detector ranges, and which channels are dead."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from labonn.banks import Changes
from labonn.channels import ChannelSpec, Floats
from labonn.chip_training import Pictures
from labonn.chips import ChipOptics
from labonn.data import DataSet, split_validation
from labonn.errors import ProcedureError, ReadingError
from labonn.gradients import OnChip
from labonn.shots import Ints, Readings, ShotTable

Plan = Generator[ShotTable, Readings, Any]
MARGIN = 2.0  # of a detector's range over the largest reading
DARK_SHOTS = 1000
SAMPLED = 256  # images that ranges are fitted to
DEAD = 0.02  # of the median detector's spread over images, below which a detector is dead
BASELINES = 16
PATIENCE = 64  # shots to settle in, should the lag be longer than believed
NOISY = 2.0  # times the noise, what a dead parameter's change may seem to be
STILL = 0.1  # of the response that is expected, below which a parameter does nothing
TELLING = 0.05  # of the median expected response, from which a channel can be judged


def check_ports(optics: ChipOptics, specs: Mapping[str, ChannelSpec], file: str) -> None:
    """Raise ProcedureError unless the bench has the ports of the chip, with as many channels as its design needs."""
    needed = {"input", optics.port, "output", *{"board": ("activation",), "host": ("reinject", "hidden")}.get(optics.design.activation, ())}
    for port, count in optics.channels().items():
        if port in needed and port not in specs:
            raise ProcedureError(f"{file}: ports.{port}: missing; {optics.design.described} needs it, with {count} channels")
        if port in specs and len(specs[port]) != count:
            raise ProcedureError(f"{file}: ports.{port}: has {len(specs[port])} channels, but {optics.design.described} needs {count}")


def pooled(images: Any, rows: int, cols: int, inputs: int) -> Floats:
    """(n, inputs) fields from 0 to 1: gray levels (n, rows * cols) averaged over square blocks, 4 x 4 for MNIST on 49 inputs.

    Raises:
        ProcedureError: the image cannot be cut into that many equal square blocks.
    """
    block = round((rows * cols / inputs) ** 0.5)
    if block < 1 or rows % block or cols % block or (rows // block) * (cols // block) != inputs:
        raise ProcedureError(f"images of {rows} x {cols} pixels cannot be averaged over square blocks to {inputs} inputs")
    cut = images.reshape(-1, rows // block, block, cols // block, block)
    fields: Floats = cut.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    return fields.reshape(len(images), inputs)


def pictures_of(data: DataSet, inputs: int, limit: int | None, seed: int) -> Pictures:
    """Training images (the first `limit`), and the test images split at random into validation and test."""
    validation, test = split_validation(data, seed)
    parts = [(data.train_images[:limit], data.train_labels[:limit]), *((p.images, p.labels) for p in (validation, test))]
    edges = np.cumsum([0, *(len(labels) for _, labels in parts)])
    rows = [np.arange(a, b) for a, b in pairwise(edges)]
    labels = np.concatenate([labels for _, labels in parts]).astype(np.int64)
    fields = np.concatenate([pooled(images, data.rows, data.cols, inputs) for images, _ in parts])
    return Pictures(fields, labels, rows[0], rows[1], rows[2])


def load_memories(objective: OnChip, pictures: Pictures) -> Plan:
    """Images into the input modulators' memory, the sigmoid into the activation board; learns the bench's number format."""
    optics, start = objective.optics, np.zeros(1, np.int64)
    first = yield ShotTable({}, dwell_s=objective.slots.dwell_s, read=("output",), shots=1)
    objective.dtype = np.float64 if first["output"].dtype == np.float64 else np.float32
    objective.images_shown = pictures.fields.astype(objective.dtype, copy=False)
    objective.images_shown.flags.writeable = False
    banks: dict[str, Any] = {"input": optics.modulator.volts(objective.images_shown)}
    if optics.design.activation == "board":
        banks["activation"] = optics.board_table().astype(objective.dtype)
    yield ShotTable(banks, dict.fromkeys(banks, start), objective.slots.dwell_s, ())


def measure_dark(objective: OnChip) -> Plan:
    """Detector offsets, from shots in which no beam is armed."""
    objective.dark.clear()
    for port in objective.signals:
        readings = yield ShotTable({}, dwell_s=objective.slots.dwell_s, read=(port,), shots=DARK_SHOTS)
        objective.dark[port] = readings[port].mean(axis=0, dtype=np.float64)


def measure_peaks(objective: OnChip, theta: Floats, rows: Ints) -> Plan:
    """port -> largest volts of either sign over some images; names detectors that answer to no image.

    Raises:
        ReadingError: a detector that reads the same for all images.
    """
    objective.show(rows[:SAMPLED], np.zeros(0, np.int64))
    hidden, outputs = ("hidden" in objective.specs), None
    seen: dict[str, Floats] = {}
    if hidden:
        seen["hidden"], outputs = yield from objective.traced(theta)
    else:
        outputs = (yield from objective.outputs(np.asarray(theta, np.float64)[None, :]))[0]
    seen["output"] = outputs
    peaks = {}
    for port, fields in seen.items():
        spread = fields.std(axis=0, dtype=np.float64)
        dead = np.flatnonzero(spread < DEAD * np.median(spread))
        if dead.size:
            told = ", ".join(str(objective.specs[port].names[int(i)]) for i in dead[:5])
            rms = f"{spread[dead[0]]:.2g} rms in fields, others {np.median(spread):.2g}"
            raise ReadingError(f"{port}/{told}: reads the same for {len(fields)} images ({rms})")
        peaks[port] = float(np.abs(fields).max()) * objective.optics.volts_per_field(port)
    if "monitors" in objective.specs:  # two waves of the same size make four times the power of one
        lit = yield from objective.beams(theta, {}, True, ("monitors",))
        peaks["monitors"] = 4 / MARGIN * float(lit["monitors"].max()) * objective.optics.volts_per_field("monitors")
    return peaks


def fit_ranges(devices: Mapping[str, Any], specs: Mapping[str, ChannelSpec], peaks: Mapping[str, float]) -> None:
    """Ranges of twice the largest reading (at most the widest), where the detectors have ranges."""
    for port, volts in peaks.items():
        if hasattr(devices[port], "set_range"):
            devices[port].set_range(min(MARGIN * volts, float(np.min(specs[port].upper))))


def widen(devices: Mapping[str, Any], specs: Mapping[str, ChannelSpec], peaks: dict[str, float]) -> list[str]:
    """Four times the range for every port whose last record saturated; what was done, in words. `peaks` is brought up to date."""
    told = []
    for port, volts in peaks.items():
        count = getattr(devices[port], "saturated", 0)
        if count and MARGIN * volts < float(np.min(specs[port].upper)):
            peaks[port] = 4 * volts
            fit_ranges(devices, specs, {port: peaks[port]})
            told.append(f"{port}: {count} readings saturated; range widened")
        elif count:
            told.append(f"{port}: {count} readings saturated the widest range of {float(np.min(specs[port].upper)):g} V")
    return told


def find_dead(objective: OnChip, theta: Floats, rows: Ints, step: float, count: int = 8) -> Plan:
    """(P,) bool, parameters that ought to move the outputs and do not.

    Every parameter is moved to either side, in one table, and the change of the outputs compared with the believed one; parameters that
    are believed to do hardly anything (couplers whose light is thrown away) cannot be judged and count as alive.
    """
    before, slots = (objective.rows, objective.labels), objective.slots
    objective.show(rows[:count], np.zeros(0, np.int64))
    objective.slots = replace(objective.slots, settle=max(slots.settle, PATIENCE))
    number = len(theta)
    low, high = np.maximum(theta - step, objective.lower), np.minimum(theta + step, objective.upper)
    channels = np.concatenate([np.tile(np.arange(number), 2), np.zeros(BASELINES, np.int64)])[:, None]
    values = np.concatenate([low, high, np.full(BASELINES, theta[0])])[:, None]
    outputs = (yield from objective.outputs(Changes(np.asarray(theta, np.float64), channels, values))).astype(np.float64)
    objective.slots = slots
    objective.show(*before)
    moved = outputs[number : 2 * number] - outputs[:number]
    measured = np.sqrt(np.mean(moved**2, axis=(1, 2)))
    noise = float(np.sqrt(2 * np.mean(outputs[2 * number :].var(axis=0, ddof=1))))
    expected = objective.optics.response(theta, objective.images_shown[rows[:count]], low, high)
    telling = expected > TELLING * np.median(expected[expected > 0])
    return telling & (measured < STILL * expected) & (measured <= NOISY * noise)
