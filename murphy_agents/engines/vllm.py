"""The engine on vLLM in this process: it samples with weights of its own, which `sync` brings.

Every sample is a vLLM request with one seed, so what it draws is its own: on a CPU in float32 the
same ids alone and in any batch seen; on a GPU, rounding differs with the batch as everywhere. Ids
go in and ids come out; vLLM's prefix cache reads a prompt that siblings share once, in blocks.

Only one engine at a time may be alive in a process: vLLM keeps its process groups where all engines
share them, and closing one takes them from the other.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from murphy_agents.codec import Codec
from murphy_agents.engines import vllm_common, vllm_start
from murphy_agents.engines.intake import check_ids, check_request, refuse_in_flight
from murphy_agents.engines.protocol import (
    Completion,
    EngineDiedError,
    EngineStats,
    Request,
    Weights,
)
from murphy_agents.engines.vllm_adapters import AdapterSlot


class VllmEngine:
    """Samples with vLLM, beside the model in training and on its device.

    Args:
        model: a folder in Hugging Face layout, tokenizer included, or a hub name. Adapters are
            synchronised on top of it, so for LoRA it is the base model.
        codec: its `eos_ids` end a completion, as do those of the model's generation config.
        dtype: of vLLM's weights, by torch's name, such as "bfloat16".
        context_length: most ids of prompt and completion; None: the model's.
        gpu_memory_utilization: share of the device's memory that vLLM may take, cache included;
            on a CPU, of the machine's memory.
        max_lora_rank: highest rank of adapters; None: whole weights are synchronised.
        seed: vLLM's own; no sample depends on it.
        **engine_options: any other argument of `vllm.LLM`.

    Raises:
        ValueError: vLLM is missing or set to run its engine in another process, or an option
            contradicts what this engine is.
    """

    def __init__(
        self,
        model: str | Path,
        codec: Codec,
        *,
        dtype: str,
        context_length: int | None = None,
        gpu_memory_utilization: float = 0.3,
        max_lora_rank: int | None = None,
        seed: int = 0,
        **engine_options: Any,
    ) -> None:
        self._engine: Any = vllm_start.start(
            str(model),
            max_lora_rank,
            engine_options,
            dtype=dtype,
            max_model_len=context_length,
            gpu_memory_utilization=gpu_memory_utilization,
            seed=seed,
        )
        config = self._engine.model_config
        self.context_length: int = config.max_model_len
        self.stats = EngineStats()
        self.version = 0
        self._vocab_size: int = config.get_vocab_size()
        self._codec = codec
        self._eos_ids = vllm_common.end_ids(codec, config.try_get_generation_config())
        self._slot = None if max_lora_rank is None else AdapterSlot(max_lora_rank)
        self._numbers = itertools.count(1)
        self._samples: dict[str, tuple[Request, int]] = {}
        self._tags: dict[Hashable, int] = {}
        self._drawn: list[Completion] = []
        self._faults: list[Exception] = []
        self._end: str | None = None

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            ValueError: it cannot be served, see `Engine`; or vLLM cannot draw it as asked.
            EngineDiedError: the engine has died or is closed.
        """
        self._refuse_dead()
        check_request(request, self.context_length, self._tags)
        check_ids(request, self._vocab_size)
        vllm_common.check_drawable(request)
        names: list[str] = []
        try:
            for index in range(len(request.seeds)):
                names.append(self._add(request, index))
        except Exception as error:
            self._engine.abort_request(names)
            raise ValueError(f"vLLM refuses request {request.tag!r}: {error}") from error
        self._samples |= {name: (request, index) for index, name in enumerate(names)}
        self._tags[request.tag] = len(names)

    def poll(self, timeout: float | None = None) -> list[Completion]:
        """Decode until something finishes or time is up; [] if nothing is in flight.

        Raises:
            FloatingPointError: a sample has a log-probability that is not finite.
            RuntimeError: vLLM gave a sample up. After either error that sample is gone, and the
                next call goes on with all others.
            EngineDiedError: vLLM failed as a whole, or is closed.
        """
        self._refuse_dead()
        started = time.perf_counter()
        while self._samples and not self._drawn and not self._faults:
            self._step()
            self._note_lost()
            if timeout is not None and time.perf_counter() - started > timeout:
                break
        self.stats.seconds += time.perf_counter() - started
        if self._faults and not self._drawn:
            raise self._faults.pop(0)
        drawn, self._drawn = self._drawn, []
        return drawn

    def sync(self, weights: Weights) -> None:
        """Sample with these from now on; whatever fails half-way is the engine's end.

        Raises:
            ValueError: something is in flight, or the weights are of another kind or rank than the
                engine was made for.
            EngineDiedError: vLLM could not take them all and would go on with a mixture.
        """
        self._refuse_dead()
        refuse_in_flight(self._tags)
        self._check_kind(weights)
        if self._slot is None:
            with self._all_or_the_end(weights):
                self._take_all(weights)
        else:
            with self._all_or_the_end(weights):
                folder = self._slot.written(weights)
            self._slot.check_rank(folder)
            with self._all_or_the_end(weights):
                self._slot.take(self._engine, folder, weights.version)
        with self._all_or_the_end(weights):
            # What it holds was computed by the older weights.
            if not self._engine.reset_prefix_cache():
                raise RuntimeError("vLLM did not empty its prefix cache, which is in use")
        self.version = weights.version

    def abort(self) -> None:
        """Forget all that is in flight; nothing where the engine has ended."""
        if self._end is None:
            self._engine.abort_request(list(self._samples))
        self._samples.clear()
        self._tags.clear()
        self._drawn.clear()
        self._faults.clear()

    def close(self) -> None:
        """Shut vLLM down and free its memory; what was in flight is lost."""
        self._end = self._end or "it was closed"
        if self._engine is not None:
            self._engine.engine_core.shutdown()
            self._engine = None
            gc.collect()
        if self._slot is not None:
            self._slot.close()

    def _add(self, request: Request, index: int) -> str:
        """Hand one sample to vLLM; its name there."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        name = str(next(self._numbers))
        params = SamplingParams(
            **vllm_common.drawing_fields(request, index, self._eos_ids),
            # Text is looked at for stop texts alone; ours is the codec's.
            detokenize=bool(request.params.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = {"type": "token", "prompt_token_ids": list(request.prompt_ids)}
        self._engine.add_request(
            name, prompt, params, lora_request=self._slot and self._slot.request
        )
        return name

    def _step(self) -> None:
        try:
            # On a CPU, vLLM draws some of the numbers that whoever trains here counts on.
            with torch.random.fork_rng(devices=[]):
                outputs = self._engine.step()
        except Exception as error:
            raise self._dying("vLLM failed while it was sampling", error) from error
        for output in outputs:
            if not output.finished:
                continue
            try:
                self._drawn.append(self._completion(output))
            except (FloatingPointError, RuntimeError) as error:
                self._faults.append(error)

    def _note_lost(self) -> None:
        """Samples that vLLM has dropped without a word would be waited for without end."""
        if self._samples and not self._engine.has_unfinished_requests():
            for name in list(self._samples):
                request, index = self._taken(name)
                self._faults.append(
                    RuntimeError(
                        f"vLLM gave up completion {index} of request {request.tag!r}; its log may "
                        "say why"
                    )
                )

    def _completion(self, output: Any) -> Completion:
        request, index = self._taken(output.request_id)
        (told,) = output.outputs
        num_ids = len(request.prompt_ids)
        self.stats.prompt_tokens += num_ids
        self.stats.prefilled_tokens += num_ids - (output.num_cached_tokens or 0)
        self.stats.generated_tokens += len(told.token_ids)
        ids = tuple(told.token_ids)
        pairs = zip(told.logprobs or (), ids, strict=False)
        logprobs = [float(of_place[i].logprob) for of_place, i in pairs]
        return vllm_common.completion_of(
            request, index, ids, logprobs, told.finish_reason, self._codec
        )

    def _taken(self, name: str) -> tuple[Request, int]:
        """The sample of that name, which is in flight no more."""
        request, index = self._samples.pop(name)
        self._tags[request.tag] -= 1
        if not self._tags[request.tag]:
            del self._tags[request.tag]
        return request, index

    def _check_kind(self, weights: Weights) -> None:
        if weights.is_adapter == (self._slot is not None):
            return
        raise ValueError(
            "adapters are to be synchronised with an engine that was made for whole weights; make "
            "it with max_lora_rank, upon the model that the adapters belong to"
            if weights.is_adapter
            else "whole weights are to be synchronised with an engine that was made for adapters; "
            "make it without max_lora_rank"
        )

    def _take_all(self, weights: Weights) -> None:
        self._engine.collective_rpc(
            "reload_weights", kwargs={"weights_iterator": iter(weights.named())}
        )
        if vllm_start.on_cpu():
            self._engine.apply_model(vllm_common.repack_output_layers)

    @contextmanager
    def _all_or_the_end(self, weights: Weights) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._dying(f"the sync to version {weights.version} failed", error) from error

    def _dying(self, what: str, error: Exception) -> EngineDiedError:
        self._end = f"{what}: {error}"
        self._samples.clear()
        self._tags.clear()
        return EngineDiedError(f"the vLLM engine cannot go on, {self._end}")

    def _refuse_dead(self) -> None:
        if self._end is not None:
            raise EngineDiedError(f"the vLLM engine cannot go on, {self._end}; make a new one")
