"""Measures the parts of a record, one after the other."""

import importlib.metadata
import os

import torch


def measure(settings, parts, libraries, only=(), say=print):
    """The record of a run of all parts, or of some.

    Args:
        settings: what each part is told, kept in the record.
        parts: name -> function of (settings, say) that gives its share of the record.
        libraries: whose versions are kept, as far as they are installed.
        only: names of parts; none means all.
        say: hears what is going on.

    Raises:
        ValueError: there is no such part.
    """
    if unknown := sorted(set(only) - set(parts)):
        raise ValueError(f"there are no parts {unknown}; choose from {list(parts)}")
    torch.set_num_threads(1)
    load = [os.getloadavg()[0]]
    record = {}
    for part in only or parts:
        say(f"measuring {part}")
        record |= parts[part](settings, say)
    about = {
        "settings": settings,
        "load": [*load, os.getloadavg()[0]],
        "versions": _versions(libraries),
    }
    return about | record


def _versions(names):
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # some of these are optional
            continue
    return found
