"""An engine that outlives its generator: where one dies, another takes its place. No torch here.

What the dead one had in flight is asked of the new one again, sample by sample, with the same
seeds: a sample's draws are its own, so a tree that is being grown goes on as if nothing had
happened. Nothing is asked before the new one has been given the weights in use and has proved that
it samples with them.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

from murphy_agents.engines.intake import check_request, refuse_in_flight
from murphy_agents.engines.protocol import (
    Completion,
    Engine,
    EngineDiedError,
    EngineStats,
    Request,
    Weights,
)

Result = TypeVar("Result")
_log = logging.getLogger("murphy_agents")


class _Asked(NamedTuple):
    request: Request
    missing: list[int]
    """Which of its seeds have no completion yet."""
    asked: list[int]
    """Which of its seeds the engine of now was asked for, in its order."""


class LastingEngine:
    """Samples with the engine that `make` gives; where that dies, with the next one.

    An engine that dies while it is restored counts as one more death. Whatever else goes wrong
    there is the end: nothing is drawn from an engine that is not known to be right. Errors that are
    no deaths, such as a request that is refused, are passed on.

    Args:
        make: gives a new engine, with the weights that it is made with; called at once, and after
            every death.
        restore: gives a new engine the weights in use and proves that it has them; called after a
            death alone. It may be set later; as long as it is None, the first death is the end.
        max_restarts: deaths that are survived with the same weights; 0: none. A sync to a later
            version begins anew, so that a death now and then does not end a long run.

    Attributes:
        deaths: why engines died, in order, in all versions.
    """

    def __init__(
        self,
        make: Callable[[], Engine],
        restore: Callable[[Engine], object] | None = None,
        max_restarts: int = 3,
    ) -> None:
        if max_restarts < 0:
            raise ValueError(f"max_restarts is {max_restarts}; give 0 (no restart) or more")
        self.deaths: list[str] = []
        self._make = make
        self.restore = restore
        self._max_restarts = max_restarts
        self._num_before = 0
        self._asked: dict[Hashable, _Asked] = {}
        self._end: str | None = None
        self._engine = make()
        self._lives = [self._engine.stats]
        self.stats = EngineStats()
        self.context_length: int = self._engine.context_length
        self.version: int = self._engine.version
        self._counted = self.version
        """Version of the weights since which deaths are counted."""

    def submit(self, request: Request) -> None:
        """Queue a request; see `Engine`.

        Raises:
            ValueError: it cannot be served.
            EngineDiedError: the engine died once too often, or could not be replaced.
        """
        check_request(request, self.context_length, self._asked)
        self._lasting(lambda engine: engine.submit(request))
        everything = list(range(len(request.seeds)))
        self._asked[request.tag] = _Asked(request, everything, list(everything))

    def poll(self, timeout: float | None = None) -> list[Completion]:
        """Completions that finished since the last call; see `Engine`.

        A replacement takes its time, whatever the timeout.

        Raises:
            EngineDiedError: the engine died once too often, or could not be replaced.
        """
        return [self._known(done) for done in self._lasting(lambda engine: engine.poll(timeout))]

    def sync(self, weights: Weights) -> None:
        """Sample with these from now on; see `Engine`.

        Where the engine dies of it, the next one is restored first, and then given them unless
        that has brought them already. Deaths count anew for a newer version, from here on.

        Raises:
            ValueError: something is in flight, or the weights do not fit the engine.
            EngineDiedError: the engine died once too often, or could not be replaced.
        """
        refuse_in_flight(self._asked)
        if weights.version > self._counted:
            self._counted, self._num_before = weights.version, len(self.deaths)
        asked = self._engine

        def give(engine: Engine) -> None:
            if engine is asked or engine.version != weights.version:
                engine.sync(weights)

        self._lasting(give)
        self.version = self._engine.version

    def abort(self) -> None:
        """Forget all that is in flight."""
        self._asked.clear()
        if self._end is None:
            self._engine.abort()

    def close(self) -> None:
        """Close the engine of now; whatever is in flight is lost."""
        self._end = self._end or "it was closed"
        self._asked.clear()
        self._engine.close()

    def _lasting(self, work: Callable[[Engine], Result]) -> Result:
        """What the engine gives, or the first of its successors that lives long enough."""
        while True:
            if self._end is not None:
                raise EngineDiedError(f"the engine cannot go on: {self._end}")
            try:
                return work(self._engine)
            except EngineDiedError as error:
                self._replace(error)
            finally:
                self._count()

    def _replace(self, error: EngineDiedError) -> None:
        """Put a new engine in the place of the dead one, with all that is missing in flight.

        Raises:
            EngineDiedError: there was a death too many, or there is no new engine to be had.
        """
        _close(self._engine)
        while True:
            self._write_down(error)
            try:
                self._engine = self._successor()
            except EngineDiedError as next_error:
                error = next_error
            except Exception as reason:
                self._fail(f"there is no other in its place: {reason}", reason)
            else:
                return

    def _write_down(self, error: EngineDiedError) -> None:
        self.deaths.append(str(error))
        num_deaths = len(self.deaths) - self._num_before
        if num_deaths > self._max_restarts:
            self._fail(f"more than {self._max_restarts} restarts are not allowed", error)
        _log.warning(
            "the engine died (%d of %d times that are survived with these weights) and is made "
            "anew: %s",
            num_deaths,
            self._max_restarts,
            error,
        )

    def _successor(self) -> Engine:
        engine = self._make()
        self._lives.append(engine.stats)
        try:
            if self.restore is None:
                raise ValueError("nobody has said how it gets the weights in use")
            self.restore(engine)
            if engine.version < self.version:
                raise ValueError(
                    f"the new engine was left with version {engine.version} of the weights, "
                    f"{self.version} is in use; have `restore` synchronise it"
                )
            for tag, (request, missing, _) in self._asked.items():
                seeds = tuple(request.seeds[index] for index in missing)
                engine.submit(dataclasses.replace(request, seeds=seeds))
                self._asked[tag] = _Asked(request, missing, list(missing))
        except BaseException:
            _close(engine)
            raise
        return engine

    def _fail(self, what: str, cause: Exception) -> None:
        self._asked.clear()
        deaths = self.deaths[self._num_before :]
        earlier = f", and {self._num_before} times before" if self._num_before else ""
        self._end = f"{what}; it died {len(deaths)} times{earlier}. {_numbered(deaths)}"
        raise EngineDiedError(f"the engine cannot go on: {self._end}") from cause

    def _known(self, done: Completion) -> Completion:
        """A completion by the index that its sample has in the request as it was asked here."""
        pending = self._asked[done.tag]
        index = pending.asked[done.index]
        pending.missing.remove(index)
        if not pending.missing:
            del self._asked[done.tag]
        return dataclasses.replace(done, index=index)

    def _count(self) -> None:
        for field in dataclasses.fields(EngineStats):
            setattr(self.stats, field.name, sum(getattr(s, field.name) for s in self._lives))


def _close(engine: Engine) -> None:
    """Close a dead engine, which may well fail at that too; why it died is what counts."""
    try:
        engine.close()
    except Exception:
        _log.warning("a dead engine could not be closed", exc_info=True)


def _numbered(causes: Sequence[str]) -> str:
    return " ".join(f"({number}) {cause}" for number, cause in enumerate(causes, 1))
