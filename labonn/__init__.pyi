from labonn.bench import Bench as Bench
from labonn.calibration import Store as Store
from labonn.cli.program import run as run
from labonn.guardian.client import RemoteBench as RemoteBench
from labonn.plans import first_table as first_table
from labonn.record.opened import open_run as open_run
from labonn.record.opened import open_runs as open_runs
from labonn.setpoints import Setpoints as Setpoints
from labonn.shots import ShotTable as ShotTable

__version__: str
