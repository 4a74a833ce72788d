"""A guardian's bench can be looked at as any bench, without a word to the guardian."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labonn.bench import Bench
from labonn.guardian.client import RemoteBench

Guardian = Callable[..., dict[str, Any]]


def test_it_says_what_the_bench_itself_says_and_where_it_is(desk: Path, guardian: Guardian) -> None:
    address = guardian(desk)["address"]
    with Bench.open(desk, dry_run=True) as direct, RemoteBench.open(address) as remote:
        told, mine = repr(remote), repr(direct)
        assert told.splitlines()[-4:] == mine.splitlines()[-4:]  # the ports
        assert told.startswith(f"RemoteBench bench.toml: {mine.partition(': ')[2].partition(', 0 shots')[0]}")
        assert address in told.replace("\n  ", " ")
        assert address in remote._repr_html_()


def test_looking_at_it_is_not_a_call_and_works_when_the_guardian_is_gone(
    desk: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = RemoteBench.open(guardian(desk)["address"])

    def refuse(*given: Any) -> Any:
        raise AssertionError(f"the guardian was asked for {given}")

    monkeypatch.setattr(remote._connection, "ask", refuse)
    before = repr(remote)
    assert "cannot be shown" not in before
    monkeypatch.undo()
    remote.close()
    assert "closed" in " ".join(repr(remote).split())
