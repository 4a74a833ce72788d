"""A choice in words: what was measured, what every method would give, and why one was taken."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from labonn.planner.agreement import Believed
from labonn.planner.character import Character
from labonn.planner.powers import TINY
from labonn.planner.predictions import Candidate
from labonn.units import format_quantity

WIDTH = 80
HEAD = f"{'method':<10}{'size':>6}{'step':>9}{'settle':>8}{'std. error':>12}{'bias':>10}{'time':>12}{'downhill':>10}"


def reasons(
    c: Character, chosen: Candidate, found: Sequence[Candidate], refused: Mapping[str, Believed], budget_s: float | None
) -> tuple[str, ...]:
    """Lines of at most 80 characters."""
    ranked = _best(chosen, [one for one in found if one.method not in refused], budget_s)
    table = [HEAD, *(_row(one, one.efficiency / chosen.efficiency) for one in ranked)]
    words = [f"{b.name} refused: its cosine with measured light is {b.cosine:.2f} +- {b.error:.2f}" for b in refused.values()]
    words.append(_because(chosen, [one for one in ranked if one.method != chosen.method], budget_s))
    return (*_wrapped(measured(c)), *table, *_wrapped(words))


def measured(c: Character) -> list[str]:
    """The character in a few lines."""
    size = c.gradient.value**0.5
    lag = f"lag {format_quantity(c.slots.tau_s, 's', 3)}" if c.slots.tau_s else "no lag seen"
    length = f"{size:.2g} +- {c.gradient.error / (2 * max(size, TINY)):.1g}" if c.gradient.seen else f"at most {size:.2g}"
    sparse, dithered = (format_quantity(c.slots.length_s + more, "s", 3) for more in (c.costs.sparse_s, c.costs.dither_s))
    guessed = "" if c.dithered else " (too slow to be tried: drawn out from fewer, and so is all of dithers below)"
    return [
        f"measured with {c.settings} settings in {format_quantity(c.seconds, 's', 3)}: loss {c.noise.loss:.4g}, "
        f"noise {c.noise.sigma:.2g} a setting, |gradient| {length}, {lag}, drift {c.noise.drift_per_s:.2g}/s",
        f"rms f'' {2 * c.second.value**0.5:.2g} and f''' {6 * c.both.law:.2g} of a parameter, f''' {6 * c.along.law:.2g} along signs",
        f"a setting with one change takes {sparse}, with all {dithered}{guessed}, a table {format_quantity(c.costs.table_s, 's', 3)}",
    ]


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, WIDTH)]


def _best(chosen: Candidate, found: Sequence[Candidate], budget_s: float | None) -> list[Candidate]:
    """The best of each method, best first; of those that fit the budget where there is one."""
    best = {chosen.method: chosen}
    for one in sorted(found, key=lambda one: (not _fits(one, budget_s), -one.efficiency)):
        best.setdefault(one.method, one)
    return sorted(best.values(), key=lambda one: -one.efficiency)


def _fits(one: Candidate, budget_s: float | None) -> bool:
    return budget_s is None or one.seconds <= budget_s


def _row(one: Candidate, relative: float) -> str:
    size, step = str(one.size) if one.size else "-", f"{one.step:.2g}" if one.step else "-"
    return (
        f"{one.method:<10}{size:>6}{step:>9}{one.slots.settle:>8}{one.standard_error:>12.2g}{one.bias:>10.2g}"
        f"{format_quantity(one.seconds, 's', 3):>12}{relative:>10.2g}"
    )


def _because(chosen: Candidate, others: Sequence[Candidate], budget_s: float | None) -> str:
    """One sentence."""
    late = [one for one in others if not _fits(one, budget_s) and one.efficiency > chosen.efficiency]
    allowed = format_quantity(budget_s or 0.0, "s", 3)
    more = f"; {late[0].method} would go further, but takes more than the {allowed} allowed" if late else ""
    fitting = [one for one in others if _fits(one, budget_s)]
    if not fitting:
        return f"{chosen.method}, because nothing else was to choose from{more}"
    second = fitting[0]
    wrong, other = ((one.standard_error**2 + one.bias**2) ** 0.5 for one in (chosen, second))
    gain = chosen.efficiency / second.efficiency
    ahead = f"it goes {gain:.2g} times as far downhill a second as {second.method}" if gain > 1 else f"{second.method} is hardly better"
    costs = f"{chosen.seconds / second.seconds:.2g} times its time, {wrong / max(other, TINY):.2g} times its error"
    return f"{chosen.method}, because {ahead}: {costs}{more}"
