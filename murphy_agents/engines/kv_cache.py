"""The key-value cache of a decoding batch: grows in place, loses rows and columns, takes in others.

Every row's ids are aligned to the right, so that all rows write the same next column; the columns
before a row's first id are padding, which the attention mask hides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

SMALLEST_GROWTH = 64
"""Columns of room that a layer is given at least."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # the library's subclass hook
    """Keys and values of one layer, with room behind them; the library's copies all at every id.

    A sliding-window layer keeps every column too: its mask hides what lies outside the window.
    """

    # The library has these optional, None until the first ids are read.
    keys: Any
    values: Any
    _key_store: Tensor
    _value_store: Tensor

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append states (rows, heads, ids, width) and return all."""
        if not self.is_initialized:
            self.hold(key_states, value_states, key_states.shape[-2])
            return self.keys, self.values
        old, new = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if new > self._key_store.shape[-2]:
            room = max(SMALLEST_GROWTH, old // 4, new - old)
            self._key_store = _with_room(self.keys, room)
            self._value_store = _with_room(self.values, room)
        self._key_store[:, :, old:new] = key_states
        self._value_store[:, :, old:new] = value_states
        self.hold(self._key_store, self._value_store, new)
        return self.keys, self.values

    def hold(self, key_store: Tensor, value_store: Tensor, length: int) -> None:
        """Use this storage, whose first `length` columns are written."""
        if not self.is_initialized:
            self.lazy_initialization(key_store, value_store)
        self._key_store, self._value_store = key_store, value_store
        self.keys, self.values = key_store[:, :, :length], value_store[:, :, :length]

    def let_go(self) -> None:
        """Free the storage; the layer is of no use after that."""
        del self.keys, self.values, self._key_store, self._value_store


class Part(NamedTuple):
    """Rows to be taken out of a cache."""

    cache: Any
    rows: Tensor
    """int64, which rows, in which order; one may come many times."""
    skip: int
    """Leading columns that are padding in all of these rows."""


def new_cache() -> Cache:
    """An empty cache, for prompts."""
    return Cache(layer_class_to_replicate=GrowingLayer)


def merge(parts: Sequence[Part]) -> Cache:
    """One cache with the rows of all parts, which are used up: layer by layer, to spare memory."""
    return Cache(layers=[_merge_layer(parts, i) for i in range(len(parts[0].cache.layers))])


def _merge_layer(parts: Sequence[Part], index: int) -> GrowingLayer:
    layers: list[GrowingLayer] = [part.cache.layers[index] for part in parts]
    lengths = [layer.keys.shape[-2] - p.skip for layer, p in zip(layers, parts, strict=True)]
    num_rows, longest = sum(len(part.rows) for part in parts), max(lengths)
    keys, values = (
        # Zeros, since a hidden column still counts zero times its value, and zero times NaN is NaN.
        states.new_zeros(num_rows, states.shape[1], longest + SMALLEST_GROWTH, states.shape[3])
        for states in (layers[0].keys, layers[0].values)
    )
    first = 0
    for layer, part, length in zip(layers, parts, lengths, strict=True):
        here = slice(first, first + len(part.rows)), slice(None), slice(longest - length, longest)
        keys[here] = layer.keys[part.rows, :, part.skip :]
        values[here] = layer.values[part.rows, :, part.skip :]
        first += len(part.rows)
        layer.let_go()
    merged = GrowingLayer()  # type: ignore[no-untyped-call]
    merged.hold(keys, values, longest)
    return merged


def beginnings(
    cache: Any, rows: Sequence[int], starts: Sequence[int], lengths: Sequence[int], room: int
) -> Cache:
    """A cache of beginnings of rows of another: P rows, each `lengths` columns from its `starts`.

    Args:
        cache: is left as it is.
        rows: which row each is taken from; one may come many times.
        starts: its first column there.
        lengths: how many columns; 0 for none. Short ones are padded on the left.
        room: columns that will follow.
    """
    first = cache.layers[0].keys
    row_P, start_P, length_P = (
        torch.tensor(list(values), device=first.device) for values in (rows, starts, lengths)
    )
    width = int(length_P.max())
    within_PW = torch.arange(width, device=first.device) - (width - length_P)[:, None]
    column_PW = (start_P[:, None] + within_PW).clamp(min=0)
    padding_PW = (within_PW < 0)[:, None, :, None]
    layers: list[Any] = []
    for old in cache.layers:
        layer = GrowingLayer()  # type: ignore[no-untyped-call]
        keys, values = (
            _with_room(
                states[row_P[:, None], :, column_PW].transpose(1, 2).masked_fill(padding_PW, 0),
                room,
            )
            for states in (old.keys, old.values)
        )
        layer.hold(keys, values, width)
        layers.append(layer)
    return Cache(layers=layers)


def _with_room(states: Tensor, room: int) -> Tensor:
    rows, heads, length, width = states.shape
    grown = states.new_zeros(rows, heads, length + room, width)
    grown[:, :, :length] = states
    return grown
