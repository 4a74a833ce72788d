"""What was played since the last entry, gathered and summed up on the thread that plays, before any array may change.

This is what a record costs a training: few objects are made and few touched, because after a step none is in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labonn.banks import Bank, Changes, Dither
from labonn.record.sums import Array, Sums, add_up, sample_of
from labonn.shots import Readings, ShotTable

MOST_PENDING = 64  # samples that wait to be summed up together


class Command:
    """What one actuator port was commanded since the last entry.

    Attributes:
        tables, shots: of which it was a part. rows: frames that were sent anew. bank: that it holds; tables take their arrays over, so
            that it stays what it is. held: whether it still does. order: the last one. sums: of the bank. earlier: of banks before it.
    """

    __slots__ = ("bank", "earlier", "held", "order", "rows", "shots", "sums", "tables")

    def __init__(self) -> None:
        self.tables, self.shots, self.rows = 0, 0, 0
        self.bank: Bank | None = None
        self.held = False
        self.order: Any = None
        self.sums: Sums | None = None
        self.earlier: list[Sums] = []

    def row(self) -> list[Any]:
        """tables, shots, rows, min, mean, max, rms; then begins anew."""
        total = self.sums or Sums()
        for other in self.earlier:
            total = total.plus(other)
        row = [self.tables, self.shots, self.rows, *total.told(spread=False)]
        self.tables = self.shots = self.rows = 0
        self.earlier.clear()
        return row


class Reading:
    """What one detector port read since the last entry. samples: the newest, for a histogram."""

    __slots__ = ("samples", "saturated", "shots", "sums", "tables")

    def __init__(self) -> None:
        self.tables, self.shots, self.saturated = 0, 0, 0
        self.sums = Sums()
        self.samples: list[Array] = []

    def row(self) -> list[Any]:
        """tables, shots, min, mean, max, std, bad, saturated; then begins anew."""
        row = [self.tables, self.shots, *self.sums.told(spread=True), self.sums.bad, self.saturated]
        self.tables = self.shots = self.saturated = 0
        self.sums = Sums()
        self.samples.clear()
        return row


class Gatherer:
    """Gathers. Who takes what there is calls `sum_up` first, and resets the counts.

    Args:
        ports: name -> device, for the count of saturated readings.

    Attributes:
        commands, readings: by port. tables, shots, play_s: since the last entry.
    """

    def __init__(self, ports: Mapping[str, Any]) -> None:
        self._ports = ports
        self._pending: list[tuple[Sums, Array]] = []
        self.commands: dict[str, Command] = {}
        self.readings: dict[str, Reading] = {}
        self.tables, self.shots, self.play_s = 0, 0, 0.0

    def add(self, table: ShotTable, readings: Readings, seconds: float) -> None:
        """One table that was played."""
        shots, banks, pending = table.shots, table.banks, self._pending
        self.tables += 1
        self.shots += shots
        self.play_s += seconds
        for port, order in table.orders.items():
            command = self.commands.get(port)
            if command is None:
                command = self.commands[port] = Command()
            bank = banks.get(port)
            if bank is not None and (bank is not command.bank or not command.held):
                if command.tables and command.sums is not None:
                    command.earlier.append(command.sums)
                command.bank, command.sums, command.held = bank, Sums(), True
                command.rows += bank.shape[0]
                pending += [(command.sums, sample) for sample in samples_of(bank)]
            command.tables += 1
            command.shots += shots
            command.order = order
        for port, values in readings.items():
            reading = self.readings.get(port)
            if reading is None:
                reading = self.readings[port] = Reading()
            reading.tables += 1
            reading.shots += shots
            reading.saturated += getattr(self._ports[port], "saturated", 0)
            if values.size:
                sample = sample_of(values).copy()  # whoever gets the readings may change them
                reading.samples.append(sample)
                pending.append((reading.sums, sample))
        if len(pending) > MOST_PENDING:
            self.sum_up()
            for reading in self.readings.values():
                del reading.samples[:-1]

    def sum_up(self) -> None:
        """Bring all sums up to date."""
        if self._pending:
            add_up(self._pending)
            self._pending.clear()

    def forget(self) -> None:
        """What the ports hold is no longer what they were sent."""
        for command in self.commands.values():
            command.held = False


def samples_of(bank: Bank) -> list[Array]:
    """Of a dense bank; of a bank of changes, its base once and every change once; of a dither, both ends of every channel."""
    if isinstance(bank, Changes):
        return [sample_of(values) for values in (bank.base, bank.values) if values.size]
    values = bank.extremes() if isinstance(bank, Dither) else bank
    return [sample_of(values)] if values.size else []
