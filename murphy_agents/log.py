"""What a run tells: metrics and rollouts as JSON lines, progress, and a summary at the end.

`rollouts.jsonl` has one line per node and no clock in it, so that two runs with the same seed,
settings and one thread write the same bytes on a CPU. `metrics.jsonl` has one line per step, with
clock times (`seconds/*`, `idle/*`). `timeline.jsonl` has one line per node: when, in seconds of
its rollout, it was asked for, drawn, and judged.

The logs grow in place. A run that is killed can leave steps there that no checkpoint holds, the
last line cut short; resuming cuts both logs to what belonged to the checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from murphy_agents.metrics import Metrics, idle_shares, moments, records, rollout_metrics
from murphy_agents.rollout import Rollout
from murphy_agents.run.folder import LOGS, RunFolder
from murphy_agents.run.summary import step_line, summary
from murphy_agents.run.trackers import reporting

_METRICS, _ROLLOUTS, _TIMELINE = LOGS


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind: the final model's folder, the lines of its metrics, a summary."""

    model_dir: Path
    history: list[Metrics]
    summary: str


class RunLog:
    """Writes a run's files and shows its progress; a context manager.

    Raises (on entering):
        ValueError: a log is shorter than the checkpoint to go on from knows it.
    """

    def __init__(self, run: RunFolder, console: Console | None = None) -> None:
        self._run = run
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(12), TimeElapsedColumn(),
            TextColumn("{task.description}"), console=self._console,
        )  # fmt: skip
        self._task = self._bar.add_task(
            "first rollout ...", total=run.num_steps, completed=run.state.step
        )
        self._live = Live(self._bar, console=self._console) if self._console.is_terminal else None
        self._open = ExitStack()
        self._files: dict[str, BinaryIO] = {}
        self.history: list[Metrics] = []

    def __enter__(self) -> RunLog:
        run, done = self._run, self._run.state.step
        with ExitStack() as opened:
            for name in LOGS:
                size = run.state.log_bytes.get(name, 0)
                self._files[name] = opened.enter_context(_cut(run.path / name, size))
            self.history = read_history(run.path)
            settings = dataclasses.asdict(run.config)
            self._report = opened.enter_context(
                reporting(run.config.report_to, run.path, settings, done + 1)
            )
            self._say_start()
            if self._live:
                opened.enter_context(self._live)
            self._open = opened.pop_all()
        self._ended = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def step(self, number: int, metrics: Metrics, rollout: Rollout) -> None:
        """Record one step: its trees, their figures and those of the update."""
        now = time.perf_counter()
        # The step's clock runs from the end of the one before, so it holds what saving took too.
        idle = idle_shares(rollout, now - self._ended)
        self._ended = now
        metrics = {"step": number, **rollout_metrics(rollout), **metrics, **idle}
        self._write(_ROLLOUTS, *records(number, rollout))
        self._write(_TIMELINE, *moments(number, rollout))
        self._write(_METRICS, metrics)
        self._report({name: metrics[name] for name in metrics if name != "step"}, number)
        self.history.append(metrics)
        told = step_line(metrics)
        if self._live:
            self._bar.update(self._task, advance=1, description=told)
        else:
            self._say(f"step {number}/{self._run.num_steps}  {told}", highlight=True)

    def say_long(self, num_long: int, num_tasks: int) -> None:
        """Tell of tasks whose prompts do not fit, where there are some."""
        if num_long:
            self._say(
                f"{num_long} of {num_tasks} tasks leave no room for a completion beside their "
                "prompt: they count as overflow and teach nothing",
                highlight=True,
            )

    def to_disk(self) -> dict[str, int]:
        """Wait until the disk holds the logs; how long they are, in bytes."""
        for file in self._files.values():
            os.fsync(file.fileno())
        return {name: file.tell() for name, file in self._files.items()}

    def finish(self) -> TrainResult:
        """Print the summary and give what the run leaves behind."""
        return _told(self._run.path, self.history, self._console)

    def _say_start(self) -> None:
        run = self._run
        for fault in run.skipped:
            self._say(f"passed over: {fault}")
        if run.start is not None:
            self._say(f"resuming from {run.start}: {run.state.step} of {run.num_steps} steps done")
        elif run.config.resume:
            self._say(f"no checkpoint to resume from in {run.path}: starting from the beginning")

    def _say(self, text: str, highlight: bool = False) -> None:
        self._console.print(text, soft_wrap=True, highlight=highlight)

    def _write(self, name: str, *lines: object) -> None:
        file = self._files[name]
        file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        file.flush()


def finished_result(run: Path, console: Console | None = None) -> TrainResult:
    """Say that a run is finished; what it left behind, read from its folder."""
    console = console or Console()
    console.print(f"the run in {run} is finished: nothing to do", soft_wrap=True, highlight=False)
    return _told(run, read_history(run), console)


def read_history(run: Path) -> list[Metrics]:
    """The lines of a run's metrics."""
    return [json.loads(line) for line in (run / _METRICS).read_bytes().splitlines()]


def _told(run: Path, history: list[Metrics], console: Console) -> TrainResult:
    text = summary(history, run)
    console.print(text, soft_wrap=True, highlight=False)
    return TrainResult(run / "final", history, text)


def _cut(path: Path, size: int) -> BinaryIO:
    """Open a log to append to its first `size` bytes; the rest is deleted."""
    found = path.stat().st_size if path.exists() else 0
    if found < size:
        raise ValueError(
            f"{path} has {found} bytes, but {size} when the checkpoint was written; put back what "
            "is missing, or set overwrite_output_dir in place of resume to begin anew"
        )
    file = path.open("ab")
    file.truncate(size)
    file.seek(size)
    return file
