"""Exported models: the same log-probs, loaded as anyone loads them, and nothing overwritten."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from models import tokenizer
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from murphy_agents import TrainConfig, checkpoint, saved_adapters, train
from murphy_agents.adapters import LoraSettings
from murphy_agents.cli import main
from murphy_agents.export import export
from murphy_agents.policy import Policy
from murphy_agents.tiny import make_model, save_policy
from murphy_env import Task

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes"
)
# peft asks transformers for it by its older name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in range(4)]
MODEL = {"config.json", "generation_config.json", "model.safetensors"}
TOKENIZER = {"chat_template.jinja", "tokenizer.json", "tokenizer_config.json"}


def moved(policy, size=0.05):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.trainable_parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)
    return policy


@pytest.fixture(params=["qwen3", "olmo2"])
def folder(request, tmp_path):
    """A base on disk; that of Qwen3 has one weight for embeddings and output layer."""
    save_policy(make_model(request.param, tokenizer()), tokenizer(), tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def adapters(folder, tmp_path):
    moved(Policy.load(folder, lora=LoraSettings(r=4))).save(tmp_path / "saved")
    return tmp_path / "saved"


def names(folder):
    return {path.name for path in folder.iterdir()}


def logprobs(model):
    ids = torch.randint(3, 200, (2, 20), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return model(input_ids=ids).logits.double().log_softmax(-1)


def far(one, other):
    return float((logprobs(one) - logprobs(other)).abs().max())


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-5), ("float64", 1e-10)])
def test_a_merged_model_has_the_log_probs_of_its_adapters(dtype, near, adapters, tmp_path):
    out = export(adapters, tmp_path / "out", merge=True, dtype=dtype)
    kind = getattr(torch, dtype)
    merged = AutoModelForCausalLM.from_pretrained(out, dtype=kind)
    apart = AutoPeftModelForCausalLM.from_pretrained(adapters, dtype=kind)
    assert far(merged, apart) < near
    assert far(merged, apart.unload()) > 1e-2
    assert json.loads((out / "config.json").read_text())["dtype"] == dtype
    assert AutoTokenizer.from_pretrained(out).encode("def f") == tokenizer().encode("def f")
    assert names(out) == MODEL | TOKENIZER | {"README.md"}


@pytest.mark.parametrize(("dtype", "near"), [("bfloat16", 0.1), ("float16", 0.01)])
def test_a_merged_model_in_half_precision_says_how_far_it_is(
    dtype, near, adapters, tmp_path, capsys
):
    assert main(["export", str(adapters), str(tmp_path / "out"), "--merge", "--dtype", dtype]) == 0
    told = capsys.readouterr().out
    assert f"Merged in float32, stored in {dtype}: on a few ids log-probs differ by" in told
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert merged.dtype == getattr(torch, dtype)
    apart = AutoPeftModelForCausalLM.from_pretrained(adapters, dtype=torch.float32)
    # 8 bits of every weight are left, or 11.
    assert 1e-5 < far(merged, apart) < near
    read = ModelCard.load(tmp_path / "out" / "README.md")
    assert read.data.library_name == "transformers"
    assert f"Merged in float32, stored in {dtype}" in read.text


def test_adapters_alone_are_copied_and_load_on_their_base(adapters, tmp_path, capsys):
    assert main(["export", str(adapters), str(tmp_path / "out")]) == 0
    assert "for use elsewhere, give --base" in capsys.readouterr().out
    out = tmp_path / "out"
    weights = "adapter_model.safetensors"
    assert names(out) == TOKENIZER | {"adapter_config.json", weights, "README.md"}
    assert (out / weights).read_bytes() == (adapters / weights).read_bytes()
    apart, again = map(AutoPeftModelForCausalLM.from_pretrained, (adapters, out))
    assert far(again, apart) == 0
    assert far(AutoModelForCausalLM.from_pretrained(out), apart) == 0


def test_adapters_may_name_another_base(adapters, tmp_path):
    out = export(adapters, tmp_path / "out", base="someone/base")
    assert saved_adapters.base_of(out) == "someone/base"
    assert ModelCard.load(out / "README.md").data.base_model == "someone/base"
    told = [json.loads((path / "adapter_config.json").read_text()) for path in (adapters, out)]
    told[0]["base_model_name_or_path"] = "someone/base"
    assert told[0] == told[1]
    assert str(tmp_path) not in "".join(path.read_text() for path in out.glob("*.json"))


def test_what_is_merged_into_another_base_is_that_one_with_the_adapters(folder, adapters, tmp_path):
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    save_policy(make_model(kind, tokenizer(), seed=7), tokenizer(), tmp_path / "other")
    out = export(adapters, tmp_path / "out", merge=True, base=str(tmp_path / "other"))
    there = AutoModelForCausalLM.from_pretrained(tmp_path / "other", dtype=torch.float32)
    from peft import PeftModel

    expected = PeftModel.from_pretrained(there, adapters)
    assert far(AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32), expected) < 1e-5


def test_a_base_of_another_shape_is_refused_and_nothing_is_left(adapters, tmp_path):
    save_policy(make_model("llama", tokenizer(), hidden_size=32), tokenizer(), tmp_path / "other")
    with pytest.raises(ValueError, match=r"do not fit '.*other'"):
        export(adapters, tmp_path / "out", merge=True, base=str(tmp_path / "other"))
    assert not list(tmp_path.glob("out*"))


def test_a_base_that_is_not_here_is_asked_for(folder, adapters, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"base is '.*/base', .* no such folder here; give"):
        export(adapters, tmp_path / "out", merge=True)
    assert export(adapters, tmp_path / "out", merge=True, base=str(tmp_path / "elsewhere")).exists()


def test_a_relative_folder_is_named_by_its_absolute_path(tmp_path, monkeypatch, capsys):
    """ "models/qwen" reads like a name on the hub; from elsewhere it would be taken for one."""
    save_policy(make_model("qwen3", tokenizer()), tokenizer(), tmp_path / "models" / "qwen")
    monkeypatch.chdir(tmp_path)
    for name in ("models/qwen", Path("models/qwen")):
        Policy.load(name, lora=LoraSettings(r=4)).save("saved")
        assert saved_adapters.base_of("saved") == str(tmp_path / "models" / "qwen")
    export("saved", "given", base="models/qwen")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for source in ("saved", "given"):
        out = export(tmp_path / source, f"out-{source}")
        assert "for use elsewhere, give --base" in capsys.readouterr().out
        assert ModelCard.load(out / "README.md").data.base_model is None
        assert Policy.load(out).has_adapters


def test_a_run_says_that_its_model_was_a_folder(tmp_path, monkeypatch):
    """Adapters that name "models/qwen" itself: `origin.json` tells it from a name on the hub."""
    save_policy(make_model("qwen3", tokenizer()), tokenizer(), tmp_path / "models" / "qwen")
    monkeypatch.chdir(tmp_path)
    folder = run(tmp_path, model="models/qwen", use_peft=True, transcript="chat")
    file = folder / "final" / saved_adapters.CONFIG
    told = {**json.loads(file.read_text()), "base_model_name_or_path": "models/qwen"}
    file.write_text(json.dumps(told))
    state = folder / "final" / checkpoint.STATE
    listed = json.loads(state.read_text())
    listed["files"][saved_adapters.CONFIG] = file.stat().st_size
    state.write_text(json.dumps(listed))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="'models/qwen', and there is no such folder here"):
        export(folder, "out", merge=True)
    out = export(folder, "out")
    assert ModelCard.load(out / "README.md").data.base_model is None
    assert "huggingface.co/models" not in (out / "README.md").read_text()


@pytest.mark.parametrize("merge", [True, False])
def test_a_base_that_can_be_nowhere_is_refused(merge, adapters, tmp_path):
    for base in ("no/such/folder", str(tmp_path / "none"), "tiny"):
        with pytest.raises(FileNotFoundError, match="no such folder here; give --base"):
            export(adapters, tmp_path / "out", merge=merge, base=base)
    assert not (tmp_path / "out").exists()


def test_a_base_that_the_hub_does_not_give_is_refused(adapters, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match=r"'nosuch/thing', which is no folder.*give --base"):
        export(adapters, tmp_path / "out", merge=True, base="nosuch/thing")


def test_the_current_folder_is_not_replaced(adapters, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(FileExistsError, match=r"'\.' is the current folder"):
        export(adapters, ".")
    assert export(adapters, "../here/in/../out") == tmp_path / "here" / "out"


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`")
def test_adapters_on_an_output_layer_that_is_the_embeddings_are_not_merged(tmp_path):
    save_policy(make_model("qwen3", tokenizer()), tokenizer(), tmp_path / "base")
    lora = LoraSettings(r=4, target_modules=("lm_head",))
    moved(Policy.load(tmp_path / "base", lora=lora)).save(tmp_path / "saved")
    with pytest.raises(ValueError, match=r"weights of a layer are used elsewhere too; export with"):
        export(tmp_path / "saved", tmp_path / "out", merge=True)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(adapters, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    export(adapters, out)
    (out / "mine.txt").write_text("kept")
    assert main(["export", str(adapters), str(out)]) == 2
    assert f"'{out}' is there already; choose another folder" in capsys.readouterr().err
    assert (out / "mine.txt").exists()
    with pytest.raises(FileExistsError, match="is there already"):
        export(adapters, out / "mine.txt")


def test_settings_that_nothing_would_read_are_refused(folder, adapters, tmp_path, capsys):
    for words, said in (
        ([str(folder), "--merge"], "holds a whole model and no adapters"),
        ([str(folder), "--base", "x/y"], "holds a whole model and no adapters"),
        ([str(adapters), "--dtype", "float32"], "copied as they are without --merge"),
        ([str(tmp_path)], "holds no model"),
        ([str(tmp_path / "nowhere")], "holds no model"),
        ([str(adapters), "--dtype", "int8"], "invalid choice: 'int8'"),
    ):
        assert main(["export", words[0], str(tmp_path / "out"), *words[1:]]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_base_in_4_bits_takes_no_adapters_in(folder, adapters, tmp_path):
    (adapters / saved_adapters.MARK).write_text("{}")
    with pytest.raises(
        ValueError, match=r"on a base in 4 bits.*give --base with it in full.*/base"
    ):
        export(adapters, tmp_path / "out", merge=True)
    out = export(adapters, tmp_path / "out", merge=True, base=str(folder))
    assert saved_adapters.MARK not in names(out)
    assert "In training the base was held in 4 bits" in (out / "README.md").read_text()
    # A base that is stored so is refused whoever names it.
    file = folder / "config.json"
    stored = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    file.write_text(json.dumps(json.loads(file.read_text()) | stored))
    with pytest.raises(ValueError, match=r"is stored quantised \(bitsandbytes\).*give --base"):
        export(adapters, tmp_path / "again", merge=True, base=str(folder))


@needs_bitsandbytes
def test_adapters_of_a_base_in_4_bits_keep_their_mark_or_are_merged_in_full(folder, tmp_path):
    policy = moved(Policy.load(folder, lora=LoraSettings(r=4), load_in_4bit=True))
    policy.save(tmp_path / "saved")
    apart = export(tmp_path / "saved", tmp_path / "apart")
    assert saved_adapters.were_on_4bit(apart)
    again = Policy.load(apart, load_in_4bit=True)
    assert far(again.model, policy.model) == 0
    merged = export(tmp_path / "saved", tmp_path / "merged", merge=True, base=str(folder))
    found = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    full = AutoPeftModelForCausalLM.from_pretrained(apart, dtype=torch.float32)
    assert far(found, full) < 1e-5
    assert far(found, policy.model) > 1e-3


def run(tmp_path, **settings):
    small = {
        "model": "tiny", "max_steps": 2, "per_device_train_batch_size": 2, "num_generations": 2,
        "max_completion_length": 6, "sandbox_workers": 1, "save_steps": 1,
        "output_dir": str(tmp_path / "run"),
    }  # fmt: skip
    train(TrainConfig(**small | settings), TASKS)
    return tmp_path / "run"


@pytest.mark.parametrize("use_peft", [False, True])
def test_a_run_is_its_final_model_and_checkpoints_are_themselves(use_peft, tmp_path):
    folder = run(tmp_path, use_peft=use_peft)
    weights = "adapter_model.safetensors" if use_peft else "model.safetensors"
    for source, name, steps in ((folder, "final", 2), (folder / "checkpoint-1", "checkpoint-1", 1)):
        out = export(source, tmp_path / "out" / name)
        assert (out / weights).read_bytes() == (folder / name / weights).read_bytes()
        model = {"adapter_config.json", weights} if use_peft else MODEL
        assert names(out) == model | TOKENIZER | {"README.md"}
        assert AutoModelForCausalLM.from_pretrained(out).dtype == torch.float32
        said = f"{steps} {'step' if steps == 1 else 'steps'}: {2 * steps} problems"
        assert said in (out / "README.md").read_text()
    # What was exported into a run's folder is no checkpoint of it.
    inside = export(folder, folder / "exported")
    assert "## Training" in (inside / "README.md").read_text()
    assert "## Training" not in (export(inside, tmp_path / "x") / "README.md").read_text()


def test_a_run_that_is_not_finished_or_not_whole_is_refused_with_what_there_is(tmp_path):
    folder = run(tmp_path)
    shutil.rmtree(folder / "final")
    with pytest.raises(
        FileNotFoundError, match=r"not finished .*newest checkpoint, .*checkpoint-1"
    ):
        export(folder, tmp_path / "out")
    (checkpoint.numbered(folder)[0] / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"is not whole: model\.safetensors"):
        export(folder / "checkpoint-1", tmp_path / "out")
    assert not (tmp_path / "out").exists()
