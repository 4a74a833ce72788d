"""What differs between runs: settings, versions, calibrations, bench files, results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from labonn.dash.about import bench_file_of, flat
from labonn.dash.problems import BadQuestionError
from labonn.dash.watched import Watched

MOST_RUNS = 20
NOT_SETTINGS = {"command", "procedure"}  # the command says once more what the options say


def compared(runs: Sequence[Watched]) -> dict[str, Any]:
    """How many settings are the same, and those that are not with their values, run by run.

    Raises:
        BadQuestionError: of one run, or of very many.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise BadQuestionError(f"runs: {len(runs)} named; 2 to {MOST_RUNS} can be compared: ?runs=NAME,NAME")
    pages = [_page(run) for run in runs]
    keys = dict.fromkeys(key for page in pages for key in page)
    rows = {key: [page.get(key) for page in pages] for key in keys if key != "bench file"}
    different = [{"key": key, "values": values} for key, values in rows.items() if any(value != values[0] for value in values)]
    files = [page["bench file"] for page in pages]
    same = len(rows) - len(different)
    if any(file != files[0] for file in files):
        different.append({"key": "bench file", "values": first_difference(files)})
    return {"runs": [run.folder.name for run in runs], "same": same, "different": different}


def first_difference(texts: Sequence[str]) -> list[str]:
    """Of each text the first line in which they differ, with its number."""
    for number, lines in enumerate(zip_longest(*(text.splitlines() for text in texts), fillvalue=""), start=1):
        if any(line != lines[0] for line in lines):
            return [f"line {number}: {line.strip() or '(nothing)'}" for line in lines]
    return ["(line ends differ)" for _ in texts]


def _page(run: Watched) -> dict[str, Any]:
    with run.visit() as (record, _):
        sessions = record.sessions()
        last: Mapping[str, Any] = sessions[-1] if sessions else {}
        settings = {key: value for key, value in (last.get("settings") or {}).items() if key not in (*NOT_SETTINGS, "versions")}
        page = {"procedure": last.get("procedure"), **flat(settings)}
        page |= {f"versions.{key}": value for key, value in (last.get("versions") or {}).items()}
        page |= {f"calibrations.{key}": value for key, value in dict(last.get("calibrations") or {}).items()}
        page |= flat({"result": last.get("result") or {}}) if last.get("result") else {}
        return page | {"bench file": bench_file_of(record)}
