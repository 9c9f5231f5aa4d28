"""What the starting models do before reinforcement learning, on the selection tasks.

    python -m benchmarks.compare.starts [--models probe:0 ...] [--tasks probe:selection]

pass@1 by iteration, of vague and of clear tasks; of vague tasks also the share of first attempts
that are loud, the share of second attempts that are right after a loud and after a quiet one, with
their number, and the share that is the program before once more. Models that are
not there are made, in minutes each.
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
    """Share of first attempts that are loud programs, by `style_of`; nan where there is none."""
    first = [chain for chain in evaluation.chains if _began(chain)]
    return len(_after(first, "loud")) / len(first) if first else math.nan


def repaired_after(evaluation: Evaluation, style: Style) -> tuple[float, int]:
    """Share of second attempts that are right after a first one of that style, and their number."""
    seconds = [chain for chain in _after(evaluation.chains, style) if len(chain.attempts) > 1]
    return replace(evaluation, chains=tuple(seconds)).repair_rate(2), len(seconds)


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
    ]
    cells = [
        *(f"{100 * rate:.1f}" for rate in rates),
        *(
            f"{100 * rate:.1f} of {num}"
            for rate, num in (repaired_after(vague, style) for style in ("loud", "quiet"))
        ),
        f"{100 * vague.repeat_rate(2):.1f}",
    ]
    return " | ".join([f"| {name}", *cells]) + " |"


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
        "| loud at 1 | right after loud, of n | after quiet, of n | repeated |\n"
        + "|---" * 11
        + "|"
    )
    for model in options.models:
        print(row(model, on_tasks(folder_of(model), tasks), tasks), flush=True)


def _is_vague(task: Task) -> bool:
    if "vague" not in task.metadata:
        raise ValueError(
            f"task {task.task_id!r} does not say whether it is vague; give probe:SPLIT"
        )
    return bool(task.metadata["vague"])


def _began(chain: Chain) -> bool:
    return chain.infra_error is None and bool(chain.attempts)


def _after(chains: Iterable[Chain], style: Style) -> list[Chain]:
    """The chains whose first attempt is a program of that style."""
    return [
        chain
        for chain in chains
        if _began(chain)
        and (code := chain.attempts[0].code) is not None
        and style_of(code) == style
    ]


if __name__ == "__main__":
    main()
