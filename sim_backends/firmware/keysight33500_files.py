"""MMEMory of a Keysight 33500: waveforms and sequences in its internal memory, which outlasts a power cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from sim_backends.firmware.keysight33500_arbs import BUILT_IN, Name
from sim_backends.firmware.keysight33500_memory import Sequence
from sim_backends.firmware.scpi_errors import ScpiError
from sim_backends.firmware.scpi_tree import Command

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

FILE_KINDS = {".ARB": "ARB", ".SEQ": "SEQ"}


def file_commands(own: Keysight33500Firmware) -> Iterable[Command]:
    """MMEMory, of waveforms and sequences in the internal memory (INT:)."""

    def load(n: int, path: str) -> None:
        stored = own.files.get(path, BUILT_IN.get(path))
        if stored is None:
            raise ScpiError(-256)
        memory = own.memory[n]
        if isinstance(stored, tuple):
            sequence, arbs = stored
            for name, codes in arbs.items():
                if name not in memory.arbs:
                    memory.add(name, codes)
            memory.sequences[path] = Sequence(path, sequence.steps)
        elif path not in memory.arbs:
            memory.add(path, stored)

    def store(n: int, path: str) -> None:
        memory = own.memory[n]
        if not path.startswith("INT:\\") or path[-4:] not in FILE_KINDS:
            raise ScpiError(-257)
        sequence = memory.sequences.get(memory.selected)
        if sequence is None:
            own.files[path] = memory.codes_of(memory.selected)
        else:
            own.files[path] = (sequence, {step.arb: memory.arbs[step.arb] for step in sequence.steps})

    def delete(path: str) -> None:
        if own.files.pop(path, None) is None:
            raise ScpiError(-256)

    def catalog(folder: str = "INT:\\") -> str:
        start = folder.rstrip("\\").upper() + "\\"
        inside = {path: stored for path, stored in {**BUILT_IN, **own.files}.items() if path.rpartition("\\")[0] + "\\" == start}
        found = [f'"{path[len(start) :]},{FILE_KINDS[path[-4:]]},{_bytes(stored)}"' for path, stored in inside.items()]
        used = sum(_bytes(f) for f in own.files.values())
        return ",".join([f"{used:+d}", f"{(1 << 26) - used:+d}", *found])

    yield Command(":MMEMory:LOAD:DATA{1:2}", load, takes=(Name(),))
    yield Command(":MMEMory:STORe:DATA{1:2}", store, takes=(Name(),))
    yield Command(":MMEMory:DELete", delete, takes=(Name(),))
    for pattern in (":MMEMory:CATalog[:ALL]", ":MMEMory:CATalog:DATA:ARBitrary"):
        yield Command(pattern, query=catalog, asks=(Name(),))


def _bytes(stored: Any) -> int:
    return 2 * int(stored.size) if isinstance(stored, np.ndarray) else 64 * len(stored[0].steps)
