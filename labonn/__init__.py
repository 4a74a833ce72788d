"""labonn: train optical neural networks on the hardware itself, or dry-run the same bytes against simulated instruments."""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["Bench", "RemoteBench", "Setpoints", "ShotTable", "Store", "first_table", "open_run", "open_runs", "run"]

_PLACES = {
    "Bench": "labonn.bench",
    "RemoteBench": "labonn.guardian.client",
    "Setpoints": "labonn.setpoints",
    "ShotTable": "labonn.shots",
    "Store": "labonn.calibration",
    "first_table": "labonn.plans",
    "open_run": "labonn.record.opened",
    "open_runs": "labonn.record.opened",
    "run": "labonn.cli.program",
}


def __getattr__(name: str) -> object:
    """Imported when it is asked for: `import labonn` takes no time."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'labonn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
