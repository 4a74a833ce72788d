"""Two ports that are sides of one instrument: one link, one emulator; and bench files that share by mistake."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from labonn import registry
from labonn.bench import Bench
from labonn.benchfile import parse
from labonn.channels import ChannelSpec
from labonn.emulating import emulate_bench
from labonn.errors import BenchFileError
from labonn.links import Link
from labonn.shots import ShotTable

TEXT = """
[ports.read]
driver = "twin_sum"
link = "tcp://127.0.0.1:7"
role = "trigger"
gain = 2.0
[ports.one]
driver = "twin_level"
link = "tcp://127.0.0.1:7"
[ports.two]
driver = "twin_level"
link = "tcp://127.0.0.1:7"
side = "b"
gain = 3.0
[simulation]
bench = "unlit"
"""


class Twin:
    """An instrument with two levels and a reading of their sum, in lines."""

    made: ClassVar[list[Twin]] = []

    def __init__(self, options: dict[str, Any]) -> None:
        self.options, self.levels = options, {"a": 0.0, "b": 0.0}
        self.made.append(self)

    @classmethod
    def for_port(cls, options: dict[str, Any], channels: int, seed: int) -> Twin:
        return cls(options)

    def feed(self, data: bytes) -> bytes:
        replies = ""
        for line in data.decode().split():
            name, _, value = line.partition("=")
            if value:
                self.levels[name] = float(value)
            replies += f"{sum(self.levels.values()):g}\n"
        return replies.encode()

    def wire_s(self, sent: int, received: int) -> float:
        return 1e-3


@dataclasses.dataclass(frozen=True)
class SideOptions:
    side: str = "a"
    gain: float = 1.0


class Side:
    """What both drivers of a twin have."""

    Options, transport, shares = SideOptions, "tcp", "twin"
    link_options: ClassVar[dict[str, Any]] = {}

    def __init__(self, link: Link, options: SideOptions, port: str) -> None:
        self.link, self._side, self.identity = link, options.side, f"twin of {options.side}"
        self.spec = ChannelSpec((options.side,), "A", *map(np.asarray, (0.0, 5.0, 0.1, 0.0)))

    def close(self) -> None:
        self.link.close()


class Level(Side):
    kind = "GainSections"

    def prepare(self, spec: ChannelSpec) -> None:
        self.safe()

    def load(self, bank: Any, order: Any, dwell_s: float) -> None:
        self._row = float(bank[int(order[0]), 0])

    def arm(self) -> None:
        self.link.exchange(f"{self._side}={self._row}".encode())

    def safe(self) -> None:
        self.link.exchange(f"{self._side}=0".encode())


class Sum(Side):
    kind = "Photodetectors"

    def arm(self, shots: int, dwell_s: float) -> None:
        self._shots = shots

    def fire(self, shots: int, dwell_s: float) -> None:
        """Nothing waits for it."""

    def fetch(self) -> Any:
        return np.array([[float(self.link.exchange(b"?"))]] * self._shots)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = registry.registered

    def with_twins(group: str) -> dict[str, EntryPoint]:
        classes = {"labonn.drivers": {"twin_level": "Level", "twin_sum": "Sum"}}
        classes["labonn.emulators"] = dict.fromkeys(classes["labonn.drivers"], "Twin")
        return found(group) | {n: Here(n, f"{__name__}:{c}", group) for n, c in classes.get(group, {}).items()}

    monkeypatch.setattr(registry, "registered", with_twins)
    Twin.made.clear()
    yield
    assert len(Twin.made) <= 1


class Here(EntryPoint):
    """An entry point into this file, which is not importable by name."""

    def load(self) -> Any:
        return globals()[self.value.partition(":")[2]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "twin.toml"
    found.write_text(TEXT)
    return found


@pytest.mark.parametrize("served", [False, True])
def test_two_ports_with_one_link_act_on_one_instrument(path: Path, served: bool) -> None:
    with Bench.open(path, dry_run=True, served=served) as bench:
        banks = {"one": np.array([[1.0], [2.0]]), "two": np.array([[0.25]])}
        table = ShotTable(banks, {"one": np.array([0, 1]), "two": np.zeros(2, int)}, 1e-3)
        assert bench.play(table)["read"].tolist() == [[1.25], [2.25]]
    assert len(Twin.made) == 1
    assert Twin.made[0].levels == {"a": 0.0, "b": 0.0}


def test_an_exchange_is_counted_once_at_the_port_that_asked(path: Path) -> None:
    with Bench.open(path, dry_run=True) as bench:
        before = bench.exchanges
        bench.ports["two"].link.exchange(b"b=1")
        assert bench.exchanges == before + 1


def test_a_run_on_a_shared_link_is_taped_and_played_again(path: Path, tmp_path: Path) -> None:
    tape, seen = tmp_path / "run.tape", []
    for how in ({"dry_run": True, "record": tape}, {"replay": tape}):
        with Bench.open(path, **how) as bench:
            seen.append(bench.play(ShotTable({"one": np.array([[1.0]]), "two": np.array([[0.25]])}, dwell_s=1e-3))["read"].tolist())
    assert seen == [[[1.25]], [[1.25]]]


def test_the_instrument_is_made_for_the_options_of_all_its_ports_the_first_ones_winning(path: Path) -> None:
    with Bench.open(path, dry_run=True):
        assert Twin.made[0].options == {"gain": 2.0, "side": "a"}


def test_the_link_is_closed_when_the_last_port_is(path: Path) -> None:
    with Bench.open(path, dry_run=True) as bench:
        one, two = bench.ports["one"], bench.ports["two"]
        one.close()
        one.close()
        assert two.link.exchange(b"b=2") == b"2"


def test_a_served_bench_has_one_address_for_both_ports(path: Path) -> None:
    served = emulate_bench(path)
    try:
        links = {line for line in served.lines if line.startswith("link")}
        assert len(links) == 1
        port = int(links.pop().rsplit(":", 1)[1].rstrip('"'))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"a=1\n")
            assert client.recv(10) == b"1\n"
    finally:
        served.simulated.close()


def test_ports_that_have_nothing_in_common_may_not_share_a_link() -> None:
    text = TEXT.replace('[ports.two]\ndriver = "twin_level"', '[ports.two]\ndriver = "qontrol"\nchannels = 8')
    text = text.replace('side = "b"\ngain = 3.0\n', "")
    with pytest.raises(BenchFileError) as caught:
        parse(text, "twin.toml")
    assert str(caught.value) == (
        "twin.toml: ports.two.link: 'tcp://127.0.0.1:7' is the link of ports.read too, "
        "but 'twin_sum' and 'qontrol' are not two sides of one instrument"
    )


def test_one_port_may_not_have_the_same_link_twice() -> None:
    text = TEXT.replace('link = "tcp://127.0.0.1:7"\nside', 'link = ["tcp://127.0.0.1:8", "tcp://127.0.0.1:8"]\nside')
    with pytest.raises(BenchFileError) as caught:
        parse(text, "twin.toml")
    assert str(caught.value) == "twin.toml: ports.two.link: 'tcp://127.0.0.1:8' stands there twice"
