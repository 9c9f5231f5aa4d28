"""Sources of tasks: the embedded family, JSON Lines files, MBPP in both forms, and `load`."""

import contextlib
import itertools
import json
import random
import time
import warnings

import pytest

from murphy_env import sources
from murphy_env.sources.embedded import SPLITS, docstrings, halves
from murphy_env.sources.family import DOCSTRINGS, FILTERS, variants
from murphy_env.sources.mbpp import split_of
from murphy_env.sources.rows import Hub, fetch_rows
from murphy_env.types import Limits, Task, UnitTest


def passed(code, task, tests=None):
    """Runs a trusted program in process; how many of the tests hold."""
    namespace = {}
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # references of MBPP hold odd escapes
        exec(f"{task.prelude}\n{code}\n{task.setup}", namespace)
        for test in task.tests if tests is None else tests:
            with contextlib.suppress(Exception):
                exec(test.source, namespace)
                count += 1
    return count


@pytest.fixture(scope="module")
def embedded():
    return {split: sources.embedded(split) for split in SPLITS}


# Embedded tasks


def test_embedded_splits_share_out_all_docstrings():
    shares = [docstrings(split) for split in SPLITS]
    assert [len(share) for share in shares] == [84, 24, 36]
    assert sorted(itertools.chain(*shares)) == sorted(DOCSTRINGS)
    assert len(set(DOCSTRINGS)) == 144


def test_embedded_training_covers_every_word():
    def words(names):
        return {word for name in names for word in name.split(", ")}

    assert words(docstrings("train")) == words(DOCSTRINGS)


def test_embedded_tasks_use_docstrings_of_their_split_for_every_seed():
    for split in SPLITS:
        for seed in (0, 7):
            used = {task.metadata["docstring"] for task in sources.embedded(split, seed)}
            assert used == set(docstrings(split))


def test_embedded_numbers_of_tasks(embedded):
    assert {split: len(tasks) for split, tasks in embedded.items()} == {
        "train": 400,
        "selection": 200,
        "test": 400,
    }


def test_embedded_is_deterministic_and_seeds_differ(embedded):
    assert sources.embedded("train") == embedded["train"]
    assert sources.embedded("train", num_tasks=30) == embedded["train"][:30]
    other = sources.embedded("train", seed=1)
    ids = {task.task_id for task in embedded["train"]}
    assert not ids & {task.task_id for task in other}
    assert [t.tests for t in other] != [t.tests for t in embedded["train"]]


def test_embedded_ids_are_unique(embedded):
    ids = [task.task_id for tasks in embedded.values() for task in tasks]
    assert len(set(ids)) == len(ids)


def test_embedded_references_pass_every_test(embedded):
    for task in itertools.chain(*embedded.values()):
        assert passed(task.reference, task) == 8, task.task_id


def test_each_half_of_the_tests_refutes_every_other_variant(embedded):
    for task in itertools.chain(*embedded.values()):
        for variant in variants(task.metadata["docstring"]):
            if variant.code != task.reference:
                assert passed(variant.code, task, task.tests[:4]) < 4
                assert passed(variant.code, task, task.tests[4:]) < 4


def test_no_constant_solves_either_half(embedded):
    for task in itertools.chain(*embedded.values()):
        for half in (task.tests[:4], task.tests[4:]):
            wanted = {test.source.split("==")[1] for test in half}
            best = max(passed(f"def f(xs,n): return {value}", task, half) for value in wanted)
            assert best < 4, task.task_id


def test_tests_can_be_drawn_for_every_variant():
    drawn = [
        halves(variant, random.Random(seed))
        for name in DOCSTRINGS
        for variant in variants(name)
        for seed in range(2)
    ]
    # Filters read (2 + 2 + 1 + 1) ways, endings (2 + 2 + 3 + 3 + 3 + 1) ways, 6 maps: 6 x 14 x 6.
    assert len(drawn) == 2 * 504


def test_embedded_inputs_of_a_task_are_distinct(embedded):
    for task in embedded["train"]:
        assert len({test.source.split("==")[0] for test in task.tests}) == 8


def test_embedded_roles_of_tests(embedded):
    assert all(test.visible and test.scored for task in embedded["train"] for test in task.tests)
    for task in embedded["test"] + sources.embedded("train", hidden=True):
        assert [(test.visible, test.scored) for test in task.tests] == (
            [(True, False)] * 4 + [(False, True)] * 4
        )
    shown = sources.embedded("selection", hidden=False)[0]
    assert all(test.visible and test.scored for test in shown.tests)


def test_embedded_tasks_ask_for_terse_prompts(embedded):
    task = embedded["train"][0]
    assert task.metadata["prompts"] == "terse"
    assert task.prompt == f'def f(xs,n):\n """{task.metadata["docstring"]}"""'


def test_priors_of_a_docstring_sum_to_one():
    for name in DOCSTRINGS:
        priors = [variant.prior for variant in variants(name)]
        assert sum(priors) == pytest.approx(1.0)
        assert priors[0] == max(priors)


def test_guessing_the_likeliest_variant_solves_about_half(embedded):
    # Filters: (.65 + .65 + 1 + 1) / 4 = .825. Endings: (.65 + .65 + .5 + .5 + .5 + 1) / 6 = .6333.
    # Product .5225; 400 tasks have a standard error of .025.
    assert len(FILTERS) == 4
    share = sum(task.metadata["likeliest"] for task in embedded["train"]) / 400
    assert share == pytest.approx(0.5225, abs=0.075)


def test_embedded_is_made_in_a_few_seconds():
    start = time.thread_time()
    sources.embedded("train", seed=11)
    assert time.thread_time() - start < 5


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"split": "trian"}, "'trian'.*did you mean 'train'"),
        ({"split": "test", "num_tasks": 0}, "num_tasks is 0"),
    ],
)
def test_embedded_refuses(call, told):
    with pytest.raises(ValueError, match=told):
        sources.embedded(**call)


# JSON Lines

ROW = {"task_id": "add", "prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"]}


@pytest.fixture
def write(tmp_path):
    def to_file(*rows, name="tasks.jsonl"):
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return to_file


def test_jsonl_reads_all_fields(write):
    hidden = {"source": "assert add(0, 0) == 0", "visible": False}
    path = write(
        {
            **ROW,
            "tests": [*ROW["tests"], hidden],
            "entry_point": "add",
            "limits": {"test_cpu_s": 1},
            "metadata": {"level": 3},
        },
        "",
        {**ROW, "task_id": "other", "reference": None},
    )
    first, second = sources.jsonl(path)
    assert first == Task(
        "add",
        "Write add(a, b).",
        [UnitTest("assert add(1, 2) == 3"), UnitTest("assert add(0, 0) == 0", visible=False)],
        entry_point="add",
        limits=Limits(test_cpu_s=1),
        metadata={"level": 3},
    )
    assert second.task_id == "other"


def test_jsonl_and_its_writer_are_inverse(tmp_path):
    tasks = sources.embedded("test", num_tasks=20)
    sources.to_jsonl(tasks, tmp_path / "tasks.jsonl")
    assert sources.jsonl(tmp_path / "tasks.jsonl") == tasks


def test_jsonl_reads_a_stdio_test(write):
    stdio = {"kind": "stdio", "stdin": "1 2\n", "stdout": "3\n"}
    (task,) = sources.jsonl(write({**ROW, "tests": [stdio]}))
    assert task.tests == (UnitTest("", kind="stdio", stdin="1 2\n", stdout="3\n"),)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({**ROW, "promt": "x"}, r"tasks\.jsonl:2: .*'promt' \(did you mean 'prompt'\?\)"),
        ({"task_id": "b", "tests": ["assert 1"]}, ":2: the field 'prompt' is missing"),
        ({**ROW, "prompt": 3}, ":2: 'prompt' is 3; give a string"),
        ({**ROW, "tests": "assert 1"}, ":2: 'tests' is 'assert 1'; give a list"),
        ({**ROW, "tests": []}, ":2: .*no scored test"),
        ({**ROW, "tests": [3]}, ":2: test 1: 3 is no test"),
        ({**ROW, "tests": ["assert 1", {"visible": True}]}, ":2: test 2: .*'source' is missing"),
        ({**ROW, "tests": [{"source": "x", "visable": 1}]}, ":2: test 1: .*'visible'"),
        ({**ROW, "tests": [{"source": "x", "visible": 1}]}, ":2: test 1: .*true or false"),
        ({**ROW, "tests": [{"source": "x", "kind": "doctest"}]}, ":2: test 1: .*doctest"),
        ({**ROW, "limits": {"test_cpu_s": -1}}, ":2: limits: Limits.test_cpu_s is -1"),
        ({**ROW, "limits": 3}, ":2: 'limits' is 3; give an object"),
        ({**ROW, "compare": "loose"}, ":2: .*'loose'"),
        (ROW | {"task_id": "first"}, ":2: task_id 'first' stands at .*:1 already"),
        ("{not json", ":2: not JSON"),
        ("[1, 2]", ":2: .*not a JSON object"),
    ],
)
def test_jsonl_errors_name_the_line_and_the_remedy(write, row, told):
    with pytest.raises(ValueError, match=told):
        sources.jsonl(write({**ROW, "task_id": "first"}, row))


def test_jsonl_of_nothing_is_refused(write, tmp_path):
    with pytest.raises(ValueError, match="no task among 0 rows"):
        sources.jsonl(write())
    with pytest.raises(FileNotFoundError, match="no_such"):
        sources.jsonl(tmp_path / "no_such.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"task_id": "\xe9"}')
    with pytest.raises(ValueError, match=r"latin.jsonl:1: not UTF-8"):
        sources.jsonl(tmp_path / "latin.jsonl")


# MBPP


@pytest.fixture(scope="module")
def sanitized(shared_data):
    return shared_data("sanitized-mbpp.json")


@pytest.fixture(scope="module")
def all_sanitized(sanitized):
    return {task.task_id: task for task in sources.mbpp(sanitized, "all")}


def full_row(number, code, tests, setup="", text="Write it."):
    return {
        "task_id": number,
        "text": text,
        "code": code,
        "test_list": tests,
        "test_setup_code": setup,
        "challenge_test_list": [],
    }


def one(row, **options):
    (task,) = sources.mbpp([row], "all", **options)
    return task


def test_sanitized_rows_and_splits(sanitized, all_sanitized):
    assert len(all_sanitized) == 427
    counts = {s: len(sources.mbpp(sanitized, s)) for s in ("prompt", "test", "validation", "train")}
    assert counts["test"] == 257
    assert sum(counts.values()) == 427
    assert sum(len(task.tests) for task in all_sanitized.values()) == 1324


def test_sanitized_prompts_end_with_the_header(all_sanitized):
    for task in all_sanitized.values():
        last = task.prompt.splitlines()[-1]
        assert last.startswith(f"def {task.entry_point}(")
        assert last.endswith("):")
    assert all_sanitized["MBPP/11"].prompt.endswith("string.\n\ndef remove_Occ(s, ch):")


def test_sanitized_references_pass(all_sanitized):
    for task in all_sanitized.values():
        if task.task_id != "MBPP/123":  # takes seconds
            assert passed(task.reference, task) == len(task.tests), task.task_id


def test_sanitized_tests_are_as_written(sanitized, all_sanitized):
    for row in json.loads(sanitized.read_text()):
        task = all_sanitized[f"MBPP/{row['task_id']}"]
        assert [test.source for test in task.tests] == row["test_list"]


@pytest.mark.parametrize(
    ("task_id", "name"),
    [("MBPP/56", "check"), ("MBPP/126", "sum"), ("MBPP/19", "test_duplicate")],
)
def test_awkward_entry_points(all_sanitized, task_id, name):
    assert all_sanitized[task_id].entry_point == name


def test_entry_point_within_another_call(all_sanitized):
    assert all_sanitized["MBPP/2"].entry_point == "similar_elements"
    code = "def choose(n, k): return n\r\ndef lobb(n, m): return choose(n, m) / 1\r\n"
    assert one(full_row(912, code, ["assert int(lobb(5, 3)) == 5"])).entry_point == "lobb"


def test_slow_task_has_more_time(all_sanitized):
    assert all_sanitized["MBPP/123"].limits.test_cpu_s == 30
    assert all_sanitized["MBPP/2"].limits == Limits()


def test_visible_tests_by_split(sanitized):
    def shown(split, **options):
        return {
            sum(t.visible for t in task.tests) for task in sources.mbpp(sanitized, split, **options)
        }

    assert shown("test") == {1}
    assert shown("test", visible=2) == {2}
    assert min(shown("train")) == 3
    assert all(test.scored for task in sources.mbpp(sanitized, "test") for test in task.tests)


@pytest.mark.parametrize(
    ("number", "split"),
    [
        *[(1, "prompt"), (10, "prompt"), (11, "test"), (510, "test")],
        *[(511, "validation"), (600, "validation"), (601, "train"), (974, "train")],
    ],
)
def test_split_by_id(number, split):
    assert split_of(number) == split


def test_line_ends_are_normalised():
    task = one(full_row(700, "def f(x):\r\n\treturn x\r\n", ["assert f(1) == 1\r\n"]))
    assert task.reference == "def f(x):\n\treturn x"
    assert task.tests[0].source == "assert f(1) == 1"


def test_an_accidental_message_is_dropped_and_the_verdict_stays():
    task = one(full_row(436, "def f(x): return -1", ["assert f([-1, -6]) == -1,-6"]))
    assert task.tests[0].source == "assert f([-1, -6]) == -1"
    assert passed(task.reference, task) == 1


def test_setup_runs_after_the_program_whose_class_the_prompt_shows():
    code = "class Node:\r\n    def __init__(self, v): self.v = v\r\ndef top(node): return node.v"
    task = one(full_row(367, code, ["assert top(root) == 4"], setup="root = Node(4)\r\n"))
    assert passed(task.reference, task) == 1
    assert task.prompt == (
        "Write it.\n\nThe program must contain this class:\n\n"
        "class Node:\n    def __init__(self, v): self.v = v\n\ndef top(node):"
    )


def test_class_used_by_the_tests_alone_is_shown():
    code = "class Pair:\n    def __init__(self, a): self.a = a\ndef f(p): return p.a"
    assert "class Pair:" in one(full_row(601, code, ["assert f(Pair(1)) == 1"])).prompt


def test_header_loses_annotations_and_keeps_defaults():
    code = "def f(a: int, b: list[int] = 3, *rest: int, key: str = 'x') -> int: return a"
    task = one(full_row(700, code, ["assert f(1) == 1"]))
    assert task.prompt.endswith("\n\ndef f(a, b=3, *rest, key='x'):")
    assert task.reference == code


def test_challenge_tests_are_kept_aside():
    row = full_row(700, "def f(x): return x", ["assert f(1) == 1"])
    task = one({**row, "challenge_test_list": ["assert f(2) == 2"]})
    assert task.metadata["challenge_tests"] == ["assert f(2) == 2"]
    assert len(task.tests) == 1


def test_both_forms_from_files_and_from_the_hub_library_agree(write):
    import datasets

    rows = [full_row(n, "def f(x): return x", ["assert f(1) == 1"]) for n in (5, 11, 601, 602)]
    as_lines = sources.mbpp(write(*rows, name="mbpp.jsonl"), "train")
    as_list = sources.mbpp(write(json.dumps(rows), name="mbpp.json"), "train")
    held = datasets.Dataset.from_list(rows)
    assert as_lines == as_list == sources.mbpp(held, "train")
    both = datasets.DatasetDict({"a": held.select([0, 1]), "b": held.select([2, 3])})
    assert sources.mbpp(both, "train") == as_lines
    assert [task.task_id for task in as_lines] == ["MBPP/601", "MBPP/602"]


def test_rows_are_fetched_from_all_splits(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [full_row(n, "def f(x): return x", ["assert f(1) == 1"]) for n in (11, 601)]
    (tmp_path / "data").mkdir()
    for name, row in zip(("test", "train"), rows, strict=True):
        (tmp_path / "data" / f"{name}.jsonl").write_text(json.dumps(row))
    fetched = [row for _, row in fetch_rows(Hub(str(tmp_path / "data"), "default"))]
    assert sorted(row["task_id"] for row in fetched) == [11, 601]
    assert [task.task_id for task in sources.mbpp(fetched, "test")] == ["MBPP/11"]


def test_an_unreachable_hub_names_the_remedy(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"google-research-datasets/mbpp.*path="):
        sources.mbpp()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"split": "tset"}, "'tset'.*did you mean 'test'"),
        ({"visible": -1}, "visible is -1"),
        ({"split": "validation"}, "no task of MBPP's split 'validation' among 1 rows"),
    ],
)
def test_mbpp_refuses(write, call, told):
    path = write(full_row(700, "def f(x): return x", ["assert f(1) == 1"]))
    with pytest.raises(ValueError, match=told):
        sources.mbpp(path, **call)


def test_mbpp_names_the_row_of_another_data_set(write):
    with pytest.raises(ValueError, match=r"tasks\.jsonl:1: the fields are .*'prompt'.*mbpp\.jsonl"):
        sources.mbpp(write(ROW))


def test_mbpp_names_the_row_without_an_entry_point(write):
    with pytest.raises(ValueError, match=r":1: .*entry point is unclear; it defines \['g'\]"):
        sources.mbpp(write(full_row(700, "def g(x): return x", ["assert f(1) == 1"])))


# load


def test_load_takes_the_training_split_by_default():
    assert sources.load("embedded") == sources.embedded("train")
    assert sources.load("embedded:selection") == sources.embedded("selection")


def test_load_reads_files(write, sanitized):
    assert sources.load(f"mbpp:test@{sanitized}") == sources.mbpp(sanitized, "test")
    assert sources.load(f"mbpp@{sanitized}") == sources.mbpp(sanitized, "train")
    assert sources.load(str(write(ROW))) == sources.jsonl(write(ROW))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("embeded", r"unknown source 'embeded' \(did you mean 'embedded'\?\).*embedded, .*mbpp"),
        ("tasks.json", "path of a .jsonl file"),
        ("", r"NAME\[:SPLIT\]\[\?OPTION=VALUE&\.\.\.\]\[@FILE\]"),
        ("embedded:tests", "'tests'.*did you mean 'test'"),
        ("embedded@file", "made, not read; drop '@file'"),
        ("mbpp:test?visible=one", "visible is 'one'; give a whole number"),
        ("mbpp:test?visble=1", r"unknown option of mbpp 'visble' \(did you mean 'visible'"),
        ("mbpp:test?visible", "'visible' is no OPTION=VALUE"),
        ("mbpp@", "which is not of the form"),
        ("mbpp:test?visible=1&visible=2", "'visible=2' is repeated"),
    ],
)
def test_load_refuses(spec, told):
    with pytest.raises(ValueError, match=told):
        sources.load(spec)
