"""Which algorithm is better, and why: worlds, their runs, what was expected, and the report."""
