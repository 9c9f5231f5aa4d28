"""Which models are made of known parts alone, and which part of others is not known.

Models are real classes of transformers with random weights. What is let through is proved on a
trie: every state equals that of the sequence by itself, within float32.
"""

import re

import pytest
import torch
import transformers
from models import tokenizer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.tiny import make_model
from murphy_agents.update import Sample
from murphy_agents.update.attention_source import AttentionCall, attention_call
from murphy_agents.update.layout import Packed, Padded
from murphy_agents.update.parts import unknown_part

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
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 120}
NO_HEADS = {k: v for k, v in SIZES.items() if k not in ("head_dim", "num_key_value_heads")}
CONV = {"layer_types": ["conv", "full_attention", "conv", "full_attention"]}
SLIDING = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}

PREFIX, FIRST, SECOND = 9, 8, 7
"""Positions of the trie: a prefix longer than any window here, and two branches."""


def model_of(name, sizes=SIZES, **settings):
    config = getattr(transformers, f"{name}Config")(**{**sizes, **settings})
    kind = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, f"{name.removesuffix('Text')}{kind}")(config).eval()


def branches():
    """Two sequences with a prefix in common."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 119, (PREFIX + FIRST + SECOND,), generator=generator).tolist()
    prompt, first, second = ids[:PREFIX], ids[PREFIX : PREFIX + FIRST], ids[PREFIX + FIRST :]
    return [Sample(tuple(prompt), tuple(tokens), 1.0, 1.0) for tokens in (first, second)]


def states(model, micro_batch):
    """Of the positions that predict trained tokens, sample by sample."""
    with torch.no_grad(), micro_batch.attention(model):
        hidden_UH, targets = micro_batch.states(model)
    return hidden_UH[targets.state_N]


def alone(model):
    return torch.cat([states(model, Padded([sample])) for sample in branches()])


def distance(one, other):
    """Of states, as a share of their size."""
    return float((one - other).norm() / other.norm())


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
        (
            "DeepseekV3",
            {"num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8,
             "qk_rope_head_dim": 8, "v_head_dim": 4, "n_routed_experts": 4, "n_group": 1,
             "topk_group": 1, "first_k_dense_replace": 1, **EXPERTS},
        ),
    ],
)  # fmt: skip
def test_what_is_let_through_is_exact_along_a_trie(name, settings):
    model = model_of(name, {"GPT2": GPT2, "GPTNeoX": NO_HEADS}.get(name, SIZES), **settings)
    assert unknown_part(model) is None
    assert distance(states(model, Packed(branches())), alone(model)) < 2e-6


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("Qwen3Next", {"linear_num_key_heads": 2, "linear_num_value_heads": 4},
         r"^model\.layers\.0\.linear_attn \(Qwen3NextGatedDeltaNet\): config\.layer_types\[0\] is "
         r"'linear_attention'; known are full_attention and sliding_attention$"),
        ("Lfm2", CONV, r"model\.layers\.0\.conv \(Lfm2ShortConv\): .*\[0\] is 'conv'"),
        ("Mamba", {}, r"backbone\.layers\.0\.mixer \(MambaMixer\): .*'linear_attention'"),
        ("Gemma2", {}, r"model\.layers\.0\.self_attn \(Gemma2Attention\) passes 'softcap'"),
        ("GptOss", {"num_local_experts": 4, "num_experts_per_tok": 2},
         r"model\.layers\.0\.self_attn \(GptOssAttention\) passes 's_aux'"),
        ("Bloom", {}, r"h\.0\.self_attention \(BloomAttention\) does not go through"),
        ("Falcon", {"alibi": True}, r"\(FalconAttention\) does not go through"),
        ("Falcon", {}, r"h\.0\.self_attention \(FalconAttention\) does not go through"),
        ("OPT", {"ffn_dim": 48, "word_embed_proj_dim": 32},
         r"embed_positions \(OPTLearnedPositionalEmbedding\) is an embedding that is not read"),
        ("Phimoe", {"sliding_window": 4, "num_local_experts": 4},
         r"PhimoeAttention\) has a sliding window and does not pass it"),
        ("DiffLlama", {}, r"DiffLlamaAttention\) holds 'lambda_q1' of its own"),
        ("Doge", {}, r"model\.layers\.0 \(DogeDecoderLayer\) holds 'input_residual'"),
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_exact_is_named(name, settings, said):
    with torch.device("meta"):
        model = model_of(name, NO_HEADS if name in ("OPT", "Falcon") else SIZES, **settings)
    assert re.search(said, unknown_part(model) or "")


def test_the_measure_sees_what_a_trie_could_get_wrong():
    windowed, whole = (model_of("Mistral", sliding_window=window) for window in (4, None))
    assert distance(alone(windowed), alone(whole)) > 0.1
    first, second = branches()
    after = Sample(first.prompt_ids + first.completion_ids, second.completion_ids, 1.0, 1.0)
    sibling = [states(whole, Padded([sample])) for sample in (after, second)]
    assert distance(*sibling) > 0.1


def test_chunks_of_llama4_are_refused():
    with torch.device("meta"):
        model = model_of("Llama4Text", num_local_experts=2, intermediate_size_mlp=48)
    assert "'chunked_attention'" in unknown_part(model)
    model.config.layer_types = ["full_attention"] * 4
    model.config.attention_chunk_size = None
    assert "Llama4TextAttention) counts positions itself" in unknown_part(model)
    whole = model_of("Llama")
    whole.config.attention_chunk_size = 8
    assert unknown_part(whole) == "config.attention_chunk_size is 8: attention in chunks"


def test_positions_must_be_told(monkeypatch):
    model = model_of("Llama")
    monkeypatch.setattr(model.model, "forward", lambda input_ids: None)
    assert unknown_part(model).startswith("LlamaModel takes no position_ids")


def test_masks_that_look_ahead_are_refused():
    both_ways = model_of("Gemma3Text", use_bidirectional_attention=True)
    assert "config.use_bidirectional_attention is set" in unknown_part(both_ways)
    model = model_of("Llama")
    model.model.layers[2].self_attn.is_causal = False
    said = "model.layers.2.self_attn (LlamaAttention) is not causal: tokens see later ones"
    assert unknown_part(model) == said
    images = transformers.Gemma3Config(text_config=SIZES, vision_config={"num_hidden_layers": 1})
    with torch.device("meta"):
        seeing = transformers.Gemma3ForConditionalGeneration(images)
    assert "reads more than text" in unknown_part(seeing)


def test_the_layer_that_differs_is_named():
    model = model_of("Qwen3")
    model.model.layers[3].self_attn.sinks = torch.nn.Parameter(torch.zeros(4))
    assert unknown_part(model).startswith(
        "model.layers.3.self_attn (Qwen3Attention) holds 'sinks' of its own"
    )
    model = model_of("Qwen3")
    model.model.layers[1].mlp = torch.nn.Conv1d(32, 32, 3)
    assert unknown_part(model).startswith("model.layers.1.mlp (Conv1d) is not known")
    model.model.layers[1].mlp = torch.nn.MultiheadAttention(32, 4)
    assert "model.layers.1.mlp (MultiheadAttention) does not go through" in unknown_part(model)
    model = model_of("Qwen3")
    model.model.smoothed = torch.nn.GRU(32, 32)
    assert unknown_part(model).startswith("model.smoothed (GRU) is not known")


@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "embed_tokens")])
def test_adapters_change_nothing(targets):
    lora = LoraSettings(r=4, target_modules=targets)
    policy = Policy.wrap(make_model("olmo2", tokenizer()), tokenizer(), lora=lora)
    assert unknown_part(policy.model) is None
    inner = policy.model.get_base_model().model.layers[1].self_attn
    inner.sinks = torch.nn.Parameter(torch.zeros(4))
    assert "model.layers.1.self_attn (Olmo2Attention) holds 'sinks'" in unknown_part(policy.model)


def test_embeddings_of_positions_must_be_read_with_position_ids():
    model = model_of("GPT2", GPT2)
    model.transformer.more = torch.nn.Embedding(64, 32)
    assert unknown_part(model).startswith("transformer.more (Embedding) is an embedding")


class Deaf(torch.nn.Module):
    """A layer that tells its attention nothing of what it was told."""

    def __init__(self, self_attn):
        super().__init__()
        self.self_attn = self_attn

    def forward(self, hidden_states, attention_mask=None, **kwargs):
        return self.self_attn(hidden_states, attention_mask=attention_mask)


class DeafAttention(torch.nn.Module):
    def forward(self, hidden_states, attention_mask=None, **kwargs):
        attend = ALL_ATTENTION_FUNCTIONS.get_interface("sdpa", None)
        return attend(self, hidden_states, hidden_states, hidden_states, attention_mask)


def test_the_trie_must_reach_the_attention():
    model = model_of("Llama")
    model.model.layers[1] = Deaf(model.model.layers[1].self_attn)
    assert unknown_part(model).startswith("model.layers.1 (Deaf) hands no keywords on")
    model = model_of("Llama")
    model.model.layers[2].self_attn = DeafAttention()
    said = "model.layers.2.self_attn (DeafAttention) hands no keywords on to its attention"
    assert unknown_part(model).startswith(said)


class Plain(torch.nn.Module):
    def forward(self, hidden_states):
        return hidden_states


def test_the_call_is_read_from_the_source():
    from transformers.models.doge.modeling_doge import DogeAttention
    from transformers.models.gpt2.modeling_gpt2 import GPT2Attention
    from transformers.models.mistral.modeling_mistral import MistralAttention

    named = {"dropout", "scaling", "sliding_window"}
    assert attention_call(MistralAttention) == AttentionCall(frozenset(named))
    assert attention_call(DogeAttention).changes_mask, "it adds what it learned to the mask"
    assert not attention_call(GPT2Attention).changes_mask, "only another's is taken over"
    assert attention_call(Plain) is None
    assert attention_call(type("Unreadable", (), {"forward": len})) is None
