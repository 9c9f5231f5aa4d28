"""Problems that training and evaluation share: planted ones are found, others are not."""

import gzip
import json
import random
import sys
import time

import pytest

from murphy_env import sources
from murphy_env.sources.overlap import overlap
from murphy_env.types import Task, UnitTest

PROMPT = (
    "Return the sum of all even numbers in a list, or zero where the list holds no even number."
)
OTHER = (
    "Write a function that finds the longest word of a sentence and gives its length in letters."
)
REFERENCE = 'def total(xs: list) -> int:\n    "Sum."\n    return sum(x for x in xs if x % 2 == 0)\n'
TESTS = ("assert total([2, 3]) == 2", "assert total([]) == 0", "assert total([4, 4]) == 8")


def task(ident, prompt=PROMPT, tests=("assert f(1) == 1",), **more):
    return Task(ident, prompt, tests, **more)


def reasons(training, evaluation, **options):
    found = overlap([training], [evaluation], **options)
    return found.pairs[0].reasons if found.pairs else ()


def test_equal_prompts_whatever_their_layout():
    same = PROMPT.upper().replace(" ", "\n").replace(",", " --")
    assert reasons(task("a", same), task("b")) == ("prompt", "words")
    assert reasons(task("a", OTHER), task("b")) == ()


def test_shares_of_runs_of_words():
    # 19 words: 12 runs of 8. A changed 4th word breaks runs 1 to 4, a changed 9th word 2 to 9.
    words = PROMPT.split()
    assert len(words) == 19
    for changed, left in ((3, 8), (8, 4)):
        other = " ".join([*words[:changed], "changed", *words[changed + 1 :]])
        found = overlap([task("a", other)], [task("b")], n=8, threshold=left / 12)
        assert found.pairs[0].words == pytest.approx(left / 12)
        assert not overlap([task("a", other)], [task("b")], 8, left / 12 + 0.01).pairs


def test_runs_that_a_data_set_shares_do_not_count():
    def asked(number):
        return f"Solve this well and print the answer to standard output now: {number} {OTHER[:9]}"

    training = task("t", "Solve this well and print the answer to standard output now: other")
    assert overlap([training], [task("e", asked(1))]).pairs  # 4 of 7 runs
    many = [task(f"e{number}", asked(number)) for number in range(6)]  # more than 5
    assert not overlap([training], many).pairs


def test_equal_programs_under_other_names():
    renamed = "def add_up(values):\n    return sum(v for v in values if v % 2 == 0)"
    one = task("a", OTHER, reference=renamed)
    two = task("b", reference=REFERENCE)
    assert reasons(one, two) == ("program",)
    odd = renamed.replace("== 0", "== 1")
    assert reasons(task("a", OTHER, reference=odd), two) == ()
    swapped = task("a", OTHER, reference=renamed.replace("sum", "max"))
    assert reasons(swapped, two) == ()
    torn = task("a", OTHER, reference="def f(:")
    assert reasons(torn, two) == reasons(torn, task("b", reference="def f(:")) == ()


def test_equal_tests_of_another_function_and_in_another_form():
    functions = "def test_a():\n    assert add([2, 3]) == 2\n    assert add([]) == 0\n"
    one = task("a", OTHER, [UnitTest(functions, "test_a", kind="function")], entry_point="add")
    two = task("b", tests=TESTS, entry_point="total")
    assert reasons(one, two) == ("tests",)  # two of three
    five = task("b", tests=[*TESTS, *(f"assert total([{n}]) == {n}" for n in (6, 8))])
    assert reasons(one, five) == ()  # two of five
    single = task("b", tests=["assert total([]) == 0"], entry_point="total")
    assert reasons(one, single) == ()  # one says little
    scripts = [UnitTest("", kind="stdio", stdin=f"{n}\n", stdout=f"{n + 1}\n") for n in (1, 2)]
    assert reasons(task("a", OTHER, scripts), task("b", tests=scripts)) == ("tests",)


def test_the_report():
    training = [task("t1"), task("t2", OTHER), task("t3", OTHER, reference=REFERENCE)]
    evaluation = [task("e1", reference=REFERENCE), task("e2", "Something else.")]
    found = overlap(training, evaluation)
    assert [(pair.evaluation, pair.training) for pair in found.pairs] == [
        ("e1", "t1"),
        ("e1", "t3"),
    ]
    assert found.evaluation_ids == ("e1",)
    assert found.training_ids == ("t1", "t3")
    assert found.counts == {"prompt": 1, "words": 1, "program": 1, "tests": 0}
    assert str(found).splitlines() == [
        "1 of 2 evaluation tasks may be among the 3 training tasks: "
        "prompt 1, words 1, program 1, tests 0",
        "  e1: t1 (prompt, words)",
        "  e1: t3 (program)",
    ]
    assert json.loads(json.dumps(found.to_json()))["pairs"][0] == {
        "training": "t1",
        "evaluation": "e1",
        "reasons": ["prompt", "words"],
        "words": 1.0,
    }
    nothing = overlap([task("t", OTHER)], evaluation[1:])
    assert str(nothing) == "0 of 1 evaluation tasks may be among the 1 training tasks"


def test_what_is_kept_is_of_the_same_question(monkeypatch):
    module, asked = sys.modules["murphy_env.sources.overlap"], []
    whole = module._overlap
    monkeypatch.setattr(module, "_kept", {})
    monkeypatch.setattr(module, "_overlap", lambda *about: asked.append(about) or whole(*about))
    ones, others = [task("t"), task("u", OTHER)], [task("e")]
    first = overlap(ones, others)
    assert overlap(ones, others) is first
    assert len(asked) == 1
    overlap(ones, others, n=7)
    overlap(ones, others, threshold=0.9)
    assert overlap(others, ones) != first
    assert overlap([task("t", OTHER)], others).pairs == ()
    assert len(asked) == 5
    for number in range(module._MOST_KEPT):
        overlap([task(f"t{number}")], others)
    assert len(module._kept) <= module._MOST_KEPT
    assert overlap(ones, others) == first


def test_a_long_report_is_cut_and_says_so():
    evaluation = [task(f"e{number}") for number in range(12)]
    assert str(overlap([task("t")], evaluation)).splitlines()[-1] == "  and 2 more pairs"


@pytest.mark.parametrize("call", [{"n": 0}, {"n": True}, {"threshold": 0}, {"threshold": 1.5}])
def test_overlap_refuses(call):
    with pytest.raises(ValueError, match=f"{next(iter(call))} is {next(iter(call.values()))}"):
        overlap([], [], **call)


def test_the_public_data_sets_share_nothing_but_a_line(shared_data):
    with gzip.open(shared_data("HumanEval.jsonl.gz"), "rt") as file:
        rows = [json.loads(line) for line in file]
    human_eval = [
        task(row["task_id"], row["prompt"], reference=row["prompt"] + row["canonical_solution"])
        for row in rows
    ]
    mbpp = sources.mbpp(shared_data("sanitized-mbpp.json"), "all")
    found = overlap(mbpp, human_eval)
    # Both are `return len(x)`: the length of a string, and of a list of lists.
    assert [str(pair) for pair in found.pairs] == ["HumanEval/23: MBPP/792 (program)"]
    planted = [*mbpp, *(task(f"copy/{t.task_id}", t.prompt) for t in human_eval[::10])]
    assert overlap(planted, human_eval).counts["prompt"] == 17  # of 164, each tenth


@pytest.mark.slow
def test_thousands_against_a_thousand_take_seconds():
    draw = random.Random(0)
    words = [f"word{number}" for number in range(3000)]

    def made(kind, number):
        prompt = " ".join(draw.choices(words, k=120))
        tests = [f"assert f({draw.random()}) == {n}" for n in range(5)]
        reference = f"def f(x):\n    y = x * {number}\n    return [y for y in range(y) if y > x]"
        return Task(f"{kind}{number}", prompt, tests, entry_point="f", reference=reference)

    training = [made("t", number) for number in range(4000)]
    evaluation = [made("e", number) for number in range(5000, 6140)]
    start = time.process_time()
    found = overlap([*training, task("copy", evaluation[7].prompt)], evaluation)
    assert time.process_time() - start < 30
    assert [pair.evaluation for pair in found.pairs] == ["e5007"]
