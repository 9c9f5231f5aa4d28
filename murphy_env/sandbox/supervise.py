"""Gets the tests of one request done, in as few child processes as their ends allow.

Values that tests ask for, and tests that share the program's process, are got from one child, in
order. Whole tests run in a child of their own, beside the program's: two for all of them. A `stdio`
test has a child to itself. A test that hangs or ends a process costs itself: the next one starts in
fresh ones, where the program is loaded again. Loading that hangs or ends the process is charged to
every test that is put in the same way and needs it, and not tried again but as below. Hidden tests
come last, in processes of their own: what a program learns of them ends with these.

A test is put again if it may have had no fair chance: it ran out of clock time while its
process waited for a processor, or that process was killed by SIGKILL, which a system does that has
run out of memory; programs do it to themselves as rarely. Time that was lost so is given back, once
over: an execution can last twice its time.
"""

from __future__ import annotations

import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from murphy_env.sandbox.children import Children
from murphy_env.sandbox.inside.wire import GONE
from murphy_env.sandbox.running import End, Running

MAX_FRAMES_BYTES = 16 << 20
"""Of all values and errors of one execution together; they have to be parsed here."""

MAX_OUTPUTS_BYTES = 112 << 20
"""Of all outputs of one execution together."""

MORE_TRIES = 3
"""Of a test whose process is killed by SIGKILL; one that ran late gets one."""

Tests = list[dict[str, Any]]
Way = Callable[[Children, dict[str, Any], Tests, float], tuple[list[End], bool]]
"""Gets tests done; the ends of those it got through, and whether all was loaded."""


def execute(link: socket.socket, request: dict[str, Any]) -> tuple[list[End], bool]:
    """What became of each test, and whether the scratch folder could be emptied.

    Raises:
        Broken: the fork server is gone, or a child could not be prepared; no program is to blame.
    """
    spare_s = request["limits"]["total_wall_s"]  # that the machine may take away
    deadline = time.monotonic() + spare_s
    tests, clean = request["tests"], True
    ends = [End("not_run")] * len(tests)
    again: Counter[int] = Counter()  # how often a test had no fair chance and got another one
    frames_room, outputs_room = MAX_FRAMES_BYTES, MAX_OUTPUTS_BYTES
    unloaded: dict[Way, End] = {}
    for way, group in _groups(tests):
        if group and way in unloaded:
            ends = [unloaded[way] if index in group else end for index, end in enumerate(ends)]
            continue
        while group and time.monotonic() < deadline:
            with Children(link, request["limits"]) as children:
                done, loaded = way(children, request, [tests[i] for i in group], deadline)
            clean = clean and children.clean is True
            for index, end in zip(group, done, strict=False):
                frames_room -= len(end.frame)
                outputs_room -= len(end.output)
                ends[index] = end if min(frames_room, outputs_room) >= 0 else End("flood")
            unfair = [
                index
                for index, end in zip(group, done, strict=False)
                if (end.how == "timeout" and children.starved_s) or end.exit == -signal.SIGKILL
            ]
            group = group[len(done) :]
            if unfair and again[unfair[0]] < (1 if children.starved_s else MORE_TRIES):
                again[unfair[0]] += 1
                group = unfair + group
                lost_s = min(children.starved_s, spare_s)
                spare_s -= lost_s
                deadline += lost_s
            elif not loaded:
                unloaded[way] = done[0]
    return ends, clean


def _groups(tests: Tests) -> list[tuple[Way, list[int]]]:
    """Indices of tests that share processes, and the way in which they are put.

    Visible tests and hidden ones share none.
    """
    found: list[tuple[Way, list[int]]] = []
    for hidden in (False, True):
        mine = [index for index, test in enumerate(tests) if test["hidden"] is hidden]
        scripts = [index for index in mine if "stdin" in tests[index]]
        apart = [index for index in mine if tests[index].get("apart")]
        rest = [index for index in mine if index not in {*scripts, *apart}]
        found += [(_together, rest), (_apart, apart), *((_script, [index]) for index in scripts)]
    return found


def _together(
    children: Children, request: dict[str, Any], tests: Tests, deadline: float
) -> tuple[list[End], bool]:
    """Ends of the tests that one child got through, the one that ended it included."""
    child = children.fork({**request, "role": "program", "tests": tests})
    how = children.step(child, deadline)
    if how != "frame":
        return [children.end_of(child, how)] * len(tests), False
    child.take_frame()  # what was printed belongs to the first test
    return _ends(children, child, len(tests), deadline), True


def _script(
    children: Children, request: dict[str, Any], tests: Tests, deadline: float
) -> tuple[list[End], bool]:
    """The end of the one test; what it asks for is that the program is loaded."""
    script = {**request, "role": "program", "tests": tests}
    child = children.fork(script, stdout_bytes=tests[0]["stdout_bytes"])
    return _ends(children, child, 1, deadline), True


def _apart(
    children: Children, request: dict[str, Any], tests: Tests, deadline: float
) -> tuple[list[End], bool]:
    """Ends of the tests that one pair got through: the program's child, and that of the tests.

    The program's gets nothing of the tests, theirs nothing of the program.
    """
    mine, theirs = socket.socketpair()
    with mine, theirs:
        served = {**request, "role": "serve", "setup": "", "tests": [{"kind": "serve"}]}
        program = children.fork(served, mine)
        examiner = children.fork({**request, "role": "examine", "code": "", "tests": tests}, theirs)
    for child in (program, examiner):
        how = children.step(child, deadline)
        if how != "frame":
            return [_blamed(children.end_of(child, how), program, examiner)] * len(tests), False
        child.take_frame()
        if child is program:
            program.go()  # to serve, from here on
    ends = _ends(children, examiner, len(tests), deadline)
    return [_blamed(end, program, examiner) for end in ends], True


def _blamed(end: End, program: Running, examiner: Running) -> End:
    """The end of a test; of one that found the program's process gone, that of this process."""
    gone = end.how == "died" and examiner.exit == GONE
    return end._replace(exit=program.exit) if gone else end


def _ends(children: Children, child: Running, num_tests: int, deadline: float) -> list[End]:
    ends: list[End] = []
    while len(ends) < num_tests and time.monotonic() < deadline:
        ends.append(children.end_of(child, children.step(child, deadline)))
        if ends[-1].how != "frame":
            break
    return ends
