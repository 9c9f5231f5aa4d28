"""Adapters merged into their base: a whole model with the same log-probs.

Merging adds each adapter's product to the weights of its layer, in the type that the base is read
in, float32 at least. What that changes is measured on a few ids, before anything is rounded: it is
a lot where weights of a layer are used elsewhere too (an output layer that is the embeddings).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from murphy_agents import quantised
from murphy_agents.evaluation_mode import evaluating

Dtype = Literal["float32", "bfloat16", "float16", "float64"]
_FAR = {torch.float32: 1e-3, torch.float64: 1e-9}
"""Distance of log-probs that rounding does not explain."""
_PROBE_IDS = 16


@dataclass(frozen=True)
class Merged:
    """A model that holds its adapters within, and how far its log-probs are from theirs."""

    model: Any
    distance: float
    """Largest, of all tokens of the vocabulary after each id of a probe; after rounding."""


def merge(adapters: Path, base: str, dtype: Dtype) -> Merged:
    """Read a base and adapters, and make one model of them.

    Args:
        adapters: their folder.
        base: folder or hub name of the model that they are merged into.
        dtype: of the result. It is merged in float64 if this is float64, else in float32.

    Raises:
        ValueError: the base is stored quantised, or does not fit the adapters; or the merged model
            is another one.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if (method := quantised.stored_as(base)) is not None:
        raise ValueError(
            f"{base!r} is stored quantised ({method}), too coarse to take adapters in; give --base "
            "with the model in full precision that it was made of"
        )
    wide = torch.float64 if dtype == "float64" else torch.float32
    bare = AutoModelForCausalLM.from_pretrained(base, dtype=wide)
    try:
        model: Any = PeftModel.from_pretrained(bare, str(adapters))
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"the adapters in {adapters} do not fit {base!r}: {error}") from error
    before = _logprobs(model)
    model = model.merge_and_unload()
    if not (far := _distance(_logprobs(model), before)) <= _FAR[wide]:
        raise ValueError(
            f"merged, the model's log-probs are up to {far:.2g} from those with adapters, as where "
            "weights of a layer are used elsewhere too; export without --merge"
        )
    model.to(getattr(torch, dtype))
    rounded = _distance(_logprobs(model), before)
    if not math.isfinite(rounded):
        raise ValueError(f"in {dtype} the model's log-probs are not finite; choose another dtype")
    return Merged(model, rounded)


def _logprobs(model: Any) -> torch.Tensor:
    vocabulary = model.config.get_text_config().vocab_size
    ids = (7 * torch.arange(_PROBE_IDS) + 3) % vocabulary
    with torch.no_grad(), evaluating(model):
        logits = model(input_ids=ids[None], use_cache=False).logits[0]
    return torch.as_tensor(logits.double().log_softmax(-1))


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())
