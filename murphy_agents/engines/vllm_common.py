"""What the engines on vLLM share: what it is asked for each sample, and what comes back.

vLLM draws by Gumbel noise from a generator of each request, so a sample is a request of its own,
with one seed; its own numbers `n > 1` as seed, seed + 1, ... and would need seeds wide apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from murphy_agents.codec import Codec
from murphy_agents.engines.protocol import Completion, FinishReason, Request

LOGPROBS_MODE = "processed_logprobs"
"""Log-probs of the distribution that is drawn from: at the temperature, within the nucleus. A
greedy sample's are those at temperature 1, as in `drawing`."""
LEAST_TEMPERATURE = 0.01
"""vLLM raises what is below, and then tells log-probs at another temperature than was asked."""
_MOST_SEED = 2**63 - 1


def check_drawable(request: Request) -> None:
    """Raise ValueError for what vLLM would draw in another way than it was asked to."""
    if 0 < request.params.temperature < LEAST_TEMPERATURE:
        raise ValueError(
            f"request {request.tag!r} has temperature {request.params.temperature}, which vLLM "
            f"raises to {LEAST_TEMPERATURE}; give 0 (greedy) or {LEAST_TEMPERATURE} and more"
        )
    if max(request.seeds) > _MOST_SEED:
        raise ValueError(
            f"request {request.tag!r} has the seed {max(request.seeds)}; vLLM takes seeds of 63 "
            "bits, so give numbers below 2**63"
        )


def drawing_fields(request: Request, index: int, eos_ids: Collection[int]) -> dict[str, Any]:
    """How one sample is drawn: keywords of `vllm.SamplingParams`, and keys of a server's JSON.

    Ends are named by id alone, so that it stops at ours and at nothing of its own.
    """
    params = request.params
    return {
        "n": 1,
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "seed": request.seeds[index],
        "stop": list(params.stop),
        "stop_token_ids": sorted(eos_ids),
        "ignore_eos": True,
        "logprobs": 0,  # of the sampled token, and of no other
    }


def end_ids(codec: Codec, generation_config: dict[str, Any] | None) -> frozenset[int]:
    """Ids that end a completion: the codec's and those of the model's generation config."""
    ids = (generation_config or {}).get("eos_token_id")
    return codec.eos_ids | frozenset([] if ids is None else [ids] if isinstance(ids, int) else ids)


def completion_of(
    request: Request,
    index: int,
    ids: Sequence[int],
    logprobs: Sequence[float],
    finish_reason: str,
    codec: Codec,
) -> Completion:
    """A finished sample.

    Raises:
        FloatingPointError: a log-probability is not finite.
        RuntimeError: vLLM ended it for a reason of its own, or its ids and log-probs do not match.
    """
    if finish_reason not in ("stop", "length") or not ids or len(ids) != len(logprobs):
        raise RuntimeError(
            f"vLLM ended completion {index} of request {request.tag!r} with {finish_reason!r} "
            f"after {len(ids)} ids with {len(logprobs)} log-probs; its log says why"
        )
    if not all(map(math.isfinite, logprobs)):
        raise FloatingPointError(
            f"the model gave a log-probability that is not finite in completion {index} of "
            f"request {request.tag!r}; its weights or its number format have overflowed"
        )
    reason: FinishReason = "stop" if finish_reason == "stop" else "length"
    text = codec.decode(ids)
    return Completion(request.tag, index, tuple(ids), tuple(logprobs), text, reason)


def repack_output_layers(model: Any) -> None:
    """Have vLLM's output layers take up weights that were reloaded; needed on a CPU alone.

    There vLLM multiplies by a packed copy of each weight. A reload packs anew whatever it loads,
    but an output layer that is tied to the embeddings loads nothing: its copy stays the old one.
    """
    from vllm.model_executor.layers.vocab_parallel_embedding import (
        ParallelLMHead,
        UnquantizedEmbeddingMethod,
    )

    for module in model.modules():
        if isinstance(module, ParallelLMHead):
            method = module.quant_method
            if isinstance(method, UnquantizedEmbeddingMethod):
                method.process_weights_after_loading(module)
