"""Attention along the paths of a trie, for model code that knows nothing of tries.

Every node of a row attends to the nodes before it on its own path and to no other, so siblings are
as far apart as if each stood in a row of its own. Registered under a name of its own with
transformers, whose models hand over queries, keys and values and take back the outputs; the row
comes with them as the keyword `tree`.

Ways to do it, behind one switch:

* "segments", for CPUs: for each segment, its queries with the keys from the root to its end. No
  mask is larger than a segment's.
* "dense": one mask of all pairs. For tests.
* "flex" and "varlen", for GPUs: see `attention_gpu`.

Windows of sliding layers count nodes along the path, not along the row.

Dimensions: A attention heads, K key heads, N nodes, D width of a head, L nodes of a segment, P
nodes of a segment's path, itself included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from murphy_agents.update import attention_gpu
from murphy_agents.update.precision import compute_dtype, gather
from murphy_agents.update.trie import Trie

NAME = "murphy_trie"
Way = Literal["segments", "dense", "flex", "varlen"]


@dataclass
class TreeRow:
    """A trie with what attention makes of it once, for all layers and passes."""

    trie: Trie
    device: torch.device
    way: Way
    made: dict[Any, Any] = field(default_factory=dict)
    """Index tensors and masks, by what they are for."""

    windows: set[int | None] = field(default_factory=set)
    """That layers asked for so far; None: no window."""

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made at the first call with this key."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def drop_masks(self) -> None:
        """Forget the masks, which are large, and quickly made again."""
        for key in [key for key in self.made if key[0] in ("masks", "dense", "flex")]:
            del self.made[key]


def trie_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    tree: TreeRow | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one row, as transformers calls it.

    Args:
        module: the layer.
        query: (1, A, N, D).
        key: (1, K, N, D); A is a multiple of K.
        value: as `key`.
        attention_mask: `no_mask`'s; a row's mask is its trie.
        scaling: of the products; None: 1 / sqrt(D).
        dropout: 0.
        sliding_window: nodes that a node sees at most, itself included, counted along its path.
        tree: the row.
        **kwargs: what other attentions take.

    Returns:
        (1, N, A, D) and no weights.

    Raises:
        ValueError: the row is missing, or there is something that this attention would leave out.
    """
    if tree is None:
        raise ValueError(
            f"{_said(module)}: attention {NAME!r} got no row; the model does not hand keywords "
            "on to its attention, so use layout='padded'"
        )
    left_out = [name for name in ("s_aux", "softcap") if kwargs.get(name) is not None]
    left_out += ["dropout"] * bool(dropout)
    left_out += ["a mask of its own"] * (attention_mask is not None and attention_mask.numel() > 0)
    if left_out:
        raise ValueError(
            f"{_said(module)} uses {left_out[0]}, which attention along a trie would leave out; "
            "use layout='padded'"
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    tree.windows.add(sliding_window)
    mixed = _WAYS[tree.way](query, key, value, tree, scale, sliding_window)
    return mixed.transpose(1, 2).contiguous(), None


def _said(module: Any) -> str:
    layer = getattr(module, "layer_idx", None)
    return type(module).__name__ + (f" of layer {layer}" if layer is not None else "")


def default_way(device_type: str) -> Way:
    """The way for a device; "flex" on GPUs is the field's practice, not a measurement of ours."""
    return "flex" if device_type == "cuda" else "segments"


def no_mask(device: torch.device) -> Tensor:
    """What to pass as attention mask with a row.

    A mask of four dimensions is handed to the layers as it is, so transformers makes none of its
    own; and any attention but ours fails on this one instead of going on without a mask.
    """
    return torch.empty(1, 1, 0, 0, dtype=torch.bool, device=device)


@contextmanager
def rows_of_tries(model: Any) -> Iterator[None]:
    """Within it, the model's attention is that of tries. Recomputing backwards belong into it."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, trie_attention)
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _segments(
    query: Tensor, key: Tensor, value: Tensor, tree: TreeRow, scale: float, window: int | None
) -> Tensor:
    """One call for each segment.

    Keys and values are gathered for all segments at once, so that their gradients come back in one
    piece; one gather a segment would fill a tensor as large as the row for each.
    """
    paths = tree.once("paths", tree.trie.segment_paths)
    lengths = (tree.trie.end_S - tree.trie.start_S).tolist()
    nodes = tree.once("nodes", lambda: torch.from_numpy(np.concatenate(paths)).to(tree.device))
    # Added to the products: a mask of yes and no would be turned into one for every layer apart.
    dtype = compute_dtype(query)
    masks = tree.once(
        ("masks", window, dtype),
        lambda: [
            _added(_seen(length, len(path), window, tree.device), dtype)
            for length, path in zip(lengths, paths, strict=True)
        ],
    )
    reaches = [len(path) for path in paths]
    queries = torch.split(query, lengths, dim=2)
    keys, values = (torch.split(gather(x, 2, nodes), reaches, 2) for x in (key, value))
    grouped = query.shape[1] != key.shape[1]
    parts = [
        scaled_dot_product_attention(
            q, k, v, attn_mask=mask_LP, is_causal=mask_LP is None, scale=scale, enable_gqa=grouped
        )
        for q, k, v, mask_LP in zip(queries, keys, values, masks, strict=True)
    ]
    return torch.cat(parts, dim=2)


def _seen(length: int, reach: int, window: int | None, device: torch.device) -> Tensor | None:
    """Which nodes of its path each node of a segment sees, (L, P); None: those before it."""
    if reach == length and (window is None or window >= reach):
        return None
    at_L1 = torch.arange(reach - length, reach, device=device)[:, None]
    other_1P = torch.arange(reach, device=device)[None]
    seen_LP = other_1P <= at_L1
    return seen_LP if window is None else seen_LP & (at_L1 - other_1P < window)


def _added(seen_LP: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if seen_LP is None:
        return None
    return torch.zeros_like(seen_LP, dtype=dtype).masked_fill_(~seen_LP, -torch.inf)


def _dense(
    query: Tensor, key: Tensor, value: Tensor, tree: TreeRow, scale: float, window: int | None
) -> Tensor:
    mask_NN = tree.once(
        ("dense", window), lambda: torch.from_numpy(tree.trie.sees(window)).to(tree.device)
    )
    grouped = query.shape[1] != key.shape[1]
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask_NN, scale=scale, enable_gqa=grouped
    )


_WAYS: dict[str, Callable[..., Tensor]] = {
    "segments": _segments,
    "dense": _dense,
    "flex": attention_gpu.flex,
    "varlen": attention_gpu.varlen,
}
assert set(_WAYS) == set(get_args(Way))
