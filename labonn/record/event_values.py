"""What TensorBoard shows, as it stands in an event file: numbers, histograms, images, texts, settings with their result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from labonn.errors import MissingPackageError
from labonn.runs import plain

MODULES = ("event_file_writer", "summary", "proto.event_pb2", "proto.summary_pb2", "proto.api_pb2", "proto.plugin_hparams_pb2")
Value = Any  # a Summary.Value of tensorboardX


class Values:
    """Makes them by tensorboardX, without its queue and thread.

    Raises:
        MissingPackageError: it is not installed.
    """

    def __init__(self) -> None:
        try:
            found = {name.rpartition(".")[2]: import_module(f"tensorboardX.{name}") for name in MODULES}
        except ImportError:
            told = "--tensorboard needs tensorboardX, which is not installed"
            raise MissingPackageError(f'{told}: pip install "labonn[tensorboard]"') from None
        self._files, self._made, self._events, self._protos, self._api, self._plugin = found.values()

    def file(self, folder: Path, suffix: str) -> Any:
        """A new event file with a name that TensorBoard knows."""
        return self._files.EventsWriter(str(folder / "events"), suffix)

    def event(self, step: int, time: float, values: Sequence[Value]) -> Any:
        """Values that belong together. time: UTC, seconds."""
        event = self._events.Event(wall_time=time, step=step)
        event.summary.value.extend(values)
        return event

    def number(self, tag: str, value: float) -> Value:
        """One number."""
        return self._protos.Summary.Value(tag=tag, simple_value=value)

    def histogram(self, tag: str, counts: Any, edges: Any) -> Value:
        """Counts between edges; sums are those of the middles of the bins."""
        middles, number = (edges[1:] + edges[:-1]) / 2, int(counts.sum())
        sums = float(counts @ middles), float(counts @ middles**2)
        made = self._made.histogram_raw(tag, float(edges[0]), float(edges[-1]), number, *sums, edges[1:].tolist(), counts.tolist())
        return made.value[0]

    def image(self, tag: str, values: Any, lower: float, upper: float) -> Value:
        """Rows and columns in gray, black at `lower` and white at `upper`."""
        gray = np.clip((values - lower) / ((upper - lower) or 1.0), 0, 1)
        return self._made.image(tag, np.rint(255 * gray).astype(np.uint8), dataformats="HW").value[0]

    def text(self, tag: str, words: str) -> Value:
        """Markdown."""
        return self._made.text(tag, words).value[0]

    def outcome(self, settings: Mapping[str, Any], numbers: Mapping[str, float], status: str) -> list[Value]:
        """Settings with the tags of what came out, and how the run ended, for the table of runs (HPARAMS)."""
        known = {name: plain(value) for name, value in settings.items() if isinstance(plain(value), (bool, int, float, str))}
        experiment, start, over = self._made.hparams(known, dict(numbers))
        ended = [] if status == "running" else over.value if status == "finished" else [self._failed()]
        return [*experiment.value, *start.value, *ended]

    def _failed(self) -> Value:
        end = self._plugin.SessionEndInfo(status=self._api.Status.Value("STATUS_FAILURE"))
        content = self._plugin.HParamsPluginData(session_end_info=end, version=0).SerializeToString()
        about = self._protos.SummaryMetadata
        data = about(plugin_data=about.PluginData(plugin_name="hparams", content=content))
        return self._protos.Summary.Value(tag="_hparams_/session_end_info", metadata=data)
