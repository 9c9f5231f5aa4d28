"""Published sizes of models, as data, so that no hub is asked; and configs of any other model.

The numbers are those of `config.json` of the repositories on the Hugging Face hub that the keys
name, base and instruction-tuned models alike. The counts of parameters that they add up to are the
published ones, which a test holds them against.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from murphy_agents.dry_run import hub

_QWEN3 = {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "head_dim": 128,
    "num_key_value_heads": 8,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}
_OLMO2 = {
    "model_type": "olmo2",
    "vocab_size": 100352,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}


def _sizes(
    family: dict[str, Any], hidden: int, intermediate: int, layers: int, heads: int, **more: Any
) -> dict[str, Any]:
    return {
        "num_key_value_heads": heads,
        **family,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        **more,
    }


KNOWN: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-0.6B": _sizes(_QWEN3, 1024, 3072, 28, 16),
    "Qwen/Qwen3-1.7B": _sizes(_QWEN3, 2048, 6144, 28, 16),
    "Qwen/Qwen3-4B": _sizes(_QWEN3, 2560, 9728, 36, 32),
    "Qwen/Qwen3-8B": _sizes(_QWEN3, 4096, 12288, 36, 32, tie_word_embeddings=False),
    "allenai/OLMo-2-0425-1B": _sizes(_OLMO2, 2048, 8192, 16, 16),
    "allenai/OLMo-2-1124-7B": _sizes(_OLMO2, 4096, 11008, 32, 32),
}


def config_of(name: str) -> Any:
    """The config of a model in a folder, of one whose sizes stand here, or of one on the hub.

    Raises:
        ValueError: it is none of these, or the hub cannot be reached.
    """
    from transformers import AutoConfig

    if name in KNOWN and not Path(name).exists():
        return AutoConfig.for_model(**KNOWN[name])
    with ExitStack() as held:
        trouble = None
        if not Path(name).exists() and not hub.is_switched_off() and (trouble := hub.trouble()):
            held.enter_context(hub.cache_alone())
        try:
            return AutoConfig.from_pretrained(name)
        except (OSError, ValueError) as error:
            why = trouble or str(error).splitlines()[0]
            raise ValueError(
                f"model {name!r} has no config to be read ({why}); give a folder, a hub name, or "
                f"one of {', '.join(KNOWN)}"
            ) from error
