"""The batch: which nodes become samples, and what each of their tokens weighs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from murphy_agents.tree import Group, Node
from murphy_agents.update import Sample, Totals, count, make_batch, normaliser_named
from murphy_agents.update.batch import split
from murphy_agents.update.normaliser import constant_length, token_mean
from murphy_agents.variants import VARIANTS


def trained(length, weight, advantage=1.0, **fields):
    node = Node(0.0, completion_ids=tuple(range(10, 10 + length)), **fields)
    node.advantage, node.weight = advantage, weight
    return node


def two_turns():
    """Root: lengths 2 and 4, kept both; the second refined by one kept node of length 5 of two."""
    dropped = Node(0.0, completion_ids=(1, 2, 3), pruned=True)
    child_group = Group([trained(5, 1.0), dropped], prompt_ids=(7, 8), turn=2)
    return Group([trained(2, 1 / 2), trained(4, 1 / 2, refinements=child_group)], prompt_ids=(7,))


def weights(batch):
    return [sample.weight for sample in batch.samples]


def test_def_1_weighs_a_token_by_problems_group_size_and_length():
    # one problem: 1/(1·2·2), 1/(1·2·4), 1/(1·1·5)
    assert weights(make_batch([two_turns()])) == pytest.approx([1 / 4, 1 / 8, 1 / 5])


def test_a_problem_that_trains_nothing_still_counts_as_a_problem():
    solved = Group([Node(1.0, completion_ids=(1,))], prompt_ids=(7,))
    # two problems now: half of the weights above
    assert weights(make_batch([two_turns(), solved])) == pytest.approx([1 / 8, 1 / 16, 1 / 10])


def test_def_1_gives_every_group_the_weight_of_one():
    batch = make_batch([two_turns(), two_turns()])
    total = sum(s.weight * len(s.completion_ids) for s in batch.samples)
    # two problems of two groups each, averaged over problems: 4/2
    assert total == pytest.approx(2.0)


def test_token_mean_gives_every_token_the_same_weight():
    # 2 + 4 + 5 tokens
    assert weights(make_batch([two_turns()], token_mean)) == pytest.approx([1 / 11] * 3)


def test_dr_grpo_divides_by_the_token_limit():
    # 1/(1·2·50), 1/(1·2·50), 1/(1·1·50)
    batch = make_batch([two_turns()], constant_length(50))
    assert weights(batch) == pytest.approx([1 / 100, 1 / 100, 1 / 50])


@pytest.mark.parametrize("name", VARIANTS)
def test_one_completion_at_the_token_limit_weighs_the_same_under_every_name(name):
    tree = Group([trained(8, 1.0)], prompt_ids=(7,))
    assert weights(make_batch([tree], normaliser_named(name, 8))) == [1 / 8]


def test_an_unknown_loss_type_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'gspro'; choose one of .*'dapo'"):
        normaliser_named("gspro", 8)


def test_samples_carry_the_groups_prompt_and_the_sampled_ids_in_tree_order():
    batch = make_batch([two_turns()])
    assert [(s.prompt_ids, s.completion_ids) for s in batch.samples] == [
        ((7,), (10, 11)),
        ((7,), (10, 11, 12, 13)),
        ((7, 8), (10, 11, 12, 13, 14)),
    ]


def test_a_masked_truncated_completion_leaves_the_others_weights_as_they_are():
    cut = trained(6, 1 / 2, finish_reason="length")
    tree = Group([trained(3, 1 / 2), cut], prompt_ids=(7,))
    batch = make_batch([tree], mask_truncated=True)
    assert weights(batch) == [1 / 6]  # 1/(1·2·3): the group is still one of two
    assert batch.num_masked == 1
    assert len(make_batch([tree]).samples) == 2


def test_masked_tokens_do_not_count_in_a_token_mean():
    cut = trained(6, 1 / 2, finish_reason="length")
    tree = Group([trained(3, 1 / 2), cut], prompt_ids=(7,))
    assert weights(make_batch([tree], token_mean, mask_truncated=True)) == [1 / 3]


def test_an_empty_completion_is_counted_and_not_trained():
    tree = Group([trained(4, 1 / 2), trained(0, 1 / 2)], prompt_ids=(7,))
    batch = make_batch([tree])
    assert weights(batch) == [1 / 8]  # 1/(1·2·4)
    assert batch.num_empty == 1


def test_totals_of_all_processes_replace_a_process_s_own():
    mine, other = two_turns(), two_turns()
    totals = count([mine]) + count([other])
    assert totals == Totals(num_problems=2, num_tokens=22)
    assert weights(make_batch([mine], totals=totals)) == pytest.approx([1 / 8, 1 / 16, 1 / 10])
    assert weights(make_batch([mine], token_mean, totals=totals)) == pytest.approx([1 / 22] * 3)


def test_no_trees_give_an_empty_batch():
    assert make_batch([]).samples == ()


@pytest.mark.parametrize(
    ("node", "prompt_ids", "message"),
    [
        (trained(2, 1.0, advantage=float("nan")), (7,), "advantage nan"),
        (trained(2, 1.0), (), "no prompt_ids"),
        (trained(2, 1.0, logprobs=(-1.0,)), (7,), "2 completion_ids and 1 logprobs"),
    ],
)
def test_a_node_that_cannot_be_trained_is_an_error(node, prompt_ids, message):
    with pytest.raises(ValueError, match=message):
        make_batch([Group([node], prompt_ids=prompt_ids)])


def sample(num_ids, weight=1.0):
    return Sample((1,), tuple(range(2, num_ids + 1)), advantage=1.0, weight=weight)


LENGTHS = st.lists(st.integers(2, 40), min_size=1, max_size=30)


@given(LENGTHS, st.integers(1, 200))
def test_a_split_holds_every_sample_once_within_the_budget(lengths, budget):
    samples = [sample(length, weight=1 / (i + 1)) for i, length in enumerate(lengths)]
    parts = split(samples, budget)
    assert sorted(id(s) for part in parts for s in part) == sorted(map(id, samples))
    for part in parts:
        assert len(part) == 1 or len(part) * max(s.num_ids for s in part) <= budget


def test_a_split_puts_the_longest_first_and_keeps_the_order_of_equals():
    samples = [sample(n, weight=w) for n, w in [(3, 1.0), (9, 2.0), (3, 3.0), (5, 4.0)]]
    # budget 10: 9 alone; 5 with a 3, padded to 2·5 = 10; the other 3 alone, as 3·5 = 15
    assert [[s.weight for s in part] for part in split(samples, 10)] == [[2.0], [4.0, 1.0], [3.0]]
