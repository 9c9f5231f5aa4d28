"""What a comparison consists of: jobs, each of which trains or evaluates into its own folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from murphy_agents.compare.arms import BASE, Arm
from murphy_agents.compare.config import CompareConfig
from murphy_agents.compare.curve import Curve
from murphy_agents.compare.equal_budget import Equal
from murphy_agents.config import TrainConfig
from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.evaluation.result import SUMMARY_FILE
from murphy_agents.report.before_after import eval_settings
from murphy_agents.run.folder import FINAL
from murphy_env.sources import MADE

RIVALS = {"supervised-best": "best", "supervised-filtered": "filtered"}
"""Evaluated beside a starting model with a teacher: row of the table -> variant of the model."""
_SAMPLING_SEED = 0
"""Of every evaluation, so that all models meet the same random numbers."""


@dataclass(frozen=True, eq=False)
class Job:
    """Something that one process does; `evaluate` comes last, so its result says "finished"."""

    row: str
    """Of the table: an arm, 'base', 'supervised-best', ..."""
    start: str
    folder: Path
    evaluate: EvalConfig
    seed: int | None = None
    """Of training."""
    train: TrainConfig | None = None
    make: TrainConfig | None = None
    """Settings that describe a model which is to be made and saved to `evaluate.model` first."""
    curve: Curve | None = None
    """Checkpoints to evaluate, or the starting model as their beginning."""
    equal: Equal | None = None
    """The runs that say how many steps it has; None: `train` says it."""

    def __str__(self) -> str:
        return f"{self.start} {self.row}" + ("" if self.seed is None else f" seed-{self.seed}")

    @property
    def is_finished(self) -> bool:
        """Whether its result is there."""
        return (Path(self.evaluate.output_dir) / SUMMARY_FILE).exists()


def jobs(config: CompareConfig) -> list[Job]:
    """All that a comparison consists of, in the order of its rows."""
    return [*starts(config), *supervised(config), *cells(config)]


def starts(config: CompareConfig) -> list[Job]:
    """The evaluations of the starting models, which are made first where they are made at all."""
    return [
        _evaluation(config, BASE, start, model, _to_make(config, start))
        for start, model in _models(config).items()
    ]


def supervised(config: CompareConfig) -> list[Job]:
    """Evaluations of the supervised models that a starting model is measured by."""
    if config.model not in MADE or not config.supervised:
        return []
    return [
        _evaluation(config, row, start, f"{model}:{variant}")
        for start, model in _models(config).items()
        for row, variant in RIVALS.items()
    ]


def cells(config: CompareConfig) -> list[Job]:
    """The runs, in an order in which a comparison that is stopped early has some of everything."""
    crossed = product(config.seeds, _models(config).items(), config.all_arms.values())
    return [_cell(config, start, model, arm, seed) for seed, (start, model), arm in crossed]


def _models(config: CompareConfig) -> dict[str, str]:
    """The starting models by name: what runs are told to begin with."""
    if config.warm_starts is None:
        return {"start": config.model}
    if config.is_taught:
        world, _, variant = config.model.partition("::")
        told = f":{variant}" if variant else ""
        return {start_name(seed): f"{world}:{seed}{told}" for seed in config.warm_starts}
    return {
        start_name(seed): str(Path(config.output_dir, "starts", start_name(seed), "model"))
        for seed in config.warm_starts
    }


def start_name(seed: int) -> str:
    """Of the starting model that is made with a seed."""
    return f"warm-{seed}"


def _to_make(config: CompareConfig, start: str) -> TrainConfig | None:
    """Of a 'tiny' model, whose weights would else hang on each run's own seed."""
    if config.warm_starts is None or config.is_taught:
        return None
    seed = config.warm_starts[list(_models(config)).index(start)]
    return TrainConfig(model=config.model, tasks=config.tasks, seed=seed, prompts=config.prompts)


def _evaluation(
    config: CompareConfig, row: str, start: str, model: str, make: TrainConfig | None = None
) -> Job:
    folder = Path(config.output_dir, "starts", start, row)
    evaluate = _evaluate(config, model, folder)
    curve = _curve(config, (0.0,), evaluate) if row == BASE else None
    return Job(row, start, folder, evaluate, make=make, curve=curve)


def _cell(config: CompareConfig, start: str, model: str, arm: Arm, seed: int) -> Job:
    def folder_of(name: str) -> Path:
        return Path(config.output_dir, "cells", start, name, f"seed-{seed}")

    folder = folder_of(arm.name)
    train = config.train(arm.name, model, seed, str(folder))
    own_tasks = train.tasks if train.env is None else None
    evaluate = dataclasses.replace(
        _evaluate(config, str(folder / FINAL), folder / "evaluation"), train_tasks=own_tasks
    )
    equal = None
    if arm.equal is not None:
        equal = Equal(arm.equal, folder_of(str(arm.like)), folder_of(str(arm.to)))
    curve = _curve(config, config.curve_shares, evaluate)
    return Job(arm.name, start, folder, evaluate, seed, train, curve=curve, equal=equal)


def _evaluate(config: CompareConfig, model: str, folder: Path) -> EvalConfig:
    """By the shared settings, whatever an arm trains with: all are evaluated alike."""
    return eval_settings(config.shared(model, str(folder)), model, folder, _SAMPLING_SEED)


def _curve(config: CompareConfig, shares: tuple[float, ...], evaluate: EvalConfig) -> Curve | None:
    if not config.curve_steps:
        return None
    tasks = config.curve_tasks or config.eval_tasks
    return Curve(shares, dataclasses.replace(evaluate, tasks=tasks))
