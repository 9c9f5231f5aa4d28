"""CodeFeedbackEnv: Gymnasium's contract, rewards, feedback, snapshots, and what it refuses."""

import dataclasses
import json
import warnings
from concurrent.futures import Future

import gymnasium as gym
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from murphy_env import (
    CodeFeedbackEnv,
    InfrastructureError,
    MessagesWrapper,
    Status,
    Task,
    UnitTest,
    check_branching,
)
from murphy_env.hidden import withhold
from murphy_env.types import Execution, UnitResult

ID = "murphy_env:murphy/CodeFeedback-v0"
RIGHT = "<output>\ndef inc(x):\n    return x + 1\n</output>"
HALF = "<output>\ndef inc(x):\n    return 2\n</output>"
WRONG = "<output>\ndef inc(x):\n    return None\n</output>"


def inc(task_id="inc", **changes):
    given = {
        "prompt": "Write inc(x), one more than x.",
        "tests": ["assert inc(1) == 2", "assert inc(5) == 6"],
        "entry_point": "inc",
    }
    return Task(task_id, **(given | changes))


@pytest.fixture
def env(sandbox):
    return CodeFeedbackEnv([inc(), inc("other")], max_turns=3, sandbox=sandbox)


@pytest.mark.parametrize("tasks", ["embedded", [inc()]])
def test_gymnasiums_checker_is_content(tasks, sandbox):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(CodeFeedbackEnv(tasks, sandbox=sandbox), skip_render_check=True)


def test_made_by_name_it_checks_and_its_spec_is_json():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(
            ID, tasks="embedded", max_turns=3, sandbox={"workers": 2}, render_mode="ansi"
        )
        check_env(env.unwrapped)
        assert json.loads(env.spec.to_json())["kwargs"]["max_turns"] == 3


def test_the_first_observation_is_the_problem(env):
    observation, info = env.reset(options={"task_id": "inc"})
    assert "Write inc(x), one more than x." in observation
    assert info["task_id"] == "inc"
    assert info["messages"][-1]["role"] == "user"
    assert info["snapshot"] == {"task_id": "inc", "attempts": []}


def test_seeds_draw_tasks(env):
    def drawn(seed):
        first = env.reset(seed=seed)[1]["task_id"]
        return [first] + [env.reset()[1]["task_id"] for _ in range(7)]

    assert drawn(3) == drawn(3)
    assert len(set(drawn(3))) == 2


def test_feedback_leads_to_the_repair(env):
    env.reset(options={"task_id": "inc"})
    observation, reward, terminated, truncated, info = env.step(HALF)
    assert (reward, terminated, truncated) == (0.5, False, False)
    assert info["pass_rate"] == 0.5
    assert [result["status"] for result in info["results"]] == ["passed", "failed"]
    assert info["results"][1]["actual"] == "2"
    assert "return 2" in observation
    assert "inc(5)" in info["feedback"]
    assert "got: 2" in info["feedback"]
    assert "got: 2" in observation
    _, reward, terminated, truncated, _ = env.step(RIGHT)
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert env.execution.passed == 2


def test_the_last_turn_truncates(env):
    env.reset()
    ends = [env.step(WRONG)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_no_code_is_told_and_earns_nothing(env):
    env.reset()
    observation, reward, terminated, _, info = env.step("I would rather not.")
    assert (reward, terminated, info["code"], info["results"]) == (0.0, False, None, [])
    assert env.execution is None
    assert "code" in observation


def test_gain_sums_to_the_best_pass_rate(sandbox):
    env = CodeFeedbackEnv([inc()], max_turns=4, sandbox=sandbox, reward="gain")
    env.reset()
    # Pass rates 0.5, 0, 0.5, 1: best so far rises by 0.5, 0, 0, 0.5.
    assert [env.step(c)[1] for c in (HALF, WRONG, HALF, RIGHT)] == [0.5, 0.0, 0.0, 0.5]


def test_steering_and_scored_tests_are_apart(sandbox):
    tests = [
        UnitTest("assert inc(1) == 2", scored=False),
        UnitTest("assert inc(5) == 6", visible=False),
    ]
    env = CodeFeedbackEnv([inc(tests=tests)], sandbox=sandbox)
    env.reset()
    observation, reward, terminated, _, info = env.step(HALF)
    # The visible test passes and ends the loop; the hidden one decides, and its text stays hidden.
    assert (reward, terminated) == (0.0, True)
    assert len(info["results"]) == 1
    assert "inc(5)" not in observation + json.dumps(info)
    assert len(env.execution.results) == 2


def test_without_a_visible_test_nothing_stops_early(sandbox):
    tests = [UnitTest("assert inc(1) == 2", visible=False)]
    env = CodeFeedbackEnv([inc(tests=tests)], sandbox=sandbox)
    env.reset()
    assert env.step(RIGHT)[1:4] == (1.0, False, False)
    assert env.step(RIGHT)[1:4] == (1.0, False, True)


def test_hidden_share_withholds_but_scores():
    task = inc(tests=[f"assert inc({i}) == {i + 1}" for i in range(8)])
    half = withhold(task, 0.5)
    assert sum(test.visible for test in half.tests) == 4
    assert all(test.scored for test in half.tests)
    assert withhold(task, 0.5) == half
    assert withhold(task, 0.0) is task
    # 0.9 of two tests rounds to both; one must stay.
    assert sum(t.visible for t in withhold(inc(), 0.9).tests) == 1
    assert withhold(inc(tests=["assert inc(1) == 2"]), 0.9).tests[0].visible


def test_a_hidden_function_is_cut_from_what_visible_tests_run():
    source = "import math\nTABLE = {5: 6}\ndef test_a():\n    assert inc(1) == 2\n"
    source += "def test_b():\n    assert inc(5) == TABLE[5]\n"
    tests = [UnitTest(source, "test_a", kind="function")]
    tests += [UnitTest(source, "test_b", kind="function", visible=False)]
    shown, hidden = withhold(inc(tests=tests), 0.0).tests
    assert shown.source == source.partition("def test_b")[0] + "pass\n\n"
    assert hidden.source == source
    both = [dataclasses.replace(test, visible=True) for test in tests]
    assert [test.source for test in withhold(inc(tests=both), 0.0).tests] == [source] * 2


def test_a_hidden_method_is_cut_from_what_visible_tests_run():
    source = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): pass\n"
    source += (
        "    def test_b(self): pass\nclass U(unittest.TestCase):\n    def test_b(self): pass\n"
    )
    source += "    @unittest.skipIf(False, '')\n    def test_c(self):\n        pass\n"
    names = {"U.test_c": True} | {"T.test_a": True, "T.test_b": True, "U.test_b": False}
    tests = [UnitTest(source, n, kind="unittest", visible=seen) for n, seen in names.items()]
    *shown, hidden = withhold(inc(tests=tests), 0.0).tests
    head, _, tail = source.rpartition("def test_b(self): ")
    assert [test.source for test in shown] == [head + tail] * 3
    assert hidden.source == source


@pytest.mark.parametrize(
    "use",
    [
        "def test_a(): test_b()",
        "def test_a(): pass\nTABLE = [test_b]",
        "import functools\n@functools.wraps(test_b)\ndef test_a(): pass",
        "def test_a(): globals()['test_b']()",
        "def test_a(): pass\ntest_b.__doc__ = ''",
        "def test_a(): eval('test_b()')",
    ],
)
def test_a_hidden_function_that_others_use_stays(use):
    source = f"def test_b(): pass\n{use}\n"
    tests = [UnitTest(source, f"test_{n}", kind="function", visible=n == "a") for n in "ab"]
    assert [test.source for test in withhold(inc(tests=tests), 0.0).tests] == [source] * 2


@pytest.mark.parametrize("kind", ["function", "pytest", "pytest class"])
@pytest.mark.parametrize("label", ["", "[1-a]"])
def test_nothing_of_a_hidden_test_is_shown_whatever_its_kind(kind, label, sandbox):
    body = "".join(f"def test_{n}(): assert inc('secret {n}') == 1\n" for n in "abcd")
    name = "test_%s" + label
    if kind == "pytest class":
        lines = body.replace("():", "(self):").splitlines()
        body, name = "class TestX:\n" + "".join(f"    {line}\n" for line in lines), "TestX::" + name
    tests = [UnitTest(body, name % n, kind=kind.split()[0], visible=n in "ab") for n in "abcd"]
    env = CodeFeedbackEnv([inc(tests=tests)], sandbox=sandbox)
    env.reset(seed=0)
    observation, *_, info = env.step(WRONG)
    told = observation + json.dumps(info)
    assert "secret c" not in told
    assert "secret d" not in told


def test_a_test_that_shares_its_source_with_hidden_ones_is_shown_by_name(sandbox):
    source = "def test_a(): assert inc(1) == 2\n"
    source += "def test_b(): assert inc('secret') == 1\nTABLE = [test_b]\n"
    tests = [UnitTest(source, f"test_{n}", kind="function", visible=n == "a") for n in "ab"]
    env = CodeFeedbackEnv([inc(tests=tests)], sandbox=sandbox)
    env.reset(seed=0)
    observation = env.step(WRONG)[0]
    assert "failed: test_a" in observation or "error: test_a" in observation
    assert "secret" not in observation


@pytest.mark.parametrize("at", ["@mark", "@(\n    mark\n)", "@mark(\n    1,\n)", "@ \\\nmark"])
def test_a_hidden_function_goes_with_its_decorators(at):
    head = "from marks import mark\ndef test_a(): pass\n"
    source = f"{head}{at}\ndef test_b():\n    '''Two\nlines'''\n"
    tests = [UnitTest(source, f"test_{n}", kind="function", visible=n == "a") for n in "ab"]
    shown = withhold(inc(tests=tests), 0.0).tests[0].source
    assert shown.split() == [*head.split(), "pass"]
    assert shown.count("\n") == source.count("\n")


@pytest.mark.parametrize(
    ("decorator", "goes"),
    [
        ("@patch('requests.get', side_effect=answer)", True),
        ("@mock.patch.object(answer, 'x', None)", True),
        ("@patch('requests.get', return_value=answer())", False),
        ("@answer('requests.get', side_effect=answer)", False),
    ],
)
def test_a_hidden_method_goes_with_patches_that_call_nothing(decorator, goes):
    source = (
        "import unittest\nfrom unittest import mock\nfrom unittest.mock import patch\n"
        "def answer(*args, **words): return lambda f: f\nclass T(unittest.TestCase):\n"
        f"    def test_a(self): pass\n    {decorator}\n    def test_b(self, *_): pass\n"
    )
    tests = [UnitTest(source, f"T.test_{n}", kind="unittest", visible=n == "a") for n in "ab"]
    shown, whole = (test.source for test in withhold(inc(tests=tests), 0.0).tests)
    assert ("test_b" not in shown) is goes
    assert whole == source


@pytest.mark.parametrize("made", ["@kept\ndef test_b(): pass", "def test_b(x=(y := 5)): pass"])
def test_a_hidden_function_whose_making_does_something_stays(made):
    source = f"found = []\ndef kept(f): found.append(f)\n{made}\ndef test_a(): print(found)\n"
    tests = [UnitTest(source, f"test_{n}", kind="function", visible=n == "a") for n in "ab"]
    assert [test.source for test in withhold(inc(tests=tests), 0.0).tests] == [source] * 2


@pytest.mark.parametrize(
    "hidden",
    [
        "class Base(unittest.TestCase):\n    def test_b(self): pass\nclass T(Base):\n",
        "class T(unittest.TestCase):\n    if True:\n        def test_b(self): pass\n",
        "class T(unittest.TestCase):\n    test_b = lambda self: None\n",
    ],
)
def test_what_is_no_plain_method_stays(hidden):
    source = f"import unittest\n{hidden}    def test_a(self): pass\n"
    tests = [UnitTest(source, f"T.test_{n}", kind="unittest", visible=n == "a") for n in "ab"]
    assert [test.source for test in withhold(inc(tests=tests), 0.0).tests] == [source] * 2


def test_a_snapshot_is_json_and_continues(env):
    env.reset(options={"task_id": "inc"})
    observation, _, _, _, info = env.step(HALF)
    snapshot = json.loads(json.dumps(info["snapshot"]))
    env.reset(options={"task_id": "other"})
    again, restored = env.reset(options={"snapshot": snapshot})
    assert again == observation
    assert restored["messages"] == info["messages"]
    assert env.step(RIGHT)[1:3] == (1.0, True)


@pytest.mark.parametrize("transcript", ["requote", "chat"])
@pytest.mark.parametrize("reward", ["pass_rate", "gain"])
def test_branching_holds(transcript, reward, sandbox):
    check_branching(
        CodeFeedbackEnv(
            "embedded", max_turns=3, sandbox=sandbox, transcript=transcript, reward=reward
        )
    )


class Forgetful(gym.Wrapper):
    """Adds the number of all steps ever taken to the prompt: state that no snapshot holds."""

    steps = 0

    def step(self, action):
        observation, *rest, info = self.env.step(action)
        self.steps += 1
        last = {"role": "user", "content": f"step {self.steps}"}
        return (
            f"{observation}\n\nstep {self.steps}",
            *rest,
            info | {"messages": [*info["messages"], last]},
        )


def test_check_branching_finds_state_outside_of_the_snapshot(env):
    with pytest.raises(AssertionError, match=r"turn 1, step: info\['messages'\]"):
        check_branching(Forgetful(env))


class Drifting(gym.Wrapper):
    """Pays less for the same step each time."""

    steps = 0

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        self.steps += 1
        return observation, reward / self.steps, *rest


def test_check_branching_finds_a_reward_that_drifts():
    with pytest.raises(AssertionError, match=r"step: reward is '0\.\d+' after a snapshot"):
        check_branching(Drifting(CodeFeedbackEnv("embedded")))


def test_messages_wrapper_changes_observation_and_messages(env):
    def shout(messages):
        return [message | {"content": message["content"].upper()} for message in messages]

    wrapped = MessagesWrapper(env, shout)
    observation, info = wrapped.reset(options={"task_id": "inc"})
    assert "WRITE INC(X)" in observation
    assert "WRITE INC(X)" in info["messages"][-1]["content"]
    observation, *_, info = wrapped.step(HALF)
    assert "RETURN 2" in observation
    assert info["messages"][-1]["content"] in observation
    check_branching(wrapped)


def test_chat_transcript_keeps_the_completion_as_it_was(sandbox):
    env = CodeFeedbackEnv([inc()], sandbox=sandbox, transcript="chat")
    before = env.reset()[1]["messages"]
    *_, info = env.step(HALF)
    assert info["messages"][: len(before)] == before
    assert [m["role"] for m in info["messages"][len(before) :]] == ["assistant", "user"]
    assert info["messages"][len(before)]["content"] == HALF


def test_render_tells_the_story(sandbox):
    env = CodeFeedbackEnv([inc()], sandbox=sandbox, render_mode="ansi")
    env.reset()
    env.step(HALF)
    text = env.render()
    assert "attempt 1: 1/2 visible tests passed" in text
    assert "return 2" in text


def test_info_has_no_clock_pid_or_path(env, tmp_path):
    import os

    env.reset(options={"task_id": "inc"})
    # The process id and the working directory are what a program could bring into its output.
    code = "<output>\nimport os\ndef inc(x):\n    raise ValueError(x)\n</output>"
    one = env.step(code)[4]
    env.reset(options={"task_id": "inc"})
    two = env.step(code)[4]
    assert one == two
    assert str(os.getpid()) not in json.dumps(one)
    assert os.getcwd() not in json.dumps(one)


class Broken:
    """A sandbox that cannot give a verdict, and says so as the real one does."""

    level = "L1"

    def submit(self, task, code):
        results = tuple(UnitResult(t, Status.INFRA_ERROR, error="no worker") for t in task.tests)
        verdict = Future()
        verdict.set_result(Execution(results, level=self.level))
        return verdict


def test_an_infrastructure_error_is_raised_and_changes_nothing(env):
    env.reset(options={"task_id": "inc"})
    whole, env._sandbox = env._sandbox, Broken()
    with pytest.raises(InfrastructureError, match="no worker"):
        env.step(RIGHT)
    env._sandbox = whole
    assert env.step(RIGHT)[1:3] == (1.0, True)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tasks": []}, "tasks is empty"),
        ({"tasks": [inc(), inc()]}, "'inc' stands twice"),
        ({"tasks": "embeded"}, "embedded"),
        ({"max_turns": 0}, "max_turns is 0"),
        ({"max_turns": "2"}, "max_turns is 2; give a whole number"),
        ({"hidden_share": "0.5"}, "hidden_share is 0.5; give a share"),
        ({"tasks": [inc(metadata={"prompts": "tersee"})]}, "tersee"),
        ({"reward": "passrate"}, "pass_rate"),
        ({"hidden_share": 1.0}, "hidden_share is 1.0"),
        ({"transcript": "quote"}, "requote"),
        ({"render_mode": "human"}, "ansi"),
        ({"prompts": "long"}, "standard"),
        ({"sandbox": {"workers": 0}}, "workers"),
    ],
)
def test_impossible_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        CodeFeedbackEnv(**({"tasks": [inc()]} | settings))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tasks": ["inc"]}, "'inc'"),
        ({"tasks": inc()}, "give a list of Task"),
        ({"tasks": None}, "give a list of Task"),
        ({"sandbox": "auto"}, "as a dict"),
        ({"prompts": 5}, "prompts is 5"),
    ],
)
def test_parts_of_another_type_are_named(settings, named):
    with pytest.raises(TypeError, match=named):
        CodeFeedbackEnv(**({"tasks": [inc()]} | settings))


def test_prompts_that_raise_cost_no_attempt(sandbox):
    from dataclasses import replace

    from murphy_env.prompts import prompt_set

    told = replace(prompt_set("terse"), feedback=lambda episode: 1 / 0)
    env = CodeFeedbackEnv([inc()], sandbox=sandbox, prompts=told)
    env.reset()
    with pytest.raises(ZeroDivisionError):
        env.step(HALF)
    assert env.episode.attempts == ()


def test_stepping_too_early_or_too_late(env):
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        env.step(RIGHT)
    env.reset()
    env.step(RIGHT)
    with pytest.raises(ResetNeeded, match="finished"):
        env.step(RIGHT)


def test_a_spec_with_task_objects_is_no_json():
    env = gym.make(ID, tasks=[inc()])
    with pytest.raises(TypeError, match="path of a"):
        env.spec.to_json()


@pytest.mark.parametrize("completion", [None, 3, b"def f(): pass", ["def f(): pass"]])
def test_a_completion_must_be_text(completion, env):
    env.reset()
    with pytest.raises(TypeError, match="str"):
        env.step(completion)


def test_an_unknown_task_is_named_with_its_nearest(env):
    with pytest.raises(ValueError, match=r"'ink'.*'inc'"):
        env.reset(options={"task_id": "ink"})


def test_unusable_snapshots_are_refused(env, sandbox):
    env.reset(options={"task_id": "inc"})
    snapshot = env.step(HALF)[4]["snapshot"]
    finished = env.step(RIGHT)[4]["snapshot"]
    for wrong, named in [
        ({"task_id": "gone", "attempts": []}, "'gone'"),
        ({"attempts": []}, "cannot be read"),
        ("later", "cannot be read"),
        (finished, "finished episode"),
    ]:
        with pytest.raises(ValueError, match=named):
            env.reset(options={"snapshot": wrong})
    with pytest.raises(ValueError, match="give one"):
        env.reset(options={"snapshot": snapshot, "task_id": "other"})
    changed = CodeFeedbackEnv([inc(tests=["assert inc(2) == 3"])], sandbox=sandbox)
    with pytest.raises(ValueError, match="other tests"):
        changed.reset(options={"snapshot": snapshot})


def test_an_unknown_option_is_refused(env):
    with pytest.raises(ValueError, match="'taskid'"):
        env.reset(options={"taskid": "inc"})
