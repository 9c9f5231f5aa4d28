"""MURPHY teaches the embedded policy to repair, by the mechanism that it is meant to have.

A smaller budget than `examples/first_run.yaml`: a third of its steps, on selection tasks.
"""

from pathlib import Path

import pytest
import yaml

from murphy_agents import TrainConfig, train
from murphy_agents.tiny.choosing import on_selection
from murphy_agents.tiny.warm_start import folder_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "first_run.yaml"
NUM_STEPS = 20
LEAST_RISE = 0.10
"""Of the share of second attempts that are right; `python tests/agents/learning_runs.py` shows how
far above it 20 runs came."""


def learned(folder, seed, num_steps=NUM_STEPS):
    """Repair rate and repeat rate of second attempts, before and after."""
    settings = yaml.safe_load(EXAMPLE.read_text())
    told = {"output_dir": str(folder), "eval_tasks": None, "seed": seed, "max_steps": num_steps}
    result = train(TrainConfig(**{**settings, **told}))
    models = folder_of("embedded:0"), result.model_dir
    return [(e.repair_rate(2), e.repeat_rate(2)) for e in map(on_selection, models)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_second_attempts_repair_more_and_repeat_less(tmp_path):
    (repaired, repeated), (repaired_after, repeated_after) = learned(tmp_path / "run", seed=0)
    assert repaired_after - repaired > LEAST_RISE
    assert repeated_after < repeated
