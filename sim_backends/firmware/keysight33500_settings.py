"""Settings that each channel of a Keysight 33500 has: their commands, with or without the optional SOURce node."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sim_backends.firmware.keysight33500_limits import Amount, Ends, shown, within
from sim_backends.firmware.scpi_tree import Command
from sim_backends.firmware.scpi_values import Parameter

if TYPE_CHECKING:
    from sim_backends.firmware.keysight33500 import Keysight33500Firmware

CHANNELS = (1, 2)
Bound = float | Callable[[int], float]
Accept = Callable[[int, Any], Any]


def command(
    rest: str, write: Callable[..., None] | None = None, query: Callable[..., str | None] | None = None, takes: tuple[Parameter, ...] = (),
    asks: tuple[Parameter, ...] = (), least: int = -1, repeats: bool = False, node: str = "",
) -> list[Command]:  # fmt: skip
    """A command of both channels, which is the first argument of `write` and `query`; without SOURce it is channel 1's.

    Args:
        rest: the pattern behind `[:SOURce{1:2}]`, or behind `node`. node: OUTPut, TRIGger and the like.
    """
    own = Command(f":{node or 'SOURce'}{{1:2}}{rest}", write, query, takes, asks, least, repeats)
    if node:
        return [own]
    first_write, first_query = partial(write, 1) if write else None, partial(query, 1) if query else None
    return [own, Command(rest, first_write, first_query, takes, asks, least, repeats)]


def kept(
    own: Keysight33500Firmware, rest: str, key: str, parameter: Parameter, default: Any, accept: Accept | None = None, node: str = ""
) -> list[Command]:
    """The command and query of a word, a switch or a string; `accept` gives what to keep, or refuses."""
    for n in CHANNELS:
        own.default(f"{key}{n}", default)

    def write(n: int, value: Any) -> None:
        own.values[f"{key}{n}"] = value if accept is None else accept(n, value)

    return command(rest, write, lambda n: parameter.shown(own.values[f"{key}{n}"]), (parameter,), node=node)


def number(
    own: Keysight33500Firmware, rest: str, key: str, low: Bound, high: Bound, default: float, unit: str = "", whole: bool = False,
    infinite: bool = False, accept: Accept | None = None, node: str = "", read: Callable[[int], float] | None = None,
) -> list[Command]:  # fmt: skip
    """The command and query of a number; one outside its range is set to the nearest limit and reported, as the instrument does.

    Args:
        low, high: numbers, or functions of the channel. accept: gives what to keep, or refuses. read: gives what is told.
    """
    for n in CHANNELS:
        own.default(f"{key}{n}", default)

    def bounds(n: int) -> tuple[float, float, float]:
        return low(n) if callable(low) else low, high(n) if callable(high) else high, default

    def write(n: int, given: tuple[float | str, str]) -> None:
        value, problem = within(round(given[0]) if whole and isinstance(given[0], float) else given[0], *bounds(n))
        own.values[f"{key}{n}"] = value if accept is None else accept(n, value)
        if problem is not None:
            raise problem

    def query(n: int, word: str | None = None) -> str:
        value = within(word, *bounds(n))[0] if word else read(n) if read else own.values[f"{key}{n}"]
        return shown(float(value) if not whole or value == float("inf") else round(value))

    return command(rest, write, query, (Amount((unit,), infinite),), (Ends(),), node=node)
