"""What a process of a comparison does: make, train, evaluate, and write all it says to a log."""

from __future__ import annotations

import contextlib
import dataclasses
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from murphy_agents import files
from murphy_agents.compare import curve, equal_budget
from murphy_agents.compare.cells import Job
from murphy_agents.config import TrainConfig
from murphy_agents.evaluation.result import SUMMARY_FILE, Evaluation
from murphy_agents.run import provenance


def do(job: Job) -> str | None:
    """Do a job, on one thread; what was written for it earlier is gone on with.

    Returns:
        What went wrong, if something did; the traceback is in the folder's `log.txt`.
    """
    import torch
    from transformers.utils.logging import disable_progress_bar

    torch.set_num_threads(1)
    # Nobody looks; and a bar's lock would outlive a process that is ended in the middle.
    disable_progress_bar()  # type: ignore[no-untyped-call]  # untyped there
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        with (job.folder / "log.txt").open("a", encoding="utf-8") as log, _written_to(log):
            _do(job)
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    return None


@contextlib.contextmanager
def _written_to(log: TextIO) -> Iterator[None]:
    """Everything that is printed goes to the log, and what is raised too."""
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            yield
        except BaseException:
            traceback.print_exc()
            raise


def _do(job: Job) -> None:
    if job.make is not None:
        _make(job.make, Path(job.evaluate.model))
    if job.train is None:
        provenance.keep_model(job.folder, job.evaluate.model)
    num_steps = 0 if job.train is None else _trained(job.train, job)
    if job.curve is not None:
        curve.evaluate(job.folder, job.curve, num_steps, start=job.evaluate.model)
    _evaluate(job, num_steps)


def _trained(config: TrainConfig, job: Job) -> int:
    """Train, and tell the number of steps."""
    from murphy_agents.training import train

    if job.equal is not None:
        steps = equal_budget.settled(job.folder, job.equal).max_steps
        keep = job.curve.steps(steps) if job.curve else None
        config = dataclasses.replace(config, max_steps=steps, keep_steps=keep)
    return len(train(config).history)


def _evaluate(job: Job, num_steps: int) -> None:
    """The evaluation that ends a job; that of the curve's last step, where this is the same."""
    from murphy_agents.evaluation import run as eval_run

    last = curve.folder_of(job.folder, num_steps)
    if (last / SUMMARY_FILE).exists():
        found = Evaluation.load(last)
        if (found.settings["model"], found.settings["tasks"]) == (
            job.evaluate.model,
            job.evaluate.tasks,
        ):
            found = dataclasses.replace(
                found, settings={**found.settings, "output_dir": job.evaluate.output_dir}
            )
            found.save(job.evaluate.output_dir)
            return
    eval_run.run(job.evaluate)


def _make(config: TrainConfig, folder: Path) -> None:
    """Save the model that a run with these settings would begin with."""
    if folder.exists():
        return
    from murphy_agents import wiring
    from murphy_agents.lease import EnvPool

    with EnvPool(wiring.make_env_of(config, None, None, 1), 1) as envs:
        policy: Any = wiring.load_policy(config, envs)
        files.fill_atomically(folder, policy.save)
