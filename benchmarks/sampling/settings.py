"""The settings of a run, from `settings.yaml`."""

from pathlib import Path

from benchmarks.recorded import settings


def load(quick=False):
    """Of a full run or of a quick one."""
    return settings.load(Path(__file__), quick)
