"""What starting models do, counted by hand on a few chains."""

import math
from dataclasses import replace

import pytest

from benchmarks.compare.starts import loud_share, part, repaired_after, row
from murphy_agents.evaluation.chain import Chain, EvalAttempt
from murphy_agents.evaluation.result import Evaluation
from murphy_env import sources
from murphy_env.sources.swallow import program

LOUD = program("odd, square, sum", ";", "loud")
QUIET = program("odd, square, sum", ";", "quiet")


def chain(task, *said):
    """Attempts as (code, solved)."""
    attempts = [EvalAttempt(code, "", "", solved, solved, float(solved)) for code, solved in said]
    return Chain(task.task_id, 0, task.prompt, tuple(attempts))


@pytest.fixture(scope="module")
def tasks():
    drawn = sources.probe("selection", num_tasks=40)
    vague = [task for task in drawn if task.metadata["vague"]]
    clear = [task for task in drawn if not task.metadata["vague"]]
    return [*vague[:5], *clear[:2]]


@pytest.fixture(scope="module")
def evaluation(tasks):
    return Evaluation(
        (
            chain(tasks[0], (LOUD, True)),
            chain(tasks[1], (LOUD, False), (QUIET, True)),
            chain(tasks[2], (LOUD, False), (QUIET, False), (LOUD, False)),
            chain(tasks[3], (QUIET, False), (QUIET, False), (QUIET, True)),
            chain(tasks[4], (None, False), (QUIET, False), (QUIET, False)),
            chain(tasks[5], (QUIET, True)),
            chain(tasks[6], (QUIET, False), (QUIET, True)),
        ),
        iterations=3,
    )


def test_shares_of_vague_tasks(evaluation, tasks):
    vague = part(evaluation, tasks, vague=True)
    assert loud_share(vague) == 3 / 5
    assert repaired_after(vague, "loud") == (1 / 2, 2)
    assert repaired_after(vague, "quiet") == (0, 1)
    assert loud_share(part(evaluation, tasks, vague=False)) == 0
    assert math.isnan(loud_share(part(evaluation, [], vague=True)))


def test_the_line_of_a_model(evaluation, tasks):
    # Vague: 1, 2, 3 of 5. Clear: 1, 2, 2 of 2. Of four second attempts one is as before.
    found = [cell.strip() for cell in row("it", evaluation, tasks).strip("|").split("|")]
    wanted = ["20.0", "40.0", "60.0", "50.0", "100.0", "100.0", "60.0"]
    wanted += ["50.0 of 2", "0.0 of 1", "25.0"]
    assert found == ["it", *wanted]


def test_chains_without_a_verdict_and_attempts_without_a_program_are_not_loud(tasks):
    broken = replace(chain(tasks[0], (LOUD, False)), infra_error="the sandbox broke")
    found = Evaluation((broken, chain(tasks[1], (LOUD, True)), chain(tasks[2], (None, False))), 1)
    assert loud_share(found) == 1 / 2


def test_tasks_of_another_world_are_refused(evaluation):
    with pytest.raises(ValueError, match="'embedded/test-0/0' does not say whether it is vague"):
        part(evaluation, sources.embedded("test", num_tasks=1), vague=True)
