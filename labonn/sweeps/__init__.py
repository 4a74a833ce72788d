"""Sweeps: many independent jobs on one computer or a cluster; what is finished is kept and not done again."""

from labonn.sweeps.job import Job, Task
from labonn.sweeps.store import Outcome, Store
from labonn.sweeps.sweep import Failure, Swept, sweep

__all__ = ["Failure", "Job", "Outcome", "Store", "Swept", "Task", "sweep"]
