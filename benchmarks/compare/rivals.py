"""Rivals from the literature, each a handful of functions on our parts.

Each is named by `make_algorithm: "benchmarks.compare.rivals:NAME"` and reads no other settings than
`num_generations`, `num_turns`, `fanout`, `gamma` and `loss_type`, whose own scale those have that
do not set one. What all of them leave of their papers: the model, prompts and rewards, and whatever
is not credit, comparison or fan-out. The loss is ours (`murphy_agents.update.loss`), so a
difference between two arms is one of these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.compare.promise import Promise
from murphy_agents.advantage import ComparisonSet, leave_one_out
from murphy_agents.algorithms import Algorithm, murphy_mars
from murphy_agents.credit import Credit, child_mean, max_reward
from murphy_agents.peers import final_attempts
from murphy_agents.strategies import SCALES
from murphy_agents.tree import Group, Node, counted, groups
from murphy_agents.variants import variant_named

if TYPE_CHECKING:
    from murphy_agents.config import TrainConfig


def rlef(config: TrainConfig) -> Algorithm:
    """One binary reward per chain, for all of its turns: after RLEF (arXiv 2410.02089).

    R = 1 if the chain's last attempt passed everything, else 0; every attempt of chain i of n has
    A_i = R_i - mean of the others' R (leave-one-out). Chains of `num_turns`, `num_generations` of
    them, none branches.

    Simplified: RLEF is PPO with a learnt value of each turn's prompt; here the other chains of the
    problem are the baseline, the same at every turn. So no turn is compared with what was to be
    expected at that turn: a chain that fails first and repairs credits its failure as much as its
    repair. R is 0 or 1 whatever scale the paper's reward has, so the size of advantages beside the
    KL term is ours; KL is a penalty in the loss and not in the reward, and answers without code
    earn 0, no penalty of their own. Unlike `naive` with `train_turns: all`, tests passed in part
    earn nothing, and advantages are not divided by their deviation.

    One chain, or chains that all end alike: advantage 0. A last attempt without verdict: left out.
    """
    return Algorithm(
        _chains(config), _solved, peers=final_attempts(train_turns="all"), scale=leave_one_out
    )


def discounted_turns(config: TrainConfig) -> Algorithm:
    """Every turn is a sample of its own, worth the discounted rewards from there on.

    c_t = r_t + gamma * c_{t+1} along a chain; attempts of the same turn are compared over the
    chains of a problem, standardised as in GRPO. After Kevin (arXiv 2507.11948), which trains each
    turn with the discounted sum of its own and later scores (gamma 0.4 did best there), and GTPO
    (arXiv 2511.14846), whose advantages are normalised discounted returns of turns.

    Simplified: no rewards but ours; and our chains end where the visible tests pass, so a solved
    attempt earns 1 while one that is half right and repaired earns 0.5 + gamma: above gamma 0.5 it
    pays to fail first where the policy can choose. `discounted_turns_held` has no such bait.

    One chain, or none but one that reached a turn: advantage 0 there. An attempt whose refinement
    has no verdict is worth its own reward.
    """
    return _scaled(Algorithm(_chains(config), _discounted(config.gamma), peers=same_turn), config)


def discounted_turns_held(config: TrainConfig) -> Algorithm:
    """As `discounted_turns`; a chain that ended early earns its last reward in every turn left.

    c = r * (1 + gamma + ... + gamma^left) without refinement, as if the last attempt were handed in
    again until the turns are over: a solved first attempt of two is then worth the most, 1 + gamma.
    Degenerate: an attempt whose refinement has no verdict is counted so too.
    """
    credit = _discounted(config.gamma, held=True)
    return _scaled(Algorithm(_chains(config), credit, peers=same_turn), config)


def child_mean_tree(config: TrainConfig) -> Algorithm:
    """MURPHY's tree with c = mean of the refinements' credits, own reward where there are none.

    What the attempt led to and nothing else: an estimate of the reward at the end from all
    refinements, where a chain has one. Degenerate: where all fail alike, an attempt is worth what
    they earned, even if its own reward was higher.
    """
    return _scaled(replace(murphy_mars(_tree(config)), credit=child_mean), config)


def leave_one_out_tree(config: TrainConfig) -> Algorithm:
    """MURPHY-MaRS with A = c - mean c of the siblings, leaving out its own (arXiv 2402.14740).

    The baseline is independent of the attempt, and nothing is divided by a deviation: a group in
    which one of many differs has no larger steps than its credits say. One sibling: advantage 0.
    The same as `{algorithm: murphy_mars, scale: leave_one_out}`, for makers of algorithms.
    """
    return replace(murphy_mars(_tree(config)), scale=leave_one_out)


def expand_promising(config: TrainConfig) -> Algorithm:
    """MURPHY-MaRS that does not refine parents whose kind has stopped to teach anything.

    See `benchmarks.compare.promise`: pruning before the generation. A refused parent keeps its own
    reward. Degenerate: as long as nothing is refused, MURPHY-MaRS.
    """
    fanout = _tree(config)
    made = Algorithm(Promise(fanout).expand, max_reward, turns=len(fanout))
    return _scaled(made, config)


def expand_promising_paid(config: TrainConfig) -> Algorithm:
    """As `expand_promising`; a refused parent earns what refined ones of its kind did.

    c = mean of the credits that are remembered of the kind, see `Promise.credit`. Degenerate: as
    long as nothing is refused, MURPHY-MaRS. Of a refused kind, an attempt that was not asked about
    is paid so too: one that passed all visible tests and failed hidden ones, or that had no room
    for a further prompt.
    """
    fanout = _tree(config)
    promise = Promise(fanout)
    return _scaled(Algorithm(promise.expand, promise.credit, turns=len(fanout)), config)


def same_turn(root: Group) -> list[ComparisonSet]:
    """The attempts of one turn of a problem are compared, whatever prompt they answered."""
    turns: dict[int, list[Node]] = {}
    for group in groups(root):
        turns.setdefault(group.turn, []).extend(counted(group))
    return [(nodes, [[node] for node in nodes]) for nodes in turns.values() if nodes]


def _chains(config: TrainConfig) -> tuple[int, ...]:
    if config.fanout:
        raise ValueError(
            f"fanout is {config.fanout}, but chains do not branch; give num_turns and "
            "num_generations, the number of chains"
        )
    return (config.num_generations, *[1] * ((config.num_turns or 1) - 1))


def _tree(config: TrainConfig) -> tuple[int, ...]:
    return tuple(config.fanout or [config.num_generations] * (config.num_turns or 1))


def _scaled(algorithm: Algorithm, config: TrainConfig) -> Algorithm:
    """With the scale that the loss has by itself, as the five algorithms get it."""
    return replace(algorithm, scale=SCALES[variant_named(config.loss_type).scale])


def _solved(reward: float, children: Sequence[float], turns_left: int) -> float:
    return float(reward >= 1)


def _discounted(gamma: float, held: bool = False) -> Credit:
    def credit(reward: float, children: Sequence[float], turns_left: int) -> float:
        if len(children) > 1:
            raise ValueError(f"a node has {len(children)} refinements; discounted turns take 1")
        if held and not children:
            return reward * sum(gamma**turn for turn in range(turns_left + 1))
        return reward + gamma * sum(children)

    return credit
