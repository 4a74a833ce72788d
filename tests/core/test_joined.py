"""One port made of several instruments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labonn.channels import ChannelSpec, NumberedNames
from labonn.errors import LabonnError, RefusedError, UnknownStateError
from labonn.joined import JoinedActuator, JoinedDetector, every
from labonn.shots import Changes, dense


class Part:
    """Notes what it is told; fails where `fault` is set."""

    def __init__(self, channels: int, depth: int = 5, name: str = "part") -> None:
        zero, four = np.asarray(0.0), np.asarray(4.0)
        self.spec = ChannelSpec(NumberedNames("ch", channels), "V", zero, four, zero, zero, depth)
        self.identity, self.told, self.fault = name, list[Any](), dict[str, Exception]()

    def _do(self, *what: Any) -> None:
        self.told.append(what)
        if what[0] in self.fault:
            raise self.fault[what[0]]

    def prepare(self, spec: ChannelSpec) -> None:
        self._do("prepare", spec)

    def load(self, bank: Any, order: Any, dwell_s: float) -> None:
        self._do("load", bank, order, dwell_s)

    def arm(self, *arguments: Any) -> None:
        self._do("arm", *arguments)

    def safe(self) -> None:
        self._do("safe")

    def close(self) -> None:
        self._do("close")

    def fetch(self) -> Any:
        return np.full((3, len(self.spec)), float(len(self.spec)))


def test_every_instrument_gets_its_columns_in_the_order_of_the_list() -> None:
    parts = [Part(2), Part(1), Part(3)]
    bank, order = np.arange(12.0).reshape(2, 6), np.array([1, 0, 1])
    JoinedActuator(parts).load(bank, order, 1e-3)
    for part, columns in zip(parts, ([0, 1], [2], [3, 4, 5]), strict=True):
        ((_, got, got_order, dwell_s),) = part.told
        assert np.array_equal(got, bank[:, columns])
        assert got.flags.c_contiguous
        assert got_order is order
        assert dwell_s == 1e-3


def test_a_sparse_bank_is_cut_too_and_none_stays_none() -> None:
    parts = [Part(2), Part(1)]
    joined = JoinedActuator(parts)
    joined.load(Changes(np.zeros(3), np.array([[2], [0]]), np.array([[1.0], [2.0]])), np.array([0, 1]), 1e-3)
    assert all(isinstance(part.told[0][1], Changes) for part in parts)
    assert dense(parts[0].told[0][1]).tolist() == [[0, 0], [2, 0]]
    assert dense(parts[1].told[0][1]).tolist() == [[1], [0]]
    joined.load(None, np.array([0]), 1e-3)
    assert parts[0].told[1][1] is None


def test_its_spec_is_that_of_all_together_and_everyone_prepares_its_part() -> None:
    parts = [Part(2, name="A"), Part(3, depth=3, name="B")]
    joined = JoinedActuator(parts)
    assert (len(joined.spec), joined.spec.depth, joined.identity) == (5, 3, "A; B")
    joined.prepare(joined.spec.tighten(None, np.array([1.0, 2.0, 3.0, 4.0, 9.0]), "bench.toml"))
    assert parts[0].told[0][1].upper.tolist() == [1, 2]
    assert parts[1].told[0][1].upper.tolist() == [3, 4, 4]
    assert parts[1].told[0][1].depth == 3


def test_detectors_are_armed_together_and_read_side_by_side() -> None:
    parts = [Part(2), Part(1)]
    joined = JoinedDetector(parts)
    joined.arm(3, 1e-3)
    assert [p.told for p in parts] == [[("arm", 3, 1e-3)]] * 2
    assert joined.fetch().tolist() == [[2, 2, 1]] * 3


@pytest.mark.parametrize("call", ["safe", "close"])
def test_one_that_fails_spares_the_others_neither_safe_nor_close(call: str) -> None:
    parts = [Part(1), Part(1), Part(1)]
    parts[0].fault[call] = RefusedError("the first: E05")
    with pytest.raises(RefusedError, match="the first: E05"):
        getattr(JoinedActuator(parts), call)()
    assert [p.told for p in parts] == [[(call,)]] * 3


def test_all_failures_are_told() -> None:
    parts = [Part(1), Part(1), Part(1)]
    parts[0].fault["safe"], parts[2].fault["safe"] = RefusedError("E05"), ZeroDivisionError("a bug")
    with pytest.raises(UnknownStateError, match="RefusedError: E05; ZeroDivisionError: a bug"):
        JoinedActuator(parts).safe()


def test_an_error_that_is_not_ours_becomes_one_of_ours() -> None:
    def fail(device: Any) -> None:
        raise OSError("unplugged")

    with pytest.raises(LabonnError, match="OSError: unplugged"):
        every([1], fail)
