"""Peaks of resident memory above what was held before, each in a process of its own (Linux).

A process makes model, samples and the trainer where it needs one, runs the same once on a few
sequences, so that libraries have what they keep, gives freed memory back, and then notes what it
holds, forgets its peak and runs the update once.

The output layer alone: log-probs and entropies of so many states, forward and backward, by

    full logits                   written plainly: logits, log_softmax, entropy, all in the graph
    full logits, entropy apart    entropies without gradient, the logits not kept
    trl                           TRL's chunked function
    library                       the library's own
"""

import ctypes
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
MB = 1e6
ENTROPY_ROWS = 128


def in_a_process(job):
    """The peak of a job in MB.

    Args:
        job: `what` is "update", with `way`, `transcript` and `whole`, or "head", with `way`; and
            `settings`.

    Raises:
        RuntimeError: the process failed; says how.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.update.memory"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"measuring {job['way']!r} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_mb(run):
    """What `run` holds at its peak above what was held before."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak, see proc(5)
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / MB


def _status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _update(job):
    """An update of the settings' tree, by one way."""
    from benchmarks.update.settings import scaled
    from benchmarks.update.variants import Contest, problem

    settings, way = job["settings"], job["way"]
    wanted = settings["memory"]
    contest = Contest.of("qwen3", settings)
    shapes = [{"fanout": [2]}, settings["trees"][wanted["tree"]]]
    small, whole = (
        problem(contest, shape, job["transcript"], settings, 0, scaled(settings, wanted["scale"]))
        for shape in shapes
    )
    if way in PREPARED:
        contest.prepare(small, job["whole"])
        contest.prepare(whole, job["whole"])
    contest.run(way, small, job["whole"])
    contest.model.zero_grad(set_to_none=True)
    return lambda: contest.run(way, whole, job["whole"])


PREPARED = ("trl", "padded, compact head")
"""Ways whose inputs are made before; only these make a trainer."""


def _head(job):
    """The output layer alone."""
    sizes = job["settings"]["head"]
    generator = torch.Generator().manual_seed(0)
    rows, hidden = sizes["rows"], sizes["hidden_size"]
    layer = torch.nn.Linear(hidden, sizes["vocab_size"], bias=False)
    states = torch.randn(rows, hidden, generator=generator).requires_grad_()
    ids = torch.randint(sizes["vocab_size"], (rows,), generator=generator)
    temperature = job["settings"]["loss"]["temperature"]

    def run(rows):
        logp_N, entropy_N = HEADS[job["way"]](layer, states[:rows], ids[:rows], temperature)
        logp_N.sum().backward()
        return logp_N, entropy_N, states.grad

    run(2)
    layer.weight.grad = states.grad = None
    return lambda: run(rows)


def _full(layer, states, ids, temperature):
    logits_NV = layer(states) / temperature
    logp_NV = logits_NV.log_softmax(dim=-1)
    entropy_N = -(logp_NV.exp() * logp_NV).sum(dim=-1)
    return logp_NV.gather(1, ids[:, None])[:, 0], entropy_N


def _full_apart(layer, states, ids, temperature):
    logp_NV = (layer(states) / temperature).log_softmax(dim=-1)
    with torch.no_grad():
        parts = [-(part.exp() * part).sum(dim=-1) for part in logp_NV.split(ENTROPY_ROWS)]
    return logp_NV.gather(1, ids[:, None])[:, 0], torch.cat(parts)


def _trl(layer, states, ids, temperature):
    from trl.trainer import utils

    found = utils._ChunkedLogProbFunction.apply(
        states,
        layer.weight,
        None,
        ids,
        temperature,
        utils._CHUNKED_LOGPROB_CHUNK_SIZE,
        None,
        1.0,
        ("log_probs", "entropy"),
    )
    return found[:2]


def _library(layer, states, ids, temperature):
    from murphy_agents.update.head import Targets, score

    targets = Targets(torch.arange(len(ids)), ids)
    return score(layer, states, targets, temperature, with_entropy=True)


HEADS = {
    "full logits": _full,
    "full logits, entropy apart": _full_apart,
    "trl": _trl,
    "library": _library,
}


def main():
    """Read a job, print its peak."""
    job = json.load(sys.stdin)
    torch.set_num_threads(1)
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(json.dumps(peak_mb({"update": _update, "head": _head}[job["what"]](job))))


if __name__ == "__main__":
    main()
