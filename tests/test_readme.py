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
ARMS = "arms: what was reached", "arms: differences", "arms: how it is done"
LIKE, RIGHT = "against that one", "second attempts that are right"
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
    ("It ends highest of the 36, at {},", ARMS[0], "discounted_turns_90", "iteration 3"),
    ("its lead over MaRS, {};", ARMS[1], "discounted_turns_90", "against `murphy_mars`"),
    ("differ from its start's by {},", ARMS[1], "discounted_turns_90", "against `base`", 1),
    ("where GRPO gains {}.", ARMS[1], "grpo", "against `base`", 1),
    ("Its end differs from the other's by {},", ARMS[1], "discounted_held_90", LIKE),
    ("its first attempts by {}, in all four", ARMS[1], "discounted_held_90", LIKE, 1),
    ("as seldom as its start's ({} %", ARMS[2], "discounted_held_90", RIGHT),
    ("% and {} %). MeRS has", ARMS[2], "base", RIGHT),
    ("against keeping it, the end differs by {},", ARMS[1], "mers_90_literal", LIKE),
    ("first attempts by {}. More of it", ARMS[1], "mers_90_literal", LIKE, 1),
    ("helps no further: {} with gamma 1", ARMS[0], "mers_100_literal", "iteration 3"),
    ("chains end at {}.", ARMS[0], "discounted_turns_40", "iteration 3"),
    ("naive ones by {} with the last", ARMS[1], "naive_last", "against `murphy_mars`"),
    ("and {} with all,", ARMS[1], "naive_all", "against `murphy_mars`"),
    ("ends solved, else 0) by {}.", ARMS[1], "rlef", "against `murphy_mars`"),
    ("among first attempts, by {},", ARMS[1], "mars_shuffled", "against `murphy_mars`"),
    ("than no credit too, by {}.", ARMS[1], "mars_shuffled", "against `tree_without_credit`", 1),
    ("in place of the best is: {}.", ARMS[1], "child_mean", "against `murphy_mars`"),
    ("two of four attempts ends at {}", ARMS[0], "intra_2", "iteration 3"),
    ("(40 or 41 of 60 steps) it ends at {}.", ARMS[0], "grpo_tokens", "iteration 3"),
    ("the seconds of MaRS, it ends at {};", ARMS[0], "grpo_seconds", "iteration 3"),
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
    assert says(f"are {min(gains)} to {max(gains)} points above GRPO")


OTHERS = record.load(ROOT / "benchmarks" / "compare" / "results" / "arms.jsonl")


def solved(arm, iteration=-1, world=OTHERS):
    return {(run.start, run.seed): run.solved[iteration] for run in world.of(arm)}


def pairs(arm, other, iteration=-1):
    """Numbers of tasks solved by run and by its partner."""
    theirs = solved(other, iteration)
    assert len(theirs) == 4
    mine = solved(arm, iteration).items()
    return [(found.count("1"), theirs[where].count("1")) for where, found in mine]


def paid(arm, *names):
    return [sum(run.costs[name] for name in names) for run in OTHERS.of(arm)]


def test_how_many_other_arms_and_runs_there_are():
    assert says(f"The {len(OTHERS.arms)} arms of")
    assert says("4 runs each (2 starting models, 2 of the 5 seeds planned)")
    assert {len(OTHERS.of(arm)) for arm in OTHERS.arms} == {4}
    planned = sum(OTHERS.planned[arm] for arm in OTHERS.arms)
    assert f"--seeds 0 1   # {4 * len(OTHERS.arms)} of {planned} runs" in LEARNED
    assert says("those of the five arms above are the same runs again")
    repair = record.load(ROOT / "benchmarks" / "compare" / "results" / "repair.jsonl")
    for arm in repair.arms:
        again = solved("mers_90" if arm == "murphy_mers" else arm)
        assert again.items() <= solved(arm, world=repair).items(), arm


def test_what_is_said_of_pairs_of_other_arms_is_so():
    assert says("in all four pairs of runs each")
    bait_and_held = "discounted_turns_90", "discounted_held_90"
    assert all(bait > held for bait, held in pairs(*bait_and_held))
    assert all(bait < held for bait, held in pairs(*bait_and_held, iteration=0))
    reached = {arm: sum(found for found, _ in pairs(arm, arm)) for arm in OTHERS.arms}
    assert max(reached, key=reached.get) == "discounted_turns_90"
    assert says("one run making more than half of its lead over MaRS")
    leads = [found - mars for found, mars in pairs("discounted_turns_90", "murphy_mars")]
    assert max(leads) > sum(leads) / 2
    for arm, same in (("mars_one_turn", "grpo"), ("mars_gspo", "murphy_mars"),
                      ("expand_promising", "murphy_mars")):  # fmt: skip
        assert [run.solved for run in OTHERS.of(arm)] == [run.solved for run in OTHERS.of(same)]
    assert paid("expand_promising", "generations") == paid("murphy_mars", "generations")


def test_what_is_told_from_mars_is_so():
    def ends(arm):
        found = cell(ARMS[1], arm, "against `murphy_mars`")
        return [float(end) for end in re.findall(r"\((.*) to (.*)\)", found)[0]]

    checks = {"mars_one_turn", "mars_gspo", "expand_promising", "mars_shuffled"}
    named = {arm for arm in OTHERS.arms if re.match("mars_|intra_|inter_|leave", arm)} - checks
    assert len(named) == 14
    for arm in (*named, "mars_shuffled", "naive_last", "naive_all", "rlef", "discounted_turns_90"):
        low, high = ends(arm)
        assert low <= 0 <= high, arm
    assert ends("child_mean")[1] < 0
    assert says("for nine of these arms a difference of 3 points is not excluded")
    assert sum(max(-low, high) >= 3 for low, high in map(ends, named)) == 9


def test_what_is_said_of_costs_of_other_arms_is_so():
    tokens, seconds = ("trained tokens",), ("generation s", "execution s", "update s")
    mars = sum(paid("murphy_mars", *tokens))
    assert sum(paid("intra_2", *tokens)) / mars == pytest.approx(1 / 3, abs=0.01)
    assert says(f"It spends {sum(paid('grpo', *tokens)) / mars:.1f} times the trained tokens")
    assert says(
        f"cut to as many ({' or '.join(sorted({f'{n:.0f}' for n in paid('grpo_tokens', 'steps')}))}"
    )
    steps = paid("grpo_seconds", "steps")
    assert says(f"With {min(steps):.0f} to {max(steps):.0f} steps")
    theirs = {(run.start, run.seed): run.costs for run in OTHERS.of("murphy_mars")}
    shares = [
        sum(run.costs[name] for name in seconds)
        / sum(theirs[run.start, run.seed][name] for name in seconds)
        for run in OTHERS.of("grpo_seconds")
    ]
    assert says(f"these were {100 * min(shares):.0f} to {100 * max(shares):.0f} % of them")


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
