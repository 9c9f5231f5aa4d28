"""What the page on the vector environment shows works as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from murphy_env import CodeFeedbackVectorEnv, InfrastructureError, Task

PAGE = (Path(__file__).parents[2] / "docs" / "vector.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
FIRST, TREE, BROKEN, ASYNC = BLOCKS


def played(*blocks):
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/vector.md", "exec"), names)
    return names


def test_a_step():
    assert len(played(FIRST)["rewards"]) == 4


def test_a_tree():
    told = {0: (0.0, [0.0, 0.5, 1.0, 0.0]), 1: (0.5, [0.0, 0.5, 1.0, 0.0])}
    # Attempts 0 ("x") and 3 ("None") pass no test, 1 ("2") the first of two, 2 ("x + 1") both.
    assert played(FIRST, TREE)["tree"] == {**told, 3: told[0]}
    assert str(told)[:-1] in TREE


def test_a_step_without_the_broken(sandbox):
    class Unlucky(CodeFeedbackVectorEnv):
        """Its environment 1 is without a verdict, once."""

        def _judged(self, asked):
            moves = super()._judged(asked)
            if self.lucky:
                return moves
            self.lucky = True
            raise self._without_verdict({1: InfrastructureError("no worker")})

    task = Task("t", "Write f.", ["assert f(1) == 1"])
    right = "<output>def f(x): return x</output>"
    envs = Unlucky(3, tasks=[task], sandbox=sandbox)
    step = played(FIRST, TREE, BROKEN)["step_without_the_broken"]
    for envs.lucky, expected in ((True, [1, 1, 1]), (False, [1, 0, 1])):
        envs.reset(seed=0)
        (_, rewards, *_), left_out = step(envs, [right] * 3)
        assert rewards.tolist() == expected
        assert np.flatnonzero(left_out).tolist() == [i for i, r in enumerate(expected) if not r]
    envs.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_wrapper_in_gymnasiums_parallel_one():
    assert played(FIRST, ASYNC)["infos"]["_task_id"].tolist() == [True, True]
