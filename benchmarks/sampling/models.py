"""Random models that never end a completion, as settings describe them."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

from murphy_agents.tiny import make_model, make_tokenizer, save_policy


def make(sizes, dtype=None):
    """A model in evaluation mode, without an end token.

    Args:
        sizes: `kind` and what `tiny.make_model` takes besides, every size that a tokenizer would
            decide among them.
        dtype: of its weights; None: float32.
    """
    given = dict(sizes)
    model = make_model(
        given.pop("kind"), tokenizer(), eos_token_id=None, pad_token_id=None, **given
    )
    # `generate` asks for what it would fill finished rows with; there are none.
    model.generation_config.pad_token_id = 0
    return model.to(dtype).eval()


def tokenizer():
    """One that fits no model here, for what wants one and never reads with it."""
    return make_tokenizer(["def f(x): return x"])


@contextmanager
def saved(model):
    """Within it, a folder that holds the model."""
    with tempfile.TemporaryDirectory() as folder:
        save_policy(model, tokenizer(), folder)
        yield Path(folder)


def describe(model):
    """How many millions of parameters it has."""
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M"
