"""The prompt set `terse` with exceptions told by their names alone.

    Passed 4/12
    f(row[0])==0 # ValueError

It shows what the words of an exception are worth: all else is as in `terse`.
"""

from __future__ import annotations

from dataclasses import replace

from murphy_env.prompts import terse
from murphy_env.prompts.quote import headline
from murphy_env.prompts.terse import first, system
from murphy_env.types import Attempt, Episode, UnitResult

__all__ = ["feedback", "first", "reflect", "retry", "system"]


def feedback(episode: Episode) -> str:
    """How many of the visible tests passed, and the first that did not."""
    return terse.feedback(_blinded(episode))


def retry(episode: Episode) -> str:
    """Problem, programs and verdicts, the number of the attempt to come."""
    return terse.retry(_blinded(episode))


def reflect(episode: Episode) -> str:
    """The same, and a question in place of the number."""
    return terse.reflect(_blinded(episode))


def _blinded(episode: Episode) -> Episode:
    return replace(episode, attempts=tuple(map(_without_messages, episode.attempts)))


def _without_messages(attempt: Attempt) -> Attempt:
    return replace(attempt, results=tuple(map(_named, attempt.results)))


def _named(result: UnitResult) -> UnitResult:
    if result.error is None:
        return result
    return replace(result, error=headline(replace(result, actual=None)).partition(":")[0])
