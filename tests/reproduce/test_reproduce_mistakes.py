"""Experiments with mistakes in them, names that are taken, folders that cannot be written: told in a line, and the rest stands."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labonn.cli import main
from labonn.reproduce.planning import flat

pytestmark = pytest.mark.usefixtures("unrendered")
Asked, Mine, Done = Callable[..., Any], Callable[..., str], list[tuple[str, int]]
CASES = "    return {\n        case: ["


def error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What it says on stderr, in one line, instead of a table."""
    capsys.readouterr()
    assert main(["reproduce", *words, "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_what_an_experiment_prints_does_not_get_between_the_json(mine: Mine, done: Done, asked: Asked) -> None:
    name = mine(
        "mine", (CASES, f"    print('cases')\n{CASES}"), ("    return [\n        Row(f", "    print('rows')\n    return [\n        Row(f")
    )
    assert len(asked(name)["experiments"]["mine"]["rows"]) == 3
    assert asked(name, "--plan")["jobs"] == 9


def test_cases_of_something_else_than_jobs_are_refused(mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    name = mine("mine", (CASES, f"    return {{'a': [1, 2]}}\n{CASES}"))
    for more in ([], ["--plan"]):
        assert "the experiment mine: cases(choices) has 1 among the jobs of 'a'; wanted are labonn.sweeps.Job" in error(capsys, name, *more)


def test_a_module_that_ends_python_is_no_success(tmp_path: Path, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ends.py").write_text("import sys\nsys.exit()\n")
    assert "./ends.py cannot be imported: it ends Python, by sys.exit" in error(capsys, "./ends.py")


@pytest.mark.parametrize(
    ("given", "message"),
    [('evaluations="many"', "its table cannot be made: "), ('remark=["by half"]', "its table cannot be made: ")],
)
def test_cells_that_cannot_be_told_are_a_problem_of_their_experiment(
    given: str, message: str, mine: Mine, done: Done, asked: Asked
) -> None:
    found = asked(mine("broken", ("by=BY, ", f"by=BY, {given}, ")), mine("fine"), code=2)["experiments"]
    assert len(found["fine"]["rows"]) == 3
    assert found["broken"]["rows"] == []
    assert found["broken"]["problems"][0].startswith(message)


@pytest.mark.parametrize(("returned", "told"), [("[97, None]", ["97", "None"]), ("None", [])])
def test_notes_are_texts_whatever_they_were(returned: str, told: list[str], mine: Mine, done: Done, asked: Asked) -> None:
    found = asked(mine("mine", ('["All of this is <made up> & known."]', returned)))["experiments"]["mine"]
    assert found["notes"] == told
    assert found["problems"] == []


def test_a_result_that_is_no_number_leaves_the_other_rows(mine: Mine, done: Done, asked: Asked) -> None:
    name = mine("mine", ('{"mean": scale * mean}', '{"mean": scale * mean, "lost": [1] if case == "more" else []}'))
    found = asked(name)["experiments"]["mine"]
    assert [row["verdict"] for row in found["rows"]] == ["within", "", "below"]
    assert found["rows"][1]["ours"] == [pytest.approx(98.4), None, pytest.approx(98.6)]
    assert "- case more: 1 of 3 results is no number" in Path("reproduced/mine/table.md").read_text(encoding="utf-8")


def test_cases_may_be_empty_and_have_numbers_for_names_in_a_plan(
    mine: Mine, done: Done, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    name = mine(
        "mine",
        ("        case: [Job", "        **{16: []}, **{case: [Job"),
        ("for case, mean in MEANS.items()\n    }", "for case, mean in MEANS.items()}\n    }"),
    )
    assert asked(name, "--plan")["jobs"] == 9
    assert main(["reproduce", name, "--plan"]) == 0
    assert "16\n  jobs   0 seeds\n" in capsys.readouterr().out


def test_settings_called_steps_need_not_be_those_of_a_run() -> None:
    assert flat({"steps": [1, 2], "rate": 0.5}) == {"steps": "1 2", "rate": "0.5"}
    assert flat({"steps": [["train_chip", {"epochs": 2}]]}) == {"train_chip ": "", "train_chip epochs": "2"}


def test_a_plan_asks_for_mnist_only_where_jobs_need_it(mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("data")
    assert main(["reproduce", mine(), "--plan"]) == 0
    assert "MNIST" not in capsys.readouterr().out
    assert main(["reproduce", "guo-fig3", "--plan"]) == 0
    assert "They need MNIST in data: `labonn data fetch mnist`" in capsys.readouterr().out


def test_two_files_of_one_name_are_refused_and_one_file_given_twice_is_one(
    mine: Mine, done: Done, asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, other = mine(), tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    shutil.copy(name, other)
    told = error(capsys, name, "./other/mine.py")
    assert f"{name} and ./other/mine.py are both called mine, and would write to the same folder" in told
    assert list(asked(name, "./mine.py")["experiments"]) == ["mine"]


def test_names_of_a_sweep_s_own_folders_are_refused(mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    name = mine("runs")
    assert f"{name}: no experiment can be called runs, as a folder of jobs, logs, runs or tries in --out" in error(capsys, name)


def test_a_folder_of_another_encoding_does_not_keep_a_table_from_being_written(mine: Mine, done: Done, asked: Asked) -> None:
    found = asked(mine(), "--data", "d\udcff")["experiments"]["mine"]
    assert found["command"].endswith(" --data 'd?'")
    assert len(found["rows"]) == 3


def test_a_folder_of_an_unknown_user_is_one_that_is_not_there(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--data ~nobody-here/data: no such folder" in error(capsys, "guo-fig3", "--data", "~nobody-here/data")


@pytest.mark.parametrize("place", ["mine", "mine/table.csv", "mine/figure.svg"])
def test_a_table_that_cannot_be_written_is_one_line_with_its_place(
    place: str, mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]
) -> None:
    name = mine()
    assert main(["reproduce", name, "--quiet"]) == 0
    path = Path("reproduced", place)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.touch() if place == "mine" else path.mkdir()
    told = error(capsys, name)
    assert f"reproduced/mine{place.removeprefix('mine')}: cannot be written: " in told
    assert "once that is mended, the same command goes on" in told


def test_a_report_that_cannot_be_written_says_where(mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", mine(), "--quiet"]) == 0
    Path("reproduced/report.html").mkdir()
    told = error(capsys, "--report")
    assert "reproduced/report.html: cannot be written: Is a directory; " in told
    assert "-o FILE" not in told


def test_stopped_before_there_was_a_job_it_says_nothing_of_jobs(
    mine: Mine, done: Done, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("labonn.cli.reproduce._runner", stopped)
    assert main(["reproduce", mine(), "--quiet"]) == 130
    assert "0 of 0" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [{"rows": [{}]}, {"rows": 3}, {"cases": []}, {"cases": {"a": [3]}}, {"notes": None}, {"problems": 3}],
)
def test_a_page_names_a_table_that_is_not_as_it_should_be_and_has_the_others(
    change: dict[str, Any], mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", mine(), mine("other"), "--quiet"]) == 0
    path = Path("reproduced/mine/table.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    assert main(["reproduce", "--report"]) == 0
    page = Path("reproduced/report.html").read_text(encoding="utf-8")
    assert "mine/table.json cannot be read: " in page
    assert 'id="of-mine"' not in page
    assert 'id="of-other"' in page


@pytest.mark.parametrize("change", [{"settings": "x"}, {"versions": [1]}])
def test_a_page_takes_a_job_s_broken_file_as_not_finished(change: dict[str, Any], mine: Mine, done: Done) -> None:
    assert main(["reproduce", mine(), "--quiet"]) == 0
    path = next(Path("reproduced/jobs").iterdir())
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    assert main(["reproduce", "--report"]) == 0
    assert "8 of 9 jobs finished" in Path("reproduced/report.html").read_text(encoding="utf-8")


def test_links_of_a_page_lead_to_files_whatever_they_are_called(mine: Mine, done: Done) -> None:
    assert main(["reproduce", mine("10% more #2"), "--quiet", "--report"]) == 0
    assert 'href="10%25%20more%20%232/table.csv"' in Path("reproduced/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [("--out", "locked/o", "./mine.py"), ("--out", "locked/o", "--report"), ("./locked/mine.py",)])
def test_a_folder_that_may_not_be_looked_into_is_told_in_one_line(
    words: tuple[str, ...], mine: Mine, done: Done, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine()
    look = os.stat

    def refused(path: Any, **more: Any) -> Any:
        if "locked/" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **more)

    monkeypatch.setattr("os.stat", refused)
    assert "locked" in error(capsys, *words)


def test_a_file_where_the_folder_should_be_is_no_broken_result(mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert main(["reproduce", mine(), "--quiet", "--out", "file/o"]) == 2
    assert "no result of a job" not in capsys.readouterr().err
