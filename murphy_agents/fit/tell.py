"""Shows what fits, and what the figures mean."""

from __future__ import annotations

from rich.console import Console

from murphy_agents.dry_run.card import FRAGMENTED_SHARE, LIBRARIES_BYTES
from murphy_agents.dry_run.memory import GIB
from murphy_agents.fit.config import FitConfig
from murphy_agents.fit.table import fits, table_of

NOTES = f"""
training: most GiB of weights, gradients, optimizer, reference and activations, without generation
vLLM from: least GiB of its weights, its work and one completion, on the first card
under a card: completions of full length held at a time, after vLLM's share; - where it does not fit
of every card {LIBRARIES_BYTES / GIB:g} GiB and {FRAGMENTED_SHARE:.0%} are held back
computed, not measured on a GPU; of a run of your own: murphy train --dry_run --card_gb GB"""


def show(config: FitConfig, console: Console | None = None) -> None:
    """Print the table and its notes, or the table alone as Markdown.

    Args:
        config: of the command.
        console: where it is shown.

    Raises:
        ValueError: a model that cannot be had, or not be trained.
    """
    console = console or Console()
    table = table_of(config, list(fits(config)))
    shown = table.markdown() if config.markdown else table.text() + "\n" + NOTES
    console.print(shown, soft_wrap=True, highlight=False, markup=False)
