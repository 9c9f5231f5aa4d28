"""What a run tells: metrics and rollouts as JSON lines, progress, and a summary at the end.

`rollouts.jsonl` has one line per node and no clock in it, so that two runs with the same seed and
settings write the same bytes. `metrics.jsonl` has one line per step, seconds included.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from murphy_agents.rollout import Rollout
from murphy_agents.tree import Group, Node, groups, walk

Metrics = dict[str, float]


class RunLog:
    """Writes a run's files and shows its progress; a context manager."""

    def __init__(self, folder: Path, num_steps: int, console: Console | None = None) -> None:
        self._console = console or Console()
        self._metrics = (folder / "metrics.jsonl").open("w", encoding="utf-8")
        self._rollouts = (folder / "rollouts.jsonl").open("w", encoding="utf-8")
        self._folder = folder
        self._num_steps = num_steps
        self._bar = Progress(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(),
            TextColumn("{task.description}"), console=self._console,
        )  # fmt: skip
        self._task = self._bar.add_task("first rollout ...", total=num_steps)
        self._live = Live(self._bar, console=self._console) if self._console.is_terminal else None
        self.history: list[Metrics] = []

    def __enter__(self) -> RunLog:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
        self._metrics.close()
        self._rollouts.close()

    def step(self, number: int, metrics: Metrics, rollout: Rollout) -> None:
        """Record one step: its trees, their figures and those of the update."""
        for record in records(number, rollout):
            self._rollouts.write(json.dumps(record) + "\n")
        metrics = {"step": number, **rollout_metrics(rollout), **metrics}
        self._metrics.write(json.dumps(metrics) + "\n")
        self._metrics.flush()
        self._rollouts.flush()
        self.history.append(metrics)
        told = _line(metrics)
        if self._live:
            self._bar.update(self._task, advance=1, description=told)
        else:
            self._console.print(f"step {number}/{self._num_steps}  {told}", soft_wrap=True)

    def finish(self) -> str:
        """Print and give the summary."""
        text = self.summary()
        self._console.print(text, soft_wrap=True, highlight=False)
        return text

    def summary(self) -> str:
        """What happened, in a few lines."""
        if not self.history:
            return "No step was taken."
        first, last = self.history[0], self.history[-1]
        total = {name: sum(m.get(name, 0.0) for m in self.history) for name in last}
        lines = [
            f"{len(self.history)} steps, {total['num_problems']:.0f} problems, "
            f"{total['num_generations']:.0f} generations, "
            f"{total['trained_tokens']:.0f} tokens trained",
            f"reward of first attempts {first['reward/turn_1']:.3f} -> "
            f"{last['reward/turn_1']:.3f}, "
            f"best of each problem {first['reward/best']:.3f} -> {last['reward/best']:.3f}",
            f"{total['num_zero_signal_groups']:.0f} of {total['num_groups']:.0f} groups had equal "
            "credits and so no signal",
            "seconds: " + ", ".join(
                f"{name.removeprefix('seconds/')} {total[name]:.1f}"
                for name in total if name.startswith("seconds/")
            ),
        ]  # fmt: skip
        for name, meaning in (
            ("num_infra_errors", "generations without a verdict (sandbox broke); not trained"),
            ("num_overflows", "prompts too long for the context; not generated from"),
        ):
            if total[name]:
                lines.append(f"{total[name]:.0f} {meaning}")
        if total["num_zero_signal_groups"] == total["num_groups"]:
            lines.append(
                "No group held both better and worse attempts, so nothing could be learned: a "
                "model with random weights solves nothing. Start from a model that sometimes does."
            )
        return "\n".join([*lines, f"written to {self._folder}"])


def records(step: int, rollout: Rollout) -> Iterator[dict[str, Any]]:
    """One JSON object per node of the rollout, problem by problem, parents first."""
    for problem, (task_id, root) in enumerate(zip(rollout.task_ids, rollout.roots, strict=True)):
        for group, path in _paths(root, ()):
            for i, node in enumerate(group.nodes):
                yield {
                    "step": step,
                    "problem": problem,
                    "task_id": task_id,
                    "turn": group.turn,
                    "path": [*path, i],
                    "prompt_ids": list(group.prompt_ids),
                    **_record(node),
                }


def rollout_metrics(rollout: Rollout) -> Metrics:
    """Figures of graded trees: counts, mean rewards by turn, and how much signal they hold."""
    nodes = [node for root in rollout.roots for node in walk(root)]
    trees = [[node for node in walk(root) if node.reward is not None] for root in rollout.roots]
    all_groups = [group for root in rollout.roots for group in groups(root) if group.nodes]
    by_turn: dict[int, list[float]] = {}
    for group in all_groups:
        rewards = [node.reward for node in group.nodes if node.reward is not None]
        by_turn.setdefault(group.turn, []).extend(rewards)
    lengths = [len(node.completion_ids) for node in nodes]
    return {
        "num_problems": len(rollout.roots),
        "num_generations": rollout.num_generations,
        "num_groups": len(all_groups),
        "num_zero_signal_groups": sum(_no_signal(group) for group in all_groups),
        "num_overflows": rollout.num_overflows,
        "num_infra_errors": rollout.num_infra_errors,
        **{f"reward/turn_{turn}": mean(rewards) for turn, rewards in sorted(by_turn.items())},
        "reward/best": mean([max(node.reward or 0.0 for node in t) for t in trees if t]),
        "completions/mean_length": mean(lengths),
        "completions/clipped_ratio": mean([node.finish_reason == "length" for node in nodes]),
        "seconds/generation": rollout.generation_s,
        "seconds/execution": rollout.execution_s,
    }


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return fmean(values) if values else 0.0


def _no_signal(group: Group) -> bool:
    return all(node.advantage == 0 for node in group.nodes)


def _paths(group: Group, path: tuple[int, ...]) -> Iterator[tuple[Group, tuple[int, ...]]]:
    yield group, path
    for i, node in enumerate(group.nodes):
        if node.refinements is not None:
            yield from _paths(node.refinements, (*path, i))


def _record(node: Node) -> dict[str, Any]:
    return {
        "completion_ids": list(node.completion_ids),
        "completion": node.completion,
        "finish_reason": node.finish_reason,
        "code": node.info.get("code"),
        "pass_rate": node.info.get("pass_rate"),
        "feedback": node.info.get("feedback", node.info.get("infra_error")),
        "reward": node.reward,
        "credit": node.credit,
        "advantage": node.advantage,
        "weight": node.weight,
        "pruned": node.pruned,
    }


def _line(metrics: Mapping[str, float]) -> str:
    seconds = sum(value for name, value in metrics.items() if name.startswith("seconds/"))
    turns = [name for name in metrics if name.startswith("reward/turn_")]
    rewards = " ".join(f"{metrics[name]:.3f}" for name in turns)
    updated = "nothing to train"
    if "loss" in metrics:
        updated = f"loss {metrics['loss']:+.4f}  grad {metrics['grad_norm']:.3g}"
    return (
        f"reward by turn {rewards}  best {metrics['reward/best']:.3f}  {updated}  "
        f"{metrics['num_generations']:.0f} generations  {seconds:.1f} s"
    )
