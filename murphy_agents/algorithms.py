"""Algorithms: five small functions each, put together. `Algorithm.grade` is the whole of MURPHY.

| algorithm             | expand      | credit             | prune    | peers          |
|-----------------------|-------------|--------------------|----------|----------------|
| `grpo`                | (G,)        | own_reward         | keep_all | siblings       |
| `murphy_mars`         | (G, G, ...) | max_reward         | any      | siblings       |
| `murphy_mers`         | (G, G, ...) | mean_reward(gamma) | any      | siblings       |
| `naive`               | (G, 1, ...) | own_reward         | keep_all | final_attempts |
| `tree_without_credit` | (G, G, ...) | own_reward         | any      | siblings       |

Any part can be swapped: `dataclasses.replace(murphy_mars(), scale=advantage.center)`. With one turn
every one of them is GRPO.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from murphy_agents.advantage import Peers, Scale, siblings, standardize
from murphy_agents.balance import Balance, sum_of_groups
from murphy_agents.credit import Credit, max_reward, mean_reward, own_reward
from murphy_agents.peers import final_attempts, shuffled_siblings
from murphy_agents.prune import Prune, keep_all
from murphy_agents.tree import Group, Node, credits, walk

Expand = tuple[int, ...] | Callable[[Node | None, int], int]
"""Fan-out by turn, or (parent, turn to grow) -> fan-out; the parent of turn 1 is None."""


@dataclass(frozen=True)
class Algorithm:
    """How a problem's tree grows and what each of its nodes is trained with.

    Example:
        Two first attempts, one solved, one repaired in one of two tries; MaRS credits both:

        >>> root = Group([Node(1.0), Node(0.5, Group([Node(1.0), Node(0.0)], turn=2))])
        >>> murphy_mars(fanout=(2, 2)).grade(root)
        >>> [(node.credit, round(node.advantage, 2), node.weight) for node in walk(root)]
        [(1.0, 0.0, 0.5), (1.0, 0.0, 0.5), (1.0, 0.71, 0.5), (0.0, -0.71, 0.5)]
    """

    expand: Expand
    credit: Credit
    prune: Prune = keep_all
    peers: Peers = siblings
    scale: Scale = standardize
    balance: Balance = sum_of_groups
    turns: int = 0
    """S, where `expand` is a function; a tuple's length says it."""

    def __post_init__(self) -> None:
        fixed = self.expand if isinstance(self.expand, tuple) else (1,) * self.turns
        if not isinstance(self.expand, tuple) and not callable(self.expand):
            raise TypeError(f"expand is {self.expand!r}; give a tuple of counts, or a function")
        if not fixed or min(fixed) < 1:
            raise ValueError(f"expand {self.expand}, turns {self.turns}; each turn needs 1 or more")
        if self.turns not in (0, len(fixed)):
            raise ValueError(f"turns is {self.turns} but expand {self.expand}; leave turns out")

    @property
    def num_turns(self) -> int:
        """S: the most attempts in a row."""
        return len(self.expand) if isinstance(self.expand, tuple) else self.turns

    def fanout(self, node: Node | None, turn: int) -> int:
        """How many generations to grow at `turn` from a parent (None at turn 1); 0 past S."""
        if turn > self.num_turns:
            return 0
        count = self.expand[turn - 1] if isinstance(self.expand, tuple) else self.expand(node, turn)
        if not isinstance(count, int) or count < (node is None):
            raise ValueError(f"expand gave {count!r} at turn {turn}; give a count, 1 or more at 1")
        return count

    def grade(self, root: Group) -> None:
        """Set `credit`, `pruned`, `advantage` and `weight` on every node; twice is as once.

        Raises:
            ValueError: The tree is deeper than S, a group's `turn` is not its depth, or a reward
                is not finite.
        """
        for node in walk(root):
            if node.reward is not None and not math.isfinite(node.reward):
                raise ValueError(f"a reward is {node.reward}; give a number, None if no verdict")
            node.credit, node.pruned, node.advantage, node.weight = None, False, 0.0, 0.0
        self._assign_credit([root], turn=1)
        for compared, trained in self.peers(root):
            advantages = self.scale(credits(compared))
            for value, nodes in zip(advantages, trained, strict=True):
                for node in nodes:
                    node.advantage, node.weight = value, 1 / len(compared)
        self.balance(root)

    def _assign_credit(self, level: list[Group], turn: int) -> dict[Group, Sequence[float]]:
        """Credit a turn from what was kept below, prune it; gives what groups pay their parents."""
        if any(group.turn != turn for group in level) or turn > self.num_turns:
            found, most = {group.turn for group in level}, self.num_turns
            raise ValueError(f"depth {turn} has turns {found}; turn is the depth, at most {most}")
        nodes = [node for group in level for node in group.nodes]
        # What hangs on a node without a verdict counts nowhere, as the node itself.
        below = [n.refinements for n in nodes if n.refinements and n.reward is not None]
        paid = self._assign_credit(below, turn + 1) if below else {}
        for node in nodes:
            if node.reward is not None:
                children = paid[node.refinements] if node.refinements else ()
                node.credit = self.credit(node.reward, children, self.num_turns - turn)
                if not isinstance(node.credit, float | int) or not math.isfinite(node.credit):
                    raise ValueError(f"credit gave {node.credit!r} at turn {turn}; give a number")
        dropped = self.prune(level)
        for node in dropped.nodes:
            if node.credit is not None:
                node.credit, node.pruned = None, True
        return {group: dropped.pays.get(group, credits(group.nodes)) for group in level}


def grpo(num_generations: int = 72) -> Algorithm:
    """Group-relative policy optimization (arXiv 2402.03300): one turn."""
    return Algorithm((num_generations,), own_reward)


def murphy_mars(
    fanout: Sequence[int] = (8, 8),
    prune: Prune = keep_all,
    shuffle_credit: bool = False,
    shuffle_seed: int = 0,
) -> Algorithm:
    """MURPHY with the best refinement's credit (paper, section 4).

    `shuffle_credit` is a control: the same tree and credits, first attempts' advantages permuted.
    """
    peers = shuffled_siblings(shuffle_seed) if shuffle_credit else siblings
    return Algorithm(tuple(fanout), max_reward, prune, peers)


def murphy_mers(
    fanout: Sequence[int] = (8, 8),
    gamma: float = 0.9,
    childless: Literal["keep", "literal"] = "keep",
    prune: Prune = keep_all,
) -> Algorithm:
    """MURPHY with the refinements' mean credit (paper, section 4)."""
    return Algorithm(tuple(fanout), mean_reward(gamma, childless), prune)


def naive(
    num_chains: int = 72,
    num_turns: int = 2,
    solved_early: Literal["include", "exclude"] = "include",
    train_turns: Literal["last", "all"] = "last",
) -> Algorithm:
    """GRPO over whole chains of attempts, without fan-out (paper, appendix D.4.1)."""
    peers = final_attempts(solved_early, train_turns)
    return Algorithm((num_chains, *[1] * (num_turns - 1)), own_reward, peers=peers)


def tree_without_credit(fanout: Sequence[int] = (8, 8), prune: Prune = keep_all) -> Algorithm:
    """A control: MURPHY's tree and groups, every node worth its own reward."""
    return Algorithm(tuple(fanout), own_reward, prune)
