"""The settings of a run, from `settings.yaml`."""

from pathlib import Path

from benchmarks.recorded.settings import load as load_beside


def load(quick=False):
    """Of a full run or of a quick one."""
    return load_beside(Path(__file__), quick)
