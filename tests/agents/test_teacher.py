"""The teacher plays the real environment, and is as weak as it says."""

import itertools

import pytest

from murphy_agents.tiny import teacher
from murphy_agents.tiny.conversation import MAX_TURNS, far
from murphy_env import CodeFeedbackEnv, sources
from murphy_env.sources.embedded import docstrings
from murphy_env.sources.family import variants

WORKERS = {"workers": 2}


@pytest.fixture(scope="module")
def told():
    return teacher.conversations(0, 150, WORKERS)


def test_first_attempts_fail_and_the_right_answer_ends_a_conversation(told):
    for conversation in told:
        assert not conversation[0].right
        assert not any(turn.right for turn in conversation[:-1])
        assert conversation[-1].right or len(conversation) == MAX_TURNS


def test_conversations_differ_and_are_the_same_for_a_seed(told):
    assert len(set(map(repr, told))) == len(told)
    assert teacher.conversations(0, 150, WORKERS) == told
    other = teacher.conversations(1, 20, WORKERS)
    assert not any(conversation in told for conversation in other)


def test_repairs_repeat_or_are_right_in_the_shares_told(told):
    repairs = [
        (before, after)
        for conversation in told
        for before, after in itertools.pairwise(conversation)
    ]
    repeated = [before.completion == after.completion for before, after in repairs]
    assert all(repeat != after.right for (_, after), repeat in zip(repairs, repeated, strict=True))
    # About 230 repairs: the share's standard error is 0.03.
    assert sum(repeated) / len(repeated) == pytest.approx(teacher.REPEAT, abs=0.1)


def test_the_pupil_reads_what_the_environment_says(told):
    tasks = [
        *sources.embedded("train", seed=far(0), num_tasks=150, hidden=False),
        *sources.embedded("train", seed=far(0) + 1, num_tasks=150, hidden=True),
    ]
    by_prompt = {}
    for task in tasks:
        by_prompt.setdefault(task.prompt, []).append(task.task_id)
    first, second = told[0][:2]
    with CodeFeedbackEnv(tasks=tasks, max_turns=3, transcript="chat", sandbox=WORKERS) as env:
        seen = []
        for task_id in by_prompt[first.messages[0]["content"]]:
            env.reset(options={"task_id": task_id})
            seen.append(tuple(env.step(first.completion)[4]["messages"]))
    assert second.messages in seen


def test_only_training_docstrings_are_taught(told):
    read = {conversation[0].messages[0]["content"].split('"""')[1] for conversation in told}
    assert read <= set(docstrings("train"))
    # Wrong answers too: no program of another split's docstring is ever written.
    written = {turn.completion for conversation in told for turn in conversation}
    known = {
        teacher.completion_of(variant) for name in docstrings("train") for variant in variants(name)
    }
    assert written <= known


def test_no_task_of_a_training_run_is_taught():
    run = {task.digest for seed in range(3) for task in sources.embedded("train", seed=seed)}
    taught = {
        task.digest
        for seed in (0, 1)
        for offset, hidden in enumerate((False, True, False))
        for task in sources.embedded("train", seed=far(seed) + offset, hidden=hidden)
    }
    assert not run & taught


def test_first_answers_are_right_and_follow_the_prior():
    answers = teacher.first_answers(0, 400)
    tasks = sources.embedded("train", seed=far(0) + 2, num_tasks=400)
    for (turn,), task in zip(answers, tasks, strict=True):
        assert turn.right
        assert turn.completion.endswith(f"<output>{task.reference}</output>")
    likeliest = sum(task.metadata["likeliest"] for task in tasks) / len(tasks)
    assert 0.4 < likeliest < 0.65  # about half, as test_sources says of the world


def test_the_shares_of_misreadings():
    docstring = "above n, double, sort"
    others = set(teacher._misreadings(docstring))
    # Of three other filters, five other maps and five other endings, those in the training split.
    assert others <= set(docstrings("train")) - {docstring}
    assert 3 <= len(others) <= 3 + 5 + 5
    for other in others:
        changed = zip(docstring.split(", "), other.split(", "), strict=True)
        assert sum(a != b for a, b in changed) == 1
