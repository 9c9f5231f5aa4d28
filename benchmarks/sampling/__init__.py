"""What does generation cost, and what does waiting cost? Engines, and schedules of a tree.

    python -m benchmarks.sampling [--quick] [--rounds N] [--parts NAME,NAME...] [--json FILE]
                                  [--markdown FILE] [--device cpu|cuda]
    python -m benchmarks.sampling --show FILE [--markdown FILE]

* `settings.yaml`: every length, size and goal; `settings` reads it
* `work`: what is asked for: prompts of random ids, and how long each sample is to be
* `contenders`: `transformers.generate`, our transformers engine, our vLLM engine
* `world`: an environment whose step sleeps, and a codec that makes prompts of a given length
* `run`: engines take turns on the same work, then the two schedules on the same trees
* `agreement`: how many nodes the two schedules draw differently
* `gpu`: tokens per second of a model of full size and what a sync takes, where there is a GPU
* `analysis`: ratios and goals; `tell`: tables; a record is printed again with `--show`

One environment that has vLLM can run everything; where it cannot be imported, its rows are left out
and the record says so.
"""

import os

# One thread, before anything loads torch: shares of processor time are compared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The engine in this very process, on cores of the system's choice, as everything else here.
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
