"""Forms of tests: what runs, what it sees of the program, and that nothing passes unrun."""

import textwrap

import pytest

from murphy_env.types import Limits, Task, UnitTest

LIMITS = Limits(test_wall_s=5.0, test_cpu_s=2.0, total_wall_s=20.0, memory_bytes=512 << 20)
PLUS = "def f(x): return x + 1"


def results(sandbox, tests, code=PLUS, **settings):
    task = Task("forms", "", tests, limits=LIMITS, **settings)
    return sandbox.run(task, textwrap.dedent(code)).results


def function(source):
    return UnitTest(textwrap.dedent(source), "test", kind="function")


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("async def test():\n    assert f(1) == 2", "passed"),
        ("async def test():\n    assert f(1) == 999", "failed"),
        ("def test():\n    yield\n    assert f(1) == 999", "error"),
        ("async def test():\n    yield\n    assert f(1) == 999", "error"),
    ],
)
def test_a_test_function_passes_only_if_its_body_ran(sandbox, source, status):
    result = results(sandbox, [function(source)])[0]
    assert str(result.status) == status, result.error


@pytest.mark.parametrize(
    ("base", "method", "status"),
    [
        ("IsolatedAsyncioTestCase", "async def test_a(self): self.assertEqual(f(1), 2)", "passed"),
        ("IsolatedAsyncioTestCase", "async def test_a(self): self.assertEqual(f(1), 9)", "failed"),
        ("TestCase", "async def test_a(self): self.assertEqual(f(1), 9)", "error"),
        ("TestCase", "def test_a(self): yield self.assertEqual(f(1), 9)", "error"),
    ],
)
def test_a_method_passes_only_if_its_body_ran(sandbox, base, method, status):
    source = f"import unittest\nclass Cases(unittest.{base}):\n    {method}\n"
    test = UnitTest(source, "Cases.test_a", kind="unittest")
    assert str(results(sandbox, [test])[0].status) == status


def test_a_recursion_limit_set_at_the_top_holds_in_every_test(sandbox):
    code = """
        import sys
        sys.setrecursionlimit(100_000)
        def f(n):
            if n < 0: raise ValueError
            return 0 if n == 0 else 1 + f(n - 1)
    """
    tests = ["assert f(5000) == 5000", "assert f(-1) == 0", "assert f(6000) == 6000"]
    found = [str(result.status) for result in results(sandbox, tests, code)]
    assert found == ["passed", "error", "passed"]


def test_tests_do_not_inherit_future_statements_of_ours(sandbox):
    source = "def test():\n    def g(x: int): pass\n    assert g.__annotations__ == {'x': int}"
    result = results(sandbox, [function(source)])[0]
    assert result.passed, result.error


def test_asserts_in_a_class_body_add_no_attribute(sandbox):
    source = """
        import enum
        def test():
            class Letters(enum.Enum):
                A = 1
                assert A == 1
                def first(self):
                    assert self.value == 1
            assert [letter.name for letter in Letters] == ["A"]
            Letters.A.first()
    """
    result = results(sandbox, [function(source)])[0]
    assert result.passed, result.error


def test_a_test_sees_what_the_program_does_to_its_globals(sandbox):
    code = "counter = 0\ndef inc():\n    global counter\n    counter += 1\n    return counter"
    tests = ["inc()\nassert counter == 1", "inc()\nassert counter == 2"]
    assert all(result.passed for result in results(sandbox, tests, code))


def test_the_program_is_the_main_module(sandbox):
    code = "import sys\nmain = sys.modules['__main__']\ndef f(): return main.f is f"
    assert results(sandbox, ["assert f() is True"], code)[0].passed
