"""Models whose log-probs would hang on what else is forwarded, and those that are warned of."""

import warnings

import pytest
import torch
from models import tokenizer
from transformers import (
    MixtralConfig,
    MixtralForCausalLM,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
)

from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.tiny import make_model
from murphy_agents.update import requirements

LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [4.0] * 8,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}


def roped(rope, **settings):
    return make_model("llama", tokenizer(), rope_parameters=rope, hidden_size=32, **settings)


def last_state(model, ids, beside):
    """Of the first row, with `beside` more positions in the batch."""
    positions = torch.arange(len(ids) + beside).expand(2, -1)
    rows = torch.zeros_like(positions)
    rows[0, : len(ids)] = torch.tensor(ids)
    with torch.no_grad():
        states = model.eval().base_model(input_ids=rows, position_ids=positions, use_cache=False)
    return states.last_hidden_state[0, len(ids) - 1]


@pytest.mark.parametrize(
    ("rope", "short", "said"),
    [
        (LONGROPE, 2048, r"config\.rope_parameters\.rope_type is 'longrope'.*choose a model"),
        (DYNAMIC, 16, r"config\.rope_parameters\.rope_type is 'dynamic'.*'default'"),
    ],
)
def test_angles_that_hang_on_the_longest_sequence_are_refused(rope, short, said):
    model = roped(rope, max_position_embeddings=short)
    # The reason: the same ids, another state, because there is a longer row beside.
    alone, beside = (last_state(model, [5, 6, 7, 8], more) for more in (0, 40))
    assert (alone - beside).abs().max() > 1e-4
    with pytest.raises(ValueError, match=said):
        Policy.wrap(model, tokenizer())


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "default", "rope_theta": 10000.0},
        {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
        {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0,
         "original_max_position_embeddings": 16},
        {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 2.0, "low_freq_factor": 1.0,
         "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
    ],
)  # fmt: skip
def test_angles_that_hang_on_positions_alone_are_let_through(rope):
    model = roped(rope)
    alone, beside = (last_state(model, [5, 6, 7, 8], more) for more in (0, 40))
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-5)
    Policy.wrap(model, tokenizer())


def test_the_kind_of_layer_whose_angles_are_refused_is_named():
    model = roped({"rope_type": "default", "rope_theta": 10000.0})
    model.config.rope_parameters = {
        "full_attention": {"type": "dynamic"},
        "sliding_attention": {"rope_type": "default"},
    }
    with pytest.raises(ValueError, match=r"rope_parameters\.full_attention\.type is 'dynamic'"):
        requirements.check_model(model)


def experts():
    sizes = {"hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    return MixtralForCausalLM(
        MixtralConfig(
            vocab_size=264, num_local_experts=3, sliding_window=None, bos_token_id=None,
            eos_token_id=None, **sizes, **heads,
        )
    )  # fmt: skip


def test_experts_are_warned_of_once(monkeypatch):
    monkeypatch.setattr(requirements, "_warned", set())
    said = r"MixtralForCausalLM is a mixture of experts \(config\.num_experts is 3\): its router"
    with pytest.warns(UserWarning, match=said):
        Policy.wrap(experts(), tokenizer())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Policy.wrap(experts(), tokenizer())
        Policy.wrap(experts(), tokenizer(), lora=LoraSettings(r=2, target_modules=("q_proj",)))
        Policy.wrap(make_model("qwen3", tokenizer()), tokenizer())


def test_experts_without_a_field_are_found_by_their_modules(monkeypatch):
    monkeypatch.setattr(requirements, "_warned", set())
    model = experts()
    model.config.num_local_experts = 1
    with pytest.warns(UserWarning, match=r"model\.layers\.0\.mlp is a MixtralSparseMoeBlock"):
        requirements.check_model(model)


def test_what_stands_between_states_and_logits_is_found_by_running_it():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = ModernBertDecoderConfig(
        vocab_size=264, num_attention_heads=2, bos_token_id=1, eos_token_id=2, pad_token_id=0,
        cls_token_id=1, sep_token_id=2, **sizes,
    )  # fmt: skip
    # A dense layer and a norm come before its output layer.
    with pytest.raises(ValueError, match="ModernBertDecoderForCausalLM gives other logits than"):
        requirements.check_model(ModernBertDecoderForCausalLM(config))
    model = make_model("qwen3", tokenizer())
    model.train()
    model.model.layers[0].eval()
    requirements.check_model(model)
    assert not model.model.layers[0].training
    assert model.model.layers[1].training


def test_float16_is_refused_where_it_is_not_trained_either():
    model = make_model("qwen3", tokenizer()).half()
    with pytest.raises(ValueError, match=r"embed_tokens\.weight is torch\.float16, in which small"):
        Policy.wrap(model, tokenizer(), lora=LoraSettings(r=2))


@pytest.mark.parametrize("field", ["layerdrop", "router_jitter_noise", "resid_pdrop"])
def test_other_rates_of_chance_are_refused_like_dropout(field):
    model = make_model("qwen3", tokenizer())
    setattr(model.config, field, 0.25)
    with pytest.raises(ValueError, match=rf"config\.{field} is 0\.25"):
        requirements.check_model(model)
