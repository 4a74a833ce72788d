"""Requests to a guardian: a JSON header, checked field by field, and raw arrays; whatever is not just that is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from labonn.guardian.arrays import PARTS, Item, Kind, unpacked
from labonn.guardian.unacceptable import Unacceptable

VERSION = 1
MOST_HEADER_BYTES, MOST_FRAMES = 1 << 20, 600
METHODS = ("set_range", "temperature", "reached", "output", "measured", "zero", "shown", "correct")
ASKING = ("temperature", "reached", "measured", "shown")  # which leave outputs as they are
ATTRIBUTES = ("kind", "identity", "shape", "compliance_v", "most_bursts", "full_scale")
CHANGING = ("saturated",)

Word = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Items = Annotated[tuple[Item, ...], Field(max_length=MOST_FRAMES)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    arrays: Items = ()


class Who(BaseModel):
    """Who asks, in words for people."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    user: Name
    host: Name
    pid: Count
    what: Annotated[str, Field(max_length=500)] = ""

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}{f' ({self.what})' if self.what else ''}"


class Hello(_Message):
    """Asks for the lease. nonce: never the same again."""

    op: Literal["hello"]
    version: Literal[1]
    nonce: Word
    who: Who


class File(_Message):
    """Asks for the bench file."""

    op: Literal["file"]


class Status(_Message):
    """Asks how things are."""

    op: Literal["status"]


class Safe(_Message):
    """Makes all outputs safe, whoever holds the lease; the holder loses it."""

    op: Literal["safe"]
    nonce: Word
    who: Who


class Beat(_Message):
    """The client lives. count: grows from beat to beat."""

    op: Literal["beat"]
    session: Word
    count: Count


class Setting(BaseModel):
    """A new value of an attribute of a port."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    port: Name
    name: Literal[CHANGING]  # type: ignore[valid-type]
    value: Count


class _Request(_Message):
    """sets: what is set before anything else, since the request before."""

    session: Word
    seq: Count
    sets: Annotated[tuple[Setting, ...], Field(max_length=500)] = ()


class NewThing(BaseModel):
    """A bank or an order that is sent along, to be named by its id from now on; made of the next arrays of the message."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: Count
    kind: Kind


class Play(_Request):
    """A shot table. new, drop: what the guardian has to remember and may forget; fresh: it forgets all first."""

    op: Literal["play"]
    dwell_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    shots: Annotated[int, Field(ge=1, le=2**40)]
    settle: bool = True
    read: Annotated[tuple[Name, ...], Field(max_length=500)] | None
    banks: dict[Name, Count] = Field(max_length=500)
    orders: dict[Name, Count] = Field(max_length=500)
    new: Annotated[tuple[NewThing, ...], Field(max_length=MOST_FRAMES)] = ()
    drop: Annotated[tuple[Count, ...], Field(max_length=100_000)] = ()
    fresh: bool = False


class Call(_Request):
    """A method of a port."""

    op: Literal["call"]
    port: Name
    method: Literal[METHODS]  # type: ignore[valid-type]
    args: Annotated[tuple[bool | int | float | dict[str, int], ...], Field(max_length=4)] = ()


class Wait(_Request):
    """Lets time pass on the bench's clock."""

    op: Literal["wait"]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Plain(_Request):
    """now: the time. confirm: as Bench. make_safe: all outputs. stop: end what is being done. release: that, and give back the lease.

    snapshot: what a simulated bench is at this moment. bring_back: it is to be as at the checkpoint that the guardian was started with.
    """

    op: Literal["now", "confirm", "make_safe", "stop", "release", "snapshot", "bring_back"]


Request = Play | Call | Wait | Plain
Message = Hello | File | Status | Safe | Beat | Request
_ANY: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="op")])


def parse(frames: Sequence[Any]) -> tuple[Message, list[NDArray[Any]]]:
    """The message in these frames, and its arrays.

    Raises:
        Unacceptable: anything is wrong with it.
    """
    if not 1 <= len(frames) <= 1 + MOST_FRAMES:
        raise Unacceptable(f"a message of {len(frames)} frames; it has a header and at most {MOST_FRAMES} arrays")
    if not 1 <= len(frames[0]) <= MOST_HEADER_BYTES:
        raise Unacceptable(f"a header of {len(frames[0])} bytes; it has 1 to {MOST_HEADER_BYTES}")
    try:
        message = _ANY.validate_json(bytes(frames[0]))
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        raise Unacceptable(f"header: {'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]) from None
    except (RecursionError, UnicodeError) as problem:
        raise Unacceptable(f"header: {type(problem).__name__}") from None
    if len(frames) != 1 + len(message.arrays):
        raise Unacceptable(f"{len(message.arrays)} arrays are announced, {len(frames) - 1} came")
    if isinstance(message, Play):
        wanted = sum(PARTS[thing.kind] for thing in message.new)
        if wanted != len(message.arrays) or len({thing.id for thing in message.new}) != len(message.new):
            raise Unacceptable(f"{len(message.new)} new banks of {wanted} arrays are announced, {len(message.arrays)} came")
    elif message.arrays and not isinstance(message, Call):
        raise Unacceptable(f"{message.op} has no arrays")
    return message, [unpacked(item, frame) for item, frame in zip(message.arrays, frames[1:], strict=True)]


def most_bytes(specs: Sequence[Any]) -> int:
    """The largest frame that a bench of these specs can have any use for: its largest memory in float64, from 64 MiB to 1 GiB."""
    largest = max((spec.depth * len(spec) * np.dtype(np.float64).itemsize for spec in specs), default=0)
    return int(min(max(largest, 1 << 26), 1 << 30))
