"""From a completion to the program in it: `extract_code`. `rules` says how."""

from murphy_env.extraction.rules import extract_code

__all__ = ["extract_code"]
