"""The model under adapters with its linear layers in 4 bits (QLoRA, arXiv 2305.14314).

bitsandbytes holds the weights of every linear layer but the output layer as NF4, 64 to a scale, and
the scales in 8 bits, 256 to one of their own; products are made in bfloat16. All the rest has the
type that is asked for. In float32 that is what peft's `prepare_model_for_kbit_training` makes of a
model: norms, embeddings and output layer in float32. Two more things that it does are not needed:
the base is frozen when adapters are put on, and checkpoints that are not re-entrant do without
gradients of the inputs.

Matrices that are no linear layers stay as they are. Models that hold much of their weights in such
(mixtures of experts, whose experts are one stack of matrices) are refused, as little would be
saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from murphy_agents import bitsandbytes_there, saved_adapters

Model = Any
"""A transformers causal language model, or a peft model around one: no common typed base."""

SETTINGS = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "bnb_4bit_compute_dtype": "bfloat16",
}
"""As transformers' `BitsAndBytesConfig` takes them."""
_MOST_WHOLE = 0.05
"""Share of the numbers in matrices that may stay as it is: routers, small convolutions."""


def check_installed() -> None:
    """Raise ValueError where bitsandbytes is not there, with the command that installs it."""
    bitsandbytes_there.refuse_without("load_in_4bit is set", "drop load_in_4bit")


def loading(name: str | Path, device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained` with which a model is quantised as it is read.

    Args:
        name: folder or hub name of the model, or folder of adapters upon one.
        device: where it goes, and where this is tried.

    Raises:
        ValueError: bitsandbytes is missing or does not work there, or the model is stored quantised
            already.
    """
    from transformers import BitsAndBytesConfig

    check_installed()
    refuse_stored(name)
    _try(device)
    make: Any = BitsAndBytesConfig  # untyped there
    return {"quantization_config": make(**SETTINGS), "device_map": {"": device}}


def refuse_stored(name: str | Path) -> None:
    """Raise ValueError for a model, or adapters upon one, whose weights are stored quantised."""
    base = saved_adapters.base_of(name)
    if (method := stored_as(base)) is not None:
        raise ValueError(
            f"load_in_4bit is set, and {base!r} is stored quantised already ({method}); name the "
            "model in full precision that it was made of"
        )


def stored_as(name: str | Path) -> str | None:
    """How the weights of a model are stored quantised; None: they are not."""
    from transformers import AutoConfig

    stored = getattr(AutoConfig.from_pretrained(name), "quantization_config", None)
    if stored is None:
        return None
    told = stored if isinstance(stored, Mapping) else stored.to_dict()
    return str(told.get("quant_method", "in a way of its own"))


def settle(model: Model) -> None:
    """Keep quantised weights as they are laid out.

    On processors with AVX512-BF16, bitsandbytes rewrites the weights of a layer at its first
    forward in evaluation mode: scales lose bits, and from then on no gradient passes through. A
    policy generates in evaluation mode and is trained after that.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def is_quantised(model: Model) -> bool:
    """Whether any of its linear layers is held in 4 bits."""
    return any(map(_holds_4bit, model.modules()))


def refuse_without_layers(model: Model, name: str | Path) -> None:
    """Raise ValueError for a model that was read in 4 bits and has nothing in them."""
    if not is_quantised(model):
        raise ValueError(
            f"load_in_4bit is set, and {str(name)!r} ({type(model).__name__}) has no linear layer "
            "that bitsandbytes quantises, so that nothing would be saved; drop it"
        )


def refuse_whole_matrices(model: Model, name: str | Path) -> None:
    """Raise ValueError for a model in 4 bits of which much is not in them, such as experts.

    Embeddings, the output layer and adapters aside; numbers in 4 bits lie two in a byte.

    Args:
        model: with its linear layers packed; on the device `meta` too.
        name: of it, for the error.
    """
    aside = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    if (output := model.get_output_embeddings()) is not None:
        aside.add(id(getattr(output, "base_layer", output).weight))
    matrices = {
        path: parameter
        for path, parameter in model.named_parameters()
        if parameter.ndim >= 2 and id(parameter) not in aside and ".lora_" not in path
    }
    whole = {path: p.numel() for path, p in matrices.items() if p.is_floating_point()}
    packed = sum(2 * p.numel() for path, p in matrices.items() if path not in whole)
    count = sum(whole.values())
    if count > _MOST_WHOLE * (count + packed):
        raise ValueError(
            f"load_in_4bit is set, and of {str(name)!r} ({type(model).__name__}) "
            f"{count / (count + packed):.0%} of the weights would stay whole ({count:,} numbers, "
            f"such as {max(whole, key=lambda path: whole[path])}): bitsandbytes quantises linear "
            "layers alone; drop it and set dtype bfloat16"
        )


def product_dtype(model: Model) -> torch.dtype | None:
    """The type that products of quantised layers are made in; None where there are none."""
    return next((m.compute_dtype for m in model.modules() if _holds_4bit(m)), None)


def _holds_4bit(module: nn.Module) -> bool:
    # By its name, as the library is imported only where it is used. Not `module.weight`, by which
    # layers with adapters give that of the layer within.
    return type(dict(module.named_parameters(recurse=False)).get("weight")).__name__ == "Params4bit"


def _try(device: torch.device) -> None:
    """Quantise a small layer and run it, which says more than a list of devices."""
    from bitsandbytes.nn import Linear4bit

    try:
        layer = Linear4bit(64, 64, compute_dtype=torch.bfloat16, quant_type="nf4").to(device)
        layer(torch.ones(1, 64, device=device))
    except Exception as error:  # whatever its back ends raise
        raise ValueError(
            f"load_in_4bit is set, and bitsandbytes does not work on {str(device)!r} here "
            f"({type(error).__name__}: {error}); train on another device, or drop load_in_4bit"
        ) from error
