"""The behaviour suite against the instruments of a lab: `LABONN_BENCH=bench.toml pytest tests/benches`; without a bench there are no tests.

Every actuator's port needs `lower` and `upper`, beyond which nothing is sent; choose them so that nothing on the bench minds.
"""

from __future__ import annotations

import os

from labonn.testing import suites_of

if bench := os.environ.get("LABONN_BENCH"):
    globals().update(suites_of(bench))
