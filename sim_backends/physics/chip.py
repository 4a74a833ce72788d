"""A photonic chip in the order of the light: meshes, amplifiers, detected hidden layers; its true light at many settings.

Drives are in *internal parameters*, which is what the laws of its stages take: s of PT couplers, h of rotations, (theta, phi) of full
MZIs, logarithms of amplifier factors (`coupler_laws`). The vector of all parameters has the order of the light.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from sim_backends.physics.chip_emission import Emission, both_guides, mixer
from sim_backends.physics.chip_monitors import StageLight, Trace, lights
from sim_backends.physics.chip_runs import DenseRun, Hidden, Node, Run, Saturation, SparseRun, detected
from sim_backends.physics.chip_stages import AmplifierStage, Detection, MeshStage
from sim_backends.physics.chip_stretch import Stretch, checked
from sim_backends.physics.couplers import Array
from sim_backends.physics.drives import Dense, Sparse
from sim_backends.physics.noise import Noise

Stage = MeshStage | AmplifierStage | Detection
CACHE_BYTES = 2**20  # of fields worked on at once


class Chip:
    """Stages in the order of the light.

    Args:
        stages: neighbours fit together: what one keeps the next one takes.
        dtype: of the light: float32, float64 (laws that give real blocks), complex64 or complex128.

    Attributes:
        parameters: P. inputs, outputs_count: ports. nodes: linear stretches, and what parts them.
    """

    def __init__(self, stages: Sequence[Stage], dtype: DTypeLike = np.float32) -> None:
        self.stages, self.dtype = tuple(stages), np.dtype(dtype)
        _check(self.stages, self.dtype)
        self.nodes: tuple[Node, ...] = tuple(_nodes(self.stages))
        self.stretches = tuple(node for node in self.nodes if isinstance(node, Stretch))
        self.parameters = sum(stretch.parameters for stretch in self.stretches)
        self.inputs, self.outputs_count = self.stretches[0].inputs, self.stretches[-1].outputs

    def outputs(
        self,
        drive: Dense | Sparse,
        x: ArrayLike,
        hidden: Hidden | Sequence[Hidden] = (),
        *,
        emission: Sequence[Array | None] | None = None,
        noise: Noise | None = None,
        in_phase: bool = False,
        white: Sequence[Array] | None = None,
        out: Array | None = None,
    ) -> Array:
        """(S, B, n_out) fields at the outputs at every setting.

        Args:
            drive: the settings. x: (B, n_in) fields that enter, the same at every setting.
            hidden: of every detection, called with (fields (R, B, n), which settings); returns what is sent in again (R, B, n').
                Blocks of settings come in order; it may keep the array it is given, and change it.
            emission: for every stage None, or the variance of complex spontaneous emission behind every element: (K,) of the upper
                guide or (K, 2) of both; real light gets the half of it that is in phase. What it adds up to at the next detection
                (or at the outputs) is drawn there, with the covariance at the base setting (`Dense`: at the mean of all settings) and
                amplifiers as for weak light, anew for every setting and sample.
            noise: where the draws come from. in_phase: detections and outputs see one quadrature only: what they are given, and what is
                returned, is real.
            white: with `emission` and `in_phase`: for every detection and for the outputs the variance (n,) of noise of the detectors,
                which is then drawn together with the emission.
            out: where the fields are to go.
        """
        fields = np.ascontiguousarray(x, self.dtype)
        settings = self._settings(drive)
        if fields.ndim != 2 or fields.shape[1] != self.inputs:
            raise ValueError(f"fields {fields.shape} enter; the chip takes (B, {self.inputs})")
        base = np.asarray(drive.base if isinstance(drive, Sparse) else np.mean(drive.values, axis=0, dtype=np.float64), np.float64)
        behind: dict[int, Array] = {}
        emitted = self._emission(base, emission, noise, in_phase, behind, white)
        layers = self._layers(hidden)
        run: Run
        if isinstance(drive, Sparse):
            run = SparseRun(self.nodes, drive, fields, emitted, CACHE_BYTES, in_phase, behind)
        else:
            run = DenseRun(self.nodes, drive, fields, emitted, CACHE_BYTES, in_phase)
        kind = np.zeros(0, self.dtype).real.dtype if in_phase else self.dtype
        result = np.empty((settings, len(fields), self.outputs_count), kind) if out is None else out
        for start in range(0, settings, run.block):
            rows = slice(start, min(start + run.block, settings))
            result[rows] = run.play(rows, layers)
        return result

    def trace(self, values: ArrayLike, x: ArrayLike, hidden: Hidden | Sequence[Hidden] = ()) -> Trace:
        """Light everywhere for fields x (B, n_in) at one setting (P,); hidden layers are called with one setting."""
        vector, layers, number = np.asarray(values, np.float64), self._layers(hidden), 0
        fields, stages = np.ascontiguousarray(x, self.dtype), list[StageLight | None]()
        for node in self.nodes:
            if isinstance(node, Stretch):
                response = node.forward(self._blocks(node, vector), fields)
                fields = response.whole
                stages += lights(node, vector[node.channels], response.before, forward=True)
            elif isinstance(node, Saturation):
                fields = node.apply(fields[None].copy(), vector[None, node.channels])[0]
            else:
                fields = detected(fields[None], node, layers[number], slice(0, 1), self.dtype)[0]
                number += 1
                stages.append(None)
        return Trace(tuple(stages), fields)

    def backward(self, values: ArrayLike, delta: ArrayLike, stretch: int = -1) -> Trace:
        """Light everywhere for fields delta (B, n_out) sent backward into the outputs of a linear stretch at one setting (P,).

        A reciprocal chip has the transposed matrix for it. The stages are those of the stretch, in the order of the forward light;
        the outputs are the stretch's inputs. Stretches end at detections and at saturating amplifiers.
        """
        vector, node = np.asarray(values, np.float64), self.stretches[stretch]
        behind, ends = node.backward(self._blocks(node, vector), np.asarray(delta, self.dtype))
        return Trace(tuple(lights(node, vector[node.channels], behind, forward=False)), ends)

    def _settings(self, drive: Dense | Sparse) -> int:
        values = drive.values if isinstance(drive, Dense) else drive.base
        if values.shape[-1] != self.parameters or values.ndim != (2 if isinstance(drive, Dense) else 1):
            raise ValueError(f"a drive of {values.shape}; the chip has {self.parameters} parameters")
        return len(drive.values)

    def _layers(self, hidden: Hidden | Sequence[Hidden]) -> Sequence[Hidden]:
        layers = (hidden,) if callable(hidden) else tuple(hidden)
        wanted = sum(isinstance(stage, Detection) for stage in self.stages)
        if len(layers) != wanted:
            raise ValueError(f"{len(layers)} hidden layers are given; the chip detects {wanted} times")
        return layers

    def _blocks(self, stretch: Stretch, vector: Array) -> Array:
        own = stretch.own(vector[stretch.channels])
        return checked(stretch.blocks(np.arange(stretch.count), own), self.dtype)

    def _emission(
        self, base: Array, emission: Sequence[Array | None] | None, noise: Noise | None, in_phase: bool, reached: dict[int, Array],
        white: Sequence[Array] | None,
    ) -> list[Emission | None]:  # fmt: skip
        """What is added behind every node: all emission since the last detection at the stretch before the next one.

        `reached` is given what every element of a stretch gives to its outputs, by the number of the node.
        """
        found: list[Emission | None] = [None] * len(self.nodes)
        if emission is None:
            return found
        if noise is None or len(emission) != len(self.stages):
            raise ValueError(f"emission of {len(emission)} stages; the chip has {len(self.stages)}, and needs a source of noise")
        more = iter(white or ())
        given = iter([e for e, stage in zip(emission, self.stages, strict=True) if not isinstance(stage, Detection)])
        reaches: list[Array] = []
        spreads: list[Array] = []
        for number, node in enumerate(self.nodes):
            if isinstance(node, Stretch):
                spreads.append(both_guides([next(given) for _ in node.stages], [stage.count for stage in node.stages]))
                behind = node.backward(self._blocks(node, base), np.eye(node.outputs))
                reaches = [(reach.reshape(-1, reach.shape[-1]) @ behind[1].T).reshape(*reach.shape[:-1], -1) for reach in reaches]
                reaches.append(behind[0])
                reached[number] = behind[0]
            if number + 1 == len(self.nodes) or isinstance(self.nodes[number + 1], Detection):
                variances = np.concatenate(spreads)
                added = next(more, None)
                if variances.any() or added is not None:
                    found[number] = Emission(mixer(np.concatenate(reaches), variances, in_phase, added), noise, in_phase)
                reaches, spreads = [], []
        return found


def _nodes(stages: Sequence[Stage]) -> Iterator[Node]:
    linear: list[MeshStage | AmplifierStage] = []
    first = 0
    for number, stage in enumerate(stages):
        if isinstance(stage, Detection):
            yield stage
            continue
        linear.append(stage)
        saturates = isinstance(stage, AmplifierStage) and stage.saturate is not None
        if saturates or number + 1 == len(stages) or isinstance(stages[number + 1], Detection):
            stretch = Stretch(linear, first)
            yield stretch
            first, linear = first + stretch.parameters, []
        if isinstance(stage, AmplifierStage) and saturates:
            yield Saturation(stage, slice(first - stage.count, first))


def _check(stages: Sequence[Stage], dtype: np.dtype[np.generic]) -> None:
    if dtype not in (np.float32, np.float64, np.complex64, np.complex128):
        raise ValueError(f"light of {dtype.name}; allowed are float32, float64, complex64 and complex128")
    if not stages or isinstance(stages[0], Detection) or isinstance(stages[-1], Detection):
        raise ValueError("a chip begins and ends with a mesh or an amplifier")
    for number, (here, after) in enumerate(pairwise(stages)):
        kept = here.reinjected if isinstance(here, Detection) else here.kept
        taken = after.count if isinstance(after, Detection) else after.inputs
        if kept != taken:
            raise ValueError(f"stage {number} gives {kept} fields and stage {number + 1} takes {taken}")
