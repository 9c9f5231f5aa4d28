"""Whether a model's states along a trie are those of its sequences alone: told, or else tried.

Whatever carries something from token to token other than attention along the path would be wrong
along a trie: recurrent, state-space, convolutional and linear-attention layers, sinks, biases of
positions, attention of the model's own. Instead of knowing all models, a trie of two branches is
run both ways, and the first layer whose states differ is named. What so short a trie cannot show
(chunks, windows) is read from the config and from what layers ask of their attention.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from murphy_agents import quantised
from murphy_agents.evaluation_mode import evaluating
from murphy_agents.update.attention import Way, default_way
from murphy_agents.update.batch import Sample
from murphy_agents.update.layout import Layout, Packed, Padded

_KNOWN_LAYERS = ("full_attention", "sliding_attention")
_SHARED, _BRANCHES = (3, 4, 5, 6, 7, 3, 5), ((4, 6, 3, 7, 5, 6), (7, 3, 3, 6, 4))
"""A trie whose second branch stands behind the first in the row, and must not see it."""
_FAR = {torch.bfloat16: (0.03, 0.15)}
"""Distance of a state, as a share of its size, that rounding in one layer does not explain, and in
all layers; for wider types `_FAR_WIDE`. In between, it may at most treble from layer to layer."""
_FAR_WIDE = (1e-4, 1e-3)
_tried: WeakKeyDictionary[nn.Module, dict[Any, str | None]] = WeakKeyDictionary()


def packing_obstacle(
    model: Any, way: Way | None = None, autocast: torch.dtype | None = None
) -> str | None:
    """Why the model cannot be run along a trie, with the layer named; None: it can.

    Each model is tried once for a way, a device and types, with a forward for each of two short
    sequences and one for both. On the `meta` device it is judged by its config alone.

    Args:
        model: a transformers causal language model, or a peft model around one.
        way: how attention is done; None: as the device asks for.
        autocast: half precision of the updates; None: none.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    if _device(causal).type == "meta":
        return _told(causal)
    weight, tried = causal.get_input_embeddings().weight, _tried.setdefault(causal, {})
    key = (way or default_way(weight.device.type), weight.device, weight.dtype, autocast)
    if key not in tried:
        tried[key] = _told(causal) or _shown(causal, way, autocast)
    return tried[key]


def settled_layout(
    model: Any, layout: Layout, way: Way | None = None, autocast: torch.dtype | None = None
) -> Layout:
    """The layout to use with a model: "padded" in place of "auto" where there is an obstacle.

    Arguments as for `packing_obstacle`.

    Raises:
        ValueError: the layout is "trie", and there is an obstacle.
    """
    obstacle = None if layout == "padded" else packing_obstacle(model, way, autocast)
    if obstacle is None:
        return layout
    if layout == "trie":
        raise ValueError(f"layout is 'trie', but {obstacle}; use layout 'padded'")
    warnings.warn(
        f"completions are padded, and what they share is run again for each: {obstacle}",
        stacklevel=2,
    )
    return "padded"


def _told(causal: Any) -> str | None:
    """What the config tells."""
    config = causal.config.get_text_config()
    for index, kind in enumerate(getattr(config, "layer_types", None) or ()):
        if kind not in _KNOWN_LAYERS:
            known = " and ".join(_KNOWN_LAYERS)
            layer = dict(enumerate(_layers(causal))).get(index, ("a layer", None))
            return f"{_said(*layer)}: config.layer_types[{index}] is {kind!r}; known are {known}"
    for name in ("attention_chunk_size", "use_bidirectional_attention"):
        if getattr(config, name, None):
            return f"config.{name} is {getattr(config, name)!r}, which a trie does not follow"
    return None


def _shown(causal: Any, way: Way | None, autocast: torch.dtype | None) -> str | None:
    """What running a small trie shows."""
    device = _device(causal)
    if way == "flex" and device.type == "cpu":
        return "tree_attention 'flex' has no backward on CPUs"
    samples = [Sample(_SHARED, branch, 1.0, 1.0) for branch in _BRANCHES]
    packed = Packed(samples, way)
    half = torch.autocast(device.type, autocast) if autocast is not None else nullcontext()
    with torch.no_grad(), evaluating(causal), half:
        alone = [_outputs(causal, Padded([sample])) for sample in samples]
        with packed.attention(causal), _entered(causal) as entered:
            try:
                along = _outputs(causal, packed)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # whatever it makes of a row that it does not understand
                return f"{entered[-1]} fails on a trie with {type(error).__name__}: {error}"
    if not along:
        return f"{type(causal.base_model).__name__} has no list of decoder layers to look at"
    narrowest, before = autocast or quantised.product_dtype(causal), 0.0
    for name, states_MH in along.items():
        apart = max(
            _distance(states_MH[torch.from_numpy(path)], own[name])
            for path, own in zip(packed.trie.paths, alone, strict=True)
        )
        once, most = _FAR.get(narrowest or states_MH.dtype, _FAR_WIDE)
        if not apart <= min(max(once, 3 * before), most):
            return f"{name} gives other states along a trie than for a sequence alone"
        before = apart
    if _has_windows(causal) and packed.windows <= {None}:
        return "config.sliding_window is set, but no layer passes a window to its attention"
    return None


def _outputs(causal: Any, part: Padded | Packed) -> dict[str, Tensor]:
    """States after each layer, position by position, by the layers' names."""
    found: dict[str, Tensor] = {}

    def keep(said: str, output: Any) -> None:
        found[said] = (output[0] if isinstance(output, tuple | list) else output).squeeze(0)

    hooks = []
    for name, layer in _layers(causal):
        said = _said(name, layer)
        hooks.append(layer.register_forward_hook(lambda _, __, output, s=said: keep(s, output)))
    try:
        part.states(causal)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def _entered(causal: Any) -> Iterator[list[str]]:
    """The modules with parts of their own that were entered, in order."""
    names = [type(causal).__name__]
    hooks = []
    for name, module in causal.named_modules():
        if any(True for _ in module.children()):
            said = _said(name, module)
            hooks.append(module.register_forward_pre_hook(lambda _, __, s=said: names.append(s)))
    try:
        yield names
    finally:
        for hook in hooks:
            hook.remove()


def _layers(causal: Any) -> Iterator[tuple[str, Any]]:
    """Name and module of each decoder layer; none if they are not found."""
    number = getattr(causal.config.get_text_config(), "num_hidden_layers", None)
    for name, module in causal.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == number:
            yield from ((f"{name}.{index}", layer) for index, layer in enumerate(module))
            return


def _said(name: str, layer: Any) -> str:
    return f"{name} ({type(layer).__name__})" if layer is not None else name


def _distance(one_TH: Tensor, other_TH: Tensor) -> float:
    """Of the position that is furthest off."""
    one_TH, other_TH = one_TH.double(), other_TH.double()
    return float(((one_TH - other_TH).norm(dim=-1) / other_TH.norm(dim=-1)).max())


def _has_windows(causal: Any) -> bool:
    config = causal.config.get_text_config()
    if (kinds := getattr(config, "layer_types", None)) is not None:
        return "sliding_attention" in kinds
    used = getattr(config, "use_sliding_window", True)
    return bool(used and getattr(config, "sliding_window", None))


def _device(causal: Any) -> torch.device:
    device: torch.device = causal.get_input_embeddings().weight.device
    return device
