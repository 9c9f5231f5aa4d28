"""The same update on a GPU: a random model of full size in half precision, attention both ways.

* `speed`: forward and backward of one problem, as on a processor, with activation checkpointing;
  `autocast`: bfloat16 products of float32 weights, `bf16`: weights in bfloat16 too
* `fits`: whole steps by the library's `update` (reference, update, AdamW), all weights or adapters;
  adapters stand on bfloat16 weights, all weights are float32 under autocast

A way that fails, for want of memory or otherwise, is a row that says why; so is one whose gradient
is not that of single sequences in the same precision, within `gradient_tolerance`. Peaks are of
each way's own budget: eight rows for TRL, `token_budget` positions for the library. Products are
the layout's own, padding included, nothing twice (`roofline.model_flops`); utilisation is their
share of the settings' `peak_tflops`.
"""

import gc
import time
from contextlib import contextmanager
from functools import partial
from statistics import median

import torch

from benchmarks.update import counts, roofline, trees
from benchmarks.update.settings import scaled
from benchmarks.update.variants import Contest, Problem
from murphy_agents.policy import LoraSettings, Policy, make_optimizer
from murphy_agents.tiny import make_model, make_tokenizer
from murphy_agents.update import UpdateSettings, make_batch, update
from murphy_agents.update.layout import micro_batches

GB = 1e9
PRECISIONS = ("autocast", "bf16")
FAULTS = (RuntimeError, ValueError, ImportError)
"""What a way may fail with; torch's lack of memory is a RuntimeError."""


def measure(settings, device="cuda", say=print):
    """`{"device", "speed": [row, ...], "fits": [row, ...]}`; without a GPU rows say so."""
    speed, fits = _speed_rows(settings["gpu"]), _fits_rows(settings["gpu"])
    if device == "cuda" and not torch.cuda.is_available():
        absent = {"unmeasured": "no GPU"}
        speed, fits = ([row | absent for row in rows] for rows in (speed, fits))
        return {"device": None, "speed": speed, "fits": fits}
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "speed": [
            _said(say, row)
            for precision in PRECISIONS
            for row in _speed(settings, device, precision, speed)
        ],
        "fits": [_said(say, row | _survive(partial(_step, settings, device, row))) for row in fits],
    }


def _speed_rows(wanted):
    ways = [("trl", None), ("padded, sorted", None)]
    ways += [("trie", attention) for attention in wanted["attentions"]]
    return [
        {"precision": precision, "way": way, "attention": attention}
        for precision in PRECISIONS
        for way, attention in ways
    ]


def _fits_rows(wanted):
    return [
        {"model": name, "training": training, "attention": attention}
        for name in wanted["fits"]
        for training in ("full", "LoRA")
        for attention in wanted["attentions"]
    ]


def _speed(settings, device, precision, rows):
    wanted = settings["gpu"]
    model = make_random(settings, wanted["model"], device, precision)
    contest = Contest(
        model,
        settings["loss"],
        wanted["micro_batch"],
        wanted["token_budget"],
        torch.bfloat16 if precision == "autocast" else None,
    )
    problem = Problem(model, _samples(settings, model.config.vocab_size), settings)
    for row in rows:
        if row["precision"] == precision:
            contest.attention = row["attention"]
            yield row | _survive(partial(_timed, contest, problem, row["way"], settings))


def _timed(contest, problem, way, settings):
    wanted = settings["gpu"]
    (off,) = contest.distances(problem, [way]).values()  # compiles too
    if not off <= wanted["gradient_tolerance"]:
        raise RuntimeError(f"its gradient is off by {off:.3f} of its norm: not timed")
    with peak_memory(contest.model.device) as peak:
        contest.run(way, problem)
    seconds = [_seconds(contest, problem, way) for _ in range(wanted["rounds"])]
    sizes = roofline.Model(**settings["models"][wanted["model"]])
    work = _work(problem.samples, way, wanted["token_budget"])
    trained = sum(len(sample.completion_ids) for sample in problem.samples)
    rate = roofline.model_flops(sizes, work, trained) / median(seconds) / 1e12
    return {
        "seconds": seconds,
        "trained_per_s": trained / median(seconds),
        "forwarded_per_s": work.tokens / median(seconds),
        "tflops": rate,
        "utilisation": rate / wanted["peak_tflops"],
        "peak_gb": peak.get("gb"),
        "gradient_off": off,
    }


def _seconds(contest, problem, way):
    _synchronise(contest.model.device)
    start = time.perf_counter()
    contest.run(way, problem)
    _synchronise(contest.model.device)
    return time.perf_counter() - start


def _work(samples, way, budget):
    if way == "trl":
        return counts.count(samples).padded
    layout = "trie" if way == "trie" else "padded"
    return counts.work_of(micro_batches(samples, budget, layout))


def _step(settings, device, row):
    """Two whole steps of the library, of which the second is timed."""
    wanted = settings["gpu"]
    lora = LoraSettings(r=wanted["lora_rank"]) if row["training"] == "LoRA" else None
    model = make_random(settings, row["model"], device, "bf16" if lora else "autocast")
    policy = Policy.wrap(model, make_tokenizer(["add"]), lora=lora, beta=settings["loss"]["beta"])
    root = _graded(settings, model.config.vocab_size)
    optimizer, _ = make_optimizer(policy, num_steps=2)
    chosen = UpdateSettings(
        **settings["loss"],
        token_budget=wanted["token_budget"],
        layout="trie",
        tree_attention=row["attention"],
        autocast_dtype=torch.bfloat16,
    )
    with peak_memory(policy.device) as peak:
        for _ in range(2):
            start = time.perf_counter()
            update(policy, make_batch([root]), optimizer, chosen)
            _synchronise(policy.device)
            seconds = time.perf_counter() - start
    return {"step_s": seconds, "peak_gb": peak.get("gb")}


def make_random(settings, name, device, precision):
    """A random model of a name's sizes, checkpointing its activations, in training mode."""
    sizes = dict(settings["models"][name])
    with torch.device(device):
        model = make_model(
            "olmo2" if name.startswith("OLMo") else "qwen3",
            make_tokenizer(["add"]),
            num_layers=sizes.pop("num_hidden_layers"),
            max_position_embeddings=1 << 15,
            **sizes,
        )
    # Renamed within transformers 5; the older releases know the older name alone.
    renamed = getattr(model, "activation_checkpointing_enable", None)
    (renamed or model.gradient_checkpointing_enable)({"use_reentrant": False})
    return model.bfloat16() if precision == "bf16" else model


@contextmanager
def peak_memory(device):
    """Within it, the most memory that torch holds on a GPU; `{"gb": most}` afterwards."""
    found = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    yield found
    if device.type == "cuda":
        found["gb"] = torch.cuda.max_memory_allocated(device) / GB


def _graded(settings, vocabulary):
    wanted = settings["gpu"]
    shape, lengths = settings["trees"][wanted["tree"]], scaled(settings, wanted["scale"])
    root = trees.grow(shape, wanted["transcript"], lengths, 0, vocabulary)
    trees.algorithm(shape).grade(root)
    return root


def _samples(settings, vocabulary):
    return make_batch([_graded(settings, vocabulary)]).samples


def _survive(run):
    _forget()
    try:
        return run()
    except FAULTS as fault:
        return {"fails": f"{type(fault).__name__}: {str(fault).splitlines()[0]}"}


def _said(say, row):
    say(f"  {row}")
    return row


def _forget():
    """Free what earlier rows held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _synchronise(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
