"""Which tests are split, and that what is sent holds no expected value."""

import pytest

from murphy_env.sandbox.request import make_request
from murphy_env.sandbox.split import split
from murphy_env.types import Limits, Task, UnitTest


@pytest.mark.parametrize(
    ("source", "sent", "shown"),
    [
        ("assert f(1) == 271828", "f(1)", "271828"),
        ("assert -271828 != f(1), 'no 271828'", "f(1)", "-271828"),
        ("a = [1]\nassert f(a) == set([271828])", "f(a)", "set([271828])"),
        ("assert f(g(1)) == 271828 * 10 ** 2 + 1", "f(g(1))", "271828 * 10 ** 2 + 1"),
        ("assert abs(f(1) - 271828.5) < 1e-6", "f(1)", "271828.5"),
        ("assert f(1) == frozenset({271828})", "f(1)", "frozenset({271828})"),
        ("assert f(1) == {'k': (271828, None)}", "f(1)", "{'k': (271828, None)}"),
        ("assert f(1) == dict([(271828, 1)])", "f(1)", "dict([(271828, 1)])"),
        ("import math; assert math.isclose(f(1), 271828.0)", "f(1)", "271828.0"),
        ("assert f(1) is True", "f(1)", "True"),
        ("f = solve\nassert not f(1)", "f(1)", "a false value"),
    ],
)
def test_split_tests_send_no_expected_value(source, sent, shown):
    halves = split(source)
    assert (halves.expression, halves.shown) == (sent, shown)
    request = make_request(Task("t", "", [source]), "")
    assert "271828" not in str(request)


@pytest.mark.parametrize(
    "source",
    [
        "assert f(1) == g(1)",  # no literal
        "assert (f(1) == 5) is True",  # a comparison would travel
        "assert f(1) == 5 and f(2) == 6",
        "assert 0 < f(1) < 3",
        "assert f(1) == 1\nassert f(2) == 2",  # several asserts
        "for i in range(3):\n    assert f(i) == 1",
        "x = f(1)\nok = x == 5\nassert ok",
        "assertEqual(f(1), 5)\nassert f(2) == 3",
        "assert isinstance(f(1), int)",  # a built-in decides
        "assert check(f(1), 5)",  # a function that is given the expected value
        "x = f(1)\nassert check(x, 5)",
        "assert check(f(1), 5) == True",
        "assert obj.check(1)",
        "assert True",
        "assert 1 == 1",
        "assert sum(x > 2 for x in f(1)) == 3",
        "assert f(1) == expected",
        "assert f(1) == 10 ** 10 ** 10",
        "f(1)",
        "",
    ],
)
def test_tests_that_would_take_an_expected_value_along_run_whole(source):
    assert split(source) is None


def test_no_stdout_is_sent():
    task = Task("t", "", [UnitTest("", kind="stdio", stdin="1", stdout="271828")])
    assert "271828" not in str(make_request(task, ""))


def test_a_test_that_is_no_python_is_the_tasks_fault():
    with pytest.raises(ValueError, match=r"task 't': this test is no Python .* repair or drop it"):
        make_request(Task("t", "", ["assert f(1 == 2"]), "")


def test_a_memory_limit_too_small_to_start_in_is_refused():
    task = Task("t", "", ["assert f()"], limits=Limits(memory_bytes=1 << 20))
    with pytest.raises(ValueError, match="give at least"):
        make_request(task, "")
