"""Reads `settings.yaml`: plain dictionaries, the quick run's values over the full run's."""

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
