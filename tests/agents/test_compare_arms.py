"""Arms: what their settings come to, which of them are refused, and how all are evaluated."""

import json
from pathlib import Path

import pytest
import yaml

from murphy_agents.algorithms import grpo
from murphy_agents.cli import main
from murphy_agents.compare import CompareConfig, compare
from murphy_agents.compare.arms import Arm, resolved
from murphy_agents.compare.budget import shape
from murphy_agents.compare.cells import cells, starts
from murphy_agents.compare.worker import do
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.log import read_history
from murphy_agents.training import train
from murphy_env import sources

ROOT = Path(__file__).parents[2]


def one_turn(config):
    """An algorithm of the tests' own."""
    return grpo(config.num_generations)


HERE = f"{__name__}:one_turn"


def test_an_arm_is_an_algorithm_with_settings_of_its_own():
    arms = {
        "murphy_mars": {},
        "naive_all": {"algorithm": "naive", "train_turns": "all"},
        "center": {"algorithm": "murphy_mars", "scale": "center", "learning_rate": "1e-5"},
        "own": {"make_algorithm": HERE, "num_generations": 5, "num_turns": 1},
        "unshaped": {"make_algorithm": HERE},
    }
    config = CompareConfig(arms=arms, learning_rate=1e-3)
    assert config.algorithms == []
    found = {name: config.train(name, "m", 3, "out") for name in config.all_arms}
    assert list(found) == list(arms)
    assert [run.algorithm_name for run in found.values()] == [
        "murphy_mars", "naive", "murphy_mars", HERE, HERE
    ]  # fmt: skip
    # 4 + 4·4 = 20 in a tree, 10 chains of 2; what a function makes is laid out as a tree.
    assert found["murphy_mars"].fanout == found["unshaped"].fanout == [4, 4]
    assert (found["naive_all"].num_generations, found["naive_all"].num_turns) == (10, 2)
    assert (found["own"].num_generations, found["own"].fanout) == (5, None)
    assert found["naive_all"].train_turns == "all"
    assert found["center"].scale == "center"
    # Its own win over the shared ones.
    assert (found["center"].learning_rate, found["murphy_mars"].learning_rate) == (1e-5, 1e-3)
    assert {run.seed for run in found.values()} == {3}


def test_algorithms_and_arms_stand_side_by_side():
    config = CompareConfig(algorithms=["grpo"], arms={"rloo": {"like": "grpo", "scale": "center"}})
    assert list(config.all_arms) == ["grpo", "rloo"]
    assert config.train("rloo", "m", 0, "out").algorithm == "grpo"
    assert list(CompareConfig().all_arms) == CompareConfig().algorithms
    rows = {job.row: job.folder for job in cells(config)}
    assert rows["rloo"] == Path("runs/compare/cells/warm-1/rloo/seed-2")


def test_like_takes_the_fields_of_a_chain_of_arms():
    arms = {
        "c": {"like": "b", "prune_budget": 3},
        "b": {"like": "a", "prune": "intra_group", "prune_budget": 2},
        "a": {"algorithm": "murphy_mars", "scale": "center"},
        "d": {"like": "c", "algorithm": "tree_without_credit"},
        "e": {"like": "a", "make_algorithm": HERE, "scale": None},
    }
    found = {name: dict(arm.settings) for name, arm in resolved([], arms).items()}
    assert found["c"] == {
        "algorithm": "murphy_mars", "scale": "center", "prune": "intra_group", "prune_budget": 3
    }  # fmt: skip
    assert found["d"] == found["c"] | {"algorithm": "tree_without_credit"}
    assert found["e"] == {"make_algorithm": HERE, "scale": None}


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, {"fanout": [4, 4]}),
        ({"num_turns": 1}, {"fanout": [20]}),
        ({"num_turns": 3, "generations": 14}, {"fanout": [2, 2, 2]}),
        ({"generations": 30}, {"fanout": [5, 5]}),
        ({"fanout": [2, 3, 2]}, {}),  # 2 + 6 + 12 = 20, as it says
        ({"num_generations": 3}, {"num_turns": 2}),
        ({"algorithm": "grpo", "num_generations": 3}, {}),
        ({"algorithm": "grpo", "generations": 8}, {"num_generations": 8}),
        ({"algorithm": "naive", "num_turns": 4}, {"num_generations": 5, "num_turns": 4}),
    ],
)
def test_shapes_follow_from_generations_unless_an_arm_says_them(settings, shape):
    fields = {"algorithm": "murphy_mars", **settings}
    generations = fields.pop("generations", None)
    assert Arm("x", fields, generations).shape(20, 2, None) == shape


@pytest.mark.parametrize("algorithm", ["naive", "grpo", "murphy_mars"])
def test_no_shape_has_no_turn(algorithm):
    with pytest.raises(ValueError, match="num_turns is 0; give a count of turns, 1 or more"):
        shape(algorithm, 20, 0)


def test_the_shared_fanout_is_of_arms_with_the_shared_turns():
    arms = {"murphy_mars": {}, "short": {"like": "murphy_mars", "num_turns": 1}}
    config = CompareConfig(arms=arms, fanout=[2, 9])
    assert config.train("murphy_mars", "m", 0, "out").fanout == [2, 9]
    assert config.train("short", "m", 0, "out").fanout == [20]


def test_an_arm_replaces_the_shape_that_it_takes_over():
    arms = {
        "tree": {"algorithm": "murphy_mars", "fanout": [2, 2, 3]},
        "two": {"like": "tree", "num_turns": 2},
        "wide": {"like": "tree", "generations": 30},
        "equal": {"like": "tree", "num_generations": 3},
        "again": {"like": "equal", "fanout": [6, 2]},
    }
    config = CompareConfig(arms=arms)
    found = {name: config.train(name, "m", 0, "out") for name in arms}
    assert [found[name].fanout for name in ("two", "wide", "again")] == [[4, 4], [5, 5], [6, 2]]
    assert (found["equal"].num_generations, found["equal"].num_turns) == (3, 2)


def test_gamma_is_of_those_that_read_it():
    arms = {"murphy_mars": {}, "murphy_mers": {}, "mers_1": {"like": "murphy_mers", "gamma": 1.0},
            "own": {"make_algorithm": HERE}}  # fmt: skip
    config = CompareConfig(arms=arms, gamma=0.5)
    gammas = {name: config.train(name, "m", 0, "out").gamma for name in arms}
    assert gammas == {"murphy_mars": 0.9, "murphy_mers": 0.5, "mers_1": 1.0, "own": 0.5}


def test_arms_are_evaluated_alike_whatever_they_train_with():
    own = {"hidden_share": 0.5, "dtype": "float64", "max_completion_length": 32}
    hidden = {"like": "grpo", "tasks": "embedded:selection", **own}
    arms = {"grpo": {}, "hidden": hidden}
    config = CompareConfig(arms=arms, warm_starts=[0], seeds=[0], curve_steps=[30])
    first, second = (vars(job.evaluate).copy() for job in cells(config))
    assert cells(config)[1].train.hidden_share == 0.5
    assert second.pop("train_tasks") == "embedded:selection"
    for settings in (first, second):
        for name in ("model", "output_dir", "train_tasks"):
            settings.pop(name, None)
    assert first == second
    assert {job.curve.evaluate.hidden_share for job in [*cells(config), *starts(config)]} == {0.0}


def test_arms_of_equal_budget_wait_for_runs_of_their_own_start_and_seed():
    arms = {"grpo_tokens": {"like": "grpo", "equal": "trained tokens", "to": "murphy_mars"}}
    config = CompareConfig(algorithms=["grpo", "murphy_mars"], arms=arms, warm_starts=[0, 1])
    jobs = [job for job in cells(config) if job.equal]
    assert len(jobs) == 2 * 3
    last = jobs[-1]
    assert last.equal.budget == "trained tokens"
    assert last.equal.like == Path("runs/compare/cells/warm-1/grpo/seed-2")
    assert last.equal.to == Path("runs/compare/cells/warm-1/murphy_mars/seed-2")
    assert last.train.num_generations == 20


def test_checkpoints_are_kept_at_the_same_shares_of_every_run():
    arms = {"grpo": {}, "longer": {"like": "grpo", "max_steps": 90}}
    config = CompareConfig(arms=arms, max_steps=60, curve_steps=[60, 20])
    assert config.curve_steps == [20, 60]
    assert config.train("grpo", "m", 0, "out").keep_steps == [20, 60]
    assert config.train("longer", "m", 0, "out").keep_steps == [30, 90]
    (base, _) = starts(config)
    assert base.curve.steps(0) == [0]
    assert base.curve.evaluate.tasks == "embedded:test"
    elsewhere = CompareConfig(arms=arms, curve_steps=[20], curve_tasks="embedded:selection")
    assert starts(elsewhere)[0].curve.evaluate.tasks == "embedded:selection"
    assert starts(elsewhere)[0].evaluate.tasks == "embedded:test"


MARS = {"algorithm": "murphy_mars"}
EQUAL = {"like": "a", "equal": "seconds", "to": "b"}


@pytest.mark.parametrize(
    ("arms", "named"),
    [
        ({"a/b": MARS}, "'a/b', which is to be a folder's name"),
        ({"": MARS}, "'', which is to be a folder's name"),
        ({3: MARS}, "3, which is to be a folder's name"),
        ({"base": MARS}, "'base', a row for models as they are"),
        ({"supervised-best": MARS}, "'supervised-best', a row for models as they are"),
        ({"a": {}}, "arm 'a' names no algorithm; give it algorithm, make_algorithm, or like"),
        ({"a": "murphy_mars"}, "arm 'a' is 'murphy_mars'; give its settings as a mapping"),
        ({"a": {"algorithm": "murphy"}}, "arm 'a': algorithm is 'murphy'; expected one of 'grpo'"),
        ({"naive": {"algorithm": "grpo"}}, "arm 'naive' runs 'grpo'; an arm with an algorithm's"),
        ({"a": MARS | {"gama": 1.0}}, "arm 'a': 'gama' is no setting; the nearest is 'gamma'"),
        ({"a": MARS | {"lik": "b"}}, "'lik' is no setting; the nearest is 'like'"),
        ({"a": MARS | {"seed": 1}}, "arm 'a': seed is the same for all arms"),
        ({"a": MARS | {"eval_runs": 1}}, "eval_runs is the same for all arms"),
        ({"a": MARS | {"save_steps": 1}}, "save_steps is the same for all arms"),
        ({"a": MARS | {"bad_rows": "skip"}}, "bad_rows is the same for all arms"),
        ({"a": {"like": "b"}}, "arm 'a': like names 'b', which is no arm; there is a"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "arm 'a' is like itself: a -> b -> a"),
        ({"a": MARS | {"gamma": 0.5}}, "arm 'a': gamma is given but read only by"),
        ({"a": MARS | {"scale": "none"}}, "arm 'a': scale is 'none'; expected one of"),
        ({"a": MARS | {"generations": 21}}, "arm 'a': generations is 21, .* give 20 or 30"),
        ({"a": MARS | {"generations": "many"}}, "arm 'a': generations is 'many'; give a count"),
        ({"a": MARS | {"num_turns": -1}}, "arm 'a': num_turns is -1; give a count, 1 or more"),
        ({"a": MARS | {"num_turns": 0}}, "arm 'a': num_turns is 0; give a count, 1 or more"),
        ({"a": MARS | {"num_turns": "2"}}, "arm 'a': num_turns is '2'; give a count"),
        ({"a": MARS | {"fanout": 4}}, r"arm 'a': fanout is 4; give a list, .* as \[4, 4\]"),
        ({"a": MARS | {"fanout": ["4", 4]}}, r"arm 'a': fanout is \['4', 4\]; give a list"),
        ({"a": MARS | {"num_generations": 1.5}}, "arm 'a': num_generations is 1.5; give a count"),
        ({"a": MARS | {"num_generations": [4]}}, r"num_generations is \[4\]; give a count, 2 or"),
        ({"b": MARS, "a": {"like": ["b"]}}, r"arm 'a': like is \['b'\]; give one name"),
        ({"a": {"like": "b"}, "b": {"like": {}}}, "arm 'b': like is {}; give one name"),
        ({"a": MARS, "b": EQUAL | {"equal": ["seconds"]}}, r"equal is \['seconds'\]; give one"),
        ({"a": MARS, "b": EQUAL | {"to": 3}}, "arm 'b': to is 3; give one name"),
        ({"a": MARS | {"generations": 20, "num_generations": 4}}, "generations is 20 and num_gen"),
        ({"a": MARS | {"generations": 20, "fanout": [2, 2]}}, r"fanout is \[2, 2\], a tree of 2"),
        ({"a": MARS | {"make_algorithm": HERE}}, None),  # murphy_mars is the default
        ({"a": {"make_algorithm": HERE, "algorithm": "grpo"}}, "algorithm is given but read only"),
        ({"a": {"make_algorithm": "nowhere:x"}}, "arm 'a': 'nowhere:x' cannot be imported"),
        ({"a": MARS, "b": EQUAL}, "arm 'b': to names the arm itself"),
        ({"a": MARS, "c": EQUAL}, "arm 'c': to names 'b', which is no arm; there is a, c"),
        ({"a": MARS, "c": EQUAL | {"to": "a"}}, "arm 'c': like and to are both 'a'"),
        ({"a": MARS, "c": EQUAL | {"equal": "tokens"}}, "equal is 'tokens'; give one of gen"),
        ({"a": MARS, "c": {"like": "a", "to": "b"}}, "arm 'c': equal is None; give one of"),
        ({"a": MARS, "c": {"equal": "seconds", "like": "a"}}, "name with `like` the arm .* `to`"),
        ({"a": MARS, "c": EQUAL | {"max_steps": 3}}, "arm 'c': max_steps is given, but an arm of"),
        (
            {"a": MARS, "b": {"algorithm": "grpo"}, "c": EQUAL, "d": EQUAL | {"to": "c"}},
            "arm 'd': to names 'c', whose number of steps is found from other runs; .* 'b' say",
        ),
        (
            {"a": MARS, "b": {"algorithm": "grpo"}, "c": EQUAL, "d": {"like": "c"}},
            "arm 'd': like names 'c', whose number of steps is found from other runs; .* 'a' say",
        ),
    ],
)
def test_wrong_arms_name_the_remedy(arms, named):
    if named is None:
        CompareConfig(arms=arms)
        return
    with pytest.raises(ValueError, match=named):
        CompareConfig(arms=arms)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"algorithms": ["grpo"], "arms": {"grpo": {}}}, "'grpo' is named by algorithms and by"),
        ({"arms": ["grpo"]}, r"arms is \['grpo'\]; expected dict or None"),
        ({"algorithms": []}, r"algorithms is \[\]; give one or more"),
        ({"algorithms": [], "arms": {}}, r"algorithms is \[\]; give one or more"),
        ({"arms": {"grpo": {}}, "fanout": [4, 4]}, "no algorithm named grows trees"),
        ({"curve_tasks": "embedded:test"}, "curve_tasks is .* read only with curve_steps"),
        ({"curve_steps": [0]}, r"curve_steps is \[0\]; give steps from 1 to max_steps 60"),
        ({"curve_steps": [61]}, "give steps from 1 to max_steps 60"),
        ({"curve_steps": [5, 5]}, "give one or more, each once"),
        ({"curve_steps": [5], "max_steps": -1}, "curve_steps is .* but max_steps -1"),
        ({"curve_steps": [5], "arms": {"grpo": {"max_steps": -1}}}, "arm 'grpo': max_steps is -1"),
        ({"arms": {"own": {"make_algorithm": HERE}}, "scale": "center"}, "arm 'own': scale is giv"),
    ],
)
def test_wrong_settings_around_arms_name_the_remedy(values, named):
    with pytest.raises(ValueError, match=named):
        CompareConfig(**values)


def test_arms_are_for_a_file(tmp_path, capsys):
    assert main(["compare", "--arms", "{}"]) == 2
    assert "--arms is a mapping; write it into the file of --config" in capsys.readouterr().err
    path = tmp_path / "compare.yaml"
    path.write_text("arms: {mars: {algorithm: murphy_mars, gama: 1}}\n")
    assert main(["compare", "--config", str(path)]) == 2
    assert "'gama' is no setting; the nearest is 'gamma'" in capsys.readouterr().err


def test_all_arms_of_the_benchmark_can_be_run():
    values = yaml.safe_load((ROOT / "benchmarks/compare/arms.yaml").read_text())
    config = CompareConfig(**values)
    runs = {name: config.train(name, "embedded:0", 0, "out") for name in config.all_arms}
    assert len(runs) == 36
    assert len(cells(config)) == 36 * 5 * 2
    nominal = {"fanout": [4, 4]}
    trees = [name for name, arm in config.all_arms.items() if arm.shape(20, 2, None) == nominal]
    assert len(trees) == 36 - 3 - 2 - 2 - 4  # grpo, naive, other turns, rivals with chains
    assert runs["mars_three_turns"].fanout == [2, 3, 2]
    gammas = [runs[f"discounted_turns_{n}"].gamma for n in (40, 90)]
    assert (gammas, runs["intra_2_kept"].prune_keep_descendants) == ([0.4, 0.9], True)
    assert {run.max_steps for run in runs.values()} == {60}
    assert {arm.equal for arm in config.all_arms.values()} == {None, "trained tokens", "seconds"}


@pytest.fixture
def small(tmp_path):
    """Settings of a comparison that takes seconds."""
    for split, count in (("train", 4), ("test", 3), ("selection", 2)):
        tasks = sources.embedded(split)[:count]
        sources.to_jsonl(tasks, tmp_path / f"{split}.jsonl")
    return {
        "model": "tiny:llama", "warm_starts": [0], "seeds": [0], "iterations": 2, "generations": 6,
        "max_steps": 4, "per_device_train_batch_size": 2, "max_completion_length": 8,
        "save_steps": 1, "num_processes": 1, "tasks": str(tmp_path / "train.jsonl"),
        "eval_tasks": str(tmp_path / "test.jsonl"), "output_dir": str(tmp_path / "out"),
    }  # fmt: skip


def spent(run, name):
    return sum(metrics[name] for metrics in read_history(run))


@pytest.mark.slow
def test_a_comparison_of_arms_one_of_which_is_waited_for_in_vain_at_first(small, tmp_path):
    arms = {
        "grpo": {},
        # Two generations less in a tree of 4: 2 + 2·1, as nothing is solved.
        "cheap": {"algorithm": "murphy_mars", "fanout": [2, 1], "max_steps": 2},
        "grpo_equal": {"like": "grpo", "equal": "generations", "to": "cheap"},
        "own": {"make_algorithm": HERE, "num_generations": 3, "num_turns": 1},
    }
    config = CompareConfig(**small, arms=arms, curve_steps=[2, 4])
    out = tmp_path / "out"
    runs = {name: out / f"cells/warm-0/{name}/seed-0" for name in arms}
    runs["cheap"].parent.mkdir(parents=True)
    runs["cheap"].write_text("not a folder")
    failed = compare(config).failed
    assert list(failed) == ["warm-0 cheap seed-0", "warm-0 grpo_equal seed-0"]
    assert f"the run in {runs['cheap']} is not finished" in failed["warm-0 grpo_equal seed-0"]

    runs["cheap"].unlink()
    found = compare(config)
    assert found.failed == {}
    assert [row.name for row in found.rows] == ["base", *arms]
    # 4 steps of 2 problems with 6 are 48; 2 steps of 2 problems with 4 are 16: 4 · 16 / 48.
    assert (spent(runs["grpo"], "num_generations"), spent(runs["cheap"], "num_generations")) == (
        48, 16
    )  # fmt: skip
    assert json.loads((runs["grpo_equal"] / "steps.json").read_text())["max_steps"] == 1
    assert json.loads((runs["grpo_equal"] / "config.json").read_text())["max_steps"] == 1
    assert spent(runs["grpo_equal"], "num_generations") == 12
    assert spent(runs["own"], "num_generations") == 4 * 2 * 3
    assert "test_compare_arms" in (runs["own"] / "config.json").read_text()

    content = json.loads((out / "comparison.json").read_text())
    points = {row["name"]: row["runs"][0]["curve"] for row in content["rows"]}
    assert [point["step"] for point in points["base"]] == [0]
    assert [point["step"] for point in points["grpo"]] == [2, 4]
    assert [point["step"] for point in points["cheap"]] == [1, 2]
    assert [point["step"] for point in points["grpo_equal"]] == [1, 1]
    assert [point["cost"]["generations"] for point in points["grpo"]] == [24, 48]
    assert [len(row["curve"]) for row in content["rows"]] == [0, 3, 3, 3, 3]
    assert (out / "budgets.png").read_bytes().startswith(b"\x89PNG")
    assert "![budgets](budgets.png)" in (out / "comparison.md").read_text()
    for name, run in runs.items():
        steps = {point["step"] for point in points[name]}
        assert {path.name for path in (run / "curve").iterdir()} == {f"step-{n}" for n in steps}
        assert not {f"checkpoint-{n}" for n in steps} & {path.name for path in run.iterdir()}
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/**/*") if path.is_file()}
    compare(config)
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.slow
def test_curves_go_on_where_they_stopped(small, tmp_path):
    settings = {**small, "curve_steps": [1, 2], "max_steps": 2}
    curve_tasks = str(tmp_path / "selection.jsonl")
    config = CompareConfig(**settings, arms={"grpo": {}}, curve_tasks=curve_tasks)
    (base,), (job,) = starts(config), cells(config)
    assert do(base) is None
    assert Evaluation.load(base.folder).settings["tasks"] == small["eval_tasks"]
    assert Evaluation.load(base.folder / "curve/step-0").settings["tasks"] == curve_tasks
    train(job.train)
    assert (job.folder / "checkpoint-1").exists(), "kept until it is evaluated"
    assert do(job) is None
    assert not (job.folder / "checkpoint-1").exists()
    first, last, end = (
        Evaluation.load(job.folder / name)
        for name in ("curve/step-1", "curve/step-2", "evaluation")
    )
    assert first.settings["model"] == str(job.folder / "checkpoint-1")
    assert last.settings["model"] == end.settings["model"] == str(job.folder / "final")
    assert (len(last.chains), len(end.chains)) == (2, 3)
    told = job.folder / "curve/step-1/evaluation.json"
    before = told.stat().st_mtime_ns
    (job.folder / "evaluation/evaluation.json").unlink()
    assert not job.is_finished
    assert do(job) is None
    assert job.is_finished
    assert told.stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_last_point_is_the_evaluation_itself_where_it_is_of_the_same_tasks(small):
    (job,) = cells(CompareConfig(**small, arms={"own": {"make_algorithm": HERE, "max_steps": 1}},
                                 curve_steps=[4]))  # fmt: skip
    assert do(starts(CompareConfig(**small, arms={"grpo": {}}))[0]) is None
    assert do(job) is None
    last, end = (job.folder / name for name in ("curve/step-1", "evaluation"))
    assert (last / "evaluation.jsonl").read_bytes() == (end / "evaluation.jsonl").read_bytes()
    assert Evaluation.load(last).seconds == Evaluation.load(end).seconds
    assert Evaluation.load(end).settings["output_dir"] == str(end)
    assert do(job) is None, "an evaluation of these very settings is there"
