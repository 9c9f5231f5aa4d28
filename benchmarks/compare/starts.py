"""What the starting models do before reinforcement learning, on the selection tasks.

    python -m benchmarks.compare.starts [--models probe:0 ...] [--tasks probe:selection]

pass@1 by iteration, of vague and of clear tasks; of vague tasks also the share of first attempts
that are loud, the share of second attempts that are right after a loud and after a quiet one, and
the share that is the program before once more. Models that are not there are made, in minutes each.
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from murphy_agents.evaluation.chain import Chain
from murphy_agents.evaluation.result import Evaluation
from murphy_env import Task, sources
from murphy_env.sources.swallow import Style, style_of

MODELS = ("probe:0", "probe:1", "probe:0:hedge", "probe:1:hedge")
TASKS = "probe:selection"


def part(evaluation: Evaluation, tasks: Iterable[Task], vague: bool) -> Evaluation:
    """The chains of the tasks that are vague, or of those that are clear.

    Raises:
        ValueError: a task does not say whether it is vague; only those of `probe` do.
    """
    kept = {task.task_id for task in tasks if _is_vague(task) == vague}
    return replace(evaluation, chains=tuple(c for c in evaluation.chains if c.task_id in kept))


def loud_share(evaluation: Evaluation) -> float:
    """Share of the first attempts that are loud, programs at all; nan where there is none."""
    first = [chain for chain in evaluation.chains if chain.attempts]
    return len(_after(first, "loud")) / len(first) if first else math.nan


def repaired_after(evaluation: Evaluation, style: Style) -> float:
    """Share of second attempts that are right, of those after a first one of that style."""
    return replace(evaluation, chains=tuple(_after(evaluation.chains, style))).repair_rate(2)


def row(name: str, evaluation: Evaluation, tasks: Sequence[Task]) -> str:
    """A line of the table, in percent."""
    vague = part(evaluation, tasks, vague=True)
    rates = [
        *(
            part(evaluation, tasks, which).pass_at_1(i)
            for which in (True, False)
            for i in (1, 2, 3)
        ),
        loud_share(vague),
        repaired_after(vague, "loud"),
        repaired_after(vague, "quiet"),
        vague.repeat_rate(2),
    ]
    return " | ".join([f"| {name}", *(f"{100 * rate:.1f}" for rate in rates)]) + " |"


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.compare.starts", description=__doc__)
    parser.add_argument("--models", nargs="+", default=MODELS, help="names or folders")
    parser.add_argument("--tasks", default=TASKS, help="keep test splits for the end")
    options = parser.parse_args()
    tasks = sources.load(options.tasks)
    for task in tasks:
        _is_vague(task)
    from murphy_agents.tiny.choosing import on_tasks
    from murphy_agents.wiring import folder_of

    print(
        "| model | vague, 1 | 2 | 3 | clear, 1 | 2 | 3 "
        "| loud at 1 | right after loud | after quiet | repeated |\n" + "|---" * 11 + "|"
    )
    for model in options.models:
        print(row(model, on_tasks(folder_of(model), tasks), tasks), flush=True)


def _is_vague(task: Task) -> bool:
    if "vague" not in task.metadata:
        raise ValueError(
            f"task {task.task_id!r} does not say whether it is vague; give probe:SPLIT"
        )
    return bool(task.metadata["vague"])


def _after(chains: Iterable[Chain], style: Style) -> list[Chain]:
    return [
        chain
        for chain in chains
        if chain.attempts and chain.attempts[0].code and style_of(chain.attempts[0].code) == style
    ]


if __name__ == "__main__":
    main()
