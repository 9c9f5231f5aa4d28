"""How subsets and figures are called in the report."""

from benchmarks.compare.record import ALL
from murphy_agents.show.tables import percent, points
from murphy_agents.show.tables import spread as ends


def subset_of(world):
    """The tasks of the headline: vague ones where there are such."""
    return world.parts[0]


def named(subset):
    """In words."""
    return "all tasks" if subset == ALL else f"{subset} tasks"


def signed(found):
    """A difference in points with its interval; '-' where there is none."""
    return "-" if found is None else f"{points(found.mean)} ({ends(found, signed=True)})"


def count(value):
    """A number of things or seconds."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def level(found):
    """A share in percent with its interval; '-' where there is none."""
    return "-" if found is None else f"{percent(found.mean)} ({ends(found)})"
