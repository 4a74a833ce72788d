"""Tapes: what is recorded is played back exactly, and whoever departs from it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labonn.bench import Bench
from labonn.clock import RealClock, SimulatedClock
from labonn.errors import ConnectError, DesyncError, LabonnError, LinkError, LinkTimeoutError
from labonn.links import connect
from labonn.shots import ShotTable
from labonn.tapes.recording import Recorder
from labonn.tapes.replaying import Tape
from labonn.tapes.text import Part, data_of, field, same, value_of, value_part
from procedures.benches import vapour_cell
from sim_backends.firmware.qontrol import QontrolFirmware
from sim_backends.simlinks import SimulatedLink

SIZES = (6, 4, 3)


class Port:
    """The part of a bench file's port that a recorder needs."""

    def __init__(self, name: str = "gain", url: str = "serial:///dev/ttyUSB0") -> None:
        self.name, self.driver_name, self.links = name, "some_driver", (url,)


class Answers:
    """A byte link that gives what it was made with; exceptions are raised."""

    def __init__(self, *replies: Any) -> None:
        self._replies = list(replies)
        self.unasked: list[bytes] = []

    def exchange(self, request: bytes, lines: int = 1) -> bytes:
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        self.unasked += [b"E90:00"] if reply == b"OK" else []
        return bytes(reply)

    def close(self) -> None:
        """Nothing."""


class Table:
    """A function table with a size, a method with arrays, and one that gives what no tape can hold."""

    limit = 4.5

    def size(self) -> tuple[int, int]:
        return 2, 3

    def show(self, frame: Any, sleep: float = 0.2) -> Any:
        return frame * 2 if sleep else None

    def session(self) -> object:
        return object()

    def close(self) -> None:
        """Nothing."""


def taped(path: Path, link: Any, port: Any = None) -> tuple[Recorder, Any]:
    recorder = Recorder(path, "bench.toml", {"labonn": "1"}, SimulatedClock())
    return recorder, recorder.link(port or Port(), 0, link)


def played(path: Path, name: str = "gain/0") -> Any:
    return connect(f"replay://{path}#{name}", baud=115200)


def tables(count: int) -> Iterator[ShotTable]:
    rng = np.random.default_rng(5)
    for _ in range(count):
        banks: dict[str, Any] = {"input": rng.uniform(-3, 3, (20, 6)).astype(np.float32), "gain": rng.uniform(0.005, 0.02, (1, 2))}
        banks |= {"weights1": rng.uniform(-1, 1, (1, 24)).astype(np.float32), "ovens": rng.uniform(40, 60, (1, 1))}
        yield ShotTable(banks, {"input": np.arange(20)}, 1e-4)


def readings(path: Path, count: int = 3, **how: Any) -> list[Any]:
    """What a bench reads, and what its clock says, and how many exchanges that took."""
    with Bench.open(path, **how) as bench:
        return [*([bench.play(table), bench.clock.now()] for table in tables(count)), bench.exchanges]


@pytest.fixture
def bench_file(tmp_path: Path) -> Path:
    path = tmp_path / "bench.toml"
    path.write_text(vapour_cell(SIZES))
    return path


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_survive_the_tape_on_one_line(data: bytes, whole: bool) -> None:
    written = field(Part(data), whole)
    assert written.isascii()
    assert not set(written) & set("\t\r\n")
    assert same(written, Part(data))
    assert data_of(written) == data
    assert not same(written, Part(data + b"\0"))


def test_long_binary_requests_leave_only_their_digest_and_text_stays_text() -> None:
    noise = np.random.default_rng(1).bytes(5000)
    assert field(Part(noise), whole=False).startswith("sha256:")
    assert field(Part(noise), whole=False).endswith(":5000")
    assert len(field(Part(bytes(100_000)))) < 1000
    assert field(Part(b"V3=2.5\n" * 1000), whole=False) == "V3=2.5\\n" * 1000
    assert not same(field(Part(noise), whole=False), Part(noise[:-1] + b"\0"))


@pytest.mark.parametrize("value", [None, True, 3, -2.5, "a\tb µ", (2, 3), [1, "x"], b"\x00\xff"])
def test_plain_results_of_calls_come_back_equal_and_of_the_same_type(value: Any) -> None:
    back = value_of(field(value_part("slm/0", "call", value)))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.uint8).reshape(2, 3), np.zeros((0, 4), "<f8"), np.float32(2.5), np.array(7)])
def test_arrays_come_back_with_type_and_shape(array: Any) -> None:
    back = value_of(field(value_part("slm/0", "call", array)))
    assert np.array_equal(back, array)
    assert (back.dtype, np.shape(back)) == (array.dtype, np.shape(array))


def test_a_replayed_bench_reads_the_same_at_the_same_times(bench_file: Path, tmp_path: Path) -> None:
    tape = tmp_path / "run.tape"
    recorded = readings(bench_file, dry_run=True, record=tape)
    unrecorded = readings(bench_file, dry_run=True)
    again = readings(bench_file, replay=tape)
    assert len(recorded[0][0]["output"]) == 20
    assert recorded[0][1] > 0
    for one, other in ((recorded, unrecorded), (recorded, again)):
        assert one[-1] == other[-1]
        for (a, at), (b, bt) in zip(one[:-1], other[:-1], strict=True):
            assert at == bt
            assert all(np.array_equal(a[port], b[port]) for port in a)
    kinds = {line.split(" ")[1]: line.split(" ")[3] for line in tape.read_text().splitlines() if " = " in line and line[0] != "#"}
    assert (kinds["weights1/0"], kinds["gain/0"], kinds["ovens/0"], kinds["output/0"]) == ("calls", "bytes", "bytes", "messages")


def test_two_tapes_of_one_dry_run_differ_in_nothing_but_the_order_of_links(bench_file: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        readings(bench_file, 1, dry_run=True, record=tmp_path / name)
        lines = [line.split(" ", 1)[1] for line in (tmp_path / name).read_text().splitlines()]
        texts.append(sorted(lines, key=lambda line: line.split(" ")[0]))
    assert texts[0] == texts[1]


def test_a_bench_file_may_link_to_a_tape(bench_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealClock, "wait", lambda clock, seconds: None)  # nobody waits for ovens
    tape = tmp_path / "run.tape"
    recorded = readings(bench_file, 2, dry_run=True, record=tape)
    text = bench_file.read_text().splitlines()
    port = ""
    for number, line in enumerate(text):
        port = line.partition("]")[0].removeprefix("[ports.") if line.startswith("[ports.") else port
        text[number] = f'link = "replay://{tape}#{port}/0"' if line.startswith("link = ") else line
    path = tmp_path / "taped.toml"
    path.write_text("\n".join(line.replace("settle_s = 1800", "") for line in text))
    with Bench.open(path, replay=None) as bench:
        assert np.array_equal(bench.play(next(tables(1)))["output"], recorded[0][0]["output"])
        for table in list(tables(2))[1:]:
            bench.play(table)


def test_a_run_that_asks_for_something_else_is_told_both_versions(bench_file: Path, tmp_path: Path) -> None:
    tape = tmp_path / "run.tape"
    readings(bench_file, 1, dry_run=True, record=tape)
    lines = tape.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if " gain/0 >3 IVEC0=" in line)
    lines[number] = lines[number].replace("=", "=9", 1)
    tape.write_text("\n".join(lines) + "\n")
    both = r"expected >3 IVEC0=90\.000000,\S+; got >3 IVEC0=0\.000000,\S+; they differ from character 7 on"
    with pytest.raises(DesyncError, match=rf"run.tape: gain/0, exchange \d+ \(line {number + 1}\): {both}"):
        readings(bench_file, 1, replay=tape)


def test_what_was_not_played_is_told_at_the_end(bench_file: Path, tmp_path: Path) -> None:
    tape = tmp_path / "run.tape"
    readings(bench_file, 2, dry_run=True, record=tape)
    with pytest.raises(LabonnError, match=r"input/0|gain/0"):
        readings(bench_file, 1, replay=tape)
    recorder, link = taped(tmp_path / "more.tape", Answers(b"1", b"2"))
    assert (link.exchange(b"A?"), link.exchange(b"B?")) == (b"1", b"2")
    recorder.close()
    whole = Tape(tmp_path / "more.tape")
    whole.link("gain", 0).exchange(b"A?")
    with pytest.raises(DesyncError, match=r"ended before the tape; not played: gain/0 \(2 lines\)"):
        whole.close()


def test_order_and_number_of_lines_are_part_of_a_request(tmp_path: Path) -> None:
    recorder, link = taped(tmp_path / "t", Answers(b"1\n2", b"", b"3"))
    link.exchange(b"Vall?", lines=2), link.exchange(b"SAFE", lines=0), link.exchange(b"V3?")
    recorder.close()
    good = played(tmp_path / "t")
    assert [good.exchange(b"Vall?", lines=2), good.exchange(b"SAFE", lines=0), good.exchange(b"V3?")] == [b"1\n2", b"", b"3"]
    with pytest.raises(DesyncError, match=r"exchange 4: the tape ends here; got > V3\?"):
        good.exchange(b"V3?")
    with pytest.raises(DesyncError, match=r"expected >2 Vall\?; got > Vall\?"):
        played(tmp_path / "t").exchange(b"Vall?")
    departed = played(tmp_path / "t")
    with pytest.raises(DesyncError, match=r"expected >2 Vall\?; got >0 SAFE"):
        departed.exchange(b"SAFE", lines=0)
    with pytest.raises(DesyncError, match=r"expected >2 Vall\?; got >0 SAFE"):
        departed.exchange(b"Vall?", lines=2)


def test_errors_and_unasked_lines_come_back_too(tmp_path: Path) -> None:
    recorder, link = taped(tmp_path / "t", Answers(b"OK", LinkTimeoutError("gain: no reply"), KeyError("odd")))
    link.exchange(b"V0=1")
    for kind in (LinkTimeoutError, KeyError):
        with pytest.raises(kind):
            link.exchange(b"V0?")
    recorder.close()
    again = played(tmp_path / "t")
    assert again.exchange(b"V0=1") == b"OK"
    assert again.unasked == [b"E90:00"]
    with pytest.raises(LinkTimeoutError, match=r"^gain: no reply$"):
        again.exchange(b"V0?")
    with pytest.raises(KeyError, match="odd"):
        again.exchange(b"V0?")


def test_function_tables_are_taped_with_arrays_keywords_and_attributes(tmp_path: Path) -> None:
    recorder, table = taped(tmp_path / "t", Table(), Port("slm"))
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)

    def used(sdk: Any) -> list[Any]:
        return [sdk.size(), sdk.limit, sdk.show(frame, sleep=0), sdk.show(frame, 1.5).tolist(), getattr(sdk, "absent", "nothing")]

    expected = [(2, 3), 4.5, None, (frame * 2).tolist(), "nothing"]
    assert used(table) == expected
    recorder.close()
    assert used(played(tmp_path / "t", "slm/0")) == expected
    with pytest.raises(DesyncError, match=r"expected > size; got > show\b"):
        played(tmp_path / "t", "slm/0").show(frame)


def test_what_cannot_be_taped_is_refused_once_and_then_passed_on_so_that_safe_works(tmp_path: Path) -> None:
    recorder, table = taped(tmp_path / "t", Table(), Port("daq"))
    with pytest.raises(LinkError, match=r"daq/0: session takes or gives object .*cannot be taped .*run without --record"):
        table.session()
    assert table.size() == (2, 3)
    assert type(table.session()) is object
    recorder.close()


def test_a_tape_carries_no_key_and_no_session(bench_file: Path, tmp_path: Path) -> None:
    recorder, _ = taped(tmp_path / "t", Answers(), Port("dac", "zmq://10.0.0.9:5570?timeout_s=3&client_key=/home/me/lab.key_secret&server_key=s.key"))
    recorder.close()
    text = (tmp_path / "t").read_text()
    assert "dac/0 = bytes some_driver zmq://10.0.0.9:5570?timeout_s=3&client_key=" in text
    assert "lab.key_secret" not in text
    assert "s.key" not in text
    readings(bench_file, 1, dry_run=True, record=tmp_path / "run.tape")
    sessions = [line for line in (tmp_path / "run.tape").read_text().splitlines() if '"session"' in line]
    assert sessions
    assert all('"session":"*"' in line for line in sessions)


def test_a_full_disk_stops_nobody_and_is_told_at_the_end(tmp_path: Path) -> None:
    recorder, link = taped(tmp_path / "t", Answers(b"1", b"2"))
    recorder._file.close()
    recorder._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    assert (link.exchange(b"A?"), link.exchange(b"B?")) == (b"1", b"2")
    with pytest.raises(LabonnError, match="the tape is not whole: No space left"):
        recorder.close()


def test_a_tape_whose_end_was_cut_off_plays_up_to_there(tmp_path: Path) -> None:
    recorder, link = taped(tmp_path / "t", Answers(b"1", b"2"))
    link.exchange(b"A?"), link.exchange(b"B?")
    recorder.close()
    (tmp_path / "t").write_bytes((tmp_path / "t").read_bytes()[:-2])
    again = played(tmp_path / "t")
    assert again.exchange(b"A?") == b"1"
    with pytest.raises(DesyncError, match="the tape ends here"):
        again.exchange(b"B?")


def test_a_damaged_reply_is_told_with_its_line(tmp_path: Path) -> None:
    recorder, link = taped(tmp_path / "t", Answers(b"\x01\x02\x03\x04"))
    link.exchange(b"CURV?")
    recorder.close()
    text = (tmp_path / "t").read_text()
    assert "< base64:AQIDBA==" in text
    (tmp_path / "t").write_text(text.replace("AQIDBA==", "AQI!BA=="))
    with pytest.raises(DesyncError, match="gain/0: the tape is damaged at line 5 or the next"):
        played(tmp_path / "t").exchange(b"CURV?")


@pytest.mark.parametrize(
    ("url", "words"),
    [("replay://{}#gain", "replay://FILE#PORT/INDEX"), ("replay://{}#laser/0", "no link laser/0; it has gain/0"),
     ("replay://{}x#gain/0", "no tape can be read there"), ("replay:///etc/passwd#gain/0", "is not a tape")],
)  # fmt: skip
def test_a_wrong_link_to_a_tape_is_one_line(tmp_path: Path, url: str, words: str) -> None:
    taped(tmp_path / "t", Answers())[0].close()
    with pytest.raises(ConnectError, match=words):
        connect(url.format(tmp_path / "t"))


def test_a_tape_is_never_overwritten(tmp_path: Path) -> None:
    taped(tmp_path / "t", Answers())[0].close()
    with pytest.raises(LabonnError, match="is there already; a tape is never overwritten"):
        taped(tmp_path / "t", Answers())


def test_a_tape_is_a_regression_test_of_the_emulator_too(tmp_path: Path) -> None:
    """Requests of a tape, fed to a fresh emulator, give the replies of the tape; and other ones from another instrument."""
    link = SimulatedLink(QontrolFirmware(1, seed=4), SimulatedClock())
    recorder, recorded = taped(tmp_path / "t", link)
    for command in (b"V3=2.5", b"V3?", b"I3?", b"V99=1"):
        recorded.exchange(command)
    recorder.close()

    def replies(firmware: Any) -> list[bool]:
        track, found = Tape(tmp_path / "t").track("gain/0"), []
        while (entry := track.exchange()) is not None:
            found.append(firmware.feed(data_of(entry.request[0]) + b"\n") == data_of(entry.reply[0]) + b"\n")
        return found

    assert replies(QontrolFirmware(1, seed=4)) == [True] * 4
    assert not all(replies(QontrolFirmware(1, loads_ohm=50.0, seed=4)))

