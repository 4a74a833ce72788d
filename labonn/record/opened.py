"""Runs by name, one or several, for notebooks and programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from labonn.errors import LabonnError, RecordError
from labonn.record.finding import LATEST, find, run_id, runs, summary
from labonn.record.reading import Record, open_record
from labonn.record.schema import FILE
from labonn.showing import Sheet, Shown
from labonn.showing.records import runs_sheet

if TYPE_CHECKING:
    from xarray import Dataset

Place = str | PathLike[str]
OUT = "runs"
AROUND = {"out", "resume", "json", "quiet", "force", "plan", "guardian", "guarded", "checkpoint", "bench_name", "guardian_url"}
UNITS = ["actuator_unit", "detector_unit"]
SIDE = ("time", "bench_s", "entry", "session", "report_step", "report_entry", "report_bench_s")  # coordinates that differ from run to run


def open_run(run: Place = LATEST, out: Place = OUT) -> Record:
    """The record of a run, finished or under way.

    Args:
        run: its folder, the folder's name or a beginning of it that only it has, or "latest"; "DIR/latest" for another folder of runs.
        out: where the runs' folders are.

    Raises:
        LabonnError: no run, or several, are called so. RecordError: it has no record, or one that cannot be read.
    """
    path = Path(run)
    if path.is_file() or (path / FILE).is_file():
        return open_record(path)
    if len(path.parts) > 1 and not path.exists():
        return open_record(find(path.name, path.parent))
    return open_record(find(str(run), Path(out)))


def open_runs(which: Place | Iterable[Place] = OUT, out: Place = OUT) -> Runs:
    """The records of several runs.

    Args:
        which: a folder of runs (all that have a record, the newest first), or names as `open_run` takes them.

    Raises:
        LabonnError: there is none, or one cannot be opened.
    """
    if not isinstance(which, (str, PathLike)):
        return Runs([open_run(run, out) for run in which])
    found = [folder for folder in runs(Path(which)) if (folder / FILE).is_file()]
    if not found:
        raise LabonnError(f"{which}: there is no run with a record in this folder; labonn.open_run takes the folder of one")
    return Runs([open_record(folder) for folder in found])


class Runs(Sequence[Record], Shown):
    """Records of several runs, in the order in which they were asked for."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = list(records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> Record | Runs:
        return Runs(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def _sheet(self) -> Sheet:
        return runs_sheet([summary(record.folder) for record in self])

    def to_xarray(self, points: int | None = None) -> Dataset:
        """All runs as one xarray data set with a dimension `run`; NaN where one has no such step, or port.

        Options of the command line that are not the same in all runs are coordinates of `run`; attributes are those that are.

        Args:
            points: steps of each run, at most; thinned runs have the same steps only if they are equally long.

        Raises:
            MissingPackageError: xarray is not installed. RecordError: there are no runs.
        """
        from labonn.record.datasets import xarray

        found = xarray("to_xarray")
        if not len(self):
            raise RecordError("no runs: there is nothing to make a data set of")
        whole = [record.to_xarray(points) for record in self]
        sets = [_alone(data) for data in whole]
        how = {"data_vars": "all", "coords": "minimal", "compat": "override", "join": "outer", "combine_attrs": "drop_conflicts"}
        joined = found.concat(sets, dim="run", **how)
        joined = joined.set_coords([name for name in SIDE if name in joined]).assign_coords(_units(whole, joined))
        options = {name: ("run", values) for name, values in _differing([record.settings for record in self]).items() if name not in joined}
        return joined.assign_coords(run=("run", [run_id(record.folder) for record in self]), **options)  # type: ignore[no-any-return]


def _alone(data: Any) -> Any:
    """With what differs from run to run as variables, without units; of a step that was done twice, the last."""
    data = data.drop_vars(UNITS, errors="ignore").reset_coords([name for name in SIDE if name in data.coords])
    return data if data.indexes["step"].is_unique else data.drop_duplicates("step", keep="last")


def _units(sets: Sequence[Any], joined: Any) -> dict[str, Any]:
    """Of every port, as the first run has it that has the port."""
    found: dict[str, Any] = {}
    for name in UNITS:
        ports = name.removesuffix("_unit")
        known = {
            port: unit
            for data in reversed(sets)
            if name in data.coords
            for port, unit in zip(data[ports].values, data[name].values, strict=True)
        }
        if known:
            found[name] = (ports, [known[port] for port in joined[ports].values])
    return found


def options_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how a run goes: its options without those of its surroundings, and its seed."""
    found = {name: value for name, value in settings.get("options", {}).items() if name not in AROUND}
    return {**found, "seed": settings.get("seed")}


def _differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Options with a plain value that is not the same in all runs; texts, where one of them is no number."""
    options = [options_of(found) for found in settings]
    common = [name for name in options[0] if all(name in found for found in options)]
    columns = {name: [found[name] for found in options] for name in common}
    plain = {name: values for name, values in columns.items() if all(isinstance(value, (int, float, str, type(None))) for value in values)}
    different = {name: values for name, values in plain.items() if len({repr(value) for value in values}) > 1}
    numbers = {name: all(isinstance(value, (int, float)) for value in values) for name, values in different.items()}
    return {
        name: values if numbers[name] else ["" if value is None else str(value) for value in values] for name, values in different.items()
    }
