"""What was wanted of a figure, and whether it was found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """What is wanted of a figure, and what was found."""

    name: str
    found: float | None
    """None: it was not measured."""
    bound: float
    at_least: bool

    @property
    def met(self):
        """Whether it was reached; None where it was not measured."""
        if self.found is None:
            return None
        return self.found >= self.bound if self.at_least else self.found <= self.bound


def of_ratios(ratios):
    """Those that ratios bring with them: medians that are to be at least so large."""
    return [
        Goal(name, ratio["median"], ratio["goal"], at_least=True)
        for name, ratio in ratios.items()
        if ratio["goal"]
    ]
