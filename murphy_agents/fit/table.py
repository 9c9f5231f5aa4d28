"""The sums of `murphy fit`, by the functions of a dry run, and its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from murphy_agents import wiring
from murphy_agents.dry_run import card as cards
from murphy_agents.dry_run import colocated, fitting, memory, packed, sizes
from murphy_agents.dry_run import model as models
from murphy_agents.dry_run.card import Card
from murphy_agents.dry_run.checks import Prompts
from murphy_agents.dry_run.counts import per_problem
from murphy_agents.dry_run.sizes import Demand, gib
from murphy_agents.fit.config import FitConfig
from murphy_agents.fit.shapes import config_of
from murphy_agents.fit.ways import WAYS, Way
from murphy_agents.policy import Policy
from murphy_agents.show.tables import Table
from murphy_agents.strategies import algorithm_of


@dataclass(frozen=True)
class Fit:
    """One model, trained in one way beside one engine."""

    model: str
    way: str
    engine: str
    needed: Demand

    @property
    def training_bytes(self) -> float:
        """Most that training takes, generation left out."""
        return replace(self.needed.training, phases=self._phases).most_bytes

    @property
    def _phases(self) -> dict[str, tuple[memory.Part, ...]]:
        phases = self.needed.training.phases
        return {name: parts for name, parts in phases.items() if name != "generation"}

    def vllm_bytes(self, card: Card) -> float:
        """Least that vLLM takes on a card, one completion at a time; 0 where it is elsewhere."""
        need = self.needed.vllm
        return need.fixed_bytes(card.total_bytes) + need.cache_bytes(1) if need else 0.0

    def rows(self, card: Card) -> int:
        """Completions of full length at a time; 0: it does not fit."""
        if self.needed.vllm:
            return fitting.share_of(self.needed.vllm, card, self.share(card)).rows
        if self.training_bytes > card.usable_bytes:
            return 0
        return memory.rows_in(self.needed.shape, self.needed.work, card.usable_bytes)

    def share(self, card: Card) -> float:
        """vLLM's: what it needs for all that are drawn at a time, or what training leaves it."""
        if not (need := self.needed.vllm):
            return 0.0
        rows = min(self.needed.work.rows, colocated.most_rows(card.total_bytes))
        enough = need.smallest_share(card.total_bytes, rows)
        return min(enough, fitting.largest_share_of(self.needed, card))

    def cell(self, card: Card) -> str:
        """For the table."""
        if not (rows := self.rows(card)):
            return "-"
        return f"{self.share(card):.2f}: {rows}" if self.needed.vllm else str(rows)


def fits(config: FitConfig) -> Iterator[Fit]:
    """Every model, way of training and engine.

    Raises:
        ValueError: a model that cannot be had, that is of a kind that is not covered, or that
            cannot be trained so.
    """
    for name in config.models:
        described = config_of(name)
        memory.Shape.of(described)
        for way in WAYS:
            policy = _policy(config, described, way)
            for engine in ("transformers", "vllm"):
                yield Fit(name, way.name, engine, _needed(config, policy, way, engine))


def table_of(config: FitConfig, found: Sequence[Fit]) -> Table:
    """The table: a row for every fit, a column for every card."""
    sorts = [cards.elsewhere(size) for size in config.cards]
    header = ["model", "way of training", "engine", "training, GiB", "vLLM from, GiB"]
    rows = [
        [
            fit.model.rpartition("/")[2],
            fit.way,
            fit.engine,
            gib(fit.training_bytes),
            gib(fit.vllm_bytes(sorts[0])) if fit.needed.vllm else "-",
            *(fit.cell(card) for card in sorts),
        ]
        for fit in found
    ]
    return Table([*header, *(f"{size} GB" for size in config.cards)], rows, num_names=3)


def _policy(config: FitConfig, described: Any, way: Way) -> Policy:
    """A model without weights, as a run would have it."""
    told = config.train(way, "transformers")
    with torch.device("meta"):
        bare = models.of_config(described, getattr(torch, told.dtype))
        policy = Policy.wrap(bare, None, **wiring.policy_settings(told))
    if told.load_in_4bit:
        packed.pack(policy.model)
    return policy


def _needed(config: FitConfig, policy: Policy, way: Way, engine: str) -> Demand:
    prompts = Prompts(config.prompt_tokens, policy.model.config.max_position_embeddings)
    told = config.train(way, engine)
    problem = per_problem(algorithm_of(told))
    if engine == "vllm":
        row_tokens = sizes.row_tokens(told, prompts, problem)
        told = config.train(way, engine, row_tokens)
    return sizes.demand(told, policy, prompts, problem)
