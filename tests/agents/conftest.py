"""Keeps the minutes of a warm start to the tests that are about it."""

import pytest

from murphy_agents.tiny import warm_start
from murphy_agents.tiny.recipe import Recipe


@pytest.fixture(autouse=True)
def no_warm_start_by_the_way(request, monkeypatch):
    """A test that takes the default model without need says so, instead of taking minutes."""
    made = warm_start.made

    def checked(recipe, *rest):
        short = recipe.schedule.num_steps < Recipe().schedule.num_steps
        assert short, "name a model; the default one takes minutes"
        return made(recipe, *rest)

    if "learning" not in request.node.nodeid:
        monkeypatch.setattr(warm_start, "made", checked)
