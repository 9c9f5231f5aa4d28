"""The batch of samples in decoding: takes some in, draws a token for each, lets finished ones go.

R: rows (samples), P: distinct prompts, L: ids read of each, T: ids read at once, C: columns of the
cache, M: most tokens of a completion, V: vocabulary.
"""

# A tensor's name ends in its dimensions.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from murphy_agents.engines.drawing import Rule, draw, uniforms
from murphy_agents.engines.ending import Ending
from murphy_agents.engines.kv_cache import Part, beginnings, merge, new_cache
from murphy_agents.engines.protocol import FinishReason, Request
from murphy_agents.engines.reading import Chunk, chunks

DEAD_SHARE = 0.25
"""Share of finished rows at which they are cut out: later wastes work on them, earlier copies."""


class Sample(NamedTuple):
    """One completion to be drawn."""

    request: Request
    seed_index: int

    @property
    def width(self) -> int:
        """Most columns that it can come to need."""
        return len(self.request.prompt_ids) + self.request.params.max_tokens


class Finished(NamedTuple):
    """One completion drawn."""

    sample: Sample
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    reason: FinishReason


@dataclass
class _Rows:
    """What is known of each row: `samples` is a list, the others are tensors over R first."""

    samples: list[Sample]
    length_R: Tensor
    """Ids in the cache."""
    next_R: Tensor
    """The id drawn last, which is not yet in the cache."""
    drawn_R: Tensor
    """Column of `ids_RM` that is to be written next."""
    limit_R: Tensor
    live_R: Tensor
    temperature_R: Tensor
    top_p_R: Tensor
    uniform_RM: Tensor
    ids_RM: Tensor
    logprob_RM: Tensor

    def __post_init__(self) -> None:
        params = [sample.request.params for sample in self.samples]
        greedy = any(p.temperature == 0 for p in params)
        nucleus = any(p.top_p < 1 for p in params)
        self.rule = Rule(self.temperature_R, self.top_p_R, greedy, nucleus)
        self.stops = [p.stop for p in params]

    @classmethod
    def starting(cls, samples: list[Sample], device: torch.device) -> _Rows:
        params = [sample.request.params for sample in samples]
        most = max(p.max_tokens for p in params)
        uniform = np.zeros((len(samples), most))
        for row, (request, index) in enumerate(samples):
            count = request.params.max_tokens
            uniform[row, :count] = uniforms(request.seeds[index], count)

        def column(values: list[Any], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)

        zeros_R = column([0] * len(samples), torch.int64)
        return cls(
            samples=samples,
            length_R=column([len(s.request.prompt_ids) for s in samples], torch.int64),
            next_R=zeros_R,
            drawn_R=zeros_R.clone(),
            limit_R=column([p.max_tokens for p in params], torch.int64),
            live_R=torch.ones_like(zeros_R, dtype=torch.bool),
            temperature_R=column([p.temperature for p in params], torch.float64),
            top_p_R=column([p.top_p for p in params], torch.float64),
            uniform_RM=torch.from_numpy(uniform).to(device),
            ids_RM=zeros_R.new_zeros(len(samples), most),
            logprob_RM=torch.zeros(len(samples), most, dtype=torch.float64, device=device),
        )

    def live(self) -> Tensor:
        """Indices of the rows that go on."""
        return self.live_R.nonzero().squeeze(-1)

    def select(self, rows_R: Tensor) -> _Rows:
        samples = [self.samples[i] for i in rows_R.tolist()]
        return _Rows(samples, *(tensor[rows_R] for tensor in self._tensors()))

    @classmethod
    def joined(cls, parts: Sequence[_Rows]) -> _Rows:
        samples = [sample for part in parts for sample in part.samples]
        columns = zip(*(part._tensors() for part in parts), strict=True)
        return cls(samples, *(_stack(tensors) for tensors in columns))

    def record(self, logits_RV: Tensor, ending: Ending) -> list[Finished]:
        """Draw the next id of every row; returns the rows that it finished."""
        at_R1 = self.drawn_R[:, None]
        uniform_R = self.uniform_RM.gather(1, at_R1).squeeze(1)
        self.next_R, logprob_R = draw(logits_RV, uniform_R, self.rule)
        self.ids_RM.scatter_(1, at_R1, self.next_R[:, None])
        self.logprob_RM.scatter_(1, at_R1, logprob_R[:, None])
        num_R = self.drawn_R + 1
        by_itself_R = ending.at_end_token(self.next_R)
        if any(self.stops):
            open_R = self.live_R & ~by_itself_R
            by_itself_R |= ending.at_stop_text(self.stops, self.ids_RM, num_R, open_R)
        at_end_R = by_itself_R | (num_R == self.limit_R)
        ended_R = self.live_R & at_end_R
        self.live_R &= ~ended_R
        self.drawn_R += self.live_R
        return list(self._finished(ended_R.nonzero().squeeze(-1), by_itself_R))

    def _finished(self, rows_R: Tensor, by_itself_R: Tensor) -> Iterator[Finished]:
        if not len(rows_R):
            return
        told = (self.drawn_R, self.ids_RM, self.logprob_RM, by_itself_R)
        columns = (t[rows_R].tolist() for t in told)
        for row, last, ids, logprobs, by_itself in zip(rows_R.tolist(), *columns, strict=True):
            done = slice(0, last + 1)
            drawn = tuple(ids[done]), tuple(logprobs[done])
            yield Finished(self.samples[row], *drawn, "stop" if by_itself else "length")

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, f.name) for f in fields(self)[1:]]


class DecodingBatch:
    """The rows in decoding, their cache, and the model that reads them.

    Args:
        model: a causal language model of `transformers`, or one wrapped by PEFT.
        ending: tells where a completion ends.
        max_prefill_tokens: prompt ids, padding included, that are read in one forward.
    """

    def __init__(self, model: Any, ending: Ending, max_prefill_tokens: int) -> None:
        self._model = model
        self._ending = ending
        self._max_prefill_tokens = max_prefill_tokens
        self._rows: _Rows | None = None
        self._cache = new_cache()
        self.samples: list[Sample] = []
        """Samples that are not finished."""
        self.num_read = 0
        """Ids of prompts that the model has read so far."""

    def admit(self, samples: Sequence[Sample]) -> list[Finished]:
        """Read each distinct prompt once and draw the first id of every sample."""
        finished: list[Finished] = []
        parts = self._parts_of_live_rows()
        for chunk in chunks({s.request.prompt_ids for s in samples}, self._max_prefill_tokens):
            cache, logits_PV = self._read(chunk)
            place = {prompt: i for i, prompt in enumerate(chunk.prompts)}
            taken = [s for s in samples if s.request.prompt_ids in place]
            prompt_R = torch.tensor(
                [place[s.request.prompt_ids] for s in taken], device=self._ending.device
            )
            rows = _Rows.starting(taken, self._ending.device)
            finished += rows.record(logits_PV[prompt_R], self._ending)
            live_R = rows.live()
            if len(live_R):
                part_rows = rows.select(live_R)
                skip = cache.get_seq_length() - int(part_rows.length_R.max())
                parts.append((part_rows, Part(cache, prompt_R[live_R], skip)))
        self._hold(parts)
        return finished

    def clear(self) -> None:
        """Let go of all samples."""
        self._hold([])

    def step(self) -> list[Finished]:
        """Draw the next id of every sample."""
        rows = self._rows
        if rows is None:
            return []
        num_columns = self._cache.get_seq_length() + 1
        logits_RV = self._forward(
            rows.next_R[:, None],
            rows.length_R[:, None],
            rows.length_R + 1,
            num_columns,
            self._cache,
        )
        rows.length_R += 1
        finished = rows.record(logits_RV, self._ending)
        self._drop(finished)
        return finished

    def _drop(self, finished: Sequence[Finished]) -> None:
        assert self._rows is not None
        gone = {id(f.sample) for f in finished}
        self.samples = [s for s in self.samples if id(s) not in gone] if gone else self.samples
        if len(self.samples) <= (1 - DEAD_SHARE) * len(self._rows.samples):
            self._hold(self._parts_of_live_rows())

    def _parts_of_live_rows(self) -> list[tuple[_Rows, Part]]:
        if self._rows is None or not self.samples:
            return []
        live_R = self._rows.live()
        rows = self._rows.select(live_R)
        skip = self._cache.get_seq_length() - int(rows.length_R.max())
        return [(rows, Part(self._cache, live_R, skip))]

    def _hold(self, parts: Sequence[tuple[_Rows, Part]]) -> None:
        self._rows = _Rows.joined([rows for rows, _ in parts]) if parts else None
        self._cache = merge([part for _, part in parts]) if parts else new_cache()
        self.samples = list(self._rows.samples) if self._rows is not None else []

    def _read(self, chunk: Chunk) -> tuple[Any, Tensor]:
        """The cache of a chunk's prompts and the logits (P, V) of what follows each."""
        self.num_read += chunk.num_ids
        cache, width = new_cache(), chunk.width
        # A stem is gone on from where the ids that are read begin, which may be before its end.
        kept = [max(0, len(prompt) - width) for prompt in chunk.prompts]
        if any(kept):
            stems = chunk.stems
            longest, row_of = max(map(len, stems)), {stem: i for i, stem in enumerate(stems)}
            stem_cache, _ = self._run(new_cache(), stems, [0] * len(stems), longest)
            # Where a prompt has no stem, nothing of any row is kept.
            rows = [row_of.get(stem, 0) for stem in chunk.stem_of]
            starts = [longest - len(stems[row]) for row in rows]
            cache = beginnings(stem_cache, rows, starts, kept, room=width)
            del stem_cache
        return self._run(cache, chunk.prompts, kept, width)

    def _run(
        self, cache: Any, prompts: Sequence[tuple[int, ...]], kept: Sequence[int], width: int
    ) -> tuple[Any, Tensor]:
        """Read what the cache has not kept of each prompt, `width` ids at most."""
        device = self._ending.device
        rest = [prompt[have:] for prompt, have in zip(prompts, kept, strict=True)]
        padded = [(0,) * (width - len(ids)) + tuple(ids) for ids in rest]
        length_P = torch.tensor([len(prompt) for prompt in prompts], device=device)
        columns_L = torch.arange(width, device=device)
        position_PL = (columns_L - (width - length_P)[:, None]).clamp(min=0)
        num_columns = cache.get_seq_length() + width
        ids_PL = torch.tensor(padded, device=device)
        return cache, self._forward(ids_PL, position_PL, length_P, num_columns, cache)

    def _forward(
        self, ids_RT: Tensor, position_RT: Tensor, length_R: Tensor, num_columns: int, cache: Any
    ) -> Tensor:
        """Logits (R, V) after the last of the ids, which are added to the cache.

        Rows are `length_R` of `num_columns` long with these ids, the rest on the left is padding.
        """
        columns_C = torch.arange(num_columns, device=ids_RT.device)
        output = self._model(
            input_ids=ids_RT,
            attention_mask=columns_C >= (num_columns - length_R)[:, None],
            position_ids=position_RT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits_RV: Tensor = output.logits[:, -1]
        return logits_RV


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    """Below each other, the narrow ones padded with zeros on the right."""
    if tensors[0].ndim == 1:
        return torch.cat(list(tensors))
    width = max(tensor.shape[1] for tensor in tensors)
    return torch.cat([F.pad(tensor, (0, width - tensor.shape[1])) for tensor in tensors])
