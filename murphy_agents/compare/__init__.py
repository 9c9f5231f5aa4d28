"""Compares arms on equal terms: same starts, same tasks, same generations, error bars.

A *cell* is one training run and its evaluation: (start, arm, seed). An arm is an algorithm, or
settings under a name of their own (`arms`). Cells run in parallel processes of one thread each,
every one in a folder of its own, and what is finished is not done again: `murphy compare` into the
same folder goes on where it stopped. How to use it: `docs/compare.md`.

    OUT/compare.yaml                    the settings; `murphy compare --config` remakes all of it
    OUT/starts/START/base               evaluation of a starting model (supervised-*: its rivals)
    OUT/cells/START/ARM/seed-N          a run of `murphy train`, with evaluation/ and log.txt
    OUT/cells/START/ARM/seed-N/curve    evaluations of its checkpoints, where they are asked for
    OUT/comparison.md, .json, .png      what came of it
    OUT/budgets.png                     what was reached by which budget, where there are curves
"""

from murphy_agents.compare.config import CompareConfig
from murphy_agents.compare.run import compare

__all__ = ["CompareConfig", "compare"]
