"""Makes folders of long runs within seconds: records as a chip's or a vapour cell's training leaves them, without having trained."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labonn.record.details import packed
from labonn.record.layouts import Layout
from labonn.record.schema import FILE, SQL, prepared

REPORT, DETAIL, MAP = 100, 20, 500  # steps from one report, histogram, map to the next
BEGAN_S, STEP_S = 1.76e9, 0.05
VARIETY = 500  # different texts of summaries
BENCH_FILE = '[ports.gain]\ndriver = "stream_dac"\nlink = "zmq://127.0.0.1:5571"\nupper = "12 mA"\n'


@dataclass(frozen=True)
class Port:
    """A port of such a run: detectors have no limit rule of the bench file, SLMs a shape."""

    name: str
    kind: str
    unit: str
    channels: int
    lower: float
    upper: float
    shape: tuple[int, int] | None = None

    @property
    def reads(self) -> bool:
        """Whether it is a detector."""
        return self.kind == "Photodetectors"


CHIP = (
    Port("gain", "Modulators", "A", 1631, 0.0, 0.012), Port("input", "Modulators", "V", 49, -3.6, 3.6),
    Port("activation", "Modulators", "V", 4096, -3.6, 3.6), Port("hidden", "Photodetectors", "V", 20, -10, 10),
    Port("output", "Photodetectors", "V", 10, -10, 10),
)  # fmt: skip
VAPOUR = (
    Port("weights1", "SpatialLightModulator", "1", 100_352, -1, 1, (128, 784)), Port("gain", "GainSections", "A", 3, 0, 0.2),
    Port("weights2", "SpatialLightModulator", "1", 16_384, -1, 1, (128, 128)), Port("input", "Modulators", "V", 784, -3.6, 3.6),
    Port("error", "Modulators", "V", 10, -3.6, 3.6), Port("ovens", "Heaters", "degC", 2, -40, 90),
    Port("forward_in", "Photodetectors", "V", 256, -5, 5), Port("backward_in", "Photodetectors", "V", 256, -1, 1),
    Port("output", "Photodetectors", "V", 10, -10, 10),
)  # fmt: skip
KINDS: Mapping[str, tuple[Port, ...]] = {"train_chip": CHIP, "train_vapour_cell": VAPOUR}


def large_run(out: Path, steps: int, procedure: str = "train_chip", seed: int = 0, ended: bool = True, stamp: str = "") -> Path:
    """The folder of a run of so many steps; `ended`: it has finished, else its process is gone without a word."""
    folder = out / f"{stamp or f'20260101T12{seed:02d}00Z'}-{procedure}"
    folder.mkdir(parents=True)
    options = {"steps": steps, "lr": 0.01 * (seed + 1), "seed": seed, "optimizer": "adam"}
    settings = {"procedure": procedure, "seed": seed, "command": f"labonn run {procedure}", "dry_run": True, "options": options}
    settings |= {"bench": "lab.toml", "versions": {"labonn": "0.1.0"}}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "bench.toml").write_text(BENCH_FILE, encoding="utf-8")
    (folder / "events.log").touch()
    prepared(folder / FILE)
    with filling(folder) as db:
        _session(db, settings, KINDS[procedure])
        add_steps(db, procedure, 1, steps, seed)
        if ended:
            end(db, steps)
    return folder


def copied(folder: Path, seed: int) -> Path:
    """Another run, of that seed, with the same record."""
    made = Path(shutil.copytree(folder, folder.with_name(f"20260102T12{seed:02d}00Z-{folder.name.partition('-')[2]}")))
    with filling(made) as db:
        (text,) = db.execute("SELECT settings FROM sessions").fetchone()
        settings = json.loads(text)
        settings["options"] |= {"seed": seed, "lr": 0.01 * (seed + 1)}
        db.execute("UPDATE sessions SET seed = ?, settings = ?, started = started + ?", (seed, json.dumps(settings), 1e4 * seed))
    return made


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection whose changes are there, all at once, at the end."""
    with contextlib.closing(sqlite3.connect(folder / FILE, timeout=5)) as db, db:
        yield db


def add_steps(db: sqlite3.Connection, procedure: str, first: int, count: int, seed: int = 0, session: int = 1) -> int:
    """Steps `first` and on, with reports, histograms, frames and maps among them; the newest entry."""
    rng, ports = np.random.default_rng([seed, first]), KINDS[procedure]
    (entry,) = db.execute("SELECT ifnull(max(entry), 0) FROM steps").fetchone()
    texts = [_summaries(ports, rng) for _ in range(min(VARIETY, count))]
    numbers, rows = _metrics(procedure, first, count, rng), list[tuple[Any, ...]]()
    for place, step in enumerate(range(first, first + count)):
        entry += 1
        when, texts_now = (BEGAN_S + step * STEP_S, 0.05, step * 0.14, 0.04, 2, 128, 14), texts[place % len(texts)]
        rows.append((entry, session, "step", step, *when, numbers[place], *texts_now))
        if step % DETAIL == 0 or step in (1, first + count - 1):
            _details(db, ports, entry, step, rng)
        if step % REPORT == 0:
            entry += 1
            accuracy = 0.95 - 0.85 * 2 ** (-step / 3000) + 0.001 * seed
            report = {"epoch": step // REPORT, "train_loss": 2.0 ** (-step / 3000), "validation_accuracy": accuracy}
            rows.append((entry, session, "report", step, *when, json.dumps(report), *texts_now))
            warm = [(entry, port.name, 79.8, 80.0, 80.1, None) for port in ports if port.kind == "Heaters"]
            db.executemany(SQL["temperatures"], warm)
            _named(db, "report", report)
        if len(rows) >= 10_000:
            db.executemany(SQL["steps"], rows)
            rows.clear()
    db.executemany(SQL["steps"], rows)
    _named(db, "step", json.loads(numbers[-1]))
    _named(db, "command", [port.name for port in ports if not port.reads])
    _named(db, "reading", [port.name for port in ports if port.reads])
    return int(entry)


def end(db: sqlite3.Connection, steps: int, session: int = 1) -> None:
    """The run has finished, all by itself."""
    result = json.dumps({"test_accuracy": 0.93, "steps": steps, "validation_accuracy": 0.95})
    db.execute(SQL["endings"], (session, BEGAN_S + steps * STEP_S + 5, "finished", None, result))
    db.execute(SQL["events"], (session, steps, BEGAN_S + steps * STEP_S + 4, "info", "every actuator was made safe"))


def resume(db: sqlite3.Connection, after_step: int, steps: int, procedure: str = "train_chip", session: int = 2) -> None:
    """A session that goes on after that step, and does so many."""
    (before,) = db.execute("SELECT max(entry) + 1 FROM steps").fetchone()
    (after,) = db.execute("SELECT max(entry) FROM steps WHERE step <= ?", (after_step,)).fetchone()
    db.execute(f"INSERT INTO sessions SELECT {session}, procedure, command, settings, bench_file, bench, versions, calibrations, seed, "
               "dry_run, host, user, pid, started + 1 FROM sessions WHERE session = 1")  # fmt: skip
    db.execute(SQL["resumptions"], (session, after, before, after_step))
    add_steps(db, procedure, after_step + 1, steps, 7, session)


def _session(db: sqlite3.Connection, settings: Mapping[str, Any], ports: Sequence[Port]) -> None:
    told = (json.dumps(settings), BENCH_FILE, "lab.toml", json.dumps(settings["versions"]), "[]", settings["seed"], 1, "lab", "me", 1)
    db.execute(SQL["sessions"], (1, settings["procedure"], settings["command"], *told, BEGAN_S + 1e4 * settings["seed"]))
    for port in ports:
        about = {"identity": f"emulated {port.name}", "driver": "stream_adc" if port.reads else "stream_dac", "kind": port.kind}
        about |= {"channels": port.channels, "unit": port.unit, "lower": port.lower, "upper": port.upper}
        about |= {"lower_rule": "driver", "upper_rule": "bench.toml"} | ({"shape": port.shape} if port.shape else {})
        for moment in ("start", "end"):
            db.execute(SQL["hardware"], (1, moment, port.name, json.dumps(about)))
    if ports is CHIP:
        db.execute(SQL["layouts"], (1, "theta", json.dumps(_layout().packed())))
    db.execute(SQL["events"], (1, 0, BEGAN_S, "info", "planned: forward\nmeasured with 564 settings"))
    db.execute(SQL["checks"], (1, 0, BEGAN_S, "drift of gain", 0.01, -0.1, 0.1, 1, "of 3 currents"))


def _layout() -> Layout:
    """49 ports in, 20 and 10 out: as train_chip has them."""
    parts = [("1a", 1176), ("amp1", 20), ("1b", 190), ("2a", 190), ("amp2", 10), ("2b", 45)]
    x = [place // 24 if number > 20 else 0 for _, number in parts for place in range(number)]
    y = [place % 24 * 2 if number > 20 else place for _, number in parts for place in range(number)]
    return Layout("couplers and amplifiers", "rad", parts, x, y, -0.2, 0.2)


def _metrics(procedure: str, first: int, count: int, rng: np.random.Generator) -> list[str]:
    steps = np.arange(first, first + count)
    loss = 2.0 ** (-steps / 3000) * (1 + 0.1 * rng.standard_normal(count))
    if procedure == "train_vapour_cell":
        return [f'{{"loss":{one!r},"accuracy":{1 - min(one, 1.0)!r}}}' for one in loss.tolist()]
    norm = 0.1 * loss
    rows = zip(steps.tolist(), loss.tolist(), norm.tolist(), strict=True)
    text = '{{"loss":{!r},"evaluations":{},"gradient_rms":{!r},"standard_error_rms":{!r},"gradient_cosine":{}}}'
    return [text.format(one, 1728 * step, rms, 0.1 * rms, "null" if step % 50 == 1 else 0.99) for step, one, rms in rows]


def _summaries(ports: Sequence[Port], rng: np.random.Generator) -> tuple[str, str]:
    commands, readings = {}, {}
    for port in ports:
        low, high = sorted((port.lower + (port.upper - port.lower) * rng.random(2)).tolist())
        if port.reads:
            readings[port.name] = [1, 64, low, (low + high) / 2, high, 0.3 * (high - low), 0, int(rng.random() < 0.01)]
        else:
            commands[port.name] = [1, 64, 1, low, (low + high) / 2, high, 0.4 * (high - low)]
    return json.dumps(commands, separators=(",", ":")), json.dumps(readings, separators=(",", ":"))


def _details(db: sqlite3.Connection, ports: Sequence[Port], entry: int, step: int, rng: np.random.Generator) -> None:
    for port in ports:
        if port.reads:
            counts = rng.poisson(50 * np.exp(-(np.linspace(-2, 2, 64) ** 2))).astype("<u4").tobytes()
            db.execute(SQL["histograms"], (entry, port.name, 0.5 * port.lower, 0.5 * port.upper, counts))
            db.execute(SQL["ranges"], (entry, port.name, port.lower, port.upper, port.upper))
        elif port.channels < 100 or step % MAP == 0 or step == 1:
            frame = rng.uniform(port.lower, port.upper, port.channels).astype(np.float32)
            db.execute(SQL["frames"], (entry, port.name, port.channels, *packed(frame)))
    if ports is CHIP and (step % MAP == 0 or step == 1):
        db.execute(SQL["maps"], (entry, "theta", 1631, *packed(rng.uniform(-0.2, 0.2, 1631).astype(np.float32))))


def _named(db: sqlite3.Connection, kind: str, names: Any) -> None:
    db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", [(kind, name) for name in names])
