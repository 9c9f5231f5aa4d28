"""The tables' parts: verdicts of the worlds, values on paper, the command line."""

import json
import re
import sys
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.compare.tabular import __main__ as command
from benchmarks.compare.tabular import paper
from benchmarks.compare.tabular.arms import ARMS, WORLDS
from benchmarks.compare.tabular.paper import CREDITS, probe_styles, solved, sorting_styles, value
from benchmarks.compare.tabular.probe import probe
from benchmarks.compare.tabular.sorting import sorting
from benchmarks.compare.tabular.world import SOLVED, Policy, train
from murphy_agents.algorithms import Algorithm


def test_a_probe_world_of_two_separators():
    # Columns: quiet 0, quiet 1, loud 0, loud 1; rows: first, named 0, named 1, tried 0, tried 1.
    world = probe(k=2, quiet=0.5, loud=0.25)
    assert world.reward_DC.tolist() == [[1, 0.5, 1, 0.25], [0.5, 1, 0.25, 1]]
    assert world.next_DC.tolist() == [[SOLVED, 4, SOLVED, 1], [3, SOLVED, 2, SOLVED]]
    assert world.probes_C.tolist() == [0, 0, 1, 1]
    blind = probe(k=2, blind=True)
    assert blind.next_DC.tolist() == [[SOLVED, 4, SOLVED, 4], [3, SOLVED, 3, SOLVED]]


def test_the_sorting_world_by_hand():
    world = sorting()
    # Alphabetical order asked for: any reading is wrong and has it named, row 2.
    assert world.reward_DC[0].tolist() == [1] + [0.25] * 6
    assert world.next_DC[0].tolist() == [SOLVED] + [2] * 6
    # The second reading: the mode hears "by length", row 1; other readings have row 2 + 2.
    assert world.reward_DC[7].tolist() == [0.25, 0.5, 1, 0.5, 0.5, 0.5, 0.5]
    assert world.next_DC[7].tolist() == [1, 4, SOLVED, 4, 4, 4, 4]


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_computed_is_what_is_drawn(name):
    world, rng = WORLDS[name], np.random.default_rng(0)
    policy, draws, found = Policy(world), 4000, 0
    table = policy.probabilities()
    for _ in range(draws):
        truth, row = rng.integers(len(world.reward_DC)), 0
        for _ in range(3):
            row = world.next_DC[truth, rng.choice(len(table[row]), p=table[row])]
            if row == SOLVED:
                found += 1
                break
    # The standard error is at most sqrt(.25 / 4000) = .008.
    assert policy.solve_rate(3) == pytest.approx(found / draws, abs=0.03)


def test_the_worth_of_a_probe_by_hand():
    # Two separators, both styles: s = 1/2, quiet .5, loud 1/3; second attempts are always right.
    styles = probe_styles(k=2)
    assert [solved(style, 1) for style in styles.values()] == [0.5, 0.5]
    assert [solved(style, 2) for style in styles.values()] == [1, 1]
    # MeRS .9: 1/2 + 1/2 * (.5 + .9) / 2 = .85; 1/2 + 1/2 * (1/3 + .9) / 2 = .80833.
    found = [value(CREDITS["MeRS .9"], style) for style in styles.values()]
    assert found == pytest.approx([0.85, 0.5 + 0.5 * (1 / 3 + 0.9) / 2])
    # Literal: a solved first attempt is worth a half.
    found = [value(CREDITS["MeRS .9 literal"], style) for style in styles.values()]
    assert found == pytest.approx([0.6, 0.25 + 0.5 * (1 / 3 + 0.9) / 2])


# Quiet / loud by credit in the order of `CREDITS`, then solved by turn 2; worked out apart from
# this code, to three decimals (the last column to two).
WORTH = {
    (8, 1 / 2, 1 / 3, 1.0): "562/417 764/1000 569/665 594/708 506/602 625/1000 250/1000",
    (8, 1 / 2, 1 / 3, 0.5): "562/417 764/973 569/566 594/599 506/504 625/781 250/560",
    (8, 1 / 2, 1 / 3, 0.2): "562/417 764/821 569/507 594/533 506/445 625/650 250/300",
    (8, 3 / 4, 1 / 4, 1.0): "781/344 882/1000 763/628 797/672 700/566 813/1000 250/1000",
    (3, 1 / 2, 1 / 3, 0.7): "667/556 979/997 725/699 750/728 558/533 833/900 670/800",
    (2, 1 / 2, 1 / 3, 1.0): "750/667 1000/1000 850/808 875/833 600/558 1000/1000 1000/1000",
}


@pytest.mark.parametrize("numbers", WORTH)
def test_values_on_paper(numbers):
    styles = probe_styles(*numbers).values()
    *expected, by_turn_2 = WORTH[numbers].split()
    for credit, pair in zip(CREDITS.values(), expected, strict=True):
        found = [value(credit, style) for style in styles]
        assert found == pytest.approx([int(x) / 1000 for x in pair.split("/")], abs=6e-4)
    found = [solved(style, 2) for style in styles]
    assert found == pytest.approx([int(x) / 1000 for x in by_turn_2.split("/")], abs=6e-3)


def test_values_on_paper_of_the_sorting_world():
    mode, by_length = sorting_styles().values()
    expected = {"own": (0.625, 0.417), "MaRS": (0.879, 1.0), "MeRS 1": (0.708, 0.708)}
    for name, pair in (expected | {"final reward": (0.792, 1.0)}).items():
        found = [value(CREDITS[name], style) for style in (mode, by_length)]
        assert found == pytest.approx(pair, abs=6e-4)
    assert [solved(mode, 1), solved(by_length, 1)] == pytest.approx([1 / 2, 1 / 12])
    assert [solved(mode, 2), solved(by_length, 2)] == pytest.approx([7 / 12, 1])


def test_discounted_turns_on_paper():
    # Quiet: 1/8 + 7/8 * (.5 + .9 * (1/7 + 6/7 * .5)); held, the 1/8 earn .9 more.
    quiet = probe_styles()["quiet"]
    expected = 1 / 8 + 7 / 8 * (0.5 + 0.9 * (1 / 7 + 3 / 7))
    assert paper.discounted(quiet, 0.9) == pytest.approx(expected)
    assert paper.discounted(quiet, 0.9, held=True) == pytest.approx(expected + 0.9 / 8)


def test_the_table_has_a_line_a_variant_and_marks_what_a_credit_asks_for():
    lines = paper.table().splitlines()
    assert len(lines) == 2 + len(paper.VARIANTS)
    assert {line.count("|") for line in lines} == {1 + len(lines[0].split("|")[1:-1])}
    assert "0.764 / **1.000**" in lines[2]
    assert "0.708 / 0.708" in lines[-1]


def test_the_page_of_the_expectation_has_the_table(request):
    page = request.config.rootpath / "docs" / "design" / "0802-probe-world.md"
    assert paper.table() in page.read_text()


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_takes_a_step(name):
    world = probe()
    first, policy = Policy(world), train(world, ARMS[name](), seed=0, steps=1)
    assert not np.array_equal(policy.logits_RC, first.logits_RC)
    # Of 8 tasks, each 20 generations at most.
    assert 8 * 4 <= policy.num_generations <= 8 * 20


def test_all_roots_of_a_step_are_asked_for_before_a_tree_grows():
    asked = []

    def fanout(node, turn):
        asked.append(turn)
        return (2, 2, 0)[turn - 1]

    train(probe(), Algorithm(fanout, CREDITS["MaRS"], turns=2), seed=0, steps=2, tasks=3)
    turns = "".join(map(str, asked))
    # Three roots, then every failed attempt of the three trees, twice.
    assert re.fullmatch(r"(1{3}[23]{3,}){2}", turns)


def test_a_line_of_the_table_has_the_deviation_of_a_sample():
    # Of 1/2 and 3/4: mean 5/8, deviation 1/8 sqrt(2); generations are no shares.
    told = command.row_of("mars", {"probing": [0.5, 0.75], "generations": [18.0, 20.0]})
    assert told == "| mars | 62.5 ± 17.7 | 19.0 ± 1.4 |"
    assert command.row_of("mars", {"probing": [0.5]}) == "| mars | 50.0 |"


def test_the_command_prints_tables_and_writes_every_seed(tmp_path, monkeypatch, capsys):
    file = tmp_path / "found.json"
    monkeypatch.setattr(command, "runs", lambda: [("sorting", "mars"), ("sorting", "grpo")])
    monkeypatch.setattr(sys, "argv", ["tabular", "--seeds", "2", "--json", str(file)])
    command.main()
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in told[-2:]] == ["| mars", "| grpo"]
    written = json.loads(file.read_text())
    assert written["settings"] == {"seeds": 2, "steps": 150, "tasks": 8}
    found = written["found"]["sorting"]
    assert {len(values) for values in found["mars"].values()} == {2}
    assert found["grpo"]["generations"] == [20, 20]
    rates = [np.mean(found["mars"][f"iteration {turn}"]) for turn in (1, 2, 3)]
    assert all(before < after for before, after in pairwise(rates))


def test_the_command_refuses_no_seeds(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tabular", "--seeds", "0"])
    with pytest.raises(SystemExit):
        command.main()
    assert "--seeds is 0; give 1 or more" in capsys.readouterr().err
