"""Settings: every wrong value and every unknown name is told before any work, with the remedy."""

import dataclasses

import pytest

from murphy_agents import cli
from murphy_agents.cli import main
from murphy_agents.config import TrainConfig


def read_config(arguments):
    return cli.read_config(arguments, TrainConfig, "murphy train")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"algorithm": "murphy"}, "algorithm is 'murphy'.*'murphy_mars'"),
        ({"num_generations": 1}, "num_generations is 1; give at least 2"),
        ({"num_generations": 2.5}, "num_generations is 2.5; expected int"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; expected float"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"use_peft": "yes"}, "use_peft is 'yes'; expected bool"),
        ({"fanout": [8, 0]}, r"fanout is \[8, 0\]"),
        ({"fanout": "8 8"}, "fanout is '8 8'"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"hidden_share": 1.0}, "hidden_share is 1.0"),
        ({"prune": "intra_group"}, "prune_budget"),
        (
            {"engine": "vllm_server", "vllm_server_devices": "1,1"},
            "vllm_server_devices is '1,1'; give each GPU once",
        ),
        (
            {"engine": "vllm_server", "vllm_server_devices": ""},
            "vllm_server_devices is ''; give each GPU once",
        ),
        ({"prune_budget": 4}, "prune_budget is given but read only with a prune"),
        (
            {"prune": "intra_group", "prune_budget": 4, "algorithm": "grpo"},
            "prune is given but read only by",
        ),
        ({"prune": "intra_group", "prune_budget": 1}, "b is 1"),
        ({"gamma": 1.5, "algorithm": "murphy_mers"}, "gamma is 1.5"),
        ({"gamma": 0.5}, "gamma is given but read only by murphy_mers"),
        ({"fanout": [1, 1]}, "2 or more somewhere"),
        ({"fanout": [2, 3], "num_turns": 5}, "give one of them"),
        ({"fanout": [2, 3], "algorithm": "naive"}, "fanout is given but read only by"),
        ({"hidden_share": float("nan")}, "hidden_share is nan; expected float"),
        ({"beta": float("inf")}, "beta is inf; expected float"),
        ({"reward": "gain"}, "use 'pass_rate'"),
        ({"lora_r": 8}, "lora_r is given but read only with use_peft"),
        (
            {"shuffle_credit": True, "algorithm": "grpo"},
            "shuffle_credit is given but read only by murphy_mars",
        ),
        ({"balance": "turns", "loss_type": "dapo"}, "all tokens weigh alike"),
        (
            {"balance": "groups", "loss_type": "cispo"},
            "all tokens weigh alike; choose loss_type grpo, dr_grpo, gspo, rloo, or balance",
        ),
        ({"loss_type": "ppo"}, "loss_type is 'ppo'.*'gspo'"),
        ({"epsilon_high": 0.0}, "epsilon_high is 0.0; give a number above 0"),
        (
            {"loss_type": "cispo", "epsilon": 0.1, "epsilon_high": 4.0},
            "epsilon is given but read only by loss_type other than cispo",
        ),
        ({"scale": "mean"}, "scale is 'mean'; expected one of .*'leave_one_out' or None"),
        ({"importance_sampling": "token"}, "importance_sampling is 'token'.*'token_mask'"),
        (
            {"importance_sampling_cap": 2.0},
            "importance_sampling_cap is given but read only with an importance_sampling",
        ),
        (
            {"importance_sampling": "sequence_mask", "top_p": 0.95},
            "'sequence_mask' but top_p 0.95.*take a token_ mode",
        ),
        (
            {"importance_sampling": "token_mask", "importance_sampling_cap": 0.5},
            "importance_sampling_cap is 0.5; give at least 1",
        ),
        ({"save_steps": -1}, "save_steps is -1"),
        ({"save_total_limit": 0}, "save_total_limit is 0; give at least 1"),
        ({"save_total_limit": 3, "save_steps": 0}, "read only with save_steps"),
        ({"keep_steps": [0, 2]}, r"keep_steps is \[0, 2\]; give steps, 1 or more each"),
        (
            {"keep_steps": [2, 7], "max_steps": 5},
            r"keep_steps is \[2, 7\], but the run has 5 steps; name none above",
        ),
        ({"resume": True, "overwrite_output_dir": True}, "give one of them"),
    ],
)
def test_impossible_values_are_named(values, named):
    with pytest.raises(ValueError, match=named):
        TrainConfig(**values)


@pytest.mark.parametrize(
    ("loss_type", "scale"),
    [("grpo", "sample"), ("gspo", "sample"), ("dr_grpo", "center"), ("rloo", "leave_one_out")],
)
def test_the_scale_is_that_of_the_losss_paper_unless_given(loss_type, scale):
    assert TrainConfig(loss_type=loss_type).scale == scale
    assert TrainConfig(loss_type=loss_type, scale="population").scale == "population"
    # What is settled stays when settings are checked once more, as a run does.
    assert dataclasses.replace(TrainConfig(loss_type=loss_type)).scale == scale


def test_a_nucleus_and_a_correction_by_token_go_together():
    assert TrainConfig(importance_sampling="token_mask", top_p=0.95).top_p == 0.95


def test_cispo_takes_epsilon_for_its_upper_bound_where_it_has_no_other():
    assert TrainConfig(loss_type="cispo", epsilon=0.3).epsilon_high is None


def test_yaml_numbers_without_a_dot_are_numbers():
    assert TrainConfig(learning_rate="1e-6").learning_rate == 1e-6
    assert TrainConfig(beta=0).beta == 0.0


@pytest.mark.parametrize(
    ("name", "nearest"), [("learn_rate", "learning_rate"), ("num_generation", "num_generations")]
)
def test_an_unknown_key_names_the_nearest(name, nearest, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"{name}: 1\n")
    with pytest.raises(ValueError, match=f"'{name}'.*'{nearest}'"):
        read_config(["--config", str(file)])
    with pytest.raises(ValueError, match=f"'{name}'.*'{nearest}'"):
        read_config([f"--{name}", "1"])


def test_flags_win_over_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("learning_rate: 1e-5\nfanout: [4, 2]\nuse_peft: true\nmodel: some/model\n")
    config = read_config(["--config", str(file), "--learning_rate", "1e-4", "--beta=0"])
    assert (config.learning_rate, config.beta) == (1e-4, 0.0)
    assert (config.fanout, config.use_peft, config.model) == ([4, 2], True, "some/model")
    assert config.temperature == 1.0


def test_every_field_is_a_flag_of_its_own_type():
    config = TrainConfig(
        fanout=[2, 3], prune="intra_group", prune_budget=2, prompts="terse",
        use_peft=True, shuffle_credit=True, overwrite_output_dir=True, lora_r=4,
    )  # fmt: skip
    flags = []
    for field in dataclasses.fields(config):
        if getattr(config, field.name) is None:
            continue
        value = getattr(config, field.name)
        values = value if isinstance(value, list) else [value]
        flags += [f"--{field.name}", *map(str, values)]
    assert read_config(flags) == config


def test_one_file_is_enough(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("beta: 0.5\n1: 3\n")
    with pytest.raises(ValueError, match="'1' is no setting"):
        read_config([f"--config={file}"])
    file.write_text("beta: 0.5\n")
    assert read_config([f"--config={file}"]).beta == 0.5
    with pytest.raises(ValueError, match="given twice"):
        read_config(["--config", str(file), f"--config={file}"])
    with pytest.raises(ValueError, match="cannot be read"):
        read_config(["--config", str(tmp_path)])


def test_a_file_that_is_not_settings_is_told(tmp_path):
    file = tmp_path / "run.yaml"
    for text, named in [("- a\n- b\n", "must hold"), ("a: [\n", "is not YAML")]:
        file.write_text(text)
        with pytest.raises(ValueError, match=named):
            read_config(["--config", str(file)])


def test_a_stray_word_is_told():
    with pytest.raises(ValueError, match="'stray'"):
        read_config(["--beta", "0", "stray"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "'trian' is no command; there is: train"),
        (["train", "--algorithm_", "grpo"], "nearest is 'algorithm'"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["train", "--num_generations", "1"], "num_generations is 1"),
        (["train", "--max_steps", "abc"], "max_steps"),
        (["train", "--algorithm", "ppo"], "murphy_mars"),
        (["train", "--model", "/nowhere/at/all"], "no such folder"),
        (["train", "--env", "os:sep"], "give a function"),
        (["train", "--output_dir", "README.md"], "give a folder"),
    ],
)
def test_the_command_answers_mistakes_in_one_line(arguments, told, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_help_lists_the_settings(capsys):
    assert main([]) == 0
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    assert all(f"--{field.name}" in shown for field in dataclasses.fields(TrainConfig))


def test_turns_and_fanout_say_the_same():
    assert TrainConfig().num_turns == 2
    assert TrainConfig(fanout=[4, 3, 2]).num_turns == 3
    assert TrainConfig(fanout=[4, 3], num_turns=2).num_turns == 2
