"""An update: what it changes, and all that must not change it."""

import copy
import dataclasses

import pytest
import torch
from definition1 import objective
from models import gradient, perturbed, random_tree, related_tree, small_model, tokenizer

from murphy_agents.policy import LoraSettings, Policy, make_optimizer
from murphy_agents.tiny import make_model
from murphy_agents.tree import Group
from murphy_agents.update import (
    Sample,
    UpdateSettings,
    make_batch,
    murphy_loss,
    step,
    trained_logprobs,
    update,
)
from murphy_agents.update.batch import Batch
from murphy_agents.update.normaliser import Totals


def forest():
    return [random_tree((3, 3), seed=1), random_tree((4, 2), seed=2, kept=2)]


def policy_off_its_reference(beta=0.04):
    policy = Policy.wrap(small_model(), tokenizer(), beta=beta)
    if policy.frozen is not None:
        policy.frozen = perturbed(policy.frozen, seed=2)
    return policy


def sgd(policy, learning_rate=0.0):
    return torch.optim.SGD(policy.trainable_parameters(), lr=learning_rate)


def updated_gradient(batch, **settings):
    """Metrics and gradient of one update that clips nothing and moves nothing."""
    policy = policy_off_its_reference(settings.get("beta", 0.04))
    settings = UpdateSettings(max_grad_norm=float("inf"), **settings)
    metrics = update(policy, batch, sgd(policy), settings)
    return metrics, gradient(policy.model)


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.trainable_parameters()])


def test_the_gradient_of_an_update_is_def_1s():
    metrics, grad = updated_gradient(make_batch(forest()), temperature=0.6)
    policy = policy_off_its_reference()
    model = policy.model
    expected = -objective(
        forest(),
        model,
        copy.deepcopy(model),
        policy.frozen,
        temperature=0.6,
        epsilon=0.2,
        beta=0.04,
    )
    expected.backward()
    assert metrics["loss"] == pytest.approx(expected.item(), abs=1e-12)
    assert (grad - gradient(model)).abs().max() < 1e-12


@pytest.mark.parametrize("token_budget", [1, 30, 100])
def test_any_split_gives_the_same_gradient_and_the_same_metrics(token_budget):
    batch = make_batch(forest())
    whole, grad = updated_gradient(batch)
    parts, split_grad = updated_gradient(batch, token_budget=token_budget)
    assert (grad - split_grad).abs().max() < 1e-12
    assert parts["forwarded_tokens"] < whole["forwarded_tokens"]  # less padding
    same = whole.keys() - {"forwarded_tokens"}
    assert {k: parts[k] for k in same} == pytest.approx({k: whole[k] for k in same}, abs=1e-12)


def related_forest():
    return [
        related_tree((4, 3), "requote", seed=1),
        related_tree((3, 2, 2), "chat", seed=2, kept=2),
    ]


@pytest.mark.parametrize("way", ["segments", "dense"])
@pytest.mark.parametrize("token_budget", [20, 60, 16384])
def test_along_a_trie_an_update_is_what_it_is_padded(token_budget, way):
    batch = make_batch(related_forest())
    padded, grad = updated_gradient(batch, layout="padded")
    packed, trie_grad = updated_gradient(
        batch, layout="trie", token_budget=token_budget, tree_attention=way
    )
    assert (grad - trie_grad).abs().max() < 1e-12
    assert packed["forwarded_tokens"] < padded["forwarded_tokens"]
    same = padded.keys() - {"forwarded_tokens"}
    assert {k: packed[k] for k in same} == pytest.approx({k: padded[k] for k in same}, abs=1e-12)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own use
@pytest.mark.parametrize("lora", [None, LoraSettings(r=2)])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_adapters_and_recomputed_layers_go_along_a_trie_too(lora, checkpointing):
    weights_after = []
    for layout in ("padded", "trie"):
        policy = Policy.wrap(
            small_model("olmo2"), tokenizer(), lora=lora, gradient_checkpointing=checkpointing
        )
        with torch.no_grad():
            for parameter in policy.trainable_parameters():
                parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
                parameter.data = parameter.data.double()
        settings = UpdateSettings(layout=layout, num_iterations=3)
        metrics = update(policy, make_batch(related_forest()), sgd(policy, 0.5), settings)
        assert metrics["kl"] > 0
        weights_after.append(weights(policy))
    assert (weights_after[0] - weights_after[1]).abs().max() < 1e-11


def test_in_half_precision_a_trie_is_as_near_to_full_precision_as_padding():
    batch = make_batch(related_forest())
    model = make_model("qwen3", tokenizer(), hidden_size=64)
    gradients = {}
    for layout, dtype in (("padded", None), ("padded", torch.bfloat16), ("trie", torch.bfloat16)):
        policy = Policy.wrap(copy.deepcopy(model), tokenizer(), beta=0.0)
        settings = UpdateSettings(
            beta=0.0, layout=layout, autocast_dtype=dtype, max_grad_norm=float("inf")
        )
        update(policy, batch, sgd(policy), settings)
        gradients[layout, dtype] = gradient(policy.model)
    exact = gradients["padded", None]
    far = {
        layout: ((gradients[layout, torch.bfloat16] - exact).norm() / exact.norm()).item()
        for layout in ("padded", "trie")
    }
    assert 1e-4 < far["padded"] < 0.05
    assert far["trie"] < 1.5 * far["padded"]


def test_halves_of_the_problems_add_up_to_the_whole():
    # as two processes would: each with its own tree and the totals of both
    batch = make_batch(forest())
    halves = [make_batch([tree], totals=batch.totals) for tree in forest()]
    _, grad = updated_gradient(batch)
    grads = [updated_gradient(half)[1] for half in halves]
    assert (grad - grads[0] - grads[1]).abs().max() < 1e-12


def test_without_kl_no_reference_is_needed_and_none_is_run():
    policy = policy_off_its_reference(beta=0)
    assert policy.frozen is None
    metrics = update(policy, make_batch(forest()), sgd(policy), UpdateSettings(beta=0))
    assert metrics["optimizer_steps"] == 1


def test_kl_without_a_reference_is_an_error_before_anything_changes():
    policy = policy_off_its_reference(beta=0)
    before = weights(policy)
    with pytest.raises(ValueError, match="made with beta=0"):
        update(policy, make_batch(forest()), sgd(policy, 1.0), UpdateSettings(beta=0.1))
    assert torch.equal(weights(policy), before)


def test_without_kl_samples_of_advantage_zero_are_skipped_and_change_nothing():
    trees = forest()
    batch = make_batch(trees)
    for node in trees[0].nodes:
        node.advantage = 0.0
    idle = make_batch(trees)
    metrics, grad = updated_gradient(idle, beta=0.0)
    assert metrics["skipped_samples"] == 3
    assert metrics["trained_tokens"] < batch.num_tokens
    # a tiny beta has them run, with a KL term of no size
    _, run_grad = updated_gradient(idle, beta=1e-300)
    assert (grad - run_grad).abs().max() < 1e-12


@pytest.mark.parametrize("trees", [[], [Group([])]])
def test_nothing_to_train_is_no_step_and_is_said(trees):
    policy = policy_off_its_reference()
    optimizer, scheduler = make_optimizer(policy, learning_rate=1.0, num_steps=4)
    before = weights(policy)
    metrics = update(policy, make_batch(trees), optimizer, scheduler=scheduler)
    assert metrics == {
        "trained_tokens": 0,
        "forwarded_tokens": 0,
        "skipped_samples": 0,
        "optimizer_steps": 0,
    }
    assert torch.equal(weights(policy), before)
    # Time goes on: of 4 steps one is over.
    assert scheduler.get_last_lr() == [0.75, 0.75]


def test_one_step_makes_the_policy_better():
    """Good completions become likelier, bad ones less likely."""
    policy = policy_off_its_reference(beta=0)
    batch = make_batch([random_tree((4,), seed=3)])
    lengths = [len(s.completion_ids) for s in batch.samples]
    optimizer, _ = make_optimizer(policy, learning_rate=1e-3, num_steps=10)

    def scores():
        with torch.no_grad():
            logp_N = trained_logprobs(policy.model, batch.samples, 1.0)
        return torch.stack([part.mean() for part in logp_N.split(lengths)])

    before = scores()
    update(policy, batch, optimizer, UpdateSettings(beta=0))
    advantages = torch.tensor([s.advantage for s in batch.samples])
    assert {a > 0 for a in advantages.tolist()} == {True, False}
    assert ((scores() - before) * advantages > 0).all()


def test_kl_alone_pulls_the_policy_to_its_reference():
    policy = policy_off_its_reference()
    samples = [dataclasses.replace(s, advantage=0.0) for s in make_batch(forest()).samples]
    batch = Batch(tuple(samples), Totals(2, 1))
    optimizer, _ = make_optimizer(policy, learning_rate=1e-3, num_steps=10, weight_decay=0.0)
    kls = [update(policy, batch, optimizer, UpdateSettings(beta=1.0))["kl"] for _ in range(4)]
    assert kls == sorted(kls, reverse=True)
    assert kls[-1] < 0.9 * kls[0]


def test_iterations_hold_the_first_pass_as_the_old_policy():
    batch, rate = make_batch(forest()), 0.05
    policy = policy_off_its_reference()
    settings = UpdateSettings(num_iterations=3, token_budget=60, max_grad_norm=float("inf"))
    metrics = update(policy, batch, sgd(policy, rate), settings)
    by_hand = policy_off_its_reference()
    optimizer = sgd(by_hand, rate)
    lengths = torch.tensor([len(s.completion_ids) for s in batch.samples])
    advantage_N, weight_N = (
        torch.tensor(
            [getattr(s, name) for s in batch.samples], dtype=torch.float64
        ).repeat_interleave(lengths)
        for name in ("advantage", "weight")
    )
    with torch.no_grad():
        old_N = trained_logprobs(by_hand.model, batch.samples, 1.0)
        ref_N = trained_logprobs(by_hand.frozen, batch.samples, 1.0)
    for _ in range(3):
        optimizer.zero_grad()
        logp_N = trained_logprobs(by_hand.model, batch.samples, 1.0)
        murphy_loss(logp_N, old_N, ref_N, advantage_N, weight_N)[0].backward()
        optimizer.step()
    assert (weights(policy) - weights(by_hand)).abs().max() < 1e-12
    assert metrics["optimizer_steps"] == 3
    assert metrics["ratio"] != 1


def test_the_reference_is_run_once_however_many_iterations():
    policy = policy_off_its_reference()
    batch = make_batch(forest())
    calls = []
    policy.frozen.model.register_forward_pre_hook(lambda *_: calls.append(1))
    update(policy, batch, sgd(policy), UpdateSettings(num_iterations=3, token_budget=1))
    assert len(calls) == len(batch.samples)


def test_on_policy_the_ratio_is_one_and_nothing_is_clipped():
    metrics, _ = updated_gradient(make_batch(forest()))
    assert metrics["ratio"] == 1
    assert metrics["clip_share"] == 0


def test_gradients_are_clipped_to_the_norm_and_the_norm_before_is_told():
    batch = make_batch(forest())
    metrics, grad = updated_gradient(batch)
    policy = policy_off_its_reference()
    clipped = update(policy, batch, sgd(policy), UpdateSettings(max_grad_norm=0.01))
    assert clipped["grad_norm"] == pytest.approx(metrics["grad_norm"])
    assert metrics["grad_norm"] == pytest.approx(grad.norm().item())
    assert gradient(policy.model).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    policy = policy_off_its_reference()
    before = weights(policy)
    batch = make_batch(forest())
    bad = dataclasses.replace(batch.samples[0], weight=float("inf"))
    with pytest.raises(FloatingPointError, match="no step was taken"):
        update(policy, Batch((bad,), batch.totals), sgd(policy, 1.0))
    assert torch.equal(weights(policy), before)


def test_the_sampler_gap_is_the_mean_distance_to_the_engines_log_probs():
    policy = policy_off_its_reference(beta=0)
    prompt, completion = (5, 6), (7, 8, 9)
    with torch.no_grad():
        logp_N = trained_logprobs(policy.model, [Sample(prompt, completion, 1.0, 1.0)], 1.0)
    # off by 0.3, 0 and 0: a mean of 0.1; the second sample came without log-probs
    told = tuple((logp_N + torch.tensor([0.3, 0.0, 0.0])).tolist())
    samples = (Sample(prompt, completion, 1.0, 0.5, told), Sample(prompt, (4, 4), -1.0, 0.5))
    metrics = update(policy, Batch(samples, Totals(1, 5)), sgd(policy), UpdateSettings(beta=0))
    assert metrics["sampler_gap"] == pytest.approx(0.1)


def test_no_sampler_gap_is_told_where_the_engine_gave_no_log_probs():
    metrics, _ = updated_gradient(make_batch(forest()))
    assert "sampler_gap" not in metrics


def test_autocast_leaves_a_float32_policy_float32_and_close():
    model = small_model().float()
    batch = make_batch(forest())
    losses = []
    for dtype in (None, torch.bfloat16):
        policy = Policy.wrap(copy.deepcopy(model), tokenizer())
        policy.frozen = perturbed(policy.frozen, seed=2)
        settings = UpdateSettings(autocast_dtype=dtype)
        losses.append(update(policy, batch, sgd(policy), settings)["loss"])
        assert gradient(policy.model).dtype == torch.float32
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_the_scheduler_moves_once_per_optimizer_step():
    policy = policy_off_its_reference(beta=0)
    optimizer, scheduler = make_optimizer(policy, learning_rate=1.0, num_steps=4)
    update(
        policy,
        make_batch(forest()),
        optimizer,
        UpdateSettings(beta=0, num_iterations=2),
        scheduler,
    )
    # linear from 1 to 0 over 4 steps, 2 done
    assert scheduler.get_last_lr() == pytest.approx([0.5, 0.5])


def test_an_update_leaves_the_policy_ready_to_sample():
    policy = policy_off_its_reference()
    update(policy, make_batch(forest()), sgd(policy))
    assert not policy.model.training


@pytest.mark.parametrize(
    "wrong", [{"num_iterations": 0}, {"max_grad_norm": 0.0}, {"beta": -1.0}, {"epsilon": -0.1}]
)
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        UpdateSettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"layout": "tree"}, "layout is 'tree'; choose one of"),
        ({"tree_attention": "flexx"}, "tree_attention is 'flexx'; choose one of"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"autocast_dtype": torch.float16}, "autocast_dtype is torch.float16"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        UpdateSettings(**wrong)


@pytest.mark.parametrize("layout", ["padded", "trie"])
def test_a_fault_in_an_update_leaves_mode_and_attention_as_they_were(layout, monkeypatch):
    policy = policy_off_its_reference()
    before = policy.model.config._attn_implementation

    def failing(*args, **kwargs):
        assert policy.model.training
        assert (policy.model.config._attn_implementation == "murphy_trie") == (layout == "trie")
        raise MemoryError

    monkeypatch.setattr(step, "murphy_loss", failing)
    with pytest.raises(MemoryError):
        update(policy, make_batch(forest()), sgd(policy), UpdateSettings(layout=layout))
    assert policy.model.config._attn_implementation == before
    assert not policy.model.training


@pytest.mark.parametrize(("prompt", "completion"), [((), (3,)), ((3,), ())])
def test_a_sample_needs_a_prompt_and_a_completion(prompt, completion):
    with pytest.raises(ValueError, match="give at least one of each"):
        Sample(prompt, completion, 1.0, 1.0)
