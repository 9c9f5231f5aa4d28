"""What an evaluation found: chains of attempts at tasks, their figures, and their files.

    evaluation.jsonl    one line per chain
    evaluation.json     settings and figures; written last, so that its presence means "whole"

Nothing here knows models or environments.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from murphy_agents.evaluation.chain import Chain, EvalAttempt
from murphy_agents.files import write_atomically
from murphy_agents.stats.statistics import Interval, interval

CHAINS_FILE = "evaluation.jsonl"
SUMMARY_FILE = "evaluation.json"


@dataclass(frozen=True)
class Evaluation:
    """The chains of every run at every task, and what they say.

    Chains with an infrastructure error are kept, told of by `num_infra_errors` and left out of all
    figures, at every iteration, so that the same chains are compared with each other.
    """

    chains: tuple[Chain, ...]
    iterations: int
    """Most attempts of a chain."""
    seconds: float = 0.0
    """Clock seconds that it took."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What it was made with, as JSON values."""
    skipped_rows: tuple[str, ...] = ()
    """Rows of the source that made no task, each with its place and the reason; in no figure."""
    overlap: Mapping[str, Any] = field(default_factory=dict)
    """What its tasks share with those that were trained on, where these are known: `line` says it,
    `pairs` has the tasks (see `murphy_env.sources.overlap`)."""

    @property
    def reflexion_compat(self) -> bool:
        """Whether a first attempt that fails a visible test counts as unsolved at iteration 1."""
        return bool(self.settings.get("reflexion_compat", False))

    def solved(self, chain: Chain, iteration: int) -> bool:
        """Whether a chain counts as solved by that iteration."""
        return chain.solved_at(iteration, self.reflexion_compat)

    def pass_at_1(self, iteration: int) -> float:
        """Share of chains that are solved by that iteration; nan where none counts.

        It is the mean over tasks of the share of their runs: every task has the same weight, also
        where infrastructure errors took some of its chains.
        """
        return _mean(self.by_task(iteration).values())

    def pass_interval(self, iteration: int) -> Interval | None:
        """The same with its 95 % interval over clusters of tasks; None with a single cluster."""
        values, clusters = self.by_task(iteration), self.clusters()
        if len({clusters[task_id] for task_id in values}) < 2:
            return None
        return interval(values, clusters)

    def by_task(self, iteration: int) -> dict[str, float]:
        """Share of the runs solved by that iteration, for every task with a chain that counts."""
        self._check(iteration, 1)
        solved: dict[str, list[bool]] = {}
        for chain in self._counted():
            solved.setdefault(chain.task_id, []).append(self.solved(chain, iteration))
        return {task_id: fmean(runs) for task_id, runs in solved.items()}

    def broken_tasks(self) -> set[str]:
        """Tasks with a chain that the sandbox broke, which therefore has no verdict."""
        return {chain.task_id for chain in self.chains if chain.infra_error is not None}

    def clusters(self) -> dict[str, str]:
        """The cluster of every task."""
        return {chain.task_id: chain.cluster for chain in self.chains}

    def repair_rate(self, turn: int = 2) -> float:
        """Share of the attempts of that turn that are solved; nan where there is none.

        All of them follow an attempt that failed a visible test.
        """
        return _mean(attempt.solved for _, attempt in self._pairs(turn))

    def repeat_rate(self, turn: int = 2) -> float:
        """Share of the attempts of that turn that are the program before once more; nan of none."""
        return _mean(
            attempt.code is not None and attempt.code == before.code
            for before, attempt in self._pairs(turn)
        )

    @property
    def num_infra_errors(self) -> int:
        """Chains that the sandbox broke."""
        return sum(chain.infra_error is not None for chain in self.chains)

    @property
    def num_overflows(self) -> int:
        """Chains that ended because their next prompt was too long."""
        return sum(chain.overflow for chain in self.chains)

    @property
    def num_untold_tasks(self) -> int:
        """Tasks without a visible test, at which nothing steers."""
        return len({chain.task_id for chain in self.chains if not chain.shows_tests})

    @property
    def num_truncated(self) -> int:
        """Completions that were cut, of attempts and of reflections."""
        attempts = [attempt for chain in self.chains for attempt in chain.attempts]
        return sum(a.truncated + bool(a.reflection and a.reflection.truncated) for a in attempts)

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values; None stands for what cannot be told."""
        told = [self.pass_interval(iteration) for iteration in range(1, self.iterations + 1)]
        turns = range(2, self.iterations + 1)
        return {
            "iterations": self.iterations,
            "num_tasks": len(self.clusters()),
            "num_clusters": len(set(self.clusters().values())),
            "num_chains": len(self.chains),
            "pass_at_1": [_known(self.pass_at_1(i)) for i in range(1, self.iterations + 1)],
            "pass_at_1_intervals": [found and [found.low, found.high] for found in told],
            "repair_rate": {str(turn): _known(self.repair_rate(turn)) for turn in turns},
            "repeat_rate": {str(turn): _known(self.repeat_rate(turn)) for turn in turns},
            "num_infra_errors": self.num_infra_errors,
            "num_overflows": self.num_overflows,
            "num_untold_tasks": self.num_untold_tasks,
            "num_truncated": self.num_truncated,
            "skipped_rows": list(self.skipped_rows),
            "overlap": dict(self.overlap),
            "seconds": self.seconds,
            "settings": dict(self.settings),
        }

    def save(self, folder: str | Path) -> None:
        """Write both files into a folder, which is made where it is missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SUMMARY_FILE).unlink(missing_ok=True)
        lines = [json.dumps(chain.to_json()) + "\n" for chain in self.chains]
        write_atomically(folder / CHAINS_FILE, "".join(lines))
        write_atomically(folder / SUMMARY_FILE, json.dumps(self.summary(), indent=2) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """What `save` wrote.

        Raises:
            FileNotFoundError: the folder holds no finished evaluation.
            ValueError: the files do not belong together.
        """
        folder = Path(folder)
        if not (folder / SUMMARY_FILE).exists():
            raise FileNotFoundError(
                f"{str(folder)!r} holds no {SUMMARY_FILE}, so no finished evaluation; give the "
                "output_dir of one, or go on with one that was stopped (--resume)"
            )
        try:
            return cls._read(folder)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError, OSError) as error:
            raise ValueError(
                f"{str(folder)!r} holds an evaluation that cannot be read ({error!r}); make it "
                "again, or fetch it whole"
            ) from error

    @classmethod
    def _read(cls, folder: Path) -> Evaluation:
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        with (folder / CHAINS_FILE).open(encoding="utf-8") as file:
            chains = tuple(Chain.from_json(json.loads(line)) for line in file)
        if len(chains) != summary["num_chains"]:
            raise ValueError(
                f"{folder / CHAINS_FILE} has {len(chains)} chains, {SUMMARY_FILE} beside it tells "
                f"of {summary['num_chains']}; one of them is cut short or of another evaluation"
            )
        return cls(
            chains,
            summary["iterations"],
            summary["seconds"],
            summary["settings"],
            tuple(summary.get("skipped_rows", ())),
            summary.get("overlap", {}),
        )

    def _counted(self) -> list[Chain]:
        return [chain for chain in self.chains if chain.infra_error is None]

    def _pairs(self, turn: int) -> list[tuple[EvalAttempt, EvalAttempt]]:
        """The attempts of a turn, each after the one before it."""
        self._check(turn, 2)
        chains = [chain.attempts for chain in self._counted() if len(chain.attempts) >= turn]
        return [(attempts[turn - 2], attempts[turn - 1]) for attempts in chains]

    def _check(self, number: int, least: int) -> None:
        if not least <= number <= self.iterations:
            raise ValueError(
                f"{number} is out of range: this evaluation has the iterations {least} to "
                f"{self.iterations}"
            )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return fmean(listed) if listed else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
