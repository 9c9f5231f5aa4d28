"""The loss: on hand-computed numbers, against Def. 1 in loops, against TRL's own code."""

import math

import pytest
import torch
from definition1 import objective
from models import gradient, perturbed, random_tree, small_model
from trl_losses import as_trl, grpo_trainer

from murphy_agents.tree import Group, Node
from murphy_agents.update import make_batch, murphy_loss, trained_logprobs
from murphy_agents.update.kl import k3


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_k3_on_numbers():
    # policy 1/2, reference 1/4: d = ln(1/2), k3 = 1/2 + ln 2 − 1 = 0.193147…
    # policy 1/4, reference 1/2: d = ln 2,     k3 = 2 − ln 2 − 1   = 0.306853…
    found = k3(tensor(0.5, 0.25, 0.5).log(), tensor(0.25, 0.5, 0.5).log())
    torch.testing.assert_close(found, tensor(math.log(2) - 0.5, 1 - math.log(2), 0.0))


@pytest.mark.parametrize(
    ("ratio", "advantage", "surrogate", "slope"),
    [
        (1.5, 1.0, 1.2, 0.0),  # raised enough: bounded, no gradient
        (0.5, 1.0, 0.5, 0.5),  # fell though it was good: pull back at full strength
        (0.5, -1.0, -0.8, 0.0),  # lowered enough
        (1.5, -1.0, -1.5, -1.5),  # rose though it was bad
        (1.1, 2.0, 2.2, 2.2),  # inside the range
    ],
)
def test_clipping_is_one_sided(ratio, advantage, surrogate, slope):
    logp_N = tensor(math.log(ratio)).requires_grad_()
    loss, stats = murphy_loss(logp_N, tensor(0.0), None, tensor(advantage), tensor(1.0), 0.2, 0.0)
    loss.backward()
    # d ratio / d logp = ratio, so the slope is ratio · advantage, or 0 where bounded
    assert -loss.item() == pytest.approx(surrogate)
    assert -logp_N.grad.item() == pytest.approx(slope)
    assert stats["clipped"] == (slope == 0)


def test_the_loss_is_the_weighted_sum_over_tokens():
    logp_N, old_N, ref_N = tensor(-1.0, -2.0), tensor(-1.1, -2.0), tensor(-1.0, -2.5)
    loss, stats = murphy_loss(
        logp_N, old_N, ref_N, tensor(2.0, -1.0), tensor(0.5, 0.25), epsilon=0.2, beta=0.1
    )
    # token 1: e^0.1 · 2 = 2.210342, kl 0;  token 2: −1, kl = e^−0.5 + 0.5 − 1 = 0.106531
    # −(0.5 · 2.210342 + 0.25 · (−1 − 0.1 · 0.106531)) = −0.852508
    assert loss.item() == pytest.approx(-0.852508, abs=1e-6)
    assert stats["kl"].item() == pytest.approx(0.106531, abs=1e-6)
    assert stats["ratio"].item() == pytest.approx(math.exp(0.1) + 1)
    assert stats["tokens"].item() == 2


def test_losses_and_stats_of_parts_add_up():
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    whole, whole_stats = murphy_loss(*columns)
    halves = [murphy_loss(*columns[:, part]) for part in (slice(0, 5), slice(5, 12))]
    torch.testing.assert_close(whole, halves[0][0] + halves[1][0])
    for name, value in whole_stats.items():
        torch.testing.assert_close(value, halves[0][1][name] + halves[1][1][name])


def test_a_kl_term_without_reference_is_refused():
    with pytest.raises(ValueError, match=r"beta is 0\.04 but ref_N is None"):
        murphy_loss(tensor(-1.0), tensor(-1.0), None, tensor(1.0), tensor(1.0))


def backward(trees, model, old, reference, temperature, epsilon, beta):
    """Loss and gradient by the library, all samples at once."""
    samples = make_batch(trees).samples
    lengths = torch.tensor([len(s.completion_ids) for s in samples])
    advantage_N, weight_N = (
        tensor(*[getattr(s, name) for s in samples]).repeat_interleave(lengths)
        for name in ("advantage", "weight")
    )
    with torch.no_grad():
        old_N = None if old is None else trained_logprobs(old, samples, temperature)
        ref_N = trained_logprobs(reference, samples, temperature)
    model.zero_grad()
    logp_N = trained_logprobs(model, samples, temperature)
    old_N = logp_N.detach() if old_N is None else old_N
    loss, _ = murphy_loss(logp_N, old_N, ref_N, advantage_N, weight_N, epsilon, beta)
    loss.backward()
    return loss.detach(), gradient(model)


def forest():
    """Uneven problems: two turns, two turns pruned to two of three, one turn, an empty answer."""
    trees = [random_tree((3, 3), seed=1), random_tree((3, 3), seed=2, kept=2), random_tree((2,), 3)]
    trees[0].nodes[1].completion_ids = ()
    return trees


@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
def test_loss_and_gradient_are_def_1s(kind):
    model = small_model(kind)
    old, reference = perturbed(model, seed=1), perturbed(model, seed=2)
    settings = {"temperature": 0.6, "epsilon": 0.05, "beta": 0.04}
    loss, grad = backward(forest(), model, old, reference, **settings)
    model.zero_grad()
    expected = -objective(forest(), model, old, reference, **settings)
    expected.backward()
    assert abs(loss - expected.detach()) < 1e-12
    assert (grad - gradient(model)).abs().max() < 1e-12


def test_the_trees_of_the_comparison_reach_both_sides_of_the_clipping():
    model, samples = small_model(), make_batch(forest()).samples
    logp_N = trained_logprobs(model, samples, 0.6)
    ratio_N = torch.exp(logp_N - trained_logprobs(perturbed(model, seed=1), samples, 0.6))
    assert (ratio_N > 1.05).any()
    assert (ratio_N < 0.95).any()
    assert ((ratio_N > 0.95) & (ratio_N < 1.05)).any()


def test_on_policy_the_own_log_probs_serve_as_old_ones():
    model = small_model()
    reference = perturbed(model, seed=2)
    settings = {"temperature": 1.0, "epsilon": 0.2, "beta": 0.04}
    loss, grad = backward(forest(), model, None, reference, **settings)
    loss_apart, grad_apart = backward(
        forest(), model, perturbed(model, 0, 0.0), reference, **settings
    )
    assert abs(loss - loss_apart) < 1e-12
    assert (grad - grad_apart).abs().max() < 1e-12


@pytest.fixture(scope="module")
def trl_trainer(tmp_path_factory):
    return grpo_trainer(tmp_path_factory.mktemp("trl"))


def distance_to_trl(trainer, trees, factor):
    """Largest difference of loss or gradient to `factor` times TRL's, and the largest gradient."""
    model = trainer.model
    old, reference = perturbed(small_model(), seed=1), perturbed(small_model(), seed=2)
    inputs = as_trl(make_batch(trees).samples, old, reference, temperature=0.6)
    model.train()
    model.zero_grad()
    loss = trainer._compute_loss(model, inputs)
    loss.backward()
    theirs = torch.cat([gradient(model), loss.detach()[None]])
    loss, grad = backward(trees, model, old, reference, temperature=0.6, epsilon=0.05, beta=0.04)
    ours = torch.cat([grad, loss[None]])
    return (ours - factor * theirs).abs().max().item(), grad.abs().max().item()


def test_with_one_turn_the_loss_is_trls_grpo(trl_trainer):
    trees = [random_tree((4,), seed) for seed in (1, 2, 3)]
    distance, size = distance_to_trl(trl_trainer, trees, factor=1)
    # TRL's output layer works in float32, whatever the model's type.
    assert distance < 1e-6 < 1e-2 < size


def test_with_two_turns_def_1_is_trls_grpo_times_groups_per_problem(trl_trainer):
    # TRL averages over all sequences, Def. 1 sums over groups: a root and 2 refined nodes of 4
    # make 3 groups of 4 in each of the 2 problems, so the factor is 6 groups / 2 problems = 3.
    trees = [random_tree((4, 4), seed) for seed in (1, 2)]
    distance, size = distance_to_trl(trl_trainer, trees, factor=3)
    assert distance < 1e-6 < 1e-2 < size


def test_trls_grpo_is_not_def_1_where_trees_differ_in_size(trl_trainer):
    # 3 groups of 4 in one problem, 1 group of 2 in the other: 14 sequences. By Def. 1 a sequence
    # weighs 1/8 or 1/4, in TRL 1/14 always, so that no factor relates the two.
    trees = [random_tree((4, 4), seed=1), random_tree((2,), seed=2)]
    for factor in (14 / 8, 14 / 4):
        assert distance_to_trl(trl_trainer, trees, factor)[0] > 1e-3


def test_a_group_of_one_prompt_has_its_loss_whatever_the_order_of_siblings():
    model = small_model()
    nodes = random_tree((4,), seed=5).nodes
    settings = {"temperature": 1.0, "epsilon": 0.2, "beta": 0.04}
    reference = perturbed(model, seed=2)
    group = Group(nodes, prompt_ids=(5, 6))
    turned = Group(nodes[::-1], prompt_ids=(5, 6))
    loss, grad = backward([group], model, None, reference, **settings)
    other_loss, other_grad = backward([turned], model, None, reference, **settings)
    assert abs(loss - other_loss) < 1e-12
    assert (grad - other_grad).abs().max() < 1e-12


def test_a_node_of_weight_zero_changes_nothing():
    model = small_model()
    settings = {"temperature": 1.0, "epsilon": 0.2, "beta": 0.04}
    reference = perturbed(model, seed=2)
    tree = random_tree((3,), seed=6)
    loss, _ = backward([tree], model, None, reference, **settings)
    tree.nodes.append(Node(reward=None, completion_ids=(9, 9, 9)))
    assert backward([tree], model, None, reference, **settings)[0] == loss
