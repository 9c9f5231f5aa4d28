"""Importance correction: counts for what sets the sampler's probabilities apart from the trainer's.

A token that the engine drew with probability μ(o_t), and that the policy before the update gives
π_old(o_t), stands for c = π_old(o_t)/μ(o_t) tokens of the policy. c multiplies the surrogate, that
is, the advantage; the KL term stays as it is. What large factors do to the variance is bounded by a
cap, in the modes of TRL (`vllm_importance_sampling_mode`), with its names:

| mode                | factor of a token                                                 |
|---------------------|-------------------------------------------------------------------|
| `token_truncate`    | min(c_t, cap)                                                     |
| `token_mask`        | c_t, or 0 where c_t > cap                                         |
| `sequence_truncate` | min(C, cap), C = Π c_t, the same for all tokens of the completion |
| `sequence_mask`     | C, or 0 for the whole completion where C > cap                    |

There is no lower bound (TRL offers one, by default none). A token without log-prob has factor 1 in
TRL; here it is an error. With top-p below 1 the engine's μ is that of the kept tokens, so that c is
their share; tokens that could not be drawn are still missing, which no factor mends.

Degenerate case: μ = π_old gives exactly 1, and the loss is the uncorrected one.

Dimensions: N trained tokens, B completions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from murphy_agents.update.batch import Sample
from murphy_agents.update.surrogate import of_completions

Mode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


class Corrected(NamedTuple):
    """A correction of each token."""

    factor_N: Tensor
    cut_N: Tensor
    """Whether the cap changed it."""


@dataclass(frozen=True)
class Correction:
    """How samples are corrected.

    Raises:
        ValueError: an unknown mode; a cap below 1, which would cut samples of the very policy, or
            one so large that float32 cannot hold it.
    """

    mode: Mode
    cap: float = 3.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ValueError(
                f"importance_sampling is {self.mode!r}; choose one of {get_args(Mode)}, or 'none'"
            )
        if not 1 <= self.cap <= 1e30:
            raise ValueError(f"importance_sampling_cap is {self.cap}; give a number from 1 to 1e30")

    def check(self, samples: Sequence[Sample]) -> None:
        """Raise ValueError unless every token came with a finite log-prob."""
        without = [s for s in samples if len(s.logprobs) != len(s.completion_ids)]
        if without:
            raise ValueError(
                f"importance_sampling is {self.mode!r}, but {len(without)} of {len(samples)} "
                "samples came without the log-probs of their tokens; take an engine that gives "
                "them, or importance_sampling='none'"
            )
        for sample in samples:
            for logprob in sample.logprobs:
                if not math.isfinite(logprob):
                    raise ValueError(
                        f"importance_sampling is {self.mode!r}, but a sampled token came with "
                        f"log-prob {logprob}, and no token of such a probability can have been "
                        "drawn; mend the engine, or take importance_sampling='none'"
                    )

    def __call__(self, old_N: Tensor, sampler_N: Tensor, length_B: Tensor) -> Corrected:
        """The factors of tokens with log-probs `old_N` under the policy and `sampler_N` when drawn.

        Args:
            old_N: log π_old, without gradient.
            sampler_N: log μ, finite, of the same type.
            length_B: tokens of each completion, on the CPU.
        """
        level, cut = self.mode.split("_")
        log_N = old_N - sampler_N
        if level == "sequence":
            log_N = of_completions(torch.sum, log_N, length_B)
        cut_N = log_N > math.log(self.cap)
        # exp sees nothing that it could overflow on.
        factor_N = log_N.masked_fill(cut_N, 0.0).exp()
        return Corrected(factor_N.masked_fill(cut_N, self.cap if cut == "truncate" else 0.0), cut_N)


def correction_named(importance_sampling: Any, cap: float) -> Correction | None:
    """The correction that a configuration's words stand for; None for 'none'."""
    return None if importance_sampling == "none" else Correction(importance_sampling, cap)
