"""The report of a finished run: what changed, its curves, and a few trees to read.

    report.md       settings, table, curves, seconds, chains before and after, trees
    curves.png      its picture
    evaluation/     of the model before and after (see `before_after`), where eval_tasks is given

The card of the final model is written anew with the evaluation.

What is there already, whole and of this very run, is kept and only shown again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from murphy_agents import card
from murphy_agents.config import TrainConfig
from murphy_agents.costs import spent
from murphy_agents.files import write_atomically
from murphy_agents.log import read_history
from murphy_agents.metrics import Metrics
from murphy_agents.report import before_after
from murphy_agents.report import examples as report_examples
from murphy_agents.report import table as report_table
from murphy_agents.report import trees as report_trees
from murphy_agents.report.before_after import BeforeAfter
from murphy_agents.run.folder import FINAL
from murphy_agents.run.summary import summary
from murphy_agents.show import curves, text

REPORT, CURVES = "report.md", "curves.png"


def write_report(config: TrainConfig, console: Console | None = None) -> Path:
    """Evaluate a finished run as its settings say, and write down what came of it.

    Args:
        config: of the run, which `train` has finished.
        console: where progress and the table are shown.

    Returns:
        Path of `report.md`.

    Raises:
        FileNotFoundError: there is no finished run in `output_dir`.
        ValueError: evaluations are there that were made with other settings.
    """
    console = console or Console()
    run = Path(config.output_dir)
    if not (run / FINAL).is_dir():
        raise FileNotFoundError(
            f"output_dir {config.output_dir!r} holds no {FINAL} model; train first, or go on with "
            "a run that was stopped (resume)"
        )
    both, was_whole = None, False
    if config.eval_tasks:
        before_after.forget_other_runs(config)
        was_whole = before_after.are_whole(config)
        both = before_after.evaluate_both(config, console)
        _show(both, console)
    report = run / REPORT
    if not (was_whole and report.exists()):
        history = read_history(run)
        if history:
            curves.draw(history, run / CURVES)
        parts = _parts(config, run, history, both)
        write_atomically(report, "\n\n".join(parts) + "\n")
        told = report_table.for_card(both) if both else []
        card.write(run / FINAL, run, len(history), evaluation=told)
    console.print(f"report: {report}", soft_wrap=True, highlight=False)
    return report


def _show(both: BeforeAfter, console: Console) -> None:
    told = [report_table.table(both).text(), *map(text.wrapped, report_table.notes(both))]
    for line in ["\ntrained against base", *told]:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _parts(
    config: TrainConfig, run: Path, history: Sequence[Metrics], both: BeforeAfter | None
) -> Iterator[str]:
    yield f"# {config.algorithm_name}, {config.model}"
    yield "## Settings that differ from the defaults"
    yield text.fenced(settings(config))
    if both:
        yield "## Trained against base"
        yield report_table.table(both).markdown()
        yield from report_table.notes(both)
    yield "## Training"
    if history:
        yield f"![curves]({CURVES})"
        yield "Dots: steps. Lines: means over a window of about a tenth of the steps."
    yield text.fenced(summary(history, run))
    yield "## Seconds"
    yield seconds(history, both)
    if both:
        yield "## Chains of attempts, before and after"
        yield report_examples.as_markdown(both, _prompts(config))
    if not history:
        return
    yield "## Trees"
    yield (
        "Of the first and the last step, the first problem in which an advantage is not 0. One "
        "line a generation: reward, credit after assignment, advantage, beginning of the program."
    )
    yield report_trees.as_markdown(run)


def settings(config: TrainConfig) -> str:
    """One line per setting that is not at its default."""
    defaults = dataclasses.asdict(TrainConfig())
    told = dataclasses.asdict(config)
    return "\n".join(f"{name}: {told[name]}" for name in told if told[name] != defaults[name])


def seconds(history: Sequence[Metrics], both: BeforeAfter | None) -> str:
    """What the parts of a run took, in a line."""
    names = ("generation", "execution", "update")
    taken = [(name, spent(history, f"{name} s")) for name in names]
    if both:
        taken.append(("evaluation", both.base.seconds + both.trained.seconds))
    listed = ", ".join(f"{name} {number:.1f}" for name, number in taken)
    return f"{listed} (execution: waiting for verdicts after the last completion of a turn)"


def _prompts(config: TrainConfig) -> dict[str, str]:
    from murphy_env import sources

    return {task.task_id: task.prompt for task in sources.load(str(config.eval_tasks))}
