"""Ends a group of processes once whoever started it is gone; a program of its own, run by path.

It reads its standard input, a pipe whose other end the starter holds: first the number of the
group, then "done" when the starter has ended the group itself. A pipe that closes without it means
that the starter died, however that came about. Needs the standard library alone.
"""

import os
import signal
import sys
import time

GRACE_S = 10.0
"""Between the request to end and the kill."""


def main() -> None:
    """Wait for the end of the input, and end the group unless that was done."""
    words = sys.stdin.read().split()
    if not words or "done" in words:
        return
    group = int(words[0])
    try:
        os.killpg(group, signal.SIGTERM)
        end = time.monotonic() + GRACE_S
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.1)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    main()
