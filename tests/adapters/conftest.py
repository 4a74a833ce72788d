"""A RunEngine whose documents are checked against Bluesky's schema and kept, and benches as Bluesky devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHES = Path(__file__).parents[2] / "procedures/benches"


class Documents:
    """What a RunEngine has told of its runs."""

    def __init__(self) -> None:
        from event_model import DocumentNames, schema_validators

        self._names, self._schemas = DocumentNames, schema_validators
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        self._schemas[self._names[name]].validate(document)
        self.all.append((name, document))

    def of(self, name: str) -> list[dict[str, Any]]:
        """All of one kind."""
        return [document for kind, document in self.all if kind == name]

    def column(self, key: str) -> list[Any]:
        """One key of all events."""
        return [event["data"][key] for event in self.of("event")]


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def engine(documents: Documents) -> Iterator[Any]:
    from bluesky import RunEngine

    found = RunEngine({}, context_managers=[], call_returns_result=True)
    found.subscribe(documents)
    yield found
    loop, thread = found.loop, found._th
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def devices(engine: Any) -> Iterator[Callable[..., Any]]:
    """Opens a bench as devices, attached to the engine."""
    import contextlib

    from labonn.adapters.bluesky_devices import BenchDevices
    from labonn.bench import Bench

    with contextlib.ExitStack() as stack:

        def opened(name: str = "desk", ideal: bool = True, attach: bool = True, **options: Any) -> BenchDevices:
            bench = stack.enter_context(Bench.open(BENCHES / f"{name}.toml", dry_run=True, ideal=ideal))
            found = stack.enter_context(BenchDevices(bench, **options))
            if attach:
                found.attach(engine)
            return found

        yield opened
