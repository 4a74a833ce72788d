"""The top of a report: dry run or real bench, what was run, how it ended, and its most important numbers."""

from __future__ import annotations

from typing import Any

from labonn.plotting.courses import effort_of
from labonn.plotting.past import Past
from labonn.plotting.training_kinds import test_of
from labonn.report.markup import Html, facts, joined, paragraph, tag
from labonn.report.words import counts_of, label, share, value_of, when
from labonn.showing.words import seconds

KEYS = ("test_accuracy", "validation_accuracy", "steps", "evaluations", "shots", "exchanges", "training_time_s", "bench_time_s")
ENDED = {
    "finished": "It finished.",
    "interrupted": "It was interrupted; what there was until then is below.",
    "failed": "It failed; what there was until then is below.",
    "died": "Its process died without a word; what there was until then is below.",
    "running": "It is still running; this is how far it was when the report was written.",
}


def dry_run(past: Past) -> bool | None:
    """Whether instruments and light were simulated; None: not known."""
    if "dry_run" in past.settings:
        return bool(past.settings["dry_run"])
    return bool(past.sessions[0]["dry_run"]) if past.sessions else None


def banner(past: Past) -> Html:
    """The first line."""
    options, dry = past.options, dry_run(past)
    if options.get("replay"):
        return paragraph("Replay of a tape: no instrument and no simulated light; readings are those of the recorded run.", kind="banner")
    if dry is None:
        return paragraph("Whether this was a dry run or a REAL bench is not on record.", kind="banner real")
    if dry:
        ideal = ", every imperfection off (--ideal)" if past.settings.get("ideal") else ""
        return paragraph(f"Dry run: instruments and light were simulated{ideal}. No hardware was touched.", kind="banner")
    return paragraph("REAL bench: what was commanded went to instruments, and readings are theirs.", kind="banner real")


def status(past: Past) -> Html:
    """How it ended, and why."""
    now = past.summary.status
    told = ENDED.get(now, f"How it ended is not known ({now}).")
    problem = past.outcome.get("problem") or past.summary.problem
    if now in ("failed", "died", "interrupted") and problem:
        return joined((paragraph(told, kind="bad"), paragraph(problem, kind="bad")))
    return paragraph(told, kind=None if now == "finished" else "bad")


def keys(past: Past) -> Html:
    """The most important numbers."""
    result, cells = dict(past.result), list[Html]()
    counts = counts_of(result.get("data"))
    test = test_of(past)
    if test is not None and isinstance(result.get("test_accuracy"), (int, float)):
        counts["test"] = len(test.labels) + test.left_out
    bench_s, shots, exchanges = past.ask(effort_of, (0.0, 0, 0))
    if shots:
        result = {"steps": past.summary.steps or None, "shots": shots, "exchanges": exchanges, "bench_time_s": bench_s} | result
    if "validation_accuracy" not in result and past.summary.best is not None:
        result = {past.summary.best[0]: past.summary.best[1]} | result
    shown = dict.fromkeys((*KEYS[:2], *[name for name in result if name.endswith(("accuracy", "loss"))], *KEYS))
    for name in shown:
        if isinstance(result.get(name), (int, float)):
            cells.append(tag("div", tag("b", value_of(name, result[name], counts)), tag("span", _told(past, name))))
    if past.summary.took_s is not None:
        cells.append(tag("div", tag("b", seconds(past.summary.took_s)), tag("span", "wall time")))
    return tag("div", joined(cells), class_="keys") if cells else Html("")


def _told(past: Past, name: str) -> str:
    """What a number is; a best one so far is none of a result."""
    words = label(name)
    return words if name in past.result or name in KEYS[2:] else f"best {words} so far"


def accuracy_words(past: Past) -> str:
    """The test's accuracy with its error, if there is a test."""
    test = test_of(past)
    return "" if test is None else share(test.accuracy, len(test.labels) + test.left_out)


def who(past: Past) -> Html:
    """Who ran what, when and where."""
    first: dict[str, Any] = past.sessions[0] if past.sessions else {}
    command = first.get("command") or past.settings.get("command") or "not known"
    pairs: list[tuple[str, object]] = [("command", tag("code", command)), ("procedure", past.procedure)]
    bench = past.settings.get("bench") or first.get("bench")
    pairs.append(("bench", bench or "not known"))
    started = first.get("started", past.summary.started)
    by = f" by {first['user']} on {first['host']}" if first.get("user") else ""
    pairs.append(("started", f"{when(started)}{by}"))
    last = past.sessions[-1] if past.sessions else {}
    newest = past.ask(lambda record: record.newest(), {})
    if last.get("ended"):
        pairs.append(("ended", when(last["ended"])))
    elif newest:
        pairs.append(("last sign of life", f"{when(newest.get('time'))}, step {newest.get('step', 0):,}"))
    for later in past.sessions[1:]:
        after = later.get("resumed_after")
        told = "" if after is None else f", after step {after:,}"
        pairs += [("went on", f"{when(later['started'])}{told}, by {later['user']} on {later['host']}")]
    pairs += [("seed", past.settings.get("seed", "not known")), ("folder", past.folder.name)]
    return facts(pairs)
