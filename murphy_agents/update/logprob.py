"""Log-probabilities of trained tokens: the seam between samples and the model.

Whoever calls `trained_logprobs` gets one flat tensor over all trained tokens, sample after sample,
and does not learn how the model was run; `layout` knows.

Dimensions: N trained tokens, U states that predict them, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from torch import Tensor

from murphy_agents.update.batch import Sample
from murphy_agents.update.head import score
from murphy_agents.update.layout import MicroBatch, Padded
from murphy_agents.update.requirements import Model

Samples = Sequence[Sample] | MicroBatch


@overload
def trained_logprobs(
    model: Model, samples: Samples, temperature: float, with_entropy: Literal[False] = ...
) -> Tensor: ...
@overload
def trained_logprobs(
    model: Model, samples: Samples, temperature: float, with_entropy: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def trained_logprobs(
    model: Model, samples: Samples, temperature: float, with_entropy: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Log-probability of each completion token given all ids before it, at `temperature`.

    Args:
        model: a causal language model that `requirements.check_model` lets through.
        samples: at least one; a plain sequence is padded, `layout.micro_batches` lays out others.
            With gradient checkpointing, call `backward` within `samples.attention(model)`.
        temperature: the sampling temperature T; probabilities are softmax(logits / T).
        with_entropy: also give the entropy of each token's distribution, in nats, detached.

    Returns:
        logp_N, differentiable, float32 (float64 if the model is); with entropy (logp_N, entropy_N).
        Tokens in the order of the samples, each sample's in its own order.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; training needs one above 0")
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    part = Padded(samples) if isinstance(samples, Sequence) else samples
    with part.attention(causal):
        hidden_UH, targets = part.states(causal)
    logp_N, entropy_N = score(
        causal.get_output_embeddings(), hidden_UH, targets, temperature, with_entropy
    )
    return (logp_N, entropy_N) if with_entropy else logp_N
