"""What the README shows works as it stands, and is as short as it says."""

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
LEARNED = README[README.index("## What is learned") : README.index("## The paper's tables")]
REPORT = (ROOT / "benchmarks" / "compare" / "report.md").read_text()
REPEATS = "second attempts that repeat"
NEEDS_TRAINING = re.compile(r"murphy_agents import")


def block(containing):
    found = [code for code in BLOCKS if containing in code]
    assert len(found) == 1, f"one README block has {containing!r}"
    return found[0]


def statements(code):
    return [line for line in code.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("containing", "most"),
    [
        ("gym.make(", 12),
        ('task_id="median"', 10),
        ("Algorithm(", 30),
        ("TransformReward", 15),
    ],
)
def test_examples_run_and_are_short(containing, most, tmp_path, monkeypatch):
    code = block(containing)
    assert len(statements(code)) <= most
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    if "make_env" in names:
        from murphy_env import check_branching

        check_branching(names["make_env"]())


def test_every_example_is_tested():
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in PAGES)])
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def tables(text):
    """(header, lines) of the Markdown tables of a text, in their order."""
    found, lines = [], text.splitlines()
    for at, line in enumerate(lines):
        if line.startswith("| ---"):
            after = itertools.takewhile(lambda each: each.startswith("|"), lines[at + 1 :])
            found.append((lines[at - 1], list(after)))
    return found


def test_tables_of_what_is_learned_are_those_of_the_committed_report():
    there = tables(REPORT)
    shown = tables(LEARNED)
    assert sum(len(lines) for _, lines in shown) > 15
    for header, lines in shown:
        assert any(head == header and set(lines) <= set(known) for head, known in there), header


def test_figures_of_what_is_learned_are_those_of_the_committed_report():
    with_ends = r"[+-]?[\d.]+\s\([+-]?[\d.]+\sto\s[+-]?[\d.]+\)"
    figures = [" ".join(found.split()) for found in re.findall(with_ends, LEARNED)]
    assert [figure for figure in figures if figure not in REPORT] == []


def cell(heading, row, column, place=0):
    """Of the report: a figure in a table under a heading, the first one unless told otherwise."""
    part = REPORT[REPORT.index(f"\n### {heading}\n") + 5 :].partition("\n### ")[0]
    header, lines = tables(part)[place]
    columns = [name.strip() for name in header.split("|")]
    line = next(line for line in lines if line.startswith(f"| `{row}` |"))
    return line.split("|")[columns.index(column)].strip()


PROBE = "probe: what was reached", "probe: differences"
REPAIR = "repair: differences", "repair: how it is done"
CLAIMS = [
    ("MURPHY-MaRS is {} points above its start", REPAIR[0], "murphy_mars", "against `base`"),
    ("MaRS ends {} points above the tree without credit",
     REPAIR[0], "murphy_mars", "against `tree_without_credit`"),
    ("first attempts differ by {}.", REPAIR[0], "murphy_mars", "against `tree_without_credit`", 1),
    ("the teacher's answers that passed reaches {}, above",
     "repair: what was reached", "supervised-filtered", "iteration 3"),
    ("base hands in the failed program again in {} %", REPAIR[1], "base", REPEATS),
    ("MaRS in {} %", REPAIR[1], "murphy_mars", REPEATS),
    ("supervised-filtered in {} %", REPAIR[1], "supervised-filtered", REPEATS),
    ("GRPO in {} %", REPAIR[1], "grpo", REPEATS),
    ("The same tree ends at {} with MaRS", PROBE[0], "murphy_mars", "iteration 3"),
    ("and at {} without credit", PROBE[0], "tree_without_credit", "iteration 3"),
    ("below the {} that it began with", PROBE[0], "base", "iteration 3"),
    ("that arm ends {} points from its start", PROBE[1], "mars_shuffled", "against `base`"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "place"), [(claim[0], claim[1:]) for claim in CLAIMS])
def test_a_sentence_has_the_figure_that_it_speaks_of(sentence, place):
    assert sentence.format(cell(*place)) in " ".join(LEARNED.split())
