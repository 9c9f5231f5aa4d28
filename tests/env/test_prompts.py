"""Prompt sets: what is shown, what is not, and that later prompts begin like earlier ones."""

import itertools
import re
import sys
from dataclasses import replace

import pytest

from murphy_env.prompts import Prompts, as_text, messages, prompt_set
from murphy_env.prompts.quote import REPORT_CHARS, report
from murphy_env.types import Attempt, Episode, Status, Task, UnitResult, UnitTest

SETS = ["standard", "terse", "blind"]
SEEN = UnitTest("assert add(1, 2) == 3", scored=False)
SEEN_TOO = UnitTest("assert add(2, 2) == 4", scored=False)
HIDDEN = UnitTest("assert add(71, 72) == 143", visible=False)
TASK = Task("add", "Write add(a, b), their sum.", [SEEN, SEEN_TOO, HIDDEN], entry_point="add")
ONE_WRONG = (
    UnitResult(SEEN, Status.PASSED),
    UnitResult(SEEN_TOO, Status.FAILED, expected="4", actual="5"),
)


def attempt(code="def add(a, b): return 5", results=ONE_WRONG, pass_rate=0.0, completion=None):
    if completion is None:
        completion = f"<think>secret thought</think>\n<output>\n{code}\n</output>"
    return Attempt(completion, code, tuple(results), pass_rate)


def failed(**told):
    status = told.pop("status", Status.FAILED)
    test = told.pop("test", SEEN)
    return Episode(TASK, (attempt(results=[UnitResult(test, status, **told)]),))


def episode(num_attempts):
    made = [attempt(f"def add(a, b): return {n}") for n in range(num_attempts)]
    return Episode(TASK, tuple(made), max_turns=5)


@pytest.mark.parametrize("name", SETS)
def test_later_prompts_begin_like_earlier_ones(name):
    prompts = prompt_set(name)
    first, second, third = [prompts.first(episode(0))] + [prompts.retry(episode(n)) for n in (1, 2)]
    marker = "## Now try again" if name == "standard" else "Attempt 2"
    assert second.startswith(first)
    assert third.startswith(second[: second.index(marker)])


@pytest.mark.parametrize("name", SETS)
def test_only_the_last_line_counts_the_attempts(name):
    lines = [prompt_set(name).retry(episode(n)).splitlines() for n in (2, 3)]
    assert re.findall(r"\d+", lines[0][-1]) == (["2"] if name == "standard" else ["3"])
    assert re.findall(r"\d+", lines[1][-1]) == (["3"] if name == "standard" else ["4"])
    # All of the text before the last attempt's is shared but for that line and what is appended.
    assert [line for line in lines[0] if line not in lines[1]] == [lines[0][-1]]


@pytest.mark.parametrize("name", SETS)
def test_prompts_do_not_depend_on_score_or_hidden_tests(name):
    prompts = prompt_set(name)
    plain = episode(1)
    other_tests = replace(TASK, tests=(SEEN, SEEN_TOO, UnitTest("assert 0", visible=False)))
    scored = replace(plain.attempts[0], pass_rate=0.75)
    assert prompts.retry(plain) == prompts.retry(Episode(other_tests, (scored,), max_turns=5))
    assert "71" not in prompts.retry(plain)


@pytest.mark.parametrize("name", SETS)
def test_a_retry_quotes_the_program_and_not_the_thought(name):
    text = prompt_set(name).retry(episode(1))
    assert "def add(a, b): return 0" in text
    assert "secret thought" not in text


@pytest.mark.parametrize("name", SETS)
def test_without_code_the_feedback_says_how_to_answer(name):
    lost = Episode(TASK, (attempt(None, (), completion="I would rather talk."),))
    assert "<output>" in prompt_set(name).feedback(lost)
    assert "<output>" in messages(prompt_set(name), lost)[-1]["content"]


def test_standard_quotes_only_the_end_of_an_answer_without_code():
    lost = Episode(TASK, (attempt(None, (), completion="a" * 5000 + "the end"),))
    text = prompt_set("standard").retry(lost)
    assert "the end" in text
    assert text.count("a" * 500) == 1


@pytest.mark.parametrize("name", SETS)
def test_a_task_without_visible_tests_says_that_none_is_shown(name):
    blind = Episode(replace(TASK, tests=(HIDDEN,)), (attempt(results=()),))
    assert re.search(r"[Nn]o test", prompt_set(name).feedback(blind))


def test_standard_counts_and_details():
    text = prompt_set("standard").feedback(episode(1))
    assert "1 of 2 passed, 1 of 2 failed" in text
    assert "2. failed: assert add(2, 2) == 4\n   expected: 4\n   got: 5\n" in text
    assert text.index("2. failed") < text.index("1. passed: assert add(1, 2) == 3")


def test_terse_shows_the_count_and_the_first_failed_test():
    both = (UnitResult(SEEN, Status.FAILED, "3", "5"), ONE_WRONG[1])
    shown = prompt_set("terse").feedback(Episode(TASK, (attempt(results=both),)))
    assert shown == "Passed 0/2\nadd(1, 2) == 3 # got 5"


def test_terse_retry_is_problem_program_verdict_number():
    assert prompt_set("terse").retry(episode(1)) == (
        "Write add(a, b), their sum.\n"
        "def add(a, b): return 0\n"
        "Passed 1/2\n"
        "add(2, 2) == 4 # got 5\n"
        "Attempt 2"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("TypeError: no\n  line 1, in add", "TypeError: no"),
        ("Traceback (most recent call last):\n  line 1\nTypeError: no\nmore", "TypeError: no"),
        ('  File "solution.py", line 1\n    (\n    ^\nSyntaxError: open', "SyntaxError: open"),
    ],
)
def test_terse_names_the_exception(error, told):
    shown = prompt_set("terse").feedback(failed(status=Status.ERROR, error=error))
    assert shown.endswith(f"# {told}")


@pytest.mark.parametrize("name", SETS)
def test_a_status_without_details_is_named(name):
    assert "timeout" in prompt_set(name).feedback(failed(status=Status.TIMEOUT))


def test_standard_shows_error_and_output():
    shown = prompt_set("standard").feedback(
        failed(status=Status.ERROR, error="TypeError: no\n  line 1", stdout="hello\n")
    )
    assert "TypeError: no" in shown
    assert "printed: hello" in shown


def test_standard_sets_lines_of_output_below_each_other():
    stdio = UnitTest("", kind="stdio", stdin="", stdout="1\n2\n")
    shown = prompt_set("standard").feedback(failed(test=stdio, actual="", stdout=""))
    assert "   expected:\n      1\n      2\n   got: (nothing)\n" in shown


def test_a_wrong_value_of_none_is_shown():
    assert "got: None" in prompt_set("standard").feedback(failed(expected="3", actual="None"))


@pytest.mark.parametrize("name", SETS)
def test_other_kinds_are_shown_by_source_name_or_input(name):
    feedback = prompt_set(name).feedback
    unit = UnitTest("class A: ...", name="A.test_b", kind="unittest")
    function = UnitTest("def test_c():\n    assert add(0, 0) == 0", name="test_c", kind="function")
    stdio = UnitTest("", kind="stdio", stdin="1 2\n", stdout="3\n")
    assert "A.test_b" in feedback(failed(test=unit))
    assert "test_c" in feedback(failed(test=function))
    shown = feedback(failed(test=stdio, actual="4\n"))
    assert "'1 2\\n'" in shown
    assert "got 4" in shown.replace("got:", "got")


def test_the_report_is_capped_and_counts_what_it_leaves_out():
    tests = [UnitTest(f"assert add({n}, 0) == {n}") for n in range(200)]
    results = [UnitResult(test, Status.FAILED, "0", "1") for test in tests[:150]]
    results += [UnitResult(test, Status.PASSED) for test in tests[150:]]
    text = report(attempt(results=results))
    listed = len(re.findall(r"^\d+\. failed", text, re.MULTILINE))
    note = f"({150 - listed} failed and 50 passed tests are not listed)"
    assert text.endswith(note)
    assert 10 < listed < 150
    assert len(text) <= REPORT_CHARS + len(note) + 1


def test_one_enormous_result_is_cut_and_still_shown():
    told = {"expected": "x" * 9000, "actual": "y" * 9000, "error": "z\n" * 9000}
    text = report(failed(**told, stdout="o" * 9000).attempts[0])
    assert "expected: xxx" in text
    assert "characters left out" in text
    assert len(text) < REPORT_CHARS + 100


def test_the_fence_is_longer_than_any_in_the_program():
    code = 'def add(a, b):\n    """\n    ```\n    """'
    assert f"````python\n{code}\n````" in prompt_set("standard").retry(
        Episode(TASK, (attempt(code),))
    )


def test_standard_names_an_entry_point_that_the_problem_does_not_mention():
    first = prompt_set("standard").first
    assert "`add`" not in first(Episode(TASK))
    assert "`plus`" in first(Episode(replace(TASK, entry_point="plus")))


def test_messages_of_a_first_attempt():
    standard, terse = [messages(prompt_set(name), Episode(TASK)) for name in SETS[:2]]
    assert [message["role"] for message in standard] == ["system", "user"]
    assert terse == [{"role": "user", "content": TASK.prompt}]
    assert as_text(standard) == f"{standard[0]['content']}\n\n{standard[1]['content']}"


def test_requote_is_one_user_message():
    made = messages(prompt_set("standard"), episode(2), "requote")
    assert [message["role"] for message in made] == ["system", "user"]


def test_chat_only_ever_appends():
    prompts = prompt_set("standard")
    talks = [messages(prompts, episode(n), "chat") for n in range(4)]
    for shorter, longer in itertools.pairwise(talks):
        assert longer[: len(shorter)] == shorter
        assert [message["role"] for message in longer[len(shorter) :]] == ["assistant", "user"]
    assert talks[1][-2]["content"] == episode(1).attempts[0].completion


def test_unknown_transcript_is_refused():
    with pytest.raises(ValueError, match=r"'talk'.*requote.*chat"):
        messages(prompt_set("terse"), Episode(TASK), "talk")


MODULE = """
from murphy_env.prompts import prompt_set
MINE = prompt_set("terse")
class Nested:
    inner = MINE
def system(episode): return "s"
def first(episode): return "f"
def feedback(episode): return "b"
def retry(episode): return "r"
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "my_prompts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_prompts"
    sys.modules.pop("my_prompts", None)


@pytest.mark.parametrize("path", ["MINE", "Nested.inner"])
def test_a_prompt_set_can_be_named_by_import(mine, path):
    assert prompt_set(f"{mine}:{path}") is prompt_set("terse")


def test_any_object_with_the_four_functions_will_do(tmp_path, mine, monkeypatch):
    (tmp_path / "holder_of_prompts.py").write_text("import my_prompts")
    made = prompt_set("holder_of_prompts:my_prompts")
    sys.modules.pop("holder_of_prompts")
    assert isinstance(made, Prompts)
    assert made.retry(Episode(TASK)) == "r"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("standart", r"'standart' \(did you mean 'standard'\?\); use one of"),
        ("", "pkg.mod:OBJECT"),
        ("./no_such_module.py:X", "'./no_such_module.py' cannot be imported"),
        ("no_such_module:X", "'no_such_module' cannot be imported"),
        ("sys:nothing", "has no attribute 'nothing'"),
        ("sys:path", "no function system, first, feedback, retry"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(name, told):
    with pytest.raises(ValueError, match=told):
        prompt_set(name)
