"""IDX files, the format of MNIST and its relatives: magic, big-endian dimensions, unsigned bytes; plain or gzip."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labonn.errors import DataError

Bytes = NDArray[np.uint8]
UBYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


class ReadableFile(Protocol):
    """What a file on disk and a file inside an installed package have in common."""

    @property
    def name(self) -> str: ...
    def read_bytes(self) -> bytes: ...


def decode(content: bytes, dimensions: int, where: str) -> Bytes:
    """The array in the bytes of a plain IDX file.

    Args:
        content: the whole file, decompressed.
        dimensions: how many it must have: 3 for images (n, rows, columns), 1 for labels (n,).
        where: the file's name, for messages.

    Raises:
        DataError: another magic number, or more or fewer bytes than the header announces.
    """
    wanted = bytes((0, 0, UBYTE, dimensions))
    if content[:4] != wanted:
        raise DataError(f"{where}: begins with {_hex(content[:4])}; IDX {_what(dimensions)} begin with {_hex(wanted)}{_guess(content[:4])}")
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{where}: cut short: {len(content)} bytes, the header alone has {header}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        problem = "cut short" if len(content) < expected else "too long"
        announced = " x ".join(map(str, shape))
        raise DataError(f"{where}: {problem}: {len(content)} bytes, its header announces {announced}, so {expected} bytes")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def encode(array: Bytes) -> bytes:
    """`array` as a plain IDX file."""
    return bytes((0, 0, UBYTE, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + np.ascontiguousarray(array, np.uint8).tobytes()


def read(file: ReadableFile | Path, dimensions: int, where: str = "") -> Bytes:
    """The array in an IDX file, plain or gzip (decided by its content, checked against its name).

    Raises:
        DataError: unreadable, not gzip though it is called .gz, truncated, or not IDX of that many dimensions.
    """
    where = where or str(file)
    try:
        content = file.read_bytes()
    except OSError as problem:
        raise DataError(f"{where}: cannot be read: {problem.strerror or problem}") from problem
    if content[:2] == GZIP_MAGIC:
        content = _decompress(content, where)
    elif file.name.endswith(".gz"):
        raise DataError(f"{where}: is called .gz but begins with {_hex(content[:4])}; gzip begins with {_hex(GZIP_MAGIC)}")
    return decode(content, dimensions, where)


def read_pair(images: ReadableFile | Path, labels: ReadableFile | Path, where: Sequence[str] = ("", "")) -> tuple[Bytes, Bytes]:
    """Images (n, rows, columns) and their labels (n,).

    Raises:
        DataError: as `read`; no images at all; or not one label an image.
    """
    names = (where[0] or str(images), where[1] or str(labels))
    pixels, numbers = read(images, 3, names[0]), read(labels, 1, names[1])
    if len(pixels) != len(numbers):
        raise DataError(f"{names[0]} has {len(pixels)} images, {names[1]} has {len(numbers)} labels; one label an image is expected")
    if pixels.size == 0:
        raise DataError(f"{names[0]}: holds no images ({' x '.join(map(str, pixels.shape))})")
    return pixels, numbers


def _decompress(content: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(content)
    except EOFError:
        raise DataError(f"{where}: the gzip file is cut short ({len(content)} bytes); fetch or copy it again") from None
    except (OSError, zlib.error) as problem:
        raise DataError(f"{where}: the gzip file is damaged ({problem}); fetch or copy it again") from None


def _hex(content: bytes) -> str:
    return content.hex(" ") or "nothing (the file is empty)"


def _what(dimensions: int) -> str:
    return {1: "labels", 3: "images"}.get(dimensions, f"files of {dimensions} dimensions")


def _guess(magic: bytes) -> str:
    if magic[:3] == bytes((0, 0, UBYTE)) and magic[3:] in (b"\x01", b"\x03"):
        return f" (these are {_what(magic[3])})"
    return ""
