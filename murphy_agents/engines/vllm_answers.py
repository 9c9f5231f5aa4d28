"""What a vLLM server says of one sample, and of itself, read without trust in its shape."""

from __future__ import annotations

from typing import Any, NamedTuple

from murphy_agents.engines.vllm_http import Answer

_LEAST_LOGPROB = -9999.0
"""vLLM's server writes it for -inf."""
_NOT_FINITE = "Out of range float values are not JSON compliant"
"""What its server says where it would have to write NaN."""


class MalformedError(Exception):
    """An answer that vLLM does not give."""


class Sampled(NamedTuple):
    """A sample as it came."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: str
    num_cached: int
    """Ids of its prompt that were not read anew, where the server counts them; else 0."""


def is_not_finite(answer: Answer) -> bool:
    """Whether the server had a log-probability that no JSON can hold."""
    return answer.status != 200 and _NOT_FINITE in answer.message


def sampled_of(body: Any) -> Sampled:
    """The one sample in an answer of `/v1/completions`.

    Raises:
        MalformedError: there is none; says what is wrong.
    """
    try:
        choice = body["choices"][0]
        usage = body["usage"] or {}
        return Sampled(
            tuple(map(int, choice["token_ids"] or ())),
            tuple(map(_logprob, choice["logprobs"]["token_logprobs"])),
            str(choice["finish_reason"]),
            int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise MalformedError(f"{type(error).__name__}: {error}, in {str(body)[:200]}") from error


def model_of(answer: Answer) -> tuple[str, int]:
    """The name of the model that is served, and the longest sequence it takes.

    Raises:
        MalformedError: the answer of `/v1/models` does not say.
    """
    try:
        base = next(model for model in answer.body["data"] if model["parent"] is None)
        return str(base["id"]), int(base["max_model_len"])
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise MalformedError(f"/v1/models gives {answer.status} {answer.message}") from error


def _logprob(told: Any) -> float:
    """JSON writers that know no NaN write null."""
    logprob = float("nan") if told is None else float(told)
    return float("-inf") if logprob <= _LEAST_LOGPROB else logprob
