"""A reference held in half precision: the same bits under autocast, and refused outside of it."""

import copy

import pytest
import torch
from models import perturbed, random_samples, random_tree, tokenizer
from torch import nn

from murphy_agents import TrainConfig, wiring
from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.reference import frozen_copy
from murphy_agents.tiny import make_model, save_policy
from murphy_agents.update import UpdateSettings, make_batch, trained_logprobs, update

BF16 = torch.bfloat16


def model_of(kind, **settings):
    # A little off its first values: norms' gains and biases are then no ones and zeros.
    return perturbed(make_model(kind, tokenizer(), **settings).eval(), seed=3, size=0.05)


def logps(model, dtype=None):
    with torch.no_grad(), torch.autocast("cpu", dtype or BF16, enabled=dtype is not None):
        return trained_logprobs(model, random_samples(6), 0.7)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("qwen3", {}),
        ("olmo2", {}),
        ("llama", {}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
    ],
)
def test_no_bit_of_its_log_probs_changes_under_autocast(kind, more, tied):
    model = model_of(kind, tie_word_embeddings=tied, **more)
    half = frozen_copy(model, BF16)
    assert torch.equal(logps(half, BF16), logps(model, BF16))
    assert not torch.equal(logps(model, BF16), logps(model)), "autocast rounds at all"
    head, embedding = half.get_output_embeddings().weight, half.get_input_embeddings().weight
    assert (head is embedding) == tied
    assert embedding.dtype == torch.float32
    assert head.dtype == (torch.float32 if tied else BF16)
    found = {n: p.dtype for n, p in half.named_parameters() if n != "lm_head.weight"}
    assert {d for n, d in found.items() if n.endswith("proj.weight")} == {BF16}
    assert {d for n, d in found.items() if not n.endswith("proj.weight")} == {torch.float32}


def test_the_model_stays_as_it_is():
    model = model_of("llama")
    before = copy.deepcopy(model.state_dict())
    half = frozen_copy(model, BF16)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in half.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    shared = {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in half.parameters()}
    assert not shared


def test_what_is_not_plainly_linear_keeps_its_type():
    class Own(nn.Linear):
        pass

    shared, own = nn.Linear(4, 4), Own(4, 4)
    table = nn.Embedding(4, 4)
    table.weight = shared.weight
    copied = frozen_copy(
        nn.ModuleList([shared, own, table, nn.Linear(4, 4), nn.Conv1d(4, 4, 1)]), BF16
    )
    types = [module.weight.dtype for module in copied]
    assert types == [torch.float32, torch.float32, torch.float32, BF16, torch.float32]
    assert copied[0].weight is copied[2].weight
    double = frozen_copy(nn.Linear(4, 4).double(), BF16)
    assert double.weight.dtype == torch.float64


def test_an_update_under_autocast_is_the_same_with_it():
    figures, weights = [], []
    for dtype in (None, BF16):
        policy = Policy.wrap(model_of("llama"), tokenizer(), reference_dtype=dtype)
        policy.model = perturbed(policy.model, seed=4)
        optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=0.1)
        settings = UpdateSettings(beta=0.5, autocast_dtype=BF16)
        figures.append(update(policy, make_batch([random_tree((3,), seed=1)]), optimizer, settings))
        weights.append([p.detach() for p in policy.trainable_parameters()])
    assert figures[0]["kl"] > 1e-4
    assert figures[0] == figures[1]
    assert all(map(torch.equal, *weights))


def test_it_is_refused_outside_of_autocast():
    policy = Policy.wrap(model_of("llama"), tokenizer(), reference_dtype=BF16)
    said = r"linear layers in torch\.bfloat16 .* alone, and there is none here; set UpdateSettings"
    with pytest.raises(ValueError, match=said), policy.reference():
        pass
    with (
        torch.autocast("cpu", torch.float16),
        pytest.raises(ValueError, match=r"here it is of torch\.float16"),
        policy.reference(),
    ):
        pass
    batch = make_batch([random_tree((3,), seed=1)])
    with pytest.raises(ValueError, match="there is none here"):
        update(policy, batch, torch.optim.SGD(policy.trainable_parameters(), lr=0.1))
    # Were it not refused, the layers themselves would be.
    with pytest.raises(RuntimeError, match="dtype"):
        logps(policy.frozen)


def test_where_no_copy_is_kept_nothing_is_asked():
    lora = Policy.wrap(
        make_model("qwen3", tokenizer()), tokenizer(), lora=LoraSettings(r=4), reference_dtype=BF16
    )
    assert (lora.frozen, lora.reference_dtype) == (None, None)
    with lora.reference() as reference:
        assert reference is lora.model
    without = Policy.wrap(model_of("qwen3"), tokenizer(), beta=0, reference_dtype=BF16)
    assert (without.frozen, without.reference_dtype) == (None, None)


def test_a_policy_from_a_folder_has_it_too(tmp_path):
    save_policy(model_of("llama"), tokenizer(), tmp_path)
    policy = Policy.load(tmp_path, reference_dtype=BF16)
    assert policy.frozen.lm_head.weight.dtype == BF16
    with torch.autocast("cpu", BF16), policy.reference() as reference:
        assert torch.equal(logps(reference, BF16), logps(policy.model, BF16))


def test_bf16_asks_for_it():
    assert wiring.policy_settings(TrainConfig(bf16=True))["reference_dtype"] == BF16
    assert wiring.policy_settings(TrainConfig())["reference_dtype"] is None


def test_without_weights_it_is_made_too():
    with torch.device("meta"):
        bare = type(model_of("llama"))(model_of("llama").config)
    half = frozen_copy(bare, BF16)
    assert half.model.layers[0].mlp.up_proj.weight.dtype == BF16
    assert half.lm_head.weight.is_meta
