"""One update: a batch in, a changed policy and what to log of it out.

Micro-batch by micro-batch: log-probs of the policy and of the reference, loss, backward; then one
clipped optimizer step. With `num_iterations` > 1 the same batch is gone through again, against the
old and reference log-probs kept from the first pass: that pass ends before the first step, so it
saw every sample under the policy that the rollouts stand for, and no separate pass is needed.

Dimensions: N trained tokens of a micro-batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from murphy_agents.update.attention import Way
from murphy_agents.update.batch import Batch, Sample
from murphy_agents.update.correction import Correction
from murphy_agents.update.layout import Layout, MicroBatch, micro_batches
from murphy_agents.update.logprob import trained_logprobs
from murphy_agents.update.loss import murphy_loss
from murphy_agents.update.packable import settled_layout
from murphy_agents.update.surrogate import Surrogate, by_token


class TrainablePolicy(Protocol):
    """What an update needs of `murphy_agents.policy.Policy`, which lives a floor above."""

    model: Any

    def reference(self) -> AbstractContextManager[Any]:
        """Within it, the model whose log-probs the KL penalty compares with."""

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """What the optimizer changes."""


@dataclass(frozen=True)
class UpdateSettings:
    """How an update is made; names as in TRL's GRPOConfig where the meaning is the same."""

    temperature: float = 1.0
    """The sampling temperature."""
    epsilon: float = 0.2
    beta: float = 0.04
    """Coefficient of the KL penalty; 0: the reference is never run."""
    max_grad_norm: float = 1.0
    num_iterations: int = 1
    """Optimizer steps per batch."""
    token_budget: int = 16384
    """Most positions of a micro-batch, padding included; bounds memory, changes no gradient."""
    layout: Layout = "auto"
    """How samples are laid out for the model: see `murphy_agents.update.layout`. "auto" pads with a
    warning where a trie would be wrong, see `murphy_agents.update.packable`."""
    tree_attention: Way | None = None
    """How attention along a trie is done; None: as the device asks for."""
    autocast_dtype: torch.dtype | None = None
    """Half precision for the matrix products of a float32 model; None: none."""
    epsilon_high: float | None = None
    """None: as `epsilon`."""
    surrogate: Surrogate = by_token
    """How the ratio enters the loss."""
    correction: Correction | None = None
    """For the distance of the sampler's probabilities to the policy's; None: none."""

    def __post_init__(self) -> None:
        if self.num_iterations < 1:
            raise ValueError(f"num_iterations is {self.num_iterations}; give at least 1")
        if not self.max_grad_norm > 0:
            raise ValueError(
                f"max_grad_norm is {self.max_grad_norm}; give one above 0, or float('inf') for none"
            )
        for name in ("epsilon", "epsilon_high", "beta"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} is {value}; give 0 or more")
        choices = {"layout": get_args(Layout), "tree_attention": (None, *get_args(Way))}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {known}")
        if self.autocast_dtype == torch.float16:
            raise ValueError(
                "autocast_dtype is torch.float16, in which small gradients vanish: weights per "
                "token are far below 1, and the loss is not scaled; use torch.bfloat16"
            )


def update(
    policy: TrainablePolicy,
    batch: Batch,
    optimizer: Optimizer,
    settings: UpdateSettings | None = None,
    scheduler: LRScheduler | None = None,
) -> dict[str, float]:
    """Changes the policy by `num_iterations` optimizer steps on a batch; leaves it in eval mode.

    Args:
        policy: model, reference and trainable parameters.
        batch: see `make_batch`.
        optimizer: over the policy's trainable parameters.
        settings: default: the paper's.
        scheduler: moved on once per optimizer step.

    Returns:
        Means over the trained tokens (`kl`, `ratio`, `clip_share`, `entropy`), `loss`, `grad_norm`
        (before clipping), all averaged over the iterations; `sampler_gap`, the mean distance to the
        log-probs that came with the samples, where they came; with a correction, the mean of its
        factors (`importance_ratio`) and the share that its cap changed (`importance_cut_share`);
        counts of one pass: `trained_tokens`, `forwarded_tokens` (padding included),
        `skipped_samples`; and `optimizer_steps`: 0, with no means beside it, where there was
        nothing to train.

    Raises:
        ValueError: samples are to be corrected and came without log-probs, or to be laid out as a
            trie with a model that cannot be; nothing was done.
        FloatingPointError: the gradient is not finite; no step was taken with it.
    """
    settings = settings or UpdateSettings()
    if settings.correction is not None:
        settings.correction.check(batch.samples)
    samples = _with_gradient(batch.samples, settings.beta)
    metrics = {
        "trained_tokens": float(sum(len(sample.completion_ids) for sample in samples)),
        "skipped_samples": float(len(batch.samples) - len(samples)),
        "forwarded_tokens": 0.0,
        "optimizer_steps": 0.0,
    }
    if not samples:
        _pass_over(optimizer, scheduler, settings.num_iterations)
        return metrics
    layout = settled_layout(
        policy.model, settings.layout, settings.tree_attention, settings.autocast_dtype
    )
    laid_out = micro_batches(samples, settings.token_budget, layout, settings.tree_attention)
    parts = [_Part.of(part) for part in laid_out]
    metrics["forwarded_tokens"] = float(sum(part.micro_batch.num_positions for part in parts))
    metrics["optimizer_steps"] = float(settings.num_iterations)
    sums: Counter[str] = Counter()
    with _training(policy.model):
        for _ in range(settings.num_iterations):
            sums.update(_iterate(policy, parts, optimizer, settings))
            if scheduler is not None:
                scheduler.step()
    return metrics | _means(sums, settings.num_iterations)


def _pass_over(optimizer: Optimizer, scheduler: LRScheduler | None, num_iterations: int) -> None:
    """Time goes on though nothing changes, so that the learning rate does not depend on luck."""
    optimizer.zero_grad(set_to_none=True)
    for _ in range(num_iterations):
        optimizer.step()  # without gradients: changes nothing, not even by weight decay
        if scheduler is not None:
            scheduler.step()


def _with_gradient(samples: Sequence[Sample], beta: float) -> list[Sample]:
    """Without a KL term, a sample of advantage 0 adds exactly nothing: it need not be run."""
    return [sample for sample in samples if beta != 0 or sample.advantage != 0]


@dataclass
class _Part:
    """A micro-batch and what of it does not change from one iteration to the next."""

    micro_batch: MicroBatch
    length_B: Tensor
    advantage_N: Tensor
    """Corrected from the first pass on, if it is to be."""
    weight_N: Tensor
    sampler_N: Tensor
    """The engine's log-probs; NaN where it gave none."""
    old_N: Tensor | None = None
    ref_N: Tensor | None = None

    @classmethod
    def of(cls, micro_batch: MicroBatch) -> _Part:
        samples = micro_batch.samples
        length_B = torch.tensor([len(sample.completion_ids) for sample in samples])

        def per_token(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64).repeat_interleave(length_B)

        nan = float("nan")
        sampler = [x for s in samples for x in s.logprobs or (nan,) * len(s.completion_ids)]
        return cls(
            micro_batch,
            length_B,
            advantage_N=per_token([sample.advantage for sample in samples]),
            weight_N=per_token([sample.weight for sample in samples]),
            sampler_N=torch.tensor(sampler, dtype=torch.float64),
        )


def _iterate(
    policy: TrainablePolicy, parts: list[_Part], optimizer: Optimizer, settings: UpdateSettings
) -> dict[str, float]:
    """One pass over all micro-batches and one optimizer step; gives sums."""
    optimizer.zero_grad(set_to_none=True)
    passes = [_backward(policy, part, settings) for part in parts]
    grad_norm = torch.nn.utils.clip_grad_norm_(
        policy.trainable_parameters(), settings.max_grad_norm
    )
    if not torch.isfinite(grad_norm):
        optimizer.zero_grad(set_to_none=True)
        raise FloatingPointError(
            f"the gradient's norm is {grad_norm.item()}; no step was taken with it. Try a smaller "
            "learning_rate, or float32 in place of half precision"
        )
    optimizer.step()
    sums = {name: sum(stats[name].item() for stats in passes) for name in passes[0]}
    return sums | {"grad_norm": grad_norm.item()}


def _backward(policy: TrainablePolicy, part: _Part, settings: UpdateSettings) -> dict[str, Tensor]:
    # Under gradient checkpointing layers run again in backward and must find the same attention.
    with part.micro_batch.attention(policy.model):
        return _loss_backward(policy, part, settings)


def _loss_backward(
    policy: TrainablePolicy, part: _Part, settings: UpdateSettings
) -> dict[str, Tensor]:
    with _autocast(policy, settings.autocast_dtype):
        if settings.beta != 0 and part.ref_N is None:
            with torch.no_grad(), policy.reference() as reference:
                part.ref_N = trained_logprobs(reference, part.micro_batch, settings.temperature)
        logp_N, entropy_N = trained_logprobs(
            policy.model, part.micro_batch, settings.temperature, with_entropy=True
        )
    first = {}
    if part.old_N is None:
        part.old_N = logp_N.detach()
        first = _compare_with_sampler(part, part.old_N, settings.correction)
    loss, stats = murphy_loss(
        logp_N,
        part.old_N,
        part.ref_N,
        part.advantage_N.to(logp_N),
        part.weight_N.to(logp_N),
        settings.epsilon,
        settings.beta,
        settings.epsilon_high,
        settings.surrogate,
        part.length_B,
    )
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
    return {"loss": loss.detach(), "entropy": entropy_N.sum()} | stats | first


def _compare_with_sampler(
    part: _Part, old_N: Tensor, correction: Correction | None
) -> dict[str, Tensor]:
    """Corrects the part's advantages, if asked to; gives sums of distances and corrections."""
    sampler_N = part.sampler_N.to(old_N)
    gap_N = (old_N - sampler_N).abs()
    sums = {"sampler_gap": gap_N.nansum(), "sampler_tokens": (~gap_N.isnan()).sum()}
    if correction is not None:
        factor_N, cut_N = correction(old_N, sampler_N, part.length_B)
        # A factor of the surrogate is one of the advantage: it is never below 0.
        part.advantage_N = part.advantage_N.to(old_N) * factor_N
        sums |= {"importance_ratio": factor_N.sum(), "importance_cuts": cut_N.sum()}
    return sums


def _means(sums: Counter[str], num_iterations: int) -> dict[str, float]:
    means = {name: sums[name] / sums["tokens"] for name in ("kl", "ratio", "entropy")}
    means["clip_share"] = sums["clipped"] / sums["tokens"]
    means |= {name: sums[name] / num_iterations for name in ("loss", "grad_norm")}
    if sums["sampler_tokens"]:
        means["sampler_gap"] = sums["sampler_gap"] / sums["sampler_tokens"]
    if "importance_ratio" in sums:
        means["importance_ratio"] = sums["importance_ratio"] / sums["sampler_tokens"]
        means["importance_cut_share"] = sums["importance_cuts"] / sums["sampler_tokens"]
    return means


@contextmanager
def _training(model: Any) -> Iterator[None]:
    """Training mode, which gradient checkpointing asks for; dropout is 0 either way."""
    model.train()
    try:
        yield
    finally:
        model.eval()


def _autocast(policy: TrainablePolicy, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    if dtype is None:
        return nullcontext()
    return torch.autocast(policy.trainable_parameters()[0].device.type, dtype=dtype)
