"""Where sequenced ports with a slew limit are between tables, and whether a table begins and ends near enough to that."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from labonn.banks import Bank, rows_of
from labonn.channels import ChannelSpec, Floats
from labonn.errors import LimitError
from labonn.shots import ShotTable
from labonn.slews import Slew, allowed_step
from labonn.units import format_quantity, format_rate


class Rests:
    """Rows of ports that keep the last one that they played, or are dark between tables; made safe they are at zero, or the nearest to it.

    Args:
        specs: of all ports; may be tightened later. slews: of sequenced ports. dark: ports that are dark between tables.
    """

    def __init__(self, specs: Mapping[str, ChannelSpec], slews: Mapping[str, Slew], dark: Collection[str]) -> None:
        self._specs, self._slews, self._dark = specs, slews, dark
        self._rows: dict[str, Floats | None] = dict.fromkeys(slews)

    def check(self, table: ShotTable, banks: Mapping[str, Bank]) -> None:
        """Raise LimitError if the first shot is too far from where a port is, or the last one from where it goes."""
        for port, slew in self._slews.items():
            if port not in table.orders:
                continue
            bank, order = banks[port], table.orders[port]
            first, last = rows_of(bank, order[[0, -1]]).astype(np.float64)
            self._compare(port, slew, self._row(port), first, table.dwell_s, "before shot 0")
            if port in self._dark:
                self._compare(port, slew, last, self._dark_row(port), table.dwell_s, f"after shot {len(order) - 1}, where it is dark")

    def unknown(self) -> list[str]:
        """Ports of which nobody knows where they are."""
        return [port for port, row in self._rows.items() if row is None]

    def played(self, table: ShotTable, banks: Mapping[str, Bank]) -> None:
        """The table has been played to its end."""
        for port in self._slews.keys() & table.orders.keys():
            last = rows_of(banks[port], table.orders[port][-1:])[0].astype(np.float64)
            self._rows[port] = self._dark_row(port) if port in self._dark else last

    def made_safe(self, port: str) -> None:
        """It has just been made safe, or prepared."""
        if port in self._rows:
            self._rows[port] = self._dark_row(port)

    def lost(self, ports: Collection[str] | None = None) -> None:
        """Nobody knows where these (None: all) are; they will be made safe before they play again."""
        self._rows.update(dict.fromkeys(self._rows if ports is None else self._rows.keys() & set(ports)))

    def _row(self, port: str) -> Floats:
        row = self._rows[port]
        return self._dark_row(port) if row is None else row

    def _dark_row(self, port: str) -> Floats:
        spec = self._specs[port]
        return np.clip(np.zeros(len(spec)), spec.lower, spec.upper)

    def _compare(self, port: str, slew: Slew, start: Floats, end: Floats, dwell_s: float, when: str) -> None:
        step = np.abs(end - start)
        excess = step - allowed_step(slew, dwell_s, np.maximum(np.abs(start), np.abs(end)))
        if (excess <= 0).all():
            return
        spec, channel = self._specs[port], int(np.argmax(step / slew.rates))
        rate = format_rate(float(slew.rates[channel]), spec.unit)
        told = f"{format_quantity(float(step[channel]), spec.unit)} in {format_quantity(dwell_s, 's')} {when} is faster than {rate}"
        where = format_quantity(float((start if when.startswith("before") else end)[channel]), spec.unit)
        raise LimitError(f"{port}/{spec.names[channel]}: {told} ({slew.rule}); it is at {where} between tables")
