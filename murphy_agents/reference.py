"""The frozen copy that KL is measured from, as small as updates under autocast allow.

Autocast rounds the weights of every linear layer to half precision before it multiplies. A copy
whose linear weights were rounded once, and are held so, gives the same bits in half the memory, and
spares the rounding at every forward. What autocast leaves in float32 stays float32: embeddings, the
output layers tied to them, norms; and biases, which are small.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def frozen_copy(model: Any, half: torch.dtype | None = None) -> Any:
    """A copy of a model that asks for no gradient.

    Args:
        model: is left as it is.
        half: hold the weights of linear layers in this type. Only for forwards under autocast of
            this type, outside of which such a layer refuses float32 input. None: as in the model.
            Weights of another type than float32 stay as they are, since autocast does not touch
            float64 and has nothing to win from half precision.
    """
    rounded: dict[int, Any] = {}
    if half is not None:
        # `deepcopy` takes what is in its memo for the copy, so that no float32 copy is made first.
        rounded = {
            id(weight): nn.Parameter(weight.detach().to(half), requires_grad=False)
            for weight in _weights_autocast_rounds(model)
        }
    return copy.deepcopy(model, rounded).requires_grad_(False)


def refuse_without_autocast(half: torch.dtype, device_type: str) -> None:
    """Raise ValueError if linear layers are not run in `half` here."""
    if not torch.is_autocast_enabled(device_type):
        found = "there is none here"
    elif (dtype := torch.get_autocast_dtype(device_type)) != half:
        found = f"here it is of {dtype}"
    else:
        return
    raise ValueError(
        f"the reference holds its linear layers in {half} and gives its log-probs under autocast "
        f"of that type alone, and {found}; set UpdateSettings.autocast_dtype to it, or make the "
        "policy with reference_dtype=None"
    )


def _weights_autocast_rounds(model: Any) -> list[torch.Tensor]:
    """float32 weights that plain linear layers alone hold."""
    linear: dict[int, torch.Tensor] = {}
    elsewhere: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            # A subclass may do with its weight what it likes.
            if type(module) is nn.Linear and parameter is module.weight:
                linear[id(parameter)] = parameter
            else:
                elsewhere.add(id(parameter))
    return [
        parameter
        for key, parameter in linear.items()
        if key not in elsewhere and parameter.dtype == torch.float32
    ]
