"""IEEE 488.2 program messages as bytes: where one ends, its units, headers and data elements; strings and blocks are never cut."""

from __future__ import annotations

import re

from sim_backends.firmware.scpi_errors import ScpiError

WHITE = bytes([*range(10), *range(11, 33)])  # white space of IEEE 488.2, 7.4.1.2
LONGEST_MNEMONIC = 12
SPECIAL = re.compile(rb"[\n\"'#]")
HEADER = re.compile(rb"(\*[A-Za-z]\w*|:?[A-Za-z]\w*(?::[A-Za-z]\w*)*)(\??)", re.ASCII)
SEPARATORS = {mark: re.compile(rb"[\"'#()" + mark + rb"]") for mark in (b";", b",")}
QUOTES = (b'"', b"'")


def block_end(data: bytes | bytearray, at: int, longest: int) -> int | None:
    """Where the definite-length block at `data[at]` ends; 0 if there is none, None if too little has come to know."""
    if at + 1 >= len(data):
        return None
    digits = data[at + 1] - ord("0")
    if not 1 <= digits <= 9:
        return 0
    count = bytes(data[at + 2 : at + 2 + digits])
    if not all(48 <= byte <= 57 for byte in count):
        return 0
    if len(count) < digits:
        return None
    length = int(count)
    return at + 2 + digits + length if length <= longest else 0


class Framer:
    """Cuts a stream of bytes into messages at newlines outside blocks, however the bytes come.

    Args:
        longest: bytes of a message; a longer one is thrown away to its newline.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.clear()

    def clear(self) -> None:
        """Device clear: forget what is half there."""
        self._buffer, self._at, self._quote, self._dropping = bytearray(), 0, b"", False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The messages that `data` completes, without their ends; None stands for one that was too long."""
        self._buffer += data
        done: list[bytes | None] = []
        while (end := self._end()) >= 0:
            if not self._dropping:
                done.append(bytes(self._buffer[:end]))
            del self._buffer[: end + 1]
            self._at, self._quote, self._dropping = 0, b"", False
        if len(self._buffer) > self._longest + 16:
            if not self._dropping:
                done.append(None)
            self._buffer, self._at, self._quote, self._dropping = bytearray(), 0, b"", True
        return done

    def _end(self) -> int:
        """Where the first message ends, -1 while it has not."""
        if self._dropping:
            return self._buffer.find(b"\n")
        while found := SPECIAL.search(self._buffer, self._at):
            at, mark = found.start(), found.group()
            if mark == b"\n":
                return at
            self._at = at + 1
            if self._quote:
                self._quote = b"" if mark == self._quote else self._quote
            elif mark in QUOTES:
                self._quote = mark
            else:
                end = block_end(self._buffer, at, self._longest)
                if end is None or end > len(self._buffer):
                    self._at = at
                    return -1
                self._at = max(end, at + 1)
        self._at = len(self._buffer)
        return -1


def split(message: bytes, mark: bytes) -> list[bytes]:
    """The parts of `message` between `mark`s outside strings, blocks and parentheses, without white space around them."""
    parts, start, at, depth = [], 0, 0, 0
    while found := SEPARATORS[mark].search(message, at):
        byte, here = found.group(), found.start()
        at = here + 1
        if byte in QUOTES:
            at = (message.find(byte, at) + 1) or len(message)
        elif byte == b"#":
            at = len(message) if message[at : at + 1] == b"0" else max(at, block_end(message, here, len(message)) or 0)
        elif byte == b"(":
            depth += 1
        elif byte == b")":
            depth = max(0, depth - 1)
        elif depth == 0:
            parts.append(message[start:here])
            start = at
    return [trimmed(part) for part in (*parts, message[start:])]


def trimmed(part: bytes) -> bytes:
    """Without white space; the data of a block at the end are left alone."""
    part = part.lstrip(WHITE)
    mark = part.find(b"#")
    return part if mark >= 0 and part[mark + 1 : mark + 2].isdigit() else part.rstrip(WHITE)


def header_of(unit: bytes) -> tuple[str, bool, bytes]:
    """(header in capitals, whether it asks, the rest) of a program message unit.

    Raises:
        ScpiError: -101, -102, -111 or -112.
    """
    found = HEADER.match(unit)
    if found is None:
        raise ScpiError(-101 if unit[:1] > b"~" else -102)
    rest = unit[found.end() :]
    if rest[:1] > b"~":
        raise ScpiError(-101)
    if rest and rest[0] not in WHITE:
        raise ScpiError(-111)
    header = found.group(1).decode("ascii").upper()
    if max(map(len, header.strip("*:").split(":"))) > LONGEST_MNEMONIC:
        raise ScpiError(-112)
    return header, bool(found.group(2)), rest.lstrip(WHITE)


def arguments_of(rest: bytes) -> list[bytes]:
    """The data elements behind a header.

    Raises:
        ScpiError: -102, one is empty.
    """
    if not rest:
        return []
    parts = split(rest, b",")
    if not all(parts):
        raise ScpiError(-102)
    return parts
