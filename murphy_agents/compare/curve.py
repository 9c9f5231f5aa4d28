"""Checkpoints of a run that are evaluated: at which steps, where, and by which process.

`RUN/curve/step-N` is an ordinary evaluation's folder. A checkpoint is kept (`keep_steps`) until its
evaluation is there, and deleted then; the last step is the final model, which stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from murphy_agents import files
from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.evaluation.result import SUMMARY_FILE, Evaluation
from murphy_agents.run.folder import FINAL


@dataclass(frozen=True, eq=False)
class Curve:
    """Of one run, or of a starting model."""

    shares: tuple[float, ...]
    """Of the run's steps; 0 is a starting model's."""
    evaluate: EvalConfig
    """Settings of each evaluation but for model and folder."""

    def steps(self, num_steps: int) -> list[int]:
        """The steps by their number, as many as there are shares."""
        return steps_at(self.shares, num_steps)


def steps_at(shares: Sequence[float], num_steps: int) -> list[int]:
    """Steps at shares of a run, the first step at least; 0 is the start.

    Example:
        >>> steps_at([0, 1 / 3, 1], 60), steps_at([0, 1 / 3, 1], 2)
        ([0, 20, 60], [0, 1, 2])
    """
    return [max(1, round(share * num_steps)) if share else 0 for share in shares]


def folder_of(run: Path, step: int) -> Path:
    """Where the evaluation of a step lies."""
    return run / "curve" / f"step-{step}"


def evaluate(run: Path, curve: Curve, num_steps: int, start: str) -> None:
    """Evaluate what is not evaluated yet, and delete the checkpoints that are done with.

    Args:
        run: the folder of a finished run, or of a starting model's evaluation.
        curve: of it.
        num_steps: of it; 0 of a starting model.
        start: the model at step 0.
    """
    from murphy_agents.evaluation import run as eval_run

    for step in dict.fromkeys(curve.steps(num_steps)):
        checkpoint = run / f"checkpoint-{step}"
        model = start if step == 0 else str(run / FINAL) if step == num_steps else str(checkpoint)
        folder = folder_of(run, step)
        if not (folder / SUMMARY_FILE).exists():
            told = dataclasses.replace(curve.evaluate, model=model, output_dir=str(folder))
            eval_run.run(told)
        files.remove(checkpoint)


def read(run: Path, curve: Curve, num_steps: int) -> list[tuple[int, Evaluation]]:
    """Steps and their evaluations, one for each share.

    Raises:
        FileNotFoundError: one of them is missing, though the run is finished.
    """
    steps = curve.steps(num_steps)
    for folder in (folder_of(run, step) for step in steps):
        if not (folder / SUMMARY_FILE).exists():
            raise FileNotFoundError(
                f"the evaluation in {folder} is missing; restore it, or delete {run} and compare "
                "again, which makes that run anew"
            )
    return [(step, Evaluation.load(folder_of(run, step))) for step in steps]
