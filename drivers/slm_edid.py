"""EDID: what a monitor says of itself (VESA E-EDID standard, release A, revision 2: base block of version 1.3 and 1.4).

128 bytes: a fixed header, maker as three letters of five bits (big-endian), product and serial number (little-endian), and four
descriptors of 18 bytes: timings (the first one is the native size where byte 24 says so), name (0xFC), serial number as text (0xFF).
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK = 128
HEADER = bytes((0, 255, 255, 255, 255, 255, 255, 0))
FEATURES, FIRST_DESCRIPTOR, DESCRIPTOR = 24, 54, 18
NATIVE_FIRST = 0x02  # of the features: the first timing is the preferred one, of the panel's own pixels
INTERLACED = 0x80
NAME, SERIAL = 0xFC, 0xFF


@dataclass(frozen=True)
class Edid:
    """A monitor's identity.

    Attributes:
        maker: three letters. product: its number. number: serial number, 0 if it has none. name, serial: as text, "" if it has none.
        size: native pixels (rows, columns), if it tells them.
    """

    maker: str
    product: int
    number: int
    name: str
    serial: str
    size: tuple[int, int] | None

    def __str__(self) -> str:
        serial = self.serial or (str(self.number) if self.number else "")
        told = f"{self.maker} {self.product:04X}" + (f", serial {serial}" if serial else "")
        return f"{self.name} ({told})" if self.name else told

    def answers_to(self, word: str) -> bool:
        """Whether `word` is a part of its name, or all of its maker, product or serial number; small and capital letters are the same."""
        wanted = word.casefold()
        numbers = [str(self.number)] if self.number else []
        exact = (self.maker, f"{self.product:04X}", self.serial, *numbers)
        return wanted != "" and (wanted in self.name.casefold() or wanted in [text.casefold() for text in exact])


def parse_edid(data: bytes) -> Edid:
    """The identity in an EDID; of its extension blocks, if it has some, nothing is read.

    Raises:
        ValueError: too short, another header or version, or the base block's bytes do not add up to 0.
    """
    if len(data) < BLOCK:
        raise ValueError(f"an EDID has {BLOCK} bytes or more, not {len(data)}")
    base = data[:BLOCK]
    if not base.startswith(HEADER):
        raise ValueError(f"an EDID begins with {HEADER.hex()}, not {base[:8].hex()}")
    if rest := sum(base) % 256:
        raise ValueError(f"the sum of an EDID's bytes ends in 00, not {rest:02x}: it is damaged")
    if base[18] != 1:
        raise ValueError(f"EDID version {base[18]}.{base[19]} is unknown; version 1 is wanted")
    letters = int.from_bytes(base[8:10], "big")
    maker = "".join(chr(64 + (letters >> shift & 31)) for shift in (10, 5, 0))
    product, number = int.from_bytes(base[10:12], "little"), int.from_bytes(base[12:16], "little")
    starts = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + 4 * DESCRIPTOR, DESCRIPTOR)
    descriptors = [base[start : start + DESCRIPTOR] for start in starts]
    texts = {d[3]: _text(d[5:]) for d in reversed(descriptors) if d[:3] == bytes(3)}
    size = _active(descriptors[0]) if base[FEATURES] & NATIVE_FIRST else None
    return Edid(maker, product, number, texts.get(NAME, ""), texts.get(SERIAL, ""), size)


def _text(field: bytes) -> str:
    """A text ends with a line feed and is padded with spaces."""
    return field.partition(b"\n")[0].decode("cp437").strip()


def _active(timing: bytes) -> tuple[int, int] | None:
    """Active (rows, columns) of a detailed timing; a descriptor of something else begins with 0, 0."""
    columns = timing[2] | (timing[4] & 0xF0) << 4
    rows = timing[5] | (timing[7] & 0xF0) << 4
    if timing[:2] == bytes(2) or not rows * columns:
        return None
    return (2 * rows if timing[17] & INTERLACED else rows), columns
