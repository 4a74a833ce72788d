"""Jobs of an experiment in a page: settings, seeds, run folders and versions, from the files of the finished ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labonn.report.markup import Html, facts, folded, joined, table, tag
from labonn.reproduce.planning import flat, in_words, split
from labonn.showing.words import counted
from labonn.units import duration

Kept = dict[str, Any]  # a file of jobs; empty: the job is not finished
MOST = 60  # jobs that are listed
MOST_WORD = 20  # letters of a version; hashes are longer


def jobs_of(table_of: Mapping[str, Any], out: Path) -> Html:
    """Settings of all cases, their jobs, and what computed them."""
    cases = {str(case): [(one, _kept(out, str(one.get("key")))) for one in some] for case, some in table_of["cases"].items()}
    every = [pair for some in cases.values() for pair in some]
    if not every:
        return tag("p", "It has no jobs: what it shows is computed when its table is made.", class_="soft")
    done = [kept for _, kept in every if kept]
    seeds = sorted({one.get("seed", 0) for one, _ in every})
    pairs: list[tuple[str, object]] = [("seeds", ", ".join(map(str, seeds)) or "none")]
    pairs += [("data", ", ".join(names))] if (names := _data(done)) else []
    pairs.append(
        ("jobs", f"{len(done)} of {counted(len(every), 'job')} finished, {duration(sum(_took(kept) for kept in done))} of one core")
    )
    pairs += [("versions", words) for words in _versions(done)]
    return joined((facts(pairs), _settings(cases), _list(cases)))


def _kept(out: Path, key: str) -> Kept:
    try:
        found = json.loads((out / "jobs" / f"{key}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    whole = isinstance(found, dict) and all(isinstance(found.get(name, {}), dict) for name in ("settings", "versions"))
    return found if whole else {}


def _took(kept: Kept) -> float:
    return float(kept["seconds"]) if isinstance(kept.get("seconds"), (int, float)) else 0.0


def _data(done: Sequence[Kept]) -> list[str]:
    """Data sets by name and content."""
    found = (one for kept in done if isinstance(one := (kept.get("settings") or {}).get("data"), dict))
    words = (f"{one.get('name')}{' (SHA-256 of its files ' + str(one['sha256'])[:12] + '…)' if one.get('sha256') else ''}" for one in found)
    return list(dict.fromkeys(words))


def _versions(done: Sequence[Kept]) -> list[str]:
    """With how many jobs each, where they differ."""
    texts = Counter(", ".join(f"{name} {str(value)[:MOST_WORD]}" for name, value in (kept.get("versions") or {}).items()) for kept in done)
    return [f"{text} ({counted(count, 'job')})" if len(texts) > 1 else text for text, count in texts.items() if text]


def _settings(cases: Mapping[str, Sequence[tuple[dict[str, Any], Kept]]]) -> Html:
    """What all have alike, then each case's own."""
    firsts = {case: next((kept for _, kept in some if kept), {}) for case, some in cases.items()}
    flats = {case: flat(kept.get("settings") or {}) for case, kept in firsts.items() if kept}
    if not flats:
        return Html("")
    alike, own = split(list(flats.values()))
    rows: list[list[object]] = [["all" if len(flats) > 1 else next(iter(flats)), in_words(alike)]] if alike else []
    rows += [[case, in_words(mine)] for case, mine in zip(flats, own, strict=True) if mine]
    works = dict.fromkeys(str(kept.get("work")) for kept in firsts.values() if kept)
    return folded("settings", table(("case", "settings"), rows), tag("p", f"computed by {', '.join(works)}", class_="soft"))


def _list(cases: Mapping[str, Sequence[tuple[dict[str, Any], Kept]]]) -> Html:
    rows = [_row(case, about, kept) for case, some in cases.items() for about, kept in some]
    head = ("case", "seed", "took", "finished", "on", "run")
    more = tag("p", f"and {len(rows) - MOST} more", class_="soft") if len(rows) > MOST else ""
    return folded(f"{counted(len(rows), 'job')} and their runs", table(head, rows[:MOST], (1, 2)), more) if rows else Html("")


def _row(case: str, about: Mapping[str, Any], kept: Kept) -> list[object]:
    if not kept:
        return [case, about.get("seed", ""), "", "not finished", "", ""]
    run = kept.get("run")
    place = tag("a", run, href=quote(f"runs/{run}/")) if isinstance(run, str) else ""
    return [case, about.get("seed", ""), duration(_took(kept)), str(kept.get("finished", "")), str(kept.get("where", "")), place]
