"""Records of worlds by hand: few tasks, a few runs, nothing trained."""

from benchmarks.compare.record import Run, World

TASKS = ("a1", "a2", "b1", "c1")
CLUSTERS = (0, 0, 1, 2)


def costs(generations=100.0, seconds=10.0):
    return {
        "problems": 16.0,
        "generations": generations,
        "pruned": 0.0,
        "trained tokens": 30 * generations,
        "generation s": seconds,
        "execution s": 1.0,
        "update s": 2.0,
        "evaluation s": 0.5,
    }


def run(arm, start, seed, *solved, curve=(), mechanism=None, **spent):
    """A digit per task and iteration."""
    paid = {} if seed is None else costs(**spent)
    return Run(arm, start, seed, solved, paid, mechanism or {}, tuple(curve))


def world(runs, name="repair", eval_runs=1, **told):
    return World(
        world=name,
        tasks=TASKS,
        clusters=CLUSTERS,
        iterations=len(runs[0].solved),
        eval_runs=eval_runs,
        runs=tuple(runs),
        **told,
    )


BASES = [
    run("base", "warm-0", None, "0010", "0010", "0010"),
    run("base", "warm-1", None, "0010", "0010", "0110"),
]
GRPO = [
    run("grpo", "warm-0", 0, "1010", "1010", "1010"),
    run("grpo", "warm-0", 1, "0010", "0010", "0010"),
    run("grpo", "warm-1", 0, "0010", "0010", "0010"),
    run("grpo", "warm-1", 1, "1010", "1010", "1010"),
]
MARS = [
    run("murphy_mars", "warm-0", 0, "0010", "0110", "1110", generations=70.0),
    run("murphy_mars", "warm-0", 1, "0010", "0110", "1110", generations=70.0),
    run("murphy_mars", "warm-1", 0, "0000", "0110", "1110", generations=80.0),
    run("murphy_mars", "warm-1", 1, "0010", "0110", "1111", generations=80.0),
]
ARMS = {
    "grpo": {"algorithm": "grpo", "num_generations": 20, "max_steps": 60},
    "murphy_mars": {"algorithm": "murphy_mars", "fanout": [4, 4], "max_steps": 60},
}
SETTINGS = {"max_steps": 60, "eval_tasks": "by hand"}


def small():
    return world(
        [*BASES, *GRPO, *MARS],
        arms=ARMS,
        settings=SETTINGS,
        command="python -m benchmarks.compare --world repair",
        commits=("abc",),
        date="2026-01-01",
        machine={"processor": "a processor", "cores": 2, "versions": {"python": "3"}},
    )
