"""Reads a `settings.yaml`: plain dictionaries, the quick run's values over the full run's."""

import yaml


def load(file, quick=False):
    """The settings of a full run or of a quick one, from `settings.yaml` beside `file`."""
    settings = yaml.safe_load(file.with_name("settings.yaml").read_text(encoding="utf-8"))
    instead = settings.pop("quick")
    for part, values in instead.items() if quick else ():
        settings[part] |= values
    return settings
