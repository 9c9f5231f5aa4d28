"""Makes a small policy: a teacher's conversations, a tokenizer of them, supervised training."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from murphy_agents import files
from murphy_agents.codec import ChatCodec
from murphy_agents.tiny import models, supervised
from murphy_agents.tiny.recipe import Recipe
from murphy_agents.tiny.supervised import Sample, fit, sample_of
from murphy_agents.tiny.worlds import WORLDS

MADE_FOR = "murphy_transcript"
"""Key of a tokenizer's settings: the transcript that its model knows. It lies beside the chat
template, and so beside adapters too."""


def teach(recipe: Recipe, folder: Path, sandbox_workers: int) -> None:
    """Make a policy, from its teacher's conversations on, and save its checkpoints.

    Args:
        recipe: what it is made of.
        folder: where the checkpoints `step-N` and the recipe are written.
        sandbox_workers: of the sandbox that the teacher's programs run in.
    """
    world = WORLDS[recipe.world]
    console = Console(stderr=True)
    what = "the right answers" if recipe.only_right else "all that it says"
    console.print(
        f"{recipe.world} policy, seed {recipe.seed}: made now, to learn {what} from a teacher"
    )
    with _stage("conversations", console, recipe.num_conversations) as done:
        told = world.conversations(recipe, {"workers": sandbox_workers}, done)
        first = world.first_answers(recipe)
    texts = [
        text for talk in told for t in talk for text in (t.messages[-1]["content"], t.completion)
    ]
    tokenizer = models.make_tokenizer(
        texts, recipe.vocab_size, models.SHORT_TEMPLATE, pattern=world.pattern
    )
    tokenizer.init_kwargs[MADE_FOR] = "chat"
    model: Any = models.make_model(
        "llama", tokenizer, recipe.seed, recipe.hidden_size, recipe.num_layers,
        max_position_embeddings=1024, initializer_range=recipe.initializer_range,
        intermediate_size=8 * recipe.hidden_size // 3, tie_word_embeddings=True,
        num_key_value_heads=recipe.hidden_size // 16,
    )  # fmt: skip
    chat = ChatCodec(tokenizer)
    pool = [sample_of(chat, talk, recipe.only_right) for talk in told]
    with _stage("supervised steps", console, recipe.schedule.num_steps) as done:

        def after(step: int, loss: float) -> None:
            done(step)
            if step % recipe.save_steps == 0 or step == recipe.schedule.num_steps:
                models.save_policy(model, tokenizer, folder / f"step-{step}")

        fit(model, _learned(pool), [sample_of(chat, talk) for talk in first],
            recipe.schedule, recipe.seed, after)  # fmt: skip
    files.write_atomically(folder / "recipe.json", json.dumps(asdict(recipe), indent=2))


def _learned(samples: list[Sample]) -> list[Sample]:
    """Those in which something is learned."""
    return [s for s in samples if any(label != supervised.IGNORED for label in s.labels)]


@contextmanager
def _stage(name: str, console: Console, total: int) -> Iterator[Any]:
    """A bar, or in a pipe one line at the end; gives what is to be called with the count so far."""
    started = time.perf_counter()
    bar = Progress(
        TextColumn("  " + name), MofNCompleteColumn(), BarColumn(12), TimeElapsedColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(name, total=total)
        yield lambda count: bar.update(task, completed=count)
    console.print(f"  {total} {name}: {time.perf_counter() - started:.1f} s", highlight=False)
