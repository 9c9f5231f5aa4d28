"""The frozen values: what they refuse, and that they survive a journey."""

import copy
import dataclasses
import json
import pickle

import pytest

from murphy_env import Attempt, Episode, Execution, InfrastructureError, Limits, Status, Task
from murphy_env.types import UnitResult, UnitTest

TEST = UnitTest("assert f(1) == 2")


def task(**changes):
    given = {"task_id": "t", "prompt": "Write f.", "tests": [TEST], "metadata": {"a": [1]}}
    return Task(**(given | changes))


def test_a_string_stands_for_a_test():
    assert task(tests=["assert f(1) == 2"]) == task()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tests": []}, "no scored test"),
        ({"tests": "assert f(1) == 2"}, "give a list"),
        ({"tests": [UnitTest("assert f(1) == 2", scored=False)]}, "no scored test"),
        ({"task_id": ""}, "non-empty string"),
        ({"tests": [3]}, "holds 3"),
        ({"prompt": 3}, "prompt is 3"),
        ({"prompt": "\ud800"}, "no character"),
        ({"entry_point": "f(x)"}, "bare name"),
        ({"setup": "import ("}, "setup of task 't' is no Python"),
        ({"limits": {"test_wall_s": 1}}, "murphy_env.Limits"),
        ({"compare": "loose"}, "'loose'.*strict"),
        ({"metadata": {"a": {1, 2}}}, "only JSON values"),
    ],
)
def test_a_task_refuses(changes, named):
    with pytest.raises(ValueError, match=named):
        task(**changes)


@pytest.mark.parametrize(
    "arguments",
    [
        {"source": "x", "kind": "doctest"},
        {"source": "", "kind": "stdio"},
        {"source": "def test_a(): pass", "kind": "function"},
        {"source": "assert f()", "visible": False, "scored": False},
        {"source": "f(1) == 2"},
        {"source": ""},
        {"source": "assert f(1=="},
        {"source": 3},
        {"source": "def test_a(): pass", "kind": "function", "name": "test_b"},
        {"source": "class A: pass", "kind": "unittest", "name": "B.test_b"},
        {"source": "class A: pass", "kind": "pytest"},
        {"source": "class A: pass", "kind": "pytest", "name": "B::test_b"},
        {"source": "def test_a(x): pass", "kind": "pytest", "name": "test_b[1]"},
    ],
)
def test_a_unit_test_refuses(arguments):
    with pytest.raises(ValueError, match=r"UnitTest|neither|no assert"):
        UnitTest(**arguments)


def test_limits_refuse_nothing_left():
    with pytest.raises(ValueError, match="memory_bytes is 0"):
        Limits(memory_bytes=0)


def test_tasks_are_equal_and_hashed_by_content():
    assert task() == task()
    assert hash(task()) == hash(task())
    assert task() != task(prompt="Write g.")
    assert len({task(), task(), task(setup="import math")}) == 2


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_task_survives(travel):
    there = travel(task())
    assert there == task()
    assert there.digest == task().digest
    assert there.metadata == {"a": [1]}


def test_metadata_cannot_be_changed():
    with pytest.raises(TypeError):
        task().metadata["a"] = 2
    listed = task(metadata={"a": [1], "b": {"c": 2}})
    listed.metadata["a"].append(2)
    listed.metadata["b"]["c"] = 3
    assert listed.metadata == {"a": [1], "b": {"c": 2}}


def results(*statuses, **roles):
    return tuple(UnitResult(UnitTest("assert f(1) == 2", **roles), s) for s in statuses)


def test_reward_counts_scored_tests_alone():
    scored = results(Status.PASSED, Status.FAILED)
    steering = results(Status.FAILED, scored=False)
    execution = Execution(scored + steering, level="L1")
    assert (execution.passed, execution.total, execution.reward) == (1, 2, 0.5)
    assert len(execution.visible) == 3


def test_an_infrastructure_error_is_no_reward():
    execution = Execution(results(Status.PASSED, Status.INFRA_ERROR), level="L1")
    with pytest.raises(InfrastructureError):
        _ = execution.reward


def test_an_attempt_survives_json():
    attempt = Attempt("text", "code", results(Status.TIMEOUT, Status.PASSED), 0.5)
    assert Attempt.from_json(json.loads(json.dumps(attempt.to_json()))) == attempt


def test_solved_needs_a_visible_test():
    assert Attempt("c", "c", results(Status.PASSED), 1.0).solved
    assert not Attempt("c", "c", results(Status.PASSED, Status.FAILED), 0.5).solved
    assert not Attempt("c", "c", (), 1.0).solved


def test_an_episode_counts_its_turns():
    episode = Episode(task(), max_turns=2)
    assert (episode.turn, episode.out_of_turns) == (1, False)
    attempt = Attempt("c", None, (), 0.0)
    later = episode.after(attempt).after(attempt)
    assert (later.turn, later.out_of_turns, len(episode.attempts)) == (3, True, 0)


def test_json_of_an_attempt_has_every_field_and_is_nobody_elses():
    test = UnitTest("assert f(1) == 2", visible=True)
    result = UnitResult(test, Status.FAILED, expected="2", actual="1")
    attempt = Attempt("text", "def f(x): return x", (result,), 0.0, reflection="why")
    told = attempt.to_json()
    whole = dataclasses.asdict(attempt)
    assert told == {**whole, "results": [{**whole["results"][0], "status": "failed"}]}
    told["results"][0]["test"]["source"] = told["results"][0]["error"] = told["code"] = "changed"
    assert attempt.to_json() == Attempt.from_json(attempt.to_json()).to_json() != told
