"""Supervised training of a small model on conversations: cross-entropy on the answers' tokens.

A conversation is one sequence, prompts included, as the `chat` transcript has it; prompts are read
and not learned. B: sequences, T: tokens, V: vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import AdamW

from murphy_agents.codec import Codec
from murphy_agents.tiny.conversation import Conversation

IGNORED = -100
NUM_CHUNKS = 3
"""A batch is read in this many parts of similar length: less padding."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: the learning rate rises, then falls as a cosine to a twentieth."""

    num_steps: int = 600
    num_warmup_steps: int = 50
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    num_conversations: int = 19
    """Of a step; each is seen once before any is seen again."""
    num_first_answers: int = 13
    """Of a step, beside the conversations."""


@dataclass(frozen=True)
class Sample:
    """A conversation as ids."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """The id itself where it is learned, else `IGNORED`."""


def sample_of(codec: Codec, conversation: Conversation, only_right: bool = False) -> Sample:
    """A conversation as ids; all answers are learned, or the right ones alone."""
    ids: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    answer: tuple[int, ...] = ()
    for number, turn in enumerate(conversation):
        ids = (
            codec.extend(ids, answer, turn.messages[-1:]) if number else codec.encode(turn.messages)
        )
        answer = (*codec.encode_text(turn.completion), codec.end_of_turn)
        labels += (IGNORED,) * (len(ids) - len(labels))
        labels += (IGNORED,) * len(answer) if only_right and not turn.right else answer
    return Sample((*ids, *answer), labels)


def fit(
    model: Any,
    conversations: Sequence[Sample],
    first_answers: Sequence[Sample],
    schedule: Schedule,
    seed: int,
    after: Callable[[int, float], None],
) -> None:
    """Train a model in place.

    Args:
        model: a causal language model of `transformers`.
        conversations: as many of a step as the schedule says.
        first_answers: the same.
        schedule: how long and how fast.
        seed: of the order.
        after: called after every step with its number, from 1, and its mean loss in nats a token.
    """
    optimizer = AdamW(
        model.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.95),
        weight_decay=schedule.weight_decay,
    )  # fmt: skip
    from transformers import get_cosine_with_min_lr_schedule_with_warmup

    scheduler: Any = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, schedule.num_warmup_steps, schedule.num_steps, min_lr_rate=0.05
    )
    batches = _batches(conversations, first_answers, schedule, random.Random(f"order {seed}"))
    model.train()
    # Small as it is, it loses more by threads that wait for each other than it wins.
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for step in range(1, schedule.num_steps + 1):
            loss = _backward(model, next(batches))
            torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            after(step, loss)
    finally:
        torch.set_num_threads(num_threads)
    model.eval()


def _batches(
    conversations: Sequence[Sample],
    first_answers: Sequence[Sample],
    schedule: Schedule,
    rng: random.Random,
) -> Iterator[list[Sample]]:
    waiting: list[Sample] = []
    while True:
        while len(waiting) < schedule.num_conversations:
            waiting += rng.sample(conversations, len(conversations))
        drawn = waiting[: schedule.num_conversations]
        del waiting[: schedule.num_conversations]
        yield drawn + rng.choices(first_answers, k=schedule.num_first_answers)


def _backward(model: Any, batch: Sequence[Sample]) -> float:
    """Add the gradient of the mean loss of the batch's learned tokens; gives that mean."""
    by_length = sorted(batch, key=lambda sample: len(sample.ids))
    size = -(-len(by_length) // NUM_CHUNKS)
    num_learned = sum(label != IGNORED for sample in batch for label in sample.labels)
    total = 0.0
    for start in range(0, len(by_length), size):
        loss = _summed_loss(model, by_length[start : start + size]) / num_learned
        loss.backward()  # type: ignore[no-untyped-call]  # untyped there
        total += loss.item()
    return total


def _summed_loss(model: Any, samples: Sequence[Sample]) -> Tensor:
    """Sum of the cross-entropies of the learned tokens; logits are made for these alone."""
    longest = max(len(sample.ids) for sample in samples)
    # Padding stands on the right, where no causal attention looks.
    ids_BT = torch.tensor([s.ids + (0,) * (longest - len(s.ids)) for s in samples])
    label_BT = torch.tensor([s.labels + (IGNORED,) * (longest - len(s.labels)) for s in samples])
    hidden_BTH = model.model(input_ids=ids_BT).last_hidden_state
    learned_BT = label_BT[:, 1:] != IGNORED
    logits_NV = model.lm_head(hidden_BTH[:, :-1][learned_BT])
    return F.cross_entropy(logits_NV, label_BT[:, 1:][learned_BT], reduction="sum")
