"""Where a completion ends: at an end token, at a text that was asked for, or at its limit.

R: rows (samples), M: most tokens of a completion, E: end tokens.
"""

# A tensor's name ends in its dimensions.

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Decode = Callable[[Sequence[int]], str]
IDS_PER_CHARACTER = 4
"""A character may be as many ids: one for each byte of UTF-8."""


class Ending:
    """Tells which rows the id drawn last has ended.

    Args:
        eos_ids: end tokens.
        decode: ids to text.
        device: where the rows are.
    """

    def __init__(self, eos_ids: frozenset[int], decode: Decode, device: torch.device) -> None:
        self.eos_ids = eos_ids
        self.device = device
        self._eos_E = torch.tensor(sorted(eos_ids), device=device)
        self._decode = decode

    def ended(self, id_R: Tensor, num_R: Tensor, limit_R: Tensor) -> Tensor:
        """Whether each row's id is an end token, or its `num` ids are all that it may have."""
        return torch.isin(id_R, self._eos_E) | (num_R == limit_R)

    def at_stop(
        self, stops: Sequence[tuple[str, ...]], ids_RM: Tensor, num_R: Tensor, live_R: Tensor
    ) -> Tensor:
        """Whether the last of each live row's `num` ids has brought one of its stop texts."""
        found_R = torch.zeros_like(live_R)
        for row in live_R.nonzero().squeeze(-1).tolist():
            if stops[row]:
                # Had there been one before, the row would have ended: only the tail is new.
                tail = IDS_PER_CHARACTER * (max(map(len, stops[row])) + 1)
                num = int(num_R[row])
                text = self._decode(ids_RM[row, max(0, num - tail) : num].tolist())
                found_R[row] = any(stop in text for stop in stops[row])
        return found_R

    def is_stop(self, ids: Sequence[int], text: str, stops: tuple[str, ...]) -> bool:
        """Whether a finished completion was ended by itself, not by its limit."""
        return ids[-1] in self.eos_ids or any(stop in text for stop in stops)
