"""Losses by name: against their formulas in loops, and against each other where they must agree."""

import math

import pytest
import torch
from losses_by_hand import loss as loss_by_hand
from models import gradient, perturbed, random_tree, small_model, tokenizer

from murphy_agents.config import TrainConfig
from murphy_agents.learner import update_settings
from murphy_agents.policy import Policy
from murphy_agents.strategies import algorithm_of
from murphy_agents.tree import Group, Node
from murphy_agents.update import (
    UpdateSettings,
    make_batch,
    murphy_loss,
    normaliser_named,
    surrogate_named,
    trained_logprobs,
    update,
)
from murphy_agents.update.surrogate import Bounds, by_product, by_sequence, by_token, detached
from murphy_agents.variants import VARIANTS, variant_named

LIMIT = 9
EPSILON, EPSILON_HIGH = 0.02, 0.03


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def forest():
    """Uneven problems: two turns, two turns pruned to two of three, one turn, an empty answer."""
    trees = [random_tree((3, 3), seed=1), random_tree((3, 3), seed=2, kept=2), random_tree((2,), 3)]
    trees[0].nodes[1].completion_ids = ()
    return trees


def per_token(samples, name):
    lengths = torch.tensor([len(s.completion_ids) for s in samples])
    return tensor(*[getattr(s, name) for s in samples]).repeat_interleave(lengths), lengths


def backward(loss_type, trees, model, old, reference, beta):
    """Loss and gradient by the library; `old` None: on-policy."""
    samples = make_batch(trees, normaliser_named(loss_type, LIMIT)).samples
    advantage_N, length_B = per_token(samples, "advantage")
    weight_N, _ = per_token(samples, "weight")
    model.zero_grad()
    logp_N = trained_logprobs(model, samples, 1.0)
    with torch.no_grad():
        old_N = logp_N.detach() if old is None else trained_logprobs(old, samples, 1.0)
        ref_N = trained_logprobs(reference, samples, 1.0) if beta else None
    loss, stats = murphy_loss(
        logp_N, old_N, ref_N, advantage_N, weight_N, EPSILON, beta, EPSILON_HIGH,
        surrogate_named(loss_type), length_B,
    )  # fmt: skip
    loss.backward()
    return loss.detach(), gradient(model), stats


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("loss_type", VARIANTS)
def test_loss_and_gradient_are_those_of_the_formula(loss_type, beta):
    model = small_model()
    old, reference = perturbed(model, seed=1), perturbed(model, seed=2)
    loss, grad, stats = backward(loss_type, forest(), model, old, reference, beta)
    model.zero_grad()
    low, high = 1 - EPSILON, 1 + EPSILON_HIGH
    expected, bounded = loss_by_hand(
        loss_type, forest(), model, old, reference, low=low, high=high, beta=beta, limit=LIMIT
    )
    expected.backward()
    assert abs(loss - expected.detach()) < 1e-12
    assert (grad - gradient(model)).abs().max() < 1e-12 < 1e-3 < grad.abs().max()
    # Both bounds act, and each is passed where it must not act.
    for past in (lambda r: r > high, lambda r: r < low):
        assert {a > 0 for r, a in bounded if past(r)} == {True, False}
    if loss_type == "cispo":
        clipped = sum(r > high for r, _ in bounded)
    else:
        clipped = sum((r > high and a > 0) or (r < low and a < 0) for r, a in bounded)
    assert stats["clipped"] == clipped
    assert stats["ratio"].item() == pytest.approx(sum(r for r, _ in bounded))


def test_a_high_bound_of_its_own_changes_the_loss_and_none_is_the_low_one():
    logp_N, old_N = tensor(math.log(1.25)), tensor(0.0)
    one = tensor(1.0)
    for epsilon_high, value in [(None, 1.2), (0.2, 1.2), (0.28, 1.25), (0.1, 1.1)]:
        loss, _ = murphy_loss(logp_N, old_N, None, one, one, 0.2, 0.0, epsilon_high)
        assert -loss.item() == pytest.approx(value)


def terms(surrogate, ratios, advantage, length_B, low=0.8, high=1.2):
    logp_N = tensor(*map(math.log, ratios)).requires_grad_()
    advantage_N = torch.full_like(logp_N, advantage)
    zeros_N = torch.zeros_like(logp_N)
    found = surrogate(logp_N, zeros_N, advantage_N, Bounds(low, high), torch.tensor(length_B))
    (grad_N,) = torch.autograd.grad(found.surrogate_N.sum(), logp_N)
    return found, grad_N.tolist()


def test_a_ratio_of_completions_by_hand():
    # Completions of ratios (2, 1/2, 1.331) and (0.5): products 1.331 and 0.5, third root 1.1.
    ratios, lengths = (2.0, 0.5, 1.331, 0.5), (3, 1)
    found, slopes = terms(by_sequence, ratios, 1.0, lengths)
    assert found.ratio_N.tolist() == pytest.approx([1.1] * 3 + [0.5])
    # Inside the range: three tokens, each 1.1 · A / 3 to each log-prob; below it with A > 0: 0.5.
    assert slopes == pytest.approx([1.1] * 3 + [0.5])
    found, slopes = terms(by_product, ratios, 1.0, lengths)
    assert found.ratio_N.tolist() == pytest.approx([1.331] * 3 + [0.5])
    assert found.surrogate_N.tolist() == pytest.approx([1.2] * 3 + [0.5])
    assert slopes == pytest.approx([0] * 3 + [0.5])
    assert found.clipped_N.tolist() == [True] * 3 + [False]
    # A < 0: nothing holds a ratio above 1 back; three tokens, each 1.331 · A to each log-prob.
    _, slopes = terms(by_product, ratios, -1.0, lengths)
    assert slopes == pytest.approx([-3 * 1.331] * 3 + [0])


def test_a_detached_ratio_keeps_every_token_by_hand():
    # A · min(R, 1.2) is the whole gradient, on either side of 1 and for either sign of A.
    for advantage in (2.0, -2.0):
        found, slopes = terms(detached, (2.0, 1.1, 0.1), advantage, (3,))
        assert slopes == pytest.approx([1.2 * advantage, 1.1 * advantage, 0.1 * advantage])
        assert found.clipped_N.tolist() == [True, False, False]
    # ln 1.1 · 1.1 · A
    assert found.surrogate_N[1].item() == pytest.approx(math.log(1.1) * 1.1 * -2)
    assert not terms(detached, (2.0,), 0.0, (1,))[0].clipped_N.any()


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.1, 1.5])
@pytest.mark.parametrize("advantage", [1.0, -1.0, 0.0])
def test_for_completions_of_one_token_three_ratios_are_one(ratio, advantage):
    found = [
        terms(surrogate, (ratio, 1.0), advantage, (1, 1))
        for surrogate in (by_token, by_sequence, by_product)
    ]
    for other, slopes in found[1:]:
        assert slopes == found[0][1]
        assert all(torch.equal(a, b) for a, b in zip(other, found[0][0], strict=True))


@pytest.mark.parametrize(("loss_type", "like"), [("gspo", "grpo"), ("cispo", "dapo")])
def test_on_policy_some_losses_have_one_gradient(loss_type, like):
    model = small_model()
    reference = perturbed(model, seed=2)
    _, grad, stats = backward(loss_type, forest(), model, None, reference, 0.04)
    _, expected, _ = backward(like, forest(), model, None, reference, 0.04)
    assert (grad - expected).abs().max() < 1e-12 < 1e-3 < grad.abs().max()
    assert stats["ratio"] == stats["tokens"]
    assert stats["clipped"] == 0


def test_on_policy_rloo_is_reinforce():
    # Ahmadian et al.: 1/G Σ A · ∇ log π(o), o as one action.
    model = small_model()
    tree = random_tree((4,), seed=1)
    _, grad, _ = backward("rloo", [tree], model, None, None, 0.0)
    samples = make_batch([tree]).samples
    lengths = [len(s.completion_ids) for s in samples]
    model.zero_grad()
    logp_N = trained_logprobs(model, samples, 1.0)
    log_o = [part.sum() for part in logp_N.split(lengths)]
    (-sum(s.advantage * x for s, x in zip(samples, log_o, strict=True)) / 4).backward()
    assert (grad - gradient(model)).abs().max() < 1e-12 < 1e-3 < grad.abs().max()


@pytest.mark.parametrize("loss_type", VARIANTS)
@pytest.mark.parametrize("size", [1, 3])
def test_groups_without_a_difference_give_no_gradient_but_the_kls(loss_type, size):
    model = small_model()
    nodes = [Node(0.5, completion_ids=(5 + i, 6)) for i in range(size)]
    root = Group(nodes, prompt_ids=(4, 5))
    algorithm_of(TrainConfig(loss_type=loss_type, algorithm="grpo")).grade(root)
    old, reference = perturbed(model, seed=1), perturbed(model, seed=2)
    _, grad, _ = backward(loss_type, [root], model, old, reference, 0.0)
    assert grad.abs().max() == 0
    _, grad, _ = backward(loss_type, [root], model, old, reference, 0.04)
    assert grad.abs().max() > 1e-6


@pytest.mark.parametrize("surrogate", [by_token, by_sequence, by_product, detached])
@pytest.mark.parametrize("advantage", [1.0, 0.0])
def test_a_ratio_too_large_for_a_float_is_bounded_and_has_no_nan(surrogate, advantage):
    # e^1000 a token: past the bound, so the value is 1.2 · A and the gradient 0 (detached: 1.2 · A)
    logp_N = torch.tensor([0.0, -1.0], requires_grad=True)
    old_N, advantage_N = torch.tensor([-1000.0, -1001.0]), torch.full((2,), advantage)
    found = surrogate(logp_N, old_N, advantage_N, Bounds(0.8, 1.2), torch.tensor([2]))
    (grad_N,) = torch.autograd.grad(found.surrogate_N.sum(), logp_N)
    expected = 1.2 * advantage if surrogate is detached else 0.0
    assert grad_N.tolist() == pytest.approx([expected] * 2)
    assert torch.isfinite(found.surrogate_N).all()
    assert found.clipped_N.all() == (advantage != 0)


def test_a_ratio_too_large_against_a_bad_completion_is_not_hidden():
    # No bound holds it there, and so the update must stop at it.
    logp_N = torch.tensor([0.0])
    found = by_token(logp_N, logp_N - 1000, torch.tensor([-1.0]), Bounds(0.8, 1.2), None)
    assert found.surrogate_N.item() == -math.inf


@pytest.mark.parametrize("surrogate", [by_sequence, by_product])
def test_ratios_of_completions_ask_for_lengths(surrogate):
    one = tensor(-1.0)
    with pytest.raises(ValueError, match="length_B is None"):
        murphy_loss(one, one, None, one, one, beta=0.0, surrogate=surrogate)


def updated_gradient(loss_type, **settings):
    policy = Policy.wrap(small_model(), tokenizer(), beta=0.04)
    policy.frozen = perturbed(policy.frozen, seed=2)
    optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=0.05)
    batch = make_batch(forest(), normaliser_named(loss_type, LIMIT))
    settings = UpdateSettings(
        max_grad_norm=float("inf"), surrogate=surrogate_named(loss_type), **settings
    )
    metrics = update(policy, batch, optimizer, settings)
    return metrics, gradient(policy.model)


@pytest.mark.parametrize("layout", ["padded", "trie"])
@pytest.mark.parametrize("loss_type", ["gspo", "cispo", "rloo"])
def test_any_split_gives_the_same_gradient(loss_type, layout):
    # The second iteration is off-policy, so that the ratios are not 1.
    metrics, grad = updated_gradient(loss_type, num_iterations=2, layout="padded")
    parts, split_grad = updated_gradient(
        loss_type, num_iterations=2, token_budget=25, layout=layout
    )
    assert metrics["ratio"] != 1
    assert parts["forwarded_tokens"] < metrics["forwarded_tokens"]
    assert (grad - split_grad).abs().max() < 1e-12 < 1e-3 < grad.abs().max()
    assert parts["ratio"] == pytest.approx(metrics["ratio"], abs=1e-12)


@pytest.mark.parametrize("loss_type", VARIANTS)
def test_settings_name_the_parts_of_the_update(loss_type):
    settings = update_settings(TrainConfig(loss_type=loss_type, epsilon_high=0.28))
    by_ratio = {
        "token": by_token, "sequence": by_sequence, "product": by_product, "detached": detached
    }  # fmt: skip
    assert settings.surrogate is by_ratio[VARIANTS[loss_type].ratio]
    assert settings.epsilon_high == 0.28


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'ppo'; choose one of .*'gspo'"):
        variant_named("ppo")
