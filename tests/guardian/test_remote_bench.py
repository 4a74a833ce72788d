"""A bench behind a guardian is used as any bench is, and gives the same bits, the same errors, the same counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn.banks import Changes, Dither
from labonn.bench import Bench
from labonn.errors import InstrumentError, LabonnError, LimitError, LinkError, TableError
from labonn.guardian.client import RemoteBench
from labonn.guardian.starting import open_bench
from labonn.shots import ShotTable, outer
from procedures.benches import vapour_cell

Guardian = Callable[..., dict[str, Any]]


@pytest.fixture
def both(desk: Path, guardian: Guardian) -> Iterator[tuple[Bench, RemoteBench]]:
    """The same simulated bench, opened here and at a guardian."""
    with Bench.open(desk, dry_run=True) as direct, RemoteBench.open(guardian(desk)["address"]) as remote:
        yield direct, remote


def alike(direct: Bench, remote: RemoteBench) -> None:
    assert (direct.clock.now(), direct.shots, direct.exchanges) == (remote.clock.now(), remote.shots, remote.exchanges)


def test_all_that_is_known_of_a_bench_is_known_of_a_guardians(both: tuple[Bench, RemoteBench]) -> None:
    direct, remote = both
    assert remote.file == direct.file
    assert list(remote.ports) == list(direct.ports)
    for name, spec in direct.specs.items():
        other = remote.specs[name]
        assert (list(other.names), other.unit, other.depth, other.lower_rule) == (list(spec.names), spec.unit, spec.depth, spec.lower_rule)
        for field in ("lower", "upper", "step", "settle_s"):
            assert np.array_equal(getattr(other, field), getattr(spec, field))
        assert remote.ports[name].identity == direct.ports[name].identity
        for attribute in ("set_range", "output", "temperature", "saturated", "most_bursts", "compliance_v", "shape", "shown", "full_scale"):
            assert hasattr(remote.ports[name], attribute) == hasattr(direct.ports[name], attribute), (name, attribute)
    assert remote.ports["meter"].compliance_v == direct.ports["meter"].compliance_v
    alike(direct, remote)


def tables(direct: Bench) -> Iterator[ShotTable]:
    """Tables of every form: held and sequenced ports, sparse banks, banks and orders that are played again."""
    rng = np.random.default_rng(3)
    beams = rng.uniform(-1, 1, (6, 4))
    order = np.array([5, 0, 3, 3])
    gains = rng.uniform(0.002, 0.01, (2, 3))
    yield ShotTable({"beams": beams, "gain": gains[:1]}, {"beams": order}, 1e-5, ("seen",))
    yield ShotTable({"beams": beams, "gain": gains[:1]}, {"beams": order}, 1e-5, ("seen",))
    yield ShotTable({}, {"beams": order[::-1].astype("<u4")}, 1e-5, ("seen",))
    yield outer(slow={"gain": gains}, fast={"beams": beams}, dwell_s=2e-5, read=("seen",))
    yield ShotTable({"beams": Changes(beams[0], np.array([[1], [2]]), np.array([[0.1], [0.2]]))}, {"beams": np.array([1, 0, 1])}, 1e-5)
    yield ShotTable({"beams": Dither(beams[0], np.full(4, 0.1), np.array([[240], [16]], np.uint8))}, {"beams": np.array([1, 0, 1])}, 1e-5)
    yield ShotTable({"gain": gains[1:], "meter": np.array([[0.01]])}, read=())
    yield ShotTable({}, read=("seen",), shots=7)


def test_every_table_gives_the_same_bits_by_the_same_exchanges(both: tuple[Bench, RemoteBench]) -> None:
    direct, remote = both
    for one, other in zip(tables(direct), tables(direct), strict=True):
        wanted, found = direct.play(one), remote.play(other)
        assert list(found) == list(wanted)
        for port, readings in wanted.items():
            assert (found[port].dtype, found[port].shape) == (readings.dtype, readings.shape)
            assert found[port].tobytes() == readings.tobytes()
            assert found[port].flags.writeable
        alike(direct, remote)
    for bench in both:
        bench.confirm()
    alike(direct, remote)


def test_methods_and_counters_of_ports(both: tuple[Bench, RemoteBench]) -> None:
    direct, remote = both
    lit = {"gain": np.full((1, 3), 0.02), "meter": np.full((1, 1), 0.05), "beams": np.full((1, 4), 3.0)}
    for bench in both:
        assert bench.ports["seen"].set_range(0.001).tolist() == direct.ports["seen"].set_range(np.full(4, 0.001)).tolist()
        bench.play(ShotTable(lit, dwell_s=1e-5, read=("seen",)))
    assert remote.ports["seen"].saturated == direct.ports["seen"].saturated > 0
    for bench in both:
        bench.ports["seen"].saturated = 0
        assert bench.ports["seen"].saturated == 0
        bench.clock.wait(0.25)
        bench.ports["meter"].output(False)
        bench.safe()
        assert bench.ports["seen"].saturated == 0
    assert remote.clock.now() == pytest.approx(direct.clock.now(), abs=1e-3)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (lambda: ShotTable({"gain": np.full((1, 3), 0.5)}, read=()), LimitError),
        (lambda: ShotTable({"gain": np.full((1, 3), np.nan)}, read=()), LimitError),
        (lambda: ShotTable({"gain": np.zeros((1, 2))}, read=()), TableError),
        (lambda: ShotTable({"seen": np.zeros((1, 4))}, read=()), TableError),
        (lambda: ShotTable({}, {"beams": np.array([0])}, read=()), TableError),
        (lambda: ShotTable({}, read=("gain",)), TableError),
    ],
)
def test_errors_are_of_the_same_kind_in_the_same_words(table: Any, kind: type[LabonnError], both: tuple[Bench, RemoteBench]) -> None:
    words = []
    for bench in both:
        with pytest.raises(kind) as caught:
            bench.play(table())
        words.append(str(caught.value))
    assert words[0] == words[1]
    alike(*both)


def dimmed() -> Any:
    for number in range(30):
        yield ShotTable({"gain": np.full((1, 3), 1e-3 * (1 + number % 7))}, read=())


def test_errors_of_instruments_come_back_as_they_are(desk: Path, guardian: Guardian) -> None:
    words = []
    remote = guardian(desk, options={"faults": ("gain:refuse@20",)})["address"]
    for bench in (Bench.open(desk, dry_run=True, faults=["gain:refuse@20"]), RemoteBench.open(remote)):
        with bench, pytest.raises((InstrumentError, LinkError)) as caught:
            bench.run(dimmed())
        words.append((type(caught.value), str(caught.value)))
    assert words[0] == words[1]


def test_too_many_readings_at_once_are_refused_before_anything_is_sent(both: tuple[Bench, RemoteBench]) -> None:
    _, remote = both
    before = remote.exchanges
    with pytest.raises(TableError, match="more readings than a guardian passes on at once"):
        remote.play(ShotTable({}, read=("seen",), shots=1 << 31))
    assert remote.exchanges == before


def test_what_a_guardian_does_not_pass_on_is_not_there(both: tuple[Bench, RemoteBench]) -> None:
    port = both[1].ports["gain"]
    for name in ("load", "_line", "spec_", "set_range", "saturated"):
        with pytest.raises(AttributeError, match="gain: has no"):
            getattr(port, name)
    with pytest.raises(AttributeError, match="cannot be set"):
        port.identity = "other"


def test_a_closed_bench_says_so(desk: Path, guardian: Guardian) -> None:
    bench = open_bench(guardian(desk)["address"])
    bench.close()
    bench.close()
    with pytest.raises(TableError, match="the bench is closed"):
        bench.play(ShotTable({}, read=("seen",)))


def test_an_observer_is_told_what_a_bench_would_tell(both: tuple[Bench, RemoteBench]) -> None:
    class Observer:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def played(self, table: ShotTable, readings: Any, seconds: float) -> None:
            self.told.append(("played", table.shots, readings["seen"].tobytes(), seconds > 0))

        def made_safe(self) -> None:
            self.told.append("safe")

        def failed(self, problem: BaseException) -> None:
            self.told.append(type(problem))

    for bench in both:
        bench.observer = Observer()
        bench.play(ShotTable({}, read=("seen",), shots=3))
        with pytest.raises(LimitError):
            bench.play(ShotTable({"gain": np.full((1, 3), 0.5)}, read=()))
        bench.safe()
        bench.close()
    assert both[0].observer.told == both[1].observer.told  # type: ignore[union-attr]
    assert "safe" in both[0].observer.told  # type: ignore[union-attr]


def test_the_next_client_finds_the_bench_as_the_first_did(desk: Path, guardian: Guardian) -> None:
    address, seen = guardian(desk)["address"], []
    for _ in range(2):
        with RemoteBench.open(address) as bench:
            bench.ports["seen"].set_range(0.01)
            seen.append((bench.play(next(tables(bench)))["seen"].tobytes(), bench.clock.now(), bench.exchanges))  # type: ignore[arg-type]
    assert seen[0] == seen[1]


def test_an_slm_is_shown_and_corrected_through_a_guardian(tmp_path: Path, guardian: Guardian) -> None:
    path = tmp_path / "vapour.toml"
    path.write_text(vapour_cell((6, 4, 3)), encoding="utf-8")
    fields = np.linspace(-1, 1, 24).astype(np.float32)
    with Bench.open(path, dry_run=True) as direct, RemoteBench.open(guardian(path)["address"]) as remote:
        for bench in (direct, remote):
            bench.ports["weights1"].correct(np.linspace(-1, 1, 5), np.array([-1, -0.4, 0.1, 0.6, 1]))
        assert remote.ports["weights1"].shape == direct.ports["weights1"].shape == (4, 6)
        assert remote.ports["weights1"].shown(fields).tobytes() == direct.ports["weights1"].shown(fields).tobytes()
        assert remote.ports["ovens"].temperature().tolist() == direct.ports["ovens"].temperature().tolist()
        with pytest.raises(TableError, match="a response is 3 or more points that rise"):
            remote.ports["weights1"].correct(np.zeros(2), np.zeros(2))
