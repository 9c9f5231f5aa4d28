"""Bytes of packed layers: counted by hand, and of real ones."""

import importlib.util

import pytest
import torch
from models import tokenizer
from torch import nn

from murphy_agents.dry_run import packed
from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.tiny import make_model

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes"
)


def policy_on_meta():
    with torch.device("meta"):
        model = make_model("qwen3", tokenizer(), hidden_size=64, num_layers=2)
        return Policy.wrap(model.to(torch.bfloat16), tokenizer(), lora=LoraSettings(r=2))


def test_frozen_linear_layers_are_packed_and_nothing_else():
    policy = policy_on_meta()
    plain = {name: p.numel() for name, p in policy.model.named_parameters()}
    packed.pack(policy.model)
    halved = {
        name: p.numel() for name, p in policy.model.named_parameters() if p.dtype == torch.uint8
    }
    # Two layers of four projections of attention and three of the feed-forward part.
    assert len(halved) == 14
    assert all(name.endswith("base_layer.weight") for name in halved)
    assert all(2 * count == plain[name] for name, count in halved.items())
    numbers = packed.num_numbers(policy.model, policy.model.parameters())
    assert numbers == sum(plain.values())
    largest = max(plain[name] for name in halved)
    assert packed.unpacked_bytes(policy.model, 2) == 2 * largest
    # 1 byte for every 64 numbers and 4 for every 64 * 256, layer by layer.
    scales = sum(-(-plain[name] // 64) + 4 * -(-plain[name] // 16384) for name in halved)
    assert packed.scale_bytes(policy.model) == scales


def test_a_model_without_packed_layers_has_none():
    model = make_model("qwen3", tokenizer())
    assert packed.scale_bytes(model) == packed.unpacked_bytes(model, 4) == 0
    assert packed.num_numbers(model, model.parameters()) == sum(
        p.numel() for p in model.parameters()
    )


@needs_bitsandbytes
@pytest.mark.parametrize(("rows", "columns"), [(128, 256), (1000, 192)])
@pytest.mark.filterwarnings("ignore")
def test_bytes_are_those_of_a_real_packed_layer(rows, columns):
    from bitsandbytes.nn import Linear4bit, Params4bit

    real = Linear4bit(columns, rows, bias=False, quant_type="nf4", compress_statistics=True)
    weight = Params4bit(torch.randn(rows, columns), requires_grad=False, quant_type="nf4")
    real.weight = weight
    model = nn.Sequential(real.to("cpu"))
    assert list(packed.layers(model)) == [real]
    assert real.weight.nbytes == rows * columns // 2
    state = real.weight.quant_state
    assert packed.scale_bytes(model) == state.absmax.nbytes + state.state2.absmax.nbytes
    assert packed.num_numbers(model, model.parameters()) == rows * columns
