"""Temperature of an oven to optical depth of its cell, with lag."""
