"""The worlds: which there are, their settings, and a small stand-in for each.

What trains is imported when settings are asked for: a report needs the names alone.
"""

import contextlib
import dataclasses
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
DEFAULT = "repair"
ORDER = ("repair", "arms", "probe", "probe_strong", "probe_blind", "probe_hedge")
"""In which they are reported; others come after, by name."""
_NO_WORLDS = {"expected"}
_QUICK = {
    "model": "tiny:llama",
    "warm_starts": [0],
    "supervised": False,
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "max_completion_length": 8,
    "save_steps": 0,
    "overwrite_output_dir": True,
}
_QUICK_TASKS = {"tasks": 4, "eval_tasks": 8, "curve_tasks": 8}


def names():
    """The worlds that have a file here."""
    found = [p.stem for p in FOLDER.glob("*.yaml") if p.stem not in _NO_WORLDS]
    return sorted(found, key=place)


def place(world):
    """By which worlds are sorted."""
    return (ORDER.index(world) if world in ORDER else len(ORDER), world)


def file_of(world):
    """The file of a world, by its name or its path.

    Raises:
        ValueError: there is none, or it has the name of another one.
    """
    file = Path(world) if world.endswith(".yaml") else FOLDER / f"{world}.yaml"
    if not file.is_file() or file.stem in _NO_WORLDS:
        raise ValueError(
            f"--world is {world!r}, of which there is no settings file; choose from {names()}, or "
            "give the path of a .yaml"
        )
    if file.stem in names() and file.resolve() != (FOLDER / file.name).resolve():
        raise ValueError(
            f"--world is {world!r}, but {file.stem!r} is the name of a world that is here, whose "
            "results it would replace; give the file another name"
        )
    return file


def config(file, output_dir, processes=None, quick=False, seeds=None):
    """The settings of a world's comparison; its own seeds where none are named.

    Raises:
        ValueError: a setting that does not exist, or has an impossible value.
    """
    from murphy_agents.compare.config import CompareConfig
    from murphy_agents.settings import check_names

    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{file} must hold `setting: value` lines; it holds {values!r}")
    check_names(CompareConfig, values, "murphy compare")
    own = {"output_dir": str(output_dir), "num_processes": processes}
    if seeds is not None:
        own["seeds"] = seeds
    made = CompareConfig(**{**values, **own})
    return _small(made) if quick else made


def seeds(own, asked):
    """Of a comparison: those that are asked for, or the world's own, beside those that are there.

    Args:
        own: the settings of the world, with the folder where its runs are.
        asked: seeds of training, or None.
    """
    from murphy_agents.compare.run import SETTINGS

    file = Path(own.output_dir, SETTINGS)
    there = []
    if file.exists() and not own.overwrite_output_dir:
        # Where it cannot be read, the comparison tells what is wrong.
        with contextlib.suppress(yaml.YAMLError, TypeError, KeyError, UnicodeDecodeError):
            there = list(yaml.safe_load(file.read_text(encoding="utf-8"))["seeds"])
    new = own.seeds if asked is None else asked
    return [*there, *(seed for seed in new if seed not in there)]


def _small(whole):
    """One seed and two steps of a tiny untrained model: every part runs, nothing is learned."""
    told = {name: (getattr(whole, name), n) for name, n in _QUICK_TASKS.items()}
    tasks = {name: _first(source, n) for name, (source, n) in told.items() if source is not None}
    curves = {"curve_steps": [1, _QUICK["max_steps"]]} if whole.curve_steps else {}
    return dataclasses.replace(whole, **_QUICK, **tasks, **curves, seeds=whole.seeds[:1])


def _first(source, number):
    """The same source of tasks, cut to so many where it can be told a number."""
    if source.split(":")[0].split("?")[0] not in ("embedded", "probe") or "num_tasks" in source:
        return source
    return f"{source}{'&' if '?' in source else '?'}num_tasks={number}"
