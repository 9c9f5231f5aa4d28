"""All checks of a dry run in their order; one that fails hides none that comes after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from rich.console import Console

from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig
from murphy_agents.dry_run import card as cards
from murphy_agents.dry_run import checks, fitting, sizes
from murphy_agents.dry_run import model as models
from murphy_agents.dry_run.card import Card
from murphy_agents.dry_run.findings import Findings, NotCheckedError
from murphy_agents.lease import EnvPool
from murphy_agents.strategies import algorithm_of


def examine(config: TrainConfig, console: Console | None = None) -> Findings:
    """Check a run and show what was found, without any of the run's work.

    Args:
        config: of the run; `dry_run` may be set or not.
        console: where the findings are shown.

    Returns:
        All findings; `num_failed` is 0 where nothing speaks against the run.
    """
    found = Findings()
    algorithm = algorithm_of(config)
    found.tried("settings", partial(checks.settings, config, algorithm))
    found.tried("output_dir", partial(checks.output_dir, config, algorithm))
    with ExitStack() as held:
        if models.needs_hub(config):
            found.tried("hub", partial(checks.answers, held))
        envs = _tasks(config, algorithm, found, held)
        if config.eval_tasks:
            found.tried("eval_tasks", partial(checks.eval_tasks, config))
        _run(config, algorithm, envs, found)
    console = console or Console()
    for line in found.lines():
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return found


def _tasks(
    config: TrainConfig, algorithm: Algorithm, found: Findings, held: ExitStack
) -> EnvPool | None:
    """The environments, if they can be made; closed with `held`."""
    loaded = found.tried("tasks", partial(checks.tasks, config))
    if loaded is None:
        found.skipped("environment", "needs the tasks")
        return None
    make_env = partial(checks.environment, config, algorithm, loaded[0], held)
    return found.tried("environment", make_env)


def _run(config: TrainConfig, algorithm: Algorithm, envs: EnvPool | None, found: Findings) -> None:
    """Model, prompts, counts and memory: what of them can be told."""
    policy = found.tried("model", partial(models.model_of, config, envs))
    prompts = None
    if policy and envs:
        prompts = found.tried("prompts", partial(checks.prompts, config, policy, envs))
    else:
        found.skipped("prompts", "needs the model's tokenizer and the tasks")
    problem = found.tried("rollouts", partial(checks.rollouts, algorithm))
    if problem and envs:
        found.tried("run", partial(checks.run, config, envs.task_ids, problem))
    else:
        found.skipped("run", "needs the tasks")
    device = found.tried("device", partial(checks.device, config))
    if policy and prompts and problem:
        estimated = partial(sizes.estimated, config, policy, prompts, problem)
        if needed := found.tried("memory", estimated):
            _room(needed, partial(cards.of_run, config, device), found)
    else:
        found.skipped("memory", "needs the model and the tasks")


def _room(needed: sizes.Demand, card_of_run: Callable[[], Card], found: Findings) -> None:
    """Whether what is needed fits onto the card."""
    try:
        card = card_of_run()
    except NotCheckedError as reason:
        found.notes += fitting.lines(needed)
        found.skipped("room", str(reason))
        return
    found.notes += fitting.lines(needed, card)
    if needed.vllm:
        found.tried("vllm", partial(fitting.shared, needed, needed.vllm, card))
    found.tried("room", partial(fitting.compared, needed, card))
