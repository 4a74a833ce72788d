"""labonn check: finds out everything, changes nothing, and one that fails hides none of the others."""

from __future__ import annotations

import json
import pickle
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import labonn.sources
from labonn.bench import Bench
from labonn.checking import CheckRow, check_bench
from labonn.cli import main
from labonn.clock import SimulatedClock
from labonn.errors import BenchFileError, ConnectError
from labonn.trouble import twins_noted
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
    assert str(out.error).splitlines() == [
        "out: a labonn-stream/1 adc is wanted; this is 'labonn-stream/1' 'dac'",
        "out: emulated DAC SD-2 answers there, which would fit input: are two links swapped?",
    ]
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
        f"labonn: 1 of 2 instruments are right; when the others are mended: labonn check --bench {path}",
        "labonn: to try without instruments add --dry-run",
    ]
    assert main(["check", "--json", "--dry-run", "--bench", str(written(tmp_path, vapour_cell([20, 8, 4])))]) == 0
    assert json.loads(capsys.readouterr().out)["ports"][0]["upper"] == 3.6


def test_opening_a_bench_tells_the_same_as_checking_it(tmp_path: Path, served: list[str]) -> None:
    path = written(tmp_path, ADC.format(out=DEAD) + DAC.format(input=json.dumps(served[0])))
    with pytest.raises(ConnectError) as caught:
        Bench.open(path)
    assert [str(caught.value)] == [row.error for row in check_bench(path) if row.error]


def test_what_the_file_gets_wrong_is_told_although_the_instrument_does_not_answer(tmp_path: Path) -> None:
    text = ADC.format(out=DEAD) + DAC.format(input=json.dumps("zmq://127.0.0.1:10")) + 'upper = "11 V"\n'
    out, dac = check_bench(written(tmp_path, text))
    assert len(str(out.error).splitlines()) == 1
    told = str(dac.error).splitlines()
    assert told[0].startswith("input: zmq://127.0.0.1:10: nothing answers there")
    assert told[1] == (
        "lab.toml: ports.input.upper = 11 V widens the driver's limit of 10 V (ch0); a bench file may only tighten (line 10)"
    )  # fmt: skip


def test_limits_of_several_ports_are_told_although_no_instrument_answers(tmp_path: Path) -> None:
    text = ADC.format(out=DEAD) + DAC.format(input=json.dumps("zmq://127.0.0.1:10")) + '[[limits]]\nports = ["input"]\nsum = "2 A"\n'
    errors = [str(row.error) for row in check_bench(written(tmp_path, text))]
    assert any("lab.toml: limits[0].sum: '2 A' is in 'A', not in V (line 12)" in error for error in errors), errors


def test_one_instrument_behind_two_links_is_noted_and_sides_of_one_are_not() -> None:
    row = CheckRow("laser", "ldc500_laser", "visa://one", "Stanford Research,LDC501,s/n7")
    rows = [
        row,
        replace(row, port="cooler", driver="ldc500_tec"),
        replace(row, port="other", link="visa://two"),
        replace(row, port="dead", identity=""),
    ]
    notes = [one.note for one in twins_noted(rows)]
    assert notes[0] == notes[1] == "other identified as the same instrument: two of them, or one with two links?"
    assert notes[2].startswith("laser and cooler identified as")
    assert notes[3] == ""


def test_a_driver_is_not_sent_over_a_link_that_it_cannot_speak_over(tmp_path: Path, served: list[str]) -> None:
    gain = f'[ports.gain]\ndriver = "qontrol"\nlink = "{served[0]}"\n'
    dac = DAC.format(input=json.dumps("tcp://127.0.0.1:10"))
    rows = by_port(check_bench(written(tmp_path, ADC.format(out=served[2]) + gain + dac)))
    assert str(rows["gain"].error).startswith(
        f"ports.gain.link: {served[0]}: 'qontrol' speaks over serial:// or tcp:// or visa://, not over"
    )
    assert str(rows["input"].error).startswith("ports.input.link: tcp://127.0.0.1:10: 'stream_dac' speaks over zmq://, not over tcp://")


def test_success_tells_the_next_command(tmp_path: Path, served: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, ADC.format(out=served[2]) + DAC.format(input=json.dumps(served[0])))
    assert main(["check", "--bench", str(path)]) == 0
    out = capsys.readouterr().out
    assert "out (trigger)" in out
    assert out.splitlines()[-2:] == [
        "all 2 instruments answer, and fit the bench file",
        f"next: labonn run PROCEDURE --bench {path} --plan",
    ]


def test_a_bench_at_a_guardian_is_told_with_who_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, ADC.format(out=DEAD))
    about = {"pid": 4711, "address": "ipc://x", "bench": str(path)}
    monkeypatch.setattr("labonn.guardian.places.guardian_of", lambda _: about)
    monkeypatch.setattr("labonn.guardian.asking.status", lambda _: {"lease": {"who": "ada@lab", "since": "09:00"}})
    assert main(["check", "--bench", str(path)]) == 2
    told = capsys.readouterr().err
    assert "its links are held by a guardian, process 4711; ada@lab uses it since 09:00" in told
    assert main(["check", "--bench", str(path), "--dry-run"]) == 2  # says what the file lacks; no link is needed
    assert "a dry run needs the name of a simulated bench" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (13, r"you may not use this port: `sudo usermod -aG \w+ \$USER`, then log in again"),
        (16, r"is in use; see that no other program holds it \(`labonn status` tells of guardians\)"),
        (2, r"there is no such port; this computer has: .*; check the cable, and `labonn discover`"),
    ],
)
def test_a_serial_port_that_cannot_be_opened_is_told_with_the_cure(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import serial

    def refused(*_: Any, **__: Any) -> None:
        raise serial.SerialException(number, "could not open port /dev/ttyUSB0")

    monkeypatch.setattr(serial, "Serial", refused)
    gain = '[ports.gain]\ndriver = "qontrol"\nlink = "serial:///dev/ttyUSB0?baud=115200"\n'
    rows = by_port(check_bench(written(tmp_path, ADC.format(out=DEAD) + gain)))
    assert re.search(f"serial:///dev/ttyUSB0: {words}", str(rows["gain"].error))


GOOD = ADC.format(out=DEAD) + DAC.format(input=json.dumps("zmq://127.0.0.1:10")) + 'upper = "5 V"\n'


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ('"5 V"', '"5 V', r'not TOML: .*line 10.*: upper = "5 V; a quote is missing'),
        ('"5 V"', "5 V", r'not TOML: .*line 10.*; text and values with a unit stand in quotes: "5 V"'),
        ('"5 V"', "“5 V”", r'quotes must be straight ones: "20 mA"'),
        ('"5 V"', '"5 A"', r"ports\.input\.upper: '5 A' is in 'A', not in V \(line 10\)"),
        ('"5 V"', '"5 mv"', r"'5 mv' is in 'mv', not in V; did you mean mV\? \(line 10\)"),
        ('"5 V"', '"50 V"', r"ports\.input\.upper = 50 V widens the driver's limit of 10 V \(ch0\).* \(line 10\)"),
        ('upper = "5 V"', 'lower = "7 V"\nupper = "5 V"', r"ports\.input: lower is above upper \(line 6\)"),
        ('upper = "5 V"', 'uper = "5 V"', r"ports\.input\.uper = '5 V': unknown key; did you mean 'upper'\? \(line 10\)"),
        ('upper = "5 V"', 'slew = "5 V"', r'ports\.input\.slew: .5 V. is not a rate; write for instance "0\.5 V/s".* \(line 10\)'),
        ("[ports.out]", "[ports.input]", r"that table or key stands there twice: every port needs a name of its own"),
        ("[ports.out]", "[port.out]", r"port = .*unknown key; did you mean 'ports'\? \(line 1\)"),
        ("[ports.out]", "[ports.out", r"\[ports\.out; a \] is missing at the end of the table's name"),
        ("channels = 3", "channels: 3", r"channels: 3; a line is KEY = VALUE, or \[TABLE\]"),
        ("channels = 3\n", "", r"ports\.input\.channels: Field required \(line 6\)"),
        ("channels = 3", 'channels = "3"', r"ports\.input\.channels = '3': Input should be a valid integer \(line 9\)"),
        ("stream_dac", "streem_dac", r"no driver is called 'streem_dac'; did you mean 'stream_dac'.* \(line 7\)"),
        ('role = "trigger"\n', "", r'exactly one port must have role = "trigger", not 0; these can: out'),
        ("channels = 3", 'channels = 3\nrole = "trigger"', r"must have role = \"trigger\", not 2 \['out', 'input'\]"),
        ("zmq://127.0.0.1:10", "zmq://127.0.0.1:9", r"is the link of ports\.out too, but 'stream_adc' and 'stream_dac' are not two sides"),
        ("zmq://127.0.0.1:10", "zmg://127.0.0.1:10", r"unknown kind of link 'zmg'; did you mean zmq://\?"),
        ("zmq://127.0.0.1:10", "127.0.0.1:10", r"ports\.input\.link: one URL or a list of them is wanted.* \(line 8\)"),
        ("zmq://127.0.0.1:10", "zmq://127.0.0.1:10?timeout=3", r"unknown option 'timeout'; known are timeout_s"),
        ("zmq://127.0.0.1:10", "zmq://10.0.0.9:10", r"not on loopback needs CURVE keys"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_with_its_line_and_what_is_meant(
    wrong: str, right: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrong in GOOD
    assert main(["check", "--bench", str(written(tmp_path, GOOD.replace(wrong, right)))]) == 2
    assert re.search(told, capsys.readouterr().err)
