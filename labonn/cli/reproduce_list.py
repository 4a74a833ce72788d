"""What `labonn reproduce` tells before anything is run: which experiments there are, and what they would do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from labonn.errors import LabonnError
from labonn.reproduce.choices import Choices
from labonn.reproduce.experiment import ALL, GROUP, experiments
from labonn.reproduce.planning import START_S, Case, Planned, in_words, planned, roughly, seconds, split, width
from labonn.reproduce.sets import NOT_THERE
from labonn.sweeps import Job, Store

HINTS = (
    "labonn reproduce NAME --plan   its jobs and settings; nothing is run",
    "labonn reproduce NAME --quick  a first look, with the images that came along",
    "labonn reproduce all --report  everything, and one HTML page of it",
)


def listed(args: Any) -> int:
    """All that are registered, with times and what is finished; 2 if one is broken."""
    from labonn.cli.output import print_json, printing

    workers, rows, problems = width(args.workers), list[dict[str, Any]](), list[str]()
    jobs: dict[str, set[Job]] = {"full": set(), "quick": set()}
    with printing(args.json, args.quiet):
        for name in _names():
            try:
                rows.append(_row(name, args, workers, jobs))
            except LabonnError as problem:
                problems.append(str(problem))
    total = {size: {"jobs": len(some), "seconds": seconds(some, workers)} for size, some in jobs.items()}
    if args.json:
        print_json({"experiments": rows, "problems": problems, "workers": workers, "all": total})
    else:
        _print(rows, total, workers, args)
    for line in problems:
        print(f"labonn: error: {line}", file=sys.stderr)
    return 2 if problems else 0


def _names() -> list[str]:
    from labonn.registry import registered

    return list(registered(GROUP))


def _row(name: str, args: Any, workers: int, jobs: dict[str, set[Job]]) -> dict[str, Any]:
    (one,), store = experiments([name]), Store(args.out)
    row: dict[str, Any] = {"name": one.name, "title": one.title, "source": one.source, "absent": []}
    for size in jobs:
        found = planned(one, Choices(size == "quick", args.seeds, args.data, pretended=True), store)
        jobs[size] |= found.jobs
        row["absent"] = found.absent
        row[size] = {"jobs": len(found.jobs), "finished": len(found.finished), "seconds": seconds(found.jobs, workers)}
    return row


def _print(rows: Sequence[dict[str, Any]], total: dict[str, Any], workers: int, args: Any) -> None:
    from labonn.cli.output import columns, print_lines

    head, space = f"{'full':>12}{'done':>8}{'quick':>10}{'done':>8}", columns()
    print(f"{'experiment':<{space - len(head) - 1}}{head}")
    for row in rows:
        full, quick = row["full"], row["quick"]
        none = "no data" if row["absent"] else "at once"
        cells = f"{_time(full, none):>12}{_done(full):>8}{_time(quick, none):>10}{_done(quick):>8}"
        print(f"{row['name']:<{space - len(cells) - 1}}{cells}")
        print_lines([f"  {row['title'].rstrip('.')}{' (' + row['source'] + ')' if row['source'] else ''}"])
    cells = f"{_time(total['full'], '-'):>12}{'':>8}{_time(total['quick'], '-'):>10}{'':>8}"
    print(f"{ALL:<{space - len(cells) - 1}}{cells}".rstrip())
    cores = f"{workers} job{'s' if workers > 1 else ''} at once"
    print_lines(["", f"Times are estimates with {cores}; done: results in {args.out}."])
    print_lines([*_missing(args), "", *HINTS])


def _missing(args: Any) -> list[str]:
    """Data sets that are not there, and how to get them."""
    lines = [] if _there("mnist", args) else [f"Full runs need MNIST in {args.data}: `labonn data fetch mnist`; --quick needs nothing."]
    others = [name for name in ("kmnist", "emnist") if not _there(name, args)]
    if others:
        names, commands = " and ".join(map(str.upper, others)), ", ".join(f"`labonn data fetch {name}`" for name in others)
        lines.append(f"Without {names} in {args.data} what needs them is left out: {commands}.")
    return lines


def _there(name: str, args: Any) -> bool:
    try:
        return Choices(data=args.data).images(name) is not None
    except LabonnError:
        return False


def _time(size: dict[str, Any], none: str) -> str:
    return roughly(size["seconds"]) if size["jobs"] else none


def _done(size: dict[str, Any]) -> str:
    return f"{size['finished']}/{size['jobs']}" if size["jobs"] else "-"


def plan(names: Sequence[str], choices: Choices, args: Any) -> int:
    """Jobs, settings, what is finished, how long the rest takes."""
    from labonn.cli.output import print_json, print_lines, printing

    workers = width(args.workers)
    with printing(args.json, args.quiet):
        found = [planned(one, choices, Store(args.out)) for one in experiments(names)]
    choices.check()
    jobs = set[Job]().union(*(one.jobs for one in found))
    left = jobs - set[Job]().union(*(one.finished for one in found))
    if args.json:
        total = {"jobs": len(jobs), "finished": len(jobs) - len(left), "seconds_left": seconds(left, workers), "workers": workers}
        print_json({"experiments": {one.experiment.name: _plain(one) for one in found}, "departs": choices.departs, **total})
        return 0
    for one in found:
        _planned(one, choices)
    took = f"; the other {len(left)} take about {roughly(seconds(left, workers))}, {workers} at once" if left else ""
    print_lines([f"{len(jobs)} jobs, {len(jobs) - len(left)} finished in {args.out}{took}. Nothing was run."])
    if any(job.places.get("data") == NOT_THERE for job in left):
        print_lines([f"They need MNIST in {args.data}: `labonn data fetch mnist`; --quick and --data mini need nothing."])
    return 0


def _plain(one: Planned) -> dict[str, Any]:
    def job(case: Case, job: Job) -> dict[str, Any]:
        took = case.finished[job].seconds if job in case.finished else None
        about = {"key": job.key, "seed": job.seed, "title": job.title, "work": job.work, "settings": job.settings, "cost_s": job.cost}
        return {**about, "finished": job in case.finished, "seconds": took}

    about = {"title": one.experiment.title, "source": one.experiment.source}
    return {**about, "cases": {case.name: [job(case, some) for some in case.jobs] for case in one.cases}}


def _planned(one: Planned, choices: Choices) -> None:
    from labonn.cli.output import print_lines

    experiment = one.experiment
    source = f" ({experiment.source})" if experiment.source else ""
    lines = [f"{experiment.name}: {experiment.title.rstrip('.')}{source}", *([choices.departs] if choices.departs else []), ""]
    alike, own = split([case.settings for case in one.cases])
    lines += [f"all      {in_words(alike)}"] if alike and len(one.cases) > 1 else []
    for case, mine in zip(one.cases, own if len(one.cases) != 1 else [alike], strict=True):
        done = f", {len(case.finished)} finished" if case.finished else ""
        count, each = len(case.jobs), roughly(max([START_S, *(job.cost for job in case.jobs)]))
        took = f", about {each}{' each' if count > 1 else ''}" if count else ""
        lines += [case.name, f"  jobs   {count} seed{'' if count == 1 else 's'}{done}{took}"]
        lines += [f"  with   {in_words(mine)}"] if mine else []
    print_lines([*lines, *(_why_none(one, choices) if not one.cases else []), ""])


def _why_none(one: Planned, choices: Choices) -> list[str]:
    absent = [f"{name.upper()} is not in {choices.data}: `labonn data fetch {name}`" for name in one.absent]
    return [f"no jobs: {told}" for told in absent] or ["no jobs: what it shows is computed at once"]
