"""A made model on disk, in a folder that is named by its content.

Adapters name the model that they belong to. A folder whose name says what is in it never comes to
hold another model, so that adapters of an earlier run, or of one beside this, keep theirs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from murphy_agents import files
from murphy_agents.tiny.models import save_policy


def store(model: Any, tokenizer: Any, parent: Path) -> Path:
    """The absolute path of `parent/base-DIGEST`, which is written if it is not there.

    Args:
        model: with all its weights in main memory.
        tokenizer: of `tokenizers`, saved beside it.
        parent: where the folder lies.
    """
    parent = parent.absolute()
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"base-{digest(model, tokenizer)[:8]}"
    with files.alone(folder):
        if not folder.is_dir():
            files.fill_atomically(folder, lambda path: save_policy(model, tokenizer, path))
    return folder


def digest(model: Any, tokenizer: Any) -> str:
    """Of everything that a run would read back: weights, config, tokens, chat template."""
    found = hashlib.sha256()
    texts = (
        model.config.to_json_string(), tokenizer.backend_tokenizer.to_str(),
        str(tokenizer.chat_template),
    )  # fmt: skip
    for text in texts:
        found.update(text.encode() + b"\0")
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()
