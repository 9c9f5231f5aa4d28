"""Which models are run along a trie, and what is said of those that cannot be.

Models are real classes of transformers with random weights.
"""

import re
import types
import warnings

import pytest
import torch
import transformers
from models import gradient, related_tree, tokenizer

from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.tiny import make_model
from murphy_agents.update import UpdateSettings, attention, make_batch, trained_logprobs, update
from murphy_agents.update.layout import Packed
from murphy_agents.update.packable import packing_obstacle, settled_layout

SIZES = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,  # wide, so that attention weighs
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 120,
        "bos_token_id": 1, "eos_token_id": 2, "attn_pdrop": 0.0, "embd_pdrop": 0.0,
        "resid_pdrop": 0.0}  # fmt: skip
NO_HEADS = {k: v for k, v in SIZES.items() if k not in ("head_dim", "num_key_value_heads")}
CONV = {"layer_types": ["conv", "full_attention", "conv", "full_attention"]}
SLIDING = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
GPT_OSS = {"num_local_experts": 4, "num_experts_per_tok": 2,
           "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}  # fmt: skip


def model_of(name, sizes=SIZES, **settings):
    config = getattr(transformers, f"{name}Config")(**{**sizes, **settings})
    kind = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, f"{name.removesuffix('Text')}{kind}")(config).eval()


def gap_along_a_trie(model):
    """Of log-probs to those of padded rows."""
    samples = make_batch([related_tree((3, 3), seed=seed) for seed in (0, 1)]).samples
    with torch.no_grad():
        packed = trained_logprobs(model, Packed(samples, "dense"), 1.0)
        return (packed - trained_logprobs(model, samples, 1.0)).abs().max().item()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Qwen3", {}),
        ("Qwen3", {"use_sliding_window": True, **SLIDING}),
        ("Qwen2", {}),
        ("Qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2}),
        ("Olmo2", {}),
        ("Olmo3", {"sliding_window": 4}),
        ("Llama", {}),
        ("Llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
        ("Mistral", {"sliding_window": 4}),
        ("Mistral", {"sliding_window": None}),
        ("Phi3", {"sliding_window": 4}),
        ("Gemma", {}),
        ("Gemma2", {"attn_logit_softcapping": None, "query_pre_attn_scalar": 8, **SLIDING}),
        ("Gemma3Text", {"query_pre_attn_scalar": 8, **SLIDING}),
        ("GPTNeoX", {}),
        ("GPT2", {}),
        ("Granite", {"attention_multiplier": 0.25}),
        ("Cohere2", {"sliding_window": 4}),
        ("Qwen3Moe", {"num_experts": 4, **EXPERTS}),
        ("Mixtral", {"num_local_experts": 4, **EXPERTS}),
        ("Lfm2", {"layer_types": ["full_attention"] * 4}),
    ],
)
def test_what_is_let_through_is_exact_along_a_trie(name, settings):
    model = model_of(name, {"GPT2": GPT2, "GPTNeoX": NO_HEADS}.get(name, SIZES), **settings)
    assert packing_obstacle(model) is None
    assert gap_along_a_trie(model) < 2e-4  # log-probs of such wide weights go down to -50


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("Qwen3Next", {"linear_num_key_heads": 2, "linear_num_value_heads": 4},
         r"^model\.layers\.0 \(Qwen3NextDecoderLayer\): config\.layer_types\[0\] is "
         r"'linear_attention'; known are full_attention and sliding_attention$"),
        ("Lfm2", CONV, r"model\.layers\.0 \(Lfm2DecoderLayer\): .*\[0\] is 'conv'"),
        ("Mamba", {}, r"backbone\.layers\.0 \(MambaBlock\): .*'linear_attention'"),
        ("Gemma2", {}, r"^model\.layers\.0\.self_attn \(Gemma2Attention\) fails.* uses softcap"),
        ("GptOss", GPT_OSS, r"^model\.layers\.0\.self_attn \(GptOssAttention\) .* uses s_aux"),
        ("Bloom", {}, r"^BloomForCausalLM|^transformer \(BloomModel\) fails on a trie"),
        ("Falcon", {"alibi": True}, r"Falcon.* fails on a trie with"),
        ("Falcon", {}, r"FalconAttention\) fails on a trie with"),
        ("Doge", {}, r"DogeAttention\) fails on a trie with"),
        ("Llama4Text", {"num_local_experts": 2, "intermediate_size_mlp": 48},
         r"layer_types\[0\] is 'chunked_attention'"),
        ("Gemma3Text", {"use_bidirectional_attention": True},
         r"config\.use_bidirectional_attention is True"),
    ],
)  # fmt: skip
def test_what_would_not_be_exact_is_named(name, settings, said):
    model = model_of(name, NO_HEADS if name == "Falcon" else SIZES, **settings)
    assert re.search(said, packing_obstacle(model) or "")


def test_without_weights_the_config_alone_is_judged():
    with torch.device("meta"):
        assert "'conv'" in packing_obstacle(model_of("Lfm2", **CONV))
        assert packing_obstacle(model_of("Qwen3")) is None


class Recurrent(torch.nn.Module):
    """A layer's feed-forward part that remembers the token before."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, hidden):
        before = torch.nn.functional.pad(hidden, (0, 0, 1, 0))[:, :-1]
        return self.inner(hidden + before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_first_layer_that_differs_is_named(dtype):
    model = model_of("Qwen3").to(dtype)
    model.model.layers[2].mlp = Recurrent(model.model.layers[2].mlp)
    said = "model.layers.2 (Qwen3DecoderLayer) gives other states along a trie than for a sequence"
    assert packing_obstacle(model).startswith(said)


def test_a_window_that_no_layer_passes_on_is_noticed():
    # Longer than the trie that is run, so that its states tell nothing.
    model = model_of("Mistral", sliding_window=50)
    assert packing_obstacle(model) is None
    model = model_of("Llama")
    model.config.sliding_window = 50
    assert packing_obstacle(model).startswith("config.sliding_window is set, but no layer passes")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own use
def test_adapters_change_nothing_and_training_goes_on():
    policy = Policy.wrap(make_model("qwen3", tokenizer()), tokenizer(), lora=LoraSettings(r=4))
    policy.model.train()
    assert packing_obstacle(policy.model) is None
    assert policy.model.training
    assert all(module.training for module in policy.model.modules())


def test_each_model_is_tried_once(monkeypatch):
    model = model_of("Qwen3")
    assert packing_obstacle(model) is None
    monkeypatch.setattr(model.model, "forward", lambda **_: 1 / 0)
    assert packing_obstacle(model) is None
    other = model_of("Qwen3")
    inner = other.model.forward
    other.model.forward = types.MethodType(
        lambda self, tree=None, **kw: 1 / 0 if tree else inner(**kw), other.model
    )
    assert "ZeroDivisionError" in packing_obstacle(other)


def test_another_type_or_device_is_another_try():
    model = model_of("Qwen3")
    assert packing_obstacle(model) is None
    model.to(torch.bfloat16)
    model.model.layers[1].mlp = Recurrent(model.model.layers[1].mlp)
    assert packing_obstacle(model).startswith("model.layers.1 (Qwen3DecoderLayer) gives other")


def test_a_bare_model_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        packing_obstacle(model_of("Olmo2"))


def test_auto_pads_what_cannot_be_run_along_a_trie_and_says_so():
    model = model_of("Lfm2", **CONV)
    with pytest.warns(UserWarning, match=r"completions are padded.*model.layers.0 \(Lfm2Deco"):
        assert settled_layout(model, "auto") == "padded"
    assert settled_layout(model, "padded") == "padded"
    with pytest.raises(ValueError, match=r"layout is 'trie', but model.layers.0.*'padded'"):
        settled_layout(model, "trie")
    assert settled_layout(model_of("Qwen3"), "auto") == "auto"


def test_an_update_of_such_a_model_is_that_of_padded_rows():
    batch = make_batch([related_tree((3, 2), "chat", seed=1)])
    gradients = []
    for layout in ("auto", "padded"):
        policy = Policy.wrap(model_of("Lfm2", **CONV), tokenizer(), beta=0.0)
        optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            update(policy, batch, optimizer, UpdateSettings(beta=0.0, layout=layout))
        gradients.append(gradient(policy.model))
    assert torch.equal(*gradients)


def test_the_way_that_is_asked_for_is_the_one_that_is_tried(monkeypatch):
    model = model_of("Qwen3")
    assert packing_obstacle(model) is None
    # A kernel that sees the whole row shows, though "segments" was fine.
    whole = lambda q, k, v, tree, scale, window: q + v.mean(2, True).repeat(1, 2, 1, 1)  # noqa: E731
    monkeypatch.setitem(attention._WAYS, "dense", whole)
    said = "model.layers.0 (Qwen3DecoderLayer) gives other states along a trie"
    assert packing_obstacle(model, "dense").startswith(said)
    assert packing_obstacle(model) is None


def test_ways_that_cannot_be_used_here_are_told_before_any_work():
    model = model_of("Qwen3")
    assert "'varlen' is for half precision, not torch.float32" in packing_obstacle(model, "varlen")
    assert packing_obstacle(model, "flex") == "tree_attention 'flex' has no backward on CPUs"
    with pytest.raises(ValueError, match="layout is 'trie', but tree_attention 'flex' has no"):
        settled_layout(model, "trie", "flex")


@pytest.mark.parametrize("name", ["Qwen3", "Olmo2", "Llama"])
def test_models_are_tried_under_the_autocast_of_the_updates(name):
    assert packing_obstacle(model_of(name), autocast=torch.bfloat16) is None
    model = model_of(name)
    model.model.layers[1].mlp = Recurrent(model.model.layers[1].mlp)
    said = f"model.layers.1 ({name}DecoderLayer) gives other states along a trie"
    assert packing_obstacle(model, autocast=torch.bfloat16).startswith(said)
