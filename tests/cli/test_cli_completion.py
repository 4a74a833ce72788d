"""Shell completion: what fits where the cursor is, and the same in real shells."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pytest

from labonn.cli import COMMANDS, main
from labonn.cli.completion_parsers import Book
from labonn.cli.completion_words import fitting
from labonn.registry import registered

LABONN = Path(sys.executable).parent / "labonn"
RUNS = ("20260101T120000Z-train_chip", "20260301T120000Z-train_vapour_cell", "20260301T120000Z-train_vapour_cell-2")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's cache is; filled as the tests need it."""
    place = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(place))
    yield place  # type: ignore[misc]
    patch.undo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with runs, a bench file and calibrations."""
    place = tmp_path_factory.mktemp("work")
    for name in RUNS:
        (place / "runs" / name).mkdir(parents=True)
        (place / "runs" / name / "settings.json").write_text("{}")
    (place / "runs" / "not a run").mkdir()
    (place / "mine.toml").write_text("")
    (place / "calibrations").mkdir()
    rows = (f'{{"id": "{id}", "port": "input", "kind": "modulators"}}\n' for id in ("aa11", "bb22"))
    (place / "calibrations" / "index.jsonl").write_text("".join(rows))
    return place


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def values(*words: str) -> list[str]:
    return [value for value, _ in fitting(words).values]


def test_a_beginning_of_a_command_is_completed_with_its_summary() -> None:
    assert fitting(["ru"]).values == [("run", COMMANDS["run"][:60]), ("runs", COMMANDS["runs"][:60])]
    assert set(COMMANDS) < set(values(""))
    assert values("no-such-command", "") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_completes_its_options_without_being_run(command: str) -> None:
    page = Book("/nonexistent", "").command(command)
    subs = page["commands"].values()
    known = {name for one in (page, *subs) for option in one["options"] for name in option["names"]}
    assert "--help" in known
    assert len(known) > 2 or page["words"]


def test_procedures_complete_and_then_their_own_options() -> None:
    assert values("run", "train_") == ["train_chip", "train_convolution", "train_vapour_cell"]
    assert set(values("run", "")) == set(registered("labonn.procedures"))
    assert values("run", "train_chip", "--gr") == ["--gradient"]
    assert values("run", "train_vapour_cell", "--gr") == []
    assert {"--dry-run", "--steps", "--quiet"} < set(values("run", "train_chip", "--"))


def test_an_option_before_the_procedure_does_not_hide_it() -> None:
    assert values("run", "--out", "elsewhere", "--dry-run", "train_chip", "--hardware") == ["--hardware-time"]


def test_an_option_that_was_given_is_not_offered_again_unless_it_may_be() -> None:
    given = values("run", "train_chip", "--dry-run", "--fault", "gain:timeout@100", "--")
    assert "--dry-run" not in given
    assert "--fault" in given


def test_choices_are_completed_behind_the_option_also_with_an_equals_sign() -> None:
    assert values("run", "train_chip", "--gradient", "s") == ["subset", "spsa", "shift"]
    assert values("run", "train_chip", "--gradient=s") == ["--gradient=subset", "--gradient=spsa", "--gradient=shift"]
    in_bash = fitting(["run", "train_chip", "--gradient", "=", "s"], joined=True)
    assert [value for value, _ in in_bash.values] == ["subset", "spsa", "shift"]
    assert values("run", "compare_gradients", "--methods", "central", "wa") == ["walsh"]


def test_benches_are_those_of_the_procedure_and_files() -> None:
    found = fitting(["run", "train_chip", "--bench", ""])
    assert [value for value, _ in found.values] == ["pt_chip", "pt_chip_software", "mzi_chip", "mzi_chip_software"]
    assert found.files == "files"
    assert fitting(["check", "--bench", ""]).files == "files"


def test_runs_come_newest_first_and_of_a_resumed_procedure_only() -> None:
    newest_first = ["latest", RUNS[2], RUNS[1], RUNS[0]]
    assert values("runs", "show", "") == newest_first
    assert values("run", "train_vapour_cell", "--resume", "") == newest_first[:3]
    assert values("runs", "show", "--out", "nowhere", "") == []
    assert values("runs", "show", "20260101") == [RUNS[0]]


def test_drivers_emulators_calibrations_and_subcommands_complete() -> None:
    assert values("instruments", "qo") == values("emulate", "qo") == ["qontrol"]
    assert values("calibrations", "ro") == ["rollback"]
    assert values("calibrations", "show", "") == ["bb22", "aa11"]
    assert values("calibrations", "rollback", "input", "") == ["modulators"]
    assert values("data", "fetch", "k") == ["kmnist"]
    assert fitting(["data", "show", ""]).values == [("mini", "")]
    assert fitting(["data", "show", ""]).files == "dirs"
    assert values("completion", "") == ["bash", "zsh", "fish"]


def test_a_file_is_a_procedure_too(folder: Path) -> None:
    text = '"""Mine."""\n\n\ndef options(parser):\n    parser.add_argument("--depth")\n\n\ndef main(bench, args, run):\n    return None\n'
    (folder / "mine.py").write_text(text)
    assert values("run", "./mine.py", "--dep") == ["--depth"]
    (folder / "mine.py").write_text(text.replace("depth", "height"))
    assert values("run", "./mine.py", "--hei") == ["--height"]


def test_the_cache_is_made_anew_when_it_is_of_something_else_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert values("run", "train_") == ["train_chip", "train_convolution", "train_vapour_cell"]
    (file,) = (tmp_path / "labonn").glob("completion-*.json")
    for text in ("{", '{"stamp": "old", "pages": {"names procedures": ["gone"]}}'):
        file.write_text(text)
        assert values("run", "train_") == ["train_chip", "train_convolution", "train_vapour_cell"]


def test_the_help_says_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "--help"]) == 0
    told = capsys.readouterr().out
    assert "labonn completion bash > ~/.local/share/bash-completion/completions/labonn" in told
    assert main(["completion", "tcsh"]) == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err


def ask(*words: str) -> str:
    return subprocess.run([LABONN, "completion", "--words", "bash", "--", *words], capture_output=True, text=True, check=True).stdout


def test_a_tab_takes_less_than_150_ms_of_computing() -> None:
    """Of the process, for on a busy computer the time by the clock says nothing."""
    ask("run", "train_chip", "--gr")
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert ask("run", "train_chip", "--gr") == "none\n--gradient\n"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.15


def script(shell: str, folder: Path) -> Path:
    file = folder / f"completion.{shell}"
    file.write_bytes(subprocess.run([LABONN, "completion", shell], capture_output=True, check=True).stdout)
    return file


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{LABONN.parent}:{os.environ['PATH']}", "PS1": "$ ", "TERM": "dumb"}


def needed(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def bash_replies(folder: Path, words: Sequence[str]) -> list[str]:
    """COMPREPLY of the function, as bash breaks the words."""
    text = f'source {script("bash", folder)}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _labonn; printf \'%s\\n\' "${{COMPREPLY[@]}}"'
    command = [needed("bash"), "--norc", "-c", text, "bash", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "replies"),
    [
        (["labonn", "run", "train_ch"], ["train_chip"]),
        (["labonn", "run", "train_chip", "--gradient", "=", "sp"], ["spsa"]),
        (["labonn", "runs", "show", "2026"], [RUNS[2], RUNS[1], RUNS[0]]),
        (["labonn", "check", "--bench", "mi"], ["mine.toml"]),
        (["labonn", "calibrations", "list", "--calibrations", "ru"], ["runs"]),
    ],
)
def test_bash_gets_these_words(folder: Path, words: list[str], replies: list[str]) -> None:
    (folder / "mine.py").unlink(missing_ok=True)
    assert bash_replies(folder, words) == replies


def test_fish_gets_words_with_their_help(folder: Path) -> None:
    fish = needed("fish")

    def completed(line: str) -> list[str]:
        text = f"source {script('fish', folder)}; complete -C '{line}'"
        done = subprocess.run([fish, "--no-config", "-c", text], capture_output=True, text=True, env=environment(), check=True)
        return done.stdout.splitlines()

    assert completed("labonn run train_ch") == ["train_chip"]
    assert completed("labonn ru") == [f"{name}\t{COMMANDS[name]}" for name in ("run", "runs")]
    assert [line.partition("\t")[0] for line in completed("labonn runs show ")] == ["latest", RUNS[2], RUNS[1], RUNS[0]]
    assert [line.partition("\t")[0] for line in completed("labonn check --bench mine.t")] == ["mine.toml"]


@pytest.mark.parametrize(
    ("shell", "start"),
    [("bash", ["--norc", "--noprofile", "-i"]), ("zsh", ["-f", "-i"])],
)
def test_at_a_real_prompt_tab_completes(folder: Path, shell: str, start: list[str]) -> None:
    ready = "autoload -U compinit; compinit -u -D; " if shell == "zsh" else ""
    terminal = pexpect.spawn(needed(shell), start, env=environment(), encoding="utf-8", dimensions=(40, 120), timeout=15, cwd=str(folder))
    try:
        terminal.sendline(f"{ready}source {script(shell, folder)}; echo rea''dy")
        terminal.expect("ready")
        terminal.send("labonn run train_ch\t")
        terminal.expect(r"train_ch\W*ip ")
        terminal.send("--hardware-t\t")
        terminal.expect(r"hardware-t\W*ime ")
        terminal.send("5 --gradient wal\t")
        terminal.expect(r"wal\W*sh ")
        terminal.send("--bench mine.t\t")
        terminal.expect(r"mine\.t\W*oml")
    finally:
        terminal.close(force=True)
