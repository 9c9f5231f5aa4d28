"""The engine on a vLLM server, for generation on other devices than the training's.

Every sample is an HTTP request with one seed, token ids both ways, to `/v1/completions`. Full
weights travel through a folder that both sides see and are taken by `SyncExtension` in the server's
workers; adapters are loaded from such a folder, each version under a name of its own.

A server that breaks off, answers with an error of its own, stops to say that it is healthy, or is
not held by this engine any more, is dead for this engine, even if it comes back: it would come back
with other weights. That it is held is proven before the first request after a pause, before a sync,
before the last completion in flight is given, and every few seconds between.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from murphy_agents.codec import Codec
from murphy_agents.engines import vllm_common
from murphy_agents.engines.intake import check_request, refuse_in_flight
from murphy_agents.engines.protocol import (
    Completion,
    EngineDiedError,
    EngineStats,
    Request,
    Weights,
)
from murphy_agents.engines.vllm_answers import (
    MalformedError,
    Sampled,
    is_not_finite,
    model_of,
    sampled_of,
)
from murphy_agents.engines.vllm_claim import START, Claim
from murphy_agents.engines.vllm_http import Answer, Client, Questions, UnreachableError
from murphy_agents.engines.vllm_process import VllmServer
from murphy_agents.engines.vllm_server_weights import START_LORA, ServerWeights

MAX_IN_FLIGHT = 256
HEALTH_EVERY_S, HEALTH_S = 5.0, 60.0
"""How often the server is asked whether it is well, and how long it may take to say so."""
CLOSE_S = 2.0
"""Seconds that the server has for each of two partings."""
_PLAIN = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Else a server takes what the model's generation config says."""


@dataclass(eq=False)
class _Asked:
    request: Request
    num_missing: int


class VllmServerEngine:
    """Samples with a vLLM server, which serves no other engine meanwhile.

    The server's cached prompt ids are counted if it was started with
    `--enable-prompt-tokens-details`; otherwise every prompt counts as read anew.

    Args:
        url: of the server, "http://host:8000".
        codec: its `eos_ids` end a completion, as do the server's own: those of the model's
            tokenizer and generation config.
        sync_folder: a folder that this process and the server see under the same path.
        server: the same server, if this process started it: its end is told, and `close` ends it.
        context_length: most ids of prompt and completion, if less than the server takes.
        max_in_flight: samples that the server is asked for at once, a connection each.
        connect_within_s: seconds that the server may take to become healthy.
        answer_within_s: seconds that one sample may take; longer, and the server is dead.

    Raises:
        ValueError: the address is none; something else than vLLM answers there, or one that cannot
            be given weights; or another run uses it.
        EngineDiedError: no healthy server answers.
    """

    def __init__(
        self,
        url: str,
        codec: Codec,
        sync_folder: Path,
        *,
        server: VllmServer | None = None,
        context_length: int | None = None,
        max_in_flight: int = MAX_IN_FLIGHT,
        connect_within_s: float = 60.0,
        answer_within_s: float = 3600.0,
    ) -> None:
        self.stats = EngineStats()
        self.version = 0
        self._codec = codec
        self._server = server
        self._asked: dict[Hashable, _Asked] = {}
        self._drawn: list[Completion] = []
        self._faults: list[Exception] = []
        self._failure: str | None = None
        self._end: str | None = None
        self._busy_since: float | None = None
        self._closing = threading.Event()
        self._client = Client(url)
        self._questions = Questions(Client(url), max_in_flight, answer_within_s)
        try:
            base, longest, self._claim = _connect(self._client, connect_within_s)
        except BaseException:
            self._client.close()
            if server is not None:
                server.close()
            raise
        self.context_length = min(longest, context_length or longest)
        self._weights = ServerWeights(self._client, self._claim, sync_folder, base)
        threading.Thread(target=self._watch, name="murphy-health", daemon=True).start()

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            ValueError: it cannot be served, see `Engine`; ids that the model does not know are
                found out by the server alone, and told by `poll`.
            EngineDiedError: the server is dead, or the engine is closed.
        """
        self._refuse_dead()
        check_request(request, self.context_length, self._asked)
        vllm_common.check_drawable(request)
        if not self._asked:
            self._prove()
        asked = self._asked[request.tag] = _Asked(request, len(request.seeds))
        if self._busy_since is None:
            self._busy_since = time.perf_counter()
        for index in range(len(request.seeds)):
            self._questions.ask((asked, index), "/v1/completions", self._body(request, index))

    def poll(self, timeout: float | None = None) -> list[Completion]:
        """Completions that finished since the last call; see `Engine`.

        Raises:
            ValueError: the server refuses a request; it is gone, the next call goes on with all
                others.
            FloatingPointError: a sample has a log-probability that is not finite.
            RuntimeError: a sample came back without its ids. After either error that sample is
                gone, and the next call goes on with all others.
            EngineDiedError: the server is dead, answers in no way that is known, or is not held by
                this engine any more; or the engine is closed.
        """
        if self._end is not None:
            raise EngineDiedError(self._end)
        self._gather(timeout)
        self._count_time()
        if self._drawn:
            if not (self._claim.is_fresh() and (self._asked or self._failure)):
                self._prove()
            drawn, self._drawn = self._drawn, []
            return drawn
        if self._faults:
            raise self._faults.pop(0)
        self._refuse_dead()
        return []

    def sync(self, weights: Weights) -> None:
        """Sample with these from now on.

        Raises:
            ValueError: something is in flight; or the server is not set up to take the weights,
                does not see the folder or refuses them: it keeps those that it had.
            EngineDiedError: the server is dead, it took the weights in part, or is not held by this
                engine any more.
        """
        self._refuse_dead()
        refuse_in_flight(self._asked)
        try:
            self._weights.take(weights)
        except (UnreachableError, EngineDiedError) as error:
            raise self._dying(str(error)) from error
        self.version = weights.version

    def abort(self) -> None:
        """Forget all that is in flight; the server stops drawing what it is not waited for."""
        self._asked.clear()
        self._questions.drop()
        self._count_time()
        self._drawn.clear()
        self._faults.clear()

    def close(self) -> None:
        """Break off what is in flight, and end the server if this process started it.

        One that it did not start is let go of, if it answers within a few seconds: also one that
        counts as dead, since it may be alive, and a successor would wait for it to be free.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        if self._server is None:
            is_alive = self._end is None and self._failure is None
            # What is dead may fail in any way; what lives, in one that is known.
            with contextlib.suppress(UnreachableError if is_alive else Exception):
                if is_alive:
                    self._weights.forget_adapter(CLOSE_S)
                self._claim.release(CLOSE_S)
        self._end = self._end or "the engine was closed"
        self._asked.clear()
        try:
            self._client.close()
            self._questions.close()
        finally:
            if self._server is not None:
                self._server.close()
            self._weights.close()

    def _watch(self) -> None:
        """Ask how the server is, and whose, as long as the engine lives; runs in a thread."""
        while not self._closing.wait(HEALTH_EVERY_S):
            found: Answer | Exception
            try:
                found = self._client.ask("GET", "/health", timeout_s=HEALTH_S)
                if found.status == 200:
                    self._claim.prove_if_idle()
                    continue
            except Exception as error:
                found = error
            self._questions.answers.put((None, found))
            return

    def _prove(self) -> None:
        """Raise EngineDiedError unless the server has the weights that it was given last."""
        try:
            self._claim.prove()
        except (UnreachableError, EngineDiedError) as error:
            raise self._dying(str(error)) from error

    def _body(self, request: Request, index: int) -> dict[str, Any]:
        return {
            **_PLAIN,
            **vllm_common.drawing_fields(request, index, self._codec.eos_ids),
            # What ends a completion besides is known over there alone.
            "ignore_eos": False,
            "model": self._weights.model,
            "prompt": list(request.prompt_ids),
            "return_token_ids": True,
        }

    def _gather(self, timeout: float | None) -> None:
        """Take what has arrived; wait for the first of it while something is in flight."""
        end = None if timeout is None else time.monotonic() + timeout
        answers = self._questions.answers
        while self._asked and not (self._drawn or self._faults or self._failure):
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                self._take(*answers.get(timeout=left))
            except Empty:
                return
            self._take_rest()

    def _take_rest(self) -> None:
        """Take whatever else is there; no waiting."""
        with contextlib.suppress(Empty):
            while True:
                self._take(*self._questions.answers.get_nowait())

    def _take(self, key: Any, answer: Answer | Exception) -> None:
        """Sort an answer in; `key` is None where it is about the server's health.

        What comes after a failure may be from a server that began anew, with other weights.
        """
        if self._failure is not None:
            return
        if key is not None and self._asked.get(key[0].request.tag) is not key[0]:
            return  # given up meanwhile
        if isinstance(answer, Exception):
            is_known = isinstance(answer, UnreachableError | EngineDiedError)
            self._fail(str(answer) if is_known else f"{type(answer).__name__}: {answer}")
            return
        if key is None:
            self._fail(f"it is not healthy: {answer.status} {answer.message}")
            return
        asked: _Asked = key[0]
        request = asked.request
        if answer.status == 200:
            self._take_answer(asked, key[1], answer.body)
        elif is_not_finite(answer):
            self._strike(asked)
            self._faults.append(
                FloatingPointError(
                    "the model gave a log-probability that is not finite in completion "
                    f"{key[1]} of request {request.tag!r}; its weights or its number format have "
                    "overflowed"
                )
            )
        else:
            self._take_refusal(request, answer)

    def _take_refusal(self, request: Request, answer: Answer) -> None:
        if answer.status == 404:
            self._fail(f"it knows {self._weights.model!r} no longer: {answer.message}")
        elif 400 <= answer.status < 500 and answer.status != 429:
            del self._asked[request.tag]
            self._faults.append(
                ValueError(
                    f"the vLLM server refuses request {request.tag!r}: {answer.status} "
                    f"{answer.message}"
                )
            )
        else:
            self._fail(f"it answers with {answer.status} {answer.message}")

    def _take_answer(self, asked: _Asked, index: int, body: Any) -> None:
        request = asked.request
        try:
            sampled = sampled_of(body)
        except MalformedError as error:
            self._fail(
                f"what it says of completion {index} of request {request.tag!r} is none of vLLM's "
                f"answers: {error}"
            )
            return
        if sampled.finish_reason not in ("stop", "length"):
            self._fail(f"it ended a completion with {sampled.finish_reason!r}")
            return
        self._strike(asked)
        self._count(request, sampled)
        ids, logprobs, reason, _ = sampled
        try:
            self._drawn.append(
                vllm_common.completion_of(request, index, ids, logprobs, reason, self._codec)
            )
        except (FloatingPointError, RuntimeError) as error:
            self._faults.append(error)

    def _strike(self, asked: _Asked) -> None:
        """One sample less is missing."""
        asked.num_missing -= 1
        if not asked.num_missing:
            del self._asked[asked.request.tag]

    def _count(self, request: Request, sampled: Sampled) -> None:
        num_prompt_ids = len(request.prompt_ids)
        self.stats.prompt_tokens += num_prompt_ids
        self.stats.prefilled_tokens += num_prompt_ids - sampled.num_cached
        self.stats.generated_tokens += len(sampled.ids)

    def _count_time(self) -> None:
        if self._busy_since is not None:
            now = time.perf_counter()
            self.stats.seconds += now - self._busy_since
            self._busy_since = now if self._asked else None

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why

    def _dying(self, why: str) -> EngineDiedError:
        told = "" if self._server is None else f" {self._server.last_words()}"
        self._end = f"the vLLM server at {self._client.url} is dead: {why}.{told}"
        self._questions.drop()
        self._asked.clear()
        self._count_time()
        return EngineDiedError(self._end)

    def _refuse_dead(self) -> None:
        if self._end is not None:
            raise EngineDiedError(self._end)
        if self._failure is None and not self._asked:
            self._take_rest()
        if self._failure is not None:
            raise self._dying(self._failure)


def _connect(client: Client, within_s: float) -> tuple[str, int, Claim]:
    """The name of the model that is served, the longest sequence it takes, and the hold on it."""
    _wait_for_health(client, within_s)
    try:
        answer = client.ask("GET", "/v1/models")
        return *model_of(answer), Claim(client)
    except MalformedError as error:
        hint = "; set VLLM_API_KEY" if answer.status in (401, 403) else ""
        raise ValueError(f"{client.url} does not answer as vLLM does: {error}{hint}") from error
    except (UnreachableError, EngineDiedError) as error:
        raise EngineDiedError(f"the vLLM server at {client.url} is dead: {error}") from error


def _wait_for_health(client: Client, within_s: float) -> None:
    end = time.monotonic() + within_s
    while True:
        try:
            answer = client.ask("GET", "/health")
            if answer.status == 200:
                return
            reason = f"it says {answer.status} {answer.message}"
        except UnreachableError as error:
            reason = str(error)
        if time.monotonic() > end:
            raise EngineDiedError(
                f"no healthy server is at {client.url} within {within_s:g} s ({reason}); "
                f"start one: {START}; with adapters also {START_LORA}"
            )
        time.sleep(1.0)
