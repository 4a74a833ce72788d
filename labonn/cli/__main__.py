"""Lets `python -m labonn.cli` do what `labonn` does."""

import sys

from labonn.cli import main

sys.exit(main())
