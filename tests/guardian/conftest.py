"""Guardians of simulated benches in threads of the test's own process, and emulated instruments on loopback."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from labonn.guardian.process import Serving, serve

sys.path.insert(0, str(Path(__file__).parent))
from guardian_rig import BENCH, Rig


@pytest.fixture(autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own in which guardians are listed."""
    folder = tmp_path_factory.mktemp("run")
    folder.chmod(0o700)
    monkeypatch.setenv("LABONN_RUNTIME_DIR", str(folder))
    return folder


@contextmanager
def served(path: Path, **given: Any) -> Iterator[dict[str, Any]]:
    """What a guardian of a simulated bench tells when it is ready; it must end without an error."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    over = threading.Event()
    options = {"dry_run": True, **given.pop("options", {})}
    serving = Serving(path, options, log=path.with_name("guardian.log"), **given)

    def run() -> None:
        try:
            serve(serving, told.put, over.is_set)
            told.put(None)
        except BaseException as problem:
            told.put(problem)

    thread = threading.Thread(target=run)
    thread.start()
    about = told.get(timeout=30)
    if isinstance(about, BaseException):
        raise about
    try:
        yield about
    finally:
        over.set()
        thread.join(30)
        assert not thread.is_alive()
        ended = told.get(timeout=1)
        if ended is not None:
            raise ended


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A small bench file."""
    path = tmp_path / "bench.toml"
    path.write_text(BENCH % 5.0, encoding="utf-8")
    return path


@pytest.fixture
def guardian() -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts guardians of simulated benches, ended with the test."""
    with ExitStack() as stack:
        yield lambda path, **given: stack.enter_context(served(path, **given))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Emulated instruments in a process of their own."""
    rig = Rig(tmp_path_factory.mktemp("rig"))
    try:
        yield rig
    finally:
        rig.close()
