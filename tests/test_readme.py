"""What the README shows works as it stands, and is as short as it says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
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


def test_what_is_learned_is_quoted_from_the_committed_report():
    text = README[README.index("## What is learned") : README.index("## The paper's tables")]
    report = (ROOT / "benchmarks" / "compare" / "report.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 15
    assert [row for row in rows if row not in report] == []
    with_ends = r"[+-]?[\d.]+\s\([+-]?[\d.]+\sto\s[+-]?[\d.]+\)"
    figures = [" ".join(found.split()) for found in re.findall(with_ends, text)]
    assert [figure for figure in figures if figure not in report] == []
