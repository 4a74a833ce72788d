"""Arrays and banks as frames of a message: a description in the header, raw bytes behind it; never pickle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from labonn.banks import Bank, Changes, Dither
from labonn.guardian.unacceptable import Unacceptable

DType = Literal["<f4", "<f8", "|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"]
Kind = Literal["array", "changes", "dither"]
PARTS = {"array": 1, "changes": 3, "dither": 3}
Thing = NDArray[Any] | Bank


class Item(BaseModel):
    """One array: its frame has just these bytes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dtype: DType
    shape: tuple[Annotated[int, Field(ge=0, le=2**40)], ...] = Field(max_length=3)
    order: Literal["C", "F"] = "C"

    @property
    def nbytes(self) -> int:
        """Bytes of its frame."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def packed(array: NDArray[Any]) -> tuple[dict[str, Any], NDArray[Any]]:
    """(description, what to send) of an array of numbers; the order of its axes in memory is kept, so that sums come out the same."""
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    sent = array.T if order == "F" else np.ascontiguousarray(array)
    return {"dtype": array.dtype.str, "shape": array.shape, "order": order}, sent


def unpacked(item: Item, frame: Any) -> NDArray[Any]:
    """The array in a frame, without a copy where the frame lies well in memory.

    Raises:
        Unacceptable: the frame has not as many bytes as were announced.
    """
    if len(frame) != item.nbytes:
        raise Unacceptable(f"a frame of {len(frame)} bytes for {item.dtype} {list(item.shape)}, which has {item.nbytes}")
    return viewed(item.dtype, item.shape, item.order, frame)


def viewed(dtype: str, shape: Sequence[int], order: Literal["C", "F"], frame: Any) -> NDArray[Any]:
    """A frame's bytes as an array."""
    flat = np.frombuffer(frame, dtype) if len(frame) else np.empty(0, dtype)
    if not flat.flags.aligned:  # NumPy would add it up in other blocks
        flat = flat.copy()
    return flat.reshape(shape, order=order)


@dataclass(frozen=True)
class Parts:
    """A thing taken apart for sending."""

    kind: Kind
    arrays: tuple[NDArray[Any], ...]


def parts_of(thing: Thing) -> Parts:
    """The arrays that a bank or an order is made of."""
    if isinstance(thing, Changes):
        return Parts("changes", (thing.base, thing.channels, thing.values))
    if isinstance(thing, Dither):
        return Parts("dither", (thing.base, thing.amplitude, thing.signs))
    return Parts("array", (thing,))


def thing_of(kind: Kind, arrays: Sequence[NDArray[Any]]) -> Thing:
    """A bank or an order from its arrays."""
    if kind == "changes":
        return Changes(*arrays)
    return Dither(*arrays) if kind == "dither" else arrays[0]


@dataclass(frozen=True)
class Values:
    """Results and arguments of calls: what JSON has, and arrays in frames; `pack` fills `items` and `frames`."""

    items: list[dict[str, Any]]
    frames: list[NDArray[Any]]

    def pack(self, value: Any) -> Any:
        """`value` for the header.

        Raises:
            TypeError: it is neither a number, text, array, nor a list of such.
        """
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, (list, tuple)):
            return {"list": [self.pack(part) for part in value]}
        if isinstance(value, float) and not math.isfinite(value):
            value = np.asarray(value)  # JSON has no such numbers
        if isinstance(value, np.ndarray):
            item, frame = packed(value)
            self.items.append(item)
            self.frames.append(frame)
            return {"array": len(self.frames) - 1}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"{type(value).__name__} is no value that can be sent")


def unpack(value: Any, arrays: Sequence[NDArray[Any]]) -> Any:
    """What `Values.pack` packed.

    Raises:
        Unacceptable: an array is named that did not come.
    """
    if not isinstance(value, dict):
        return value
    if set(value) == {"list"} and isinstance(value["list"], list):
        return tuple(unpack(part, arrays) for part in value["list"])
    index = value.get("array")
    if set(value) != {"array"} or type(index) is not int or not 0 <= index < len(arrays):
        raise Unacceptable(f"{str(value)[:80]} is no value")
    return arrays[index]
