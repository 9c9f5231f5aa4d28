"""What all tests share: where the public benchmark data lies, and one sandbox for the session."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine may take its time for any one example; what hangs is ended by pytest-timeout.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# One thread unless asked: on small or busy machines idle threads spin against each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA = Path(os.environ.get("MURPHY_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def heed_ctrl_c() -> Iterator[None]:
    """A shell lets its background jobs ignore it; some tests are about what it does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """The path of a file of benchmark data; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{name} is not in {DATA}; set MURPHY_DATA to the folder that holds it")
        return path

    return find


@pytest.fixture(scope="session")
def sandbox() -> Iterator["object"]:
    """One running sandbox of two workers."""
    from murphy_env.sandbox import Sandbox

    with Sandbox(workers=2) as running:
        yield running
