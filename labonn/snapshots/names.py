"""What a snapshot may name (classes and functions of the project's packages) and what stays where it is (locks, threads, sockets)."""

from __future__ import annotations

import _thread
import collections
import concurrent.futures
import contextlib
import enum
import importlib
import queue
import socket
import sqlite3
import threading
import types
from collections.abc import Iterable
from typing import Any

import zmq

from labonn.errors import LabonnError
from labonn.registry import GROUPS, registered

OTHERS = ("builtins", "collections", "numpy", "scipy")  # whose classes and functions may be named beside the project's
KEPT: tuple[type, ...] = (
    _thread.LockType, type(threading.RLock()), threading.Event, threading.Condition, threading.Thread, threading.local,
    concurrent.futures.Executor, concurrent.futures.Future, queue.Queue, queue.SimpleQueue, socket.socket, sqlite3.Connection,
    zmq.Context, zmq.Socket, types.ModuleType, types.BuiltinFunctionType,
)  # fmt: skip
REMADE: dict[str, Any] = {"lock": threading.Lock, "RLock": threading.RLock, "Event": threading.Event}  # as good as the old ones when free


class SnapshotError(LabonnError):
    """An object graph cannot be saved, or a saved one does not fit what was built anew; the message names the path."""


class Names:
    """Classes and functions by "module:qualified name", of some packages only.

    Args:
        modules: beside the packages of all registered drivers, emulators, benches and procedures: others, such as a procedure in a file.
    """

    def __init__(self, modules: Iterable[str] = ()) -> None:
        found = {point.module.partition(".")[0] for group in GROUPS for point in registered(group).values()}
        self._own = frozenset({"labonn", *found, *modules})

    def own(self, kind: type) -> bool:
        """Whether objects of this class are taken apart and put together."""
        return self._of(kind.__module__, self._own) or (kind.__module__.startswith("scipy.sparse") and kind.__name__.endswith("_array"))

    def of(self, thing: Any) -> str | None:
        """The name of a class or function; None if it cannot be found by one."""
        name = f"{thing.__module__}:{thing.__qualname__}"
        with contextlib.suppress(SnapshotError):
            if self.find(name) is thing:
                return name
        return None

    def find(self, name: str) -> Any:
        """What `name` names.

        Raises:
            SnapshotError: nothing, or something of another package.
        """
        module, _, path = name.partition(":")
        if not self._of(module, self._own | set(OTHERS)):
            raise SnapshotError(f"{name}: a snapshot may name what is in {', '.join(sorted(self._own))}")
        try:
            found: Any = importlib.import_module(module)
            for part in path.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as problem:
            raise SnapshotError(f"{name}: this version has none: {problem}") from None
        return found

    @staticmethod
    def _of(module: str, packages: Iterable[str]) -> bool:
        return module.partition(".")[0] in packages


def full_name(thing: Any) -> str:
    """Module and qualified name, whether it can be found by it or not."""
    return f"{getattr(thing, '__module__', None)}:{getattr(thing, '__qualname__', type(thing).__name__)}"


def attributes(value: Any) -> dict[str, Any]:
    """The attributes of an instance that belong to its state: all but those its class names in `unsaved`."""
    left = set(getattr(type(value), "unsaved", ()))
    found = {name: item for name, item in getattr(value, "__dict__", {}).items() if name not in left}
    for kind in type(value).__mro__:
        for name in kind.__dict__.get("__slots__", ()):
            if name not in ("__dict__", "__weakref__", *left) and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def frozen(kind: type) -> bool:
    """Whether instances are dataclasses that may not be changed: each restored one is made anew."""
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def hidden(kind: type) -> bool:
    """Whether instances have a content that is no attribute, as those of a class derived from dict."""
    return any(base.__module__ == "builtins" and base is not object for base in kind.__mro__)


def is_enum(value: Any) -> bool:
    """Whether it is a member of an enumeration."""
    return isinstance(value, enum.Enum)


CONTAINERS = {"list": list, "dict": dict, "set": set, "bytearray": bytearray, "deque": collections.deque}
