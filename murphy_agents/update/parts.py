"""Whether a model is made of parts that are known to be exact along a trie: read, not run.

In a trie a token's neighbours in the row are not those of its sequence, so all that reaches across
tokens must be attention that murphy computes itself, with the ancestors alone in sight, and all
that knows of places must read `position_ids`. A model passes if every part of it is of a known
kind; the first part that is not is named. No weight is read, so a model on the `meta` device is
judged like any other, and contexts of any length are.

Known to be exact: causal attention over the whole context or over a sliding window, called through
transformers' `AttentionInterface` with no more than a scale, a window, a dropout of 0 and the
keywords that the model was called with; rotary and learned positions read from `position_ids`;
layers that act on each token alone.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from torch import nn

from murphy_agents.update.attention_source import (
    AttentionCall,
    attention_call,
    first_arguments,
    forward_source,
    hands_keywords_on,
)

_LAYER_TYPES = ("full_attention", "sliding_attention")
_PASSED = frozenset({"dropout", "scaling", "sliding_window", "position_ids", "output_attentions"})
"""What a class may pass to the attention function; `dropout` is 0 for every model let through."""
_PER_TOKEN = re.compile(
    "(Norm|Norm1P|MLP|FFN|FeedForward|Mo[eE](Block|Layer|Statics)?|Experts|Router|Gate|Gating"
    "|WordEmbedding)$"
)
"""How the names of transformers' classes end that act on each token alone."""
_PLAIN = (
    nn.Linear,
    nn.Dropout,
    nn.Identity,
    nn.ModuleList,
    nn.ModuleDict,
    nn.ParameterList,
    nn.ParameterDict,
    nn.Sequential,
)
_PLAIN_SOURCES = ("transformers.activations", "transformers.pytorch_utils", "peft.")
"""Activations, a linear layer that keeps its matrix the other way round, and adapters, which act
where the layer acts that they are added to."""


def unknown_part(model: Any) -> str | None:
    """What of a model is not known to be exact along a trie, and why; None: all of it is known.

    Args:
        model: a transformers causal language model, or a peft model around one.

    Returns:
        One sentence that names the field, or the module with its path and class.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    for look in (_sight, _layers, _chunks, _forward, _rest):
        if obstacle := next(look(causal), None):
            return obstacle
    return None


def _sight(causal: Any) -> Iterator[str]:
    config = causal.config.get_text_config()
    if getattr(config, "use_bidirectional_attention", None):
        yield "config.use_bidirectional_attention is set: tokens see later ones"
    if config is not causal.config:
        yield (
            f"{type(causal).__name__} reads more than text, and its masks may look ahead; load "
            "the language model in it by itself"
        )


def _chunks(causal: Any) -> Iterator[str]:
    config = causal.config.get_text_config()
    if getattr(config, "attention_chunk_size", None):
        yield f"config.attention_chunk_size is {config.attention_chunk_size}: attention in chunks"


def _forward(causal: Any) -> Iterator[str]:
    if "position_ids" not in inspect.signature(causal.base_model.forward).parameters:
        yield (
            f"{type(causal.base_model).__name__} takes no position_ids, so that places in a trie "
            "cannot be told"
        )


def _layers(causal: Any) -> Iterator[str]:
    config, names = causal.config.get_text_config(), _names(causal)
    layers = _decoder_layers(causal)
    if layers is None:
        yield f"{type(causal.base_model).__name__} has no list of decoder layers that is known"
        return
    kinds = getattr(config, "layer_types", None) or [None] * len(layers)
    for index, (layer, kind) in enumerate(zip(layers, kinds, strict=True)):
        found = [module for module in layer.modules() if attention_call(type(module))]
        unknown = _unknown_in_layer(layer, found)
        if kind not in (None, *_LAYER_TYPES):
            culprit = _named([*unknown, *found, layer][0], names)
            known = " and ".join(_LAYER_TYPES)
            yield f"{culprit}: config.layer_types[{index}] is {kind!r}; known are {known}"
        for name, _ in _own_tensors(layer):
            yield f"{_named(layer, names)} holds {name!r} of its own, of unknown effect"
        for module in unknown:
            yield _not_known(module, names)
        if len(found) != 1:
            count = "no" if not found else len(found)
            yield (
                f"{_named(layer, names)} has {count} attention that goes through transformers' "
                "attention interface; known are layers with one"
            )
        for attention in found:
            yield from _on_the_way(causal, names[id(attention)])
            yield from _in_attention(attention, names, needs_window=_is_sliding(config, kind))


def _on_the_way(causal: Any, path: str) -> Iterator[str]:
    """The modules between the base model and an attention, which the trie comes through."""
    parts = path.split(".")
    above = [".".join(parts[:count]) for count in range(1, len(parts))]
    for name in above:
        module = causal.get_submodule(name)
        if not isinstance(module, nn.ModuleList) and not hands_keywords_on(type(module)):
            yield (
                f"{name} ({type(module).__name__}) hands no keywords on, so that the trie does not "
                "reach its attention"
            )


def _in_attention(attention: Any, names: dict[int, str], *, needs_window: bool) -> Iterator[str]:
    call = attention_call(type(attention)) or AttentionCall()
    said = _named(attention, names)
    config = getattr(attention, "config", None)
    harmless = {"softcap"} if getattr(config, "attn_logit_softcapping", None) is None else set()
    if not call.passes_rest:
        yield f"{said} hands no keywords on to its attention, so that the trie does not reach it"
    for name in sorted(call.named - _PASSED - harmless):
        yield f"{said} passes {name!r} to its attention, which is not supported along a trie"
    if call.changes_mask:
        yield f"{said} makes a mask of its own"
    if call.counts_positions:
        yield f"{said} counts positions itself instead of reading position_ids"
    if not getattr(attention, "is_causal", True):
        yield f"{said} is not causal: tokens see later ones"
    if needs_window and "sliding_window" not in call.named:
        yield f"{said} has a sliding window and does not pass it to its attention"
    for name, _ in _own_tensors(attention):
        yield (
            f"{said} holds {name!r} of its own, such as attention sinks or learned biases of "
            "positions"
        )


def _unknown_in_layer(layer: Any, attentions: list[Any]) -> list[Any]:
    known = {id(module) for module in (layer, *attentions)}
    return [
        module
        for module in layer.modules()
        if id(module) not in known and not _acts_per_token(module) and not _is_rotary(module)
    ]


def _rest(causal: Any) -> Iterator[str]:
    """What lies outside the layers: embeddings, positions, norms, the output layer."""
    names, layers = _names(causal), _decoder_layers(causal)
    inside = {id(module) for module in layers.modules()} if layers is not None else set()
    holders = _holders(causal, layers)
    for module in causal.modules():
        if id(module) in inside or id(module) in holders:
            continue
        if isinstance(module, nn.Embedding):
            if not _reads_ids(module, causal, names):
                yield (
                    f"{_named(module, names)} is an embedding that is not read with input_ids or "
                    "position_ids themselves"
                )
        elif not _acts_per_token(module) and not _is_rotary(module):
            yield _not_known(module, names)


def _not_known(module: Any, names: dict[int, str]) -> str:
    if "Attention" in type(module).__name__:
        return f"{_named(module, names)} does not go through transformers' attention interface"
    return (
        f"{_named(module, names)} is not known to act on each token alone: recurrent, "
        "state-space, convolutional and linear-attention layers carry what the row holds before"
    )


def _acts_per_token(module: Any) -> bool:
    cls = type(module)
    if cls.__module__.startswith("torch.nn.modules.activation"):
        return not isinstance(module, nn.MultiheadAttention)
    return (
        isinstance(module, _PLAIN)
        or cls.__module__.startswith(_PLAIN_SOURCES)
        or bool(_PER_TOKEN.search(cls.__name__))
    )


def _is_rotary(module: Any) -> bool:
    cls = type(module)
    return "Rotary" in cls.__name__ and "position_ids" in inspect.signature(cls.forward).parameters


def _reads_ids(embedding: Any, causal: Any, names: dict[int, str]) -> bool:
    """Whether the base model looks rows of the embedding up by ids that it is given."""
    inputs = causal.get_input_embeddings()
    if any(embedding is module for module in inputs.modules()):
        return True  # itself, or within the adapters that are around it
    if type(embedding) is not nn.Embedding:
        return False
    tree = forward_source(type(causal.base_model))
    read = first_arguments(tree, names[id(embedding)].rpartition(".")[2]) if tree else []
    return bool(read) and set(read) <= {"input_ids", "position_ids"}


def _is_sliding(config: Any, kind: str | None) -> bool:
    if kind is not None:
        return kind == "sliding_attention"
    return getattr(config, "sliding_window", None) is not None


def _decoder_layers(causal: Any) -> nn.ModuleList | None:
    """The list of as many modules as the config has layers."""
    number = getattr(causal.config.get_text_config(), "num_hidden_layers", None)
    lists = [module for module in causal.modules() if isinstance(module, nn.ModuleList)]
    return next((found for found in lists if len(found) == number), None)


def _holders(causal: Any, layers: Any) -> set[int]:
    """The modules that the layers lie in, the model itself among them."""
    return {id(module) for module in causal.modules() if layers in list(module.modules())}


def _own_tensors(module: Any) -> list[tuple[str, Any]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _names(causal: Any) -> dict[int, str]:
    return {id(module): name for name, module in causal.named_modules()}


def _named(module: Any, names: dict[int, str]) -> str:
    return f"{names[id(module)] or 'the model'} ({type(module).__name__})"
