"""The importance correction: on hand-computed numbers, in an update, and at its limits."""

import dataclasses
import math

import pytest
import torch
from losses_by_hand import loss as loss_by_hand
from models import gradient, perturbed, random_tree, small_model, tokenizer

from murphy_agents.config import TrainConfig
from murphy_agents.learner import update_settings
from murphy_agents.policy import Policy
from murphy_agents.update import (
    Correction,
    UpdateSettings,
    correction_named,
    make_batch,
    normaliser_named,
    surrogate_named,
    trained_logprobs,
    update,
)
from murphy_agents.update.batch import Batch

MODES = ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
LIMIT = 9


@pytest.mark.parametrize(
    ("mode", "factors", "cut"),
    [
        ("token_truncate", [2, 3, 0.1, 2, 1.75], [0, 1, 0, 0, 0]),
        ("token_mask", [2, 0, 0.1, 2, 1.75], [0, 1, 0, 0, 0]),
        # 2 · 4 · 0.1 = 0.8; 2 · 1.75 = 3.5 is past the cap
        ("sequence_truncate", [0.8, 0.8, 0.8, 3, 3], [0, 0, 0, 1, 1]),
        ("sequence_mask", [0.8, 0.8, 0.8, 0, 0], [0, 0, 0, 1, 1]),
    ],
)
def test_modes_by_hand(mode, factors, cut):
    ratios_N = torch.tensor([2, 4, 0.1, 2, 1.75], dtype=torch.float64)
    sampler_N = torch.full((5,), math.log(0.05), dtype=torch.float64)
    old_N = sampler_N + ratios_N.log()
    found = Correction(mode, cap=3.0)(old_N, sampler_N, torch.tensor([3, 2]))
    assert found.factor_N.tolist() == pytest.approx(factors)
    assert found.cut_N.tolist() == [bool(x) for x in cut]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cap", [1.0, 3.0])
def test_the_samplers_own_probabilities_are_corrected_by_exactly_one(mode, cap):
    old_N = -torch.rand(7, generator=torch.Generator().manual_seed(0)) * 30
    found = Correction(mode, cap)(old_N, old_N.clone(), torch.tensor([4, 3]))
    assert torch.equal(found.factor_N, torch.ones(7))
    assert not found.cut_N.any()


@pytest.mark.parametrize(
    ("mode", "above"),
    [("token_truncate", 3), ("token_mask", 0), ("sequence_truncate", 3), ("sequence_mask", 0)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_differences_that_exp_overflows_on_have_a_defined_factor(mode, above, dtype):
    # c = e^10000 for the first completion, e^-10000 for the second
    old_N = torch.tensor([-1.0, -10001.0], dtype=dtype)
    sampler_N = torch.tensor([-10001.0, -1.0], dtype=dtype)
    found = Correction(mode, 3.0)(old_N, sampler_N, torch.tensor([1, 1]))
    assert found.factor_N.tolist() == [above, 0]
    assert found.cut_N.tolist() == [True, False]


def test_in_a_completion_factors_that_undo_each_other_are_one():
    old_N, sampler_N = torch.tensor([-1.0, -1001.0]), torch.tensor([-1001.0, -1.0])
    found = Correction("sequence_mask", 3.0)(old_N, sampler_N, torch.tensor([2]))
    assert found.factor_N.tolist() == [1, 1]


def forest():
    return [random_tree((3, 3), seed=1), random_tree((4, 2), seed=2, kept=2)]


def told(trees, engine, **normaliser):
    """The batch of trees, drawn by another model."""
    batch = make_batch(trees, **normaliser)
    with torch.no_grad():
        logp_N = trained_logprobs(engine, batch.samples, 1.0)
    parts = logp_N.split([len(s.completion_ids) for s in batch.samples])
    samples = [
        dataclasses.replace(sample, logprobs=tuple(part.tolist()))
        for sample, part in zip(batch.samples, parts, strict=True)
    ]
    return dataclasses.replace(batch, samples=tuple(samples))


def off_its_reference():
    policy = Policy.wrap(small_model(), tokenizer(), beta=0.04)
    policy.frozen = perturbed(policy.frozen, seed=2)
    return policy


def sgd(policy, learning_rate=0.0):
    return torch.optim.SGD(policy.trainable_parameters(), lr=learning_rate)


def by_hand(mode, cap, batch):
    """Factors of a completion in loops over probabilities, and all of them as they were made."""
    drawn = {(s.prompt_ids, s.completion_ids): list(map(math.exp, s.logprobs)) for s in batch}
    made = []

    def correct(pair, before):
        ratios = [p.item() / q for p, q in zip(before, drawn[pair], strict=True)]
        if mode.startswith("sequence"):
            ratios = [math.prod(ratios)] * len(ratios)
        above = cap if mode.endswith("truncate") else 0.0
        found = [above if r > cap else r for r in ratios]
        made.extend((r, c) for r, c in zip(ratios, found, strict=True))
        return found

    return correct, made


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss_type", ["grpo", "cispo", "rloo"])
def test_an_update_is_corrected_and_its_kl_term_is_not(mode, loss_type):
    normaliser = normaliser_named(loss_type, LIMIT)
    batch = told(forest(), perturbed(small_model(), seed=3), normaliser=normaliser)
    policy = off_its_reference()
    settings = UpdateSettings(
        beta=0.04,
        surrogate=surrogate_named(loss_type),
        correction=Correction(mode, cap=1.02),
        max_grad_norm=float("inf"),
    )
    metrics = update(policy, batch, sgd(policy), settings)
    grad = gradient(policy.model)
    policy.model.zero_grad()
    correct, made = by_hand(mode, 1.02, batch.samples)
    expected, _ = loss_by_hand(
        loss_type, forest(), policy.model, small_model(), policy.frozen,
        low=0.8, high=1.2, beta=0.04, limit=LIMIT, correct=correct,
    )  # fmt: skip
    expected.backward()
    assert abs(metrics["loss"] - expected.item()) < 1e-12
    assert (grad - gradient(policy.model)).abs().max() < 1e-12 < 1e-3 < grad.abs().max()
    cuts = [r > 1.02 for r, _ in made]
    assert 0 < sum(cuts) < len(cuts)
    assert metrics["importance_cut_share"] == pytest.approx(sum(cuts) / len(cuts))
    assert metrics["importance_ratio"] == pytest.approx(sum(c for _, c in made) / len(made))


@pytest.mark.parametrize("layout", ["padded", "trie"])
@pytest.mark.parametrize("mode", MODES)
def test_any_split_gives_the_same_gradient(mode, layout):
    batch = told(forest(), perturbed(small_model(), seed=3))
    found = []
    for split in ({"layout": "padded"}, {"layout": layout, "token_budget": 25}):
        policy = off_its_reference()
        settings = UpdateSettings(
            correction=Correction(mode, 1.02), max_grad_norm=float("inf"), **split
        )
        metrics = update(policy, batch, sgd(policy), settings)
        found.append((gradient(policy.model), metrics))
    (grad, whole), (split_grad, parts) = found
    assert (grad - split_grad).abs().max() < 1e-12
    for name in ("importance_ratio", "importance_cut_share", "sampler_gap"):
        assert parts[name] == pytest.approx(whole[name], abs=1e-12)


def test_factors_are_formed_once_and_kept_for_later_iterations():
    batch = told(forest(), perturbed(small_model(), seed=3))
    correction, rate = Correction("token_truncate", 1.02), 0.05
    settings = UpdateSettings(num_iterations=3, correction=correction, max_grad_norm=float("inf"))
    policy = off_its_reference()
    metrics = update(policy, batch, sgd(policy, rate), settings)
    hand, old = off_its_reference(), small_model()
    optimizer = sgd(hand, rate)
    for _ in range(3):
        correct, made = by_hand("token_truncate", 1.02, batch.samples)
        optimizer.zero_grad()
        loss_by_hand(
            "grpo", forest(), hand.model, old, hand.frozen,
            low=0.8, high=1.2, beta=0.04, limit=LIMIT, correct=correct,
        )[0].backward()  # fmt: skip
        optimizer.step()
    for ours, expected in zip(
        policy.trainable_parameters(), hand.trainable_parameters(), strict=True
    ):
        assert (ours - expected).abs().max() < 1e-12
    assert metrics["importance_ratio"] == pytest.approx(sum(c for _, c in made) / len(made))


def test_samples_of_the_policy_itself_are_updated_as_without_a_correction():
    batch = told(forest(), small_model())
    grads = []
    for correction in (None, Correction("sequence_mask")):
        policy = off_its_reference()
        metrics = update(policy, batch, sgd(policy), UpdateSettings(correction=correction))
        grads.append(gradient(policy.model))
        assert ("importance_ratio" in metrics) == (correction is not None)
    assert (grads[0] - grads[1]).abs().max() < 1e-12
    assert metrics["importance_ratio"] == pytest.approx(1.0)
    assert metrics["importance_cut_share"] == 0


@pytest.mark.parametrize(
    ("logprobs", "named"),
    [
        ((), r"'token_mask', but 1 of 13 samples came without"),
        ((-math.inf,), "log-prob -inf"),
        ((math.nan,), "log-prob nan"),
    ],
)
def test_missing_or_impossible_log_probs_are_an_error_before_any_work(logprobs, named):
    policy = off_its_reference()
    batch = told(forest(), policy.model)
    first, *rest = batch.samples
    bad = dataclasses.replace(first, logprobs=logprobs * len(first.completion_ids))
    batch = Batch((bad, *rest), batch.totals)
    calls = []
    policy.model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(ValueError, match=named):
        update(policy, batch, sgd(policy, 1.0), UpdateSettings(correction=Correction("token_mask")))
    assert not calls


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"mode": "token"}, r"importance_sampling is 'token'; choose one of .*'token_mask'"),
        ({"cap": 0.5}, "importance_sampling_cap is 0.5"),
        ({"cap": math.inf}, "importance_sampling_cap is inf"),
        ({"cap": math.nan}, "importance_sampling_cap is nan"),
    ],
)
def test_impossible_corrections_are_named(wrong, named):
    with pytest.raises(ValueError, match=named):
        Correction(**{"mode": "token_mask"} | wrong)


def test_settings_name_the_correction():
    assert update_settings(TrainConfig()).correction is None
    config = TrainConfig(importance_sampling="sequence_truncate", importance_sampling_cap=2)
    assert update_settings(config).correction == Correction("sequence_truncate", 2.0)
    assert correction_named("none", 3.0) is None
