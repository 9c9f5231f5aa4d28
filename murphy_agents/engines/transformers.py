"""The engine that samples from a `transformers` model in this process, the very one in training.

No weights are synchronised: what is trained is what speaks. Against `generate` it saves three
things: each distinct prompt is read once for all its samples, and what prompts begin with alike is
read once for them; finished samples leave the batch; the cache grows in place. Samples may join
while others are half done.

The distribution is softmax(logits / temperature), cut to the nucleus where top_p < 1; `drawing`
says how a sample's random numbers are its own. In float64 a sample comes out the same whatever is
drawn beside it; in float32 and below, rounding differs with the shape of the batch, and where two
tokens are nearly tied another one may be drawn. The same requests in the same order always give
the same bits on a CPU.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Hashable
from typing import Any

import torch

from murphy_agents.codec import Codec
from murphy_agents.engines.decoding import DecodingBatch, Finished, Sample
from murphy_agents.engines.ending import Ending
from murphy_agents.engines.intake import check_ids, check_request, refuse_in_flight
from murphy_agents.engines.protocol import (
    Completion,
    EngineStats,
    Request,
    Weights,
)
from murphy_agents.evaluation_mode import evaluating

MAX_BATCH_ROWS = 512
"""Completions that are decoded together, unless told otherwise."""
ADMISSION_SHARE = 0.25
"""Waiting samples join a running batch when they are this many of it: joining copies the cache."""
_KEEPS_ALL = {"full_attention", "sliding_attention"}


class TransformersEngine:
    """Samples in batches of as many rows as the budget allows.

    Change the weights only while nothing is in flight: a cache holds what the old ones read.

    Args:
        model: a causal language model of `transformers`, or one wrapped by PEFT (adapters as they
            are set). Runs where it is, in evaluation mode, and gets its mode back.
        codec: its `eos_ids` end a completion, as do those of the model's generation config.
        context_length: most ids of prompt and completion; None: the model's.
        max_batch_rows: samples decoded together at most.
        max_batch_tokens: columns of their cache, rows times longest row; bounds the memory. One
            sample is decoded even if it passes it alone.
        max_prefill_tokens: prompt ids read in one forward, padding included.

    Raises:
        ValueError: the model has layers whose state cannot be shared and trimmed by columns, or
            its attention has no finite mask for padding.
    """

    def __init__(
        self,
        model: Any,
        codec: Codec,
        *,
        context_length: int | None = None,
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_batch_tokens: int = 1 << 18,
        max_prefill_tokens: int = 1 << 13,
    ) -> None:
        _check_layers(model.config)
        _check_attention(model)
        self.context_length: int = context_length or model.config.max_position_embeddings
        self.stats = EngineStats()
        self.version = 0
        self._model = model
        self._codec = codec
        ending = Ending(codec.eos_ids | _eos_ids(model), codec.decode, model.device)
        self._max_rows = max_batch_rows
        self._max_tokens = max_batch_tokens
        self._batch = DecodingBatch(model, ending, max_prefill_tokens)
        self._waiting: deque[Sample] = deque()
        self._tags: dict[Hashable, int] = {}

    def submit(self, request: Request) -> None:
        """Queue a request; raises ValueError for one that cannot be served, see `Engine`."""
        check_request(request, self.context_length, self._tags)
        check_ids(request, self._model.config.vocab_size)
        self._tags[request.tag] = len(request.seeds)
        self._waiting += [Sample(request, index) for index in range(len(request.seeds))]

    def poll(self, timeout: float | None = None) -> list[Completion]:
        """Decode until something finishes or time is up; [] if nothing is in flight."""
        started, finished = time.perf_counter(), list[Finished]()
        with evaluating(self._model), torch.no_grad():
            while not finished and (self._waiting or self._batch.samples):
                if admitted := self._next_to_admit():
                    finished += self._admit(admitted)
                else:
                    finished += self._batch.step()
                if timeout is not None and time.perf_counter() - started >= timeout:
                    break
        completions = [self._completion(f) for f in finished]
        self.stats.seconds += time.perf_counter() - started
        return completions

    def sync(self, weights: Weights) -> None:
        """Take note of the version; the model in training is the one that speaks."""
        refuse_in_flight(self._tags)
        self.version = weights.version

    def abort(self) -> None:
        """Forget all that is in flight."""
        self._waiting.clear()
        self._tags.clear()
        self._batch.clear()

    def close(self) -> None:
        """The model is not the engine's, so there is nothing to free."""

    def _next_to_admit(self) -> list[Sample]:
        """The samples at the head of the queue that the budget takes, if they are worth a join."""
        running = self._batch.samples
        taken: list[Sample] = []
        widest = max((s.width for s in running), default=0)
        for sample in self._waiting:
            rows, widest = len(running) + len(taken) + 1, max(widest, sample.width)
            fits = rows <= self._max_rows and rows * widest <= self._max_tokens
            if not fits and rows > 1:
                break
            taken.append(sample)
        return taken if len(taken) >= ADMISSION_SHARE * len(running) else []

    def _admit(self, samples: list[Sample]) -> list[Finished]:
        for _ in samples:
            self._waiting.popleft()
        self.stats.prompt_tokens += sum(len(s.request.prompt_ids) for s in samples)
        before = self._batch.num_read
        finished = self._batch.admit(samples)
        self.stats.prefilled_tokens += self._batch.num_read - before
        return finished

    def _completion(self, finished: Finished) -> Completion:
        (request, index), ids, logprobs, reason = finished
        if not all(map(math.isfinite, logprobs)):
            raise FloatingPointError(
                f"the model gave a log-probability that is not finite in completion {index} of "
                f"request {request.tag!r}; its weights or its number format have overflowed"
            )
        self.stats.generated_tokens += len(ids)
        self._tags[request.tag] -= 1
        if not self._tags[request.tag]:
            del self._tags[request.tag]
        return Completion(request.tag, index, ids, logprobs, self._codec.decode(ids), reason)


def _eos_ids(model: Any) -> frozenset[int]:
    config = getattr(model, "generation_config", None)
    ids = getattr(config, "eos_token_id", None)
    return frozenset([] if ids is None else [ids] if isinstance(ids, int) else ids)


def _check_layers(config: Any) -> None:
    kinds = set(getattr(config, "layer_types", None) or ()) - _KEEPS_ALL
    if kinds:
        raise ValueError(
            f"the model has layers of the kinds {sorted(kinds)}, whose cache is not one column for "
            "each id; sample from it with the vLLM engine"
        )


def _check_attention(model: Any) -> None:
    # Its softmax is in float32, where the smallest float64, which masks padding, is -inf.
    if model.dtype == torch.float64 and model.config._attn_implementation == "eager":
        raise ValueError(
            "the model is float64 with attn_implementation='eager', which gives NaN for padded "
            "prompts; load it with attn_implementation='sdpa'"
        )
