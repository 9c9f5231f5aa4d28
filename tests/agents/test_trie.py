"""The trie of token ids, and the rows that a budget cuts it into."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import related_tree

from murphy_agents.update import make_batch
from murphy_agents.update.plan import rows
from murphy_agents.update.trie import build

SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple), min_size=1, max_size=12
)


def prefixes(sequences):
    return {sequence[:n] for sequence in sequences for n in range(1, len(sequence) + 1)}


def prefix_of(trie, node):
    found = []
    while node >= 0:
        found.append(int(trie.ids_N[node]))
        node = trie.parent_N[node]
    return tuple(found[::-1])


@given(SEQUENCES)
def test_there_is_one_node_for_each_distinct_prefix(sequences):
    trie = build(sequences)
    found = [prefix_of(trie, node) for node in range(len(trie))]
    assert len(set(found)) == len(found)
    assert set(found) == prefixes(sequences)
    assert trie.depth_N.tolist() == [len(prefix) - 1 for prefix in found]


@given(SEQUENCES)
def test_each_sequence_is_the_path_of_its_nodes(sequences):
    trie = build(sequences)
    for sequence, path in zip(sequences, trie.paths, strict=True):
        assert tuple(trie.ids_N[path]) == sequence
        assert trie.parent_N[path].tolist() == [-1, *path[:-1]]


@given(SEQUENCES)
def test_a_node_sees_its_own_path_and_nothing_else(sequences):
    trie = build(sequences)
    seen = trie.sees()
    for node in range(len(trie)):
        mine = prefix_of(trie, node)
        expected = [mine[: trie.depth_N[k] + 1] == prefix_of(trie, k) for k in range(len(trie))]
        assert seen[node].tolist() == expected


@given(SEQUENCES, st.integers(1, 5))
def test_a_window_counts_along_the_path(sequences, window):
    trie = build(sequences)
    near = trie.depth_N[:, None] - trie.depth_N < window
    assert (trie.sees(window) == (trie.sees() & near)).all()
    assert (trie.sees(window).sum(1) == np.minimum(trie.depth_N + 1, window)).all()


@given(SEQUENCES)
def test_segments_are_runs_that_branch_only_at_their_ends(sequences):
    trie = build(sequences)
    assert trie.start_S[0] == 0
    assert trie.end_S.tolist() == [*trie.start_S[1:], len(trie)]
    children = np.bincount(trie.parent_N[trie.parent_N >= 0], minlength=len(trie))
    for segment, path in enumerate(trie.segment_paths()):
        own = range(trie.start_S[segment], trie.end_S[segment])
        assert all(children[node] == 1 for node in own[:-1])
        # A segment ends at a branch, a leaf, or at the end of a sequence that others go on from.
        assert path.tolist() == sorted(np.flatnonzero(trie.sees()[own[-1]]).tolist())
        above = trie.above_S[segment]
        before = trie.parent_N[own[0]]
        assert before == (trie.end_S[above] - 1 if above >= 0 else -1)


def test_a_trie_needs_ids():
    for nothing in ([], [()], [(1,), ()]):
        with pytest.raises(ValueError, match="at least one id each"):
            build(nothing)


@settings(max_examples=200)
@given(SEQUENCES, st.integers(1, 30))
def test_rows_hold_every_sequence_once_and_keep_to_the_budget(sequences, budget):
    planned = rows(sequences, budget)
    assert sorted(i for row in planned for i in row) == list(range(len(sequences)))
    for row in planned:
        size = len(build([sequences[i] for i in row]))
        assert size <= budget or len(row) == 1


@given(SEQUENCES)
def test_what_fits_is_one_row(sequences):
    assert len(rows(sequences, len(build(sequences)))) == 1


def test_a_problem_is_cut_between_its_first_attempts():
    # Two problems; the first has two attempts, each with two refinements.
    first = [(1, 2, 3), (1, 2, 4), (1, 2, 3, 5, 6), (1, 2, 3, 5, 7), (1, 2, 4, 5, 6), (1, 2, 4, 8)]
    second = [(9, 9, 1), (9, 9, 2)]
    sequences = first + second
    together = [sorted(row) for row in rows(sequences, 10)]
    # Nodes: problem one 2 + (1 + 1 + 2) + (1 + 2 + 1) = 10, problem two 4.
    assert sorted(together) == [[0, 1, 2, 3, 4, 5], [6, 7]]
    # In rows of 6 the first problem's halves, 2 + 4 nodes each, repeat its prompt.
    halves = [sorted(row) for row in rows(sequences, 6)]
    assert sorted(halves) == [[0, 2, 3], [1, 4, 5], [6, 7]]


def test_a_sequence_longer_than_the_budget_has_a_row_of_its_own():
    assert sorted(rows([(1, 2, 3, 4), (1, 2), (5,)], 3)) == [[0], [1, 2]]


@pytest.mark.parametrize("transcript", ["requote", "chat"])
def test_splitting_repeats_little(transcript):
    batch = make_batch([related_tree((4, 4), transcript, seed, num_ids=90) for seed in range(4)])
    ids = [s.prompt_ids + s.completion_ids for s in batch.samples]
    whole = len(build(ids))
    for budget in (whole, whole // 4 + 40):
        total = sum(len(build([ids[i] for i in row])) for row in rows(ids, budget))
        # Problems are whole, so only what rows share at their very beginning is run again.
        assert whole <= total <= whole + 4


@pytest.mark.parametrize(
    ("sequences", "budget", "message"),
    [([(1,)], 0, "token budget is 0"), ([], 5, "no sequence")],
)
def test_a_plan_needs_a_budget_and_sequences(sequences, budget, message):
    with pytest.raises(ValueError, match=message):
        rows(sequences, budget)
