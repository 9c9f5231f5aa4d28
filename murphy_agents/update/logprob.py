"""Log-probabilities of trained tokens: the seam between samples and the model.

Whoever calls `trained_logprobs` gets one flat tensor over all trained tokens, sample after sample,
and does not learn how the model was run. Here every sample is a right-padded row of its own; a
layout that forwards shared prefixes once fits behind the same function.

Dimensions: B sequences, T positions, H hidden size, V vocabulary, N trained tokens, C rows of a
chunk of N.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from murphy_agents.update.batch import Sample
from murphy_agents.update.requirements import Model

MAX_LOGITS = 1 << 26
"""Most logits held at once: 256 MiB in float32, 441 tokens of a vocabulary of 152 k."""


@overload
def trained_logprobs(
    model: Model, samples: Sequence[Sample], temperature: float, with_entropy: Literal[False] = ...
) -> Tensor: ...
@overload
def trained_logprobs(
    model: Model, samples: Sequence[Sample], temperature: float, with_entropy: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def trained_logprobs(
    model: Model, samples: Sequence[Sample], temperature: float, with_entropy: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Log-probability of each completion token given all ids before it, at `temperature`.

    Args:
        model: a causal language model that `requirements.check_model` lets through.
        samples: at least one.
        temperature: the sampling temperature T; probabilities are softmax(logits / T).
        with_entropy: also give the entropy of each token's distribution, in nats, detached.

    Returns:
        logp_N, differentiable, float32 (float64 if the model is); with entropy (logp_N, entropy_N).
        Tokens in the order of `samples`, each sample's in its own order.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; training needs one above 0")
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    rows = _pad(samples, causal.get_input_embeddings().weight.device)
    hidden_BTH = causal.base_model(
        input_ids=rows.ids_BT,
        attention_mask=rows.attended_BT,
        position_ids=rows.position_BT,
        use_cache=False,
    ).last_hidden_state
    # The state at t predicts the token at t + 1.
    hidden_NH = hidden_BTH[:, :-1][rows.trained_BT[:, 1:]]
    target_N = rows.ids_BT[:, 1:][rows.trained_BT[:, 1:]]
    logp_N, entropy_N = _score(
        causal.get_output_embeddings(), hidden_NH, target_N, temperature, with_entropy
    )
    return (logp_N, entropy_N) if with_entropy else logp_N


def forwarded_tokens(samples: Sequence[Sample]) -> int:
    """Positions that `trained_logprobs` runs the model on for these samples, padding included."""
    return len(samples) * max(sample.num_ids for sample in samples)


class _Rows(NamedTuple):
    ids_BT: Tensor
    attended_BT: Tensor
    position_BT: Tensor
    trained_BT: Tensor


def _pad(samples: Sequence[Sample], device: torch.device) -> _Rows:
    num_positions = max(sample.num_ids for sample in samples)
    ids_BT = torch.zeros(len(samples), num_positions, dtype=torch.long)
    attended_BT = torch.zeros_like(ids_BT)
    trained_BT = torch.zeros_like(ids_BT, dtype=torch.bool)
    for row, sample in enumerate(samples):
        ids_BT[row, : sample.num_ids] = torch.tensor(sample.prompt_ids + sample.completion_ids)
        attended_BT[row, : sample.num_ids] = 1
        trained_BT[row, len(sample.prompt_ids) : sample.num_ids] = True
    position_BT = torch.arange(num_positions).expand_as(ids_BT)
    return _Rows(*(t.to(device) for t in (ids_BT, attended_BT, position_BT, trained_BT)))


def _score(
    head: Any, hidden_NH: Tensor, target_N: Tensor, temperature: float, with_entropy: bool
) -> tuple[Tensor, Tensor]:
    """Runs the head a chunk at a time; a second chunk makes backward recompute each one's logits.

    The logits of a long batch are its largest tensors by far: 152 k numbers a token, three to four
    times over until backward. Recomputing them costs a third more time in the head and keeps one
    chunk alive at a time.
    """

    def scores(hidden_CH: Tensor, target_C: Tensor) -> tuple[Tensor, Tensor]:
        logits_CV = head(hidden_CH)
        wide = torch.float64 if logits_CV.dtype == torch.float64 else torch.float32
        logp_CV = (logits_CV.to(wide) / temperature).log_softmax(dim=-1)
        logp_C = logp_CV.gather(1, target_C[:, None])[:, 0]
        with torch.no_grad():
            entropy_C = -(logp_CV.exp() * logp_CV).sum(dim=-1) if with_entropy else logp_C.detach()
        return logp_C, entropy_C

    size = max(1, MAX_LOGITS // head.weight.shape[0])
    chunks = list(zip(torch.split(hidden_NH, size), torch.split(target_N, size), strict=True))
    if len(chunks) == 1:
        return scores(*chunks[0])
    parts = [
        checkpoint(scores, *chunk, use_reentrant=False, preserve_rng_state=False)
        for chunk in chunks
    ]
    return torch.cat([logp_C for logp_C, _ in parts]), torch.cat([e_C for _, e_C in parts])
