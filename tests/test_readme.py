"""The README says nothing that is not so: commands, options, ports, files, links and code."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labonn import benchfile, registry
from labonn.channels import ChannelSpec
from labonn.cli import COMMANDS
from labonn.cli.run_options import parser_of
from labonn.errors import LimitError
from labonn.links import _BACKENDS
from labonn.procedures import load

ROOT = Path(__file__).parents[1]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "drivers/README.md", "drivers/STREAM_PROTOCOL.md")}
README = TEXTS["README.md"]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def shown_after(code: str) -> str:
    """The block of text that follows a block of code."""
    return blocks("text", README.partition(code)[2])[0]


def cells() -> list[tuple[str, str]]:
    """Every cell of the notebook, with what is shown to come out of it; nothing, if nothing is shown."""
    section = README.partition("\n## In a notebook\n")[2].partition("\n## ")[0]
    parts = re.findall(r"^```(python|text)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    following = [*parts[1:], ("", "")]
    pairs = zip(parts, following, strict=True)
    return [(text, after if told == "text" else "") for (kind, text), (told, after) in pairs if kind == "python"]


def commands() -> list[list[str]]:
    """Every `labonn …` of the README, in blocks and in running text."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    parts = [part for line in [*re.findall(r"`(labonn [^`]+)`", README), *lines] for part in re.split(r"\s&&\s", line)]
    return [shlex.split(part, comments=True)[1:] for part in parts if re.match(r"(\.venv/bin/)?labonn ", part)]


def option_rows() -> list[str]:
    """What the table of options says to add to the command."""
    section = README.partition("## Options worth trying")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(--[^`]+)` \|", section, re.MULTILINE)


def test_there_is_something_to_check() -> None:
    assert len(commands()) >= 6
    assert len(option_rows()) >= 8
    assert len(blocks("sh")) >= 4


@pytest.mark.parametrize("arguments", commands(), ids=shlex.join)
def test_every_command_exists_with_its_options(arguments: list[str]) -> None:
    assert arguments[0] in COMMANDS
    if arguments[0] == "run" and len(arguments) > 1 and "--help" not in arguments and "./mine.py" not in arguments:
        parser_of(load(arguments[1])).parse_args(arguments[1:])


@pytest.mark.parametrize("options", option_rows())
def test_every_option_worth_trying_is_accepted(options: str) -> None:
    procedure = load("train_vapour_cell")
    args = parser_of(procedure).parse_args([procedure.name, "--dry-run", *shlex.split(options.replace("DIR", "mini"))])
    check = procedure.hook("check")
    assert check is not None
    check(args)


def test_the_main_command_and_the_test_command_stand_alone_on_one_line_each() -> None:
    install, test = (line for block in blocks("sh") for line in block.splitlines() if line.startswith("python3 -m venv"))
    assert install.endswith("labonn run train_vapour_cell --dry-run")
    assert test.endswith("pytest -n auto")
    extras = re.search(r'pip install -q -e "\.\[(\w+)\]"', test)
    assert extras is not None
    assert extras[1] in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def test_continuous_integration_runs_the_two_commands_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    endings = re.findall(r'readme "([^"]+)"', script)
    assert len(endings) == 2
    for ending in endings:
        assert len(re.findall(rf"^python3 .*{re.escape(ending)}$", README, re.MULTILINE)) == 1
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


@pytest.mark.parametrize("file", TEXTS)
def test_every_link_and_every_file_it_names_is_there(file: str) -> None:
    folder = (ROOT / file).parent
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", TEXTS[file]) if "://" not in t]
    named = [t for t in re.findall(r"`([\w./]+\.(?:py|md|toml)|[a-z_]+/)`", TEXTS[file]) if "/" in t]
    headings = {f"#{re.sub(r'[^a-z0-9-]', '', h.lower().replace(' ', '-'))}" for h in re.findall(r"^#+ (.+)$", TEXTS[file], re.MULTILINE)}
    missing = [t for t in targets if t not in headings and not (folder / t.partition("#")[0]).exists()]
    missing += [t for t in named if not t.startswith("./") and not any((base / t).exists() for base in (ROOT, folder, *ROOT.glob("*/")))]
    assert missing == []


def test_the_bench_file_example_is_one_and_its_limit_tightens() -> None:
    example, *_ = blocks("toml")
    port = benchfile.parse(example + 'role = "trigger"\n', "example").ports["gain"]
    lower, upper = port.limits("A", port.options.channels, "example")
    assert (lower, upper) == (None, [0.024] * 3)


def test_the_protection_example_is_understood_and_keeps_what_it_says() -> None:
    ports = '[ports.heaters]\ndriver = "stream_dac"\nlink = "zmq://127.0.0.1:9"\nchannels = 2\nrole = "trigger"\n'
    ports += '[ports.ovens]\ndriver = "meerstetter"\nlink = "serial:///dev/ttyUSB0"\n'
    example = blocks("toml")[1].replace("[ports.heaters]\n", "")
    slew, _, rest = example.partition("\n\n")
    file = benchfile.parse(ports.replace('role = "trigger"\n', f'role = "trigger"\n{slew}\n') + rest, "example")
    assert (len(file.limits), len(file.interlocks)) == (1, 1)


def test_ports_links_and_simulation_tables_have_the_names_that_the_readme_uses() -> None:
    shipped = benchfile.read(ROOT / "procedures/benches/vapour_cell.toml")
    assert {"weights1", "weights3", "gain", "ovens", "input", "forward_in"} <= set(shipped.ports)
    schemes = set(re.findall(r"`(\w+)://`", README))
    assert schemes - {"monitor", "slmpy", "nidaqmx"} == set(_BACKENDS)
    parts = registry.load("labonn.benches", "vapour_cell").__module__.replace("vapour_cell", "vapour_light")
    named = re.search(r"\(`\[simulation\.(\w+)\]`((?:, `\.\w+`)+)", README)
    assert named is not None
    assert {named[1], *re.findall(r"\w+", named[2])} == set(sys.modules[parts].PARTS)


def test_the_example_plan_runs_and_prints_what_the_readme_shows() -> None:
    *_, example = blocks("python")
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    shown = blocks("text")[-1]
    assert done.stdout.splitlines()[-1] == shown.splitlines()[-1]
    measured, printed = ([float(n) for n in re.findall(r"-?\d+\.\d*", text.splitlines()[0])] for text in (done.stdout, shown))
    assert len(measured) == 8
    assert measured == pytest.approx(printed, abs=0.3)


def run_cell(code: str, names: dict[str, Any]) -> Any:
    """As a notebook does: the value of a last line that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "README.md", "exec"), names)
    return eval(compile(ast.Expression(last.value), "README.md", "eval"), names) if isinstance(last, ast.Expr) else None


def apart(text: str) -> tuple[str, list[float]]:
    """Words, and numbers, which may differ a little from computer to computer."""
    number = r"(?<![\w-])-?\d+(?:\.\d+)?"
    return " ".join(re.sub(number, "N", text).split()), [float(found) for found in re.findall(number, text)]


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["beginning", "whole"])
def test_the_notebook_runs_cell_by_cell_and_shows_what_the_readme_shows(
    whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xarray")
    (tmp_path / "procedures").symlink_to(ROOT / "procedures")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, Any] = {}
    found = cells()
    wanted = found if whole else list(itertools.takewhile(lambda cell: "labonn.run(" not in cell[0], found))
    assert (len(found) >= 8, len(wanted) >= 4) == (True, True)
    for code, shown in wanted:
        value = run_cell(code, names)
        printed = capsys.readouterr().out
        words, numbers = apart(shown)
        if shown:
            came, measured = apart(printed or repr(value))
            assert came == words
            assert measured == pytest.approx(numbers, rel=0.05, abs=0.02)
    sys.modules["matplotlib.pyplot"].close("all")


def test_the_pyvisa_program_runs_on_the_desk_and_prints_what_the_readme_shows(tmp_path: Path) -> None:
    script = tmp_path / "li_curve.py"
    program = next(text for text in blocks("python") if "import pyvisa" in text)
    script.write_text(program)
    command = re.search(r"`labonn (exec [^`]+)li_curve.py`", README)
    assert command is not None
    arguments = [sys.executable, "-m", "labonn.cli", *shlex.split(command[1]), str(script)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == shown_after(program).splitlines()


@pytest.mark.slow
def test_a_program_believes_what_calibrate_all_has_kept(tmp_path: Path) -> None:
    command = next(words for words in commands() if words[:2] == ["run", "calibrate_all"])
    store = str(tmp_path / "cal")
    arguments = [sys.executable, "-m", "labonn.cli", *(store if word == "cal" else word for word in command), "--out", str(tmp_path)]
    subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, timeout=300)
    program = next(text for text in blocks("python") if "current(Store(" in text).replace('"cal"', repr(store))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\[[\d. ]+\] \+- \[[\d. e-]+\] V", done.stdout.strip())


def test_the_refusal_that_the_readme_quotes_is_worded_so() -> None:
    quoted = re.search(r"`LimitError: ([^`]+)`", README)
    assert quoted is not None
    spec = ChannelSpec(("ch0",), "V", *([bound] for bound in (-3.6, 3.6, 0, 0)), lower_rule=("bench.toml",))  # type: ignore[arg-type]
    with pytest.raises(LimitError) as refused:
        spec.check("input", np.array([[-7.0]]))
    assert str(refused.value) == quoted[1]


def test_every_driver_has_its_row_in_the_drivers_table_with_its_kind() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| (\w+) \|", TEXTS["drivers/README.md"], re.MULTILINE))
    ours = {name: point for name, point in registry.registered("labonn.drivers").items() if point.module.startswith("drivers.")}
    assert rows == {name: point.load().kind for name, point in ours.items()}


def test_the_run_folder_holds_what_the_table_says(tmp_path: Path) -> None:
    arguments = ["run", "train_vapour_cell", "--dry-run", "--hidden", "8", "--epochs", "1", "--limit", "64", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "labonn.cli", *arguments], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    section = README.partition("| file | holds |")[2].partition("\n\n")[0]
    assert {name for row in section.splitlines() for name in re.findall(r"`([\w.]+)`", row.split("|")[1] if "|" in row else "")} == {
        path.name for path in folder.iterdir()
    }
    shown = [line.partition("  ")[0] for line in blocks("text")[0].splitlines()[3:]]
    printed = [line.partition("  ")[0] for line in done.stdout.splitlines()]
    assert [line.partition(":")[0] for line in shown] == [line.partition(":")[0] for line in printed]
