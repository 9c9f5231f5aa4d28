"""The cache that a real vLLM makes of a given size, beside what is computed for it."""

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from murphy_agents.dry_run.colocated import Need
from murphy_agents.dry_run.memory import GIB, Shape
from murphy_agents.engines import vllm_start
from murphy_agents.tiny import make_model, make_tokenizer, save_policy

LONGEST = 200


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")


@pytest.mark.parametrize(("kind", "dtype"), [("qwen3", "float32"), ("olmo2", "bfloat16")])
def test_blocks_of_a_cache_are_as_many_as_computed(kind, dtype, tmp_path):
    tokenizer = make_tokenizer(["def add(a, b): return a + b"], vocab_size=264)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2} if kind == "qwen3" else {}
    model = make_model(kind, tokenizer, hidden_size=128, num_layers=3, head_dim=32, **heads)
    save_policy(model, tokenizer, tmp_path)
    engine = vllm_start.start(str(tmp_path), None, {}, dtype=dtype, max_model_len=LONGEST)
    told = engine.vllm_config.cache_config
    need = Need(
        shape=Shape.of(AutoConfig.from_pretrained(tmp_path)),
        weight_bytes=0,
        adapter_bytes=0,
        number_bytes=4 if dtype == "float32" else 2,
        row_tokens=LONGEST,
        longest_tokens=LONGEST,
        utilization=1.0,
        block_tokens=told.block_size,
    )
    assert told.block_size == 32
    assert told.num_gpu_blocks == need.num_blocks(GIB)
    # Of 7 blocks of 32 ids; vLLM counts its own block among those that can be taken.
    held = need.rows(GIB)
    assert held <= told.kv_cache_max_concurrency < held + 1 + 1 / 7
    engine.engine_core.shutdown()


def test_vllm_refuses_a_cache_that_does_not_hold_its_longest_completion(tmp_path, monkeypatch):
    """Which is why a share counts as too small there, however short the run's completions are."""
    tokenizer = make_tokenizer(["def add(a, b): return a + b"], vocab_size=264)
    model = make_model("qwen3", tokenizer, hidden_size=512, num_layers=3, head_dim=32)
    save_policy(model, tokenizer, tmp_path)
    shape = Shape.of(AutoModelForCausalLM.from_pretrained(tmp_path).config)
    need = Need(shape, 0, 0, 4, LONGEST, 2048, utilization=1.0, block_tokens=32)
    # 64 blocks of 32 ids, and vLLM's own.
    least = need.cache_bytes(1)
    assert least == 65 * 32 * 2 * 3 * shape.key_value * 4
    for size, fits in ((least, True), (least - 1, False)):
        assert (need.rows(size) > 0) == fits
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE")  # it would win
    with pytest.raises(ValueError, match="To serve at least one request"):
        vllm_start.start(str(tmp_path), None, {"kv_cache_memory_bytes": least - 1}, dtype="float32")
    engine = vllm_start.start(
        str(tmp_path), None, {"kv_cache_memory_bytes": least}, dtype="float32"
    )
    assert engine.vllm_config.cache_config.num_gpu_blocks == 65
    engine.engine_core.shutdown()
