"""What the README shows works as it stands, and is as short as it says."""

import itertools
import re
from pathlib import Path

import pytest

from benchmarks.compare import expected, record

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


def part(heading):
    """What stands under a heading of the report."""
    level = heading.split()[0]
    after = REPORT[REPORT.index(f"\n{heading}\n") + len(heading) + 1 :]
    return re.split(rf"\n#{{2,{len(level)}}} ", after, maxsplit=1)[0]


def name_of(line):
    return line.split("|")[1].strip(" `")


SHOWN = [
    ("### repair: what was reached", set()),
    ("### repair: differences", set()),
    ("### repair: three budgets", set()),
    ("### probe: what was reached", {"supervised-best", "mers_1"}),
    ("## Expected and found", {"repair"}),
    (
        "### probe: how it is done",
        {"supervised-best", "murphy_mers", "mers_1", "naive_all", "child_mean"},
    ),
]
"""Tables of the README in their order: where the report has them first, rows that are left out."""


def test_tables_of_what_is_learned_are_those_of_the_committed_report():
    shown = tables(LEARNED)
    assert len(shown) == len(SHOWN)
    for (header, lines), (heading, left_out) in zip(shown, SHOWN, strict=True):
        whole, rows = tables(part(heading))[0]
        assert (header, lines) == (whole, [r for r in rows if name_of(r) not in left_out]), heading


def test_figures_of_what_is_learned_are_those_of_the_committed_report():
    with_ends = r"[+-]?[\d.]+\s\([+-]?[\d.]+\sto\s[+-]?[\d.]+\)"
    figures = [" ".join(found.split()) for found in re.findall(with_ends, LEARNED)]
    assert [figure for figure in figures if figure not in REPORT] == []


def cell(heading, row, column, place=0):
    """Of the report: a figure in a table under a heading, the first one unless told otherwise."""
    header, lines = tables(part(f"### {heading}"))[place]
    columns = [name.strip() for name in header.split("|")]
    line = next(line for line in lines if name_of(line) == row)
    return line.split("|")[columns.index(column)].strip()


def of_every_run(world, arm):
    """pass@1 of an arm's runs: start -> seed by seed."""
    last = len(tables(part(f"### {world}: how it was made"))) - 1
    lines = tables(part(f"### {world}: how it was made"))[last][1]
    cells = [line.split("|") for line in lines if name_of(line) == arm]
    return {c[2].strip(): [float(x) for x in c[4:-1]] for c in cells}


HEDGE = "probe_hedge: what was reached"
STRONG = "probe_strong: what was reached"
PROBE = "probe: what was reached", "probe: differences"
REPAIR = "repair: differences", "repair: how it is done"
ARMS = "arms: what was reached", "arms: differences"
CLAIMS = [
    ("MURPHY-MaRS is {} points above its start", REPAIR[0], "murphy_mars", "against `base`"),
    ("It ends {} points above the tree without credit",
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
    ("That arm ends {} points from its start", PROBE[1], "mars_shuffled", "against `base`"),
    ("MeRS differs from no credit by {}.",
     REPAIR[0], "murphy_mers", "against `tree_without_credit`"),
    ("That filter makes {} % of first attempts loud", "probe: how it is done",
     "supervised-filtered", "loud first attempts"),
    ("MaRS reaches {}; MeRS with gamma 1", STRONG, "murphy_mars", "iteration 3"),
    ("hide and ends at {}, as the tree", STRONG, "mers_1", "iteration 3"),
    ("MaRS differs from no credit by {}.", "probe_blind: differences", "murphy_mars",
     "against `tree_without_credit`"),
    ("makes first attempts quieter there ({} % loud", "probe_blind: how it is done", "murphy_mars",
     "loud first attempts"),
    ("% loud, {} before)", "probe_blind: how it is done", "base", "loud first attempts"),
    ("starting model is loud in {} %", "probe_hedge: how it is done", "base",
     "loud first attempts"),
    ("attempts and solves {};", HEDGE, "base", "iteration 3"),
    ("; MaRS reaches {}, and naive", HEDGE, "murphy_mars", "iteration 3"),
    ("the last attempt alone is trained {}.", HEDGE, "naive_last", "iteration 3"),
    ("It ends highest, at {},", ARMS[0], "discounted_turns_90", "iteration 3"),
    ("first attempts of {}, where GRPO", ARMS[0], "discounted_turns_90", "iteration 1"),
    ("where GRPO has {}. `discounted", ARMS[0], "grpo", "iteration 1"),
    ("It ends at {}, with first", ARMS[0], "discounted_held_90", "iteration 3"),
    ("with first attempts of {}, lower in", ARMS[0], "discounted_held_90", "iteration 1"),
    ("(`literal`, gamma 0.9), {} after", ARMS[0], "mers_90_literal", "iteration 3"),
    ("after {}; where it keeps", ARMS[0], "mers_90_literal", "iteration 1"),
    ("where it keeps its reward, {} after", ARMS[0], "mers_90", "iteration 3"),
    ("after {}. MaRS lies between", ARMS[0], "mers_90", "iteration 1"),
    ("last attempt is trained differ by {},", ARMS[1], "naive_last", "against `murphy_mars`"),
    ("for the whole chain as in RLEF by {},", ARMS[1], "rlef", "against `murphy_mars`"),
    ("tree with shuffled credit by {}.", ARMS[1], "mars_shuffled", "against `murphy_mars`"),
    ("mean of the refinements: {}.", ARMS[1], "child_mean", "against `murphy_mars`"),
    ("IntraP that keeps two of four ends at {}", ARMS[0], "intra_2", "iteration 3"),
    ("trained tokens of MaRS ({})", ARMS[0], "grpo_tokens", "iteration 3"),
    ("or its seconds ({}).", ARMS[0], "grpo_seconds", "iteration 3"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "place"), [(claim[0], claim[1:]) for claim in CLAIMS])
def test_a_sentence_has_the_figure_that_it_speaks_of(sentence, place):
    assert sentence.format(cell(*place)) in " ".join(LEARNED.split())


def says(sentence):
    return sentence in " ".join(LEARNED.split())


def test_what_is_said_of_all_runs_is_so():
    mars, tree = (of_every_run("repair", arm) for arm in ("murphy_mars", "tree_without_credit"))
    pairs = [(m, t) for start in mars for m, t in zip(mars[start], tree[start], strict=True)]
    assert says("in all ten pairs of runs")
    assert len(pairs) == 10
    assert all(m > t for m, t in pairs)
    trained = ("grpo", "murphy_mars", "murphy_mers", "naive_all", "tree_without_credit")
    best = max(x for arm in trained for runs in of_every_run("repair", arm).values() for x in runs)
    assert says("above every single run of reinforcement learning")
    assert best < float(cell(PROBE[0].replace("probe", "repair"), "supervised-filtered",
                             "iteration 3").split()[0])  # fmt: skip
    shuffled = [x for runs in of_every_run("probe", "mars_shuffled").values() for x in runs]
    assert says(f"and solve {min(shuffled)} to {max(shuffled)} %")
    probe = record.load(ROOT / "benchmarks" / "compare" / "results" / "probe.jsonl")
    loud = [run.mechanism["vague"]["loud"] for run in probe.of("mars_shuffled")]
    assert len(loud) == 10
    assert says(f"end with {100 * min(loud):.1f} to {100 * max(loud):.1f} % of loud first attempts")
    gains = [float(cell(REPAIR[0], arm, "against `grpo`").split()[0]) for arm in trained[1:]]
    assert says(f"is {min(gains)} to {max(gains)} points above GRPO")


def test_what_is_said_of_other_arms_is_so():
    world = record.load(ROOT / "benchmarks" / "compare" / "results" / "arms.jsonl")
    assert says(f"The {len(world.arms)} arms of")
    assert says("4 runs each (2 starting models, 2 of")
    assert {len(world.of(arm)) for arm in world.arms} == {4}
    assert f"--seeds 0 1   # {4 * len(world.arms)} runs" in LEARNED

    def reached(arm):
        return {(run.start, run.seed): run.solved[-1].count("1") for run in world.of(arm)}

    def both(arm, other):
        assert reached(arm).keys() == reached(other).keys()
        return [(found, reached(other)[pair]) for pair, found in reached(arm).items()]

    assert says("lower in all four pairs of runs. The readings of MeRS part alike")
    assert all(bait > held for bait, held in both("discounted_turns_90", "discounted_held_90"))
    assert all(literal > keep for literal, keep in both("mers_90_literal", "mers_90"))
    trained = {arm: sum(reached(arm).values()) for arm in world.arms}
    assert max(trained, key=trained.get) == "discounted_turns_90"

    def ends(arm):
        found = cell(ARMS[1], arm, "against `murphy_mars`")
        return [float(end) for end in re.findall(r"\((.*) to (.*)\)", found)[0]]

    variants = [arm for arm in world.arms if re.match("mars_|intra_|inter_|expand|leave", arm)]
    assert len(variants) == 18
    for arm in {*variants, "discounted_turns_90", "mers_90_literal"} - {"mars_one_turn"}:
        low, high = ends(arm)
        assert low <= 0 <= high, arm
    for arm, same in (("mars_one_turn", "grpo"), ("mars_gspo", "murphy_mars"),
                      ("expand_promising", "murphy_mars")):  # fmt: skip
        assert [run.solved for run in world.of(arm)] == [run.solved for run in world.of(same)]

    def paid(arm, *names):
        return [sum(run.costs[name] for name in names) for run in world.of(arm)]

    assert paid("expand_promising", "generations") == paid("murphy_mars", "generations")
    tokens, seconds = ("trained tokens",), ("generation s", "execution s", "update s")
    third = sum(paid("intra_2", *tokens)) / sum(paid("murphy_mars", *tokens))
    assert third == pytest.approx(1 / 3, abs=0.01)
    missed = [
        max(
            abs(a / b - 1)
            for a, b in zip(paid(arm, *names), paid("murphy_mars", *names), strict=True)
        )
        for arm, names in (("grpo_tokens", tokens), ("grpo_seconds", seconds))
    ]
    assert [round(100 * missed[0], 1), round(100 * missed[1])] == [1.7, 45]
    assert says("Tokens were met within 1.7 %, seconds within 45 %")


def test_what_is_said_of_clear_tasks_is_so():
    mars, tree = (
        cell("probe_blind: what was reached", arm, "iteration 1", 1).split()[0]
        for arm in ("murphy_mars", "tree_without_credit")
    )
    assert says(f"on fewer clear tasks ({mars} %, where the tree without credit has {tree})")


def test_what_is_said_of_the_mechanism_is_so():
    lines = tables(part("## Expected and found"))[1][1]
    found = {
        tuple(c.strip(" `") for c in line.split("|")[1:3]): line.split("|")[4:8] for line in lines
    }
    assert says(
        "In all ten runs of MaRS every first attempt is loud, in all ten without credit none"
    )
    for arm, share in (("murphy_mars", "100.0"), ("tree_without_credit", "0.0")):
        assert [c.strip() for c in found["probe", arm]] == [share, share, share, "10"]


def test_the_gain_over_the_filter_is_that_of_its_pair():
    (line,) = (
        line
        for line in tables(part("## Expected and found"))[0][1]
        if "supervised-filtered" in line
    )
    gain = line.split("|")[5].strip()
    assert says(f"MaRS passes learning from the teacher's right answers**, by {gain} points")


def test_what_was_added_to_an_expectation_is_of_the_report():
    (told,) = (e.after for found in expected.load().values() for e in found if e.after)
    loud = cell("probe: how it is done", "supervised-filtered", "loud first attempts")
    assert f"{loud} % of the filtered models' first attempts are loud" in told
