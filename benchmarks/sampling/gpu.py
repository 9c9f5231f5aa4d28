"""Generation with a random model of full size on a GPU, and what it takes to bring it new weights.

* `speed`: the work of the settings, turn by turn, by each contender: sampled tokens per second
* `sync`: seconds of `VllmEngine.sync`, the whole model and its adapters alone; the transformers
  engine speaks with the model in training and has nothing to bring

A contender that fails, for want of memory or otherwise, is a row that says why.
"""

import gc
import time
from functools import partial
from statistics import median

import torch

from benchmarks.sampling import contenders, models
from benchmarks.sampling.contenders import GENERATE, OURS, VLLM, Generate, OfEngine
from benchmarks.sampling.work import lengths_of, turns
from benchmarks.sampling.world import NumberCodec
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.engines.weights import weights_of
from murphy_agents.policy import LoraSettings, Policy

FAULTS = (RuntimeError, ValueError, ImportError)
"""What a contender may fail with; torch's lack of memory is a RuntimeError."""


def measure(settings, device="cuda", say=print):
    """`{"device", "speed": [row, ...], "sync": [row, ...]}`; without a GPU rows say so."""
    speed = [{"contender": name} for name in (GENERATE, OURS, VLLM)]
    sync = [{"training": training} for training in ("full", "LoRA")]
    if device == "cuda" and not torch.cuda.is_available():
        absent = {"unmeasured": "no GPU"}
        speed, sync = ([row | absent for row in rows] for rows in (speed, sync))
        return {"device": None, "speed": speed, "sync": sync}
    wanted = settings["gpu"]
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "speed": [_row(say, row, partial(_speed, wanted, device, **row)) for row in speed],
        "sync": [_row(say, row, partial(_sync, wanted, device, **row)) for row in sync],
    }


def _row(say, row, run):
    _forget()
    try:
        row = row | run()
    except FAULTS as fault:
        row = row | {"fails": f"{type(fault).__name__}: {str(fault).splitlines()[0]}"}
    say(f"  {row}")
    return row


def _speed(wanted, device, contender):
    model = _model(wanted, device, wanted["dtype"])
    codec, length_of = _codec(wanted), lengths_of(wanted["lengths"])
    if contender == GENERATE:
        rows = wanted["generate_rows"]
        return _timed(Generate(model, length_of, rows), wanted, length_of)
    if contender == OURS:
        return _timed(OfEngine(TransformersEngine(model, codec), length_of), wanted, length_of)
    engine = contenders.vllm_engine(model, codec, wanted["dtype"])
    try:
        return _timed(OfEngine(engine, length_of), wanted, length_of)
    finally:
        engine.close()


def _timed(draw, wanted, length_of):
    speeds = []
    for seed in range(wanted["rounds"] + 1):
        work = turns(
            wanted["work"], wanted["sizes"], wanted["model"]["vocab_size"], length_of, seed
        )
        started = time.perf_counter()
        tokens = sum(len(ids) for requests in work for ids, _ in draw(requests)[0])
        speeds.append(tokens / (time.perf_counter() - started))
    return {"tokens_per_s": speeds[1:]}  # the first round is not counted


def _sync(wanted, device, training):
    lora = LoraSettings(r=wanted["lora_rank"]) if training == "LoRA" else None
    # Weights that are trained are float32, whatever the engine's are; adapters stand on its own.
    model = _model(wanted, device, wanted["dtype"] if lora else "float32")
    rank = {"max_lora_rank": lora.r} if lora else {}
    engine = contenders.vllm_engine(model, _codec(wanted), wanted["dtype"], **rank)
    try:
        policy = Policy.wrap(model, models.tokenizer(), lora=lora, beta=0.0)
        seconds = []
        for version in range(1, wanted["rounds"] + 2):
            started = time.perf_counter()
            engine.sync(weights_of(policy, version))
            _synchronise(device)
            seconds.append(time.perf_counter() - started)
    finally:
        engine.close()
    return {"seconds": seconds[1:], "median_s": median(seconds[1:])}


def _model(wanted, device, dtype):
    with torch.device(device):
        return models.make(wanted["model"], getattr(torch, dtype))


def _codec(wanted):
    return NumberCodec(wanted["sizes"], wanted["model"]["vocab_size"])


def _forget():
    """Free what earlier rows held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _synchronise(device):
    if device == "cuda":
        torch.cuda.synchronize()
