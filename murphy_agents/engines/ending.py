"""Where a completion ends: at an end token, at a text that was asked for, or at its limit.

R: rows (samples), K: those of them that are looked at, M: most tokens of a completion, T: ids of a
tail, E: end tokens.
"""

# A tensor's name ends in its dimensions.

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Decode = Callable[[Sequence[int]], str]
_BROKEN = "\N{REPLACEMENT CHARACTER}"
IDS_PER_CHARACTER = 8
"""Ids that are looked at for each character of a stop text: one may take four, a byte each, and
special ids, which have no text, may stand between them."""


class Ending:
    """Tells which rows the id drawn last has ended.

    Args:
        eos_ids: end tokens.
        decode: ids to text.
        device: where the rows are.
    """

    def __init__(self, eos_ids: frozenset[int], decode: Decode, device: torch.device) -> None:
        self.device = device
        self._eos_E = torch.tensor(sorted(eos_ids), device=device)
        self._decode = decode
        self._text_of: dict[int, str] = {}

    def at_end_token(self, id_R: Tensor) -> Tensor:
        """Whether each row's id is an end token."""
        return torch.isin(id_R, self._eos_E)

    def at_stop_text(
        self, stops: Sequence[tuple[str, ...]], ids_RM: Tensor, num_R: Tensor, open_R: Tensor
    ) -> Tensor:
        """Whether the last of each open row's `num` ids has brought one of its stop texts."""
        found_R = torch.zeros_like(open_R)
        longest = max((len(stop) for row in stops for stop in row), default=0)
        last_R = ids_RM.gather(1, (num_R - 1).clamp(min=0)[:, None]).squeeze(1).tolist()
        rows = [
            row
            for row in open_R.nonzero().squeeze(-1).tolist()
            if self._may_bring(last_R[row], stops[row])
        ]
        if not rows:
            return found_R
        # Had there been one before, the row would have ended: only the tail is new.
        width = min(IDS_PER_CHARACTER * (longest + 1), ids_RM.shape[1])
        row_K = torch.tensor(rows, device=self.device)
        first_K = (num_R[row_K] - width).clamp(min=0)
        columns_KT = first_K[:, None] + torch.arange(width, device=self.device)
        tails, nums = ids_RM[row_K].gather(1, columns_KT).tolist(), num_R[row_K].tolist()
        for row, tail, num in zip(rows, tails, nums, strict=True):
            text = self._decode(tail[: min(num, width)])
            found_R[row] = any(stop in text for stop in stops[row])
        return found_R

    def _may_bring(self, last_id: int, stops: tuple[str, ...]) -> bool:
        """Whether a text can be there since this id is: the id brings the text's last character.

        Decoded alone, an id may lose a blank before it, or be part of a character.
        """
        if not stops:
            return False
        if last_id not in self._text_of:
            self._text_of[last_id] = self._decode([last_id])
        text = self._text_of[last_id]
        return _BROKEN in text or any(stop[-1] in text or stop[-1].isspace() for stop in stops)
