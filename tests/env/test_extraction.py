"""extract_code: the public cases, further rules one by one, and texts made to stall it."""

import json
import threading
import time
import warnings

import pytest

from murphy_env.extraction import extract_code

ADD = "def add(a, b):\n    return a + b"


def test_the_public_cases(shared_data):
    cases = json.loads(shared_data("extraction_cases.json").read_text())
    assert len(cases) >= 23
    wrong = {
        case["id"]: extract_code(case["text"], case["entry_point"])
        for case in cases
        if extract_code(case["text"], case["entry_point"]) != case["expected"]
    }
    assert wrong == {}


def test_tilde_fence():
    assert extract_code(f"~~~python\n{ADD}\n~~~", "add") == ADD


def test_fence_is_not_closed_by_another_mark_or_a_shorter_one():
    inner = 'def add(a, b):\n    """\n~~~\n```\n"""\n    return a + b'
    assert extract_code(f"````\n{inner}\n````", "add") == inner


def test_fence_of_another_language_is_no_code():
    assert extract_code("```bash\nadd=1\n```\nI am done.", "add") is None


def test_indented_fence_is_dedented():
    text = "1. Here:\n   ```python\n   def add(a, b):\n       return a + b\n   ```"
    assert extract_code(text, "add") == ADD


def test_unclosed_fence_runs_to_the_end():
    assert extract_code(f"```python\n{ADD}", "add") == ADD


def test_thought_that_the_prompt_opened():
    text = f"```python\ndef add(a, b): return 0\n```\nNo.\n</think>\n<output>\n{ADD}\n</output>"
    assert extract_code(text, "add") == ADD


@pytest.mark.parametrize("end", ["", "</think>"])
def test_code_in_thought_is_never_the_answer(end):
    assert extract_code(f"<think>\n```python\n{ADD}\n```\n{end}", "add") is None


def test_thought_and_answer_on_one_line():
    code = "def f(xs,n):\n return sorted([x for x in xs if x>n])"
    assert extract_code(f"<think>strict up</think><output>{code}</output>", "f") == code


def test_carriage_returns_become_newlines():
    assert extract_code("<output>\rdef add(a, b):\r    return a + b\r</output>", "add") == ADD


def test_last_output_region_that_names_the_entry_point_wins():
    text = (
        "<output>\ndef add(a, b): return 0\n</output>\n"
        f"<output>\n{ADD}\n</output>\n<output>\nx = 3\n</output>"
    )
    assert extract_code(text, "add") == ADD


def test_region_closed_by_its_opening_tag():
    assert extract_code(f"<output>\n{ADD}\n<output>\n", "add") == ADD


def test_region_without_the_entry_point_is_still_run():
    text = "<output>\ndef plus(a, b):\n    return a + b\n</output>"
    assert extract_code(text, "add") == "def plus(a, b):\n    return a + b"


def test_broken_code_in_a_region_is_kept_for_its_syntax_error():
    broken = "def add(a, b):\n    return (a + b"
    assert extract_code(f"<output>\n{broken}\n</output>", "add") == broken


def test_code_between_lines_of_prose():
    text = f"Here it is, it's easy:\n\nimport math\n{ADD}\n\nThat's all."
    assert extract_code(text, "add") == f"import math\n{ADD}"


@pytest.mark.parametrize(
    "prose",
    ["Sorry", "Answer: none", "3", "I can't.", "x = 3 would be\nwrong here", "", "\n \n", "..."],
)
def test_prose_is_no_code_even_if_it_parses(prose):
    assert extract_code(prose, "add") is None


def test_program_without_an_entry_point():
    assert extract_code("```python\nprint(int(input()) + 1)\n```\nprints\n```\n3\n```") == (
        "print(int(input()) + 1)"
    )


def test_helpers_of_helpers_come_along_in_order():
    one, two, three = "def one(): return 1", "def two(): return one() + 1", "def add(): two()"
    text = "".join(f"```python\n{code}\n```\n" for code in (one, two, three))
    assert extract_code(text, "add") == f"{one}\n\n\n{two}\n\n\n{three}"


def test_earlier_block_that_is_not_needed_stays_away():
    text = f"```python\ndef sub(a, b): return a - b\n```\n```python\n{ADD}\n```"
    assert extract_code(text, "add") == ADD


@pytest.mark.parametrize("code", ["add = '\0'", "add = '\ud800'", "add = " + "(" * 5000])
def test_what_the_parser_refuses_is_returned_from_a_fence(code):
    assert extract_code(f"```python\n{code}\n```", "add") == code


@pytest.mark.parametrize("rest", ["+1" * 20_000, ".b" * 20_000])
def test_expressions_too_deep_for_the_parser(rest):
    assert extract_code(f"<output>\nadd = 1{rest}\n</output>", "add") == f"add = 1{rest}"


def test_odd_escapes_neither_warn_nor_count_as_errors():
    code = 'def add(a, b):\n    return "\\d"'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert extract_code(f"Look:\n{code}\nThat's it.", "add") == code


def test_warning_filters_survive_threads():
    before = list(warnings.filters)
    text = 'def add(a, b):\n    return "\\d"\nThat\'s it.'
    threads = [
        threading.Thread(target=lambda: [extract_code(text, "add") for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


LENGTH = 100_000
GARBAGE = {
    "tildes": "~" * LENGTH + "`",
    "backticks": "`" * LENGTH,
    "opened thoughts": "<think>" * (LENGTH // 7),
    "closed thoughts": "</think>" * (LENGTH // 8),
    "regions": "<output>\nadd\n" * (LENGTH // 13),
    "fences": "```\n" * (LENGTH // 4),
    "small blocks": "```\nx\n```\n" * (LENGTH // 10),
    "definitions": "def add(\n" * (LENGTH // 9),
    "good and bad lines": "def add(): pass\n!\n" * (LENGTH // 18),
    "assignments": "a=1\n!!\n" * (LENGTH // 7),
    "spaces": " " * LENGTH,
    "blank lines": " \n" * (LENGTH // 2),
    "one word": "a" * LENGTH,
    "a long name": "def " + "a" * LENGTH,
    "brackets": "(" * LENGTH,
    "dicts": "{1:" * (LENGTH // 3),
    "prose": "The quick brown fox, it's said.\n" * (LENGTH // 32),
    "code ending in prose": "def add(a):\n" + "    a = a + 1\n" * (LENGTH // 14) + "it's done",
    "broken bodies": "def add(a):\n  return (\n" * (LENGTH // 24),
    "open strings": 'x = """\n' * (LENGTH // 8),
    "elifs": "if a:\n b\n" + "elif a:\n b\n" * (LENGTH // 10),
}


def seconds(text, entry_point):
    """The CPU seconds of this thread that one extraction takes."""
    start = time.thread_time()
    extract_code(text, entry_point)
    return time.thread_time() - start


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("entry_point", ["add", None])
def test_garbage_takes_time_that_grows_with_its_length_alone(name, entry_point):
    whole = GARBAGE[name]
    # What takes less than a second needs no second look.
    if seconds(whole, entry_point) > 1.0:
        # Four times the text takes about four times as long; sixteen times would be quadratic. A
        # machine that is busy, or cleans up, slows single runs by as much.
        quarter = whole[: len(whole) // 4]
        wholes, quarters = zip(
            *((seconds(whole, entry_point), seconds(quarter, entry_point)) for _ in range(5)),
            strict=True,
        )
        assert min(wholes) < 10 * max(quarters)
