"""The settings of a run, from `settings.yaml`."""

from copy import deepcopy
from pathlib import Path

from benchmarks.recorded.settings import load as load_beside


def load(quick=False):
    """Of a full run or of a quick one."""
    return load_beside(Path(__file__), quick)


def scaled(settings, scale):
    """The lengths at a scale; no length is rounded to nothing."""
    lengths = deepcopy(settings["lengths"])
    for name, value in lengths.items():
        bounds = [max(1, round(scale * bound)) for bound in _listed(value)]
        lengths[name] = bounds if isinstance(value, list) else bounds[0]
    return lengths


def _listed(value):
    return value if isinstance(value, list) else [value]
