"""What commands print: 80 columns where nobody looks at a terminal, one JSON object with --json, colours only where they are wanted."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labonn.cli import COMMANDS, main
from labonn.cli.completion_parsers import Book
from labonn.cli.output import coloured, columns, folded, paint, result_lines
from labonn.cli.runs_text import listing
from labonn.record.finding import Summary
from labonn.registry import registered

NOTE = "5,000 + 1,000 images of MNIST, as many of each digit, drawn at random; not more"
BENCHES = Path(__file__).parents[2] / "procedures" / "benches"
TRAIN = ["run", "train_vapour_cell", "--dry-run", "--hidden", "8", "--limit", "320", "--epochs", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab's folder: a training that ended well, one that failed, two calibrations, all by the commands themselves."""
    place, patch = tmp_path_factory.mktemp("lab"), pytest.MonkeyPatch()
    patch.chdir(place)
    assert main(TRAIN) == 0
    assert main([*TRAIN, "--fault", "output:timeout@30x*"]) == 2
    for seed in ("1", "2"):
        assert main(["run", "calibrate_modulators", "--dry-run", "--bench", "modulator_row", "--seed", seed]) == 0
    yield place
    patch.undo()


@pytest.fixture
def ids(folder: Path) -> list[str]:
    return [path.stem for path in sorted((folder / "calibrations").glob("*.npz"))]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def wide(text: str) -> list[str]:
    """Lines that do not fit; a path or URL that is longer on its own may stand alone."""
    return [line for line in text.splitlines() if len(line) > 80 and " " in line.strip()]


SHOWN = [
    ["runs", "list"],
    ["runs", "show", "latest"],
    ["procedures"],
    ["instruments"],
    ["status"],
    ["data", "show", "mini"],
    ["calibrations", "list"],
    *([["check", "--dry-run", "--bench", bench.stem] for bench in sorted(BENCHES.glob("*.toml")) if "chip" not in bench.stem]),
]


@pytest.mark.parametrize("command", SHOWN, ids=lambda words: " ".join(word.rpartition("/")[2] for word in words))
def test_what_a_command_shows_fits_80_columns_and_has_no_colours(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main(command) == 0
    told = capsys.readouterr().out
    assert len(told) > 20
    assert wide(told) == []
    assert "\x1b" not in told
    assert "…" not in told or command[0] != "runs"


def test_every_run_and_calibration_is_shown_in_80_columns(folder: Path, ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for run in (folder / "runs").iterdir():
        assert main(["runs", "show", run.name]) == 0
    for id in ids:
        assert main(["calibrations", "show", id]) == 0
    assert main(["calibrations", "diff", *ids[:2]]) == 0
    assert main(["calibrations", "use", ids[0]]) == 0
    told = capsys.readouterr().out
    assert wide(told) == []
    assert "UnknownStateError" in told or "LinkError" in told or "failed" in told


@pytest.mark.parametrize("name", sorted(registered("labonn.emulators")))
def test_what_an_emulator_does_is_told_in_80_columns(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["instruments", name, "--commands"]) == 0
    assert wide(capsys.readouterr().out) == []


def test_the_help_of_every_command_and_procedure_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    book, asked = Book("/nonexistent", ""), [["--help"], *([command, "--help"] for command in COMMANDS)]
    asked += [[command, sub, "--help"] for command in COMMANDS for sub in book.command(command)["commands"]]
    asked += [["run", name, "--help"] for name in registered("labonn.procedures")]
    assert len(asked) > 40
    for words in asked:
        assert main(words) == 0, words
        assert wide(capsys.readouterr().out) == [], words


def test_a_run_s_result_fits_80_columns_and_goes_on_below_the_value() -> None:
    first, second = result_lines({"steps": 6320, "note": NOTE})[1:]
    assert first == "note   5,000 + 1,000 images of MNIST, as many of each digit, drawn at random;"
    assert second == "       not more"


JSON = [
    ["runs", "list"],
    ["runs", "show", "latest"],
    ["runs", "export", "latest", "--csv", "tables"],
    ["procedures"],
    ["instruments"],
    ["instruments", "qontrol", "--commands"],
    ["status"],
    ["data", "show", "mini"],
    ["calibrations", "list"],
    ["check", "--dry-run", "--bench", str(BENCHES / "desk.toml")],
    ["keys", "new", "laptop", "--dir", "keys"],
    [*TRAIN, "--epochs", "1"],
    ["run", "calibrate_all", "--dry-run", "--bench", "modulator_row", "--calibrations", "others"],
]


@pytest.mark.parametrize("command", JSON, ids=lambda words: " ".join(word.rpartition("/")[2] for word in words[:2]))
def test_json_is_one_object_on_stdout_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    shutil.rmtree(folder / "tables", ignore_errors=True)
    assert main([*command, "--json"]) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert isinstance(json.loads(told), dict)


def test_quiet_leaves_the_result_alone_on_stdout_and_nothing_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "test accuracy" in told.out
    assert main(["run", "train_vapour_cell", "--resume", "latest", "--epochs", "3", "--quiet", "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert json.loads(told.out)["result"]["steps"] == 15


def test_quiet_still_tells_what_went_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--quiet", "--fault", "output:timeout@30x*"]) == 2
    told = capsys.readouterr().err
    assert "labonn: error: sim://output/0: no reply within 2 s" in told
    assert "step" not in told.partition("labonn:")[0]


def test_json_without_quiet_has_its_progress_as_plain_lines_on_stderr(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--json"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("train_vapour_cell: epoch 1, step 5/10, loss 0.")
    assert told.err.splitlines()[-1].endswith(", took 0:00") or ", took 0:0" in told.err
    assert json.loads(told.out)["status"] == "finished"


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets stdout and the environment."""

    def use(terminal: bool, **environment: str) -> None:
        monkeypatch.setattr("sys.stdout", Terminal() if terminal else io.StringIO())
        for name, value in {"TERM": "xterm", **environment}.items():
            monkeypatch.setenv(name, value)

    return use


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_and_for_who_asks(
    shell: Callable[..., None], terminal: bool, environment: dict[str, str], wanted: bool
) -> None:
    shell(terminal, **environment)
    assert coloured() is wanted
    assert (paint("died", "red") == "\x1b[31mdied\x1b[0m") is wanted
    assert paint("finished", None) == "finished"


def summary(status: str, procedure: str = "train_chip") -> Summary:
    return Summary("20260101T120000Z", Path("runs/x"), procedure, status, 12345, ("accuracy", 0.9), 0.0, 100_000.0)


def test_only_a_status_that_is_not_usual_has_a_colour_and_columns_stay_in_line(shell: Callable[..., None]) -> None:
    found = [summary(status) for status in ("running", "failed", "died", "finished", "interrupted")]
    shell(False)
    plain = listing(found).splitlines()
    shell(True)
    rows = listing(found).splitlines()
    assert [row.count("\x1b[") for row in rows] == [0, 2, 2, 2, 0, 0]
    assert "\x1b[32mrunning" in rows[1]
    assert "\x1b[31mfailed" in rows[2]
    assert "\x1b[31mdied" in rows[3]
    assert len({row.index("12,345") for row in plain[1:]}) == 1
    assert plain[1].endswith("27:46:40")


def test_a_wide_terminal_is_used_and_a_narrow_one_cuts_only_the_procedure(
    shell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [summary("interrupted", "calibrate_" + "very_" * 6 + "long")]
    shell(False)
    assert max(map(len, listing(found).splitlines())) == 80
    assert "…" in listing(found)
    shell(True)
    monkeypatch.setenv("COLUMNS", "200")
    assert columns() == 200
    assert found[0].procedure in listing(found)
    monkeypatch.setenv("COLUMNS", "10")
    assert columns() == 40


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("short", ["short"]),
        ("  a bb ccc dddd eeeee", ["  a bb ccc", "    dddd", "    eeeee"]),
        ("label  aaaa bbbb cccc", ["label  aaaa", "  bbbb cccc"]),
        ("x  aaaa bbbb cccc", ["x  aaaa bbbb", "   cccc"]),
        ("ids: a1,b2,c3,d4,e5", ["ids: a1,b2,", "  c3,d4,e5"]),
        ("see /a/very/long/path/to there", ["see /a/very/long/path/to", "  there"]),
        ("", [""]),
    ],
)
def test_a_long_line_goes_on_below(line: str, rows: list[str]) -> None:
    assert folded(line, 12) == rows
