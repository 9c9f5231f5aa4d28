"""The one place where words of the settings become strategies."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from murphy_agents import advantage, algorithms, balance, prune
from murphy_agents.importing import imported
from murphy_agents.variants import variant_named

if TYPE_CHECKING:
    from murphy_agents.config import TrainConfig


SCALES: dict[str, advantage.Scale] = {
    "sample": advantage.standardize,
    "population": advantage.standardize_population,
    "center": advantage.center,
    "leave_one_out": advantage.leave_one_out,
}
"""By the names that settings have."""
_BALANCES: dict[str, balance.Balance] = {
    "sum": balance.sum_of_groups,
    "turns": balance.mean_of_turns,
    "groups": balance.mean_of_groups,
}


def algorithm_of(config: TrainConfig) -> algorithms.Algorithm:
    """The algorithm that the settings describe.

    Raises:
        ValueError: `make_algorithm` names nothing that makes one.
    """
    if config.make_algorithm is not None:
        return _made(config, config.make_algorithm)
    turns = config.num_turns or 1
    fanout = tuple(config.fanout or [config.num_generations] * turns)
    pruned = _prune_of(config)
    match config.algorithm:
        case "grpo":
            algorithm = algorithms.grpo(config.num_generations)
        case "naive":
            chains = config.num_generations
            algorithm = algorithms.naive(chains, turns, config.solved_early, config.train_turns)
        case "tree_without_credit":
            algorithm = algorithms.tree_without_credit(fanout, pruned)
        case "murphy_mers":
            algorithm = algorithms.murphy_mers(fanout, config.gamma, config.childless, pruned)
        case "murphy_mars":
            shuffled, seed = config.shuffle_credit, config.seed
            algorithm = algorithms.murphy_mars(fanout, pruned, shuffled, seed)
    scale = config.scale or variant_named(config.loss_type).scale
    return dataclasses.replace(
        algorithm,
        scale=SCALES[scale],
        balance=_BALANCES[config.balance],
    )


def _made(config: TrainConfig, name: str) -> algorithms.Algorithm:
    """What a function of the settings makes, as it is: scale and balance are its own."""
    make = imported(name)
    if not callable(make):
        raise ValueError(f"make_algorithm is {name!r}, which is {make!r}; name a function")
    algorithm = make(config)
    if not isinstance(algorithm, algorithms.Algorithm):
        raise ValueError(
            f"make_algorithm is {name!r}, which gave {algorithm!r}; give a function of the "
            "TrainConfig that returns a murphy_agents.algorithms.Algorithm"
        )
    return algorithm


def _prune_of(config: TrainConfig) -> prune.Prune:
    b = config.prune_budget or 0
    if config.prune == "intra_group":
        return prune.intra_group(b, config.prune_rule, config.prune_keep_descendants)
    if config.prune == "inter_group":
        alphas = config.prune_alpha1, config.prune_alpha2
        return prune.inter_group(b, *alphas, config.prune_dropped_pays)
    return prune.keep_all
