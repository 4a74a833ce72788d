"""labonn exec: programs as they are, on a simulated bench: PyVISA scripts and PyMeasure, their arguments, exit codes and tracebacks."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from labonn.cli import main
from labonn.clock import SimulatedClock
from labonn.executing import sleeping_on

BENCH = """
[ports.source]
driver = "keithley2400"
link = "visa://GPIB0::24::INSTR"

[ports.out]
driver = "stream_adc"
link = "zmq://127.0.0.1:5571"
role = "trigger"
channels = 4

[simulation]
bench = "unlit"
"""
PLAIN = """
import pyvisa
with pyvisa.ResourceManager().open_resource("GPIB0::24::INSTR") as meter:
    meter.write(":SOUR:FUNC CURR;:SOUR:CURR 0.002;:SENS:FUNC 'VOLT';:FORM:ELEM VOLT;:OUTP ON")
    print(f"{float(meter.query(':READ?')):.3f} V across {__name__}")
"""
PYMEASURE = """
import sys, time, warnings
warnings.simplefilter("ignore")
from pymeasure.instruments.keithley import Keithley2400
meter = Keithley2400("GPIB::24")
meter.apply_current(0.01, compliance_voltage=1)
meter.source_current = 0.004
meter.enable_source()
meter.measure_voltage()
time.sleep(3600)
print(f"{meter.voltage:.3f} V, {int(meter.next_error[0])}, {sys.argv[1:]}")
meter.shutdown()
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "bench.toml"
    path.write_text(BENCH, encoding="utf-8")
    return path


def script(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text, encoding="utf-8")
    return str(path)


def execute(bench: Path, text: str, *options: str, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labonn.cli", "exec", "--bench", str(bench), *options, script(bench.parent, text), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_plain_script_measures_the_emulated_load(bench: Path) -> None:
    done = execute(bench, PLAIN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.040 V across __main__\n", "")  # 2 mA through 20 ohm


def test_pymeasure_runs_unchanged_and_an_hour_of_waiting_costs_nothing(bench: Path) -> None:
    began = time.monotonic()
    done = execute(bench, PYMEASURE, arguments=("--bench", "mine", "-v"))
    assert (done.stdout, done.returncode) == ("0.080 V, 0, ['--bench', 'mine', '-v']\n", 0), done.stderr
    assert time.monotonic() - began < 50


def test_a_seed_makes_two_runs_the_same_and_another_seed_another(bench: Path) -> None:
    text = PLAIN.replace(":.3f", ":.9f").replace(":FORM", ":SYST:AZER OFF;:FORM")
    first, again, other = (execute(bench, text, "--seed", seed).stdout for seed in ("1", "1", "2"))
    assert first == again != other


def test_an_exception_ends_with_its_traceback_from_the_program_on_and_code_1(bench: Path) -> None:
    done = execute(bench, "import pyvisa\nmeter = pyvisa.ResourceManager().open_resource('GPIB0::24::INSTR')\nprint(1)\nmeter.read()\n")
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert done.stderr.startswith(f'Traceback (most recent call last):\n  File "{bench.parent}/program.py", line 4, in <module>\n')
    assert done.stderr.rstrip().endswith("VI_ERROR_TMO (-1073807339): Timeout expired before operation completed.")


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [("sys.exit(7)", 7, ""), ("sys.exit()", 0, ""), ("sys.exit('no light')", 1, "no light\n"), ("1 +", 1, "SyntaxError")],
)
def test_exit_codes_are_the_programs_own(
    bench: Path, ending: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    assert main(["exec", "--bench", str(bench), script(bench.parent, f"import sys\n{ending}\n")]) == code
    assert told in capsys.readouterr().err


def test_neighbours_are_imported_and_everything_is_as_before_at_the_end(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench.parent / "its_helper.py").write_text("WORD = 'found'\n")
    before = (list(sys.path), list(sys.argv), time.sleep)
    assert main(["exec", "--bench", str(bench), script(bench.parent, "import its_helper\nprint(its_helper.WORD)\n")]) == 0
    assert capsys.readouterr().out == "found\n"
    assert (sys.path, sys.argv, time.sleep) == before
    assert sys.modules.pop("its_helper")


def test_only_the_default_library_is_replaced_unless_all_are_to_be(bench: Path) -> None:
    text = 'import pyvisa\nprint([type(pyvisa.ResourceManager(n).visalib).__name__ for n in ("", "@labonn", "@py")])\n'
    simulated = "'SimulatedVisaLibrary', 'SimulatedVisaLibrary'"
    assert execute(bench, text).stdout == f"[{simulated}, 'PyVisaLibrary']\n"
    assert execute(bench, text, "--all").stdout == f"[{simulated}, 'SimulatedVisaLibrary']\n"


def test_in_real_time_waiting_takes_its_time(bench: Path) -> None:
    text = "import time\nbegan = time.monotonic()\ntime.sleep(0.3)\nprint(time.monotonic() - began >= 0.3)\n"
    assert execute(bench, text).stdout == "False\n"
    assert execute(bench, text, "--real-time").stdout == "True\n"


def test_other_threads_and_wrong_times_wait_as_before() -> None:
    clock = SimulatedClock()
    sleep = sleeping_on(clock)
    sleep(5.0)
    assert clock.now() == 5.0
    with pytest.raises(ValueError, match="non-negative"):
        sleep(-1.0)
    import threading

    thread = threading.Thread(target=sleep, args=(0.01,))
    thread.start()
    thread.join()
    assert clock.now() == 5.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["SCRIPT"], "the following arguments are required: --bench"),
        (["--bench", "missing.toml", "SCRIPT"], "--bench missing.toml: no such file"),
        (["--bench", "BENCH", "missing.py"], "SCRIPT missing.py: no such file"),
        (["--bench", "BENCH", "--sead", "1", "SCRIPT"], "did you mean --seed?"),
        (["--bench", "SCRIPT", "SCRIPT"], "not TOML"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_line(
    bench: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    program = script(bench.parent, "raise SystemExit('must not run')\n")
    given = [{"SCRIPT": program, "BENCH": str(bench)}.get(word, word) for word in words]
    assert main(["exec", *given]) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert "must not run" not in said.err
    assert len(said.err.splitlines()) == 1
