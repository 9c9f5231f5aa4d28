"""What a run tells: metrics and rollouts as JSON lines, progress, and a summary at the end.

`rollouts.jsonl` has one line per node and no clock in it, so that two runs with the same seed,
settings and one thread write the same bytes on a CPU. `metrics.jsonl` has one line per step, with
seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from murphy_agents.metrics import Metrics, records, rollout_metrics
from murphy_agents.rollout import Rollout

_COUNTED = {
    "num_infra_errors": "generations without a verdict (the sandbox broke); not trained",
    "num_overflows": "prompts without room for a completion; not generated from",
    "num_pruned": "generations pruned",
    "num_masked": "truncated completions left out",
    "num_empty": "completions without a token",
    "num_untold_problems": "problems without a visible test",
}


class RunLog:
    """Writes a run's files and shows its progress; a context manager."""

    def __init__(self, folder: Path, num_steps: int, console: Console | None = None) -> None:
        self._console = console or Console()
        self._metrics = (folder / "metrics.jsonl").open("w", encoding="utf-8")
        self._rollouts = (folder / "rollouts.jsonl").open("w", encoding="utf-8")
        self._folder = folder
        self._num_steps = num_steps
        self._bar = Progress(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(12), TimeElapsedColumn(),
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

    def say_long(self, num_long: int, num_tasks: int) -> None:
        """Tell of tasks whose prompts do not fit, where there are some."""
        if num_long:
            self._console.print(
                f"{num_long} of {num_tasks} tasks leave no room for a completion beside their "
                "prompt: they count as overflow and teach nothing",
                soft_wrap=True,
            )

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
        total = {
            name: sum(m.get(name, 0.0) for m in self.history) for m in self.history for name in m
        }
        lines = [
            f"{len(self.history)} {'step' if len(self.history) == 1 else 'steps'}, "
            f"{total['num_problems']:.0f} problems, "
            f"{total['num_generations']:.0f} generations, "
            f"{total['trained_tokens']:.0f} tokens trained",
            f"first step: {_rewards(first)}; last step: {_rewards(last)}",
            f"{total['num_zero_signal_groups']:.0f} of {total['num_trained_groups']:.0f} groups "
            "had equal credits and so no signal",
            "seconds: " + ", ".join(
                f"{name.removeprefix('seconds/')} {total[name]:.1f}"
                for name in total if name.startswith("seconds/")
            ),
        ]  # fmt: skip
        lines += [f"{total[name]:.0f} {told}" for name, told in _COUNTED.items() if total[name]]
        if not any(metrics["optimizer_steps"] for metrics in self.history):
            lines.append("Nothing was left to train on, so the model is as it was.")
        elif total["num_zero_signal_groups"] == total["num_trained_groups"]:
            lines.append(
                "No group held both better and worse attempts, so nothing could be learned. A "
                "model with random weights, for one, solves nothing: start from one that does at "
                "times."
            )
        return "\n".join([*lines, f"written to {self._folder}"])


def _rewards(metrics: Mapping[str, float]) -> str:
    """Mean rewards of a step, as far as something was attempted."""
    turns = [name for name in metrics if name.startswith("reward/turn_")]
    if not turns:
        return "nothing attempted"
    by_turn = " ".join(f"{metrics[name]:.3f}" for name in turns)
    return f"reward by turn {by_turn}, best of each problem {metrics['reward/best']:.3f}"


def _line(metrics: Mapping[str, float]) -> str:
    seconds = sum(value for name, value in metrics.items() if name.startswith("seconds/"))
    updated = "nothing to train"
    if "loss" in metrics:
        updated = f"loss {metrics['loss']:+.4f}, grad {metrics['grad_norm']:.3g}"
    drawn = f"{metrics['num_generations']:.0f} generations, {seconds:.1f} s"
    return f"{_rewards(metrics)}; {updated}; {drawn}"
