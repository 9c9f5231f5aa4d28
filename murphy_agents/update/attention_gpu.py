"""Attention along a trie on GPUs: FlexAttention with a block mask, or flash attention by segments.

* `flex`: one kernel for the whole row. Blocks of 128 x 128 pairs that no path touches are skipped;
  which these are is read off the trie, without a mask of all pairs. Forward alone runs on CPUs.
* `varlen`: flash attention with a query per segment and its path gathered as keys. Half precision
  and CUDA only.

Both take any trie and windows by depth, like the ways of `attention`.

Dimensions: A attention heads, K key heads, N nodes, D width of a head, M nodes with what fills the
last block, B blocks of a side, S segments, P nodes of all segments' paths, one after the other.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from murphy_agents.update.precision import compute_dtype, gather
from murphy_agents.update.trie import Ints, Trie

Bools = npt.NDArray[np.bool_]

BLOCK = 128
_HALF = (torch.bfloat16,)
BUCKET = 1024
"""Rows are filled up to a multiple of it, so that there are few lengths to compile for."""


def flex(
    query: Tensor, key: Tensor, value: Tensor, tree: Any, scale: float, window: int | None
) -> Tensor:
    """(1, A, N, D) from query (1, A, N, D), key and value (1, K, N, D)."""
    size = len(tree.trie)
    mask = tree.once(("flex", window), lambda: block_mask(tree.trie, window, tree.device))
    filled = mask.shape[-1] - size
    query, key, value = (
        torch.nn.functional.pad(_cast(x), (0, 0, 0, filled)) for x in (query, key, value)
    )
    run = _flex_compiled if query.device.type == "cuda" else _flex_plain
    mixed = run(
        query, key, value, block_mask=mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
    )
    result: Tensor = mixed[:, :, :size]
    return result


def block_mask(trie: Trie, window: int | None, device: torch.device) -> Any:
    """FlexAttention's mask of a trie: which blocks to look at, and which pairs of them count."""
    from torch.nn.attention.flex_attention import BlockMask

    last_M, depth_M = _filled(trie)
    some_BB, all_BB = _blocks(last_M, depth_M, window)
    last, depth = (torch.from_numpy(x).to(device) for x in (last_M, depth_M))

    def sees(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        on_path = (k <= q) & (q < last[k])
        return on_path if window is None else on_path & (depth[q] - depth[k] < window)

    checked, whole = (
        [torch.from_numpy(x).to(device)[None, None] for x in _listed(chosen_BB)]
        for chosen_BB in (some_BB & ~all_BB, all_BB)
    )
    return BlockMask.from_kv_blocks(
        checked[0], checked[1], whole[0], whole[1], BLOCK, sees, (len(last_M), len(last_M))
    )


def varlen(
    query: Tensor, key: Tensor, value: Tensor, tree: Any, scale: float, window: int | None
) -> Tensor:
    """As `flex`."""
    from torch.nn.attention.varlen import varlen_attn

    if _cast(query).dtype not in _HALF:
        raise ValueError(
            f"attention way 'varlen' is for half precision, not {query.dtype}; set bf16, or the "
            "way 'flex'"
        )
    gathered = tree.once("varlen", lambda: Gathered(tree.trie, tree.device))
    query_NAD, key_NKD, value_NKD = (_cast(x)[0].transpose(0, 1) for x in (query, key, value))
    mixed_NAD: Any = varlen_attn(
        query_NAD.contiguous(),
        gather(key_NKD, 0, gathered.node_P),
        gather(value_NKD, 0, gathered.node_P),
        gathered.queries_before_S,
        gathered.keys_before_S,
        gathered.most_queries,
        gathered.most_keys,
        scale=scale,
        # The last query sees the last key: segments end where their paths end.
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query_NAD.shape[1] != key_NKD.shape[1],
    )
    result: Tensor = mixed_NAD.transpose(0, 1)[None]
    return result


class Gathered:
    """The paths of all segments one after the other, and where each begins."""

    def __init__(self, trie: Trie, device: torch.device) -> None:
        paths = trie.segment_paths()
        lengths, reaches = trie.end_S - trie.start_S, np.array([len(path) for path in paths])
        self.node_P = torch.from_numpy(np.concatenate(paths)).to(device)
        self.queries_before_S, self.keys_before_S = (
            torch.from_numpy(np.append(0, np.cumsum(x)).astype(np.int32)).to(device)
            for x in (lengths, reaches)
        )
        self.most_queries, self.most_keys = int(lengths.max()), int(reaches.max())


def _filled(trie: Trie) -> tuple[Ints, Ints]:
    """Last descendants and depths; the nodes that fill the row up see themselves alone."""
    size = -(-len(trie) // BUCKET) * BUCKET
    last_M = np.arange(1, size + 1)
    depth_M = np.zeros(size, np.int64)
    last_M[: len(trie)], depth_M[: len(trie)] = trie.last_N, trie.depth_N
    return last_M, depth_M


def _blocks(last_M: Ints, depth_M: Ints, window: int | None) -> tuple[Bools, Bools]:
    """Which blocks of queries may see something of a block of keys, and which see all of it.

    Never too few of the first and too many of the second: the pairs of other blocks are checked one
    by one.
    """
    last_BM, depth_BM = last_M.reshape(-1, BLOCK), depth_M.reshape(-1, BLOCK)
    start_B1 = np.arange(0, len(last_M), BLOCK)[:, None]
    before_BB = np.tri(len(last_BM), k=-1, dtype=np.bool_)
    some_BB = before_BB & (start_B1 < last_BM.max(axis=1)) | np.eye(len(last_BM), dtype=np.bool_)
    all_BB = before_BB & (start_B1 + BLOCK <= last_BM.min(axis=1))
    if window is not None:
        low_B, high_B = depth_BM.min(axis=1), depth_BM.max(axis=1)
        all_BB &= high_B[:, None] - low_B < window
        some_BB &= low_B[:, None] - high_B < window
    return some_BB, all_BB


def _listed(chosen_BB: Bools) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """How many blocks of each row are chosen, and all blocks, the chosen ones first."""
    order = np.argsort(~chosen_BB, axis=1, kind="stable")
    return chosen_BB.sum(axis=1).astype(np.int32), order.astype(np.int32)


def _cast(x: Tensor) -> Tensor:
    """In autocast's type where it is on: these kernels are not on its list."""
    return x.to(compute_dtype(x))


def _flex_plain(*args: Any, **options: Any) -> Any:
    """Right, but it makes the whole matrix: for tests on CPUs."""
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention(*args, **options)


def _flex_compiled(*args: Any, **options: Any) -> Any:
    """One graph for each window, with and without gradients, and for any length from the second on.

    At its limit of graphs torch would go on without compiling, which makes the whole matrix and may
    be wrong in backward. The usual limit is 8; here it is higher, and an error.
    """
    with torch._dynamo.config.patch(recompile_limit=64, fail_on_recompile_limit_hit=True):
        return _compiled()(*args, **options)


@cache
def _compiled() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)
