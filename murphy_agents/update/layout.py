"""How the samples of a micro-batch are laid out for the model, and which of them share one.

Two layouts give the same states:

* `Padded`: each sample a right-padded row. The reference that everything else is tested against.
* `Packed`: each distinct prefix of token ids once, as one row with attention along a trie. A tree
  of attempts repeats what it has in its prompts three to five times; here it is run once.

`micro_batches` cuts samples into micro-batches under a budget of positions, in the layout asked for
or, by default, in the one that costs less.

Dimensions: B samples, T positions, N trained tokens, U states that predict them, M nodes of a trie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from murphy_agents.update.attention import TreeRow, Way, default_way, no_mask, rows_of_tries
from murphy_agents.update.batch import Sample, split
from murphy_agents.update.head import Targets
from murphy_agents.update.plan import rows
from murphy_agents.update.trie import Trie, build

Layout = Literal["auto", "trie", "padded"]
SEGMENT_COST = 10
"""Positions that a segment costs on top of its own: a call of attention in every layer. For a model
of 0.2 M parameters on a CPU it is 2 to 4, for larger ones less; more is asked for so that the trie
is not taken for the sake of a few positions."""


class MicroBatch(Protocol):
    """Samples that go through the model together."""

    samples: Sequence[Sample]

    @property
    def num_positions(self) -> int:
        """How many the model is run on, padding included."""

    def attention(self, causal: Any) -> AbstractContextManager[None]:
        """What `states` needs of the model; a backward that recomputes layers needs it too."""

    def states(self, causal: Any) -> tuple[Tensor, Targets]:
        """Last hidden states that predict trained tokens, (U, H), and which token each is for.

        Tokens in the order of the samples, each sample's in its own.
        """


@dataclass
class Padded:
    """A row for each sample, filled up on the right to the longest."""

    samples: Sequence[Sample]

    @property
    def num_positions(self) -> int:
        """Padding included."""
        return len(self.samples) * max(sample.num_ids for sample in self.samples)

    def attention(self, causal: Any) -> AbstractContextManager[None]:
        """Nothing: the model's own."""
        return nullcontext()

    def states(self, causal: Any) -> tuple[Tensor, Targets]:
        """See `MicroBatch`."""
        device = _device(causal)
        num_positions = max(sample.num_ids for sample in self.samples)
        ids_BT = torch.zeros(len(self.samples), num_positions, dtype=torch.long)
        attended_BT = torch.zeros_like(ids_BT)
        trained_BT = torch.zeros_like(ids_BT, dtype=torch.bool)
        for row, sample in enumerate(self.samples):
            ids_BT[row, : sample.num_ids] = torch.tensor(sample.prompt_ids + sample.completion_ids)
            attended_BT[row, : sample.num_ids] = 1
            trained_BT[row, len(sample.prompt_ids) : sample.num_ids] = True
        hidden_BTH = causal.base_model(
            input_ids=ids_BT.to(device),
            attention_mask=attended_BT.to(device),
            position_ids=torch.arange(num_positions, device=device).expand_as(ids_BT),
            use_cache=False,
        ).last_hidden_state
        # The state at t predicts the token at t + 1.
        id_N = ids_BT[:, 1:][trained_BT[:, 1:]].to(device)
        hidden_NH = hidden_BTH[:, :-1][trained_BT[:, 1:].to(device)]
        return hidden_NH, Targets(torch.arange(len(id_N), device=device), id_N)


@dataclass
class Packed:
    """Each distinct prefix once, in one row."""

    samples: Sequence[Sample]
    way: Way | None = None
    """How attention is done; None: as the device asks for."""
    _rows: dict[torch.device, TreeRow] = field(default_factory=dict, repr=False)
    _entered: int = field(default=0, repr=False)
    """How many `attention` contexts are open, one in the other."""

    @cached_property
    def trie(self) -> Trie:
        """Of the samples' ids."""
        return build([sample.prompt_ids + sample.completion_ids for sample in self.samples])

    @property
    def num_positions(self) -> int:
        """Nodes of the trie."""
        return len(self.trie)

    @contextmanager
    def attention(self, causal: Any) -> Iterator[None]:
        """Attention along a trie. Masks are forgotten afterwards: many batches may be waiting."""
        self._entered += 1
        try:
            with rows_of_tries(causal):
                yield
        finally:
            self._entered -= 1
            for row in self._rows.values() if not self._entered else ():
                row.drop_masks()

    def states(self, causal: Any) -> tuple[Tensor, Targets]:
        """See `MicroBatch`."""
        row = self._row(_device(causal))
        ids_1M, position_1M, state_U, state_N, id_N = row.once("inputs", lambda: self._inputs(row))
        hidden_1MH = causal.base_model(
            input_ids=ids_1M,
            position_ids=position_1M,
            attention_mask=no_mask(row.device),
            use_cache=False,
            tree=row,
        ).last_hidden_state
        return hidden_1MH[0].index_select(0, state_U), Targets(state_N, id_N)

    @property
    def windows(self) -> set[int | None]:
        """The windows that layers asked for so far."""
        return set().union(*(row.windows for row in self._rows.values()))

    def _row(self, device: torch.device) -> TreeRow:
        if device not in self._rows:
            self._rows[device] = TreeRow(self.trie, device, self.way or default_way(device.type))
        return self._rows[device]

    def _inputs(self, row: TreeRow) -> tuple[Tensor, ...]:
        trie = self.trie
        trained_N = np.concatenate(
            [
                path[len(sample.prompt_ids) :]
                for path, sample in zip(trie.paths, self.samples, strict=True)
            ]
        )
        # The node before predicts; siblings' first tokens have one such node in common.
        state_U, state_N = np.unique(trie.parent_N[trained_N], return_inverse=True)
        arrays = (trie.ids_N[None], trie.depth_N[None], state_U, state_N, trie.ids_N[trained_N])
        return tuple(torch.from_numpy(array).to(row.device) for array in arrays)


def micro_batches(
    samples: Sequence[Sample],
    token_budget: int,
    layout: Layout = "auto",
    way: Way | None = None,
) -> list[MicroBatch]:
    """All samples, in micro-batches of at most `token_budget` positions.

    A sample longer than the budget has a micro-batch of its own: nothing is dropped. Weights stay
    as they are, so that losses of micro-batches add up to the batch's.

    Args:
        samples: at least one.
        token_budget: most positions of a micro-batch; bounds memory, changes no gradient.
        layout: "auto" takes the trie unless padding costs less, as it can where samples are short
            and share little.
        way: how attention along a trie is done; None: as the device asks for.

    Raises:
        ValueError: the budget is below 1.
    """
    padded: list[MicroBatch] = [Padded(part) for part in split(samples, token_budget)]
    if layout == "padded":
        return padded
    ids = [sample.prompt_ids + sample.completion_ids for sample in samples]
    packed = [Packed([samples[i] for i in row], way) for row in rows(ids, token_budget)]
    if layout == "trie" or _cost(packed) <= sum(part.num_positions for part in padded):
        return [*packed]
    return padded


def _cost(packed: Sequence[Packed]) -> int:
    return sum(part.num_positions + SEGMENT_COST * len(part.trie.start_S) for part in packed)


def _device(causal: Any) -> torch.device:
    device: torch.device = causal.get_input_embeddings().weight.device
    return device
