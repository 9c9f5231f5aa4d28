"""The losses and the correction beside TRL's own code, run on the same samples."""

import pytest
import torch
from models import gradient, perturbed, random_tree, small_model
from trl_losses import as_trl, grpo_trainer, rloo_trainer

from murphy_agents.update import (
    Correction,
    make_batch,
    murphy_loss,
    normaliser_named,
    surrogate_named,
    trained_logprobs,
)

LIMIT = 9
LOW, HIGH = 0.02, 0.03
CAP = 1.02


@pytest.fixture(scope="module")
def grpo(tmp_path_factory):
    return grpo_trainer(tmp_path_factory.mktemp("grpo"))


@pytest.fixture(scope="module")
def rloo(tmp_path_factory):
    return rloo_trainer(tmp_path_factory.mktemp("rloo"))


def samples_of(loss_type):
    """Two problems of one group of four: TRL's mean over sequences is then Def. 1's."""
    trees = [random_tree((4,), seed) for seed in (1, 2)]
    return make_batch(trees, normaliser_named(loss_type, LIMIT)).samples


def ours(loss_type, model, samples, old, reference, beta, correction=None, sampler_N=None):
    """Loss and gradient in one vector, and whether both bounds were passed."""
    length_B = torch.tensor([len(s.completion_ids) for s in samples])
    advantage_N, weight_N = (
        torch.tensor([getattr(s, name) for s in samples], dtype=torch.float64).repeat_interleave(
            length_B
        )
        for name in ("advantage", "weight")
    )
    model.zero_grad()
    logp_N = trained_logprobs(model, samples, 0.6)
    with torch.no_grad():
        old_N = trained_logprobs(old, samples, 0.6)
        ref_N = trained_logprobs(reference, samples, 0.6)
    if correction is not None:
        advantage_N = advantage_N * correction(old_N, sampler_N, length_B).factor_N
    loss, stats = murphy_loss(
        logp_N, old_N, ref_N, advantage_N, weight_N, LOW, beta, HIGH,
        surrogate_named(loss_type), length_B,
    )  # fmt: skip
    loss.backward()
    return torch.cat([gradient(model), loss.detach()[None]]), stats


def theirs(trainer, inputs):
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    return torch.cat([gradient(trainer.model), loss.detach()[None]])


@pytest.mark.parametrize(
    ("loss_type", "trls"),
    [
        ("grpo", {}),
        ("bnpo", {"loss_type": "bnpo"}),
        ("dapo", {"loss_type": "dapo"}),
        ("dr_grpo", {"loss_type": "dr_grpo", "max_completion_length": LIMIT}),
        ("gspo", {"importance_sampling_level": "sequence"}),
        # TRL's upper bound of cispo is epsilon_high itself.
        ("cispo", {"loss_type": "cispo", "epsilon_high": 1 + HIGH}),
    ],
)
def test_the_loss_is_trls(grpo, loss_type, trls, monkeypatch):
    trls = {"epsilon_low": LOW, "epsilon_high": HIGH} | trls
    for name, value in trls.items():
        assert hasattr(grpo, name)
        monkeypatch.setattr(grpo, name, value)
    old, reference = perturbed(small_model(), seed=1), perturbed(small_model(), seed=2)
    samples = samples_of(loss_type)
    expected = theirs(grpo, as_trl(samples, old, reference, 0.6))
    found, stats = ours(loss_type, grpo.model, samples, old, reference, beta=0.04)
    assert (found - expected).abs().max() < 1e-6 < 1e-2 < found.abs().max()
    assert stats["clipped"] > 0


def test_the_loss_of_rloo_is_trls(rloo, monkeypatch):
    # TRL's KL is a part of the rewards, so that none stands in its loss.
    monkeypatch.setattr(rloo, "epsilon_low", LOW)
    monkeypatch.setattr(rloo, "epsilon_high", HIGH)
    old, reference = perturbed(small_model(), seed=1), perturbed(small_model(), seed=2)
    samples = samples_of("rloo")
    expected = theirs(rloo, as_trl(samples, old, reference, 0.6))
    found, stats = ours("rloo", rloo.model, samples, old, reference, beta=0.0)
    # A sum over a completion's tokens where the others have a mean: gradients up to 1.9, not 0.7.
    assert (found - expected).abs().max() < 5e-6 < 1e-2 < found.abs().max()
    assert stats["clipped"] > 0


@pytest.mark.parametrize("loss_type", ["grpo", "cispo"])
@pytest.mark.parametrize(
    "mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
)
def test_the_correction_is_trls(grpo, mode, loss_type, monkeypatch):
    """TRL forms the factors where it scores completions; what it generated is given to it here."""
    samples = samples_of(loss_type)
    engine = perturbed(small_model(), seed=3)
    with torch.no_grad():
        sampler_N = trained_logprobs(engine, samples, 0.6)
    lengths = [len(s.completion_ids) for s in samples]
    generated = (
        [list(s.prompt_ids) for s in samples],
        [list(s.completion_ids) for s in samples],
        None,
        [""] * len(samples),
        [part.tolist() for part in sampler_N.split(lengths)],
        {},
        None,
        None,
    )
    settings = {
        "_generate": lambda prompts: generated,
        "use_vllm": True,
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": mode,
        "vllm_importance_sampling_clip_max": CAP,
        "vllm_importance_sampling_clip_min": None,
        "loss_type": loss_type,
        "epsilon_low": LOW,
        "epsilon_high": 1 + HIGH if loss_type == "cispo" else HIGH,
    }
    for name, value in settings.items():
        assert hasattr(grpo, name)
        monkeypatch.setattr(grpo, name, value)
    grpo.model.train()
    with monkeypatch.context() as without_reference:
        without_reference.setattr(grpo, "beta", 0.0)
        inputs = grpo._generate_and_score_completions([{"prompt": "add"}] * len(samples))
    reference = perturbed(small_model(), seed=2)
    # Its loss is of another policy than the one that its factors are of, as in a second iteration.
    told = as_trl(samples, small_model(), reference, 0.6)
    inputs |= {name: told[name] for name in ("advantages", "ref_per_token_logps")}
    for parameter, moved in zip(
        grpo.model.parameters(), perturbed(small_model(), seed=1).parameters(), strict=True
    ):
        monkeypatch.setattr(parameter, "data", moved.data)
    expected = theirs(grpo, inputs)
    correction = Correction(mode, CAP)
    found, _ = ours(
        loss_type, grpo.model, samples, small_model(), reference, 0.04, correction, sampler_N
    )
    assert (found - expected).abs().max() < 1e-6 < 1e-2 < found.abs().max()
    # A loss without the correction, or with a corrected KL, is another one.
    plain, _ = ours(loss_type, grpo.model, samples, small_model(), reference, 0.04)
    assert (plain - expected).abs().max() > 1e-3
