"""Steps of an arm of equal budget, from the metrics of two runs made by hand."""

import json

import pytest

from murphy_agents.compare.equal_budget import Equal, Steps, read, settled
from murphy_agents.costs import BUDGETS, spent

METRICS = {
    "generations": "num_generations",
    "trained tokens": "trained_tokens",
    "generation s": "seconds/generation",
    "execution s": "seconds/execution",
    "update s": "seconds/update",
}


def history(steps, **each):
    told = {"generations": 20, "trained tokens": 100, "generation s": 1.0, "execution s": 0.5,
            "update s": 2.5} | each  # fmt: skip
    return [
        {"step": step + 1, **{METRICS[name]: value for name, value in told.items()}}
        for step in range(steps)
    ]


def run_of(folder, told, is_finished=True):
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(m) + "\n" for m in told))
    if is_finished:
        (folder / "final").mkdir()
    return folder


def test_what_is_spent_by_a_step():
    told = history(3)
    assert [spent(told, name) for name in BUDGETS] == [60, 300, 12.0]
    assert [spent(told, name, steps=1) for name in BUDGETS] == [20, 100, 4.0]
    assert spent(told, "update s", steps=2) == 5.0
    assert spent(told, "seconds", steps=0) == 0
    # Every pass over the tokens is paid for, and what brings the weights to the engine.
    (more,) = history(1)
    more |= {"optimizer_steps": 4.0, "seconds/sync": 0.25}
    assert [spent([more], name) for name in ("trained tokens", "update s")] == [400, 2.75]


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ("generations", 6),  # 10 steps of 20 are 200; 10 of 12 are 120: 10 · 120 / 200
        ("trained tokens", 25),  # 10 · 10·250 / 10·100
        ("seconds", 20),  # 10 · 10·(2 + .5 + 5.5) / 10·(1 + .5 + 2.5)
    ],
)
def test_steps_spend_what_the_other_run_spent(tmp_path, budget, steps):
    like = run_of(tmp_path / "like", history(10))
    dear = {"generations": 12, "trained tokens": 250, "generation s": 2.0, "update s": 5.5}
    to = run_of(tmp_path / "to", history(10, **dear))
    folder = tmp_path / "arm"
    folder.mkdir()
    found = settled(folder, Equal(budget, like, to))
    assert (found.max_steps, found.steps_like) == (steps, 10)
    assert found.budget_to / found.budget_like == pytest.approx(steps / 10)
    assert read(folder) == found


def test_there_is_one_step_at_least(tmp_path):
    like = run_of(tmp_path / "like", history(2))
    to = run_of(tmp_path / "to", history(1, generations=3))
    assert settled(tmp_path, Equal("generations", like, to)).max_steps == 1


def test_the_steps_that_were_found_are_kept(tmp_path):
    known = Steps(7, "seconds", 1.0, 2.0, 14)
    (tmp_path / "steps.json").write_text(json.dumps(vars(known)))
    nowhere = tmp_path / "nowhere"
    assert settled(tmp_path, Equal("seconds", nowhere, nowhere)) == known


@pytest.mark.parametrize("missing", ["like", "to"])
def test_a_run_that_is_waited_for_has_to_be_finished(tmp_path, missing):
    names = {name: run_of(tmp_path / name, history(2), name != missing) for name in ("like", "to")}
    with pytest.raises(ValueError, match=f"{missing} is not finished, so its seconds are not"):
        settled(tmp_path, Equal("seconds", **names))
    assert read(tmp_path) is None


def test_nothing_is_equal_to_nothing(tmp_path):
    like = run_of(tmp_path / "like", history(2))
    to = run_of(tmp_path / "to", history(2, **{"trained tokens": 0}))
    with pytest.raises(ValueError, match="to has spent no trained tokens"):
        settled(tmp_path, Equal("trained tokens", like, to))
