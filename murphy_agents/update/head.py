"""The output layer on states that predict trained tokens: log-probs, entropies, chunk by chunk.

Logits are the largest tensors of an update by far: 152 k numbers a token, three to four times over
in autograd's hands. Here one chunk of them is alive at a time, and backward makes each chunk again
(a third more work in this layer), unless all fit in one.

Statistics are float32 at least, whatever the type of the weights; so is the sum over chunks that a
plain layer's gradient is.

Dimensions: U states, H hidden size, V vocabulary, N trained tokens, C states of a chunk of U.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from murphy_agents.update.precision import compute_dtype

MAX_LOGITS = 1 << 24
"""Most logits of a chunk: 64 MiB in float32, 110 states of a vocabulary of 152 k. Two or three
arrays of this size are held at once."""
MAX_LOGITS_CUDA = 1 << 27
"""The same on GPUs: every chunk reads the whole layer, so they have fewer and larger ones."""


@dataclass(frozen=True)
class Targets:
    """Which token each state is asked about: several of one state where tokens share their past."""

    state_N: Tensor
    """The state that predicts each token."""
    id_N: Tensor
    """The token's id."""


def score(
    head: Any, hidden_UH: Tensor, targets: Targets, temperature: float, with_entropy: bool
) -> tuple[Tensor, Tensor]:
    """Log-probability of each token under softmax(logits / temperature), and entropies.

    Args:
        head: the output layer. A plain `nn.Linear` is run by a function of its own; any other one
            (with adapters, or quantised) through its own forward, under checkpoints.
        hidden_UH: states.
        targets: what they are asked about.
        temperature: above 0.
        with_entropy: else the second result is the first one, detached.

    Returns:
        logp_N, differentiable, and entropy_N in nats, detached: float32, or float64 if the head is.
    """
    order = torch.argsort(targets.state_N, stable=True)
    asked = Targets(targets.state_N[order], targets.id_N[order])
    if type(head) is nn.Linear:
        run: Any = _Score.apply  # torch leaves it without types
        logp_N, entropy_N = run(
            hidden_UH, head.weight, head.bias, asked, temperature, with_entropy,
            torch.is_grad_enabled(),
        )  # fmt: skip
    else:
        logp_N, entropy_N = _through_module(head, hidden_UH, asked, temperature, with_entropy)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    return logp_N[back], entropy_N[back] if with_entropy else logp_N.detach()[back]


class _Score(torch.autograd.Function):
    """`score` for a linear layer; targets in the order of their states."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_UH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor | None,
        targets: Targets,
        temperature: float,
        with_entropy: bool,
        with_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        compute = compute_dtype(hidden_UH)
        cast = _cast(weight_VH, bias_V, compute)
        chunks = list(_chunks(targets, len(hidden_UH), len(weight_VH)))
        keep = with_gradient and len(chunks) == 1
        with torch.autocast(hidden_UH.device.type, enabled=False):
            parts = [
                _scored(_logits(hidden_UH[states], cast, temperature), asked, with_entropy, keep)
                for states, asked in chunks
            ]
        kept_UV = parts[0].probs_CV
        ctx.save_for_backward(hidden_UH, weight_VH, bias_V, targets.state_N, targets.id_N, kept_UV)
        ctx.temperature, ctx.compute = temperature, compute
        logp_N, entropy_N = (torch.cat(part) for part in list(zip(*parts, strict=True))[:2])
        ctx.mark_non_differentiable(entropy_N)
        return logp_N, entropy_N

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden_UH, weight_VH, bias_V, state_N, id_N, kept_UV = ctx.saved_tensors
        cast = _cast(weight_VH, bias_V, ctx.compute)
        totals = _Totals.of(ctx.needs_input_grad, hidden_UH, cast, gradients[0].dtype)
        tokens = 0
        for states, asked in _chunks(Targets(state_N, id_N), len(hidden_UH), len(weight_VH)):
            of_token_N = gradients[0][tokens : tokens + len(asked.id_N)] / ctx.temperature
            tokens += len(asked.id_N)
            if kept_UV is None:
                probs_CV = _logits(hidden_UH[states], cast, ctx.temperature).softmax(dim=-1)
                totals.add(states, _logit_gradient(probs_CV, asked, of_token_N, out=probs_CV))
                del probs_CV  # before the next chunk's are made
            else:
                totals.add(states, _logit_gradient(kept_UV, asked, of_token_N))
        return totals.hidden_UH, totals.weight_as(weight_VH), totals.bias_as(bias_V), *[None] * 4


class _Scores(NamedTuple):
    logp_N: Tensor
    entropy_N: Tensor
    probs_CV: Tensor | None


def _scored(logits_CV: Tensor, asked: Targets, with_entropy: bool, keep: bool) -> _Scores:
    """Overwrites the logits."""
    logp_CV = logits_CV.log_softmax(dim=-1)
    logp_N = logp_CV[asked.state_N, asked.id_N]
    if not with_entropy and not keep:
        return _Scores(logp_N, logp_N, None)
    probs_CV = torch.exp(logp_CV, out=logits_CV)
    entropy_N = -_row_dot(probs_CV, logp_CV)[asked.state_N] if with_entropy else logp_N
    return _Scores(logp_N, entropy_N, probs_CV if keep else None)


def _logit_gradient(
    probs_CV: Tensor, asked: Targets, of_token_N: Tensor, out: Tensor | None = None
) -> Tensor:
    """Gradient of a weighted sum of log-probs: each token's weight on itself, minus on average."""
    of_state_C = of_token_N.new_zeros(len(probs_CV)).index_add_(0, asked.state_N, of_token_N)
    grad_CV = torch.mul(probs_CV, -of_state_C[:, None], out=out)
    return grad_CV.index_put_((asked.state_N, asked.id_N), of_token_N, accumulate=True)


@dataclass
class _Totals:
    """Gradients of states, weight and bias, where they are asked for; chunks are added to them."""

    states_UH: Tensor
    cast: tuple[Tensor, Tensor | None]
    hidden_UH: Tensor | None
    weight_VH: Tensor | None
    bias_V: Tensor | None

    @classmethod
    def of(
        cls,
        asked: Sequence[bool],
        states_UH: Tensor,
        cast: tuple[Tensor, Tensor | None],
        wide: torch.dtype,
    ) -> _Totals:
        weight_VH, bias_V = cast
        return cls(
            states_UH,
            cast,
            torch.empty_like(states_UH) if asked[0] else None,
            torch.zeros_like(weight_VH, dtype=wide) if asked[1] else None,
            torch.zeros_like(bias_V, dtype=wide) if bias_V is not None and asked[2] else None,
        )

    def add(self, states: slice, grad_CV: Tensor) -> None:
        weight_VH, _ = self.cast
        if self.bias_V is not None:
            self.bias_V += grad_CV.sum(dim=0)
        grad_CV = grad_CV.to(weight_VH.dtype)
        if self.hidden_UH is not None:
            self.hidden_UH[states] = (grad_CV @ weight_VH).to(self.hidden_UH.dtype)
        if self.weight_VH is not None:
            _add_product(self.weight_VH, grad_CV, self.states_UH[states].to(weight_VH.dtype))

    def weight_as(self, weight_VH: Tensor) -> Tensor | None:
        return None if self.weight_VH is None else self.weight_VH.to(weight_VH.dtype)

    def bias_as(self, bias_V: Tensor | None) -> Tensor | None:
        return None if self.bias_V is None or bias_V is None else self.bias_V.to(bias_V.dtype)


def _add_product(total_VH: Tensor, grad_CV: Tensor, hidden_CH: Tensor) -> None:
    """Adds the product in the total's type: rounded chunk by chunk, the sum would drift."""
    if grad_CV.dtype == total_VH.dtype:
        total_VH.addmm_(grad_CV.T, hidden_CH)
    elif grad_CV.is_cuda:
        # A part of the vocabulary at a time: the product is a tensor of its own.
        parts = torch.split(total_VH, _PRODUCT_ROWS), torch.split(grad_CV, _PRODUCT_ROWS, dim=1)
        for part_VH, grad_CP in zip(*parts, strict=True):
            part_VH += torch.mm(grad_CP.T, hidden_CH, out_dtype=total_VH.dtype)
    else:
        total_VH.addmm_(grad_CV.T.to(total_VH.dtype), hidden_CH.to(total_VH.dtype))


def _cast(
    weight_VH: Tensor, bias_V: Tensor | None, compute: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    return weight_VH.to(compute), None if bias_V is None else bias_V.to(compute)


def _logits(hidden_CH: Tensor, cast: tuple[Tensor, Tensor | None], temperature: float) -> Tensor:
    """Logits / temperature, in a tensor of its own."""
    weight_VH, bias_V = cast
    logits_CV = nn.functional.linear(hidden_CH.to(weight_VH.dtype), weight_VH, bias_V)
    return logits_CV.to(_wide(logits_CV.dtype)).div_(temperature)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _row_dot(a_CV: Tensor, b_CV: Tensor) -> Tensor:
    # As a product of matrices it needs no third tensor of this size.
    return torch.bmm(a_CV[:, None], b_CV[:, :, None])[:, 0, 0]


_PRODUCT_ROWS = 1 << 14


def max_logits(device_type: str) -> int:
    """Most logits of a chunk on a device."""
    return MAX_LOGITS_CUDA if device_type == "cuda" else MAX_LOGITS


def _chunks(targets: Targets, num_states: int, vocabulary: int) -> Iterator[tuple[slice, Targets]]:
    """Ranges of states, and what is asked of each, counted from the range's first."""
    size = max(1, max_logits(targets.state_N.device.type) // vocabulary)
    starts = torch.arange(0, num_states + size, size, device=targets.state_N.device)
    bounds = torch.searchsorted(targets.state_N, starts).tolist()
    for number, (first, last) in enumerate(pairwise(bounds)):
        start = number * size
        yield (
            slice(start, start + size),
            Targets(targets.state_N[first:last] - start, targets.id_N[first:last]),
        )


def _vocabulary(head: Any) -> int:
    # The weights of a quantised layer need not have its shape.
    return getattr(head, "out_features", None) or len(head.weight)


def _through_module(
    head: Any, hidden_UH: Tensor, targets: Targets, temperature: float, with_entropy: bool
) -> tuple[Tensor, Tensor]:
    def scores(hidden_CH: Tensor, state_N: Tensor, id_N: Tensor) -> tuple[Tensor, Tensor]:
        logits_CV = head(hidden_CH)
        logp_CV = (logits_CV.to(_wide(logits_CV.dtype)) / temperature).log_softmax(dim=-1)
        with torch.no_grad():
            entropy_C = -_row_dot(logp_CV.exp(), logp_CV) if with_entropy else logp_CV[:, 0]
        return logp_CV[state_N, id_N], entropy_C[state_N]

    chunks = list(_chunks(targets, len(hidden_UH), _vocabulary(head)))
    parts = [
        checkpoint(
            scores, hidden_UH[states], asked.state_N, asked.id_N,
            use_reentrant=False, preserve_rng_state=False,
        )
        for states, asked in chunks
    ]  # fmt: skip
    return torch.cat([logp_N for logp_N, _ in parts]), torch.cat([e_N for _, e_N in parts])
