"""Whether bitsandbytes is installed, and new enough for what is asked of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util

LEAST = (0, 50)
"""Version that was tested; older ones keep embeddings in 8 bits whatever they are told, and some
have nothing for processors."""


def refuse_without(setting: str, otherwise: str) -> None:
    """Raise ValueError where it is missing or too old, with the command that installs it.

    Nothing is imported: whether the package works shows when it is used.

    Args:
        setting: what asks for it, as in "optim is 'adamw_8bit'".
        otherwise: what to do without it, as in "set optim to 'adamw_torch'".
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError(
            f"{setting}, and bitsandbytes is not installed here; pip install bitsandbytes, or "
            f"{otherwise}"
        )
    version = importlib.metadata.version("bitsandbytes")
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST:
        raise ValueError(
            f"{setting}, and bitsandbytes is {version}, older than "
            f"{'.'.join(map(str, LEAST))}, which was tested; pip install -U bitsandbytes, or "
            f"{otherwise}"
        )
