"""What the model reads: prompt sets, and the messages that they make of an episode.

A prompt set is four functions on `Episode`, and a fifth where the model reflects. They see the
visible tests' results and nothing else, so no hidden test and no score can slip into a prompt.
Three come along: `standard` for chat models, `terse` for tiny ones, `blind` for these where the
words of an exception are to be kept from them; any other is named as "pkg.mod:OBJECT".
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from murphy_env.prompts import blind, standard, terse
from murphy_env.types import Attempt, Episode, Message

Transcript = Literal["requote", "chat"]
Wording = Callable[[Episode], str]


@dataclass(frozen=True)
class Prompts:
    """A prompt set.

    Example:
        >>> shouting = replace(prompt_set("terse"), first=lambda e: e.task.prompt.upper())
    """

    system: Wording
    """The system message; "" for none."""
    first: Wording
    """The user message that asks for the first attempt."""
    feedback: Wording
    """What became of the last attempt, as a user message of its own (`transcript="chat"`)."""
    retry: Wording
    """The user message that asks for a later attempt: problem, attempts, how to go on
    (`transcript="requote"`). It should begin like the one before it, so that both share a prefix
    of tokens: what counts the attempts stands last."""
    reflect: Wording = standard.reflect
    """The user message that asks why the last attempt failed, for an environment that does. What
    comes of it stands in `attempts[-1].reflection`, for `retry` and `feedback` to go on from."""


_SETS = {
    "standard": Prompts(standard.system, standard.first, standard.feedback, standard.retry),
    "terse": Prompts(terse.system, terse.first, terse.feedback, terse.retry, terse.reflect),
    "blind": Prompts(blind.system, blind.first, blind.feedback, blind.retry, blind.reflect),
}


def prompt_set(name: str) -> Prompts:
    """The prompt set of that name, or the object that "pkg.mod:OBJECT" names.

    Raises:
        ValueError: there is no such set, module or object, or the object lacks one of the four
            functions.
    """
    if name in _SETS:
        return _SETS[name]
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        near = difflib.get_close_matches(name, _SETS, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(
            f"prompts is {name!r}{meant}; use one of {sorted(_SETS)} or 'pkg.mod:OBJECT'"
        )
    return _imported(name, module, path)


def _imported(name: str, module: str, path: str) -> Prompts:
    try:
        found: Any = importlib.import_module(module)
    except (ImportError, TypeError) as error:  # ".mod" and "./mod.py" raise TypeError
        raise ValueError(
            f"prompts is {name!r}, but {module!r} cannot be imported ({error}); "
            "install it or put its folder on PYTHONPATH"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ValueError(f"prompts is {name!r}, but {found!r} has no attribute {part!r}")
        found = getattr(found, part)
    if isinstance(found, Prompts):
        return found
    parts: dict[str, Any] = {
        field.name: getattr(found, field.name, None) for field in fields(Prompts)
    }
    parts["reflect"] = parts["reflect"] or standard.reflect
    missing = [part for part, function in parts.items() if not callable(function)]
    if missing:
        raise ValueError(
            f"prompts is {name!r}, but the object there has no function {', '.join(missing)}; "
            "give a murphy_env.prompts.Prompts, or an object or module with these functions on "
            f"Episode: {', '.join(parts)} (the last may be missing)"
        )
    return Prompts(**parts)


def messages(
    prompts: Prompts, episode: Episode, transcript: Transcript = "requote"
) -> list[Message]:
    """The messages that ask for the next attempt, or for a reflection on the last one.

    Args:
        prompts: the wording.
        episode: task and attempts so far.
        transcript: "requote" quotes all attempts in one user message; "chat" alternates the
            model's completions, as they were, with feedback.

    Raises:
        ValueError: the transcript is unknown.
    """
    if transcript not in get_args(Transcript):
        raise ValueError(f"transcript is {transcript!r}; choose one of {get_args(Transcript)}")
    system = prompts.system(episode)
    head: list[Message] = [{"role": "system", "content": system}] if system else []
    if not episode.attempts:
        return [*head, {"role": "user", "content": prompts.first(episode)}]
    if transcript == "requote":
        ask = prompts.reflect if episode.awaits_reflection else prompts.retry
        return [*head, {"role": "user", "content": ask(episode)}]
    talk: list[Message] = [{"role": "user", "content": prompts.first(episode)}]
    for number, attempt in enumerate(episode.attempts, 1):
        so_far = replace(episode, attempts=episode.attempts[:number])
        talk += _said(prompts, so_far, attempt)
    return [*head, *talk]


def _said(prompts: Prompts, so_far: Episode, attempt: Attempt) -> list[Message]:
    """An attempt, and what is said to it and of it, until the next one is asked for."""
    talk: list[Message] = [{"role": "assistant", "content": attempt.completion}]
    if attempt.reflection is not None:
        before = so_far.attempts[:-1]
        unreflected = replace(so_far, attempts=(*before, replace(attempt, reflection=None)))
        talk += [
            {"role": "user", "content": prompts.reflect(unreflected)},
            {"role": "assistant", "content": attempt.reflection},
        ]
    ask = prompts.reflect if so_far.awaits_reflection else prompts.feedback
    return [*talk, {"role": "user", "content": ask(so_far)}]


def as_text(messages: list[Message]) -> str:
    """The messages as one text, which is the environment's observation."""
    return "\n\n".join(message["content"] for message in messages)
