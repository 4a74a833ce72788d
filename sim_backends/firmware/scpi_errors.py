"""Error numbers and words of SCPI-99 (volume 2, chapter 21), the queue that keeps them, and the event bit each one sets."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

MESSAGES: dict[int, str] = {
    0: "No error", -100: "Command error", -101: "Invalid character", -102: "Syntax error", -103: "Invalid separator",
    -104: "Data type error", -105: "GET not allowed", -108: "Parameter not allowed", -109: "Missing parameter",
    -111: "Header separator error", -112: "Program mnemonic too long", -113: "Undefined header", -114: "Header suffix out of range",
    -120: "Numeric data error", -121: "Invalid character in number", -123: "Exponent too large", -124: "Too many digits",
    -128: "Numeric data not allowed", -131: "Invalid suffix", -134: "Suffix too long", -138: "Suffix not allowed",
    -141: "Invalid character data", -144: "Character data too long", -148: "Character data not allowed", -151: "Invalid string data",
    -158: "String data not allowed", -161: "Invalid block data", -168: "Block data not allowed", -171: "Invalid expression",
    -178: "Expression data not allowed", -200: "Execution error", -211: "Trigger ignored", -213: "Init ignored",
    -214: "Trigger deadlock", -221: "Settings conflict", -222: "Data out of range", -223: "Too much data",
    -224: "Illegal parameter value", -230: "Data corrupt or stale", -350: "Queue overflow", -363: "Input buffer overrun",
    -410: "Query INTERRUPTED", -420: "Query UNTERMINATED",
}  # fmt: skip
OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = 1, 4, 8, 16, 32, 128
OVERFLOW = -350


class ScpiError(Exception):
    """A program message unit that is refused: its number goes to the error queue."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def event_bit(number: int) -> int:
    """The bit of the standard event register that an error sets; of an instrument's own (positive) numbers device or execution errors."""
    if number > 0:
        return EXECUTION_ERROR if 800 <= number < 900 else DEVICE_ERROR
    return {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 3: DEVICE_ERROR, 4: QUERY_ERROR}.get(-number // 100, 0)


class ErrorQueue:
    """First in, first out; when full the newest becomes -350 and further errors are lost.

    Args:
        size: errors kept. words: the instrument's own numbers, or its own words for standard ones.
    """

    def __init__(self, size: int, words: Mapping[int, str] | None = None) -> None:
        self._words = {**MESSAGES, **(words or {})}
        self._size = size
        self._queue: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, number: int) -> None:
        """Queue an error."""
        if len(self._queue) < self._size:
            self._queue.append(number)
        else:
            self._queue[-1] = OVERFLOW

    def clear(self) -> None:
        """Forget all."""
        self._queue.clear()

    def pop(self) -> int:
        """The oldest error's number; 0 if there is none."""
        return self._queue.popleft() if self._queue else 0

    def entry(self, number: int) -> str:
        """The answer to SYSTem:ERRor? for it."""
        return f'{number},"{self._words.get(number, "Unknown error")}"'
