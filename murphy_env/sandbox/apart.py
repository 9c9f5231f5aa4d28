"""Whether a whole test, in a process of its own, lets the program judge itself all the same.

There every name of the test's own (prelude, set-up, the test) and of Python's is out of reach. What
is left comes from the program: the function that the task asks for. A test that calls another
function of the program may take that one's word for the verdict, as in `assert same(f(3), 9)` of a
`same` that is the program's; one that names a class of the program, the word of its methods, as in
`assert Vector(1) + Vector(2) == Vector(3)`; one that walks over an object of its own by numbers can
be cut short, as the IndexError that ends the walk may be the program's.
"""

from __future__ import annotations

import builtins
from functools import lru_cache

from murphy_env.sandbox.inside import names


@lru_cache(maxsize=8192)
def asks_a_judge(source: str, around: tuple[str, ...], entry_point: str | None) -> bool:
    """Whether a test mentions more of the program than the function that the task asks for.

    Args:
        source: of the test.
        around: sources of the task that run before it; all but the first see the program's names.
        entry_point: the function that the task asks for; where it is not known, the one function
            that a test mentions.

    Raises:
        ValueError: a source is no Python.
    """
    own = set(dir(builtins)).union(*map(names.bound, (*around, source)))
    reads = set[str]().union(*map(names.read, (*around[1:], source)))
    others = (reads - own | names.imported(source)) - {entry_point}
    is_class = any(name[:1].isupper() for name in (*others, entry_point or ""))
    walks = any("__getitem__" in text for text in (*around, source))
    return is_class or walks or len(others) > (entry_point is None)
