"""What every engine refuses, checked once, before any work is done. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Container, Hashable

from murphy_agents.engines.protocol import Request


def check_request(request: Request, context_length: int, in_flight: Container[Hashable]) -> None:
    """Accept a request or say what is wrong with it.

    Raises:
        ValueError: empty prompt, no seed, a negative seed, a tag in flight, or too long.
    """
    if not request.prompt_ids:
        raise ValueError(f"request {request.tag!r} has an empty prompt; give at least one token id")
    if not request.seeds or min(request.seeds) < 0:
        raise ValueError(
            f"request {request.tag!r} has the seeds {request.seeds}; give one number of 0 or more "
            "for each completion"
        )
    if request.tag in in_flight:
        raise ValueError(
            f"tag {request.tag!r} is in flight; poll until its completions are back, or give "
            "each request a tag of its own"
        )
    needed = len(request.prompt_ids) + request.params.max_tokens
    if needed > context_length:
        raise ValueError(
            f"request {request.tag!r} needs {needed} ids ({len(request.prompt_ids)} of prompt and "
            f"max_tokens={request.params.max_tokens}), the context holds {context_length}; "
            "shorten the prompt or lower max_tokens"
        )


def check_ids(request: Request, vocab_size: int) -> None:
    """Raise ValueError for a prompt with ids that the model does not know."""
    least, most = min(request.prompt_ids), max(request.prompt_ids)
    if not 0 <= least <= most < vocab_size:
        raise ValueError(
            f"request {request.tag!r} has ids from {least} to {most}, the model knows 0 to "
            f"{vocab_size - 1}; use the model's own tokenizer"
        )


def refuse_in_flight(in_flight: Collection[Hashable]) -> None:
    """Raise ValueError if weights were to change under requests that are being answered."""
    if in_flight:
        raise ValueError(
            f"{len(in_flight)} requests are in flight, such as {next(iter(in_flight))!r}; poll "
            "until all completions are back before the weights change"
        )
