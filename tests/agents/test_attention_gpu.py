"""Attention for GPUs, as far as CPUs run it: masks, blocks, gathered paths, and forward values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import related_tree, sliding_model, small_model

from murphy_agents.update import attention_gpu, make_batch, trained_logprobs
from murphy_agents.update.attention_gpu import BLOCK, Gathered, block_mask
from murphy_agents.update.layout import Packed
from murphy_agents.update.trie import build

CPU = torch.device("cpu")


def long_trie(seed, num=14, longest=160):
    generator = np.random.default_rng(seed)
    sequences = [tuple(generator.integers(0, 2, generator.integers(1, 30))) for _ in range(num)]
    return build([s + tuple(generator.integers(5, 9, generator.integers(1, longest)))
                  for s in sequences])  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([None, 3, 40, 130]))
def test_blocks_that_are_skipped_have_nothing_to_see_and_whole_ones_everything(seed, window):
    trie = long_trie(seed)
    mask = block_mask(trie, window, CPU)
    size = mask.shape[-1]
    seen = np.eye(size, dtype=bool)
    seen[: len(trie), : len(trie)] = trie.sees(window)
    blocks = seen.reshape(size // BLOCK, BLOCK, size // BLOCK, BLOCK).transpose(0, 2, 1, 3)
    for q in range(size // BLOCK):
        checked = mask.kv_indices[0, 0, q, : mask.kv_num_blocks[0, 0, q]].tolist()
        whole = mask.full_kv_indices[0, 0, q, : mask.full_kv_num_blocks[0, 0, q]].tolist()
        assert not set(checked) & set(whole)
        for k in range(size // BLOCK):
            if k in whole:
                assert blocks[q, k].all()
            elif k not in checked:
                assert not blocks[q, k].any()
    q, k = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    by_pair = mask.mask_mod(0, 0, torch.from_numpy(q), torch.from_numpy(k))
    assert (by_pair.numpy() == seen).all()


def test_blocks_are_mostly_skipped_where_branches_are_long():
    trie = long_trie(0, num=12, longest=900)
    mask = block_mask(trie, None, CPU)
    side = mask.shape[-1] // BLOCK
    looked_at = int(mask.kv_num_blocks.sum() + mask.full_kv_num_blocks.sum())
    assert looked_at < 0.6 * side * (side + 1) / 2  # of a causal mask's


# On CPUs it is run without compilation, and says so.
@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "olmo3 sliding", "qwen3 sliding"])
def test_flex_attention_gives_the_log_probs_of_padding(kind):
    model = sliding_model(kind.split()[0]) if "sliding" in kind else small_model(kind)
    samples = make_batch([related_tree((3, 3), seed=seed) for seed in (0, 1)]).samples
    with torch.no_grad():
        found = trained_logprobs(model, Packed(samples, "flex"), 0.7)
        expected = trained_logprobs(model, samples, 0.7)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def by_segments(query, key, value, before_q, before_k, most_q, most_k, *, scale, window_size,
                enable_gqa):  # fmt: skip
    """What `torch.nn.attention.varlen.varlen_attn` is documented to do; it needs a CUDA device."""
    assert most_q == before_q.diff().max()
    assert most_k == before_k.diff().max()
    assert window_size[1] == 0
    parts = []
    for n in range(len(before_q) - 1):
        q = query[before_q[n] : before_q[n + 1]].transpose(0, 1).double()
        k, v = (x[before_k[n] : before_k[n + 1]].transpose(0, 1).double() for x in (key, value))
        k, v = (x.repeat_interleave(len(q) // len(k), dim=0) for x in (k, v))
        # Flash attention's causal mask is aligned at the lower right corner.
        back = (
            torch.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1] - torch.arange(k.shape[1])
        )
        seen = (back >= 0) & ((back <= window_size[0]) | (window_size[0] < 0))
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(~seen, -torch.inf)
        parts.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize("kind", ["qwen3", "olmo3 sliding"])
def test_segments_are_handed_to_flash_attention_with_their_paths(kind, monkeypatch):
    from torch.nn.attention import varlen

    monkeypatch.setattr(varlen, "varlen_attn", by_segments)
    monkeypatch.setattr(attention_gpu, "_HALF", (torch.float64,))
    model = sliding_model() if "sliding" in kind else small_model(kind)
    samples = make_batch([related_tree((3, 3), seed=seed) for seed in (0, 1)]).samples
    with torch.no_grad():
        found = trained_logprobs(model, Packed(samples, "varlen"), 0.7)
        expected = trained_logprobs(model, samples, 0.7)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_gathered_paths_by_hand():
    # 5 6 | 7, 8 9: the segments 5 6, 7 and 8 9, with 2, 3 and 4 nodes to see.
    gathered = Gathered(build([(5, 6, 7), (5, 6, 8, 9)]), CPU)
    assert gathered.node_P.tolist() == [0, 1, 0, 1, 2, 0, 1, 3, 4]
    assert gathered.queries_before_S.tolist() == [0, 2, 3, 5]
    assert gathered.keys_before_S.tolist() == [0, 2, 5, 9]
    assert (gathered.most_queries, gathered.most_keys) == (2, 4)


def test_flash_attention_is_refused_in_full_precision():
    with pytest.raises(ValueError, match=r"'varlen' is for half precision, not torch.float64"):
        trained_logprobs(
            small_model(), Packed(make_batch([related_tree((2,))]).samples, "varlen"), 1
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("way", ["segments", "flex", "varlen"])
@pytest.mark.parametrize("kind", ["qwen3", "olmo3 sliding"])
def test_on_a_gpu_gradients_are_those_of_a_dense_mask(kind, way):
    # FlexAttention's kernels take heads of 16 and more.
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    model = sliding_model() if "sliding" in kind else small_model(kind, **heads)
    model = model.float().cuda()
    samples = make_batch([related_tree((4, 4), num_ids=90, seed=seed) for seed in (0, 1)]).samples
    gradients = []
    for which in ("dense", way):
        model.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            logp_N, _ = trained_logprobs(model, Packed(samples, which), 0.7, with_entropy=True)
        logp_N.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert (gradients[0] - gradients[1]).norm() / gradients[0].norm() < 0.02
