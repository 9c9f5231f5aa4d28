"""From graded trees to the weighted samples of one update. No model, no tensors.

The batch carries every normaliser: a sample's weight already holds the division by problems, by
group size and by length, fixed before the work is split. The loss is then one weighted sum, and any
split into micro-batches, or over processes, gives the same gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from murphy_agents.tree import Group, Node, groups
from murphy_agents.update.normaliser import Normaliser, Totals, sequence_mean


@dataclass(frozen=True)
class Sample:
    """One trained completion after its prompt.

    Example:
        Two tokens in a group of four, the only problem of its batch:

        >>> sample = Sample((5, 6, 7), completion_ids=(8, 2), advantage=1.2, weight=1 / (4 * 2))
        >>> sample.num_ids
        5
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    """Sampled ids, all of them trained; at least one."""
    advantage: float
    weight: float
    """Of every one of its tokens, all normalisers included."""
    logprobs: tuple[float, ...] = ()
    """What the engine said of each id; compared with the policy's own, never trained on."""

    def __post_init__(self) -> None:
        if not self.prompt_ids or not self.completion_ids:
            raise ValueError(
                f"a sample has {len(self.prompt_ids)} prompt_ids and {len(self.completion_ids)} "
                "completion_ids; give at least one of each: the first token needs one before it"
            )

    @property
    def num_ids(self) -> int:
        """Length of prompt and completion together."""
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(frozen=True)
class Batch:
    """All that one update trains on."""

    samples: tuple[Sample, ...]
    totals: Totals
    num_empty: int = 0
    """Nodes with a weight but no token: counted in their group's size, nothing to train."""
    num_masked: int = 0
    """Truncated completions left out by `mask_truncated`; counted in their group's size."""

    @property
    def num_tokens(self) -> int:
        """Trained tokens in this process."""
        return sum(len(sample.completion_ids) for sample in self.samples)


def count(trees: Sequence[Group], *, mask_truncated: bool = False) -> Totals:
    """The totals of these trees; add up those of all processes before `make_batch`."""
    trained = [node for _, node in _weighted(trees) if not (mask_truncated and _truncated(node))]
    return Totals(len(trees), sum(len(node.completion_ids) for node in trained))


def make_batch(
    trees: Sequence[Group],
    normaliser: Normaliser = sequence_mean,
    *,
    mask_truncated: bool = False,
    totals: Totals | None = None,
) -> Batch:
    """The samples of graded trees (see `Algorithm.grade`), tree by tree, turn by turn.

    Args:
        trees: one root group per problem, problems that train nothing included.
        normaliser: weight per token of a node; see `murphy_agents.update.normaliser`.
        mask_truncated: leave out completions that were cut at the token limit. Group sizes stay,
            as in TRL's `mask_truncated_completions`.
        totals: counts over all processes where there are several; default: of `trees`.

    Raises:
        ValueError: a trained node has an advantage that is not finite, a prompt without ids, or
            log-probs that do not match its ids.
    """
    totals = totals or count(trees, mask_truncated=mask_truncated)
    samples, num_empty, num_masked = [], 0, 0
    for group, node in _weighted(trees):
        if not node.completion_ids:
            num_empty += 1
        elif mask_truncated and _truncated(node):
            num_masked += 1
        else:
            samples.append(_sample(group, node, normaliser(node, totals)))
    return Batch(tuple(samples), totals, num_empty, num_masked)


def split(samples: Sequence[Sample], token_budget: int) -> list[list[Sample]]:
    """Micro-batches of at most `token_budget` positions once padded to their longest sample.

    Longest first, so that a budget too large for the memory shows at the first micro-batch; equal
    lengths keep their order. A sample longer than the budget gets a micro-batch of its own: nothing
    is dropped. Weights stay as they are.
    """
    if token_budget < 1:
        raise ValueError(f"token_budget is {token_budget}; give at least 1")
    parts: list[list[Sample]] = []
    for sample in _longest_first(samples):
        if parts and (len(parts[-1]) + 1) * parts[-1][0].num_ids <= token_budget:
            parts[-1].append(sample)
        else:
            parts.append([sample])
    return parts


def _weighted(trees: Sequence[Group]) -> Iterable[tuple[Group, Node]]:
    pairs = ((group, node) for tree in trees for group in groups(tree) for node in group.nodes)
    return (pair for pair in pairs if pair[1].weight > 0)


def _truncated(node: Node) -> bool:
    return node.finish_reason == "length"


def _longest_first(samples: Sequence[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: -sample.num_ids)


def _sample(group: Group, node: Node, weight: float) -> Sample:
    if not math.isfinite(node.advantage):
        raise ValueError(f"a node has advantage {node.advantage}; check its group's credits")
    if not group.prompt_ids:
        raise ValueError(
            f"a group of turn {group.turn} has no prompt_ids, so nothing predicts the first token "
            "of its completions; set Group.prompt_ids"
        )
    if node.logprobs and len(node.logprobs) != len(node.completion_ids):
        raise ValueError(
            f"a node has {len(node.completion_ids)} completion_ids and {len(node.logprobs)} "
            "logprobs; give one per id, or none"
        )
    return Sample(
        tuple(group.prompt_ids),
        tuple(node.completion_ids),
        node.advantage,
        weight,
        tuple(node.logprobs),
    )
