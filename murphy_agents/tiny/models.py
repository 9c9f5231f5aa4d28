"""Makes small language models with random weights, and byte-level tokenizers for them.

Both are the real thing of the `transformers` library, so whatever works on them works on a
downloaded model; only the weights know nothing yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

Kind = Literal["qwen3", "olmo2", "llama"]
START, END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHORT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}"
)
"""Three tokens for a prompt: who speaks is known by turns."""
SMALLEST_VOCABULARY = 256 + 3
"""Every byte and the three special tokens."""

# The classes of the library are loosely typed; `Any` keeps their gaps from becoming ours.
_ARCHITECTURES: dict[str, tuple[Any, Any]] = {
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "olmo2": (Olmo2Config, Olmo2ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
}


def make_tokenizer(
    texts: Iterable[str],
    vocab_size: int = 512,
    template: str = CHATML_TEMPLATE,
    pattern: str | None = None,
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with a chat template, trained on `texts`.

    Every text can be encoded, each digit is a token of its own, and the same texts give the same
    tokenizer. Few texts give fewer tokens than `vocab_size`: ask `len(tokenizer)`.

    Args:
        texts: what it is trained on.
        vocab_size: most tokens.
        template: a chat template in Jinja.
        pattern: a regular expression; no token reaches over the edge of what it matches. None: of
            words and digits, as usual.

    Raises:
        ValueError: `vocab_size` has no room for the 256 bytes and the special tokens.
    """
    if vocab_size < SMALLEST_VOCABULARY:
        raise ValueError(
            f"vocab_size is {vocab_size}; give at least {SMALLEST_VOCABULARY}, which is every byte "
            "and the special tokens"
        )
    backend = Tokenizer(models.BPE())
    if pattern is None:
        splitter: Any = pre_tokenizers.Digits(individual_digits=True)
    else:
        splitter = pre_tokenizers.Split(Regex(pattern), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    backend.pre_tokenizer = pre_tokenizers.Sequence([splitter, byte_level])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    make: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = make(
        tokenizer_object=backend, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = template
    return tokenizer


def make_model(
    kind: Kind,
    tokenizer: PreTrainedTokenizerFast,
    seed: int = 0,
    hidden_size: int = 64,
    num_layers: int = 2,
    max_position_embeddings: int = 2048,
    **settings: Any,
) -> PreTrainedModel:
    """A causal language model with random float32 weights, in training mode as after `__init__`.

    The weights depend on `seed` and the sizes alone; the global random state is left as it was.

    Args:
        kind: the architecture.
        tokenizer: gives vocabulary size, end and padding token.
        seed: of the weights.
        hidden_size: width; heads are 16 wide and share keys and values two by two.
        num_layers: depth.
        max_position_embeddings: longest sequence.
        **settings: any other field of the architecture's configuration; wins over ours.

    Raises:
        ValueError: the kind is unknown or the width is not a multiple of 32.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind is {kind!r}; choose one of {get_args(Kind)}")
    if hidden_size % 32:
        raise ValueError(f"hidden_size is {hidden_size}; give a multiple of 32 (two heads of 16)")
    make_config, make = _ARCHITECTURES[kind]
    num_heads = hidden_size // 16
    ours = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden_size,
        "intermediate_size": 3 * hidden_size,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_heads // 2,
        "head_dim": 16,
        "max_position_embeddings": max_position_embeddings,
        "tie_word_embeddings": kind == "qwen3",
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "use_cache": True,
    }
    config = make_config(**{**ours, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: PreTrainedModel = make(config).float().train()
    return model


def make_policy(
    path: str | Path | None = None,
    *,
    texts: Iterable[str],
    kind: Kind = "qwen3",
    seed: int = 0,
    vocab_size: int = 512,
    **settings: Any,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A model and its tokenizer, trained on `texts`; saved to `path` if one is given.

    Example:
        >>> model, tokenizer = make_policy(texts=["def add(a, b): return a + b"], kind="olmo2")
        >>> tokenizer.decode(tokenizer.encode("add 12"))
        'add 12'
    """
    tokenizer = make_tokenizer(texts, vocab_size)
    model = make_model(kind, tokenizer, seed, **settings)
    if path is not None:
        save_policy(model, tokenizer, path)
    return model, tokenizer


def save_policy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, path: str | Path
) -> None:
    """Write both to a folder as `from_pretrained` reads them, chat template included."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
