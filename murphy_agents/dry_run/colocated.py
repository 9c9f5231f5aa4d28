"""What vLLM takes on the card that the model trains on: plain arithmetic, as vLLM counts.

vLLM is told a share of the card, `vllm_gpu_memory_utilization`, and takes all of it for as long as
the run lasts: its own copy of the weights, what a step of it needs for a moment, and of the rest
blocks of cache. It refuses to start where the cache cannot hold one completion of the greatest
length that it allows, `vllm_max_model_length`.

Counted as vLLM 0.32 does; what it needs for a moment is from its code and was not measured:

* a forward of `max_num_batched_tokens` ids: two of the hidden width and three of the feed-forward
  part's for each, in vLLM's type
* logits of `max_num_seqs` completions: its own type, float32, what the nucleus keeps, log-probs,
  probabilities and noise, `LOGIT_BYTES` in all
* `LIBRARIES_BYTES` for CUDA graphs and the workspaces of libraries
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from murphy_agents.dry_run.memory import GIB, Part, Shape, token_bytes

BLOCK_TOKENS = 16
"""Ids of a block of cache on GPUs, the least that a completion takes."""
OWN_BLOCKS = 1
"""Blocks that vLLM keeps for itself."""
LOGIT_BYTES = 24
LIBRARIES_BYTES = 3 * GIB / 2
LARGE_CARD_BYTES = 70 * GIB
"""From here on vLLM takes larger batches, unless the card is an A100."""
STEP = 0.01
"""Shares are advised in steps of this size."""


@dataclass(frozen=True)
class Need:
    """What vLLM has to hold."""

    shape: Shape
    weight_bytes: int
    """Of its own copy of the model, adapters left out."""
    adapter_bytes: int
    """Of room for one set of adapters."""
    number_bytes: int
    """Of one number in its type."""
    row_tokens: int
    """Most ids of a completion of the run, prompt included."""
    longest_tokens: int
    """Most ids that it allows a completion."""
    utilization: float
    """Its share of the card."""
    block_tokens: int = BLOCK_TOKENS

    def parts(self, card_bytes: float) -> list[Part]:
        """What it holds beside the cache."""
        tokens, rows = _batch(card_bytes)
        forward = tokens * (2 * self.shape.hidden + 3 * self.shape.intermediate)
        listed = [
            Part("weights", self.weight_bytes, f"its own copy, {self.number_bytes} bytes a number"),
            Part("adapters", self.adapter_bytes, "one set, in the type of the weights"),
            Part("forward", forward * self.number_bytes, f"{tokens:,} ids at a time"),
            Part("drawing", rows * self.shape.vocab * LOGIT_BYTES, f"{rows:,} rows at a time"),
            Part("libraries", LIBRARIES_BYTES, "assumed: CUDA graphs, workspaces"),
        ]
        return [part for part in listed if part.num_bytes]

    def fixed_bytes(self, card_bytes: float) -> float:
        """What it holds beside the cache, in all."""
        return sum(part.num_bytes for part in self.parts(card_bytes))

    def num_blocks(self, cache_bytes: float) -> int:
        """Blocks of so large a cache."""
        return max(0, int(cache_bytes // self._block_bytes))

    def rows(self, cache_bytes: float) -> int:
        """Completions of the run that such a cache holds at a time, each alone with its prompt.

        0 too where vLLM would not start. Completions that share a prompt share its blocks, so that
        more of them fit.
        """
        free = self.num_blocks(cache_bytes) - OWN_BLOCKS
        if free < self._blocks_of(self.longest_tokens):
            return 0
        return free // self._blocks_of(self.row_tokens)

    def cache_bytes(self, rows: int) -> int:
        """The smallest cache that holds so many, and with which vLLM starts."""
        held = rows * self._blocks_of(self.row_tokens), self._blocks_of(self.longest_tokens)
        return (OWN_BLOCKS + max(held)) * self._block_bytes

    def smallest_share(self, card_bytes: float, rows: int = 1) -> float:
        """The smallest share of a card that holds it and so many rows; above 1 if none does."""
        least = self.fixed_bytes(card_bytes) + self.cache_bytes(rows)
        return round(math.ceil(round(least / card_bytes / STEP, 6)) * STEP, 2)

    def shortened(self) -> Need:
        """The same, where no completion may be longer than the longest of the run."""
        return replace(self, longest_tokens=self.row_tokens)

    @property
    def _block_bytes(self) -> int:
        return self.block_tokens * token_bytes(self.shape, self.number_bytes)

    def _blocks_of(self, tokens: int) -> int:
        return -(-tokens // self.block_tokens)


def largest_share(card_bytes: float, left_bytes: float) -> float:
    """The largest share of a card that takes no more than is left; 0 if there is none."""
    return round(max(0, math.floor(round(left_bytes / card_bytes / STEP, 6))) * STEP, 2)


def most_rows(card_bytes: float) -> int:
    """Completions that vLLM draws at a time, however large its cache."""
    return _batch(card_bytes)[1]


def _batch(card_bytes: float) -> tuple[int, int]:
    """Ids of a forward and completions at a time, vLLM's defaults on a card of this size."""
    return (16384, 1024) if card_bytes >= LARGE_CARD_BYTES else (8192, 256)
