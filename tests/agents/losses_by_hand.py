"""The losses of `loss_type` as their papers write them: loops over completions and tokens.

Knows nothing of batches, weights or flat tensors. Ratios are quotients of probabilities here, and
products of them, never differences of logarithms.
"""

import math

import torch
from definition1 import sequence_logprobs


def loss(loss_type, trees, policy, old, reference, *, low, high, beta, limit, temperature=1.0,
         correct=None):  # fmt: skip
    """The loss, and (ratio, advantage) of everything that a bound was put to.

    `correct` gives the factors of a completion's tokens from the lists of their probabilities under
    the old policy and its id (group prompt, completion).
    """
    completions = [(g, n, size) for root in trees for g, n, size in _kept(root)]
    num_tokens = sum(len(node.completion_ids) for _, node, _ in completions)
    total, bounded = 0.0, []
    for group, node, size in completions:
        pair = (tuple(group.prompt_ids), tuple(node.completion_ids))
        new = [torch.exp(x) for x in sequence_logprobs(policy, *pair, temperature)]
        with torch.no_grad():
            before = [torch.exp(x) for x in sequence_logprobs(old, *pair, temperature)]
            ref = [torch.exp(x) for x in sequence_logprobs(reference, *pair, temperature)]
        factors = [1.0] * len(new) if correct is None else correct(pair, before)
        gains = _gains(loss_type, new, before, node.advantage, low, high, bounded)
        sum_of_tokens = sum(c * gain for c, gain in zip(factors, gains, strict=True))
        for p, q in zip(new, ref, strict=True):
            sum_of_tokens = sum_of_tokens - beta * (q / p - torch.log(q / p) - 1)
        if loss_type in ("dapo", "bnpo", "cispo"):
            total = total + sum_of_tokens / num_tokens
        elif loss_type == "dr_grpo":
            total = total + sum_of_tokens / (size * limit * len(trees))
        else:
            total = total + sum_of_tokens / (size * len(new) * len(trees))
    return -total, bounded


def _kept(group):
    """(group, node, how many nodes of the group are kept) of every trained completion."""
    kept = [node for node in group.nodes if not node.pruned and node.reward is not None]
    for node in group.nodes:
        if node.refinements is not None and node.reward is not None:
            yield from _kept(node.refinements)
        if node in kept and node.completion_ids:
            yield group, node, len(kept)


def _gains(loss_type, new, old, advantage, low, high, bounded):
    """What each token adds, KL apart."""
    ratios = [p / q for p, q in zip(new, old, strict=True)]
    if loss_type == "cispo":
        bounded += [(r.item(), advantage) for r in ratios]
        return [
            min(r.item(), high) * advantage * torch.log(p) for r, p in zip(ratios, new, strict=True)
        ]
    if loss_type == "gspo":
        ratios = [math.prod(ratios) ** (1 / len(ratios))] * len(ratios)
    if loss_type == "rloo":
        ratios = [math.prod(ratios)] * len(ratios)
    bounded += [(r.item(), advantage) for r in ratios]
    return [min(r * advantage, min(max(r, low), high) * advantage) for r in ratios]
