"""labonn check: finds out everything, changes nothing, and one that fails hides none of the others."""

from __future__ import annotations

import json
import pickle
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import labonn.sources
from labonn.bench import Bench
from labonn.checking import CheckRow, check_bench
from labonn.cli import main
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError, ConnectError
from procedures.benches import vapour_cell
from sim_backends.firmware.stream import StreamAdcFirmware, StreamDacFirmware
from sim_backends.messagelinks import ZmqServer

READING = {  # what each protocol may be asked without changing an output, a limit or a memory
    "stream": rb'\{"op":"identify".*',
    "qontrol": rb"id\?|nup=0|nupall\?|vfull\?|ifull\?",
    "meerstetter": rb"#[0-9A-F]{6}\?(IF|VR|VL).*",
}
TALK = ("_buffer", "_last", "_session", "_sessions", "_sessions", "_open", "_overflowed", "_unasked", "talks")


class Watched:
    """The simulated bench of a check, with all that was said to its emulators."""

    def __init__(self, simulated: Any, ports: Sequence[str]) -> None:
        self.emulators = {f"{port}/{i}": e for port in ports for i, e in enumerate(simulated.instruments.of(port))}
        self.before, self.closed = self.state(), 0
        self.said: list[tuple[str, bytes]] = []
        close = simulated.close

        def closing() -> None:
            self.closed += 1
            close()

        simulated.close = closing
        for name, emulator in self.emulators.items():
            for method in ("feed", "handle_parts"):
                if hasattr(emulator, method):
                    setattr(emulator, method, self._listening(name, getattr(emulator, method)))

    def _listening(self, name: str, method: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def listen(data: Any) -> Any:
            self.said.append((name, data if isinstance(data, bytes) else b"".join(map(bytes, data))))
            return method(data)

        return listen

    def state(self) -> dict[str, bytes]:
        """Everything in the emulators but the talk itself."""
        return {
            name: pickle.dumps({k: v for k, v in vars(emulator).items() if not callable(v) and k not in TALK})
            for name, emulator in self.emulators.items()
        }


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(vapour_cell([20, 8, 6, 4]))
    return path


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    """Simulated benches as they are made, their instruments already in use by somebody."""
    made: list[Watched] = []
    load = labonn.sources.load

    def busy(file: Any, clock: Any, **how: Any) -> Any:
        simulated = load("labonn.benches", "vapour_cell")(file, clock, **how)
        for port in file.ports:
            for emulator in simulated.instruments.of(port):
                if isinstance(emulator, StreamDacFirmware):
                    emulator.armed = True
                if port == "gain":
                    assert emulator.feed(b"IMAX0=20\nI0=5\n") == b"OK\nOK\n"
                if port == "ovens":
                    emulator.targets_c[:], emulator.enabled[:] = 80.0, True
        made.append(Watched(simulated, list(file.ports)))
        return simulated

    monkeypatch.setattr(labonn.sources, "load", lambda *_: busy)
    return made


def by_port(rows: list[CheckRow]) -> dict[str, CheckRow]:
    return {row.port: row for row in rows}


def test_every_instrument_is_a_row_with_identity_limits_and_memory(lab: Path) -> None:
    rows = check_bench(lab, dry_run=True)
    found = by_port(rows)
    assert [row.error for row in rows] == [None] * len(rows)
    assert list(found) == list(Bench.open(lab, dry_run=True).ports)
    dac = found["input"]
    assert (dac.driver, dac.link, dac.channels, dac.unit, dac.lower, dac.upper, dac.depth) == (
        "stream_dac", "zmq://127.0.0.1:5570", 20, "V", -3.6, 3.6, 131072,
    )  # fmt: skip
    assert re.fullmatch(r"emulated DAC SD-\d{4}", dac.identity)
    assert (found["gain"].unit, found["gain"].upper, found["gain"].depth) == ("A", 0.024, 1)
    assert (found["ovens"].unit, found["ovens"].upper) == ("degC", 110)


def test_limits_that_differ_between_channels_are_told_as_their_span(lab: Path) -> None:
    lab.write_text(lab.read_text().replace('upper = "24 mA"', 'upper = ["24 mA", "10 mA", "12 mA"]'))
    assert by_port(check_bench(lab, dry_run=True))["gain"].upper == "10 mA … 24 mA"


def test_the_seed_decides_which_simulated_instruments_answer(lab: Path) -> None:
    first, again, other = (check_bench(lab, dry_run=True, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_ideal_bench_has_converters_of_as_many_bits_as_the_protocol_carries(lab: Path) -> None:
    assert check_bench(lab, dry_run=True, ideal=True)[0].error is None
    with Bench.open(lab, dry_run=True, ideal=True) as bench:
        assert bench.specs["input"].step[0] == 0


def test_checking_asks_only_what_changes_nothing_and_leaves_every_state_as_it_was(lab: Path, watched: list[Watched]) -> None:
    rows = check_bench(lab, dry_run=True)
    assert [row.error for row in rows] == [None] * len(rows)
    (bench,) = watched
    assert bench.closed == 1
    assert bench.state() == bench.before
    drivers = {row.port: row.driver for row in rows}
    assert {drivers[name.partition("/")[0]] for name, _ in bench.said} == {"stream_dac", "stream_adc", "qontrol", "meerstetter"}
    for name, data in bench.said:
        allowed = READING[drivers[name.partition("/")[0]].partition("_")[0]]
        assert all(re.fullmatch(allowed, line) for line in re.split(rb"[\r\n]", data) if line), (name, data)


def test_the_watch_would_see_a_bench_that_is_opened_for_use(lab: Path, watched: list[Watched]) -> None:
    Bench.open(lab, dry_run=True).close()
    (bench,) = watched
    before, after = bench.before, bench.state()
    assert {name for name in before if before[name] != after[name]} >= {"input/0", "gain/0", "ovens/0", "weights1/0"}


ADC = '[ports.out]\ndriver = "stream_adc"\nlink = "{out}"\nchannels = 2\nrole = "trigger"\n'
DAC = '[ports.input]\ndriver = "stream_dac"\nlink = {input}\nchannels = 3\n'
DEAD = "zmq://127.0.0.1:9"


@pytest.fixture
def served() -> Any:
    """URLs of a DAC of 3 channels, another one, and an ADC of 2, on loopback sockets."""
    firmware = [StreamDacFirmware(3, serial="SD-1"), StreamDacFirmware(3, serial="SD-2"), StreamAdcFirmware(2, serial="SA-1")]
    servers = [ZmqServer(one, SimulatedClock()) for one in firmware]
    yield [server.url for server in servers]
    for server in servers:
        server.close()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(text)
    return path


def test_real_links_are_opened_identified_and_let_go_of(tmp_path: Path, served: list[str]) -> None:
    path = written(tmp_path, ADC.format(out=served[2]) + DAC.format(input=json.dumps(served[0])))
    threads = threading.active_count()
    for _ in range(2):
        rows = check_bench(path)
        assert [(row.port, row.link, row.identity, row.error) for row in rows] == [
            ("out", served[2], "emulated ADC SA-1", None),
            ("input", served[0], "emulated DAC SD-1", None),
        ]
    assert threading.active_count() == threads


def test_a_port_that_does_not_answer_hides_none_of_the_others(tmp_path: Path, served: list[str]) -> None:
    out, dac = check_bench(written(tmp_path, ADC.format(out=DEAD) + DAC.format(input=json.dumps(served[0]))))
    assert dac.error is None
    assert dac.channels == 3
    assert out.error is not None
    assert out.error.startswith("out: zmq://127.0.0.1:9: nothing answers there within 0.3 s")
    assert (out.identity, out.channels, out.lower, out.depth) == ("", 0, None, 0)


def test_an_instrument_of_a_port_of_several_is_told_by_its_number(tmp_path: Path, served: list[str]) -> None:
    links = json.dumps([served[0], DEAD, served[1]])
    rows = by_port(check_bench(written(tmp_path, ADC.format(out=served[2]) + DAC.format(input=links) + 'upper = "4 V"\n')))
    assert list(rows) == ["out", "input[0]", "input[1]", "input[2]"]
    assert str(rows["input[1]"].error).startswith("input[1]: zmq://127.0.0.1:9: nothing answers")
    assert [(rows[f"input[{i}]"].identity[-4:], rows[f"input[{i}]"].upper) for i in (0, 2)] == [("SD-1", 4.0), ("SD-2", 4.0)]


def test_limits_of_a_port_of_several_are_told_instrument_by_instrument(tmp_path: Path, served: list[str]) -> None:
    text = ADC.format(out=served[2]) + DAC.format(input=json.dumps(served[:2])) + "upper = [1, 1, 1, 2, 3, 2]\n"
    rows = by_port(check_bench(written(tmp_path, text)))
    assert (rows["input[0]"].upper, rows["input[1]"].upper, rows["input[0]"].channels) == (1.0, "2 V … 3 V", 3)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('upper = "11 V"\n', r"^lab\.toml: ports\.input\.upper = 11 V widens the driver's limit of 10 V \(ch0\)"),
        ('upper = "4 A"\n', r"^lab\.toml: ports\.input\.upper: '4 A' is in 'A', not in V"),
        ("lower = [1, 2]\n", r"^lab\.toml: ports\.input\.lower: 2 values for 3 channels"),
    ],
)
def test_limits_that_do_not_fit_are_told_with_the_identity_of_the_instrument(
    tmp_path: Path, served: list[str], more: str, words: str
) -> None:
    out, dac = check_bench(written(tmp_path, ADC.format(out=served[2]) + DAC.format(input=json.dumps(served[0])) + more))
    assert out.error is None
    assert re.search(words, str(dac.error))
    assert dac.identity == "emulated DAC SD-1"


def test_another_instrument_than_the_file_says_is_told(tmp_path: Path, served: list[str]) -> None:
    out, dac = check_bench(written(tmp_path, ADC.format(out=served[1]) + DAC.format(input=json.dumps(served[0])).replace("= 3", "= 4")))
    assert out.error == "out: a labonn-stream/1 adc is wanted; this is 'labonn-stream/1' 'dac'"
    assert dac.error == "input: the bench file says channels = 4; the instrument has 3"


def test_a_bug_in_one_driver_hides_none_of_the_others(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, link: Any, options: Any, port: str) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("drivers.qontrol.Qontrol.__init__", broken)
    rows = by_port(check_bench(lab, dry_run=True))
    assert rows["gain"].error == "gain: ZeroDivisionError: a bug"
    assert [row.port for row in rows.values() if row.error] == ["gain"]


def test_dead_ports_are_waited_for_at_the_same_time(tmp_path: Path) -> None:
    path = written(tmp_path, ADC.format(out=DEAD) + DAC.format(input=json.dumps([f"zmq://127.0.0.1:{10 + i}" for i in range(12)])))
    began = time.monotonic()
    rows = check_bench(path)
    assert all(row.error for row in rows)
    assert time.monotonic() - began < 1.5


def test_a_wrong_file_is_an_error_of_the_file(tmp_path: Path, lab: Path) -> None:
    with pytest.raises(BenchFileError, match="did you mean 'channels'"):
        check_bench(written(tmp_path, ADC.format(out=DEAD).replace("channels", "chanels")))
    with pytest.raises(BenchFileError, match=r"simulation\.bench = None: a dry run needs the name of a simulated bench"):
        check_bench(written(tmp_path, ADC.format(out=DEAD)), dry_run=True)


def test_the_command_tells_all_ports_and_what_is_wrong(tmp_path: Path, served: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, ADC.format(out=DEAD) + DAC.format(input=json.dumps(served[0])))
    assert main(["check", "--bench", str(path)]) == 2
    captured = capsys.readouterr()
    assert "SD-1" in captured.out
    assert "no answer" in captured.out
    assert captured.err.splitlines() == [
        "labonn: error: out: zmq://127.0.0.1:9: nothing answers there within 0.3 s; is the instrument on, and the port right?",
        "labonn: to try without instruments add --dry-run",
    ]
    assert main(["check", "--json", "--dry-run", "--bench", str(written(tmp_path, vapour_cell([20, 8, 4])))]) == 0
    assert json.loads(capsys.readouterr().out)["ports"][0]["upper"] == 3.6


def test_opening_a_bench_tells_the_same_as_checking_it(tmp_path: Path, served: list[str]) -> None:
    path = written(tmp_path, ADC.format(out=DEAD) + DAC.format(input=json.dumps(served[0])))
    with pytest.raises(ConnectError) as caught:
        Bench.open(path)
    assert [str(caught.value)] == [row.error for row in check_bench(path) if row.error]
