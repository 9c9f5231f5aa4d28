"""Worlds whose policy is a table: what each credit teaches, exactly and in seconds.

`probe` has a first attempt that can hide or reveal what is wrong, `sorting` one that gives up its
own success to learn what is asked for. Training is plain gradient ascent on Def. 1 over trees of
real nodes, graded by real algorithms; what the table is worth is computed, not sampled. `paper` has
what the credits are worth before any training.

    python -m benchmarks.compare.tabular [--seeds N] [--json F]     every world and arm
    python -m benchmarks.compare.tabular.paper                      the values on paper
"""
