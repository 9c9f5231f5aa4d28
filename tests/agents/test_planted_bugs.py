"""Bugs planted in credit, advantage, weight and mask are caught by the tests of those parts.

A copy of `murphy_agents` gets one wrong line; the named tests of this folder are run on the copy in
a process of their own, and every one of them must fail, by its own assertion. On a copy without a
bug they all pass. A line to be replaced must stand in its file exactly once.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Bug(NamedTuple):
    """One wrong line, and the tests that see it."""

    file: str
    right: str
    wrong: str
    caught_by: tuple[str, ...]


MARS = "    return max(reward, *children) if children else reward"
MERS = "            return (reward + gamma * _mean(children)) / (turns_left + 1)"
SIBLINGS = (
    "    return [(nodes, [[n] for n in nodes]) for nodes in map(counted, groups(root)) if nodes]"
)
SMALL_TREES = "test_algorithms.py::test_all_small_trees_of_two_turns"
ONE_TREE = "test_algorithms.py::test_one_tree_through_every_algorithm"
ALONG_A_TRIE = "test_update_step.py::test_along_a_trie_an_update_is_what_it_is_padded[20-dense]"
UPDATE = "test_update_step.py::test_the_gradient_of_an_update_is_def_1s"

BUGS = {
    "credit: sign of MeRS's gain": Bug(
        "credit.py",
        MERS,
        MERS.replace("reward +", "reward -"),
        (SMALL_TREES, ONE_TREE, "test_credit.py::test_mean_reward_by_hand"),
    ),
    "credit: sign of MaRS's refinements": Bug(
        "credit.py",
        MARS,
        MARS.replace("*children)", "*(-c for c in children))"),
        (SMALL_TREES, ONE_TREE, "test_credit.py::test_max_reward_takes_the_best_refinement"),
    ),
    "credit: turns left counted from the node's own turn on": Bug(
        "algorithms.py",
        "self.credit(node.reward, children, self.num_turns - turn)",
        "self.credit(node.reward, children, self.num_turns - turn + 1)",
        (
            SMALL_TREES,
            ONE_TREE,
            "test_algorithms.py::test_mers_recurses_with_the_turns_left",
            "test_algorithms.py::test_turns_left_count_from_the_algorithm_not_from_the_tree",
        ),
    ),
    "credit: refinements' rewards in place of their credits": Bug(
        "algorithms.py",
        "dropped.pays.get(group, credits(group.nodes)) for group in level",
        "dropped.pays.get(group, [n.reward for n in group.nodes if n.credit is not None])"
        " for group in level",
        ("test_algorithms.py::test_mers_recurses_with_the_turns_left",),
    ),
    "credit: from the refinements' refinements": Bug(
        "algorithms.py",
        "children = paid[node.refinements] if node.refinements else ()",
        "children = [c for n in node.refinements.nodes if n.refinements"
        " for c in credits(n.refinements.nodes)] if node.refinements else ()",
        (SMALL_TREES, ONE_TREE),
    ),
    "credit: MaRS with the mean for the best": Bug(
        "credit.py",
        MARS,
        MARS.replace("*children)", "_mean(children))"),
        (SMALL_TREES, ONE_TREE, "test_credit.py::test_max_reward_takes_the_best_refinement"),
    ),
    "advantage: over the whole tree": Bug(
        "advantage.py",
        SIBLINGS,
        "    nodes = [n for group in groups(root) for n in counted(group)]\n"
        "    return [(nodes, [[n] for n in nodes])] if nodes else []",
        (SMALL_TREES, "test_advantage.py::test_siblings_are_compared_within_their_group_alone"),
    ),
    "advantage: sign": Bug(
        "advantage.py",
        "    return [credit - mean for credit in credits]",
        "    return [mean - credit for credit in credits]",
        (SMALL_TREES, "test_advantage.py::test_standardize_by_hand"),
    ),
    "weight: without 1 / G": Bug(
        "algorithms.py",
        "node.advantage, node.weight = value, 1 / len(compared)",
        "node.advantage, node.weight = value, 1.0",
        (SMALL_TREES, "test_advantage.py::test_siblings_are_compared_within_their_group_alone"),
    ),
    "weight: without the number of problems": Bug(
        "update/normaliser.py",
        "return node.weight / (totals.num_problems * len(node.completion_ids))",
        "return node.weight / len(node.completion_ids)",
        ("test_batch.py::test_def_1_gives_every_group_the_weight_of_one", UPDATE),
    ),
    "weight: without the length": Bug(
        "update/normaliser.py",
        "return node.weight / (totals.num_problems * len(node.completion_ids))",
        "return node.weight / totals.num_problems",
        ("test_batch.py::test_def_1_gives_every_group_the_weight_of_one", UPDATE),
    ),
    "mask: prompt tokens taken for sampled ones": Bug(
        "update/batch.py",
        "        tuple(group.prompt_ids),\n        tuple(node.completion_ids),",
        "        tuple(group.prompt_ids)[:1],\n"
        "        tuple(group.prompt_ids)[1:] + tuple(node.completion_ids),",
        (
            "test_batch.py::test_samples_carry_the_groups_prompt_and_the_sampled_ids_in_tree_order",
            UPDATE,
        ),
    ),
    "mask: a token of the prompt for the last one, padded": Bug(
        "update/layout.py",
        "trained_BT[row, len(sample.prompt_ids) : sample.num_ids] = True",
        "trained_BT[row, len(sample.prompt_ids) - 1 : sample.num_ids - 1] = True",
        (ALONG_A_TRIE,),
    ),
    "mask: a token of the prompt for the last one, along a trie": Bug(
        "update/layout.py",
        "path[len(sample.prompt_ids) :]",
        "path[len(sample.prompt_ids) - 1 : -1]",
        (ALONG_A_TRIE,),
    ),
    "loss: sign": Bug(
        "update/loss.py",
        "loss = -(weight_N * (gain_N - beta * kl_N)).sum()",
        "loss = (weight_N * (gain_N - beta * kl_N)).sum()",
        (UPDATE, "test_update_step.py::test_one_step_makes_the_policy_better"),
    ),
}
NAMED = sorted({test for bug in BUGS.values() for test in bug.caught_by})


@pytest.fixture(scope="module")
def outcomes():
    """Runs tests on the copy in a folder; gives why each failed, None where it passed."""
    command = [sys.executable, str(Path(__file__).with_name("forked_tests.py"))]
    pipe, environ = subprocess.PIPE, os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environ) as runner:

        def ask(folder, tests):
            print(json.dumps([str(folder), list(tests)]), file=runner.stdin, flush=True)
            return json.loads(runner.stdout.readline())

        yield ask
        runner.stdin.close()


@pytest.fixture
def package(tmp_path):
    """A copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "murphy_agents", tmp_path / "murphy_agents", ignore=ignored)
    return tmp_path / "murphy_agents"


def plant(package: Path, bug: Bug) -> None:
    """Replace the right text by the wrong one."""
    file = package / bug.file
    source = file.read_text()
    count = source.count(bug.right)
    assert count == 1, f"{bug.file} has {count} times {bug.right!r}; say anew what to break"
    file.write_text(source.replace(bug.right, bug.wrong))


@pytest.mark.slow
def test_without_a_bug_all_of_them_pass(package, outcomes):
    assert outcomes(package.parent, NAMED) == dict.fromkeys(NAMED)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name, package, outcomes):
    bug = BUGS[name]
    plant(package, bug)
    found = outcomes(package.parent, bug.caught_by)
    assert found.keys() == set(bug.caught_by)
    for test, failure in found.items():
        # By its own assertion, not because the copy is broken.
        assert failure is not None, f"{test} does not see it"
        assert failure.startswith(("assert", "AssertionError")), failure


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_still_has_its_place(name, package):
    plant(package, BUGS[name])


def test_a_place_that_is_gone_is_told(package):
    bug = Bug("credit.py", "no such line", "", ())
    with pytest.raises(AssertionError, match=r"credit\.py has 0 times 'no such line'; say anew"):
        plant(package, bug)
