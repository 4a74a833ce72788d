"""Progress of what takes long: a live display on a terminal, plain lines elsewhere."""

from labonn.progress.activity import Activity
from labonn.progress.progress import Mode, Progress
from labonn.progress.screen import can_draw

__all__ = ["Activity", "Mode", "Progress", "can_draw"]
