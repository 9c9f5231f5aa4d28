"""Reads `settings.yaml`: plain dictionaries, the quick run's values over the full run's."""

from copy import deepcopy
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("settings.yaml")


def load(quick=False):
    """The settings of a full run or of a quick one."""
    settings = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    instead = settings.pop("quick")
    for part, values in instead.items() if quick else ():
        settings[part] |= values
    return settings


def scaled(settings, scale):
    """The lengths at a scale; no length is rounded to nothing."""
    lengths = deepcopy(settings["lengths"])
    for name, value in lengths.items():
        bounds = [max(1, round(scale * bound)) for bound in _listed(value)]
        lengths[name] = bounds if isinstance(value, list) else bounds[0]
    return lengths


def _listed(value):
    return value if isinstance(value, list) else [value]
