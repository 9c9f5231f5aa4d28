"""The policy: its reference, what it refuses, what it saves, how it is optimised."""

import copy
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from models import perturbed, random_samples, random_tree, small_model, tokenizer
from transformers.trainer_pt_utils import get_parameter_names

from murphy_agents.policy import LoraSettings, Policy, make_optimizer
from murphy_agents.tiny import make_model
from murphy_agents.update import UpdateSettings, make_batch, trained_logprobs, update

# peft asks transformers for it by its older name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def stock_model(**settings):
    return make_model("qwen3", tokenizer(), hidden_size=32, **settings)


def lora_policy(seed=0, **settings):
    return Policy.wrap(stock_model(), tokenizer(), lora=LoraSettings(r=4), seed=seed, **settings)


def logps(model):
    with torch.no_grad():
        return trained_logprobs(model, random_samples(4), 1.0)


def trained_a_little(policy):
    optimizer, _ = make_optimizer(policy, learning_rate=1e-2, num_steps=5)
    for _ in range(3):
        update(policy, make_batch([random_tree((3,), seed=1)]), optimizer)
    return policy


def test_under_lora_the_reference_is_a_frozen_copy_of_the_base():
    base = stock_model()
    frozen = copy.deepcopy(base)
    policy = trained_a_little(Policy.wrap(base, tokenizer(), lora=LoraSettings(r=4)))
    assert policy.frozen is None
    with policy.reference() as reference:
        assert torch.equal(logps(reference), logps(frozen))
    assert (logps(policy.model) - logps(frozen)).abs().max() > 1e-3


def test_under_lora_the_kl_gradient_is_that_of_a_frozen_copy():
    policy = trained_a_little(lora_policy())
    batch = make_batch([random_tree((3, 2), seed=4)])
    grads = []
    for frozen in (None, stock_model().eval()):
        optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=0.0)
        if frozen is not None:
            policy.reference = partial(nullcontext, frozen)
        update(policy, batch, optimizer, UpdateSettings(beta=1.0))
        grads.append(torch.cat([p.grad.flatten() for p in policy.trainable_parameters()]))
    assert grads[0].abs().max() > 1e-4
    torch.testing.assert_close(*grads, rtol=0, atol=1e-7)


def test_without_lora_the_reference_is_the_model_as_it_began():
    start = stock_model()
    policy = trained_a_little(Policy.wrap(copy.deepcopy(start), tokenizer()))
    with policy.reference() as reference:
        assert torch.equal(logps(reference), logps(start))
    assert not any(p.requires_grad for p in policy.frozen.parameters())


def test_without_kl_no_copy_is_kept():
    policy = Policy.wrap(stock_model(), tokenizer(), beta=0)
    assert policy.frozen is None
    with pytest.raises(ValueError, match="beta=0"), policy.reference():
        pass


def test_lora_trains_adapters_alone_and_begins_as_the_base():
    policy = lora_policy()
    names = [n for n, p in policy.model.named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in name for name in names)
    # q, k, v, o, gate, up, down in each of 2 layers, A and B for each
    assert len(names) == 7 * 2 * 2
    assert torch.equal(logps(policy.model), logps(stock_model()))


def test_adapters_depend_on_the_seed_alone():
    def first_values(seed):
        return torch.cat([p.flatten() for p in lora_policy(seed).trainable_parameters()])

    before = torch.random.get_rng_state()
    assert torch.equal(first_values(1), first_values(1))
    assert not torch.equal(first_values(1), first_values(2))
    assert torch.equal(before, torch.random.get_rng_state())


def test_attention_dropout_is_refused_by_its_field_and_can_be_switched_off():
    model = stock_model(attention_dropout=0.1)
    with pytest.raises(
        ValueError, match=r"config\.attention_dropout is 0\.1.*disable_dropout=True"
    ):
        Policy.wrap(model, tokenizer())
    policy = Policy.wrap(model, tokenizer(), disable_dropout=True)
    policy.model.train()
    assert torch.equal(logps(policy.model), logps(stock_model()))


def test_dropout_of_adapters_is_refused_by_its_layer():
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.05, target_modules=["q_proj"])
    model = get_peft_model(stock_model(), config)
    with pytest.raises(ValueError, match=r"q_proj\.lora_dropout\.default\.p is 0\.05"):
        Policy.wrap(model, tokenizer())


def test_adapters_upon_adapters_are_refused():
    with pytest.raises(ValueError, match="has adapters already"):
        Policy.wrap(lora_policy().model, tokenizer(), lora=LoraSettings())


def test_virtual_tokens_are_refused():
    from peft import PromptTuningConfig, get_peft_model

    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(ValueError, match="virtual tokens are not supported"):
        Policy.wrap(get_peft_model(stock_model(), config), tokenizer())


def test_a_model_that_scales_its_logits_is_refused_by_the_field():
    model = stock_model()
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(ValueError, match=r"config\.final_logit_softcapping is 30\.0"):
        Policy.wrap(model, tokenizer())


def test_half_precision_weights_are_refused_for_full_fine_tuning():
    with pytest.raises(ValueError, match=r"torch\.bfloat16.*dtype=torch\.float32.*LoraSettings"):
        Policy.wrap(stock_model().to(torch.bfloat16), tokenizer())


def test_half_precision_is_refused_before_the_model_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"torch\.float16"):
        Policy.load(tmp_path / "nothing_here", dtype=torch.float16)


def test_the_share_of_bfloat16_weights_that_a_small_step_changes():
    # the reason for the refusal: weights N(0, 0.02), a step of 1e-6 away from zero
    weights = 0.02 * torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    weights = weights.to(torch.bfloat16)
    stepped = (weights.float() + 1e-6 * weights.float().sign()).to(torch.bfloat16)
    assert (stepped != weights).float().mean() < 0.03


def test_half_precision_under_lora_trains_float32_adapters():
    model = stock_model().to(torch.bfloat16)
    policy = Policy.wrap(model, tokenizer(), lora=LoraSettings(r=4))
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}
    metrics = update(
        policy,
        make_batch([random_tree((3,), seed=1)]),
        make_optimizer(policy, learning_rate=1e-2, num_steps=1)[0],
    )
    assert metrics["grad_norm"] > 0


def test_a_model_without_trainable_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameter of the model has requires_grad"):
        Policy.wrap(stock_model().requires_grad_(False), tokenizer())


def test_a_saved_policy_loads_as_it_was(tmp_path):
    policy = trained_a_little(Policy.wrap(stock_model(), tokenizer()))
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path)
    assert torch.equal(logps(loaded.model), logps(policy.model))
    assert loaded.tokenizer.encode("def f") == tokenizer().encode("def f")
    assert not loaded.model.training


def test_saved_adapters_load_on_their_base_and_train_on(tmp_path):
    stock_model().save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    policy = trained_a_little(Policy.load(tmp_path / "base", lora=LoraSettings(r=4)))
    policy.save(tmp_path / "adapters")
    assert not (tmp_path / "adapters" / "model.safetensors").exists()
    loaded = Policy.load(tmp_path / "adapters")
    assert torch.equal(logps(loaded.model), logps(policy.model))
    assert len(loaded.trainable_parameters()) == len(policy.trainable_parameters())
    with pytest.raises(ValueError, match="holds adapters already"):
        Policy.load(tmp_path / "adapters", lora=LoraSettings())


def test_recomputed_activations_give_the_same_gradient(tmp_path):
    stock_model().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    grads = []
    for recompute in (False, True):
        policy = Policy.load(tmp_path, gradient_checkpointing=recompute)
        policy.frozen = perturbed(policy.frozen, seed=1)
        optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=0.0)
        update(policy, make_batch([random_tree((3,), seed=1)]), optimizer)
        grads.append(torch.cat([p.grad.flatten() for p in policy.trainable_parameters()]))
        assert policy.model.model.layers[0].gradient_checkpointing == recompute
    torch.testing.assert_close(*grads, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "llama"])
def test_decay_acts_where_transformers_trainer_has_it_act(kind):
    policy = Policy.wrap(small_model(kind), tokenizer(), beta=0)
    optimizer, _ = make_optimizer(policy, num_steps=1, weight_decay=0.1)
    patterns = ["bias", "layernorm", "rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    names = set(get_parameter_names(policy.model, [torch.nn.LayerNorm], patterns))
    expected = {id(p) for n, p in policy.model.named_parameters() if n in names}
    decayed, spared = optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decayed["params"]} == expected
    assert len(decayed["params"]) + len(spared["params"]) == len(policy.trainable_parameters())


def test_the_learning_rate_rises_over_the_warm_up_and_falls_to_zero():
    policy = Policy.wrap(stock_model(), tokenizer(), beta=0)
    optimizer, scheduler = make_optimizer(
        policy, learning_rate=1.0, num_steps=6, num_warmup_steps=2
    )
    rates = []
    for _ in range(7):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    # up in halves, then down in quarters
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0])
