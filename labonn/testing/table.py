"""Function tables of instruments that have an SDK, with faults in what is called."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import numpy as np

from labonn.testing.wire import Wire

PLAIN = (type(None), bool, int, float, complex, str, bytes, tuple, list, dict, np.ndarray, np.generic, Enum)


class Table:
    """A function table, and everything that it gives and holds, with the faults of `wire` in what is called."""

    def __init__(self, table: Any, wire: Wire) -> None:
        self.__dict__.update(_table=table, _wire=wire)

    def __getattr__(self, name: str) -> Any:
        return behind(getattr(self._table, name), self._wire)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._table, name, value)

    def __getitem__(self, key: Any) -> Any:
        return behind(self._table[key], self._wire)

    def __iter__(self) -> Iterator[Any]:
        return (behind(one, self._wire) for one in self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __bool__(self) -> bool:
        return bool(self._table)

    def __enter__(self) -> Table:
        self._table.__enter__()
        return self

    def __exit__(self, *about: object) -> Any:
        return self._table.__exit__(*about)


class Function(Table):
    """What of it can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fault = self._wire.next()
        args, kwargs = tuple(map(bare, args)), {key: bare(value) for key, value in kwargs.items()}
        self._wire.requests.append((self._table, args, kwargs))
        try:
            reply = self._table(*args, **kwargs)
        except Exception as problem:
            self._wire.replies.append(str(problem))
            raise
        self._wire.replies.append(reply)
        if callable(fault):
            self._wire.hits += 1
            return fault(reply)
        return behind(reply, self._wire)


def behind(value: Any, wire: Wire) -> Any:
    """The value with its faults; plain data, and types that are compared with, as they are."""
    if isinstance(value, PLAIN) or (isinstance(value, type) and issubclass(value, (BaseException, Enum))):
        return value
    return Function(value, wire) if callable(value) else Table(value, wire)


def bare(value: Any) -> Any:
    """What an SDK was given must be what it gave."""
    return value._table if isinstance(value, Table) else value
