"""The probe tasks: being quiet earns more, being loud tells more, and no split sees another's."""

import ast
import itertools
import re

import pytest

from murphy_env import CodeFeedbackEnv, Sandbox, sources
from murphy_env.sources.probe import ROWS, SPLITS, docstrings
from murphy_env.sources.swallow import DOCSTRINGS, SEPARATORS, program, prompt, style_of


@pytest.fixture(scope="module")
def probe():
    return {split: sources.probe(split) for split in SPLITS}


def other(task):
    """A separator that is not the task's."""
    return next(s for s in SEPARATORS if s != task.metadata["separator"])


def test_splits_share_out_all_docstrings():
    parts = [docstrings(split) for split in SPLITS]
    assert sorted(itertools.chain(*parts)) == sorted(DOCSTRINGS)
    assert list(map(len, parts)) == [50, 10, 20]


def test_training_covers_every_word_and_separator(probe):
    words = {word for name in docstrings("train") for word in name.split(", ")}
    assert words == {word for name in DOCSTRINGS for word in name.split(", ")}
    for tasks in probe.values():
        assert {task.metadata["separator"] for task in tasks} == set(SEPARATORS)


def test_docstrings_of_a_split_are_its_own_for_every_seed():
    for split, seed in itertools.product(SPLITS, range(3)):
        used = {task.metadata["docstring"] for task in sources.probe(split, seed)}
        assert used <= set(docstrings(split))


def test_the_same_draw_gives_the_same_tasks(probe):
    assert sources.probe("selection", num_tasks=30) == probe["selection"][:30]
    assert sources.probe("selection", seed=1) != probe["selection"]
    ids = [task.task_id for tasks in probe.values() for task in tasks]
    assert len(set(ids)) == len(ids) == 1000


def test_the_share_of_vague_tasks(probe):
    share = sum(task.metadata["vague"] for task in probe["train"]) / 400
    assert share == pytest.approx(0.75, abs=0.09)  # four standard errors of 0.022
    assert not any(task.metadata["vague"] for task in sources.probe(vague=0.0))
    assert all(task.metadata["vague"] for task in sources.probe(vague=1.0))


def test_only_a_clear_task_names_its_separator(probe):
    for task in probe["train"]:
        told = task.metadata
        separator = None if told["vague"] else told["separator"]
        assert task.prompt == prompt(told["docstring"], separator)
    # Every two separators make different prompts of a clear task, and one of a vague one.
    assert len({prompt("odd, square, sum", s) for s in SEPARATORS}) == 8


@pytest.mark.parametrize("variant", ["plain", "strong"])
def test_the_rows_of_a_half(variant):
    for task in sources.probe(num_tasks=40, variant=variant):
        rows = ast.literal_eval(task.setup.removeprefix("row="))
        wanted = [int(test.source.rpartition("==")[2]) for test in task.tests]
        assert len(set(rows)) == 12
        for half in (slice(0, 6), slice(6, 12)):
            kinds = [
                "single" if len(row) == 1 else "zero" if value == 0 else "other"
                for row, value in zip(rows[half], wanted[half], strict=True)
            ]
            assert tuple(map(kinds.count, ("single", "zero", "other"))) == ROWS[variant]
            # Zero for all is right on the zeros alone.
            assert wanted[half].count(0) == ROWS[variant][1]


@pytest.mark.parametrize(
    ("variant", "quiet", "loud"), [("plain", 1 / 2, 1 / 3), ("strong", 2 / 3, 1 / 6)]
)
def test_rewards_of_real_programs(variant, quiet, loud):
    tasks = sources.load(f"probe:test?variant={variant}&num_tasks=12&vague=0.5")
    tasks += sources.load(f"probe:train?variant={variant}&num_tasks=4")
    jobs, wanted = [], []
    for task, style in itertools.product(tasks, ("quiet", "loud")):
        right, reading = task.metadata["separator"], task.metadata["docstring"]
        for separator in (right, other(task)):
            jobs.append((task, program(reading, separator, style)))
            wrong = quiet if style == "quiet" else loud
            wanted.append(1.0 if separator == right else wrong)
    with Sandbox(workers=2) as sandbox:
        executions = sandbox.map(jobs)
    assert [execution.reward for execution in executions] == pytest.approx(wanted, abs=1e-12)
    for (task, _), execution in zip(jobs, executions, strict=True):
        # Visible and hidden half pay alike.
        visible = sum(result.passed for result in execution.visible) / len(execution.visible)
        assert visible == pytest.approx(execution.reward, abs=1e-12), task.task_id


def said(task, style, **told):
    """What the environment says to a wrong program in that style."""
    code = program(task.metadata["docstring"], other(task), style)
    with CodeFeedbackEnv(tasks=[task], sandbox={"workers": 1}, **told) as env:
        env.reset()
        return env.step(f"<output>{code}</output>")[4]


def test_a_loud_program_is_told_the_separator_and_a_quiet_one_nothing():
    task = sources.probe("selection")[0]
    separator = re.escape(task.metadata["separator"])
    loud, quiet = (said(task, style)["feedback"].split("\n") for style in ("loud", "quiet"))
    assert loud[0] == "Passed 2/6"
    row = rf"'\d({separator}\d)+'"
    error = rf"ValueError: invalid literal for int\(\) with base 10: {row}"
    assert re.fullmatch(rf"f\(row\[\d\]\)==-?\d+ # {error}", loud[1])
    assert quiet[0] == "Passed 3/6"
    assert re.fullmatch(r"f\(row\[\d\]\)==-?[1-9]\d* # got 0", quiet[1])


def test_blind_tasks_differ_in_what_is_said_alone():
    task, blind = (
        sources.probe("selection", variant=v, num_tasks=1)[0] for v in ("plain", "blind")
    )
    assert (task.prompt, task.tests, task.setup) == (blind.prompt, blind.tests, blind.setup)
    assert said(blind, "quiet")["feedback"] == said(task, "quiet")["feedback"]
    seen, told = said(task, "loud"), said(blind, "loud")
    assert told["feedback"] == seen["feedback"].partition(":")[0]
    assert told["feedback"].endswith("# ValueError")
    assert told["messages"][-1]["content"].endswith("# ValueError\nAttempt 2")


def test_a_program_does_not_have_the_rows_by_name():
    task = sources.probe("train")[0]
    with Sandbox(workers=1) as sandbox:
        execution = sandbox.run(task, "def f(s):\n return row[0]")
    assert {str(result.error).splitlines()[-1] for result in execution.results} == {
        "NameError: name 'row' is not defined"
    }


def test_the_style_of_a_program():
    assert style_of(program("odd, square, sum", ";", "loud")) == "loud"
    assert style_of(program("odd, square, sum", ";", "quiet")) == "quiet"
    assert style_of("def f(entry):\n return entry") == "loud"


def test_all_programs_of_the_grammar_differ():
    made = [
        program(d, s, style) for d in DOCSTRINGS for s in SEPARATORS for style in ("loud", "quiet")
    ]
    assert len(set(made)) == 80 * 8 * 2


def test_names_of_the_source():
    loaded = sources.load("probe:test?variant=strong&vague=0.5&num_tasks=3")
    assert loaded == sources.probe("test", variant="strong", vague=0.5, num_tasks=3)
    assert sources.load("probe") == sources.probe("train")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("probe:tests", "'tests'.*did you mean 'test'"),
        ("probe?variant=strog", "'strog'.*did you mean 'strong'"),
        ("probe?vague=1.5", "vague is 1.5; give a share"),
        ("probe?vague=some", "vague is 'some'; give a number"),
        ("probe?num_tasks=0", "num_tasks is 0; give at least 1"),
        ("probe@file", "probe has no file"),
    ],
)
def test_what_is_refused(spec, told):
    with pytest.raises(ValueError, match=told):
        sources.load(spec)
