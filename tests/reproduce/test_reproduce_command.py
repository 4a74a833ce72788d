"""`labonn reproduce` as a user has it: lists, plans, runs, tables, failures."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labonn.cli import main
from labonn.cli.completion_words import fitting
from labonn.reproduce.experiment import experiments

pytestmark = pytest.mark.usefixtures("unrendered")
Asked, Mine, Done = Callable[..., Any], Callable[..., str], list[tuple[str, int]]


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["reproduce", *words, "--quiet"]) == code
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 80
    return out


def test_the_table_has_the_paper_s_number_ours_and_a_verdict(capsys: pytest.CaptureFixture[str], mine: Mine, done: Done) -> None:
    out = told(capsys, mine())
    table = [line.split() for line in out.splitlines() if line.startswith("case")]
    assert [" ".join(line) for line in table[:3]] == [
        "case same 97.3 ± 0.1 97.30 ± 0.10 0 within",
        "case more 97.3 ± 0.1 98.50 ± 0.10 +1.20 better",
        "case less 97.3 ± 0.1 95.00 ± 0.10 -2.30 below",
    ]
    assert "case less: to be at least 96 %: missed" in out
    assert "twin; digits, 60,000 training images\n" in out
    assert "All of this is <made up> & known." in out
    assert len(done) == 9


def test_what_is_finished_is_not_done_again_and_the_files_are_the_same(mine: Mine, done: Done) -> None:
    name = mine()
    assert main(["reproduce", name, "--quiet"]) == 0
    files = {path.name: path.read_bytes() for path in Path("reproduced/mine").iterdir()}
    done.clear()
    assert main(["reproduce", name, "--quiet"]) == 0
    assert done == []
    assert set(files) == {"table.json", "table.csv", "table.md", "figure.pdf", "figure.png", "figure.svg"}
    assert {path.name: path.read_bytes() for path in Path("reproduced/mine").iterdir()} == files


def test_files_say_what_the_screen_says(mine: Mine, done: Done) -> None:
    assert main(["reproduce", mine(), "--quiet"]) == 0
    folder = Path("reproduced/mine")
    table = json.loads((folder / "table.json").read_bytes())
    assert [row["verdict"] for row in table["rows"]] == ["within", "better", "below"]
    assert [len(jobs) for jobs in table["cases"].values()] == [3, 3, 3]
    rows = list(csv.DictReader((folder / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["ours"] for row in rows] == ["97.2 97.3 97.4", "98.4 98.5 98.6", "94.9 95 95.1"]
    text = (folder / "table.md").read_text(encoding="utf-8")
    assert "| case less | 97.3 ± 0.1 | 95.00 ± 0.10 | -2.30 | below |" in text
    assert "- All of this is \\<made up> & known." in text


def test_a_quick_look_says_so_judges_nothing_and_leaves_the_full_table(
    capsys: pytest.CaptureFixture[str], mine: Mine, done: Done, asked: Asked
) -> None:
    name = mine()
    told(capsys, name)
    before = Path("reproduced/mine/table.json").read_bytes()
    out = told(capsys, name, "--quick")
    assert "--quick: a smaller version" in out
    assert not {"within", "better", "below", "missed", "reached", "verdict"} & set(out.replace(":", " ").split())
    assert Path("reproduced/mine/table.json").read_bytes() == before
    found = asked(name, "--quick")
    assert [row["verdict"] for row in found["experiments"]["mine"]["rows"]] == ["", "", ""]
    assert "not comparable" in found["departs"]


@pytest.mark.parametrize("words", [["--data", "mini"], ["--set", "scale=1.001"]])
def test_other_data_or_settings_are_not_judged_either(words: list[str], mine: Mine, done: Done, asked: Asked) -> None:
    found = asked(mine(), *words)["experiments"]["mine"]
    assert [(row["difference"], row["verdict"], row["reached"]) for row in found["rows"]] == [(None, "", None)] * 3
    assert found["folder"] == "reproduced/mine-other"


def test_failed_jobs_are_told_at_the_end_and_the_others_results_stand(capsys: pytest.CaptureFixture[str], mine: Mine, done: Done) -> None:
    name = mine("mine", ('{"mean": scale * mean}', '{"mean": scale * mean, "failing": [1] if case == "more" else []}'))
    out = told(capsys, name, code=2)
    assert "failed: number that is more, seed 1: ValueError: no light in seed 1" in out.replace("\n  ", " ")
    assert "tiny.log" in out
    assert "98.50 ± 0.14 (2)" in out
    assert "fewer than 3 seeds" in out
    assert [line.split()[-1] for line in out.splitlines() if line.startswith(("case same", "case less"))][:2] == ["within", "below"]


def test_a_table_that_cannot_be_made_takes_no_other_along(mine: Mine, done: Done, asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    broken = mine("broken", ("for case in MEANS\n    ]  # fmt", "for case in [*MEANS, 'none']\n    ]  # fmt"))
    fine = mine("fine")
    found = asked(broken, fine, code=2)["experiments"]
    assert len(found["fine"]["rows"]) == 3
    assert found["broken"]["rows"] == []
    assert "its table cannot be made: " in found["broken"]["problems"][0]
    assert "broken.py, line" in found["broken"]["problems"][0]
    assert "KeyError: 'none'" in found["broken"]["problems"][0]
    assert "problem: its table" in told(capsys, broken, fine, code=2)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ('[("a", 97.3)]', "its table cannot be made: rows(choices, found) gives ('a', 97.3); wanted are labonn.reproduce.Row"),
        ("97.3", "its table cannot be made: rows(choices, found) gives 97.3; wanted are labonn.reproduce.Row"),
        ('[Row("accuracy", 97.3)]', "its table cannot be made: "),
    ],
)
def test_rows_that_are_none_are_a_problem_of_their_experiment(returned: str, message: str, mine: Mine, done: Done, asked: Asked) -> None:
    broken = mine("broken", ("    return [\n        Row(f", f"    return {returned}\n    return [\n        Row(f"))
    found = asked(broken, mine("fine"), code=2)["experiments"]
    assert len(found["fine"]["rows"]) == 3
    assert found["broken"]["problems"][0].startswith(message)


def test_cases_without_names_are_refused(mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", mine("mine", ("    return {\n", "    return [1]\n    return {\n"))]) == 2
    assert "the experiment mine: cases(choices) gives [1]; wanted is case -> jobs" in capsys.readouterr().err


def test_a_note_may_be_one_text(mine: Mine, done: Done, asked: Asked) -> None:
    found = asked(mine("mine", ('["All of this is <made up> & known."]', '"All of this is known."')))
    assert found["experiments"]["mine"]["notes"] == ["All of this is known."]


def test_a_figure_that_is_not_made_any_more_does_not_stay(mine: Mine, done: Done) -> None:
    assert main(["reproduce", mine(), "--quiet"]) == 0
    name = mine("mine", ("drawn = new_figure(look, 0.4)", "return None"))
    assert main(["reproduce", name, "--quiet"]) == 0
    assert [path.name for path in Path("reproduced/mine").iterdir() if path.name.startswith("figure")] == []


def test_a_plan_runs_nothing_and_knows_what_is_finished(capsys: pytest.CaptureFixture[str], mine: Mine, done: Done, asked: Asked) -> None:
    name = mine()
    out = told(capsys, name, "--plan", "--workers", "2")
    assert "9 jobs, 0 finished in reproduced; the other 9 take about 2 min, 2 at once" in out  # 9 x 30 s / 2
    assert done == []
    assert not Path("reproduced").exists()
    told(capsys, name, "--seeds", "1")
    found = asked(name, "--plan")
    assert (found["jobs"], found["finished"]) == (9, 3)
    assert [job["finished"] for job in found["experiments"]["mine"]["cases"]["same"]] == [True, False, False]
    assert found["experiments"]["mine"]["cases"]["more"][0]["settings"] == {"mean": 98.5}
    out = told(capsys, name, "--plan")
    assert "3 seeds, 1 finished, about 30 s each" in out
    assert "mean 98.5" in out


@pytest.mark.parametrize(
    ("name", "why"),
    [("guo-fig3e", "what it shows is computed at once"), ("guo-fig4b-kmnist", "KMNIST is not in data: `labonn data fetch kmnist`")],
)
def test_an_experiment_without_jobs_has_a_plan_that_says_why(name: str, why: str, capsys: pytest.CaptureFixture[str], done: Done) -> None:
    out = told(capsys, name, "--plan")
    assert f"no jobs: {why}\n" in out
    assert "0 jobs, 0 finished in reproduced. Nothing was run." in out


def test_a_quick_look_at_other_settings_leaves_the_quick_table(mine: Mine, done: Done, asked: Asked) -> None:
    name = mine()
    folders = [asked(name, "--quick", *more)["experiments"]["mine"]["folder"] for more in ([], ["--set", "scale=1.001"])]
    assert folders == ["reproduced/mine-quick", "reproduced/mine-other"]


def test_the_list_has_every_experiment_with_its_time(capsys: pytest.CaptureFixture[str], done: Done, asked: Asked) -> None:
    names = [one.name for one in experiments(["all"])]
    found = asked()
    assert [row["name"] for row in found["experiments"]] == names
    assert all(row["title"] and row["source"] for row in found["experiments"])
    assert all(row["quick"]["seconds"] <= row["full"]["seconds"] for row in found["experiments"] if row["full"]["jobs"])
    out = told(capsys)
    assert all(any(line.startswith(f"{name} ") for line in out.splitlines()) for name in names)
    assert done == []


def test_without_mnist_the_list_says_what_to_fetch(capsys: pytest.CaptureFixture[str], done: Done) -> None:
    assert "labonn data fetch mnist" not in told(capsys)
    assert "`labonn data fetch mnist`" in told(capsys, "--data", "nowhere")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-thing"], "no experiment is called 'no-such-thing'; `labonn reproduce` lists all"),
        (["guo-fig33"], "did you mean 'guo-fig3"),
        (["./none.py"], "none.py: no such file; an experiment is a Python file or one of `labonn reproduce`"),
        (["./data/"], "data: is a folder; an experiment"),
        (["guo-fig3", "--set", "epochs"], "--set epochs: NAME=VALUE is wanted, as epochs=10"),
        (["guo-fig3", "--set", "epoch=2", "--quick"], "--set epoch=2: no such setting; did you mean epochs?"),
        (["guo-fig3", "--seeds", "0"], "--seeds 0: at least 1"),
        (["--seeds", "0"], "--seeds 0: at least 1"),
        (["--set", "epochs=2", "guo-fig3"], "--set guo-fig3: NAME=VALUE is wanted, as epochs=10; names of experiments stand before --set"),
        (["guo-fig3", "epochs=2"], "settings are given as --set epochs=2"),
        (["guo-fig3", "--quick", "--plan", "--workers", "0"], "--workers 0: at least 1"),
        (["guo-fig3", "--data", "nowhere"], "--data nowhere: no such folder; `labonn data fetch mnist`"),
        (["--report"], "reproduced: no experiment has a table there; `labonn reproduce all --quick --report`"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(words: list[str], message: str, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path("reproduced/jobs").exists()


@pytest.mark.parametrize(("missing", "told"), [("cases", "cases(choices)"), ("rows", "rows(choices, found)")])
def test_a_module_that_is_no_experiment_is_refused(
    missing: str, told: str, mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", mine("mine", (f"def {missing}(", f"def other_{missing}("))]) == 2
    assert f"mine.py: an experiment has a function {told}; this module has none" in capsys.readouterr().err


def test_an_experiment_with_a_mistake_names_its_line(tmp_path: Path, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.py").write_text('"""Wrong."""\nvalue = 1\nvalue.none\n')
    assert main(["reproduce", "./wrong.py"]) == 2
    assert "wrong.py, line 3: AttributeError" in capsys.readouterr().err


def test_an_experiment_that_cannot_make_its_jobs_names_its_line(mine: Mine, done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", mine("mine", ('choices.value("epochs", 50, 8)', "choices.none")), "--plan"]) == 2
    assert re.search(r"the experiment mine: its jobs cannot be made: .*mine\.py, line \d+: AttributeError", capsys.readouterr().err)


def test_names_and_settings_are_completed(tmp_path: Path, done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = [value for value, _ in fitting(["reproduce", ""]).values]
    assert names == [*(one.name for one in experiments(["all"])), "all"]
    assert "guo-fig3" not in [value for value, _ in fitting(["reproduce", "guo-fig3", ""]).values]
    assert [value for value, _ in fitting(["reproduce", "guo-fig3", "--set", "epo"]).values] == ["epochs=50"]
    assert [value for value, _ in fitting(["reproduce", "guo-fig3", "--pl"]).values] == ["--plan"]
