"""The memory estimate: hand-computed for a published shape, measured on small models."""

import contextlib
import random
from dataclasses import replace

import pytest
import torch
from models import tokenizer
from transformers import AutoModelForCausalLM, DynamicCache, Qwen3Config

from murphy_agents import TrainConfig
from murphy_agents.dry_run import fitting, memory
from murphy_agents.dry_run import sizes as sizes_of_a_run
from murphy_agents.dry_run.checks import Prompts
from murphy_agents.dry_run.counts import PerProblem
from murphy_agents.dry_run.memory import GIB, Shape, Work, estimate
from murphy_agents.engines.kv_cache import new_cache
from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.tiny import make_model
from murphy_agents.update import Sample
from murphy_agents.update.layout import Packed
from murphy_agents.update.logprob import trained_logprobs

QWEN3_1_7B = Qwen3Config(
    vocab_size=151936,
    hidden_size=2048,
    intermediate_size=6144,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    tie_word_embeddings=True,
    max_position_embeddings=40960,
)
WORK = Work(
    weight_bytes=4 * 1_720_574_976,
    trained_bytes=4 * 1_720_574_976,
    number_bytes=4,
    optimizer_bytes=8 * 1_720_574_976,
    step_bytes=4 * 1_720_574_976,
    reference_bytes=4 * 1_720_574_976,
    rows=512,
    row_tokens=4096,
    cache_tokens=65536,
    forward_tokens=16384,
    most_logits=1 << 24,
)


def sizes(found, phase=None):
    parts = found.always if phase is None else found.phases[phase]
    return {part.name: part.num_bytes for part in parts}


def test_the_published_shape_has_as_many_parameters_as_counted_by_hand():
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(QWEN3_1_7B)
    # A layer: queries and output 2 * 2048 * 2048, keys and values 2 * 2048 * 1024, their norms
    # 2 * 128, feed-forward 3 * 2048 * 6144, norms 2 * 2048: 50,336,000. Times 28, the last norm
    # 2048, embeddings 151936 * 2048 (tied): 1,409,408,000 + 2,048 + 311,164,928.
    assert sum(p.numel() for p in model.parameters()) == 1_720_574_976


def test_the_estimate_for_the_published_shape_is_as_by_hand():
    shape = Shape.of(QWEN3_1_7B)
    assert shape == Shape(28, 2048, 6144, query=2048, key_value=1024, vocab=151936)
    found = estimate(shape, WORK)
    weights = 6_882_299_904  # 4 * 1,720,574,976
    assert sizes(found) == {
        "weights": weights, "gradients": weights, "optimizer": 2 * weights, "reference": weights,
    }  # fmt: skip
    # A cached id: 2 * 28 layers * 1024 * 4 bytes = 229,376; 65,536 of them and a quarter: 17.5 GiB.
    # Drawing: 65536 / 4096 = 16 rows * 151,936 * 20 bytes = 48,619,520.
    assert sizes(found, "generation") == {"cache": 17.5 * GIB, "drawing": 48_619_520}
    # A token and layer: 6 * 2048 + 7 * 2048 + 2 * 1024 + 4 * 6144 = 53,248 numbers; times 4 bytes,
    # 28 layers and 16,384 tokens: 91 GiB. Logits: 2 ** 24 at a time, 12 bytes each.
    assert memory.kept_per_token(shape) == 53_248
    assert sizes(found, "update") == {"activations": 91 * GIB, "logits": 3 * GIB / 16}
    assert found.widest == "update"
    assert found.most_bytes == 5 * weights + 91 * GIB + 3 * GIB / 16


def test_checkpointing_autocast_and_the_nucleus():
    shape = Shape.of(QWEN3_1_7B)
    found = estimate(shape, Work(**{**vars(WORK), "checkpointing": True, "autocast": True,
                                    "top_p": 0.95}))  # fmt: skip
    # Inputs of 28 layers: 28 * 2048 * 4 * 16384 = 3.5 GiB; one layer: 91 / 28 * 0.8 = 2.6 GiB.
    # Copies in bfloat16: 2 bytes for each of 1,720,574,976.
    update = sizes(found, "update")
    assert update["activations"] == pytest.approx(6.1 * GIB)
    assert update["half copies"] == 3_441_149_952
    assert sizes(found, "generation")["drawing"] == 16 * 151936 * 56


def test_eight_bits_and_a_reference_in_half_precision():
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(QWEN3_1_7B, dtype=torch.float32)
        policy = Policy.wrap(model, tokenizer(), reference_dtype=torch.bfloat16)
    config = TrainConfig(bf16=True, optim="adamw_8bit")
    work = sizes_of_a_run.work(config, policy, Prompts(500, 40960), PerProblem((8, 64), 72))
    # Linear weights of a layer 50,331,648 (its norms 4,352 left out), 28 layers: 1,409,286,144.
    # They are rounded: 2 bytes each; embeddings 311,164,928 and norms 123,904 keep 4.
    assert work.reference_bytes == 2 * 1_409_286_144 + 4 * (311_164_928 + 123_904)
    # 8 bits: 2 bytes and two scales for every 256; the rest two float32 numbers.
    assert work.optimizer_bytes == 2 * 1_409_286_144 + 8 * 5_505_024 + 8 * 311_288_832
    found = estimate(Shape.of(QWEN3_1_7B), work)
    assert sizes(found)["optimizer"] == work.optimizer_bytes
    assert sizes(found)["reference"] == work.reference_bytes
    # The largest trained weight, the embeddings, once more.
    assert sizes(found, "optimizer step") == {"temporaries": 4 * 311_164_928}
    # With torch's AdamW: 16 bytes for each of 1,720,574,976, and the reference: 29.4 GiB.
    wide = sizes_of_a_run.work(
        TrainConfig(bf16=True), policy, Prompts(500, 40960), PerProblem((8, 64), 72)
    )
    assert estimate(Shape.of(QWEN3_1_7B), wide).always_bytes == pytest.approx(29.4 * GIB, rel=2e-3)
    needed = sizes_of_a_run.Demand(Shape.of(QWEN3_1_7B), work, found, None)
    told = "\n".join(fitting.lines(needed))
    assert "two bytes a trained weight" in told
    assert "a frozen copy, for KL, linear layers in half precision" in told
    plain = sizes_of_a_run.work(
        TrainConfig(), Policy.wrap(model, tokenizer()), Prompts(500, 40960), PerProblem((8,), 8)
    )
    count = 1_720_574_976
    assert (plain.optimizer_bytes, plain.reference_bytes) == (8 * count, 4 * count)
    assert plain.step_bytes == 4 * count


def test_limits_that_are_not_reached_cost_nothing():
    shape = Shape.of(QWEN3_1_7B)
    few = estimate(shape, Work(**{**vars(WORK), "rows": 2, "reference_bytes": 0}))
    assert "reference" not in sizes(few)
    assert sizes(few, "generation")["cache"] == 1.25 * 2 * 4096 * 229_376
    # One row is decoded even if it passes the limit alone.
    long = estimate(shape, Work(**{**vars(WORK), "row_tokens": 70000}))
    assert sizes(long, "generation")["cache"] == 1.25 * 70000 * 229_376


def test_rows_that_fit_are_those_whose_estimate_fits():
    shape = Shape.of(QWEN3_1_7B)
    # A row: 1.25 * 4096 * 229,376 bytes of cache and 151,936 * 20 of drawing. Always: 5 * 4 bytes
    # for each weight. Room for three rows and a half.
    a_row, always = 1_174_405_120 + 3_038_720, 20 * 1_720_574_976
    room = always + 3.5 * a_row
    assert memory.rows_in(shape, WORK, room) == 3
    for rows, fits in ((3, True), (4, False)):
        held = replace(WORK, cache_tokens=rows * WORK.row_tokens)
        assert (estimate(shape, held).phase_bytes("generation") <= room) == fits
    assert memory.rows_in(shape, WORK, always + 1e12) == WORK.rows, "no more than are drawn"
    assert memory.rows_in(shape, WORK, always + 0.9 * a_row) == 0


def test_where_another_engine_draws_there_is_no_phase_of_generation():
    shape = Shape.of(QWEN3_1_7B)
    found = estimate(shape, replace(WORK, draws_here=False))
    assert list(found.phases) == ["update", "optimizer step"]
    assert found.most_bytes == estimate(shape, WORK).phase_bytes("update")


def test_a_packed_layer_is_unpacked_while_it_multiplies():
    shape = Shape.of(QWEN3_1_7B)
    found = estimate(shape, replace(WORK, unpacked_bytes=7))
    assert (sizes(found, "update")["unpacked"], sizes(found, "generation")["unpacked"]) == (7, 7)
    assert "unpacked" not in sizes(found, "optimizer step")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kind", "settings"), [("qwen3", {}), ("olmo2", {"num_attention_heads": 8}), ("llama", {})]
)
def test_bytes_of_a_cached_id_are_those_of_real_caches(kind, settings, dtype):
    model = make_model(kind, tokenizer(), num_layers=3, **settings).to(dtype)
    for cache in (DynamicCache(config=model.config), new_cache()):
        with torch.no_grad():
            model(torch.arange(3, 40).repeat(2, 1), past_key_values=cache, use_cache=True)
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        # Two rows of 37 ids.
        assert held == 2 * 37 * memory.token_bytes(Shape.of(model.config), dtype.itemsize)


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)])
@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
def test_bytes_without_weights_are_those_with_them(kind, lora):
    real = make_model(kind, tokenizer())
    with torch.device("meta"):
        shaped = AutoModelForCausalLM.from_config(real.config, dtype=torch.float32)
        bare = Policy.wrap(shaped, tokenizer(), lora=lora)
    policy = Policy.wrap(real, tokenizer(), lora=lora)
    for with_weights, without in (
        (policy.model.parameters(), bare.model.parameters()),
        (policy.trainable_parameters(), bare.trainable_parameters()),
    ):
        measured = sum(p.untyped_storage().nbytes() for p in with_weights)
        assert sum(p.numel() * p.element_size() for p in without) == measured


def kept_bytes(model, samples, autocast):
    """What autograd really keeps for backward, each storage once, parameters left out."""
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage  # held: no address comes twice
        # Not the tensor, whose graph would hold it, and itself, for ever. Nothing goes backward.

    half = torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext()
    with half, torch.autograd.graph.saved_tensors_hooks(pack, lambda nothing: nothing):
        trained_logprobs(model, samples, 1.0)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize(
    ("dtype", "lora", "autocast"),
    [
        (torch.float32, None, False),
        (torch.float32, None, True),
        (torch.float32, LoraSettings(r=16), False),
        (torch.bfloat16, LoraSettings(r=16), False),
    ],
)
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("qwen3", {}),
        ("qwen3", {"num_attention_heads": 16, "intermediate_size": 256}),  # queries twice as wide
        ("olmo2", {"num_key_value_heads": 8}),
        ("llama", {"intermediate_size": 512}),
    ],
)
def test_activations_are_what_autograd_keeps(kind, settings, dtype, lora, autocast):
    ids = tuple(range(3, 131))
    samples = [Sample(ids, ids, 1.0, 1.0), Sample(ids, ids[:100], 1.0, 1.0)]
    sized = {"hidden_size": 128, **settings}
    models = [make_model(kind, tokenizer(), num_layers=number, **sized) for number in (4, 2)]
    policies = [Policy.wrap(model.to(dtype), tokenizer(), lora=lora) for model in models]
    deep, flat = (kept_bytes(policy.model.train(), samples, autocast) for policy in policies)
    # Two layers more for 2 * 256 padded tokens: what is not a layer's falls out.
    measured = (deep - flat) / 2
    shape = Shape.of(models[0].config)
    said = 512 * memory.kept_bytes_per_token(shape, dtype.itemsize, autocast)
    # Llama has no norms of queries and keys and keeps less.
    assert 0.9 * measured < said < 1.25 * measured


def tree_samples(transcript, scale=1, size=8):
    """A problem of two turns, all attempts failed, in `scale` tenths of usual lengths."""
    draw = random.Random(0)

    def ids(low, high):
        return tuple(draw.randrange(5, 250) for _ in range(scale * draw.randint(low, high)))

    prompt, samples = ids(35, 35), []
    for _ in range(size):
        completion = ids(20, 60)
        samples.append(Sample(prompt, completion, 1.0, 1.0))
        before = (*prompt[:-2], 3) if transcript == "requote" else prompt
        again = before + completion + ids(15, 40)
        samples += [Sample(again, ids(20, 60), 1.0, 1.0) for _ in range(size)]
    return samples


@pytest.mark.parametrize(("transcript", "scale"), [("requote", 1), ("chat", 1), ("requote", 6)])
@pytest.mark.parametrize(
    ("kind", "settings"), [("qwen3", {}), ("olmo2", {"num_key_value_heads": 8})]
)
def test_activations_along_a_trie_are_what_autograd_keeps(kind, settings, transcript, scale):
    models = [
        make_model(kind, tokenizer(), num_layers=number, hidden_size=128, **settings).train()
        for number in (4, 2)
    ]
    part = Packed(tree_samples(transcript, scale))
    deep, flat = (kept_bytes(model, part, autocast=False) for model in models)
    measured = (deep - flat) / 2 / part.num_positions
    shape = Shape.of(models[0].config)
    said = memory.kept_bytes_per_token(shape, 4, autocast=False, gathers_paths=True)
    assert 0.95 * measured < said < 1.1 * measured


def test_other_kinds_of_models_are_not_estimated():
    from transformers import GemmaConfig, GPT2Config, GPTNeoXConfig, Qwen3MoeConfig, Qwen3NextConfig

    with pytest.raises(ValueError, match="'gpt2' config lacks intermediate_size"):
        Shape.of(GPT2Config())
    with pytest.raises(ValueError, match="'qwen3_moe' config has num_experts"):
        Shape.of(Qwen3MoeConfig())
    with pytest.raises(ValueError, match="'gpt_neox' config has the activation 'gelu', and a gate"):
        Shape.of(GPTNeoXConfig())
    hybrid = Qwen3NextConfig(num_experts=0)
    with pytest.raises(ValueError, match="'qwen3_next' config has layers of 'linear_attention'"):
        Shape.of(hybrid)
    assert Shape.of(GemmaConfig()).num_layers == GemmaConfig().num_hidden_layers
