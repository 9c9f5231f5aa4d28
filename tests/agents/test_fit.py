"""`murphy fit`: published sizes, the cells of its table, and the page that shows it."""

import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from models import tokenizer

from murphy_agents.cli import main
from murphy_agents.dry_run import fitting, memory
from murphy_agents.dry_run import model as models
from murphy_agents.dry_run.card import elsewhere
from murphy_agents.fit import FitConfig, fits, table_of
from murphy_agents.fit.shapes import KNOWN, config_of
from murphy_agents.fit.table import Fit
from murphy_agents.fit.ways import WAYS
from murphy_agents.tiny import make_model, save_policy

PAGE = (Path(__file__).parents[2] / "docs" / "memory.md").read_text()
CARDS = [elsewhere(size) for size in (24, 40, 80)]


@pytest.fixture(scope="module")
def small():
    """All that is said of one small model."""
    config = FitConfig(models=["Qwen/Qwen3-0.6B"])
    return config, list(fits(config))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # A layer of Qwen3: 2 * hidden * (query + key_value) for attention, 3 * hidden *
        # intermediate, 2 * hidden + 2 * 128 of norms; embeddings 151,936 * hidden, twice where
        # they are not tied; the last norm, hidden.
        # 28 * (2 * 1024 * (2048 + 1024) + 3 * 1024 * 3072 + 2304) + 151936 * 1024 + 1024
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("Qwen/Qwen3-1.7B", 1_720_574_976),
        # 36 * (2 * 2560 * (4096 + 1024) + 3 * 2560 * 9728 + 5376) + 151936 * 2560 + 2560
        ("Qwen/Qwen3-4B", 4_022_468_096),
        # 36 * (2 * 4096 * (4096 + 1024) + 3 * 4096 * 12288 + 8448) + 2 * 151936 * 4096 + 4096
        ("Qwen/Qwen3-8B", 8_190_735_360),
        # OLMo 2 has norms of whole queries and keys: 16 * (4 * 2048 * 2048 + 3 * 2048 * 8192 +
        # 4 * 2048) + 2 * 100352 * 2048 + 2048
        ("allenai/OLMo-2-0425-1B", 1_484_916_736),
        # 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008 + 4 * 4096) + 2 * 100352 * 4096 + 4096
        ("allenai/OLMo-2-1124-7B", 7_298_617_344),
    ],
)
def test_known_sizes_add_up_to_the_published_counts(name, count):
    with torch.device("meta"):
        model = models.of_config(config_of(name), torch.float32)
    assert sum(p.numel() for p in model.parameters()) == count
    assert set(KNOWN) == set(FitConfig().models)


def test_every_cell_is_what_a_dry_run_would_say(small):
    _, found = small
    fitted = 0
    for fit in found:
        for card in CARDS:
            rows = fit.rows(card)
            fitted += rows > 0
            if fit.engine == "vllm":
                says_so(fit, card, rows)
            else:
                limits(fit, card, rows)
    assert fitted > 20, "most of it fits for a small model"


def says_so(fit: Fit, card, rows):
    """vLLM's share leaves training its room, and holds the rows that are told."""
    share = fit.share(card)
    assert fit.training_bytes <= card.usable_bytes - share * card.total_bytes
    assert fitting.share_of(fit.needed.vllm, card, share).rows == rows
    assert fit.vllm_bytes(card) <= share * card.total_bytes or not rows


def limits(fit: Fit, card, rows):
    """Generation fits with the rows that are told, and not with one more."""
    work = fit.needed.work
    for count, expected in ((rows, True), (rows + 1, False)):
        held = {**vars(work), "cache_tokens": count * work.row_tokens}
        estimate = memory.estimate(fit.needed.shape, memory.Work(**held))
        if count and count <= work.rows:
            assert (estimate.most_bytes <= card.usable_bytes) == expected


def test_ways_in_the_order_of_what_they_take(small):
    _, found = small
    by_way = {fit.way: fit for fit in found if fit.engine == "vllm"}
    assert list(by_way) == [way.name for way in WAYS]
    taken = [by_way[way.name].training_bytes for way in WAYS]
    assert taken[1] > taken[2] > taken[3] > taken[4]
    assert by_way["LoRA, bfloat16"].needed.vllm.adapter_bytes > 0
    # 596,049,920 numbers in bfloat16, packed or not in training.
    assert {fit.needed.vllm.weight_bytes for fit in by_way.values()} == {2 * 596_049_920}
    packed = by_way["QLoRA"].needed.work
    assert packed.unpacked_bytes == 2 * 1024 * 3072
    # 155,582,464 embeddings and 65,536 norms in 2 bytes; 440,401,920 numbers in half a byte, with
    # scales of 1/64 and 4 / (64 * 256); 10,092,544 of adapters of rank 16 in 4.
    assert packed.weight_bytes == (
        2 * 155_648_000 + 440_401_920 // 2 + 440_401_920 // 64 + 440_401_920 // 4096
        + 4 * 10_092_544
    )  # fmt: skip


def test_a_row_is_cut_to_the_models_context():
    (fit, *_) = fits(FitConfig(models=["allenai/OLMo-2-0425-1B"]))
    assert fit.needed.work.row_tokens == 4096  # not 1000 + 2048 + 1000 + 2048


def test_the_page_shows_what_the_command_prints(small):
    config, found = small
    rows = table_of(config, found).markdown().splitlines()
    assert len(rows) == 2 + 5 * 2
    for row in rows:
        assert row in PAGE, "docs/memory.md: put in what `murphy fit --markdown` prints"


@pytest.mark.slow
def test_the_page_shows_all_that_the_command_prints(capsys):
    assert main(["fit", "--markdown"]) == 0
    printed = capsys.readouterr().out.strip()
    assert len(printed.splitlines()) == 2 + 6 * 5 * 2
    assert printed in PAGE, "docs/memory.md: put in what `murphy fit --markdown` prints"


def test_a_folder_and_cards_of_ones_own(tmp_path, capsys):
    save_policy(make_model("olmo2", tokenizer()), tokenizer(), tmp_path / "mine")
    sizes = ["--cards", "16", "--max_completion_length", "9"]
    assert main(["fit", str(tmp_path / "mine"), *sizes]) == 0
    told = capsys.readouterr().out
    assert "16 GB" in told
    assert "24 GB" not in told
    assert "mine    QLoRA" in told
    assert "computed, not measured on a GPU" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["some/model"], "no config to be read .*cannot be reached.*Qwen/Qwen3-0.6B"),
        (["--cards", "0"], "cards has 0; give at least 1"),
        (["--card", "24"], "'card' is no setting of murphy fit; the nearest is 'cards'"),
        (["--prompt_tokens", "0"], "prompt_tokens has 0"),
        (["--fanout", "1"], "fanout is"),
        (["--lora_r", "0"], "lora_r is 0"),
    ],
)
def test_mistakes_are_told(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert main(["fit", *arguments]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_kind_that_is_not_covered_is_told(tmp_path, capsys):
    from transformers import Qwen3MoeConfig

    tiny = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_experts": 2}
    Qwen3MoeConfig(**tiny, num_key_value_heads=2, vocab_size=99).save_pretrained(tmp_path)
    assert main(["fit", str(tmp_path)]) == 2
    assert "num_experts" in capsys.readouterr().err
