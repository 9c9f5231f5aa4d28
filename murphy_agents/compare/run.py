"""`murphy compare`: all cells of a comparison, then its tables and picture."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from murphy_agents import files
from murphy_agents.compare import cells, curve, pool, worker
from murphy_agents.compare.cells import Job
from murphy_agents.compare.config import CompareConfig
from murphy_agents.compare.results import Run, check_same_tasks, rows
from murphy_agents.compare.tell import Comparison, markdown, text, to_json
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.log import read_history
from murphy_agents.run import provenance
from murphy_agents.show.tables import percent

SETTINGS = "compare.yaml"
_WRITTEN = (
    "comparison.json", "comparison.md", "comparison.png", "budgets.png", "cells", "starts",
    SETTINGS,
)  # fmt: skip
_MAY_CHANGE = {"output_dir", "overwrite_output_dir", "num_processes"}
_MAY_GROW = {"seeds", "warm_starts", "algorithms", "arms"}
"""What a comparison which goes on may add to."""


def compare(config: CompareConfig, console: Console | None = None) -> Comparison:
    """Do what is left to do of a comparison, and tell what came of it.

    Cells that fail are told of in the result; the others go on. A script that calls this needs
    `if __name__ == "__main__":` around the call, as processes are spawned.

    Raises:
        ValueError: settings that cannot work together, or that are not those of the comparison
            which the folder holds.
        FileExistsError: another process is at work on this comparison.
    """
    console = console or Console()
    config = dataclasses.replace(config)  # checks once more what may have been changed since
    from murphy_agents.compare import picture  # noqa: F401  # no drawing library: say so now
    from murphy_env import sources

    own = {
        str(arm.settings["tasks"]) for arm in config.all_arms.values() if "tasks" in arm.settings
    }
    for name in (config.tasks, config.eval_tasks, config.curve_tasks, *sorted(own)):
        if name is not None:
            sources.load(name)
    if config.is_taught:
        from murphy_agents.tiny import worlds

        worlds.asked(config.model)
    with _claimed(config):
        failed = _do_all(config, console)
        return _told(config, failed, console)


def _do_all(config: CompareConfig, console: Console) -> dict[str, str]:
    """Do what is not finished; what went wrong, by job."""
    # Starting models first: those that are made are made once, and kept for all that come after.
    # Last, the runs whose steps are found from others.
    runs = cells.cells(config)
    parts = [
        cells.starts(config),
        [*cells.supervised(config), *(job for job in runs if job.equal is None)],
        [job for job in runs if job.equal is not None],
    ]
    log = _Log(console, [job for part in parts for job in part])
    left = [[job for job in part if not job.is_finished] for part in parts]
    if any(left):
        _check_finished(config, [job for part in parts for job in part if job.is_finished])
        number = config.num_processes or len(os.sched_getaffinity(0))
        pool.run_all(worker.do, left, number, log.on_done)
    return log.failed


def _check_finished(config: CompareConfig, finished: Sequence[Job]) -> None:
    """Refuse to go on beside evaluations of other models or tasks than those to come."""
    from murphy_env import sources

    for job in finished:
        model = job.train.model if job.train else job.evaluate.model
        provenance.check_same_model(job.folder, model)
    now = {task.task_id: task.digest[:16] for task in sources.load(config.eval_tasks)}
    check_same_tasks((Evaluation.load(job.evaluate.output_dir) for job in finished), now)


class _Log:
    """One line per finished job, with the time that is left by the pace so far."""

    def __init__(self, console: Console, jobs: Sequence[Job]) -> None:
        self.failed: dict[str, str] = {}
        self._console = console
        self._total = len(jobs)
        self._before = self._done = sum(job.is_finished for job in jobs)
        self._began = time.perf_counter()
        self._say(f"{self._done} of {self._total} cells and evaluations are there")

    def on_done(self, job: Job, error: str | None) -> None:
        self._done += 1
        told = f"failed: {error}; see {job.folder}/log.txt"
        if error is None:
            found = Evaluation.load(job.evaluate.output_dir)
            rates = [percent(found.pass_at_1(i + 1)) for i in range(found.iterations)]
            told = f"pass@1 {' '.join(rates)} %"
        else:
            self.failed[str(job)] = error
        elapsed = time.perf_counter() - self._began
        left = elapsed * (self._total - self._done) / (self._done - self._before)
        self._say(f"{self._done}/{self._total}  {job}  {told}; {_clock(left)} left")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def _clock(seconds: float) -> str:
    """Example: 0:02:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _told(config: CompareConfig, failed: dict[str, str], console: Console) -> Comparison:
    """Read all results, write the files, print the tables."""
    from murphy_agents.compare import budgets_picture, picture

    folder = Path(config.output_dir)
    jobs = cells.jobs(config)
    arms: dict[str, list[Run]] = {job.row: [] for job in jobs}
    for job in jobs:
        if job.is_finished:
            arms[job.row].append(_run_of(job))
    command = f"murphy compare --config {shlex.quote(str(folder / SETTINGS))} --output_dir ANOTHER"
    comparison = Comparison(
        rows(arms), failed, _settings(config), command, _supervised_curves(config)
    )
    picture.draw(comparison.rows, folder / "comparison.png")
    budgets = "budgets.png" if any(row.curve for row in comparison.rows) else None
    if budgets:
        budgets_picture.draw(comparison.rows, folder / budgets, config.curve_tasks)
    told = markdown(comparison, "comparison.png", budgets)
    files.write_atomically(folder / "comparison.md", told)
    found = json.dumps(to_json(comparison), indent=2) + "\n"
    files.write_atomically(folder / "comparison.json", found)
    console.print("\n" + text(comparison), soft_wrap=True, highlight=False, markup=False)
    console.print(f"written to {folder}", soft_wrap=True, highlight=False)
    return comparison


def _supervised_curves(config: CompareConfig) -> dict[str, dict[str, list[float]]]:
    """By starting model and variant, of those whose checkpoints were chosen among."""
    if not cells.supervised(config):
        return {}
    from murphy_agents.tiny import warm_start

    found = {
        f"{cells.start_name(seed)} {what}": warm_start.curve(f"{config.model}:{seed}", only_right)
        for seed in config.warm_starts or []
        for what, only_right in (("all answers", False), ("right answers", True))
    }
    return {name: curve for name, curve in found.items() if curve}


def _run_of(job: Job) -> Run:
    evaluation = Evaluation.load(job.evaluate.output_dir)
    history = read_history(job.folder) if job.train else []
    points = curve.read(job.folder, job.curve, len(history)) if job.curve else []
    return Run(job.start, evaluation, job.seed, history, points)


@contextlib.contextmanager
def _claimed(config: CompareConfig) -> Iterator[None]:
    """The folder, this process's alone within the context, with the settings written into it."""
    folder = Path(config.output_dir)
    if not config.output_dir or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"output_dir is {config.output_dir!r}; give a folder, new or there")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "compare.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileExistsError(
                f"another process compares into output_dir {config.output_dir!r}; choose another"
            ) from error
        if config.overwrite_output_dir:
            # Settings come last: whatever is left while they are there belongs to them.
            for name in _WRITTEN:
                files.remove(folder / name)
        _check_same(folder, _settings(config))
        yaml_text = yaml.safe_dump(_settings(config), sort_keys=False)
        files.write_atomically(folder / SETTINGS, yaml_text)
        yield


def _settings(config: CompareConfig) -> dict[str, Any]:
    told = dataclasses.asdict(config)
    return {name: value for name, value in told.items() if name not in _MAY_CHANGE}


def _check_same(folder: Path, settings: dict[str, Any]) -> None:
    """Raise ValueError where the folder holds a comparison with other settings.

    One that an older version wrote lacks some, which were not there: they had their defaults.
    """
    path = folder / SETTINGS
    if not path.exists():
        return
    try:
        old = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); restore it, or set overwrite_output_dir to begin "
            "anew"
        ) from error
    defaults = {known.name: _default(known) for known in dataclasses.fields(CompareConfig)}
    for name in [*settings, *(old.keys() - settings.keys() - _MAY_CHANGE)]:
        before, now = (told.get(name, defaults.get(name)) for told in (old, settings))
        if name in _MAY_GROW:
            dropped = _dropped(before or [], now or [])
            if dropped:
                raise ValueError(
                    f"{name} is {now}, but the comparison that {str(folder)!r} holds has {dropped} "
                    "too; there may be new ones, but name those that are there as well, as they "
                    "are, or set overwrite_output_dir to begin anew"
                )
        elif before != now:
            raise ValueError(
                f"{name} is {now!r}, but {before!r} in the comparison that {str(folder)!r} "
                "holds; go on with the same settings, compare into another folder, or set "
                "overwrite_output_dir to begin anew"
            )


def _dropped(before: Collection[Any], now: Collection[Any]) -> list[Any] | dict[str, Any]:
    """Of a list or of settings by name, what is no longer there, or no longer as it was."""
    if not isinstance(before, Mapping):
        return [value for value in before if value not in now]
    new = now if isinstance(now, Mapping) else {}
    return {name: told for name, told in before.items() if name not in new or new[name] != told}


def _default(known: dataclasses.Field[Any]) -> Any:
    made = known.default_factory
    return known.default if made is dataclasses.MISSING else made()
