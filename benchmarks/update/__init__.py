"""What does an update cost? The trie layout against TRL's trainer and padded rows, same gradients.

    python -m benchmarks.update [--quick] [--rounds N] [--parts NAME,NAME...] [--json FILE]
                                [--markdown FILE]
    python -m benchmarks.update --show FILE [--markdown FILE]
    python -m benchmarks.update --device cuda [--json FILE]

* `settings.yaml`: every length, size and goal; `settings` reads it
* `trees`: random trees of token ids with these lengths, graded by the library's own algorithms
* `counts`: tokens that each layout runs the model on, at full length, without a model
* `variants`, `peer`: one update in five ways, TRL's real trainer among them
* `run`: all ways take turns in one process; every round is another tree
* `memory`: peaks, each in a process of its own
* `roofline`: what the same counts mean for models of billions of parameters; computed
* `gpu`: the same update on a GPU, where there is one
* `analysis`: ratios, goals and tables; a record is printed again with `--show`

Not measured on a processor: TRL's Triton kernels, for which the way "padded, compact head" stands
in, and its experimental asynchronous trainer, which shares prefixes too but needs a GPU and knows
neither a KL penalty nor Def. 1's weights.
"""

import os

# One thread, before anything loads torch: shares of processor time are compared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
