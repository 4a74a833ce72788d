"""The campaign's modules find each other as they do when it is run by itself."""

from __future__ import annotations

import sys
from pathlib import Path

if (own := str(Path(__file__).parent)) not in sys.path:
    sys.path.insert(0, own)
