"""Small policies made on the spot: for tests, tutorials and runs without a downloaded model."""

from murphy_agents.tiny.models import make_model, make_policy, make_tokenizer, save_policy

__all__ = ["make_model", "make_policy", "make_tokenizer", "save_policy"]
