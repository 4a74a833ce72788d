"""labonn init: what it writes opens, is commented, and is never wider than the instruments; what it asks can be answered wrongly."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import labonn.discovering
import labonn.drafting.templates
from labonn.bench import Bench
from labonn.benchfile import read
from labonn.cli import main
from labonn.discovering import Found
from labonn.drafting.draft import Draft, PortDraft, change
from labonn.drafting.knowledge import option_notes
from labonn.drafting.offers import fitting, taken
from labonn.drafting.procedures import suited
from labonn.drafting.questions import example_link
from labonn.drafting.templates import templates
from labonn.errors import BenchFileError
from labonn.registry import load, registered

TYPES = ["desk", "gain_row", "heater_bank", "mesh_bench", "modulator_row", "mzi_chip", "pt_chip_software", "slm_orders", "vapour_cell"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A terminal at which these answers are typed, and nothing is attached; gives the questions."""

    def terminal(*answers: str, found: list[Found] | None = None) -> list[str]:
        asked: list[str] = []
        left: Iterator[str] = iter(answers)

        def read_line(prompt: str) -> str:
            asked.append(prompt)
            try:
                return next(left)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read_line)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(labonn.discovering, "discover", lambda: found or [])
        return asked

    return terminal


def uncommented(text: str) -> list[str]:
    """Keys with a comment neither beside nor above them."""
    lines = text.splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"[\w-]+ = ", line)]
    return [lines[i] for i in keys if "#" not in lines[i] and not lines[i - 1].startswith("#")]


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_written_passes_check_opens_and_has_a_comment_on_every_key(
    kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--bench-type", kind, "--yes"]) == 0
    told = capsys.readouterr().out
    text = (here / "bench.toml").read_text()
    assert uncommented(text) == []
    before, after = (tomllib.loads(one) for one in (templates()[kind].text, text))
    assert before == after  # nothing of the template is lost
    assert main(["check", "--dry-run", "--bench", "bench.toml"]) == 0
    for word in ("labonn check --bench bench.toml", "--plan", "--dry-run"):
        assert word in told
    assert sorted(path.name for path in here.iterdir()) == ["bench.toml"]


RUNS = {
    "heater_bank": "calibrate_heaters", "gain_row": "calibrate_detectors", "mesh_bench": "calibrate_mesh",
    "slm_orders": "calibrate_slm_phase", "modulator_row": "calibrate_modulators", "vapour_cell": "calibrate_matrix",
    "pt_chip": "calibrate_matrix", "mzi_chip": "calibrate_matrix",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "procedure"),
    [("desk", "calibrate_modulators"), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in RUNS.items())],
)
def test_a_procedure_runs_on_what_was_written(kind: str, procedure: str, here: Path) -> None:
    assert main(["init", "--bench-type", kind, "-o", "mine.toml", "--yes"]) == 0
    assert main(["run", procedure, "--bench", "mine.toml", "--dry-run"]) == 0


def test_the_next_commands_name_a_procedure_for_the_bench() -> None:
    known = templates()
    assert suited(known["vapour_cell"].text, "vapour_cell") == "train_vapour_cell"
    assert suited(known["mzi_chip_software"].text, "mzi_chip_software") == "train_chip"
    assert suited(known["slm_orders"].text, "slm_orders") == "calibrate_slm_phase"


def test_answers_go_into_the_file_and_wrong_ones_are_asked_again(
    here: Path, typed: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = typed(
        "nodesk", "1", "ttyUSB3", "serial:///dev/ttyUSB3", "", "", "", "",  # type, links
        "9 V", "300 mA", "80 mA", "", "6 V", "-2 V", "-3 V", "2.5 V",  # limits
    )  # fmt: skip
    assert main(["init"]) == 0
    file, out = read(here / "bench.toml"), capsys.readouterr().out
    assert (file.ports["laser"].links, file.ports["laser"].upper) == (("serial:///dev/ttyUSB3",), "80 mA")
    assert file.ports["cooler"].links == ("serial:///dev/ttyUSB3",)  # the other side of the same instrument
    assert (file.ports["modulators"].lower, file.ports["modulators"].upper) == ("-2 V", "2.5 V")
    for words in (
        "'nodesk': a number from 1 to", "'ttyUSB3': a URL is wanted", "'9 V' is in 'V', not in A",
        "upper = 0.3 A widens the driver's limit of 0.25 A", "widens the driver's limit", "lower is above upper",
    ):  # fmt: skip
        assert words in out
    assert sum("upper limit [0.1 A]" in question for question in asked) == 3


def test_the_end_of_the_answers_leaves_nothing_behind(
    here: Path, typed: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    typed("desk", "", "")
    assert main(["init"]) == 2
    assert "the answers ended before the questions did; nothing was written" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(here: Path, typed: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    typed()

    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert main(["init"]) == 130
    assert list(here.iterdir()) == []


def test_instruments_that_were_found_are_offered_for_ports_that_they_fit(
    here: Path, typed: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        Found("visa://USB0::0x1313::0x8078::P7::INSTR", "Thorlabs,PM100D,P7,2.6.0", ("pm100",)),
        Found("serial:///dev/ttyUSB5", note="FTDI adapter; not asked, --probe does"),
        Found("visa://GPIB0::24::INSTR", "KEITHLEY INSTRUMENTS INC.,MODEL 2400", ("keithley2400",)),
    ]
    typed("desk", "2", *[""] * 10, found=found)
    assert main(["init"]) == 0
    file, out, text = read(here / "bench.toml"), capsys.readouterr().out, (here / "bench.toml").read_text()
    assert "1  visa://GPIB0::24::INSTR  KEITHLEY" in out  # another driver of the same kind, for the laser
    assert file.ports["laser"].links == ("serial:///dev/ttyUSB5",)
    assert file.ports["power"].links == ("visa://USB0::0x1313::0x8078::P7::INSTR",)  # the driver's own is the default
    assert "Thorlabs,PM100D,P7,2.6.0 answered when this file was written" in text


def test_a_found_instrument_of_another_driver_takes_the_port_over() -> None:
    drivers = {name: load("labonn.drivers", name) for name in ("qontrol", "keithley2400", "ldc500_laser", "pm100")}
    port = PortDraft("laser", "", {"driver": "ldc500_laser", "link": "visa://x", "upper": "80 mA", "lan": True})
    one = Found("visa://GPIB0::24::INSTR", "KEITHLEY", ("keithley2400",))
    assert fitting(port, [Found("visa://y", "Thorlabs", ("pm100",)), one], drivers) == [one]
    assert taken(port, one, drivers) == ""
    assert port.table == {"driver": "keithley2400", "link": "visa://GPIB0::24::INSTR", "upper": "80 mA"}
    gain = PortDraft("gain", "", {"driver": "qontrol", "link": "serial:///dev/ttyUSB0?baud=115200", "channels": 3})
    other = Found("serial:///dev/ttyUSB4", "Q8iv-0061", ("qontrol",), {"channels": 8})
    assert taken(gain, other, drivers) == "it has channels = 8, this type of bench wants 3"
    assert gain.table == {"driver": "qontrol", "link": "serial:///dev/ttyUSB4?baud=115200", "channels": 3}


def test_without_a_terminal_the_options_that_are_missing_are_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    for words in ([], ["--yes"], ["--bench-type", "desk"]):
        assert main(["init", *words]) == 2
        assert re.search(r"labonn init --bench-type \w+ -o bench\.toml --yes \(types: labonn init --list\)", capsys.readouterr().err)
    assert list(here.iterdir()) == []


def test_a_file_that_is_there_stays_unless_forced(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bench.toml").write_text("mine")
    assert main(["init", "--bench-type", "desk", "--yes"]) == 2
    assert "is there already, and stays as it is; -o takes another name, --force writes over it" in capsys.readouterr().err
    assert (here / "bench.toml").read_text() == "mine"
    assert main(["init", "--bench-type", "desk", "--yes", "--force"]) == 0
    assert "laser" in read(here / "bench.toml").ports


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bench-type", "desc"], "no such type of bench; did you mean 'desk'?"),
        (["--bench-type", "desk", "--port", "laser.upper=3 A"], "ports.laser.upper = 3 A widens the driver's limit of 0.25 A"),
        (["--bench-type", "desk", "--port", "lazer.upper=1 A"], "no port is called 'lazer'; ports are laser, cooler"),
        (["--bench-type", "desk", "--port", "laser"], "--port laser: NAME.KEY=VALUE, or NAME=DRIVER for a new port, is wanted"),
        (["--bench-type", "desk", "--port", "laser.uper=1 A"], "did you mean 'upper'?"),
        (["--bench-type", "empty"], "needs ports: --port NAME=DRIVER for each"),
        (["--bench-type", "empty", "--port", "a=qontroll"], "no driver is called 'qontroll'; did you mean 'qontrol'?"),
        (["--bench-type", "empty", "--port", "a=qontrol"], "none of a can be the trigger"),
        (["--bench-type", "desk", "-o", "no/such/bench.toml"], "no/such/bench.toml: cannot be written"),
    ],
)
def test_options_that_cannot_be_are_told_and_nothing_is_written(
    words: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *words, "--yes"]) == 2
    assert told in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_a_bench_of_drivers_alone_gets_links_a_trigger_and_a_light(here: Path) -> None:
    ports = ["las=ldc500_laser", "out=stream_adc", "out.channels=2", "mod=stream_dac", "mod.channels=4", "mod.upper=4 V"]
    words = [word for port in ports for word in ("--port", port)]
    assert main(["init", "--bench-type", "empty", "--yes", *words]) == 0
    with Bench.open(here / "bench.toml", dry_run=True) as bench:
        assert bench.specs["mod"].upper.max() == 4.0
        assert bench.file.ports["out"].role == "trigger"
        assert bench.file.simulation["bench"] == "desk"


def test_other_packages_can_bring_types_of_bench(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "acme_benches").mkdir()
    (here / "acme_benches/__init__.py").write_text("")
    (here / "acme_benches/wall.toml").write_text(
        "# A wall of lamps. And more.\n\n" + templates()["modulator_row"].text.partition("\n\n")[2]
    )
    monkeypatch.syspath_prepend(str(here))
    points = {**registered("labonn.templates"), "acme": EntryPoint("acme", "acme_benches", "labonn.templates")}
    monkeypatch.setattr(labonn.drafting.templates, "registered", lambda group: points)
    assert main(["init", "--list"]) == 0
    assert re.search(r"^wall +A wall of lamps$", capsys.readouterr().out, re.MULTILINE)
    assert main(["init", "--bench-type", "wall", "--yes"]) == 0
    assert "modulators" in read(here / "bench.toml").ports


def test_list_names_every_type_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--list"]) == 0
    out = capsys.readouterr().out
    assert {line.split()[0] for line in out.splitlines() if not line.startswith(" ")} >= {*TYPES, "empty"}
    assert max(map(len, out.splitlines())) <= 80


def test_options_are_explained_in_the_words_of_the_driver() -> None:
    assert option_notes(load("labonn.drivers", "keithley2400"))["off_state"] == '"normal", "zero", "open" or "guard"'
    assert option_notes(load("labonn.drivers", "stream_adc"))["channels"] == "as the instrument must report them"
    assert option_notes(load("labonn.drivers", "ldc500_tec"))["limit_v"].startswith("of the cooler, written to TILM and TVLM")


def test_every_driver_has_an_example_of_a_link_and_two_ports_have_two() -> None:
    drivers = {name: load("labonn.drivers", name) for name in registered("labonn.drivers")}
    links = {name: example_link(name, driver, ()) for name, driver in drivers.items()}
    assert links["slm_monitor"] == "monitor://1"
    assert links["nidaqmx_out"] == "nidaqmx://Dev1"
    assert all(re.fullmatch(r"[a-z]+://.+", link) for link in links.values()), links
    assert example_link("qontrol", drivers["qontrol"], [links["qontrol"]]) == "serial:///dev/ttyUSB1?baud=115200"


def test_a_change_keeps_the_type_of_its_value() -> None:
    draft = Draft.of('# x\n[ports.a]\ndriver = "qontrol"\n')
    for words in (
        "a.channels=8",
        "a.upper=10 mA",
        'a.link=["serial:///dev/ttyUSB0", "serial:///dev/ttyUSB1"]',
        "a.link=serial:///dev/tty1",
    ):
        change(draft, words)
    assert draft.ports["a"].table == {"driver": "qontrol", "channels": 8, "upper": "10 mA", "link": "serial:///dev/tty1"}
    with pytest.raises(BenchFileError, match=r"NAME\.KEY=VALUE"):
        change(draft, "a.upper=")
    assert draft.ports["a"].links == ["serial:///dev/tty1"]
