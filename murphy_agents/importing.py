"""Objects that settings name: 'pkg.mod:NAME'."""

from __future__ import annotations

import importlib
from typing import Any


def imported(name: str) -> Any:
    """The object that 'pkg.mod:NAME' names.

    Raises:
        ValueError: there is no such module or no such object.

    Example:
        >>> imported("math:floor")(2.5)
        2
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # ".mod": TypeError
        raise ValueError(
            f"{name!r} cannot be imported ({error}); write 'package.module:NAME', of a package "
            "that is installed or lies in the current folder"
        ) from error
