"""A table as text, for a terminal, a README or a page: columns, and what has to be said below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labonn.reproduce.numbers import difference, measured, printed, single
from labonn.reproduce.rows import FEWEST

BAD = ("below", "above", "other")


@dataclass(frozen=True)
class Laid:
    """A table as text.

    Attributes:
        head, rows: cells. bad: rows that are worse than the paper, or miss their aim. below: lines under the table.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    bad: Sequence[int]
    below: Sequence[str]


def laid(table: Mapping[str, Any]) -> Laid:
    """A table, as table.json has it, as text; letters in brackets refer to the lines below that say how a row came about."""
    rows = table["rows"]
    units = {row["unit"] for row in rows}
    counts = {len(row["ours"]) for row in rows if row["data"]} or {len(row["ours"]) for row in rows}
    papers, judged = any(row["paper"] is not None for row in rows), any(row["difference"] is not None for row in rows)
    unit = f", {next(iter(units))}" if len(units) == 1 and units - {"", "1"} else ""
    seeds = f" ({_seeds(next(iter(counts)))})" if len(counts) == 1 and counts - {0} and any(row["data"] for row in rows) else ""
    marks, below = _sources(rows)
    columns: dict[str, list[str]] = {"what": [f"{row['what']}{mark}" for row, mark in zip(rows, marks, strict=True)]}
    if papers:
        columns[f"paper{unit}"] = [printed(row["paper"], row["paper_sd"]) for row in rows]
    columns[f"ours{unit}{seeds}"] = [_ours(row, bool(seeds) and len(row["ours"]) in counts) for row in rows]
    if not unit and units - {"", "1"}:
        columns["unit"] = ["" if row["unit"] == "1" else row["unit"] for row in rows]
    if judged:
        columns["difference"] = [difference(row["difference"], row["sd"]) for row in rows]
        columns["verdict"] = [row["verdict"] for row in rows]
    bad = [place for place, row in enumerate(rows) if row["verdict"] in BAD or row["reached"] is False]
    cells = [list(line) for line in zip(*columns.values(), strict=True)]
    return Laid(list(columns), cells, bad, [*below, *_aims(rows), *_doubts(rows), *_remarks(rows)])


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _ours(row: Mapping[str, Any], told: bool) -> str:
    text = measured(row["mean"], row["sd"])
    return text if told or not row["data"] or row["mean"] is None else f"{text} ({len(row['ours'])})"


def _sources(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """A mark for each row, and what the marks say."""
    groups: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["by"] or row["data"]:
            groups.setdefault((row["by"], row["data"]), []).extend([row["evaluations"]] if row["evaluations"] is not None else [])
    lines = {key: "; ".join(part for part in (*key, _range(counts)) if part) for key, counts in groups.items()}
    if len(lines) == 1 and all(row["by"] or row["data"] for row in rows):
        return [""] * len(rows), list(lines.values())
    marks = {key: f" [{_letters(place)}]" for place, key in enumerate(lines)}
    return [marks.get((row["by"], row["data"]), "") for row in rows], [f"{marks[key].strip()} {line}" for key, line in lines.items()]


def _letters(place: int) -> str:
    return chr(ord("a") + place) if place < 26 else _letters(place // 26 - 1) + _letters(place % 26)


def _range(counts: Sequence[float]) -> str:
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f"{single(low)}{f' to {single(high)}' if single(high) != single(low) else ''} hardware evaluations a run"


def _aims(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    told = {True: ": reached", False: ": missed", None: ""}
    found = []
    for row in rows:
        if row["aim"] is not None:
            side = "most" if row["higher"] is False else "least"
            found.append(f"{row['what']}: to be at {side} {row['aim']:g}{_unit(row)}{told[row['reached']]}")
    return found


def _unit(row: Mapping[str, Any]) -> str:
    return f" {row['unit']}" if row["unit"] not in ("", "1") else ""


def _doubts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why a row says nothing."""
    found = []
    for row in rows:
        lost, count = sum(number is None for number in row["ours"]), len(row["ours"])
        if not count:
            found.append(f"{row['what']}: no result yet")
        elif lost:
            found.append(f"{row['what']}: {lost} of {count} results {'is' if lost == 1 else 'are'} no number")
    few = [row for row in rows if row["difference"] is not None and not row["verdict"]]
    return [*found, f"fewer than {FEWEST} seeds have no standard deviation to judge by: no verdict"] if few else found


def _remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same one of several rows once."""
    by: dict[str, list[str]] = {}
    for row in rows:
        if row["remark"]:
            by.setdefault(row["remark"], []).append(row["what"])
    return [remark if len(whats) == len(rows) > 1 else f"{'; '.join(whats)}: {remark}" for remark, whats in by.items()]
