"""LoRA: what asks for it, which layers get adapters, and that what is drawn is what is trained."""

import math

import pytest
import torch
from models import perturbed, small_model, tokenizer
from torch import nn

from murphy_agents.adapters import PROJECTIONS, LoraSettings
from murphy_agents.cli import main, read_config
from murphy_agents.codec import ChatCodec
from murphy_agents.compare import CompareConfig
from murphy_agents.config import TrainConfig
from murphy_agents.engines.protocol import Request, SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.policy import Policy
from murphy_agents.wiring import policy_settings

# peft asks transformers for it by its older name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def config_of(*flags):
    return read_config(flags, TrainConfig, "murphy train")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], False),
        (["--lora"], True),
        (["--lora", "false"], False),
        (["--use_peft"], True),
        (["--use-peft", "true"], True),
        (["--lora", "--use_peft", "true"], True),
    ],
)
def test_lora_is_short_for_use_peft(flags, expected):
    assert config_of(*flags).use_peft == expected


def test_two_values_for_the_two_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="--lora is True and --use_peft is False, which are one"):
        config_of("--lora", "--use_peft", "false")
    file = tmp_path / "run.yaml"
    file.write_text("lora: true\nuse_peft: false\n")
    with pytest.raises(ValueError, match="lora is True and use_peft is False, which are one"):
        config_of("--config", str(file))


@pytest.mark.parametrize("written", ["lora: true", "use_peft: true", "lora: true\nuse_peft: true"])
def test_a_file_may_use_either_name_and_flags_win_over_it(written, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(written + "\nlora_r: 4\n")
    assert config_of("--config", str(file)).use_peft
    assert config_of("--config", str(file), "--lora_r", "16", "--lora", "false").use_peft is False
    assert TrainConfig.from_mapping({"lora": True}).use_peft


def test_the_short_name_stands_in_the_help_and_in_comparisons(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--lora " in capsys.readouterr().out
    assert read_config(["--lora"], CompareConfig, "murphy compare").use_peft


def test_there_is_no_dropout_of_adapters_to_set():
    with pytest.raises(ValueError, match="'lora_dropout' is no setting"):
        config_of("--lora", "--lora_dropout", "0.05")


def adapted(kind="qwen3", **settings):
    policy = Policy.wrap(small_model(kind), tokenizer(), lora=LoraSettings(**{"r": 2} | settings))
    names = [n for n, m in policy.model.named_modules() if hasattr(m, "lora_A")]
    return policy, [name.removeprefix("base_model.model.") for name in names]


@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
def test_auto_is_the_seven_projections_and_nothing_else(kind):
    linear = [n for n, m in small_model(kind).named_modules() if isinstance(m, nn.Linear)]
    blocks = ("self_attn",) * 4 + ("mlp",) * 3
    expected = {
        f"model.layers.{layer}.{block}.{name}"
        for layer in (0, 1)
        for block, name in zip(blocks, PROJECTIONS, strict=True)
    }
    # They are all linear layers that there are, but the output layer.
    assert set(linear) == expected | {"lm_head"}
    policy, names = adapted(kind)
    assert set(names) == expected
    assert set(policy.model.peft_config["default"].target_modules) == set(PROJECTIONS)


def test_auto_is_all_linear_for_other_models():
    _, names = adapted("llama")
    assert names == adapted("llama", target_modules="all-linear")[1]
    assert len(names) == 2 * 7


def test_layers_are_named_by_the_ends_of_their_names():
    _, names = adapted(target_modules=("q_proj", "layers.1.mlp.up_proj"))
    assert names == [
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.mlp.up_proj",
    ]


@pytest.mark.parametrize("wrong", ["q_porj", "proj", "q_norm", "input_layernorm", ""])
def test_a_name_that_takes_no_adapters_is_refused_with_those_that_do(wrong):
    # peft would take no notice of it beside a name that fits
    there = "down_proj, embed_tokens, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj"
    with pytest.raises(ValueError, match=f"names '{wrong}'.* Qwen3ForCausalLM .* it has {there}"):
        adapted(target_modules=("v_proj", wrong))


def test_names_may_stand_with_spaces():
    config = TrainConfig(model="tiny", use_peft=True, lora_target_modules="q_proj, v_proj")
    assert policy_settings(config)["lora"].target_modules == ("q_proj", "v_proj")


def test_a_rank_above_every_width_is_refused():
    # Hidden width 32, two heads of 16: queries 32 x 32, keys 32 x 16, feed-forward 32 x 96.
    adapted(r=32)
    with pytest.raises(ValueError, match=r"lora_r is 33, above the width of every .*q_proj: 32"):
        adapted(r=33)
    with pytest.raises(ValueError, match=r"lora_r is 17, .*k_proj: 16"):
        adapted(r=17, target_modules=("k_proj",))


def test_rslora_divides_by_the_root_of_the_rank():
    for use_rslora, scale in ((False, 32 / 4), (True, 32 / math.sqrt(4))):
        policy, names = adapted(r=4, alpha=32, use_rslora=use_rslora)
        layer = policy.model.get_submodule(f"base_model.model.{names[0]}")
        assert layer.scaling == {"default": scale}
    config = TrainConfig(model="tiny", use_peft=True, use_rslora=True)
    assert policy_settings(config)["lora"].use_rslora
    with pytest.raises(ValueError, match="use_rslora is given but read only with use_peft"):
        TrainConfig(use_rslora=True)


@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
def test_what_the_engine_draws_has_the_log_probs_of_generate_with_adapters(kind):
    policy, _ = adapted(kind)
    model = perturbed(policy.model, seed=3)
    with model.disable_adapter():
        bare = model(input_ids=torch.tensor([[5, 6, 7]])).logits
    assert (model(input_ids=torch.tensor([[5, 6, 7]])).logits - bare).abs().max() > 1e-3
    engine = TransformersEngine(model, ChatCodec(policy.tokenizer))
    prompt = (5, 6, 7, 8, 9)
    engine.submit(Request(prompt, (11, 12), SamplingParams(6, temperature=0.7), tag="a"))
    drawn = []
    while len(drawn) < 2:
        drawn += engine.poll()
    for completion in drawn:
        logprobs = forced(model, prompt, completion.ids, temperature=0.7)
        torch.testing.assert_close(
            logprobs, torch.tensor(completion.logprobs, dtype=torch.float64), rtol=0, atol=1e-10
        )


def forced(model, prompt, ids, temperature):
    """Log-probs that `generate` of peft gives to ids which it is made to choose."""
    # What `generate` itself returns of them is rounded to float32.
    rows = []
    head = model.get_output_embeddings()
    hook = head.register_forward_hook(lambda _, __, logits: rows.append(logits[0, -1]))
    out = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        prefix_allowed_tokens_fn=lambda _, row: [ids[len(row) - len(prompt)]],
        max_new_tokens=len(ids),
        do_sample=False,
    )
    hook.remove()
    assert tuple(out[0, len(prompt) :].tolist()) == tuple(ids)
    logprobs = (torch.stack(rows) / temperature).log_softmax(-1)
    return logprobs[torch.arange(len(ids)), torch.tensor(ids)]
