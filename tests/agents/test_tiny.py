import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from murphy_agents.tiny import make_model, make_policy, make_tokenizer

TEXTS = ["def add(a, b):\n    return a + b\n", "Write a function add(a, b). Passed 3/12 tests."]


def test_every_text_can_be_encoded_and_comes_back():
    tokenizer = make_tokenizer(TEXTS)
    text = "Größe \x00\t 漢字 🎈 never seen <|im_end|>"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_each_digit_is_a_token_of_its_own():
    tokenizer = make_tokenizer(["123 123 123 123"] * 20)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer.encode("x123"))
    assert tokens == ["x", "1", "2", "3"]


def test_training_merges_what_is_frequent():
    tokenizer = make_tokenizer(["return"] * 20, vocab_size=300)
    assert len(tokenizer.encode("return")) == 1
    # 256 bytes, 3 special tokens, and the 5 merges that a word of 6 letters takes
    assert len(tokenizer) == 256 + 3 + 5


def test_the_template_is_chatml_with_its_marks_as_single_ids():
    tokenizer = make_tokenizer(TEXTS)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.encode("<|im_end|>") == [tokenizer.eos_token_id]


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(ValueError, match="at least 259"):
        make_tokenizer(TEXTS, vocab_size=258)


@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "llama"])
def test_kinds_are_what_they_are_called(kind):
    model = make_model(kind, make_tokenizer(TEXTS))
    assert model.config.model_type == kind
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.config.eos_token_id == model.generation_config.eos_token_id == 2


def test_weights_depend_on_the_seed_and_leave_the_global_state_alone():
    tokenizer = make_tokenizer(TEXTS)
    before = torch.get_rng_state()
    models = [make_model("qwen3", tokenizer, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    one, same, other = (model.model.layers[0].mlp.up_proj.weight for model in models)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
def test_a_saved_policy_is_read_by_the_library(tmp_path, kind):
    model, tokenizer = make_policy(tmp_path, texts=TEXTS, kind=kind, seed=3)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    ids = torch.tensor([tokenizer.encode("add(1, 22)")])
    assert torch.equal(loaded.eval()(ids).logits, model.eval()(ids).logits)
    assert read.chat_template == tokenizer.chat_template
    assert read.encode("x<|im_end|>12 ß") == tokenizer.encode("x<|im_end|>12 ß")
    assert (read.eos_token_id, read.pad_token_id) == (2, 0)


@pytest.mark.parametrize(("kind", "width"), [("gpt2", 64), ("qwen3", 60)])
def test_unknown_kinds_and_odd_widths_are_refused(kind, width):
    with pytest.raises(ValueError, match=r"choose one of|multiple of 32"):
        make_model(kind, make_tokenizer(TEXTS), hidden_size=width)


@pytest.mark.slow
def test_another_process_makes_the_same_tokenizer():
    code = (
        "from murphy_agents.tiny import make_tokenizer\n"
        f"print(make_tokenizer({TEXTS!r}, 330).backend_tokenizer.to_str())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == make_tokenizer(TEXTS, 330).backend_tokenizer.to_str()
