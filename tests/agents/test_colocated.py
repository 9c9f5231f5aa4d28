"""vLLM beside the training: hand-computed shares, blocks and rows, and what is advised."""

from dataclasses import replace

import pytest
import torch
from models import tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

from murphy_agents import TrainConfig
from murphy_agents.dry_run import colocated, fitting, memory, sizes
from murphy_agents.dry_run.card import Card, elsewhere
from murphy_agents.dry_run.checks import Prompts
from murphy_agents.dry_run.colocated import Need, largest_share
from murphy_agents.dry_run.counts import PerProblem
from murphy_agents.dry_run.findings import DoesNotFitError, NotCheckedError
from murphy_agents.dry_run.memory import GIB, Estimate, Part, Shape
from murphy_agents.fit.shapes import KNOWN
from murphy_agents.policy import LoraSettings, Policy

# Qwen3-1.7B in bfloat16, completions of up to 6,096 ids with their prompts.
SHAPE = Shape(28, 2048, 6144, query=2048, key_value=1024, vocab=151936)
NEED = Need(
    shape=SHAPE,
    weight_bytes=2 * 1_720_574_976,
    adapter_bytes=0,
    number_bytes=2,
    row_tokens=6096,
    longest_tokens=6096,
    utilization=0.3,
)
CARD = elsewhere(24)
# Weights 3,441,149,952; a forward of 8,192 ids: 8192 * (2 * 2048 + 3 * 6144) * 2 = 369,098,752;
# drawing: 256 * 151,936 * 24 = 933,494,784; libraries 1.5 GiB = 1,610,612,736.
FIXED = 6_354_356_224
# 16 ids * 2 * 28 layers * 1024 * 2 bytes.
BLOCK = 1_835_008


WORK = memory.Work(
    weight_bytes=10, trained_bytes=10, number_bytes=4, optimizer_bytes=0, step_bytes=0,
    reference_bytes=0, rows=1, row_tokens=1, cache_tokens=1, forward_tokens=1, most_logits=1,
)  # fmt: skip


def needed(gib, need=NEED):
    """A run whose training takes so many GiB, beside vLLM."""
    training = Estimate((Part("weights", gib * GIB, ""),), {"update": ()})
    return sizes.Demand(SHAPE, WORK, training, need)


def test_what_vllm_holds_beside_its_cache():
    assert NEED.fixed_bytes(CARD.total_bytes) == FIXED
    assert [part.name for part in NEED.parts(24e9)] == [
        "weights",
        "forward",
        "drawing",
        "libraries",
    ]
    assert replace(NEED, adapter_bytes=5).fixed_bytes(24e9) == FIXED + 5
    # From 70 GiB on twice as many ids, four times as many rows: + 369,098,752 + 3 * 933,494,784.
    assert NEED.fixed_bytes(80e9) == FIXED + 369_098_752 + 3 * 933_494_784


def test_blocks_and_rows_of_a_share():
    # 0.3 * 24e9 - FIXED = 845,643,776, which are 460.8 blocks. A row of 6,096 ids takes 381, and
    # one block is vLLM's own: 459 / 381 = 1.2 rows.
    share = fitting.share_of(NEED, CARD, 0.3)
    assert (share.num_bytes, share.cache_tokens, share.rows) == (7.2e9, 460 * 16, 1)
    assert NEED.rows(382 * BLOCK) == 1
    assert NEED.rows(382 * BLOCK - 1) == 0
    assert NEED.rows(763 * BLOCK) == 2
    assert NEED.num_blocks(-5) == 0
    # A row that does not end with its block takes all of it: 6,097 ids are 382 blocks.
    assert replace(NEED, row_tokens=6097).rows(382 * BLOCK) == 0


def test_the_smallest_share_holds_the_rows_and_the_next_smaller_one_does_not():
    # (FIXED + 382 blocks) / 24e9 = 0.29397.
    assert NEED.smallest_share(24e9) == 0.30
    for rows in (1, 2, 5, 13):
        share = NEED.smallest_share(24e9, rows)
        assert fitting.share_of(NEED, CARD, share).rows >= rows
        assert fitting.share_of(NEED, CARD, share - 0.01).rows < rows
    assert largest_share(24e9, 7.2e9) == 0.30
    assert largest_share(24e9, 7.19e9) == 0.29
    assert largest_share(24e9, -1.0) == 0


def test_vllm_does_not_start_without_room_for_the_longest_completion_that_it_allows():
    # 40,960 ids and vLLM's own take 2,561 blocks, 4,699,455,488 bytes: (FIXED + those) / 24e9 =
    # 0.4606.
    long = replace(NEED, longest_tokens=40960)
    assert long.smallest_share(24e9) == 0.47
    assert fitting.share_of(long, CARD, 0.46).rows == 0
    # 2,684 blocks, one of them vLLM's own, of 381 a row.
    assert fitting.share_of(long, CARD, 0.47).rows == 7


def test_a_share_that_fits_is_told_in_completions():
    share, told = fitting.shared(needed(10), NEED, CARD)
    assert share.rows == 1
    assert told == (
        "0.3 of a GPU of 24 GB is 6.7 GiB: 5.9 for weights and work, cache of 7,360 ids, "
        "room for 1 completion of 6,096 at a time"
    )


def test_the_remedy_names_the_shares_that_serve_both():
    # Training leaves 24e9 - 1 GiB - 1.2e9 - 10 GiB = 10,988,839,936 bytes: 0.4578 of the card.
    small = replace(NEED, utilization=0.2)
    with pytest.raises(DoesNotFitError) as raised:
        fitting.shared(needed(10, small), small, CARD)
    # 0.45 * 24e9 - FIXED = 2,422 blocks: 2,421 / 381 = 6 rows.
    both = "set vllm_gpu_memory_utilization from 0.30 (room for 1) to 0.45 (for 6)"
    assert str(raised.value).endswith(both)
    assert "vLLM takes 5.9 for weights and work and 0.7 for one completion of 6,096 ids" in str(
        raised.value
    )
    large = replace(NEED, utilization=0.5)
    with pytest.raises(DoesNotFitError) as raised:
        fitting.compared(needed(10, large), CARD)
    assert "22.4 GiB free on a GPU of 24 GB, 2.1 of them held back" in str(raised.value)
    assert both in str(raised.value)
    assert "11.2 vLLM's" in str(raised.value)  # 0.5 * 24e9 bytes
    room, _ = fitting.compared(needed(10), CARD)
    assert room == CARD.usable_bytes - 7.2e9


def test_the_remedy_names_a_shorter_length_where_that_alone_helps():
    # 0.45 is left; one completion of 40,960 ids takes 0.47, one of 6,096 takes 0.30.
    long = replace(NEED, longest_tokens=40960)
    with pytest.raises(DoesNotFitError) as raised:
        fitting.shared(needed(10, long), long, CARD)
    assert str(raised.value).endswith(
        "set vllm_max_model_length 6096 and vllm_gpu_memory_utilization from 0.30 (room for 1) to "
        "0.45 (for 6)"
    )


def test_where_no_share_serves_both_that_is_said():
    # Training of 15 GiB leaves 5,620,129,816 bytes, 0.234 of the card.
    with pytest.raises(DoesNotFitError) as raised:
        fitting.compared(needed(15), CARD)
    assert (
        "no share serves both: vLLM needs at least 0.30 of the card, training leaves 0.23"
        in str(raised.value)
    )
    wide = replace(NEED, number_bytes=4, weight_bytes=2 * NEED.weight_bytes, longest_tokens=40960)
    with pytest.raises(DoesNotFitError, match="vllm_dtype bfloat16"):
        fitting.shared(needed(15, wide), wide, CARD)
    with pytest.raises(
        DoesNotFitError, match=r", 0\.\d\d with vllm_max_model_length 6096, training"
    ):
        fitting.shared(needed(15, wide), wide, CARD)


def test_a_cpu_is_no_card():
    cpu = Card("cpu", 24e9, 20e9, 0.0, is_gpu=False)
    with pytest.raises(NotCheckedError, match="'cpu'"):
        fitting.shared(needed(10), NEED, cpu)
    # And training is compared with all that is free.
    room, told = fitting.compared(needed(10), cpu)
    assert room == 20e9
    assert "vLLM" not in told


def policy_on_meta(lora=None, dtype=torch.float32):
    with torch.device("meta"):
        config = AutoConfig.for_model(**KNOWN["Qwen/Qwen3-1.7B"])
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        return Policy.wrap(model, tokenizer(), lora=lora)


def demand(policy, **settings):
    config = TrainConfig(engine="vllm", max_completion_length=2048, **settings)
    return sizes.demand(config, policy, Prompts(1000, 40960), PerProblem((8, 64), 72))


def test_settings_become_what_vllm_holds():
    found = demand(policy_on_meta(), vllm_gpu_memory_utilization=0.4)
    # As the weights in training: float32. Rows: 1000 + 2048 + 1000 + 2048.
    assert found.vllm == replace(
        NEED, weight_bytes=4 * 1_720_574_976, number_bytes=4, longest_tokens=40960, utilization=0.4
    )
    assert not found.work.draws_here
    half = demand(policy_on_meta(), vllm_dtype="bfloat16", vllm_max_model_length=6096)
    assert half.vllm == NEED
    short = demand(policy_on_meta(), vllm_max_model_length=5000).vllm
    assert (short.row_tokens, short.longest_tokens) == (5000, 5000)


def test_adapters_have_room_of_the_next_rank_in_vllm():
    policy = policy_on_meta(LoraSettings(r=12), torch.bfloat16)
    found = demand(policy, use_peft=True, lora_r=12, dtype="bfloat16")
    assert found.vllm.weight_bytes == 2 * 1_720_574_976, "the base alone"
    # A rank takes in + out of every layer: queries and output 2 * (2048 + 2048), keys and values
    # 2 * (2048 + 1024), feed-forward 3 * (2048 + 6144), 38,912; 28 layers, rank 16, 2 bytes.
    assert found.vllm.adapter_bytes == 38_912 * 28 * 16 * 2
    trained = sum(p.numel() for p in policy.trainable_parameters())
    assert trained == 38_912 * 28 * 12


def test_most_rows_are_those_of_vllms_batches():
    assert (colocated.most_rows(24e9), colocated.most_rows(80e9)) == (256, 1024)
    assert memory.token_bytes(SHAPE, 2) * 16 == BLOCK


def test_a_type_that_vllm_has_not_is_refused():
    policy = policy_on_meta(dtype=torch.float64)
    with pytest.raises(ValueError, match="set vllm_dtype"):
        demand(policy, dtype="float64")
    assert demand(policy, dtype="float64", vllm_dtype="float32").vllm.number_bytes == 4
