"""Means and differences of a world's arms, with intervals.

As `murphy compare` has them (`docs/design/0602` and `0603`): tasks are weighted alike, differences
are taken run by run before they are averaged, intervals of trained arms cover clusters of tasks and
runs, those of models as they were cover clusters alone. Clusters are those of the record, which in
the probe world are larger than prompts.
"""

from functools import cache
from statistics import fmean

from murphy_agents.stats.resampling import difference as of_tasks
from murphy_agents.stats.statistics import runs_interval


@cache
def pass_at_1(world, arm, iteration, subset):
    """Mean over the runs of an arm and tasks of a subset, with its interval."""
    runs = world.of(arm)
    return _mean(world, [world.values(run, iteration, subset) for run in runs], runs, least=0.0)


@cache
def difference(world, arm, other, iteration, subset):
    """Mean of an arm's runs minus their partners, with its interval; None where none has one."""
    pairs = pairs_of(world, arm, other)
    if not pairs:
        return None
    values = _differences(world, pairs, iteration, subset)
    return _mean(world, values, [run for _, run in pairs], least=-1.0)


def run_differences(world, arm, other, iteration, subset):
    """The same, one mean over tasks for each pair of runs."""
    found = _differences(world, pairs_of(world, arm, other), iteration, subset)
    return [fmean(values.values()) for values in found]


def pairs_of(world, arm, other):
    """(partner, run): the other arm's run of the same start and seed, or of the start alone."""
    partners = {(run.start, run.seed): run for run in world.of(other)}
    found = []
    for run in world.of(arm):
        partner = partners.get((run.start, run.seed)) or partners.get((run.start, None))
        if partner is not None:
            found.append((partner, run))
    return found


def run_mean(world, run, iteration, subset):
    """Mean of one run over tasks."""
    return fmean(world.values(run, iteration, subset).values())


def is_trained(world, arm):
    """Whether its runs were trained."""
    return all(run.seed is not None for run in world.of(arm))


def cost(world, arm, name):
    """Mean over the runs; None where nothing was trained."""
    found = [run.costs[name] for run in world.of(arm) if name in run.costs]
    return fmean(found) if found else None


def seconds(costs):
    """Generation, execution and update of one run."""
    return sum(costs.get(f"{part} s", 0.0) for part in ("generation", "execution", "update"))


def mechanism(world, arm, name, subset):
    """Mean share over the runs; None where none can be told."""
    found = [run.mechanism.get(subset, {}).get(name) for run in world.of(arm)]
    known = [value for value in found if value is not None]
    return fmean(known) if known else None


def _differences(world, pairs, iteration, subset):
    return [of_tasks(*(world.values(run, iteration, subset) for run in pair)) for pair in pairs]


def _mean(world, values, runs, least):
    """With its interval, as `murphy compare` has it."""
    are_trained = all(run.seed is not None for run in runs)
    return runs_interval(values, world.cluster_of(), are_trained, least)
